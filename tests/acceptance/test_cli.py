"""
The program as its users start it: a process of its own.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
from pathlib import Path

import httpx
import pytest

from common.queue.connection import Connections
from common.queue.keys import AccountKeys
from common.queue.replies import read_rows
from gateway.embedded import EmbeddedServer
from sandbox import AvitoFault, Sandbox
from tests.harness import eventually
from tests.program import DEADLINE_S, Start, real, start

__all__ = ["start"]

CURL = re.compile(r"^  curl -X POST -H 'Content-Type: application/json' (\S+) -d '(.*)'$", re.MULTILINE)


async def test_newcomer_sees_a_message_go_round(start: Start, tmp_path: Path) -> None:
    """
    Without any setting `run` shows a message on its way to n8n and the answer on its way back, and SIGTERM ends it.
    """
    program = await start("run")
    await program.prints("Ctrl-C stops.")

    steps = re.findall(r"^  \d\. (.*?)(?: as command \S+)?  \(\+\d+ ms\)$", program.out, re.MULTILINE)
    assert steps[1:] == [
        "Avito -> gateway: the webhook is stored and answered",
        "gateway -> n8n: the event is delivered",
        "n8n -> gateway: the workflow's answer is queued",
        "gateway -> Avito: the answer is in the chat",
    ]
    assert "AVITO_CLIENT_ID is not set: this is the sandbox" in program.out
    assert "API_KEY" in program.err
    assert "WEBHOOK_SECRET" in program.err
    assert (tmp_path / "data" / "sandbox" / "valkey.sock").exists()

    program.process.send_signal(signal.SIGTERM)
    assert await program.ends() == 0
    # The embedded server went last, and is gone.
    assert not (tmp_path / "data" / "sandbox" / "valkey.sock").exists()


async def test_lines_to_try_work(start: Start) -> None:
    """
    The addresses answer, and the printed command lines do what they say.
    """
    program = await start("run")
    await program.prints("Ctrl-C stops.")

    async with httpx.AsyncClient(trust_env=False) as client:
        for name in ("API and documentation", "health", "queues and limit", "sandbox control"):
            found = re.search(rf"^  {name} +(\S+)$", program.out, re.MULTILINE)
            assert found is not None
            assert (await client.get(found[1], follow_redirects=True)).status_code == 200
        answers = [
            await client.post(url, content=body, headers={"Content-Type": "application/json"})
            for url, body in CURL.findall(program.out)
        ]

    assert [201, 202] == [answer.status_code for answer in answers]


async def test_ctrl_c_is_a_clean_stop(start: Start) -> None:
    """
    Ctrl-C reaches the whole process group; the store is there until the workers are done.
    """
    program = await start("run")
    await program.prints("Ctrl-C stops.")

    os.killpg(program.process.pid, signal.SIGINT)

    assert await program.ends() == 0
    assert "redis.away" not in program.err
    assert "Traceback" not in program.err


async def test_second_ctrl_c_does_not_wait(start: Start, sandbox: Sandbox, redis_url: str) -> None:
    """
    While Avito keeps a send waiting, the first Ctrl-C waits for it and the second ends the program at once.
    """
    sandbox.faults.add(AvitoFault(kind="hang", path="*/messages"))
    settings = real(sandbox, redis_url)
    program = await start("run", "dispatcher", **settings)
    await program.prints("redis.ready")
    chat = next(iter(sandbox.avito.chats))
    sent = await start("send", chat.id, "stuck", **settings)
    assert await sent.ends() == 0, sent.err
    # The journal tells of ends alone, and this request has none.
    await eventually(lambda: any("hang" in record.fault for record in sandbox.journal.records), DEADLINE_S)

    program.process.send_signal(signal.SIGINT)
    await program.prints("Ctrl-C once more")
    program.process.send_signal(signal.SIGINT)

    assert await program.ends() == 1
    assert program.err.splitlines()[-1].startswith("avito-gateway: Stopped at once.")


async def test_commands_work_beside_the_running_program(start: Start) -> None:
    """
    `send --wait` goes through the running embedded server, and `status` knows the result.
    """
    program = await start("run")
    await program.prints("Ctrl-C stops.")
    ((_, body), *_) = CURL.findall(program.out)
    chat_id = json.loads(body)["chat_id"]

    sent = await start("send", chat_id, "from the terminal", "--wait")
    assert await sent.ends() == 0, sent.err
    command_id, told = sent.out.split()
    assert told == "sent"

    status = await start("status", command_id, "--json")
    assert await status.ends() == 0
    record = json.loads(status.out)
    assert (command_id, "sent") == (record["id"], record["status"])
    assert "from the terminal" not in program.err

    assert await (await start("status", "nobody")).ends() == 1


async def test_failed_send_is_1_and_its_dead_letter_can_be_handled(start: Start) -> None:
    """
    A chat that does not exist: the send fails with the reason, and `dead` lists, shows, redrives and drops it.
    """
    program = await start("run")
    await program.prints("Ctrl-C stops.")

    sent = await start("send", "u2i-nobody", "hello", "--wait")
    assert await sent.ends() == 1
    assert sent.err.startswith("failed: ")

    listed = await start("dead", "list", "--json")
    assert await listed.ends() == 0
    (letter,) = map(json.loads, listed.out.splitlines())
    assert ("commands", "u2i-nobody") == (letter["side"], letter["chat_id"])

    shown = await start("dead", "show", letter["id"])
    assert await shown.ends() == 0
    assert json.loads(json.loads(shown.out)["body"]) == {"text": "hello"}

    redriven = await start("dead", "redrive", letter["id"])
    assert (await redriven.ends(), redriven.out) == (0, "1 put back into the queue.\n")
    # It fails again, and is a dead letter again.
    again = await start("status", sent.out.split()[0])
    assert await again.ends() == 0

    missing = await start("dead", "drop", letter["id"])
    assert (await missing.ends(), missing.err) == (1, f"There is no dead letter {letter['id']}.\n")


async def test_orphaned_server_is_used_on(start: Start, tmp_path: Path) -> None:
    """
    After kill -9 of the program, commands and the next start use the server it left.
    """
    program = await start("run")
    await program.prints("Ctrl-C stops.")
    program.process.kill()
    await program.ends()
    assert (tmp_path / "data" / "sandbox" / "valkey.sock").exists()

    following = await start("run")
    await following.prints("the answer is in the chat")
    await following.prints("Ctrl-C stops.")
    following.process.send_signal(signal.SIGTERM)

    assert await following.ends() == 0
    assert not (tmp_path / "data" / "sandbox" / "valkey.sock").exists()


async def test_redis_that_comes_late_is_waited_for(start: Start, sandbox: Sandbox, tmp_path: Path) -> None:
    """
    Redis away at the start is said and waited out; once it is there the program works.
    """
    data_dir = tmp_path / "late"
    data_dir.mkdir()
    url = f"unix://{data_dir}/valkey.sock"
    program = await start("run", **real(sandbox, url))
    await program.prints("redis.away")

    server = EmbeddedServer(data_dir)
    await asyncio.to_thread(server.join)
    try:
        await program.prints("redis.ready")
        program.process.send_signal(signal.SIGTERM)
        assert await program.ends() == 0
    finally:
        await asyncio.to_thread(server.leave)


async def test_roles_run_apart(start: Start, sandbox: Sandbox, redis_url: str) -> None:
    """
    Each role in a process of its own does its part: a message comes in by one and goes out by another.
    """
    settings = real(sandbox, redis_url)
    ingress = await start("run", "ingress", **settings)
    dispatcher = await start("run", "dispatcher", **settings)
    forwarder = await start("run", "forwarder", **settings)
    await ingress.prints("webhook for Avito")
    found = re.search(r"http\S+/webhook/avito", ingress.out)
    assert found is not None
    sandbox.avito.webhooks.subscribe(sandbox.avito.default_user_id, found[0])
    chat = next(iter(sandbox.avito.chats))

    message = sandbox.avito.receive(chat.id, "in")
    await sandbox.n8n.wait_for(lambda calls: any(call.headers["webhook-id"] == message.id for call in calls), 20)
    sent = await start("send", chat.id, "out", "--wait", **settings)

    assert await sent.ends() == 0, sent.err
    assert [one.content for one in sandbox.avito.sent(chat.id)] == [{"text": "out"}]
    for program in (ingress, dispatcher, forwarder):
        program.process.send_signal(signal.SIGTERM)
    assert [0, 0, 0] == [await program.ends() for program in (ingress, dispatcher, forwarder)]


async def test_several_ingress_workers_share_a_port(start: Start, sandbox: Sandbox, redis_url: str) -> None:
    """
    `run ingress --workers 2` serves by processes of its own, and ends with them.
    """
    settings = real(sandbox, redis_url)
    program = await start("run", "ingress", "--workers", "2", **settings)
    await program.prints("ingress.started")
    found = re.search(r"address=(http\S+)", program.err)
    assert found is not None

    async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
        # The socket is there before the workers are; the request waits for them.
        assert (await client.get(f"{found[1]}/health/live")).status_code == 200

    program.process.send_signal(signal.SIGTERM)
    assert await program.ends() == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RATE_LIMIT_REQUESTS", "many"),
        ("REDIS_URL", "http://cache"),
        ("AVITO_USER_ID", "7"),
        ("SERVER_HOST", "192.0.2.1"),
        ("ACCOUNTS_FILE", "missing.toml"),
        ("REDIS_URL", "redis+cluster://cache:7000/1"),
    ],
)
async def test_wrong_setting_is_one_line_and_2(start: Start, name: str, value: str) -> None:
    """
    A setting that cannot be used stops the start with exit code 2 and one line that names it.
    """
    program = await start("run", **{name: value})

    assert await program.ends() == 2
    lines = [line for line in program.err.splitlines() if "setting.missing" not in line]
    assert (1, True, "") == (len(lines), name in lines[0], program.out)


async def test_taken_port_is_named(start: Start, sandbox: Sandbox, redis_url: str) -> None:
    """
    A port that another program has is said in one line, before anything else is started.
    """
    port = sandbox.n8n_url.rpartition(":")[2]
    program = await start("run", **(real(sandbox, redis_url) | {"SERVER_PORT": port}))

    assert await program.ends() == 2
    assert f"SERVER_PORT={port}: cannot listen there" in program.err


async def test_doctor_finds_all_well(start: Start, sandbox: Sandbox, redis_url: str) -> None:
    """
    With everything in place each line is OK or an honest WARN, and the exit code is 0.
    """
    sandbox.avito.webhooks.subscribe(sandbox.avito.default_user_id, "https://gw.example.com/webhook/avito/hush")
    settings = real(sandbox, redis_url) | {"API_KEY": "k", "WEBHOOK_SECRET": "hush"}
    doctor = await start("doctor", **settings)

    assert await doctor.ends() == 0, doctor.out
    user_id = settings["AVITO_USER_ID"]
    found = {line[6:24].strip(): line[:5].strip() for line in doctor.out.splitlines() if line[:1] != " "}
    assert {
        "settings": "OK",
        "API_KEY": "OK",
        "WEBHOOK_SECRET": "OK",
        "N8N_WEBHOOK_SECRET": "WARN",
        "redis": "OK",
        "redis version": "OK",
        "redis role": "OK",
        "persistence": "OK",
        "eviction": "OK",
        "memory": "OK",
        "redis clock": "OK",
        "clock": "OK",
        "webhook": "OK",
        f"n8n {user_id}": "OK",
    }.items() <= found.items()
    assert f"OK    avito {user_id}" in doctor.out
    assert f"OK    account {user_id}" in doctor.out
    assert "hush" not in doctor.out


async def test_doctor_finds_what_is_wrong(start: Start, sandbox: Sandbox, redis_url: str) -> None:
    """
    Wrong credentials and an n8n that is down are a FAIL each, with advice, and exit code 1.
    """
    await sandbox.n8n_down()
    doctor = await start("doctor", **(real(sandbox, redis_url) | {"AVITO_CLIENT_SECRET": "wrong"}))

    assert await doctor.ends() == 1
    failed = re.findall(r"^FAIL +(\w+) .*\n +-> \S", doctor.out, re.MULTILINE)
    assert failed == ["avito", "n8n"]


async def test_doctor_without_redis(start: Start, sandbox: Sandbox) -> None:
    """
    Redis away is a FAIL that names the server, and what depends on it is said to be unchecked.
    """
    doctor = await start("doctor", **real(sandbox, "redis://user:word@127.0.0.1:1/0"))

    assert await doctor.ends() == 1
    assert re.search(r"^FAIL +redis +redis://127\.0\.0\.1:1/0: ", doctor.out, re.MULTILINE)
    assert "WARN  avito" in doctor.out
    assert "word" not in doctor.out + doctor.err


async def test_doctor_takes_wrong_settings_as_a_finding(start: Start) -> None:
    """
    The doctor does not die of what it is there to find.
    """
    doctor = await start("doctor", RATE_LIMIT_WINDOW="0")

    assert await doctor.ends() == 1
    assert re.search(r"^FAIL +settings +RATE_LIMIT_WINDOW=0", doctor.out, re.MULTILINE)


async def test_init_makes_what_doctor_reads(start: Start, tmp_path: Path) -> None:
    """
    A fresh `.env` is complete but for the account.
    """
    assert await (await start("init")).ends() == 0
    again = await start("init")
    assert (await again.ends(), "--force" in again.err) == (1, True)

    doctor = await start("doctor")
    assert await doctor.ends() == 0, doctor.out
    assert "OK    API_KEY" in doctor.out
    # The doctor's server was there for the doctor alone.
    assert not (tmp_path / "data" / "sandbox" / "valkey.sock").exists()


async def test_sandbox_runs_by_itself(start: Start) -> None:
    """
    `sandbox` prints its addresses as one line of JSON and runs until SIGTERM.
    """
    program = await start("sandbox", "--chats", "1")
    await program.prints("\n")
    addresses = json.loads(program.out)

    assert len(addresses["chats"]) == 1
    program.process.send_signal(signal.SIGTERM)
    assert await program.ends() == 0


async def test_eviction_and_lost_persistence_are_warned_about_by_name(
    start: Start, sandbox: Sandbox, tmp_path: Path
) -> None:
    """
    A Redis that may delete or forget messages is named at the start, once.
    """
    server = EmbeddedServer(tmp_path / "loose")
    await asyncio.to_thread(server.join)
    try:
        from redis.asyncio import Redis

        async with Redis.from_url(server.url) as client:
            await client.config_set("maxmemory-policy", "allkeys-lru")
            await client.config_set("appendonly", "no")
        program = await start("run", "dispatcher", **real(sandbox, server.url))
        await program.prints("redis.ready")
        program.process.send_signal(signal.SIGTERM)
        assert await program.ends() == 0
    finally:
        await asyncio.to_thread(server.leave)

    assert program.err.count("maxmemory-policy is allkeys-lru") == 1
    assert program.err.count("a restart of Redis loses every message") == 1


async def test_command_of_the_terminal_is_an_entry_like_any_other(
    start: Start, sandbox: Sandbox, redis_url: str, connections: Connections
) -> None:
    """
    With no dispatcher alive `send` queues, says so, and the entry waits in the stream.
    """
    settings = real(sandbox, redis_url)
    sent = await start("send", "u2i-1", "later", **settings)

    assert await sent.ends() == 0
    assert "no dispatcher is alive" in sent.err
    keys = AccountKeys(settings["KEY_PREFIX"], settings["AVITO_USER_ID"])
    ((_, fields),) = await read_rows(connections.commands, keys.commands.stream, "-", "+")
    assert (sent.out.strip(), "text") == (fields["id"], fields["kind"])
