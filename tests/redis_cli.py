"""
What stands in for redis-cli where there is none: the same words in, the same lines out as on a terminal.

    python tests/redis_cli.py [--raw] [-s SOCKET | -u URL] COMMAND ...
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import redis


def main(words: list[str]) -> None:
    """
    Send one command, print its reply.
    """
    raw, url = False, "redis://127.0.0.1:6379"
    while words and words[0].startswith("-"):
        option = words.pop(0)
        if option == "--raw":
            raw = True
        else:
            url = f"unix://{Path(words.pop(0)).absolute()}" if option == "-s" else words.pop(0)
    connection = redis.Redis.from_url(url, protocol=2)
    connection.response_callbacks.clear()
    channel = connection.connection_pool.get_connection()
    channel.send_command(*words)  # type: ignore[no-untyped-call]
    while True:
        reply = channel.read_response()
        lines = _raw(reply) if raw or words[0].upper() == "INFO" else _shown(reply)
        sys.stdout.write("".join(f"{line}\n" for line in lines))
        sys.stdout.flush()
        if words[0].upper() != "SUBSCRIBE":
            return


def _raw(reply: Any) -> Iterator[str]:
    if isinstance(reply, list):
        for item in reply:
            yield from _raw(item)
    else:
        yield reply.decode() if isinstance(reply, bytes) else "" if reply is None else str(reply)


def _shown(reply: Any) -> Iterator[str]:
    if isinstance(reply, list):
        width = len(str(len(reply)))
        for number, item in enumerate(reply, 1):
            mark = f"{number:>{width}}) "
            for line in _shown(item):
                yield mark + line
                mark = " " * len(mark)
        if not reply:
            yield "(empty array)"
    elif isinstance(reply, int):
        yield f"(integer) {reply}"
    elif reply is None:
        yield "(nil)"
    elif reply in (b"OK", b"PONG"):
        yield reply.decode()
    else:
        yield '"' + reply.decode().replace("\\", "\\\\").replace('"', '\\"').replace("\x1f", "\\x1f") + '"'


if __name__ == "__main__":
    main(sys.argv[1:])
