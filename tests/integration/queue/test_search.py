"""
Looking for messages: by chat, text, state and id, with bounded work.
"""

from __future__ import annotations

import json

from common.queue import waiting
from common.queue.entry import Entry
from common.queue.gate import Permit
from common.queue.intake import NewEvent
from common.queue.outcomes import Dead, Done, Outcome, Retry
from common.queue.records import Records
from common.queue.replies import read_rows
from common.queue.search import Results, Search, Wanted
from common.settings import Settings
from tests.harness import USER_ID, Queue, Recorder, eventually


def search_of(queue: Queue, settings: Settings) -> Search:
    """
    Return a search of the queue's account.
    """
    return Search(queue.connections, settings, queue.records)


def ids(results: Results) -> list[str]:
    """
    Return what was found.
    """
    return [found.id for found in results.found]


async def receive(queue: Queue, message_id: str, chat_id: str, text: str) -> None:
    """
    Accept one webhook.
    """
    body = {"payload": {"type": "message", "value": {"id": message_id, "content": {"text": text}}}}
    await queue.intake.event(USER_ID, NewEvent(id=message_id, chat_id=chat_id, body=json.dumps(body)))


def decide(entry: Entry, _permit: Permit) -> Outcome:
    """
    Let what is marked fail or wait, and send the rest.
    """
    if entry.id.startswith("bad"):
        return Dead("rejected", "400")
    if entry.id.startswith("slow"):
        return Retry(600, "refused")
    return Done("sent", message_id=f"avito-{entry.id}")


async def test_what_was_accepted_is_found_newest_first(queue: Queue, settings: Settings) -> None:
    """
    Both sides are in one order; chat, side, text and state narrow it down, queued or ended.
    """
    await queue.send("m1", "c1")
    await receive(queue, "e1", "c1", "Здравствуйте")
    await queue.send("bad1", "c2")
    await queue.send("slow1", "c3")
    search = search_of(queue, settings)
    assert ["slow1", "bad1", "e1", "m1"] == ids(await search.find(USER_ID, Wanted()))
    async with queue.running(Recorder(decide)):

        async def settled() -> bool:
            return await queue.left() == 2 and ["slow1"] == ids(await search.find(USER_ID, Wanted(state="retrying")))

        await eventually(settled)

    assert ["e1", "m1"] == ids(await search.find(USER_ID, Wanted(chat_id="c1")))
    assert ["e1"] == ids(await search.find(USER_ID, Wanted(side="events")))
    assert ["e1"] == ids(await search.find(USER_ID, Wanted(text="здрав")))
    assert ["m1"] == ids(await search.find(USER_ID, Wanted(text="M1")))
    assert ["bad1"] == ids(await search.find(USER_ID, Wanted(state="failed")))
    assert ["e1"] == ids(await search.find(USER_ID, Wanted(state="queued")))


async def test_an_id_is_looked_up_without_the_index(queue: Queue, settings: Settings) -> None:
    """
    Ours, an event's, and the one that Avito gave to what was sent.
    """
    await queue.send("m1", "c1")
    await receive(queue, "e1", "c1", "hello")
    async with queue.running(Recorder(decide)):
        await queue.records.wait(USER_ID, "m1", 5.0)
    await queue.connections.commands.delete(queue.keys.messages)
    search = search_of(queue, settings)

    named = {name: [found.id for found in await search.named(USER_ID, name)] for name in ("m1", "avito-m1", "e1", "no")}
    assert {"m1": ["m1"], "avito-m1": ["m1"], "e1": ["e1"], "no": []} == named


async def test_what_was_put_in_by_hand_is_found_after_its_end(queue: Queue, settings: Settings) -> None:
    """
    It had no place in the index before, for nobody accepted it.
    """
    client = queue.connections.commands
    fields = {"kind": "text", "chat_id": "c1", "body": '{"text": "by hand"}'}
    entry_id = await client.xadd(queue.keys.commands.stream, fields)  # type: ignore[arg-type]
    async with queue.running(Recorder(decide)):
        await eventually(queue.empty)

    search = search_of(queue, settings)
    assert [entry_id] == ids(await search.find(USER_ID, Wanted(chat_id="c1", text="BY HAND")))
    assert [entry_id] == [found.id for found in await search.named(USER_ID, str(entry_id))]


