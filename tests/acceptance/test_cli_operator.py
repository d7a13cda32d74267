"""
The commands of the person on call, beside a running gateway.
"""

from __future__ import annotations

import csv
import json
import re
import signal
from pathlib import Path

import pytest

from common.queue.connection import Connections
from common.queue.keys import AccountKeys
from sandbox import AvitoFault, Options, Sandbox
from tests.harness import eventually
from tests.program import DEADLINE_S, ROOT, Start, real, start

__all__ = ["start"]


@pytest.fixture
def sandbox_options() -> Options:
    """
    Enough chats that some can be told apart.
    """
    return Options(chats=4)


async def test_a_file_is_sent_and_what_failed_is_reported(
    start: Start, sandbox: Sandbox, redis_url: str, tmp_path: Path
) -> None:
    """
    Every line goes out once, in the order of its chat; a line that failed is in the report with its reason; the same
    file again sends nothing.
    """
    settings = real(sandbox, redis_url) | {"RATE_LIMIT_REQUESTS": "1000"}
    await (await start("run", "dispatcher", **settings)).prints("redis.ready")
    chats = [chat.id for chat in sandbox.avito.chats]
    rows = [(chat_id, f"{number} for {chat_id}") for number in range(10) for chat_id in chats]
    file = tmp_path / "spring.csv"
    with file.open("w", encoding="utf-8", newline="") as out:
        csv.writer(out).writerows([("chat_id", "text"), *rows, ("u2i-nobody", "lost")])

    sent = await start("bulk", "spring.csv", "--json", **settings)
    assert await sent.ends() == 1, sent.err
    again = await start("bulk", "spring.csv", "--json", **settings)
    assert await again.ends() == 1, again.err

    counts = {"total": 41, "stored": 41, "sent": 40, "failed": 1}
    assert [counts, counts] == [json.loads(sent.out), json.loads(again.out)]
    for chat_id in chats:
        texts = [message.content["text"] for message in sandbox.avito.sent(chat_id)]
        assert [text for chat, text in rows if chat == chat_id] == texts
    with (tmp_path / "spring.report.csv").open(encoding="utf-8", newline="") as report:
        (failed,) = csv.DictReader(report)
    assert ("u2i-nobody", "42", "failed") == (failed["chat_id"], failed["line"], failed["status"])
    assert failed["detail"]


async def test_ctrl_c_leaves_a_file_that_goes_on(
    start: Start, sandbox: Sandbox, redis_url: str, tmp_path: Path, connections: Connections
) -> None:
    """
    Stopped while it waits, `bulk` says so; given again, it waits for the same messages, and each is sent once.
    """
    settings = real(sandbox, redis_url)
    chat = next(iter(sandbox.avito.chats))
    (tmp_path / "a.jsonl").write_text(json.dumps({"chat_id": chat.id, "text": "once"}) + "\n", encoding="utf-8")
    first = await start("bulk", "a.jsonl", **settings)
    await first.prints("no dispatcher is alive now")
    keys = AccountKeys(settings["KEY_PREFIX"], settings["AVITO_USER_ID"])

    async def stored() -> bool:
        return bool(await connections.commands.xlen(keys.bulk.stream))

    await eventually(stored, DEADLINE_S)
    first.process.send_signal(signal.SIGINT)
    assert await first.ends() == 1
    await start("run", "dispatcher", **settings)
    second = await start("bulk", "a.jsonl", **settings)

    assert await second.ends() == 0, second.err
    assert "1 of 1 are stored and go out all the same" in " ".join(first.err.split())
    assert ["once"] == [message.content["text"] for message in sandbox.avito.sent()]


async def test_a_wrong_file_stores_nothing(start: Start, sandbox: Sandbox, redis_url: str, tmp_path: Path) -> None:
    """
    One bad line among good ones: exit code 2, its line and column named.
    """
    (tmp_path / "a.csv").write_text("chat_id,text\nc1,good\nc1,\n", encoding="utf-8")
    program = await start("bulk", "a.csv", **real(sandbox, redis_url))

    assert await program.ends() == 2
    assert "a.csv: nothing is sent.\n  line 3, text: Field required\n" in program.err


async def test_tail_follows_both_directions(start: Start, sandbox: Sandbox, redis_url: str) -> None:
    """
    A customer's message and a send appear with each step: acceptance, attempts, end.
    """
    settings = real(sandbox, redis_url)
    ingress = await start("run", "ingress", "dispatcher", "forwarder", **settings)
    await ingress.prints("webhook for Avito")
    address = next(line.split()[-1] for line in ingress.out.splitlines() if "webhook for Avito" in line)
    sandbox.avito.webhooks.subscribe(sandbox.avito.default_user_id, address)
    chat, other, *_ = sandbox.avito.chats
    tail = await start("tail", "--chat", chat.id, **settings)
    await tail.prints("Following account")

    sandbox.avito.receive(other.id, "not asked for")
    sandbox.avito.receive(chat.id, "from a customer")
    await tail.prints("delivered")
    sandbox.faults.add(AvitoFault(kind="status", status=503, path="*/messages", method="POST", count=1))
    await (await start("send", chat.id, "an answer", **settings)).ends()
    await tail.prints("  sent")
    tail.process.send_signal(signal.SIGINT)

    assert await tail.ends() == 0
    rows = [line.split(maxsplit=4) for line in tail.out.splitlines()]
    incoming = [(row[3], *row[4:]) for row in rows if row[1] == "in"]
    outgoing = [row[3] for row in rows if row[1] == "out"]
    assert {chat.id} == {row[2] for row in rows}
    assert ("accepted", "message «from a customer»") == incoming[0]
    assert "delivered" == incoming[-1][0]
    assert ("accepted", "attempt", "sent") == (outgoing[0], outgoing[1], outgoing[-1])


