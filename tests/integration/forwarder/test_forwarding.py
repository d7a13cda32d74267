"""
Events on their way from the queue to n8n.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

import pytest
from standardwebhooks import Webhook
from structlog.testing import capture_logs

from common.queue.connection import Connections
from common.queue.intake import NewEvent
from common.queue.records import Records
from forwarder import decide, handler
from sandbox import AvitoFault, N8nFault, Received, Sandbox
from tests.integration.forwarder.stage import CUSTOMER_ID, USER_ID, Configure, Events, Running

PAYLOADS = Path(__file__).parents[2] / "payloads"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def texts(received: list[Received]) -> list[str]:
    """
    Return the texts n8n got, as they came.
    """
    return [call.json["text"] for call in received]


async def test_each_type_of_message_arrives_once(
    sandbox: Sandbox, configure: Configure, running: Running, events: Events
) -> None:
    """
    Every sample that a customer could send arrives, repeated webhooks once, Avito's own not at all.
    """
    samples = json.loads((PAYLOADS / "21_webhook_v3_all_types_synthetic.json").read_text(encoding="utf-8"))
    values = [found["payload"]["value"] | {"user_id": int(USER_ID)} for found in samples]
    for value in values + values:
        await events.webhook(value)
    wanted = [value for value in values if value["type"] != "system"]
    async with running(configure(enrich_wait=0)):
        received = await sandbox.n8n.wait_for(lambda calls: len(calls) >= len(wanted))

    assert wanted == [call.json["meta"]["raw"] for call in received]
    assert [value["id"] for value in wanted] == [call.headers["webhook-id"] for call in received]


async def test_the_event_carries_what_only_the_queue_knows(
    sandbox: Sandbox, configure: Configure, running: Running, events: Events, connections: Connections
) -> None:
    """
    `sequence` is the entry id, the signature verifies, the attempt is counted, and the record says `delivered`.
    """
    chat = sandbox.avito.create_chat(customer_name="Анна", title="Коляска")
    message_id = await events.message(chat.id, "привет")
    [(entry_id, _)] = await events.connections.commands.xrange(events.keys.events.stream) or []
    settings = configure(n8n_webhook_secret=SECRET, n8n_auth_header="X-Token: abc", timezone="Europe/Moscow")
    async with running(settings):
        [call] = await sandbox.n8n.wait_for(lambda calls: len(calls) == 1)
    event = Webhook(SECRET).verify(call.body, call.headers)
    record = await Records(connections, settings).event(USER_ID, message_id)

    assert ("Анна", "Коляска", entry_id) == (
        event["client_name"],
        event["meta"]["ad"]["title"],
        event["meta"]["sequence"],
    )
    assert (message_id, "1", "abc") == tuple(
        call.headers[name] for name in ("webhook-id", "webhook-attempt", "x-token")
    )
    assert record is not None
    assert record.status == "delivered"
    assert not await events.connections.commands.xlen(events.keys.events.stream)


async def test_own_messages_stay_here_unless_wanted(
    sandbox: Sandbox, configure: Configure, running: Running, events: Events, connections: Connections
) -> None:
    """
    An echo is settled as skipped; with FORWARD_OWN it is delivered and says its direction.
    """
    settings = configure()
    echo = await events.message("u2i-a", "echo", author_id=int(USER_ID))
    await events.message("u2i-a", "first")
    async with running(settings):
        await sandbox.n8n.wait_for(lambda calls: len(calls) == 1)
    record = await Records(connections, settings).event(USER_ID, echo)
    await events.message("u2i-a", "own", author_id=int(USER_ID))
    async with running(configure(forward_own=True)):
        received = await sandbox.n8n.wait_for(lambda calls: len(calls) == 2)

    assert texts(received) == ["first", "own"]
    assert [call.json["meta"].get("direction") for call in received] == [None, "out"]
    assert record is not None
    assert (record.status, record.fields["skipped"]) == ("skipped", "out")


@pytest.mark.parametrize(
    "fault",
    [
        N8nFault(kind="not_registered", count=3),
        N8nFault(kind="status", status=503, retry_after_s=1, count=1),
        N8nFault(kind="status", status=429, count=1),
    ],
    ids=["not-registered", "503", "429"],
)
async def test_n8n_away_costs_no_attempt(
    sandbox: Sandbox, configure: Configure, running: Running, events: Events, fault: N8nFault
) -> None:
    """
    While n8n is away events wait; then all arrive, at their first attempt, in order per chat.
    """
    sandbox.faults.add(fault)
    for number in range(12):
        await events.message(f"u2i-{number % 3}", str(number))
    with capture_logs() as logs:
        async with running(configure(enrich_wait=0, forward_max_attempts=1)):
            received = await sandbox.n8n.wait_for(lambda calls: len(calls) >= 12, timeout_s=20)
    chats = defaultdict(list)
    for call in received:
        chats[call.json["external_chat_id"]].append(int(call.json["text"]))

    assert {f"u2i-{chat}": list(range(chat, 12, 3)) for chat in range(3)} == chats
    assert {"1"} == {call.headers["webhook-attempt"] for call in received}
    assert {"n8n.down", "n8n.back"} <= {line["event"] for line in logs}


async def test_n8n_that_refuses_connections_gets_everything_afterwards(
    sandbox: Sandbox, configure: Configure, running: Running, events: Events
) -> None:
    """
    A stopped n8n pauses its gate; once it listens again the events arrive.
    """
    await sandbox.n8n_down()
    await events.message("u2i-a", "1")
    await events.message("u2i-a", "2")
    settings = configure(enrich_wait=0, forward_max_attempts=1)
    async with running(settings):
        await events.until_paused()
        await sandbox.n8n_up()
        received = await sandbox.n8n.wait_for(lambda calls: len(calls) == 2, timeout_s=20)

    assert texts(received) == ["1", "2"]
    assert {"1"} == {call.headers["webhook-attempt"] for call in received}


async def test_a_failing_event_is_tried_again_and_counted(
    sandbox: Sandbox, configure: Configure, running: Running, events: Events
) -> None:
    """
    n8n fails twice on an event: the third attempt says that it is the third, and the chat waited for it.
    """
    sandbox.faults.add(N8nFault(kind="status", status=500, count=2))
    await events.message("u2i-a", "1")
    await events.message("u2i-a", "2")
    async with running(configure(enrich_wait=0)):
        received = await sandbox.n8n.wait_for(lambda calls: len(calls) == 2)

    assert [(call.json["text"], call.headers["webhook-attempt"]) for call in received] == [("1", "3"), ("2", "1")]


@pytest.mark.parametrize(
    ("fault", "timeout_s", "attempts", "detail"),
    [
        (N8nFault(kind="status", status=500, count=3), 10.0, "3", "HTTP 500"),
        (N8nFault(kind="status", status=410, count=1), 10.0, "1", "HTTP 410"),
        (N8nFault(kind="hang", count=3), 0.5, "3", "no answer within 0.5 s"),
    ],
    ids=["500", "410", "hang"],
)
async def test_an_event_n8n_does_not_take_becomes_a_dead_letter(
    sandbox: Sandbox,
    configure: Configure,
    running: Running,
    events: Events,
    fault: N8nFault,
    timeout_s: float,
    attempts: str,
    detail: str,
) -> None:
    """
    After FORWARD_MAX_ATTEMPTS, or at 410 at once, the event is dead and its chat goes on.
    """
    sandbox.faults.add(fault)
    await events.message("u2i-a", "bad")
    await events.message("u2i-a", "good")
    async with running(configure(enrich_wait=0, forward_max_attempts=3, forward_timeout=timeout_s)):
        [letter] = await events.dead()
        received = await sandbox.n8n.wait_for(lambda calls: bool(calls) and texts(list(calls))[-1] == "good")

    assert texts(received) == ["good"]
    assert ("rejected", attempts) == (letter.fields["reason"], letter.fields["attempts"])
    assert letter.fields["detail"].startswith(detail)


async def test_a_cut_connection_pauses_and_counts(
    sandbox: Sandbox, configure: Configure, running: Running, events: Events
) -> None:
    """
    A connection cut before its answer is an attempt, and n8n gets a pause.
    """
    sandbox.faults.add(N8nFault(kind="drop", count=1))
    await events.message("u2i-a", "1")
    with capture_logs() as logs:
        async with running(configure(enrich_wait=0)):
            [call] = await sandbox.n8n.wait_for(lambda calls: len(calls) == 1, timeout_s=20)

    assert call.headers["webhook-attempt"] == "2"
    assert [line["event"] for line in logs].count("n8n.down") == 1


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"kind": "message", "body": "{"}, "malformed"),
        ({"kind": "message"}, "malformed"),
        ({"kind": "riddle", "body": "{}"}, "malformed"),
        ({"body": "{}"}, "malformed"),
        ({"kind": "callback", "callback_url": "http://127.0.0.1:1/x"}, "malformed"),
        ({"kind": "callback", "callback_url": "http://evil.example/x", "body": "{}"}, "rejected"),
        ({"kind": "unknown_account", "body": "{}"}, "unknown_account"),
        ({"kind": "message", "body": "{}", "received_at": "1000"}, "expired"),
        ({"kind": "message", "body": "{}", "expires_at": "1000"}, "expired"),
    ],
)
async def test_what_cannot_be_delivered_is_a_dead_letter_with_a_reason(
    configure: Configure, running: Running, events: Events, fields: dict[str, str], reason: str
) -> None:
    """
    Nothing is dropped in silence: the dead letter keeps the fields and says why.
    """
    await events.add(chat_id="u2i-a", **fields)
    async with running(configure()):
        [letter] = await events.dead()

    assert reason == letter.fields["reason"]
    assert fields.items() <= letter.fields.items()


async def test_without_an_address_events_wait(
    sandbox: Sandbox, configure: Configure, running: Running, events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Without N8N_WEBHOOK_URL nothing is lost: one warning, and once it is set the event goes out.
    """
    monkeypatch.setattr(handler, "NO_ADDRESS_PAUSE_S", 0.2)
    await events.message("u2i-a", "1")
    with capture_logs() as logs:
        async with running(configure(n8n_webhook_url=None)):
            await events.until_paused()
    async with running(configure(enrich_wait=0)):
        received = await sandbox.n8n.wait_for(lambda calls: len(calls) == 1)

    assert texts(received) == ["1"]
    assert [line["event"] for line in logs].count("setting.missing") == 1


