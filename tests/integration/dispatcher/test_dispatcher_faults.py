"""
What goes wrong between us and Avito: retries, pauses, outcomes that nobody knows.
"""

from __future__ import annotations

import time

import pytest

from common.queue.entry import Tries
from common.queue.keys import AccountKeys
from common.queue.usage import Usage
from sandbox import AvitoFault
from tests.integration.dispatcher.gateway import Gateway, Start, until

SENDS = "*/messages"


async def held(gateway: Gateway) -> Tries | None:
    """
    Return what is remembered of the attempts of a send that is held, if there is one.
    """
    keys = AccountKeys(gateway.settings.key_prefix, gateway.user_id)
    known = [
        Tries.model_validate_json(raw) for raw in await gateway.connections.commands.hvals(keys.commands.indexes[5])
    ]
    return next((tries for tries in known if tries.last_error.startswith("outcome unknown, held")), None)


async def test_an_answer_that_got_lost_is_looked_up(start: Start) -> None:
    """
    The message is in the chat though the answer never came: found, and not sent again.
    """
    gateway = await start()
    gateway.sandbox.faults.add(AvitoFault(kind="drop", taken=True, count=1, path=SENDS))

    record = await gateway.done("text", {"text": "once"})

    assert (record.status, record.fields["reconciled"]) == ("sent", "true")
    assert gateway.texts() == ["once"]
    assert gateway.sandbox.avito.sent()[0].id == record.fields["message_id"]


async def test_a_send_that_never_arrived_is_sent_again(start: Start) -> None:
    """
    A connection cut before Avito took the message: not found, sent again, once in the chat.
    """
    gateway = await start()
    gateway.sandbox.faults.add(AvitoFault(kind="drop", count=1, path=SENDS))

    record = await gateway.done("text", {"text": "once"})

    assert record.status == "sent"
    assert "reconciled" not in record.fields
    assert [None, "not there"] == [step.get("look_up") for step in record.timeline if step["event"] == "attempt"]
    assert gateway.texts() == ["once"]


async def test_a_request_under_way_is_waited_for_when_its_group_is_lost(start: Start) -> None:
    """
    After XGROUP DESTROY another worker gets what the first is just sending. Avito shows it later: it is there once.
    """
    gateway = await start()
    ((first,),) = (role.consumers for role in gateway.roles)
    keys = AccountKeys(gateway.settings.key_prefix, gateway.user_id)
    slow = AvitoFault(kind="latency", delay_s=1.0, delay_max_s=1.0, method="POST", path=SENDS)
    gateway.sandbox.faults.add(slow)
    command_id = await gateway.queue("text", {"text": "once"})

    async def under_way() -> bool | None:
        return gateway.requests("/messages") > 0 or None

    await until(under_way)
    async with first.taking:
        await gateway.connections.commands.xgroup_destroy(keys.commands.stream, "dispatcher")
        gateway.run()
        record = await gateway.end(command_id)

    assert (record.status, record.fields["reconciled"], gateway.texts()) == ("sent", "true", ["once"])


@pytest.mark.parametrize("status", [500, 502, 503, 504])
@pytest.mark.parametrize("taken", [True, False])
async def test_a_server_error_leaves_the_outcome_unknown(start: Start, status: int, taken: bool) -> None:
    """
    After any 5xx the chat tells whether the message is there; it is there once.
    """
    gateway = await start()
    gateway.sandbox.faults.add(AvitoFault(kind="status", status=status, taken=taken, count=1, path=SENDS))

    record = await gateway.done("text", {"text": "once"})

    assert (record.status, gateway.texts()) == ("sent", ["once"])
    assert taken is ("reconciled" in record.fields)


async def test_a_timeout_after_the_message_was_taken(start: Start) -> None:
    """
    CONNECTION_TIMEOUT ends the wait; the look-up finds what was sent.
    """
    gateway = await start(connection_timeout=0.3)
    gateway.sandbox.faults.add(AvitoFault(kind="hang", taken=True, count=1, path=SENDS))

    record = await gateway.done("text", {"text": "once"})

    assert (record.status, record.fields["reconciled"], gateway.texts()) == ("sent", "true", ["once"])
    timeline = [step.get("outcome") for step in record.timeline if step["event"] == "attempt"]
    assert timeline == ["unknown", "found"]


@pytest.mark.parametrize(("taken", "status"), [(True, "sent"), (False, "expired")])
async def test_what_expires_with_an_unknown_outcome_is_looked_up(start: Start, taken: bool, status: str) -> None:
    """
    Nothing is called expired that an earlier attempt has sent.
    """
    gateway = await start(retry_min_wait=1.0, retry_max_wait=1.0)
    await gateway.done("read", {})
    gateway.sandbox.faults.add(AvitoFault(kind="drop", taken=taken, count=1, path=SENDS))

    record = await gateway.done("text", {"text": "once"}, expires_at_ms=round(time.time() * 1000) + 800)

    assert (record.status, gateway.texts()) == (status, ["once"] if taken else [])
    usage = await gateway.avito.gate(gateway.account).usage()
    assert usage.slots_open == 0


async def test_hold_waits_for_a_human(start: Start) -> None:
    """
    With AMBIGUOUS_SENDS=hold nothing is sent again and nothing looked up; the command can be cancelled.
    """
    gateway = await start(ambiguous_sends="hold")
    gateway.sandbox.faults.add(AvitoFault(kind="drop", count=1, path=SENDS))
    command_id = await gateway.queue("text", {"text": "once"})

    tries = await until(lambda: held(gateway))
    record = await gateway.records.command(gateway.user_id, command_id)

    assert (tries.attempts, tries.outcome_unknown) == (1, True)
    assert record is not None
    assert (record.status, gateway.texts()) == ("unknown", [])
    assert await gateway.records.cancel(gateway.user_id, command_id) == "cancelled"


