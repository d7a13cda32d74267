"""
A copy of the embedded server's data, made while everything runs, holds whatever was accepted before it.
"""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from sandbox import Options, Sandbox
from tests.chaos.load import Load
from tests.chaos.measure import compare
from tests.fleet import free_port
from tests.harness import eventually
from tests.program import Program, Start, real, start, started

__all__ = ["start"]


@pytest.fixture(name="sandbox_options")
def _sandbox_options() -> Options:
    return Options(chats=4)


def settings_on(sandbox: Sandbox, data_dir: Path, port: int) -> dict[str, str]:
    """
    Return settings with the embedded server in `data_dir`.
    """
    settings = real(sandbox, "") | {
        "KEY_PREFIX": "avito",
        "DATA_DIR": str(data_dir),
        "SERVER_PORT": str(port),
        "RATE_LIMIT_REQUESTS": "1000",
        "RATE_LIMIT_WINDOW": "1",
        "ENRICH_WAIT": "0",
        "RECONCILE_INTERVAL": "0",
    }
    return {name: value for name, value in settings.items() if name != "REDIS_URL"}


@asynccontextmanager
async def gateway(folder: Path, *roles: str, **settings: str) -> AsyncIterator[Program]:
    """
    Run the program until the block ends.
    """
    async with started(folder, "run", *roles, **settings) as program:
        await program.prints("Application startup complete")
        yield program
        program.process.terminate()
        assert 0 == await program.ends(), program.err


def shown(sandbox: Sandbox) -> dict[str, list[str]]:
    """
    Return the texts that each chat shows.
    """
    texts: dict[str, list[str]] = {}
    for message in sandbox.avito.sent():
        texts.setdefault(message.chat_id, []).append(message.content["text"])
    return texts


def delivered(sandbox: Sandbox) -> dict[str, list[str]]:
    """
    Return the texts that n8n got of each chat.
    """
    texts: dict[str, list[str]] = {}
    for call in sandbox.n8n.received:
        texts.setdefault(call.json["external_chat_id"], []).append(call.json["text"])
    return texts


def accepted(load: Load) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """
    Return what is accepted now, from n8n and from customers.
    """
    incoming: dict[str, list[str]] = {}
    for chat_id, text in sorted(load.taken_over().values(), key=lambda one: int(one[1].split()[-1])):
        incoming.setdefault(chat_id, []).append(text)
    return {chat_id: list(texts) for chat_id, texts in load.accepted.items()}, incoming


async def test_a_backup_under_load_holds_what_was_accepted(sandbox: Sandbox, tmp_path: Path, start: Start) -> None:
    """
    Backed up under load, lost, restored elsewhere: everything accepted before the backup arrives, once and in order.
    """
    first, second = (tmp_path / name for name in ("first", "second"))
    settings = settings_on(sandbox, first, free_port())
    archive = tmp_path / "backup.tar.gz"
    # No workers: what is accepted lies in the queue.
    async with gateway(tmp_path, "ingress", **settings):
        load = Load(f"http://127.0.0.1:{settings['SERVER_PORT']}", sandbox, pace_s=0.02)
        load.start()
        try:
            await eventually(lambda: min(sum(map(len, one.values())) for one in accepted(load)) > 50)
            outgoing, incoming = accepted(load)
            backup = await start("backup", str(archive), **settings)
            assert 0 == await backup.ends(), backup.err
        finally:
            await load.abort()
    second.mkdir(mode=0o700)
    unpack = ("tar", "-C", str(second), "-xzf", str(archive))
    await asyncio.to_thread(subprocess.run, unpack, check=True, timeout=60)

    async with gateway(tmp_path, "ingress", "dispatcher", "forwarder", **settings | {"DATA_DIR": str(second)}):
        await eventually(
            lambda: compare(outgoing, shown(sandbox)).lost + compare(incoming, delivered(sandbox)).lost == 0
        )
    out, back = compare(outgoing, shown(sandbox)), compare(incoming, delivered(sandbox))

    assert (0, 0, 0, 0) == (out.repeated, out.out_of_order, back.repeated, back.out_of_order)
    assert 0 == archive.stat().st_mode & 0o077


async def test_a_backup_overwrites_nothing(tmp_path: Path, start: Start) -> None:
    """
    Where there is nothing to back up, or a file of that name, the command says so and leaves all as it is.
    """
    (tmp_path / "there.tar.gz").write_text("older", encoding="utf-8")
    (tmp_path / "data" / "appendonlydir").mkdir(parents=True)
    there = await start("backup", "there.tar.gz", AVITO_CLIENT_ID="1", AVITO_CLIENT_SECRET="1", AVITO_USER_ID="1")
    nothing = await start("backup", "new.tar.gz", DATA_DIR="elsewhere")
    outside = await start("backup", "new.tar.gz", REDIS_URL="redis://127.0.0.1:1")

    assert [2, 2, 2] == [await one.ends() for one in (there, nothing, outside)]
    assert "there.tar.gz: cannot be written (File exists)" in there.err
    assert "there is nothing to back up" in nothing.err
    assert "REDIS_URL is set" in outside.err
    assert "older" == (tmp_path / "there.tar.gz").read_text(encoding="utf-8")