def callback_fields(url: str) -> dict[str, str]:
    """
    Return the entry that settling a command with a `callback_url` leaves.
    """
    return {
        "id": "c1.sent",
        "kind": "callback",
        "chat_id": "u2i-a",
        "lane": "callback:c1",
        "callback_url": url,
        "body": json.dumps({"event": "command.sent", "command_id": "c1", "status": "sent"}),
    }


async def test_a_callback_is_posted_as_it_is_and_signed(
    sandbox: Sandbox, configure: Configure, running: Running, events: Events
) -> None:
    """
    The outcome of a command goes to its callback_url at n8n, signed like an event.
    """
    fields = callback_fields(f"{sandbox.n8n_url}/webhook-waiting/7")
    await events.add(**fields)
    async with running(configure(n8n_webhook_secret=SECRET, n8n_auth_header="X-Token: abc")):
        [call] = await sandbox.n8n.wait_for(lambda calls: len(calls) == 1)

    assert json.loads(fields["body"]) == Webhook(SECRET).verify(call.body, call.headers)
    assert tuple(call.headers[name] for name in ("webhook-id", "webhook-attempt", "x-token")) == ("c1.sent", "1", "abc")
    assert call.path == "/webhook-waiting/7"


async def test_a_callback_elsewhere_does_not_get_n8n_s_header(
    sandbox: Sandbox, configure: Configure, running: Running, events: Events
) -> None:
    """
    A host of CALLBACK_HOSTS gets the outcome without N8N_AUTH_HEADER.
    """
    await events.add(**callback_fields(f"{sandbox.n8n_url}/webhook/x"))
    settings = configure(
        n8n_webhook_url="http://127.0.0.1:1/webhook",
        n8n_auth_header="X-Token: abc",
        callback_hosts="127.0.0.1",
        allow_private_hosts="127.0.0.1",
    )
    async with running(settings):
        [call] = await sandbox.n8n.wait_for(lambda calls: len(calls) == 1)

    assert "x-token" not in call.headers