async def test_a_filtered_set_of_dead_letters_is_put_back(start: Start, sandbox: Sandbox, redis_url: str) -> None:
    """
    `dead redrive --filter` puts back what fits, and no more; `erase` then removes the rest of a chat.
    """
    settings = real(sandbox, redis_url)
    await (await start("run", "dispatcher", **settings)).prints("redis.ready")
    chat, other, *_ = sandbox.avito.chats
    refused = sandbox.faults.add(AvitoFault(kind="status", status=400, path="*/messages", method="POST"))
    for chat_id in (chat.id, other.id):
        assert await (await start("send", chat_id, "hello", "--wait", **settings)).ends() == 1
    sandbox.faults.remove(refused)

    redriven = await start("dead", "redrive", "--filter", f"chat_id={chat.id}", "--rate", "600", "--json", **settings)
    assert await redriven.ends() == 0, redriven.err
    await sandbox.avito.wait_for(lambda avito: len(avito.sent()) == 1, DEADLINE_S)
    erased = await start("erase", other.id, "--yes", "--json", **settings)
    assert await erased.ends() == 0, erased.err

    assert 1 == json.loads(redriven.out)["count"]
    assert [chat.id] == [message.chat_id for message in sandbox.avito.sent()]
    assert (1, 1) == (json.loads(erased.out)["records"], json.loads(erased.out)["dead_letters"])


async def test_subscribe_tells_avito(start: Start, sandbox: Sandbox, redis_url: str) -> None:
    """
    The address is registered with the secret at its end, and the secret is not shown.
    """
    settings = real(sandbox, redis_url) | {"WEBHOOK_SECRET": "hush"}
    program = await start("subscribe", "https://gw.example.com/webhook/avito", **settings)

    assert await program.ends() == 0, program.err
    assert "hush" not in program.out
    listed = sandbox.avito.webhooks.subscriptions(sandbox.avito.default_user_id)
    assert ["https://gw.example.com/webhook/avito/hush"] == listed


@pytest.mark.timeout(180)
async def test_the_demo_tells_its_story_to_the_end(start: Start) -> None:
    """
    A 429, a lost answer, n8n down and a killed worker: every message arrives once and in order.
    """
    program = await start("demo")
    await program.prints("Took", timeout_s=150)

    assert await program.ends() == 0, program.out
    assert "50 messages, 50 answers: 0 lost, 0 shown twice, 0 chats out of order" in program.out
    told = [re.sub(r"\d+", "N", line.strip()) for line in program.out.splitlines()]
    for name in ("README.md", "README.ru.md"):
        shown = (ROOT / name).read_text(encoding="utf-8").split("<!-- output of make demo -->\n```text\n")[1]
        for line in shown.split("```")[0].splitlines():
            # Numbers differ, and how many a worker has in hand.
            assert re.sub(r"\d+", "N", line.strip()) in told


async def test_a_direction_is_paused_and_resumed(start: Start, sandbox: Sandbox, redis_url: str) -> None:
    """
    After `pause commands` a message is accepted and not sent, and who asks is told why; after `resume` it goes out.
    """
    settings = real(sandbox, redis_url)
    await (await start("run", "dispatcher", **settings)).prints("redis.ready")
    chat = next(iter(sandbox.avito.chats))
    paused = await start("pause", "commands", "--reason", "prices are wrong", **settings)
    assert await paused.ends() == 0, paused.err
    queued = await start("send", chat.id, "Hello", **settings)
    assert await queued.ends() == 0, queued.err
    command_id = queued.out.strip()

    told = await start("status", command_id, **settings)
    assert await told.ends() == 0, told.err
    doctor = await start("doctor", **settings)
    await doctor.ends()
    sent_before = sandbox.avito.sent()
    resumed = await start("resume", **settings)
    assert await resumed.ends() == 0, resumed.err
    await sandbox.avito.wait_for(lambda avito: len(avito.sent()) == 1)

    assert "Account 100000001: sending to Avito is paused." in paused.out
    assert re.search(r"sending to Avito is paused since \S+ by \S+: prices are wrong", told.out)
    assert "prices are wrong" in doctor.out
    assert [] == sent_before
    assert "sending to Avito goes on." in resumed.out
    assert "delivering to n8n was not paused." in resumed.out
