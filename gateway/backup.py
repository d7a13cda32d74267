"""
A copy of what the embedded server holds, made while everything goes on.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tarfile
from pathlib import Path
from typing import Final

from redis.asyncio import Redis

from common.errors import GatewayError, SettingsError
from common.queue.connection import connect, mapped
from gateway.embedded import EmbeddedServer
from gateway.profile import read_profile

APPEND_ONLY: Final = "appendonlydir"
REWRITE_S: Final = 600.0
FSYNC_MS: Final = 10_000
POLL_S: Final = 0.1


async def make(path: Path) -> int:
    """
    Write the append-only files into a new archive, readable by its owner alone.

    Whatever was accepted before is in it. What is accepted meanwhile may be; a command that was written halfway is left
    out by the server that reads it.

    Raises:

        SettingsError: there is no embedded server, or the file cannot be made.

        GatewayError: the server does not answer, or its files cannot be read.

    """
    settings = read_profile().settings
    if settings.redis_url is not None:
        raise SettingsError("REDIS_URL is set: back that server up with its own means (docs/backup.md)")
    server = EmbeddedServer(settings.data_dir)
    if not (server.data_dir / APPEND_ONLY).is_dir():
        raise SettingsError(f"DATA_DIR={settings.data_dir}: there is nothing to back up")
    await asyncio.to_thread(server.join)
    try:
        await _copy(server, path)
    finally:
        await asyncio.to_thread(server.leave)
    sys.stdout.write(f"{path}\n")
    return 0


async def _copy(server: EmbeddedServer, path: Path) -> None:
    connections = connect(server.url, timeout_s=FSYNC_MS / 1000 + 5)
    client = connections.commands
    try:
        with mapped():
            told = await client.config_get("auto-aof-rewrite-percentage")
            # A rewrite removes the files that are being read.
            await client.config_set("auto-aof-rewrite-percentage", 0)
            try:
                await _no_rewrite(client)
                written, _ = await client.waitaof(1, 0, FSYNC_MS)
                if not written:
                    raise GatewayError("The embedded server does not write to its disk; see its log in DATA_DIR.")
                await asyncio.to_thread(_archive, server.data_dir, path)
            finally:
                await client.config_set("auto-aof-rewrite-percentage", str(told["auto-aof-rewrite-percentage"]))
    finally:
        await connections.aclose()


async def _no_rewrite(client: Redis) -> None:
    async with asyncio.timeout(REWRITE_S):
        while True:
            told = await client.info("persistence")
            if not told["aof_rewrite_in_progress"] and not told["aof_rewrite_scheduled"]:
                return
            await asyncio.sleep(POLL_S)


def _archive(data_dir: Path, path: Path) -> None:
    part = path.with_name(f"{path.name}.part")
    try:
        # Made with its mode: message texts are in it.
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as raw:
            with tarfile.open(fileobj=raw, mode="w:gz") as archive:
                archive.add(data_dir / APPEND_ONLY, APPEND_ONLY)
            raw.flush()
            os.fsync(raw.fileno())
        # Never over an older one.
        os.link(part, path)
    except OSError as error:
        raise SettingsError(f"{path}: cannot be written ({error.strerror or error})") from error
    finally:
        part.unlink(missing_ok=True)