async def test_a_callback_nobody_waits_for_ends(
    sandbox: Sandbox, configure: Configure, running: Running, events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    404 is tried again during the grace; an execution that comes to its wait in time gets the outcome, later ones not.
    """
    monkeypatch.setattr(decide, "CALLBACK_GRACE_S", 1.0)
    await events.add(**callback_fields(f"{sandbox.n8n_url}/nowhere"))
    sandbox.faults.add(N8nFault(kind="status", status=409, count=1, path="/webhook-waiting/*"))
    await events.add(
        **callback_fields(f"{sandbox.n8n_url}/webhook-waiting/7") | {"id": "c2.sent", "lane": "callback:c2"}
    )
    async with running(configure()):
        [letter] = await events.dead()
        [call] = await sandbox.n8n.wait_for(lambda calls: len(calls) == 1)

    assert (call.headers["webhook-id"], call.headers["webhook-attempt"]) == ("c2.sent", "2")
    assert tuple(letter.fields[name] for name in ("id", "reason", "attempts")) == ("c1.sent", "rejected", "2")


async def test_a_voice_message_has_a_fresh_link(
    sandbox: Sandbox, configure: Configure, running: Running, events: Events
) -> None:
    """
    The link is asked for at each attempt, since it lives only one hour.
    """
    chat = sandbox.avito.create_chat()
    message = sandbox.avito.receive(chat.id, type="voice", content={"voice": {"voice_id": "v-1"}}, announce=False)
    sandbox.faults.add(N8nFault(kind="status", status=500, count=1))
    await events.message(chat.id, id=message.id, type="voice", content=message.content, author_id=CUSTOMER_ID)
    async with running(configure()):
        [call] = await sandbox.n8n.wait_for(lambda calls: len(calls) == 1)

    assert call.json["media"]["has_voice"]
    assert call.json["media"]["voice_url"].startswith("http")
    assert len(sandbox.journal.list("avito", path="getVoiceFiles")) == 2


async def test_a_silent_avito_does_not_hold_events_up(
    sandbox: Sandbox, configure: Configure, running: Running, events: Events
) -> None:
    """
    Names that do not come within ENRICH_WAIT are left out; the event goes.
    """
    sandbox.faults.add(AvitoFault(kind="hang"))
    await events.message("u2i-a", "1")
    await events.message("u2i-a", "2", type="voice", content={"text": "2", "voice": {"voice_id": "v"}})
    async with running(configure(enrich_wait=0.1, connection_timeout=0.5)):
        received = await sandbox.n8n.wait_for(lambda calls: len(calls) == 2)

    assert [(call.json["text"], call.json["client_name"]) for call in received] == [("1", None), ("2", None)]


async def test_an_event_that_kills_workers_is_buried(configure: Configure, running: Running, events: Events) -> None:
    """
    What three workers died with is not delivered a fourth time.
    """
    entry_id = await events.add(kind="message", chat_id="u2i-a", body="{}")
    await events.connections.commands.hset(f"{events.keys.events.stream}:tries", entry_id, '{"crashes": 3}')
    async with running(configure()):
        [letter] = await events.dead()

    assert letter.fields["reason"] == "crashed"


async def test_each_account_has_its_own_n8n(
    sandbox: Sandbox, configure: Configure, running: Running, events: Events, tmp_path: Path
) -> None:
    """
    An account whose n8n is away does not hold up another one, and each is told its own account.
    """
    other = "100000002"
    accounts = tmp_path / "accounts.toml"
    accounts.write_text(
        f"""
        [[account]]
        user_id = "{other}"
        client_id = "other"
        client_secret = "other"
        n8n_webhook_url = "{sandbox.n8n_url}/webhook/other"
        """,
        encoding="utf-8",
    )
    sandbox.faults.add(N8nFault(kind="not_registered", path="/webhook/avito"))
    await events.message("u2i-a", "first")
    body = json.dumps({"payload": {"value": {"author_id": CUSTOMER_ID, "content": {"text": "second"}}}})
    await events.accept(NewEvent(id="m-2", chat_id="u2i-a", body=body), other)
    async with running(configure(enrich_wait=0, accounts_file=accounts)):
        await events.until_paused()
        [call] = await sandbox.n8n.wait_for(lambda calls: len(calls) == 1)

    assert (call.path, call.json["text"], call.json["user_id"]) == ("/webhook/other", "second", other)
