"""
Each fault of the Avito stand-in, seen from a client's side, and the decision behind them.
"""

from __future__ import annotations

import asyncio
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from pydantic import ValidationError

from sandbox import Account, AvitoFault, Behaviour, Limit, N8nFault, WebhookFault
from sandbox.faults import FAULT, Faults

if TYPE_CHECKING:
    from sandbox import Sandbox
    from tests.sandbox.conftest import Seller

SENDS = "*/messages"


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (402, {"error": {"code": 402, "message": "Payment required"}}),
        (403, {"error": {"code": 403, "message": "Forbidden"}}),
        (429, {"error": {"code": 429}}),
        (500, {"error": {"code": 500, "message": "Error while processing request. Please, contact support"}}),
        (502, None),
        (503, None),
        (504, None),
    ],
)
async def test_status(sandbox: Sandbox, seller: Seller, status: int, body: Any) -> None:
    """
    A status fault answers in Avito's shape, 502 to 504 in Envoy's, and the message is not taken.
    """
    sandbox.faults.add(AvitoFault(kind="status", status=status, count=1))

    answer = await seller.send("x")

    assert (status, []) == (answer.status_code, sandbox.avito.sent())
    if body is None:
        assert answer.text.startswith("upstream connect error")
        assert answer.headers["content-type"] == "text/plain"
    else:
        assert body == answer.json()
    assert 200 == (await seller.send("x")).status_code


async def test_error_after_taking(sandbox: Sandbox, seller: Seller) -> None:
    """
    A 500 may come although the message was taken.
    """
    sandbox.faults.add(AvitoFault(kind="status", status=500, taken=True))

    assert 500 == (await seller.send("x")).status_code
    assert 1 == len(sandbox.avito.sent())


async def test_429_headers(sandbox: Sandbox, seller: Seller) -> None:
    """
    Retry-After in both forms and the X-RateLimit headers can be switched on; without them a 429 has none.
    """
    faults = [
        AvitoFault(kind="status", status=429, count=1),
        AvitoFault(kind="status", status=429, count=1, retry_after_s=7, rate_headers=True),
        AvitoFault(kind="status", status=429, count=1, retry_after_s=60, retry_after_form="date"),
    ]
    for fault in faults:
        sandbox.faults.add(fault)
    bare, seconds, date = [await seller.send("x") for _ in faults]

    assert not {"retry-after", "x-ratelimit-limit"} & set(bare.headers)
    assert ("7", "100", "0") == tuple(
        seconds.headers[name] for name in ("retry-after", "x-ratelimit-limit", "x-ratelimit-remaining")
    )
    later = parsedate_to_datetime(date.headers["retry-after"]) - parsedate_to_datetime(date.headers["date"])
    assert 59 <= later.total_seconds() <= 61


@pytest.mark.parametrize(("taken", "sent"), [(False, 0), (True, 1)])
async def test_drop(sandbox: Sandbox, seller: Seller, taken: bool, sent: int) -> None:
    """
    The connection is closed without a byte of an answer, before or after the message was taken.
    """
    sandbox.faults.add(AvitoFault(kind="drop", taken=taken, count=1))

    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        await seller.send("x")

    assert sent == len(sandbox.avito.sent())
    record = sandbox.journal.list("avito", path="/messages")[-1]
    assert ("dropped", None, "drop") == (record.outcome, record.status, record.fault)
    assert 200 == (await seller.send("y")).status_code


@pytest.mark.parametrize(("taken", "sent"), [(False, 0), (True, 1)])
async def test_hang(sandbox: Sandbox, seller: Seller, taken: bool, sent: int) -> None:
    """
    The client's timeout passes, before or after the message was taken; then the request is no longer open.
    """
    sandbox.faults.add(AvitoFault(kind="hang", taken=taken, count=1))

    with pytest.raises(httpx.ReadTimeout):
        await seller.post(
            "/v1/C/messages", {"message": {"text": "x"}, "type": "text"}, timeout=httpx.Timeout(5.0, read=0.1)
        )

    await sandbox.journal.wait_for(lambda journal: journal.list("avito")[-1].outcome == "held")
    assert (sent, 0) == (len(sandbox.avito.sent()), sandbox.journal.open_now["avito"])


