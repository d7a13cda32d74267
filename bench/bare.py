"""
The ceiling: the same work with nothing around it. What it lacks is what the gateway costs.

No secret, no dedupe, no record, no lane, no gate, no lease: a webhook is one XADD by group commit, an entry is read,
acknowledged and deleted. `python -m bench.bare PORT REDIS_URL STREAM` serves webhooks.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any, Final, cast

import uvicorn
from redis.asyncio import Redis

from bench.load import HOST
from bench.stats import Measurement
from bench.store import Store
from common.queue.connection import connect

_BATCH: Final = 64
_GROUP: Final = "bench"
_STREAM: Final = "bench:bare"
_OK: Final = b'{"ok":true}'


class BareIngress:
    """
    An ASGI application that answers 200 to every request once its body lies in a stream.
    """

    def __init__(self, client: Redis, stream: str) -> None:
        self._client = client
        self._stream = stream
        self._waiting: list[tuple[bytes, asyncio.Future[None]]] = []
        self._flushing: asyncio.Task[None] | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """
        Take one request.
        """
        if scope["method"] == "POST":
            body = (await receive())["body"]
            if self._flushing is None or self._flushing.done():
                self._flushing = asyncio.create_task(self._flush())
            stored = self._flushing.get_loop().create_future()
            self._waiting.append((body, stored))
            await stored
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(_OK)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": _OK})

    async def _flush(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            pipe = self._client.pipeline(transaction=False)
            for body, _ in batch:
                pipe.xadd(self._stream, {"body": body})
            await pipe.execute()
            for _, stored in batch:
                stored.set_result(None)


async def drain(store: Store, *, count: int) -> Measurement:
    """
    Fill a stream, then measure reading, acknowledging and deleting all of it, 64 at a time.
    """
    await store.empty()
    await fill(store, count)
    return await drain_filled(store, count=count)


async def fill(store: Store, count: int) -> None:
    """
    Put entries into a stream.
    """
    client = store.connections.commands
    await client.xgroup_create(_STREAM, _GROUP, "0", mkstream=True)
    pipe = client.pipeline(transaction=False)
    for number in range(count):
        pipe.xadd(_STREAM, {"id": str(number), "kind": "text", "chat_id": "u2i-bench", "body": '{"text": "Yes."}'})
    await pipe.execute()


async def drain_filled(store: Store, *, count: int) -> Measurement:
    """
    Measure as `drain` does; the stream is full already.
    """
    client = store.connections.commands
    began_s = time.perf_counter()
    while reply := cast("Any", await client.xreadgroup(_GROUP, "worker", {_STREAM: ">"}, count=_BATCH)):
        ids = [entry_id for entry_id, _ in reply[0][1]]
        pipe = client.pipeline(transaction=False)
        pipe.xack(_STREAM, _GROUP, *ids)
        pipe.xdel(_STREAM, *ids)
        await pipe.execute()
    return Measurement(rate_per_s=count / (time.perf_counter() - began_s))


def main(port: int, redis_url: str, stream: str) -> None:
    """
    Serve until SIGTERM.
    """
    app = BareIngress(connect(redis_url).commands, stream)
    uvicorn.run(app, host=HOST, port=port, lifespan="off", access_log=False, log_level="warning", server_header=False)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3])
