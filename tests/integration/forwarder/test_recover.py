"""
Messages whose webhook never came, found in the chats of the stand-in for Avito.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable

import pytest
from structlog.testing import capture_logs

from common.avito.client import Avito
from common.errors import NoPermit
from common.queue.connection import Connections
from common.queue.intake import Intake, NewEvent
from common.queue.keys import AccountKeys
from common.queue.records import Records
from common.queue.replies import read_rows
from common.settings import Settings
from forwarder import missed
from forwarder.recover import MissedWebhooks
from sandbox import AvitoFault, Sandbox
from sandbox.chats import Chat, Message
from sandbox.webhooks import envelope
from tests.harness import eventually
from tests.integration.forwarder.stage import USER_ID, Configure, Events, Running

DAY_S = 24 * 3600
UNREAD = "*/chats"


class Replica:
    """
    One process's search, with an Avito client of its own.
    """

    def __init__(self, settings: Settings, connections: Connections) -> None:
        self.settings = settings
        self.avito = Avito(settings, connections)
        self.account = settings.accounts[0]
        self.intake = Intake(connections, settings)
        self.search = MissedWebhooks(
            self.account,
            settings,
            avito=self.avito,
            connections=connections,
            intake=self.intake,
            at_once=asyncio.Semaphore(4),
        )

    async def aclose(self) -> None:
        """
        Close what the replica opened.
        """
        await self.intake.stop()
        await self.avito.aclose()


class Shore:
    """
    What the tests do to the stand-in, and where they look.
    """

    def __init__(self, sandbox: Sandbox, connections: Connections, settings: Settings) -> None:
        self.sandbox = sandbox
        self.redis = connections.commands
        self.keys = AccountKeys(settings.key_prefix, USER_ID)

    def chat(self) -> Chat:
        """
        Create a chat.
        """
        return self.sandbox.avito.create_chat()

    def lost(self, chat: Chat, text: str = "lost", *, age_s: float = 60, **more: object) -> Message:
        """
        Let a message arrive `age_s` ago whose webhook is lost.
        """
        message = self.sandbox.avito.receive(chat.id, text, announce=False, **more)  # type: ignore[arg-type]
        message.created_s -= int(age_s)
        return message

    async def began(self, ago_s: float) -> None:
        """
        Let the gateway's first search lie in the past.
        """
        await self.redis.set(self.keys.recover_since, round((time.time() - ago_s) * 1000))

    async def events(self) -> list[dict[str, str]]:
        """
        Return the entries of the event stream.
        """
        return [fields for _, fields in await read_rows(self.redis, self.keys.events.stream, "-", "+")]

    async def texts(self) -> list[str]:
        """
        Return the texts of the events that wait, in their order.
        """
        bodies = [json.loads(fields["body"]) for fields in await self.events()]
        return [body["payload"]["value"]["content"]["text"] for body in bodies]

    async def is_unlocked(self) -> bool:
        """
        Say whether the lock is gone.
        """
        return not await self.redis.exists(self.keys.recover_lock)

    def asked(self) -> tuple[int, int]:
        """
        Return how often Avito was asked for its chats, and for a chat's messages.
        """
        records = self.sandbox.journal.list("avito", path="/chats")
        paths = [record.path.rstrip("/") for record in records if record.method == "GET"]
        return sum(path.endswith("/chats") for path in paths), sum(path.endswith("/messages") for path in paths)


@pytest.fixture(name="shore")
def _shore(sandbox: Sandbox, connections: Connections, settings: Settings) -> Shore:
    return Shore(sandbox, connections, settings)


@pytest.fixture(name="replica")
async def _replica(configure: Configure, connections: Connections) -> AsyncIterator[Callable[..., Replica]]:
    made: list[Replica] = []

    def replica(**changes: object) -> Replica:
        made.append(Replica(configure(**changes), connections))
        return made[-1]

    yield replica
    for one in made:
        await one.aclose()


Make = Callable[..., Replica]


async def test_a_lost_message_reaches_n8n(
    sandbox: Sandbox, configure: Configure, running: Running, events: Events, shore: Shore, connections: Connections
) -> None:
    """
    It arrives as the webhook would have, with name and ad and `meta.recovered`; the webhook that comes late is a copy.
    """
    chat = sandbox.avito.create_chat(customer_name="Анна", title="Коляска")
    message = shore.lost(chat, "куплю")
    settings = configure()
    async with running(settings):
        [call] = await sandbox.n8n.wait_for(lambda calls: len(calls) == 1)
        late = envelope(chat, message, time.time())
        await events.webhook(late["payload"]["value"])
        await events.message("u2i-other", "next")
        received = await sandbox.n8n.wait_for(lambda calls: len(calls) >= 2)
    record = await Records(connections, settings).event(USER_ID, message.id)
    event = call.json

    assert ("куплю", "Анна", "Коляска") == (event["text"], event["client_name"], event["meta"]["ad"]["title"])
    assert (True, None, None) == tuple(event["meta"][name] for name in ("recovered", "webhook_id", "webhook_timestamp"))
    assert late["payload"]["value"] == event["meta"]["raw"]
    assert (message.id, message.id) == (call.headers["webhook-id"], event["meta"]["external_message_id"])
    assert ["куплю", "next"] == [one.json["text"] for one in received]
    assert "recovered" not in received[1].json["meta"]
    assert record is not None
    assert ("delivered", "1") == (record.status, record.fields["recovered"])


async def test_what_is_missing_in_a_chat_comes_in_order(
    sandbox: Sandbox, configure: Configure, running: Running, events: Events, shore: Shore
) -> None:
    """
    Holes between messages that came, and a picture among them: n8n gets what is missing, oldest first.
    """
    chat = shore.chat()
    for number in range(9):
        message = shore.lost(chat, str(number), age_s=90 - number)
        if number in (2, 5, 8):
            await events.webhook(envelope(chat, message, time.time())["payload"]["value"])
    sizes = {"1280x960": "https://img.k.avito.ru/chat/1280x960/1.jpg"}
    shore.lost(chat, type="image", content={"image": {"sizes": sizes}}, age_s=30)
    async with running(configure(enrich_wait=0)):
        received = await sandbox.n8n.wait_for(lambda calls: len(calls) == 10)

    assert ["2", "5", "8", "0", "1", "3", "4", "6", "7", ""] == [call.json["text"] for call in received]
    assert [{"url": sizes["1280x960"]}] == received[-1].json["media"]["images"]
    assert 7 == sum("recovered" in call.json["meta"] for call in received)


async def test_a_chat_longer_than_a_page_is_read_to_its_end(shore: Shore, replica: Make) -> None:
    """
    250 messages were lost in one chat: all come, in order.
    """
    chat = shore.chat()
    for number in range(250):
        shore.lost(chat, str(number), age_s=100)
    await replica().search.turn()

    assert [str(number) for number in range(250)] == await shore.texts()
    assert (1, 3) == shore.asked()


async def test_the_first_start_does_not_flood_n8n(shore: Shore, replica: Make) -> None:
    """
    120 chats that were unread before the gateway came stay so, and cost nothing; one of the last minutes is taken.
    """
    for number in range(120):
        shore.lost(shore.chat(), f"old {number}", age_s=DAY_S - number)
    shore.lost(shore.chat(), "just before", age_s=missed.FIRST_LOOK_BACK_S - 60)
    await replica().search.turn()

    assert ["just before"] == await shore.texts()
    assert (1, 1) == shore.asked()


async def test_a_list_longer_than_a_page_is_read_to_its_end(shore: Shore, replica: Make) -> None:
    """
    120 chats lost a message each: all are found, and none is asked for twice.
    """
    for number in range(120):
        shore.lost(shore.chat(), str(number))
    await replica(rate_limit_requests=1000).search.turn()

    assert {str(number) for number in range(120)} == set(await shore.texts())
    assert (2, 120) == shore.asked()


async def test_only_what_n8n_took_part_in_goes_back_further(shore: Shore, events: Events, replica: Make) -> None:
    """
    Behind a message that came by webhook even an old one counts, before it none does.
    """
    chat = shore.chat()
    shore.lost(chat, "long ago", age_s=DAY_S + 20)
    seen = shore.lost(chat, "seen", age_s=DAY_S + 10)
    await events.webhook(envelope(chat, seen, time.time())["payload"]["value"])
    shore.lost(chat, "hole", age_s=DAY_S)
    shore.lost(chat, "now")
    await replica().search.turn()

    assert ["seen", "hole", "now"] == await shore.texts()


async def test_after_a_day_away_the_missed_messages_come(shore: Shore, replica: Make) -> None:
    """
    A gateway that has run before takes what it missed while it was down, up to EVENT_MAX_AGE.
    """
    await shore.began(30 * DAY_S)
    shore.lost(shore.chat(), "too old", age_s=2 * DAY_S + 10)
    shore.lost(shore.chat(), "yesterday", age_s=DAY_S)
    await replica(event_max_age=2 * DAY_S).search.turn()

    assert ["yesterday"] == await shore.texts()


async def test_our_own_and_avitos_messages_are_not_missed(shore: Shore, replica: Make) -> None:
    """
    Only the customer's messages come; Avito's notices do when FORWARD_SYSTEM asks for them.
    """
    chat = shore.chat()
    shore.lost(chat, "customer")
    shore.lost(chat, "own", author_id=int(USER_ID))
    shore.lost(chat, "notice", type="system")
    await replica().search.turn()
    without = await shore.texts()
    shore.lost(chat, "another notice", type="system", age_s=30)
    await replica(forward_system=True).search.turn()

    assert (["customer"], ["customer", "another notice"]) == (without, await shore.texts())


async def test_chats_that_were_read_are_left_alone(shore: Shore, replica: Make) -> None:
    """
    What somebody has read in Avito's app needs no answer of n8n's.
    """
    chat = shore.chat()
    shore.lost(chat)
    shore.sandbox.avito.read(int(USER_ID), chat.id)
    await replica().search.turn()

    assert [] == await shore.texts()


async def test_messages_of_all_kinds_of_chats_are_found(shore: Shore, replica: Make) -> None:
    """
    Chats by profile are searched as well, and their messages say so.
    """
    shore.lost(shore.sandbox.avito.create_chat("u2u-eeE5W8c5Fzps3~AAlgzZVw"))
    await replica().search.turn()
    [event] = await shore.events()
    value = json.loads(event["body"])["payload"]["value"]

    assert ("u2u-eeE5W8c5Fzps3~AAlgzZVw", "u2u", None) == (event["chat_id"], value["chat_type"], value["item_id"])


async def test_a_message_gets_the_time_its_webhook_needs(shore: Shore, replica: Make) -> None:
    """
    A message of this moment is not called missed; the search comes back for it soon.
    """
    chat = shore.chat()
    message = shore.lost(chat, age_s=0)
    one = replica()
    soon_s = await one.search.turn()
    early = await shore.texts()
    message.created_s -= 10
    await replica().search.turn()

    assert (missed.GRACE_S, [], ["lost"]) == (soon_s, early, await shore.texts())


async def test_a_round_with_nothing_new_is_one_request(shore: Shore, replica: Make) -> None:
    """
    An unread chat is read when it shows something new, not in every round; then only what is new is looked at.
    """
    chat = shore.chat()
    for number in range(150):
        shore.lost(chat, str(number))
    await replica().search.turn()
    first = shore.asked()
    await replica().search.turn()
    idle = shore.asked()
    shore.lost(chat, "new", age_s=30)
    await replica().search.turn()

    assert ((1, 2), (2, 2), (3, 3)) == (first, idle, shore.asked())
    assert "new" == (await shore.texts())[-1]


async def test_a_chat_that_was_read_is_forgotten(shore: Shore, replica: Make) -> None:
    """
    What is kept of the search is as long as the list of unread chats.
    """
    read, unread = shore.chat(), shore.chat()
    shore.lost(read)
    last = shore.lost(unread)
    await replica().search.turn()
    both = await shore.redis.hlen(shore.keys.recover_chats)
    shore.sandbox.avito.read(int(USER_ID), read.id)
    await replica().search.turn()

    assert (2, {unread.id: last.id}) == (both, await shore.redis.hgetall(shore.keys.recover_chats))


async def test_one_replica_does_it(shore: Shore, replica: Make) -> None:
    """
    Of five that start together one searches; the others wait for the next round.
    """
    shore.lost(shore.chat())
    waits_s = await asyncio.gather(*(replica().search.turn() for _ in range(5)))

    assert ["lost"] == await shore.texts()
    assert (1, 1) == shore.asked()
    assert all(0 < wait_s <= 300 for wait_s in waits_s)


async def test_a_new_process_searches_at_once(shore: Shore, replica: Make) -> None:
    """
    The lock keeps those who run from searching too often, but not one that has just started.
    """
    first = replica()
    await first.search.turn()
    shore.lost(shore.chat())
    await first.search.turn()
    too_early = await shore.texts()
    await replica().search.turn()

    assert ([], ["lost"]) == (too_early, await shore.texts())


async def test_a_round_that_broke_off_is_taken_over_when_its_lock_ends(shore: Shore, replica: Make) -> None:
    """
    A killed process keeps the others off as long as its lock lasts, and none for longer than a round may take.
    """
    shore.lost(shore.chat())
    await shore.redis.set(shore.keys.recover_lock, "killed", ex=60)
    one = replica()
    held_s = await one.search.turn()
    before = await shore.texts()
    await shore.redis.pexpire(shore.keys.recover_lock, 1)
    await eventually(shore.is_unlocked)
    await one.search.turn()
    texts = await shore.texts()
    await shore.redis.set(shore.keys.recover_lock, "before the clock was put back", px=3_600_000)
    await replica().search.turn()

    assert (True, [], ["lost"]) == (0 < held_s <= 60, before, texts)
    assert (2, 1) == shore.asked()


async def test_one_who_lost_the_lock_leaves_the_rest_to_its_holder(shore: Shore, replica: Make) -> None:
    """
    A process that slept through its lock stops in the middle, and does not touch the other's lock.
    """
    shore.lost(shore.chat())
    shore.sandbox.faults.add(AvitoFault(kind="latency", delay_s=0.3, path=UNREAD))
    turn = asyncio.create_task(replica().search.turn())
    await eventually(lambda: len(shore.sandbox.journal.list("avito", path="/chats")) == 1)
    await shore.redis.set(shore.keys.recover_lock, "another")
    await turn

    assert [] == await shore.texts()
    assert "another" == await shore.redis.get(shore.keys.recover_lock)


async def test_the_search_goes_on_in_its_interval(
    sandbox: Sandbox, configure: Configure, running: Running, shore: Shore
) -> None:
    """
    What gets lost while the gateway runs is found by the next round.
    """
    chat = shore.chat()
    async with running(configure(enrich_wait=0, reconcile_interval=0.1)):
        for number in range(3):
            shore.lost(chat, str(number))
            await sandbox.n8n.wait_for(lambda calls, wanted=number + 1: len(calls) == wanted)  # type: ignore[misc]

    assert ["0", "1", "2"] == [call.json["text"] for call in sandbox.n8n.received]


async def test_zero_turns_it_off(sandbox: Sandbox, configure: Configure, running: Running, events: Events) -> None:
    """
    RECONCILE_INTERVAL=0: events are delivered, and Avito is never asked.
    """
    sandbox.avito.receive(sandbox.avito.create_chat().id, "lost", announce=False)
    await events.message("u2i-a")
    async with running(configure(enrich_wait=0, reconcile_interval=0)):
        await sandbox.n8n.wait_for(lambda calls: len(calls) == 1)

    assert [] == sandbox.journal.list("avito")


async def test_a_busy_gate_puts_it_off(shore: Shore, replica: Make) -> None:
    """
    While sends use the whole limit no request is made; the next round makes up for it.
    """
    shore.lost(shore.chat())
    one = replica(rate_limit_requests=2, bulk_reserve=0)
    gate = one.avito.gate(one.account)
    permits = [await gate.acquire(wait_s=1) for _ in range(2)]
    with pytest.raises(NoPermit):
        await one.search.turn()
    asked = shore.asked()
    for permit in permits:
        permit.how = "unused"
        await permit.release()
    left_s = await shore.redis.ttl(shore.keys.recover_lock)

    assert ((0, 0), True) == (asked, 0 < left_s <= 60)


async def test_half_of_the_limit_is_left_to_the_sends(shore: Shore, replica: Make) -> None:
    """
    When half of it is used, a chat is only read if its last message is certainly missing; the others wait.
    """
    certain, other = shore.chat(), shore.chat()
    shore.lost(certain, "certain")
    shore.lost(other, "perhaps")
    seen = shore.lost(other, "seen", age_s=50)
    one = replica(rate_limit_requests=6, bulk_reserve=0)
    body = json.dumps(envelope(other, seen, time.time()))
    await one.intake.event(USER_ID, NewEvent(id=seen.id, chat_id=other.id, body=body))
    await one.search.turn()
    busy = await shore.texts()
    await replica().search.turn()

    # Token, list and one chat: half of six.
    assert (["seen", "certain"], ["seen", "certain", "perhaps"]) == (busy, await shore.texts())


async def test_a_chat_avito_does_not_show_holds_up_nobody(shore: Shore, replica: Make) -> None:
    """
    A refused chat is left out, in this round and the next, until something new is in it.
    """
    refused, fine = shore.chat(), shore.chat()
    shore.lost(fine, "fine")
    shore.lost(refused, "refused")
    shore.sandbox.faults.add(AvitoFault(kind="status", status=404, path=f"*{refused.id[4:]}*", count=1))
    for _ in range(2):
        await replica().search.turn()

    assert ["fine"] == await shore.texts()
    assert (2, 2) == shore.asked()


async def test_a_search_that_fails_is_told_once_and_goes_on(
    sandbox: Sandbox, configure: Configure, running: Running, shore: Shore
) -> None:
    """
    Avito answers 500 for a while: one warning, and what is missing comes afterwards.
    """
    shore.lost(shore.chat())
    sandbox.faults.add(AvitoFault(kind="status", status=500, path=UNREAD, count=9))
    with capture_logs() as logs:
        async with running(configure(enrich_wait=0, reconcile_interval=0.05)):
            await sandbox.n8n.wait_for(lambda calls: len(calls) == 1, timeout_s=20)
    told = [line["event"] for line in logs]

    assert (1, 1) == (told.count("search.failed"), told.count("webhook.recovered"))
    assert not [line for line in logs if "lost" in json.dumps(line, default=str)]


async def test_a_search_that_hangs_does_not_hold_up_the_end(
    sandbox: Sandbox, configure: Configure, running: Running, shore: Shore
) -> None:
    """
    A forwarder that stops while Avito is silent cuts the question short; one that starts then searches at once.
    """
    shore.lost(shore.chat())
    number = sandbox.faults.add(AvitoFault(kind="hang", path=UNREAD))
    async with running(configure(enrich_wait=0)):
        await eventually(lambda: len(sandbox.journal.list("avito", path="/chats")) == 1)
    sandbox.faults.remove(number)
    async with running(configure(enrich_wait=0)):
        received = await sandbox.n8n.wait_for(lambda calls: len(calls) == 1)

    assert ["lost"] == [call.json["text"] for call in received]


async def test_messages_are_dated_by_avitos_clock(shore: Shore, replica: Make) -> None:
    """
    A clock of Avito's that is an hour behind ours makes no message too old, and an hour ahead none too young.
    """
    for shift_s in (-3600.0, 3600.0):
        shore.sandbox.clock.shift_s = shift_s
        await shore.redis.delete(shore.keys.recover_since)
        shore.lost(shore.chat(), f"{shift_s:g}", age_s=60)
        await replica().search.turn()

    assert ["-3600", "3600"] == await shore.texts()


@pytest.mark.parametrize("lists", ["object", "array"])
async def test_either_shape_of_a_list_is_read(shore: Shore, replica: Make, lists: str) -> None:
    """
    Messages as the live object, and as the bare array of the specification.
    """
    shore.sandbox.avito.behaviour = shore.sandbox.avito.behaviour.model_copy(update={"lists": lists})
    chat = shore.chat()
    for number in range(100):
        shore.lost(chat, str(number))
    await replica().search.turn()

    assert 100 == len(await shore.texts())
