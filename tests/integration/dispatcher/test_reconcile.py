"""
Sends whose outcome nobody knows: each is shown once, and its record names its own message.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import httpx
import pytest

from common.avito.client import Avito
from common.queue.gate import MARGIN_S
from common.queue.keys import AccountKeys
from common.queue.records import Record
from common.queue.replies import read_rows
from sandbox import AvitoFault
from sandbox.chats import Message
from tests.integration.dispatcher.gateway import Gateway, Start, until
from tests.integration.dispatcher.losses import Loss, by_hand, echo, lose

SENDS = "*/messages"
PICTURES = "*/messages/image"
READS = "*/v3/*/messages"
# Time to do something between a lost answer and the look-up.
PAUSE = {"retry_min_wait": 0.3, "retry_max_wait": 0.3}
LOSSES: tuple[Loss, ...] = ("answered", "taken", "cut")
TEXT: dict[str, object] = {"text": "same"}


def shown(gateway: Gateway) -> list[Message]:
    """
    Return what the API has put into the chat, in order.
    """
    return gateway.sandbox.avito.sent(gateway.chat_id)


def picture(gateway: Gateway) -> dict[str, object]:
    """
    Return the body of a command that sends a picture by its address.
    """
    return {"image_url": f"{gateway.sandbox.control_url}/files/chat/32x32/a.png"}


def found(record: Record) -> bool:
    """
    Say whether the record tells that the message was found in the chat.
    """
    told = record.to_json().get("reconciled") is True
    assert told is any(step.get("outcome") == "found" for step in record.timeline)
    return told


async def after_the_first(gateway: Gateway, kind: str = "text", body: dict[str, object] = TEXT) -> str:
    """
    Queue a send and return its id when its first attempt, which must be lost, is over.
    """
    before = len(gateway.sandbox.journal.list("avito", path="/messages"))
    command_id = await gateway.queue(kind, body)

    def is_over() -> bool:
        requests = gateway.sandbox.journal.list("avito", path="/messages")[before:]
        return any(request.method == "POST" and request.outcome == "dropped" for request in requests)

    await gateway.sandbox.journal.wait_for(lambda _: is_over())
    return command_id


EQUALS: dict[str, tuple[str, dict[str, object]]] = {
    "text": ("text", TEXT),
    "link": ("link", {"url": "https://a.b/c?d=1"}),
    "text with a link": ("link", {"url": "https://a.b/c", "text": "Look"}),
    "picture by its address": ("image", {}),
    "picture by its id": ("image", {"image_id": ""}),
}


@pytest.mark.parametrize("name", EQUALS)
async def test_two_equal_messages_are_two(start: Start, name: str) -> None:
    """
    Whichever answers are lost, one's or both: each is shown once, and each record names its own.
    """
    gateway = await start(run=False)
    kind, body = EQUALS[name]
    if name == "picture by its address":
        body = picture(gateway)
    elif name == "picture by its id":
        png = b"\x89PNG\r\n\x1a\n" + b"0" * 100
        body = {"image_id": gateway.sandbox.avito.upload(int(gateway.user_id), "a.png", "image/png", png).id}
    pairs = {gateway.sandbox.avito.create_chat().id: losses for losses in itertools.product(LOSSES, LOSSES)}
    ids = {}
    for chat_id, losses in pairs.items():
        lose(gateway, losses, f"*/{chat_id}/messages{'/image' if kind == 'image' else ''}")
        ids[chat_id] = [await gateway.queue(kind, body, chat_id=chat_id) for _ in losses]
    gateway.run()
    gateway.run()

    for chat_id, losses in pairs.items():
        records = [await gateway.end(command_id) for command_id in ids[chat_id]]
        sent = gateway.sandbox.avito.sent(chat_id)
        assert [message.id for message in sent] == [record.fields["message_id"] for record in records], losses
        assert [loss == "taken" for loss in losses] == [found(record) for record in records], losses


async def test_two_equal_messages_of_which_one_is_bulk(start: Start) -> None:
    """
    A chat's turn spans both queues, so one is settled before the other one starts.
    """
    gateway = await start(run=False)
    pairs = {gateway.sandbox.avito.create_chat().id: losses for losses in itertools.product(LOSSES, LOSSES)}
    ids = {}
    for chat_id, losses in pairs.items():
        lose(gateway, losses, f"*/{chat_id}/messages")
        priorities = ("bulk", "interactive")
        ids[chat_id] = [await gateway.queue("text", TEXT, chat_id=chat_id, priority=each) for each in priorities]
    gateway.run()
    gateway.run()

    for chat_id, losses in pairs.items():
        records = [await gateway.end(command_id) for command_id in ids[chat_id]]
        sent = gateway.sandbox.avito.sent(chat_id)
        assert len(sent) == 2, losses
        assert {message.id for message in sent} == {record.fields["message_id"] for record in records}, losses


@pytest.mark.parametrize("taken", [True, False])
async def test_a_lost_upload_has_shown_nothing(start: Start, taken: bool) -> None:
    """
    After a lost answer to the upload there is nothing to look up: it is uploaded again, and shown once.
    """
    gateway = await start()
    gateway.sandbox.faults.add(AvitoFault(kind="drop", taken=taken, count=1, path="*/uploadImages"))

    record = await gateway.done("image", picture(gateway))

    assert ([message.id for message in shown(gateway)], found(record)) == ([record.fields["message_id"]], False)
    assert gateway.requests("/v3/") == 0


@pytest.mark.parametrize("loss", ["taken", "cut"])
@pytest.mark.parametrize("told", ["before", "after", "never"])
async def test_what_was_typed_by_hand_before_is_not_ours(start: Start, loss: Loss, told: str) -> None:
    """
    The seller has sent the same text some seconds earlier: ours is shown as well, whenever the echo of that one comes.
    """
    gateway = await start(**PAUSE)
    await gateway.done("read", {})
    other = by_hand(gateway, ago_s=10)
    if told == "before":
        await echo(gateway, other)
    lose(gateway, [loss])
    command_id = await after_the_first(gateway)
    if told == "after":
        await echo(gateway, other)

    record = await gateway.end(command_id)

    assert [message.id for message in shown(gateway)] == [record.fields["message_id"]]
    assert found(record) is (loss == "taken")


@pytest.mark.parametrize("loss", ["taken", "cut"])
async def test_an_echo_tells_what_was_there_a_moment_before(start: Start, loss: Loss) -> None:
    """
    Within the seconds that Avito's clock leaves open, what we were told of before the attempt is not ours.
    """
    gateway = await start(**PAUSE)
    await echo(gateway, by_hand(gateway))
    lose(gateway, [loss])

    record = await gateway.done("text", TEXT)

    assert [message.id for message in shown(gateway)] == [record.fields["message_id"]]


async def test_what_is_typed_by_hand_meanwhile_does_not_hide_ours(start: Start) -> None:
    """
    Ours was taken, then the seller typed the same: both are shown once, and the record names ours, the older.
    """
    gateway = await start(**PAUSE)
    lose(gateway, ["taken"])
    command_id = await after_the_first(gateway)
    by_hand(gateway)

    record = await gateway.end(command_id)

    assert ([message.id for message in shown(gateway)], found(record)) == ([record.fields["message_id"]], True)


async def test_what_is_typed_by_hand_meanwhile_is_taken_for_ours(start: Start) -> None:
    """
    The limit of what can be told apart: ours never arrived, the seller typed the same, so the customer has it once.
    """
    gateway = await start(**PAUSE)
    lose(gateway, ["cut"])
    command_id = await after_the_first(gateway)
    other = by_hand(gateway)

    record = await gateway.end(command_id)

    assert (shown(gateway), record.fields["message_id"], found(record)) == ([], other.id, True)


async def test_what_is_typed_by_hand_afterwards_changes_nothing(start: Start) -> None:
    """
    A settled send stays as it is, and the next equal one is one more message.
    """
    gateway = await start()
    lose(gateway, ["taken", "taken"])
    first = await gateway.done("text", TEXT)
    await echo(gateway, by_hand(gateway))

    second = await gateway.done("text", TEXT)

    assert [message.id for message in shown(gateway)] == [one.fields["message_id"] for one in (first, second)]


async def test_a_picture_is_known_by_its_links(start: Start) -> None:
    """
    The seller sends a picture by hand just before ours: ours is found, since its links are those of the upload.
    """
    gateway = await start(**PAUSE)
    await gateway.done("read", {})
    by_hand(gateway, picture=True)
    lose(gateway, ["taken"], PICTURES)

    record = await gateway.done("image", picture(gateway))

    assert ([message.id for message in shown(gateway)], found(record)) == ([record.fields["message_id"]], True)


async def test_a_picture_whose_links_say_nothing_is_taken_for_ours(start: Start) -> None:
    """
    Links that differ from the upload's prove nothing: rather one picture too few than the same one twice.
    """
    gateway = await start(**PAUSE)
    lose(gateway, ["cut"], PICTURES)
    command_id = await after_the_first(gateway, "image", picture(gateway))
    other = by_hand(gateway, picture=True)
    await echo(gateway, other)

    record = await gateway.end(command_id)

    assert (shown(gateway), record.fields["message_id"]) == ([], other.id)


@pytest.mark.parametrize("shift_s", [600.0, -600.0])
@pytest.mark.parametrize("loss", ["taken", "cut"])
async def test_avitos_clock_is_ten_minutes_off(start: Start, shift_s: float, loss: Loss) -> None:
    """
    Times are compared by Avito's clock alone: neither is ours missed, nor an older one taken for it, told of or not.
    """
    gateway = await start(**PAUSE)
    gateway.sandbox.clock.shift_s = shift_s
    await gateway.done("read", {})
    other = by_hand(gateway, ago_s=10)
    lose(gateway, [loss, loss])
    command_id = await after_the_first(gateway)
    await echo(gateway, other)
    for message in shown(gateway):
        await echo(gateway, message)
    records = [await gateway.end(command_id), await gateway.done("text", TEXT)]

    assert [message.id for message in shown(gateway)] == [record.fields["message_id"] for record in records]
    assert [loss == "taken"] * 2 == [found(record) for record in records]


@pytest.mark.parametrize("back_s", [3600, 5])
@pytest.mark.parametrize("is_new", [False, True], ids=["", "new-worker"])
async def test_redis_clock_may_be_set_back(start: Start, back_s: int, *, is_new: bool) -> None:
    """
    However far it was set back since the attempt, nothing is hidden: neither from a worker that Avito has not told its
    time yet, since another one has fetched the access token, nor where the echo seems to come before the attempt.
    """
    gateway = await start(run=False, **PAUSE)
    if is_new:
        other = Avito(gateway.settings, gateway.connections)
        await other.refresh_token(gateway.account, wait_s=5.0)
        await other.aclose()
    gateway.run()
    if not is_new:
        await gateway.done("read", {})
    lose(gateway, ["taken"])
    command_id = await after_the_first(gateway)
    key = AccountKeys(gateway.settings.key_prefix, gateway.user_id).commands.indexes[5]
    redis = gateway.connections.commands

    async def remembered() -> list[tuple[str, str]] | None:
        return [(str(entry_id), str(raw)) for entry_id, raw in (await redis.hgetall(key)).items()] or None

    # As it looks after a step: the attempt lies ahead of the server's clock.
    for entry_id, raw in await until(remembered):
        tries = json.loads(raw)
        tries["unknown_since_ms"] += back_s * 1000
        await redis.hset(key, entry_id, json.dumps(tries))
    await echo(gateway, shown(gateway)[0])

    record = await gateway.end(command_id)

    assert ([message.id for message in shown(gateway)], found(record)) == ([record.fields["message_id"]], True)


@pytest.mark.parametrize("lists", ["object", "array"])
@pytest.mark.parametrize("since", [99, 350])
async def test_a_chat_longer_than_a_page_is_read_back_to_the_attempt(start: Start, lists: str, since: int) -> None:
    """
    However many messages came since, ours is found behind them, and no further page is read.
    """
    gateway = await start(**PAUSE)
    gateway.sandbox.avito.behaviour = gateway.sandbox.avito.behaviour.model_copy(update={"lists": lists})
    by_hand(gateway, "long ago", ago_s=60)
    lose(gateway, ["taken"])
    command_id = await after_the_first(gateway)
    for number in range(since):
        gateway.sandbox.avito.receive(gateway.chat_id, str(number), announce=False)

    record = await gateway.end(command_id)

    assert ([message.id for message in shown(gateway)], found(record)) == ([record.fields["message_id"]], True)
    # Ours, one before it, and what came since.
    assert gateway.requests("/v3/") == (since + 2 + 99) // 100


async def test_only_the_time_since_the_attempt_is_read(start: Start) -> None:
    """
    A chat of a thousand old messages costs one page.
    """
    gateway = await start()
    for number in range(1000):
        by_hand(gateway, str(number), ago_s=60)
    lose(gateway, ["cut"])

    record = await gateway.done("text", TEXT)

    assert ([message.id for message in shown(gateway)], found(record)) == ([record.fields["message_id"]], False)
    assert gateway.requests("/v3/") == 1


async def test_what_avito_does_not_show_any_more_is_not_sent_again(start: Start) -> None:
    """
    Avito shows the newest 1100 messages. When the attempt lies behind them, nobody can tell, and nothing is repeated.
    """
    gateway = await start(**PAUSE)
    lose(gateway, ["taken"])
    command_id = await after_the_first(gateway)
    for number in range(1100):
        gateway.sandbox.avito.receive(gateway.chat_id, str(number), announce=False)

    record = await gateway.end(command_id)

    letter = await gateway.letter(record.id)
    assert (record.status, letter.fields["reason"], len(shown(gateway))) == ("failed", "unknown", 1)
    assert gateway.requests("/v3/") == 11


@pytest.mark.parametrize("loss", ["taken", "cut"])
@pytest.mark.parametrize(
    "trouble",
    [
        {"kind": "status", "status": 500},
        {"kind": "status", "status": 429, "retry_after_s": 1},
        {"kind": "status", "status": 401},
        {"kind": "expired_token"},
        {"kind": "expired_token", "form": "200"},
        {"kind": "drop"},
        {"kind": "drop", "taken": True},
        {"kind": "hang"},
    ],
)
async def test_a_look_that_fails_is_taken_again(start: Start, trouble: dict[str, object], loss: Loss) -> None:
    """
    Nothing is sent unseen: while reading fails it waits, then looks again, and the message is shown once.
    """
    gateway = await start(connection_timeout=0.5, retry_min_wait=0.05, retry_max_wait=0.1)
    lose(gateway, [loss])
    count = 1 if trouble["kind"] in ("hang", "expired_token") or trouble.get("status") in (401, 429) else 2
    gateway.sandbox.faults.add(AvitoFault(count=count, path=READS, **trouble))

    record = await gateway.done("text", TEXT)

    assert [message.id for message in shown(gateway)] == [record.fields["message_id"]]
    assert found(record) is (loss == "taken")


async def test_a_chat_we_may_not_read_is_not_sent_to_again(start: Start) -> None:
    """
    A 403 with a fresh token pauses everything; the send stays unknown until the operator has mended the account.
    """
    gateway = await start()
    lose(gateway, ["cut"])
    gateway.sandbox.faults.add(AvitoFault(kind="status", status=403, path=READS))
    command_id = await gateway.queue("text", TEXT)

    async def blocked() -> Record | None:
        usage = await gateway.avito.gate(gateway.account).usage()
        record = await gateway.records.command(gateway.user_id, command_id)
        return record if usage.paused_ms and record and record.status == "unknown" else None

    await until(blocked)

    assert (shown(gateway), gateway.requests("/v1/accounts")) == ([], 1)


@pytest.mark.parametrize("back_ms", [0, 3_600_000], ids=["", "redis-clock-set-back"])
async def test_looks_that_fail_for_good_end_in_a_dead_letter(start: Start, back_ms: int) -> None:
    """
    The dead letter says that it may have been sent; put back, it is looked up again, and found, whatever Redis' clock
    was set to meanwhile.
    """
    gateway = await start(max_retries=1)
    lose(gateway, ["taken"])
    fault = gateway.sandbox.faults.add(AvitoFault(kind="status", status=500, path=READS))
    command_id = await gateway.queue("text", TEXT)
    await gateway.end(command_id)
    letter = await gateway.letter(command_id)
    gateway.sandbox.faults.remove(fault)

    doubt = json.loads(letter.fields["doubt"])
    doubt["unknown_since_ms"] += back_ms
    fields = letter.fields | {"doubt": json.dumps(doubt, separators=(",", ":"))}
    await gateway.dead.put_back(gateway.user_id, "commands", replace(letter, fields=fields))
    record = await gateway.end(command_id)

    assert ("unknown", "sent", True) == (letter.fields["reason"], record.status, found(record))
    assert [message.id for message in shown(gateway)] == [record.fields["message_id"]]


@pytest.mark.parametrize("answer", [None, {}, {"messages": None}, {"result": "ok"}, "busy"])
async def test_an_answer_that_is_no_list_is_no_empty_chat(start: Start, answer: object) -> None:
    """
    A 200 without messages in it does not show that ours is not there.
    """
    gateway = await start(run=False)
    lose(gateway, ["taken"])
    odd = 0

    async def pass_on(request: httpx.Request) -> httpx.Response:
        nonlocal odd
        if "/v3/" in request.url.path and not odd:
            odd += 1
            return httpx.Response(200, text="<html>") if answer is None else httpx.Response(200, json=answer)
        async with httpx.AsyncClient(trust_env=False) as client:
            passed = client.build_request(
                request.method, request.url, headers=request.headers, content=await request.aread()
            )
            return await client.send(passed)

    await gateway.avito.aclose()
    gateway.avito = Avito(gateway.settings, gateway.connections, transport=httpx.MockTransport(pass_on))
    gateway.run()

    record = await gateway.done("text", TEXT)

    assert ([message.id for message in shown(gateway)], found(record), odd) == ([record.fields["message_id"]], True, 1)


async def test_a_request_we_cut_off_gets_time_to_arrive(start: Start) -> None:
    """
    After a timeout of ours the look comes no sooner than the gate counts the request as still on its way.
    """
    gateway = await start(connection_timeout=0.3)
    gateway.sandbox.faults.add(AvitoFault(kind="hang", taken=True, count=1, path=SENDS))

    record = await gateway.done("text", TEXT)

    send, look = (gateway.sandbox.journal.list("avito", path=path)[0] for path in ("/v1/", "/v3/"))
    assert found(record)
    assert look.arrived_mono_s - send.arrived_mono_s >= MARGIN_S


@pytest.mark.parametrize("moment", ["before", "while", "after"])
async def test_an_echo_may_come_at_any_moment(start: Start, moment: str) -> None:
    """
    Before the look the echo makes it needless; while it runs, or afterwards, it changes nothing.
    """
    gateway = await start(**PAUSE)
    lose(gateway, ["taken"])
    if moment == "while":
        gateway.sandbox.faults.add(AvitoFault(kind="hang", taken=True, hold_s=0.3, count=1, path=READS))
    command_id = await after_the_first(gateway)
    (message,) = shown(gateway)
    if moment == "while":
        await gateway.sandbox.journal.wait_for(lambda journal: bool(journal.list("avito", path="/v3/")))
    if moment == "after":
        await gateway.end(command_id)
    await echo(gateway, message)

    record = await gateway.end(command_id)
    again = await gateway.done("text", TEXT)

    assert (found(record), gateway.requests("/v3/")) == (True, 0 if moment == "before" else 1)
    assert [one.id for one in shown(gateway)] == [one.fields["message_id"] for one in (record, again)]


async def outcomes(gateway: Gateway) -> list[dict[str, object]]:
    """
    Return what is to be told to `callback_url`.
    """
    stream = AccountKeys(gateway.settings.key_prefix, gateway.user_id).events.stream
    return [json.loads(fields["body"]) for _, fields in await read_rows(gateway.connections.commands, stream, "-", "+")]


async def held(gateway: Gateway, command_id: str) -> None:
    """
    Wait until a send is held.
    """

    async def is_held() -> bool | None:
        keys = AccountKeys(gateway.settings.key_prefix, gateway.user_id)
        known = await gateway.connections.commands.hvals(keys.commands.indexes[5])
        record = await gateway.records.command(gateway.user_id, command_id)
        return True if "outcome unknown, held" in str(known) and record and record.status == "unknown" else None

    await until(is_held)


@pytest.mark.parametrize("named", [True, False])
async def test_a_held_send_is_resolved_as_sent(start: Start, named: bool) -> None:
    """
    The operator has seen it in the chat: the record says sent, and how that is known, and the chat goes on.
    """
    gateway = await start(ambiguous_sends="hold")
    lose(gateway, ["taken"])
    url = "http://n8n.test/webhook-waiting/1"
    ids = [await gateway.queue("text", TEXT, callback_url=url) for _ in range(2)]
    await held(gateway, ids[0])
    message_id = shown(gateway)[0].id if named else None

    replies = [await gateway.records.resolve(gateway.user_id, ids[0], "sent", message_id) for _ in range(2)]
    records = [await gateway.end(command_id) for command_id in ids]

    assert ["ok", "ended"] == replies
    assert ("sent", True, message_id) == (
        records[0].status,
        records[0].to_json()["resolved"],
        records[0].fields.get("message_id"),
    )
    assert ["accepted", "attempt", "sent"] == [step["event"] for step in records[0].timeline]
    assert [message.id for message in shown(gateway)][1:] == [records[1].fields["message_id"]]
    told = [(one["event"], one["command_id"]) for one in await outcomes(gateway)]
    assert [("command.sent", command_id) for command_id in ids] == told


async def test_a_held_send_is_sent_again(start: Start) -> None:
    """
    The operator has seen that it is not in the chat: it is sent without a look, and the chat goes on in order.
    """
    gateway = await start(ambiguous_sends="hold")
    lose(gateway, ["cut"])
    ids = [await gateway.queue("text", {"text": text}) for text in ("first", "second")]
    await held(gateway, ids[0])

    assert await gateway.records.resolve(gateway.user_id, ids[0], "not_sent") == "ok"
    records = [await gateway.end(command_id) for command_id in ids]

    assert ["first", "second"] == gateway.texts()
    assert [message.id for message in shown(gateway)] == [record.fields["message_id"] for record in records]


async def test_only_a_doubt_can_be_resolved(start: Start) -> None:
    """
    A command that waits, one that is being sent, one that ended and one that is not known say so.
    """
    gateway = await start(run=False)
    waiting = await gateway.queue("text", TEXT)
    answers = [await gateway.records.resolve(gateway.user_id, one, "not_sent") for one in (waiting, "nobody")]
    gateway.sandbox.faults.add(AvitoFault(kind="hang", taken=True, hold_s=0.5, count=1, path=SENDS))
    gateway.run()
    await gateway.sandbox.avito.wait_for(lambda avito: len(avito.sent()) == 1)
    answers.append(await gateway.records.resolve(gateway.user_id, waiting, "sent"))
    await gateway.end(waiting)
    answers.append(await gateway.records.resolve(gateway.user_id, waiting, "sent"))

    assert ["certain", "unknown", "sending", "ended"] == answers


async def test_a_doubtful_send_that_is_cancelled_may_have_been_sent(start: Start) -> None:
    """
    Who asked for the outcome is told that the message may be in the chat.
    """
    gateway = await start(ambiguous_sends="hold")
    lose(gateway, ["taken"])
    command_id = await gateway.queue("text", TEXT, callback_url="http://n8n.test/webhook-waiting/1")
    await held(gateway, command_id)

    assert await gateway.records.cancel(gateway.user_id, command_id) == "cancelled"

    [told] = await outcomes(gateway)
    assert ("command.failed", "cancelled; it may have been sent before") == (told["event"], told["problem"])


async def test_a_held_send_ends_when_its_echo_comes(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    With AMBIGUOUS_SENDS=hold nothing is read and nothing repeated; a late echo settles it, the chat goes on.
    """
    monkeypatch.setattr("dispatcher.decide.HELD_LOOK_S", 0.1)
    gateway = await start(ambiguous_sends="hold")
    lose(gateway, ["taken"])
    ids = [await gateway.queue("text", TEXT) for _ in range(2)]
    await held(gateway, ids[0])
    await echo(gateway, shown(gateway)[0])
    records = [await gateway.end(command_id) for command_id in ids]

    assert [message.id for message in shown(gateway)] == [record.fields["message_id"] for record in records]
    assert ([found(record) for record in records], gateway.requests("/v3/")) == ([True, False], 0)
