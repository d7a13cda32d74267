"""
What becomes of commands whose workers died.
"""

from __future__ import annotations

import pytest

from common.queue.entry import Entry, Tries
from common.queue.intake import NewEvent
from common.queue.keys import AccountKeys
from common.queue.outcomes import Dead, Done, Outcome
from common.queue.receipts import Receipts, fingerprint
from dispatcher.decide import policy_of
from dispatcher.handlers import Sender
from dispatcher.images import Images
from dispatcher.reconcile import Lookup
from tests.integration.dispatcher.gateway import Gateway, Start


async def crashed(gateway: Gateway) -> Outcome:
    """
    Hand a text to the handler for which three workers have died.
    """
    receipts = Receipts(gateway.connections, gateway.settings.key_prefix)
    lookup = Lookup(gateway.account, gateway.avito, receipts)
    handler = Sender(gateway.account, gateway.avito, lookup, Images(gateway.settings), policy_of(gateway.settings))
    fields = {"id": "c", "kind": "text", "chat_id": gateway.chat_id, "body": '{"text":"poison"}'}
    tries = Tries(crashes=3, outcome_unknown=True, unknown_since_ms=1)
    stream = AccountKeys(gateway.settings.key_prefix, gateway.user_id).commands.stream
    async with await gateway.avito.gate(gateway.account).acquire(wait_s=5) as permit:
        return await handler(Entry(stream, "1-0", fields, tries, "crashed", "", permit.taken_ms), permit)


async def test_three_crashes_are_a_dead_letter(start: Start) -> None:
    """
    Nothing more is sent for an entry that has killed three workers.
    """
    gateway = await start(run=False)

    assert await crashed(gateway) == Dead("crashed", "3 workers ended while they handled it")
    assert gateway.sandbox.journal.list("avito") == []


@pytest.mark.parametrize("text", ["poison", "another"])
async def test_a_receipt_counts_after_three_crashes(start: Start, text: str) -> None:
    """
    When the echo shows that the message is out, the command is sent; another message's echo shows nothing.
    """
    gateway = await start(run=False)
    mark = fingerprint("text", {"text": text})
    echo = NewEvent(id="m1", chat_id=gateway.chat_id, body="{}", own=True, fingerprint=mark)
    await gateway.intake.event(gateway.user_id, echo)

    outcome = await crashed(gateway)

    assert isinstance(outcome, Done) is (text == "poison")