async def test_a_search_goes_on_where_it_stopped(queue: Queue, settings: Settings) -> None:
    """
    It looks at a limited number of entries, says how far it came, and finds the rest from there, each once.
    """
    for n in range(450):
        await queue.send(f"m{n}", "rare" if n < 3 else "often")
    search = search_of(queue, settings)

    first = await search.find(USER_ID, Wanted(chat_id="rare"), looks=200)
    second = await search.find(USER_ID, Wanted(chat_id="rare"), older=first.older, looks=200)
    third = await search.find(USER_ID, Wanted(chat_id="rare"), older=second.older, looks=200)
    assert ([], 200, [], 200) == (ids(first), first.looked, ids(second), second.looked)
    assert (["m2", "m1", "m0"], 50, None) == (ids(third), third.looked, third.older)

    pages, older = [], None
    while True:
        page = await search.find(USER_ID, Wanted(), older=older, rows=70)
        pages += ids(page)
        older = page.older
        if older is None:
            break
    assert [f"m{n}" for n in reversed(range(450))] == pages


async def test_the_index_forgets_after_three_days(queue: Queue) -> None:
    """
    What was accepted more than 72 h ago goes with the next that comes, by whole nodes of the stream.
    """
    client = queue.connections.commands
    for n in range(300):
        old = {"side": "c", "id": f"old{n}", "chat": "c1"}
        await client.xadd(queue.keys.messages, old, id=f"{n + 1}-0")  # type: ignore[arg-type]
    await queue.send("m1")

    listed = [fields["id"] for _, fields in await read_rows(client, queue.keys.messages, "-", "+")]
    assert ("m1", True) == (listed[-1], len(listed) < 300)


async def test_no_text_is_kept_where_that_is_not_wanted(queue: Queue, settings: Settings) -> None:
    """
    KEEP_TEXTS=false: with its end, or when it is taken back, a message's text is gone; the message is still found.
    """
    private = settings.model_copy(update={"keep_texts": False})
    queue.settings, queue.records = private, Records(queue.connections, private)
    await queue.send("m1", "c1")
    await queue.send("m2", "c1", not_before_ms=9_999_999_999_999)
    assert await queue.records.cancel(USER_ID, "m2") == "cancelled"
    async with queue.running(Recorder(decide)):
        await queue.records.wait(USER_ID, "m1", 5.0)

    for name in ("m1", "m2"):
        assert "text" not in await queue.connections.commands.hgetall(queue.keys.command(name))
    assert ["m2", "m1"] == ids(await search_of(queue, private).find(USER_ID, Wanted()))


async def test_a_text_is_kept_and_not_shown_by_the_api(queue: Queue) -> None:
    """
    The record of what ended, or was taken back, has it for searches; what the API answers has not.
    """
    await queue.send("m1", "c1")
    await queue.send("m2", "c1", not_before_ms=9_999_999_999_999)
    assert await queue.records.cancel(USER_ID, "m2") == "cancelled"
    async with queue.running(Recorder(decide)):
        await queue.records.wait(USER_ID, "m1", 5.0)

    for name in ("m1", "m2"):
        record = await queue.records.command(USER_ID, name)
        assert record is not None
        assert (name, False) == (record.fields["text"], "text" in record.to_json())


async def test_why_a_message_waits(queue: Queue) -> None:
    """
    Behind whom of its chat, or until when.
    """
    await queue.send("slow1", "c1")
    await queue.send("m2", "c1")
    await queue.send("m3", "c1")
    await queue.send("later", "c2", not_before_ms=9_999_999_999_999)
    client = queue.connections.commands

    async def why(name: str) -> waiting.Waiting:
        record = await queue.records.command(USER_ID, name)
        assert record is not None
        assert record.standing is not None
        return await waiting.why(client, queue.keys, record.standing)

    assert [waiting.Waiting(unseen=n) for n in range(4)] == [await why(name) for name in ("slow1", "m2", "m3", "later")]
    recorder = Recorder(decide)
    async with queue.running(recorder):
        await recorder.count(1)

        async def looked_at() -> bool:
            return (await why("later")).due_in_ms is not None and (await why("slow1")).due_in_ms is not None

        await eventually(looked_at)
        found = [await why(name) for name in ("slow1", "m2", "m3", "later")]

    assert [None, "slow1", "slow1", None] == [one.head for one in found]
    assert [0, 1, 2, 0] == [one.before for one in found]
    assert 590_000 < (found[0].due_in_ms or 0) <= 600_000
    assert (found[3].due_in_ms or 0) > 10**12
