"""
The pictures of docs/console.md: `make screenshots` writes docs/pictures/console-*.png.

The program runs against the sandbox, and what is shown is what happens there while the pictures are taken. Only the
chart's earlier minutes, which nobody wants to wait for, are written into the history beforehand.
"""

from __future__ import annotations

import asyncio
import math
import random
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from playwright.async_api import ViewportSize

from common.queue import keys
from common.queue.connection import connect
from common.queue.hold import Holds
from ingress.console import dead, messages, navigation
from sandbox import AvitoFault, Options, Sandbox
from tests import chromium, servers
from tests.chromium import PHONE, Watched
from tests.fleet import Fleet, fleet
from tests.harness import USER_ID, eventually

FOLDER: Final = Path(__file__).parents[2] / "docs/pictures"
KEY: Final = "key-of-the-console"
SETTINGS: Final = {"API_KEY": KEY, "TIMEZONE": "Europe/Moscow", "RECONCILE_INTERVAL": "0", "LOG_FORMAT": "console"}
WIDE: Final = ViewportSize(width=1180, height=640)
CUSTOMERS: Final = (
    ("Мария", "Детская кроватка", "Здравствуйте! Кроватка ещё продаётся?"),
    ("Олег", "Зимние шины", "Какой пробег у шин?"),
    ("Анна", "Велосипед", "Привезёте в Пушкин?"),
    ("Глеб", "Машинка для стрижки", "Спасибо, всё работает!"),
    ("Иван", "Ролик обводной", "Добрый день! Подойдёт на мотор 1.6?"),
)


@dataclass(frozen=True, slots=True)
class Shot:
    """
    One picture: `path` of the page, and how it is looked at.
    """

    name: str
    path: str
    scheme: Literal["light", "dark"] = "light"
    locale: str = "en-US"
    is_phone: bool = False


async def past_hour(running: Fleet) -> None:
    """
    Write an hour as it could have been into the history, up to the minute before this one.
    """
    rng = random.Random(7)
    now = int(time.time()) // 60
    waiting = 0
    for ago in range(59, 0, -1):
        came = max(0, round(55 + 30 * math.sin(ago / 7) + rng.uniform(-9, 9)) + (120 if ago in (22, 21) else 0))
        done = min(waiting + came, 96)
        waiting += came - done
        events = max(0, round(30 + 12 * math.sin(ago / 9) + rng.uniform(-6, 6)))
        fields = {
            "commands:accepted": came,
            "commands:done": done,
            "commands:failed": int(ago in (40, 12)),
            "commands:waiting": waiting,
            "events:accepted": events,
            "events:done": 0 if ago in (33, 32) else events + (25 if ago == 31 else 0),
            "events:waiting": {33: 24, 32: 49}.get(ago, 0),
        }
        row: dict[Any, Any] = {f"{USER_ID}:{field}": value for field, value in fields.items()}
        await running.connections.commands.hset(keys.history(running.settings.key_prefix, now - ago), mapping=row)


async def talk(running: Fleet, sandbox: Sandbox) -> str:
    """
    Let customers write and be answered; return the chat with the longest conversation.
    """
    chats = []
    for name, title, text in CUSTOMERS:
        chat = sandbox.avito.create_chat(customer_name=name, title=title)
        chats.append(chat)
        sandbox.avito.receive(chat.id, text)
    last = chats[-1]
    await running.send(last.id, "Здравствуйте! Да, подойдёт: номер по каталогу 117507271R.")
    await sandbox.avito.wait_for(lambda avito: len(avito.sent(last.id)) == 1)
    sandbox.avito.receive(last.id, "А в наличии есть? Можно забрать сегодня?")
    await running.send(chats[3].id, "Рады, что понравилось!")
    await sandbox.avito.wait_for(lambda avito: len(avito.sent(chats[3].id)) == 1)
    return last.id


