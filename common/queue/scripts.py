"""
The Lua scripts: one file each in `lua/`, run by name.

A file that says `-- include: gate, lanes` is run behind those files of `lua/shared/`.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import NoScriptError

from common.queue.connection import Connections, mapped

Argument = str | bytes | int | float


class Script:
    """
    A script of `lua/`, sent by its digest; a server that does not know it gets the text once (R18).
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.text = _text(name)
        self.digest = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()

    async def __call__(self, client: Redis, keys: Sequence[str], args: Sequence[Argument]) -> Any:
        """
        Run it. After NOSCRIPT nothing had run, so the repetition is safe.

        Raises what `common.queue.connection.mapped` raises; after `RedisAway` it may have run (R2).
        """
        with mapped():
            try:
                return await client.evalsha(self.digest, len(keys), *keys, *args)
            except NoScriptError:
                return await client.eval(self.text, len(keys), *keys, *args)

    async def each(
        self, connections: Connections, all_keys: Sequence[Sequence[str]], args: Sequence[Argument]
    ) -> list[Any]:
        """
        Run it for several sets of keys with the same arguments, in one round trip where one server holds all of them.
        """
        client = connections.commands
        if not connections.takes_scripts_in_pipelines:
            return list(await asyncio.gather(*(self(client, keys, args) for keys in all_keys)))
        pipe = client.pipeline(transaction=False)
        for keys in all_keys:
            pipe.evalsha(self.digest, len(keys), *keys, *args)
        with mapped():
            replies: list[Any] = await pipe.execute(raise_on_error=False)
            for n, reply in enumerate(replies):
                if isinstance(reply, NoScriptError):
                    replies[n] = await self(client, all_keys[n], args)
                elif isinstance(reply, Exception):
                    raise reply
        return replies


def flat(fields: Mapping[str, str]) -> list[str]:
    """
    Return names and values in turn, as scripts take the fields of entries and records.
    """
    return [part for pair in fields.items() for part in pair]


def _text(name: str) -> str:
    folder = files("common.queue") / "lua"
    text = (folder / f"{name}.lua").read_text(encoding="utf-8")
    included = re.search(r"^-- include: (.+)$", text, re.MULTILINE)
    shared = [part.strip() for part in included[1].split(",")] if included else []
    parts = [(folder / "shared" / f"{part}.lua").read_text(encoding="utf-8") for part in shared]
    # A script's own `group` is seen by the shared functions, which are defined before it is set.
    return "\n".join(["local group", *parts, text])


TAKE: Final = Script("take")
SETTLE: Final = Script("settle")
ENSURE: Final = Script("ensure")
ADOPT: Final = Script("adopt")
MEND: Final = Script("mend")
HEARTBEAT: Final = Script("heartbeat")
BURY: Final = Script("bury")
ACQUIRE: Final = Script("acquire")
FINISH: Final = Script("finish")
KEEP: Final = Script("keep")
PAUSE: Final = Script("pause")
HOLD: Final = Script("hold")
ACCEPT_COMMAND: Final = Script("accept_command")
ACCEPT_EVENT: Final = Script("accept_event")
CANCEL: Final = Script("cancel")
RESOLVE: Final = Script("resolve")
REDRIVE: Final = Script("redrive")
CLOCK: Final = Script("clock")
LOOK: Final = Script("look")
USAGE: Final = Script("usage")
RETURNS: Final = Script("returns")
REPORT: Final = Script("report")
