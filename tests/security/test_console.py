"""
The console's door: who has no session sees nothing, and no other site's page changes anything.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import httpx
import pytest
from itsdangerous import TimestampSigner
from litestar import Litestar
from litestar.routes import HTTPRoute

from common.avito.client import Avito
from common.queue.connection import connect
from common.settings import Settings, load
from ingress.app import create_app
from ingress.console.headers import CSP
from ingress.console.login import WRONG_KEY_S
from ingress.console.session import COOKIE, LIFE_S, Sessions
from tests.conftest import USER_ID
from tests.integration.ingress.conftest import API_KEY, Gateway, Serve

OPEN = {"/console/login", "/console/language/{code:str}", "/console/assets/{file_path:path}", "/console/assets"}


def settings_with(**values: object) -> Settings:
    """
    Return settings that need no server.
    """
    return load(None, redis_url="redis://127.0.0.1:1", **values)


@asynccontextmanager
async def browser(gateway: Gateway, *, is_in: bool = True) -> AsyncIterator[httpx.AsyncClient]:
    """
    A client with cookies of its own and no API key in its headers; by default logged in.
    """
    async with httpx.AsyncClient(base_url=gateway.http.base_url, timeout=30.0, trust_env=False) as client:
        if is_in:
            answer = await client.post("/console/login", data={"api_key": API_KEY, "next": "/console"})
            assert 303 == answer.status_code
        yield client


async def token_of(client: httpx.AsyncClient) -> str:
    """
    Return the CSRF token that the pages of this session carry.
    """
    (token,) = set(re.findall(r'"X-CSRF-Token": "([0-9a-f]{64})"', (await client.get("/console")).text))
    return str(token)


def addresses(app: Litestar) -> Iterator[tuple[str, str]]:
    """
    Give every method and address of the console, with something in the place of each parameter.
    """
    for route in app.routes:
        if isinstance(route, HTTPRoute) and route.path.startswith("/console") and route.path not in OPEN:
            for method in route.route_handler_map:
                if method != "OPTIONS":
                    yield str(method), re.sub(r"\{\w+:\w+\}", "1", route.path)


async def held(gateway: Gateway) -> bool:
    """
    Say whether anything is held.
    """
    return bool(await gateway.services.holds.of(USER_ID))


async def test_every_address_asks_for_a_session(gateway: Gateway) -> None:
    """
    Pages show the login with 401; htmx is told to go there; what would change something does not.
    """
    connections = connect("redis://127.0.0.1:1")
    avito = Avito(settings_with(), connections)
    listed = sorted(addresses(create_app(settings_with(), connections, avito)))
    await avito.aclose()
    await connections.aclose()
    answers = {}
    async with browser(gateway, is_in=False) as client:
        for method, path in listed:
            page = await client.request(method, path, data={"direction": "commands"} if method == "POST" else None)
            part = await client.request(method, path, headers={"HX-Request": "true"})
            answers[method, path] = (page.status_code, part.status_code, part.headers.get("hx-redirect"), part.text)
            assert 'name="api_key"' in page.text

    assert ("GET", "/console/state") in listed
    assert ("POST", "/console/hold") in listed
    assert {(401, 401, "/console/login?next=%2Fconsole", "")} == set(answers.values())
    assert not await held(gateway)


def _signed(key: bytes, name: str, at_s: float, salt: str = "session") -> str:
    signer = TimestampSigner(key, salt=salt, key_derivation="hmac", digest_method=hashlib.sha256)
    signer.get_timestamp = lambda: int(at_s)  # type: ignore[method-assign]
    return signer.sign(name).decode()


async def test_a_session_cannot_be_made_elsewhere(gateway: Gateway) -> None:
    """
    Tampered, cut, signed with another key or for another purpose, or older than 12 h: no session.
    """
    sessions, now_s = Sessions(gateway.settings), time.time()
    key = sessions._key
    good = sessions.begin().cookie
    other = Sessions(gateway.settings.model_copy(update={"api_key": None})).begin().cookie
    name, stamp, signature = good.split(".")
    forged = [
        "",
        "x",
        good[:-1],
        good + "A",
        f"{name}x.{stamp}.{signature}",
        f"{name}.{stamp}x.{signature}",
        f"{name}.{stamp}",
        other,
        _signed(key, "name", now_s, salt="other"),
        _signed(b"x" * 32, "name", now_s),
        _signed(key, "name", now_s - LIFE_S - 60),
        "\xff.\xff.\xff",
    ]
    found = []
    async with browser(gateway, is_in=False) as client:
        for cookie in forged:
            headers = [(b"cookie", f"{COOKIE}={cookie}".encode("latin-1"))]
            found.append((await client.get("/console/state", headers=headers)).status_code)
        still = await client.get(
            "/console/state", headers={"cookie": f"{COOKIE}={_signed(key, 'name', now_s - LIFE_S + 600)}"}
        )

    assert [401] * len(forged) == found
    assert 200 == still.status_code


def test_replicas_agree_and_a_new_key_ends_all_sessions() -> None:
    """
    The key of sessions comes from API_KEY alone.
    """
    one, two = (Sessions(settings_with(api_key="a")) for _ in range(2))
    begun = one.begin()

    assert begun == two.known(begun.cookie)
    assert None is Sessions(settings_with(api_key="b")).known(begun.cookie)
    assert one.begin().csrf != begun.csrf


@pytest.mark.parametrize(
    ("headers", "with_token", "status"),
    [
        ({}, True, 200),
        ({"Sec-Fetch-Site": "same-origin"}, True, 200),
        ({"Sec-Fetch-Site": "same-origin"}, False, 403),
        ({}, False, 403),
        ({"X-CSRF-Token": "0" * 64}, False, 403),
        ({"X-CSRF-Token": "ключ"}, False, 403),
        ({"Sec-Fetch-Site": "cross-site"}, True, 403),
        ({"Sec-Fetch-Site": "same-site"}, True, 403),
        ({"Origin": "https://evil.example"}, True, 403),
        ({"Origin": "null"}, True, 403),
    ],
)
async def test_a_change_comes_from_a_page_of_its_own_session(
    gateway: Gateway, headers: dict[str, str], status: int, *, with_token: bool
) -> None:
    """
    Without the session's token, or from another site, a change is refused and nothing happens.
    """
    async with browser(gateway) as client, browser(gateway) as other:
        token = await token_of(client)
        sent = {"X-CSRF-Token": token} if with_token else {"X-CSRF-Token": await token_of(other)}
        sent = {name: value.encode() for name, value in (sent | headers).items()}  # type: ignore[misc]
        answer = await client.post("/console/hold", data={"direction": "commands", "to": "hold"}, headers=sent)

    assert status == answer.status_code
    assert (status == 200) == await held(gateway)


async def test_a_form_may_carry_the_token_in_a_field(gateway: Gateway) -> None:
    """
    Pages without script send it so; log out is one.
    """
    async with browser(gateway) as client:
        refused = await client.post("/console/logout", data={"csrf": "0"})
        done = await client.post("/console/logout", data={"csrf": await token_of(client)})
        after = await client.get("/console")

    assert (403, 303, 401) == (refused.status_code, done.status_code, after.status_code)


async def test_another_site_cannot_log_anybody_in(gateway: Gateway) -> None:
    """
    The login has no session to take a token from; where it comes from is looked at all the same.
    """
    async with browser(gateway, is_in=False) as client:
        answer = await client.post(
            "/console/login", data={"api_key": API_KEY}, headers={"Origin": "https://evil.example"}
        )

    assert (403, 0) == (answer.status_code, len(client.cookies))


async def test_no_answer_lacks_its_headers(gateway: Gateway) -> None:
    """
    Pages, parts, assets, refusals: the policy, and nothing is stored but assets. No page has script or style in it.
    """
    async with browser(gateway) as client:
        answers = [
            await client.get(path)
            for path in (
                "/console",
                "/console/state",
                "/console/nothing",
                "/console/login",
                "/console/assets/console.js",
            )
        ]
        answers.append(await client.post("/console/hold"))
        client.cookies.clear()
        answers.append(await client.get("/console"))

    for answer in answers:
        assert CSP == answer.headers["content-security-policy"]
        assert "nosniff" == answer.headers["x-content-type-options"]
        assert "same-origin" == answer.headers["referrer-policy"]
        is_asset = "javascript" in answer.headers["content-type"]
        assert is_asset or "no-store" == answer.headers["cache-control"]
        if not is_asset:
            assert not re.search(
                r"<script(?![^>]* src=)|<style|\sstyle=|\son\w+=|javascript:|hx-on|hx-vals", answer.text
            )
    assert "unsafe" not in CSP
    assert [200, 200, 404, 200, 200, 403, 401] == [answer.status_code for answer in answers]


@pytest.mark.parametrize(("proxy", "is_secure"), [({}, False), ({"X-Forwarded-Proto": "https"}, True)])
async def test_the_cookie_is_out_of_reach(gateway: Gateway, proxy: dict[str, str], *, is_secure: bool) -> None:
    """
    No script reads it, no other site sends it, only the console gets it, for 12 h; over HTTPS never without.
    """
    async with browser(gateway, is_in=False) as client:
        answer = await client.post("/console/login", data={"api_key": API_KEY}, headers=proxy)

    flags = {part.strip().lower() for part in answer.headers["set-cookie"].split(";")[1:]}
    assert {"httponly", "samesite=strict", "path=/console", f"max-age={LIFE_S}"} == flags - {"secure"}
    assert is_secure == ("secure" in flags)


async def test_guessing_is_slow_and_locks_nobody_out(gateway: Gateway) -> None:
    """
    Each wrong key waits a second for its answer; the right one is let in at once, while many guess.
    """
    async with browser(gateway, is_in=False) as client:

        async def guess() -> float:
            started_s = time.monotonic()
            answer = await client.post("/console/login", data={"api_key": "guess"})
            assert 401 == answer.status_code
            return time.monotonic() - started_s

        guesses = [asyncio.create_task(guess()) for _ in range(20)]
        await asyncio.sleep(0)
        started_s = time.monotonic()
        async with browser(gateway):
            let_in_s = time.monotonic() - started_s
        times_s = await asyncio.gather(*guesses)

    assert min(times_s) >= WRONG_KEY_S
    assert let_in_s < min(times_s)


async def test_without_a_key_it_is_open_and_says_so(serve: Serve) -> None:
    """
    Everybody gets a session unasked, since changes need its token all the same; the page says how to close it.
    """
    async with serve(api_key=None) as gateway, browser(gateway, is_in=False) as client:
        page = await client.get("/console")
        token = await token_of(client)
        without = await client.post("/console/hold", data={"direction": "events"})
        within = await client.post("/console/hold", data={"direction": "events"}, headers={"X-CSRF-Token": token})

    assert "API_KEY is not set." in page.text
    assert (200, 403, 200) == (page.status_code, without.status_code, within.status_code)


async def test_it_can_be_switched_off(serve: Serve) -> None:
    """
    CONSOLE=false: the addresses are not there, and the API says so in its own way.
    """
    async with serve(console=False, avito_base_url="http://127.0.0.1:9") as gateway:
        answers = [
            await gateway.http.get(path) for path in ("/console", "/console/login", "/console/assets/htmx.min.js")
        ]

    assert [(404, "application/problem+json")] * 3 == [
        (answer.status_code, answer.headers["content-type"]) for answer in answers
    ]
