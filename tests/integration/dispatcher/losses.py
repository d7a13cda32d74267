"""
What is lost of sends, and what a person does in Avito's app meanwhile.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Literal

from common.queue.intake import NewEvent
from ingress.envelopes import Envelope, read
from sandbox import AvitoFault
from sandbox.chats import Message
from sandbox.webhooks import envelope
from tests.integration.dispatcher.gateway import Gateway

Loss = Literal["answered", "taken", "cut"]
"""
What becomes of a send's first attempt: it is answered; Avito takes it and the answer is lost; it never arrives.
"""


def lose(gateway: Gateway, losses: Sequence[Loss], path: str = "*/messages") -> None:
    """
    Let the next sends to `path` go so, one after the other; what is sent again is answered.
    """
    passed = 0
    for loss in losses:
        if loss == "answered":
            passed += 1
            continue
        # A rule that is not asked, since an earlier one hits, does not count the request.
        fault = AvitoFault(kind="drop", taken=loss == "taken", skip=passed, count=1, method="POST", path=path)
        gateway.sandbox.faults.add(fault)
        passed += loss == "cut"


def by_hand(gateway: Gateway, text: str = "same", *, ago_s: float = 0.0, picture: bool = False) -> Message:
    """
    Let the seller write in Avito's app, so long ago by Avito's clock; its webhook does not come.
    """
    clock = gateway.sandbox.clock
    clock.shift_s -= ago_s
    content = {"image": {"sizes": {"1280x960": "https://img.k.avito.ru/chat/1280x960/other.png"}}}
    message = gateway.sandbox.avito.receive(
        gateway.chat_id,
        text,
        type="image" if picture else "text",
        content=content if picture else None,
        author_id=int(gateway.user_id),
        announce=False,
    )
    clock.shift_s += ago_s
    return message


async def echo(gateway: Gateway, message: Message) -> None:
    """
    Let the webhook of a message come in now.
    """
    chat = gateway.sandbox.avito.chats[message.chat_id]
    body = json.dumps(envelope(chat, message, time.time() + gateway.sandbox.clock.shift_s)).encode()
    found = read(body)
    assert isinstance(found, Envelope)
    event = NewEvent(
        id=found.message_id,
        chat_id=found.chat_id,
        body=found.body,
        own=found.own,
        fingerprint=found.mark,
        created_ms=found.created_ms,
    )
    await gateway.intake.event(gateway.user_id, event)