async def refused(running: Fleet, sandbox: Sandbox) -> str:
    """
    Let Avito refuse two texts; return the id of one that waits behind a slow one.
    """
    first, _, third = (chat.id for chat in list(sandbox.avito.chats)[:3])
    sandbox.faults.add(AvitoFault(kind="status", status=400, count=2, method="POST", path=f"*/{first}/messages"))
    sandbox.faults.add(AvitoFault(kind="latency", delay_s=20, count=1, method="POST", path=f"*/{third}/messages"))
    texts = ("Да, кроватка ещё продаётся.", "Самовывоз из Химок, после шести.")
    ids = [await running.send(first, text) for text in texts]

    async def ended() -> bool:
        records = [await running.queue.records.command(USER_ID, one) for one in ids]
        return all(record is not None and record.ended for record in records)

    await eventually(ended)
    await running.send(third, "Привезём в Пушкин в субботу.")
    return await running.send(third, "Доставка по городу бесплатно.")


async def rush(running: Fleet, sandbox: Sandbox, *, singles: int, bulk: int) -> None:
    """
    Send more than the window holds; two are refused for good.
    """
    chats = [sandbox.avito.create_chat().id for _ in range(40)]
    sandbox.faults.add(AvitoFault(kind="status", status=400, count=2, skip=9, path="*/messages", method="POST"))
    for n in range(singles):
        await running.send(chats[n % len(chats)], f"{n}")
    listed = [{"chat_id": chats[n % len(chats)], "text": f"bulk {n}"} for n in range(bulk)]
    await running.client.post("/api/messages/send/bulk", json={"messages": listed})


async def logged_in(running: Fleet, browser: chromium.Chromium, shot: Shot) -> Watched:
    """
    Open a picture's page.
    """
    seen = await browser.open(
        locale=shot.locale, scheme=shot.scheme, viewport=PHONE if shot.is_phone else WIDE, device_scale_factor=1.5
    )
    seen.expected.add(401)
    await seen.page.goto(running.url + shot.path)
    await seen.page.fill("#api-key", KEY)
    await seen.page.press("#api-key", "Enter")
    await seen.page.wait_for_selector("#log-out")
    return seen


async def take(running: Fleet, browser: chromium.Chromium, shot: Shot) -> None:
    """
    Take one picture.
    """
    seen = await logged_in(running, browser, shot)
    # The live parts have been asked for once.
    if shot.path == navigation.ROOT:
        async with seen.page.expect_response("**/console/state"):
            pass
    await seen.page.screenshot(path=FOLDER / f"console-{shot.name}.png", full_page=True)


async def main() -> None:
    """
    Take all pictures.
    """
    FOLDER.mkdir(parents=True, exist_ok=True)
    async with AsyncExitStack() as stack:
        url = stack.enter_context(servers.shared_url())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        connections = connect(url)
        stack.push_async_callback(connections.aclose)
        sandbox = await stack.enter_async_context(Sandbox.start(Options(chats=0)))
        running = await stack.enter_async_context(fleet(connections, url, sandbox, folder, **SETTINGS))
        await running.start("ingress", "dispatcher", "forwarder")
        subscribed: dict[str, Any] = {"url": f"{running.url}/webhook/avito"}
        await running.client.post("/api/webhook/subscribe", json=subscribed)
        await past_hour(running)
        browser = await stack.enter_async_context(chromium.started())
        chat_id = await talk(running, sandbox)
        await take(running, browser, Shot("chat", navigation.chat(chat_id)))
        waiting = await refused(running, sandbox)
        await take(running, browser, Shot("message", navigation.segments(messages.PATH, "commands", waiting)))
        await take(running, browser, Shot("messages", messages.PATH))
        await take(running, browser, Shot("dead", dead.PATH))
        confirm = navigation.address(f"{dead.PATH}/confirm", do="redrive", side="commands", reason="rejected")
        await take(running, browser, Shot("dead-confirm", confirm, locale="ru-RU", is_phone=True))
        await rush(running, sandbox, singles=70, bulk=160)
        await take(running, browser, Shot("overview", navigation.ROOT))
        await running.queue.gate().pause(45.0, "HTTP 429")
        holds = Holds(connections, running.settings.key_prefix)
        await holds.hold(USER_ID, "events", by="console", why="n8n is being moved")
        sandbox.avito.receive(chat_id, "Вы тут?")
        await take(running, browser, Shot("overview-dark", navigation.ROOT, scheme="dark"))
        await take(running, browser, Shot("phone", navigation.ROOT, locale="ru-RU", is_phone=True))


if __name__ == "__main__":
    if chromium.executable() is None:
        sys.exit(f"There is no Chromium here, under none of the names {', '.join(chromium.NAMES)}.")
    asyncio.run(main())
