"""
A page carried out: its commands in a copy of the repository, against the program, with stand-ins for Avito and n8n.

    <!-- scene: gateway NAME=value -->   the default: an `.env` with keys and these settings, and the gateway running
    <!-- scene: none -->                 a fresh checkout, no `.env`; Avito is there all the same
    <!-- scene: bare -->                 as `none`, and no Avito either: the page starts its own
    <!-- scene: stopped NAME=value -->   as `gateway`, but not started
    <!-- scene: stopped redis -->        the same, with a Redis of its own on the port that the page calls 8769

Ports and ids that a page names stand for those of the run. `python -m tests.scene PAGE` prints the page with the output
its `console` blocks have now; `--write` puts it into the file.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from gateway.embedded import SOCKET_NAME, EmbeddedServer
from sandbox import Account, Options, Sandbox
from tests.documents import ROOT, Block, Document, Shown
from tests.servers import embedded

USER_ID: Final = 100000001
CHATS: Final = ("u2i-3X4Tvy8o_WgcZdGT039zcA", "u2i-7Qm2LrXw_KpbYhGT551abB")
API_KEY: Final = "key-of-the-reader"
WEBHOOK_SECRET: Final = "secret-of-the-webhook"
COMMAND_S: Final = 60.0
END_S: Final = 40.0
_ID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|\b\d{13}-\d+")
# The ports that pages name: the gateway's, those of the sandbox, and what may stand beside them.
_PORT: Final = re.compile(r"\b8(?:76\d|80\d)\b")
_NOT_COPIED: Final = shutil.ignore_patterns(
    ".git", ".venv*", ".env", "data", "node_modules", ".n8n", "site", ".*_cache", ".hypothesis", "tests"
)


class Differs(AssertionError):
    """
    What a page says is not what happens.
    """


@dataclass
class Scene:
    """
    Where one page is carried out.
    """

    document: Document
    folder: Path
    sandbox: Sandbox
    ports: dict[str, int]
    ids: dict[str, str] = field(default_factory=dict)
    running: list[asyncio.subprocess.Process] = field(default_factory=list)
    readers: dict[int, asyncio.Task[bytes]] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """
        Return what a reader's shell has.
        """
        tools = [str(self.folder / ".reader"), str(Path(sys.executable).parent), os.environ.get("PATH", "")]
        environment = {
            "PATH": os.pathsep.join(tools),
            "PYTHONPATH": str(self.folder),
            "HOME": str(self.folder),
            "LANG": "C.UTF-8",
            "COLUMNS": "160",
            "API_KEY": API_KEY,
            "PYTHONUNBUFFERED": "1",
        }
        if self.document.scene[0] in ("none", "bare"):
            environment |= {"SERVER_HOST": "127.0.0.1", "SERVER_PORT": str(self.ports["8765"])}
        if self.document.scene[0] == "none":
            environment["AVITO_BASE_URL"] = self.sandbox.avito_url
        return environment

    def here(self, text: str) -> str:
        """
        Return a command with the ports and ids of this run.
        """
        for shown, actual in self.ids.items():
            text = text.replace(shown, actual)
        return _PORT.sub(lambda port: str(self.port(port[0])), text)

    def port(self, shown: str) -> int:
        """
        Return the port that stands for one of the page.
        """
        if shown not in self.ports:
            self.ports[shown] = _free_port()
        return self.ports[shown]

    async def play(self, block: Block) -> None:
        """
        Carry out one block.

        Raises:

            Differs: it does not do what the page says.

        """
        if block.language == "Ctrl-C":
            await self.end()
        elif block.not_run is not None:
            pass
        elif block.language == "console":
            for command, shown in block.exchanges:
                await self._exchange(block, command, shown)
        elif block.runs_on is not None:
            await self._begin(block)
        elif block.language == "sh":
            code, printed = await self._bash(block.text)
            if code != block.exit_code:
                raise Differs(f"{self._place(block)}: exit code {code}, not {block.exit_code}:\n{block.text}{printed}")

    async def _exchange(self, block: Block, command: str, shown: str) -> None:
        code, printed = await self._bash(command)
        if code != block.exit_code:
            raise Differs(f"{self._place(block)}: exit code {code}, not {block.exit_code}: $ {command}\n{printed}")
        ids = Shown(shown).ids_in(printed, self.ids)
        if ids is None:
            raise Differs(f"{self._place(block)}: $ {command}\nThe page shows:\n{shown}\nIt printed:\n{printed}")
        self.ids |= ids

    async def _bash(self, text: str) -> tuple[int, str]:
        process = await self._start(text)
        try:
            async with asyncio.timeout(COMMAND_S):
                printed, _ = await process.communicate()
        except TimeoutError:
            _signal(process, signal.SIGKILL)
            raise Differs(f"{self.document.path}: not done within {COMMAND_S:.0f} s:\n{text}") from None
        return process.returncode or 0, printed.decode()

    async def _start(self, text: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *("bash", "-euo", "pipefail", "-c", self.here(text)),
            cwd=self.folder,
            env=self.environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            # A group of its own, so that Ctrl-C reaches what it has started.
            process_group=0,
        )

    async def _begin(self, block: Block) -> None:
        process = await self._start(block.text)
        self.running.append(process)
        assert process.stdout is not None
        assert block.runs_on is not None
        printed = ""
        try:
            async with asyncio.timeout(COMMAND_S):
                while block.runs_on not in printed:
                    line = await process.stdout.readline()
                    if not line:
                        raise Differs(f"{self._place(block)}: it ended:\n{printed}")
                    printed += line.decode()
        except TimeoutError:
            raise Differs(f"{self._place(block)}: {block.runs_on!r} was not printed:\n{printed}") from None
        # Read on: nobody may wait for a full pipe.
        self.readers[process.pid] = asyncio.create_task(process.stdout.read())

    async def end(self) -> None:
        """
        Press Ctrl-C in all terminals where something runs, the last one first.
        """
        while self.running:
            process = self.running.pop()
            _signal(process, signal.SIGINT)
            try:
                await asyncio.wait_for(process.wait(), END_S)
            finally:
                _signal(process, signal.SIGKILL)
                if process.pid in self.readers:
                    await self.readers.pop(process.pid)

    def _place(self, block: Block) -> str:
        return f"{self.document.path}:{block.line}"


@asynccontextmanager
async def scene(document: Document) -> AsyncIterator[Scene]:
    """
    Set the scene that a page asks for.
    """
    what, *more = document.scene
    folder = Path(tempfile.mkdtemp(prefix="docs-"))
    account = Account(user_id=USER_ID, client_id="sandbox", client_secret="sandbox")
    try:
        await asyncio.to_thread(_copy, folder)
        async with AsyncExitStack() as stack:
            sandbox = await stack.enter_async_context(Sandbox.start(Options(accounts=(account,), chats=0)))
            for chat_id in CHATS:
                sandbox.avito.create_chat(chat_id=chat_id)
            ports = {"8765": _free_port()}
            if what != "bare":
                addresses = (sandbox.avito_url, sandbox.n8n_url, sandbox.control_url)
                ports |= {name: _port_of(url) for name, url in zip(("8801", "8802", "8803"), addresses, strict=True)}
            if "redis" in more:
                ports["8769"] = stack.enter_context(embedded()).port
            set_up = Scene(document, folder, sandbox, ports)
            try:
                if what in ("gateway", "stopped"):
                    _write_env(set_up, more)
                    sandbox.avito.webhooks.subscribe(
                        USER_ID, f"http://127.0.0.1:{ports['8765']}/webhook/avito/{WEBHOOK_SECRET}"
                    )
                if what == "gateway":
                    await set_up._begin(
                        Block(language="sh", text="avito-gateway run", line=0, runs_on="webhook for Avito")
                    )
                yield set_up
            finally:
                await set_up.end()
    finally:
        await asyncio.to_thread(_clear, folder)


def _copy(folder: Path) -> None:
    """
    Make a checkout whose virtual environment is that of the tests.
    """
    shutil.copytree(ROOT, folder, ignore=_NOT_COPIED, dirs_exist_ok=True)
    environment, reader = folder / ".venv/bin", folder / ".reader"
    environment.mkdir(parents=True)
    reader.mkdir()
    _script(environment / "python", f'exec {sys.executable} "$@"')
    _script(environment / "avito-gateway", f'exec {sys.executable} -m gateway "$@"')
    _script(reader / "avito-gateway", f'exec {sys.executable} -m gateway "$@"')
    cli = shutil.which("redis-cli") if not os.environ.get("TEST_NO_REDIS_CLI") else None
    # As on a terminal; without an address it is the server of the page's gateway.
    _script(
        reader / "redis-cli",
        'case " $* " in *" -s "*|*" -u "*|*" -h "*) ;; *) set -- -s data/valkey.sock "$@" ;; esac\n'
        + (f'exec {cli} --no-raw "$@"' if cli else f'exec {sys.executable} {ROOT}/tests/redis_cli.py "$@"'),
    )
    for stamp in (".made", ".runtime", ".dev"):
        (folder / ".venv" / stamp).touch()


def _clear(folder: Path) -> None:
    """
    End the embedded servers that killed programs left behind, and remove everything.
    """
    for data in folder.rglob(SOCKET_NAME):
        server = EmbeddedServer(data.parent)
        server.join()
        server.leave()
    shutil.rmtree(folder, ignore_errors=True)


def _script(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/bash\n{text}\n", encoding="utf-8")
    path.chmod(0o755)


def _write_env(scene: Scene, more: list[str]) -> None:
    settings = {
        "AVITO_CLIENT_ID": "sandbox",
        "AVITO_CLIENT_SECRET": "sandbox",
        "AVITO_USER_ID": str(USER_ID),
        "AVITO_BASE_URL": scene.sandbox.avito_url,
        "N8N_WEBHOOK_URL": scene.sandbox.n8n_webhook_url,
        "SERVER_HOST": "127.0.0.1",
        "SERVER_PORT": str(scene.ports["8765"]),
        "API_KEY": API_KEY,
        "WEBHOOK_SECRET": WEBHOOK_SECRET,
        "LOG_FORMAT": "console",
        **dict(word.split("=", 1) for word in more if "=" in word),
    }
    path = scene.folder / ".env"
    path.write_text("".join(f"{name}={value}\n" for name, value in settings.items()), encoding="utf-8")
    path.chmod(0o600)


def _signal(process: asyncio.subprocess.Process, number: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _port_of(url: str) -> int:
    port = urlsplit(url).port
    assert port is not None
    return port


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def record(document: Document) -> str:
    """
    Return the page's text with what its `console` blocks print now. Nothing is compared. Ids are those of this run;
    LAST_ID in a command of a page that was never recorded is the id that was printed last.
    """
    text, last_id = document.text, ""
    async with scene(document) as here:
        for block in document.blocks():
            if block.language != "console" or block.not_run:
                known = block.text.replace("LAST_ID", last_id)
                text = text.replace(block.text.rstrip(), known.rstrip())
                await here.play(replace(block, text=known))
                continue
            outputs = []
            for typed, shown in block.exchanges:
                command = typed.replace("LAST_ID", last_id)
                _, printed = await here._bash(command)
                last_id = (_ID.findall(printed) or [last_id])[-1]
                here.ids |= Shown(shown).ids_in(printed) or dict(
                    zip(_ID.findall(shown), _ID.findall(printed), strict=False)
                )
                outputs.append(f"$ {command}\n{printed.rstrip()}\n" if printed.strip() else f"$ {command}\n")
            text = text.replace(f"```console\n{block.text}```", f"```console\n{''.join(outputs)}```")
        for shown, actual in here.ids.items():
            text = text.replace(shown, actual)
        text = text.replace(str(here.folder), "...")
        for shown, port in here.ports.items():
            text = text.replace(f"127.0.0.1:{port}", f"127.0.0.1:{shown}")
    return text


if __name__ == "__main__":
    for name in (argument for argument in sys.argv[1:] if argument != "--write"):
        made = asyncio.run(record(Document(Path(name))))
        if "--write" in sys.argv:
            (ROOT / name).write_text(made, encoding="utf-8")
        else:
            sys.stdout.write(made)
