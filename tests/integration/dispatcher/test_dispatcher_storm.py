"""
Many messages through many faults.
"""

from __future__ import annotations

from sandbox import AvitoFault
from tests.integration.dispatcher.gateway import Start


async def test_two_hundred_messages_through_faults(start: Start) -> None:
    """
    With 5 % server errors, 5 % lost answers and a 429 each message is in its chat once, in order.
    """
    gateway = await start(run=False, max_retries=8)
    gateway.run()
    gateway.run()
    chats = [gateway.sandbox.avito.create_chat().id for _ in range(10)]
    sends = {"method": "POST", "path": "*/messages"}
    gateway.sandbox.faults.add(AvitoFault(kind="status", status=429, skip=50, count=1, **sends))
    gateway.sandbox.faults.add(AvitoFault(kind="status", status=503, probability=0.025, **sends))
    gateway.sandbox.faults.add(AvitoFault(kind="status", status=500, taken=True, probability=0.025, **sends))
    gateway.sandbox.faults.add(AvitoFault(kind="drop", taken=True, probability=0.05, **sends))

    ids = [
        await gateway.queue("text", {"text": str(number)}, chat_id=chat_id) for number in range(20) for chat_id in chats
    ]
    records = [await gateway.end(command_id) for command_id in ids]

    assert {record.status for record in records} == {"sent"}
    for chat_id in chats:
        assert [message.content["text"] for message in gateway.sandbox.avito.sent(chat_id)] == [
            str(number) for number in range(20)
        ]
    assert any("reconciled" in record.fields for record in records)


async def test_the_rate_holds_with_retries_and_look_ups(start: Start) -> None:
    """
    Sends, retries, look-ups and the token call together stay below the limit, by Avito's clock.
    """
    gateway = await start(run=False, max_retries=8, rate_limit_requests=20, rate_limit_window=0.5, max_connections=5)
    gateway.run()
    gateway.run()
    chats = [gateway.sandbox.avito.create_chat().id for _ in range(10)]
    gateway.sandbox.faults.add(AvitoFault(kind="drop", taken=True, probability=0.2, method="POST", path="*/messages"))

    ids = [
        await gateway.queue("text", {"text": str(number)}, chat_id=chat_id) for number in range(6) for chat_id in chats
    ]
    for command_id in ids:
        await gateway.end(command_id)

    assert len(gateway.sandbox.avito.sent()) == 60
    assert gateway.sandbox.journal.worst(window_s=0.5) <= 20
    assert gateway.sandbox.journal.open_max["avito"] <= 5