async def test_hang_with_an_end(sandbox: Sandbox, seller: Seller) -> None:
    """
    A taken request is answered after the hold, one that is not taken is cut then.
    """
    sandbox.faults.add(AvitoFault(kind="hang", taken=True, hold_s=0.05, count=1))
    sandbox.faults.add(AvitoFault(kind="hang", hold_s=0.05, count=1))

    taken = await seller.send("x")
    with pytest.raises(httpx.RemoteProtocolError):
        await seller.send("y")

    assert (200, ["x"]) == (taken.status_code, [message.content["text"] for message in sandbox.avito.sent()])


async def test_latency_joins_other_faults(sandbox: Sandbox, seller: Seller) -> None:
    """
    A latency delays the answer, whatever it is, within its range.
    """
    sandbox.faults.add(AvitoFault(kind="latency", delay_s=0.05, delay_max_s=0.06))
    sandbox.faults.add(AvitoFault(kind="status", status=500, count=1))

    answers = [await seller.send("x"), await seller.send("y")]

    assert [500, 200] == [answer.status_code for answer in answers]
    records = sandbox.journal.list("avito", path="/messages")
    assert ["latency status", "latency"] == [record.fault for record in records]
    assert all((record.ended_mono_s or 0.0) - record.arrived_mono_s >= 0.05 for record in records)


async def test_expired_token_once(sandbox: Sandbox, seller: Seller) -> None:
    """
    A good token is refused as expired, in the form asked for.
    """
    sandbox.faults.add(AvitoFault(kind="expired_token", form="200", path=SENDS, count=1))

    refused, sent = await seller.send("x"), await seller.send("x")

    assert {"result": {"status": False, "message": "access token expired"}} == refused.json()
    assert (200, "id") == (refused.status_code, next(iter(sent.json())))


async def test_limiter(sandbox: Sandbox, seller: Seller) -> None:
    """
    The limiter lets N arrivals of a window through and answers 429 to the next, with Retry-After if wanted.
    """
    sandbox.journal.clear()
    limit = Limit(requests=3, window_s=60, retry_after=True, rate_headers=True)
    sandbox.avito.behaviour = Behaviour(limit=limit)

    answers = [await seller.get("/v2/C") for _ in range(5)]

    assert [200, 200, 200, 429, 429] == [answer.status_code for answer in answers]
    assert ("60", "3") == (answers[3].headers["retry-after"], answers[3].headers["x-ratelimit-limit"])
    assert 5 == sandbox.journal.worst(60)


async def test_limiter_is_per_account(sandbox: Sandbox, seller: Seller) -> None:
    """
    One account's 429 is not another's.
    """
    sandbox.avito.register(Account(user_id=7, client_id="other", client_secret="o"))
    sandbox.avito.behaviour = Behaviour(limit=Limit(requests=1, window_s=60))
    form = {"grant_type": "client_credentials", "client_id": "other", "client_secret": "o"}

    answers = [await seller.get("/v2/C"), await seller.get("/v2/C"), await seller.http.post("/token", data=form)]

    assert [200, 429, 200] == [answer.status_code for answer in answers]


async def test_avito_down_and_up(sandbox: Sandbox, seller: Seller) -> None:
    """
    Avito can refuse connections, and is back under the same address.
    """
    url = sandbox.avito_url
    await sandbox.avito_down()
    with pytest.raises(httpx.ConnectError):
        async with httpx.AsyncClient() as anybody:
            await anybody.get(url)
    await sandbox.avito_up()

    assert (url, 200) == (sandbox.avito_url, (await seller.send("x")).status_code)


