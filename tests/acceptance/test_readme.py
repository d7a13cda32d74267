"""
The documents say what is so: their commands, settings, addresses, samples and links.
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

from common.avito.client import Avito
from common.queue import scripts
from common.queue.connection import Connections, connect
from common.settings import Settings, load
from forwarder import webhook
from forwarder.chat import Ad, Chat
from forwarder.normalise import Surroundings, encode, normalise
from gateway.cli import cli
from gateway.embedded import SOCKET_NAME, EmbeddedServer
from ingress.app import create_app
from tests.harness import Queue, Recorder

ROOT = Path(__file__).resolve().parents[2]
READMES = ["README.md", "README.ru.md"]
DOCUMENTS = [
    *sorted(path.relative_to(ROOT) for path in ROOT.glob("*.md")),
    *sorted(
        path.relative_to(ROOT)
        for folder in ("docs", "deploy", "n8n/workflows")
        for path in (ROOT / folder).rglob("*.md")
    ),
]
NOT_SET = ("not set", "не задано")
DEADLINE_S = 60.0

each_readme = pytest.mark.parametrize("name", READMES)


def text_of(name: str | Path) -> str:
    """
    Return a document's text.
    """
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    """
    Return the code blocks of one language, without what indents them.
    """
    found = re.findall(rf"^( *)```{language}\n(.*?)^\1```$", text, re.MULTILINE | re.DOTALL)
    return ["\n".join(line.removeprefix(indent) for line in body.splitlines()) for indent, body in found]


def block_after(text: str, mark: str) -> str:
    """
    Return the code block that follows a comment.
    """
    found = re.search(rf"^<!-- {re.escape(mark)} -->\n```\w+\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert found, f"no block after <!-- {mark} -->"
    return found[1]


def commands(text: str) -> list[list[str]]:
    """
    Return the commands of the `sh` blocks, each as words; lines that go on are joined.
    """
    lines = [line for block in blocks(text, "sh") for line in block.replace("\\\n", " ").splitlines()]
    return [shlex.split(line) for line in lines if line.strip()]


def settings_table(text: str) -> dict[str, str]:
    """
    Return setting -> default as the table says.
    """
    table = text.partition("<!-- settings -->\n")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| `([A-Z0-9_]+)` \| (.+?) \| (.+?) \|$", table, re.MULTILINE)
    return {name: default.strip("`") for name, default, _ in rows}


@each_readme
def test_settings_table_is_what_the_program_reads(name: str) -> None:
    """
    The table names every setting in the program's order and no other, each with its default.
    """
    table = settings_table(text_of(name))
    plain = load(None)
    given = {setting.lower(): default for setting, default in table.items() if default not in NOT_SET}

    assert [field.upper() for field in Settings.model_fields] == list(table)
    assert plain == load(None, **given)
    assert {field for field in Settings.model_fields if getattr(plain, field) not in (None, ())} == set(given)


def test_both_readmes_have_the_same_settings() -> None:
    """
    English and Russian name the same settings with the same defaults.
    """
    english, russian = (settings_table(text_of(name)) for name in READMES)

    assert {setting: default.replace(*NOT_SET) for setting, default in english.items()} == russian


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
    assert [["make", "run"], ["make", "test"]] == commands(text_of(name))[:2]


@each_readme
def test_addresses_exist(name: str) -> None:
    """
    Every address of the gateway that a README names with its method is in the OpenAPI document, and each that it calls.
    """
    settings = load(None, avito_client_id="1", avito_client_secret="1", avito_user_id="1")
    connections = connect("redis://127.0.0.1:1")
    app = create_app(settings, connections, Avito(settings, connections))
    known = {
        f"{method.upper()} {path}"
        for path, item in app.openapi_schema.to_schema()["paths"].items()
        for method in item
        if method in ("get", "post", "delete")
    }
    text = text_of(name)
    named = set(re.findall(r"`(GET|POST|DELETE) (/[a-z/{}_]+)", text))
    called = {
        (words[words.index("-X") + 1], re.sub(r"^https?://[^/]+", "", word))
        for words in commands(text)
        if words[0] == "curl"
        for word in words[1:]
        if word.startswith("http://127.0.0.1:8765")
    }

    assert {("GET", "/health"), ("GET", "/info"), ("GET", "/metrics")} <= named
    assert {("POST", "/api/webhook/subscribe")} == called
    assert "POST /api/messages/send" in known
    assert set() == {f"{method} {path}" for method, path in named | called} - known


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


@each_readme
def test_commands_of_the_program_exist(name: str) -> None:
    """
    Every `avito-gateway` command line parses: command, options and arguments are known.
    """
    lines = [words[1:] for words in commands(text_of(name)) if words[0].endswith("avito-gateway")]

    assert {"init", "doctor", "dead", "run"} <= {line[0] for line in lines}
    for line in lines:
        command, rest = cli.commands[line[0]], line[1:]
        while isinstance(command, click.Group):
            command, rest = command.commands[rest[0]], rest[1:]
        # Raises UsageError for what is unknown; nothing is run.
        command.make_context(" ".join(line), rest)


@each_readme
async def test_redis_commands_work(name: str, connections: Connections, settings: Settings) -> None:
    """
    Every redis-cli line is taken by a real server, and the command that is added by hand reaches the dispatcher.
    """
    lines = [words[1:] for words in commands(text_of(name)) if words[0] == "redis-cli"]
    queue, handler = Queue(connections, settings), Recorder()
    await scripts.ENSURE(connections.commands, queue.keys.events.indexes, ["forwarder"])
    async with queue.running(handler):
        await queue.send("first")
        await handler.count(1)
        for words in lines:
            here = [re.sub(r"^avito:", f"{settings.key_prefix}:", word) for word in words]
            # By a script, so that no client reads meaning into words or replies.
            await connections.commands.eval("return redis.call(unpack(ARGV))", 0, *here)
        await handler.count(2)
    await queue.intake.stop()

    by_hand = handler.seen[1]
    assert ("text", "u2i-3X4Tvy8o_WgcZdGT039zcA") == (by_hand.kind, by_hand.chat_id)
    assert {"text": "By hand"} == json.loads(by_hand.fields["body"])


@each_readme
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
