"""
The documents say what is so: their settings, addresses, samples and links. Their commands: test_documents.py.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import signal
import sys
from contextlib import suppress
from pathlib import Path
from zoneinfo import ZoneInfo

import click
import pytest

from common.settings import Settings, load
from forwarder import webhook
from forwarder.chat import Ad, Chat
from forwarder.normalise import Surroundings, encode, normalise
from gateway.cli import cli
from gateway.embedded import SOCKET_NAME, EmbeddedServer
from tests.documents import RUN, Document, documents

ROOT = Path(__file__).resolve().parents[2]
READMES = ["README.md", "README.ru.md"]
EVENT_PAGES = ["docs/howto/event.md", "docs/ru/howto/event.md"]
RUSSIAN_SETTINGS = "docs/ru/reference/settings.md"
DOCUMENTS = [page.path for page in documents()]
NOT_SET = "не задано"
DEADLINE_S = 60.0

each_readme = pytest.mark.parametrize("name", READMES)


def text_of(name: str | Path) -> str:
    """
    Return a document's text.
    """
    return (ROOT / name).read_text(encoding="utf-8")


def block_after(text: str, mark: str) -> str:
    """
    Return the code block that follows a comment.
    """
    found = re.search(rf"^<!-- {re.escape(mark)} -->\n```\w+\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert found, f"no block after <!-- {mark} -->"
    return found[1]


def settings_table(text: str) -> dict[str, str]:
    """
    Return setting -> default as the table says.
    """
    table = text.partition("<!-- settings -->\n")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| `([A-Z0-9_]+)` \| (.+?) \| (.+?) \|$", table, re.MULTILINE)
    return {name: default.strip("`") for name, default, _ in rows}


def test_russian_settings_are_what_the_program_reads() -> None:
    """
    The table names every setting in the program's order and no other, each with its default.
    """
    table = settings_table(text_of(RUSSIAN_SETTINGS))
    plain = load(None)
    given = {setting.lower(): default for setting, default in table.items() if default != NOT_SET}

    assert [field.upper() for field in Settings.model_fields] == list(table)
    assert plain == load(None, **given)
    assert {field for field in Settings.model_fields if getattr(plain, field) not in (None, ())} == set(given)


@pytest.mark.parametrize("path", DOCUMENTS, ids=str)
def test_make_targets_exist(path: Path) -> None:
    """
    Every `make` target that a document names is one of the Makefile's.
    """
    targets = set(re.findall(r"^([a-z0-9-]+):", text_of("Makefile"), re.MULTILINE))
    named = set(re.findall(r"(?:^ *|`)make ([a-z][a-z0-9-]*)", text_of(path), re.MULTILINE))

    assert {"run", "test"} <= targets
    assert set() == named - targets


@each_readme
def test_readme_begins_with_the_two_commands(name: str) -> None:
    """
    `make run` and `make test` are the first commands a newcomer reads.
    """
    commands = [
        command for block in Document(Path(name)).blocks() if block.language == "sh" for command in block.commands
    ]

    assert ["make run", "make test"] == commands[:2]


@pytest.mark.parametrize("path", DOCUMENTS, ids=str)
def test_addresses_exist(path: Path) -> None:
    """
    Every address of the gateway that a document names with its method is in the OpenAPI document, with that method.
    """
    known = set(re.findall(r"^\| `([A-Z]+ /\S+)` \|", text_of("docs/reference/rest.md"), re.MULTILINE))
    named = set(re.findall(r"`((?:GET|POST|DELETE) /[a-z/{}_]+)(?=[` ?])", text_of(path)))

    assert "POST /api/messages/send" in known
    assert set() == {re.sub(r"{\w+}", "{}", name) for name in named} - {re.sub(r"{\w+}", "{}", name) for name in known}


@pytest.mark.parametrize("path", DOCUMENTS, ids=str)
def test_links_lead_somewhere(path: Path) -> None:
    """
    Every relative link of a document leads to a file of the repository.
    """
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text_of(path))
    local = [target for target in targets if "://" not in target and not target.startswith("mailto:")]

    assert [] == [target for target in local if not ((ROOT / path).parent / target).exists()]


def test_readme_links_to_all_documents() -> None:
    """
    From the README a reader gets to every other document.
    """
    linked = set(re.findall(r"\]\(([^)#\s]+)\)", text_of("README.md"))) | {"README.md"}

    assert set() == {str(path) for path in DOCUMENTS if path.parts[:2] != ("docs", "ru")} - linked


def test_russian_readme_links_to_all_russian_documents() -> None:
    """
    From the Russian README a reader gets to every other page in Russian.
    """
    linked = set(re.findall(r"\]\(([^)#\s]+)\)", text_of("README.ru.md")))

    assert set() == {str(path) for path in DOCUMENTS if path.parts[:2] == ("docs", "ru")} - linked


@pytest.mark.parametrize("path", DOCUMENTS, ids=str)
def test_commands_of_the_program_exist(path: Path) -> None:
    """
    Every `avito-gateway` command line parses, also of what is not run: command, options and arguments are known.
    """
    blocks = [block for block in Document(path).blocks() if block.language in RUN]
    lines = [
        shlex.split(found[1])
        for block in blocks
        for command in block.commands
        if (found := re.match(r"\s*(?:\.venv/bin/)?avito-gateway ([^|&;$()]*)$", command))
    ]

    for line in lines:
        command, rest = cli.commands[line[0]], line[1:]
        while isinstance(command, click.Group):
            command, rest = command.commands[rest[0]], rest[1:]
        # Raises UsageError for what is unknown; nothing is run.
        command.make_context(" ".join(line), rest)


@pytest.mark.parametrize("name", EVENT_PAGES)
def test_sample_is_what_n8n_receives(name: str) -> None:
    """
    The sample of an event is what the forwarder makes of the message in its `meta.raw`, in the same order.
    """
    sample = json.loads(block_after(text_of(name), "what n8n receives"))
    meta = sample["meta"]
    delivered = {
        "id": meta["webhook_id"],
        "version": "v3.0.0",
        "timestamp": meta["webhook_timestamp"],
        "payload": {"type": "message", "value": meta["raw"]},
    }
    message = webhook.read(json.dumps(delivered))
    assert message is not None
    around = Surroundings(
        user_id=sample["user_id"],
        sequence=meta["sequence"],
        message_id=meta["raw"]["id"],
        chat_id=meta["raw"]["chat_id"],
        received_ms=0,
        zone=ZoneInfo(load(None).timezone),
        chat=Chat(names={sample["external_user_id"]: sample["client_name"]}, ad=Ad(**meta["ad"])),
    )

    assert json.dumps(json.loads(encode(normalise(message, around)))) == json.dumps(sample)


def without_chance(text: str) -> list[str]:
    """
    Return the lines of what `run` prints with placeholders for what differs from run to run.
    """
    for pattern, placeholder in (
        (r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "COMMAND"),
        (r"\+\d+ ms", "TIME"),
        (r"127\.0\.0\.1:\d+", "ADDRESS"),
        (r"u2i-[\w~-]+", "CHAT"),
        (r"1\. .+ writes", "1. NAME writes"),
    ):
        text = re.sub(pattern, placeholder, text)
    return text.splitlines()


async def test_output_of_make_run_is_as_shown(tmp_path: Path) -> None:
    """
    What the READMEs show as the output of `make run` is what the program prints, but for ids, ports and times.
    """
    shown = [block_after(text_of(name), "output of make run") for name in READMES]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "SERVER_HOST": "127.0.0.1", "SERVER_PORT": "0"}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "run"),
        cwd=tmp_path,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdout is not None
    printed = ""
    try:
        async with asyncio.timeout(DEADLINE_S):
            while "Ctrl-C stops." not in printed:
                line = await process.stdout.readline()
                assert line, f"it ended early: {printed}"
                printed += line.decode()
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(DEADLINE_S):
            # Read on: nobody may wait for a full pipe.
            _, ended = await asyncio.gather(process.stdout.read(), process.wait())
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        await asyncio.to_thread(stop_orphan, tmp_path / "data" / "sandbox")

    assert 0 == ended
    assert [without_chance(printed)] * len(READMES) == [without_chance(text) for text in shown]


def stop_orphan(data_dir: Path) -> None:
    """
    End the embedded server that a killed program left behind.
    """
    if (data_dir / SOCKET_NAME).exists():
        server = EmbeddedServer(data_dir)
        server.join()
        server.leave()