async def test_open_requests_are_counted(sandbox: Sandbox, seller: Seller) -> None:
    """
    The journal knows how many requests were open at once.
    """
    sandbox.journal.clear()
    sandbox.faults.add(AvitoFault(kind="hang", taken=True))

    sends = [asyncio.create_task(seller.send(str(number))) for number in range(4)]
    await sandbox.avito.wait_for(lambda avito: len(avito.sent()) == 4)
    await sandbox.avito_down()
    outcomes = await asyncio.gather(*sends, return_exceptions=True)

    assert all(isinstance(outcome, httpx.TransportError) for outcome in outcomes)
    assert (4, 0) == (sandbox.journal.open_max["avito"], sandbox.journal.open_now["avito"])


@pytest.mark.parametrize(
    ("rule", "asked", "hits"),
    [
        ({}, [("POST", "/a")] * 3, [1, 1, 1]),
        ({"count": 2}, [("POST", "/a")] * 3, [1, 1, 0]),
        ({"skip": 1, "count": 1}, [("POST", "/a")] * 3, [0, 1, 0]),
        ({"method": "get"}, [("POST", "/a"), ("GET", "/a")], [0, 1]),
        (
            {"path": "*/messages"},
            [("POST", "/c/messages"), ("POST", "/c/messages/image"), ("POST", "/token")],
            [1, 0, 0],
        ),
        ({"path": "/token"}, [("POST", "/token/"), ("POST", "/token")], [1, 1]),
        ({"path": "*/messages", "count": 1}, [("POST", "/token"), ("POST", "/c/messages")], [0, 1]),
    ],
)
def test_rules(rule: dict[str, Any], asked: list[tuple[str, str]], hits: list[int]) -> None:
    """
    A rule hits what it is about: after `skip`, `count` times, by method and path.
    """
    faults = Faults()
    faults.add(AvitoFault(kind="drop", **rule))

    assert hits == [len(faults.strike(AvitoFault, method, path)) for method, path in asked]


def test_probability_is_repeatable() -> None:
    """
    The same seed strikes the same requests, about as many as the probability says.
    """

    def struck(seed: int) -> list[int]:
        faults = Faults(seed)
        faults.add(AvitoFault(kind="drop", probability=0.05))
        return [number for number in range(2000) if faults.strike(AvitoFault, "POST", "/x")]

    assert struck(1) == struck(1)
    assert struck(1) != struck(2)
    assert 60 <= len(struck(1)) <= 140


def test_first_rule_wins() -> None:
    """
    Of two faults the older one strikes, and the younger one keeps its count for later.
    """
    faults = Faults()
    faults.add(AvitoFault(kind="drop", count=1))
    faults.add(AvitoFault(kind="status", count=1))

    kinds = [[fault.kind for fault in faults.strike(AvitoFault, "POST", "/x")] for _ in range(3)]

    assert [["drop"], ["status"], []] == kinds
    assert [] == faults.on()


def test_faces_are_apart() -> None:
    """
    A fault of one face never strikes another.
    """
    faults = Faults()
    faults.add(N8nFault(kind="drop"))
    faults.add(WebhookFault(kind="lost"))

    assert [] == faults.strike(AvitoFault, "POST", "/x")


@pytest.mark.parametrize(
    "body",
    [
        {"kind": "drop"},
        {"face": "avito", "kind": "lost"},
        {"face": "n8n", "kind": "expired_token"},
        {"face": "avito", "kind": "drop", "probability": 2},
        {"face": "avito", "kind": "drop", "unknown": 1},
        {"face": "avito", "kind": "latency", "delay_s": 2, "delay_max_s": 1},
    ],
)
def test_bad_faults(body: dict[str, Any]) -> None:
    """
    A fault that makes no sense is refused.
    """
    with pytest.raises(ValidationError):
        FAULT.validate_python(body)