async def test_resend_sends_again_unseen(start: Start) -> None:
    """
    With AMBIGUOUS_SENDS=resend the message may be there twice.
    """
    gateway = await start(ambiguous_sends="resend")
    gateway.sandbox.faults.add(AvitoFault(kind="drop", taken=True, count=1, path=SENDS))

    record = await gateway.done("text", {"text": "twice"})

    assert (record.status, gateway.texts(), gateway.requests("/v3/")) == ("sent", ["twice", "twice"], 0)


async def test_attempts_end_with_a_last_look(start: Start) -> None:
    """
    The first attempt and MAX_RETRIES more fail; the last look finds nothing, so the dead letter can say so.
    """
    gateway = await start(max_retries=1)
    gateway.sandbox.faults.add(AvitoFault(kind="status", status=500, method="POST", path=SENDS))

    record = await gateway.done("text", {"text": "never"})

    letter = await gateway.letter(record.id)
    assert (record.status, letter.fields["reason"]) == ("failed", "rejected")
    assert letter.fields["detail"].startswith("2 attempts failed and none is in the chat")
    assert len([r for r in gateway.sandbox.journal.list("avito", path="/v1/") if r.path.endswith("/messages")]) == 2


async def test_the_last_attempt_may_have_been_sent(start: Start) -> None:
    """
    The last look finds a message whose answer was lost in the last attempt.
    """
    gateway = await start(max_retries=0)
    gateway.sandbox.faults.add(AvitoFault(kind="status", status=500, taken=True, method="POST", path=SENDS))

    record = await gateway.done("text", {"text": "once"})

    assert (record.status, record.fields.get("reconciled"), gateway.texts()) == ("sent", "true", ["once"])


async def test_avito_down_is_a_dead_letter_in_the_end(start: Start) -> None:
    """
    A refused connection is tried MAX_RETRIES times more.
    """
    gateway = await start(max_retries=2)
    await gateway.done("text", {"text": "first"})
    await gateway.sandbox.avito_down()

    record = await gateway.done("text", {"text": "second"})

    letter = await gateway.letter(record.id)
    assert (record.status, letter.fields["reason"], int(letter.fields["attempts"])) == ("failed", "rejected", 3)
    assert letter.fields["detail"].startswith("3 attempts failed")


async def test_read_and_delete_are_repeated(start: Start) -> None:
    """
    What may be done twice is done again after a lost answer; a delete that worked the first time is done.
    """
    gateway = await start()
    sent = await gateway.done("text", {"text": "oops"})
    gateway.sandbox.faults.add(AvitoFault(kind="drop", taken=True, count=1, path="*/read"))
    message_path = f"*/messages/{sent.fields['message_id']}"
    gateway.sandbox.faults.add(AvitoFault(kind="drop", taken=True, count=1, path=message_path))
    gateway.sandbox.faults.add(AvitoFault(kind="status", status=404, count=1, path=message_path))

    read = await gateway.done("read", {})
    deleted = await gateway.done("delete", {"message_id": sent.fields["message_id"]})

    assert (read.status, deleted.status, deleted.fields.get("reconciled")) == ("sent", "sent", "true")


async def test_429_pauses_everyone_and_is_no_attempt(start: Start) -> None:
    """
    After a 429 nothing goes out for Retry-After, from no dispatcher; then all is sent, with no retry used up.
    """
    gateway = await start(max_retries=0)
    gateway.run()
    await gateway.done("text", {"text": "first"})
    gateway.sandbox.faults.add(AvitoFault(kind="status", status=429, retry_after_s=1, count=1, path=SENDS))
    ids = [await gateway.queue("text", {"text": "x"}, chat_id=chat.id) for chat in gateway.sandbox.avito.chats]

    records = [await gateway.end(command_id) for command_id in ids]

    assert [record.status for record in records] == ["sent"] * 3
    requests = gateway.sandbox.journal.list("avito", path="/messages")
    limited = next(index for index, request in enumerate(requests) if request.status == 429)
    begun_s = requests[limited].ended_mono_s
    assert begun_s is not None
    # What was under way when the answer came may still arrive; nothing begins in the pause.
    assert all(not 0.1 < request.arrived_mono_s - begun_s < 0.95 for request in requests[limited + 1 :])


@pytest.mark.parametrize("status", [402, 403])
async def test_no_right_to_the_api_pauses_and_loses_nothing(start: Start, status: int) -> None:
    """
    402, and 403 with a fresh token, pause the gate with a reason for the operator; the command stays.
    """
    gateway = await start(run=False)
    gateway.sandbox.faults.add(AvitoFault(kind="status", status=status, path=SENDS))
    command_id = await gateway.queue("text", {"text": "x"})
    gateway.run()
    await gateway.sandbox.journal.wait_for(
        lambda journal: (
            len([r for r in journal.list("avito", path="/messages") if r.status == status])
            == (1 if status == 402 else 2)
        )
    )

    async def paused() -> Usage | None:
        usage = await gateway.avito.gate(gateway.account).usage()
        return usage if usage.paused_ms else None

    usage = await until(paused)
    record = await gateway.records.command(gateway.user_id, command_id)

    assert record is not None
    assert (record.ended, usage.paused_ms > 290_000) == (False, True)
    assert f"HTTP {status}" in usage.reason
