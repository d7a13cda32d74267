"""
Following both directions live, as they happen.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import click

from common.queue.connection import mapped
from common.queue.keys import AccountKeys
from common.queue.records import Record, Records
from gateway.session import Session, open_session
from gateway.signals import StopRequest

WATCHED: Final = 1000
BLOCK_MS: Final = 300
TEXT_CHARS: Final = 60
_COLOURS: Final = {"in": "cyan", "out": "green", "echo": "bright_black"}
_BAD: Final = ("failed", "dead", "expired", "cancelled")


@dataclass(frozen=True, slots=True)
class Step:
    """
    One thing that happened to a message: `at` is ISO 8601, `direction` in, out, or echo (of our own message).
    """

    at: str
    direction: str
    id: str
    chat_id: str
    event: str
    about: str

    def line(self) -> str:
        """
        Return it as the terminal shows it.
        """
        clock = datetime.fromisoformat(self.at).astimezone().strftime("%H:%M:%S.%f")[:-3]
        return f"{clock}  {self.direction:<4}  {self.chat_id}  {self.event:<9}  {self.about}".rstrip()


async def follow(user_id: str | None, *, chat_id: str | None, as_json: bool, with_text: bool) -> int:
    """
    Print what is accepted from now on, its attempts and its end, until Ctrl-C, which is a clean stop.
    """
    stop = StopRequest()
    # By a flag: a Redis call that is cancelled may swallow the cancellation (R5).
    with stop.installed():
        async with open_session(user_id) as session:
            tail = Tail(session, chat_id, with_text=with_text)
            await tail.begin()
            if not as_json:
                click.echo(f"Following account {session.account.user_id}. Ctrl-C stops.", err=True)
            while not stop.asked.is_set():
                for step in await tail.turn():
                    _show(step, as_json=as_json)
    return 0


def _show(step: Step, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({name: getattr(step, name) for name in Step.__slots__}, ensure_ascii=False))
    else:
        colour = "red" if step.event in _BAD else _COLOURS[step.direction]
        click.echo(click.style(step.line(), fg=colour))


class Tail:
    """
    Reads new entries of the work streams, and then the records of those that have not ended.

    A look into streams that others work off: it reads, and changes nothing. An entry that is settled between two reads,
    within a millisecond, is not seen.
    """

    def __init__(self, session: Session, chat_id: str | None, *, with_text: bool) -> None:
        self._client = session.connections.commands
        self._blocking = session.connections.blocking
        self._records = Records(session.connections, session.settings)
        self._user_id = session.account.user_id
        self._chat_id = chat_id
        self._with_text = with_text
        keys = AccountKeys(session.settings.key_prefix, self._user_id)
        self._events = keys.events.stream
        self._last = dict.fromkeys((keys.commands.stream, keys.bulk.stream, keys.events.stream), "0")
        # Per side: id -> what its entry says, and how many steps were told.
        self._open: dict[str, dict[str, tuple[Mapping[str, str], int]]] = {"commands": {}, "events": {}}

    async def begin(self) -> None:
        """
        Note where the streams end now.
        """
        for stream in self._last:
            with mapped():
                newest: Any = await self._client.xrevrange(stream, count=1)
            self._last[stream] = newest[0][0] if newest else "0"

    async def turn(self) -> list[Step]:
        """
        Wait a moment for something new, and return what has happened since the last turn, in order.
        """
        with mapped():
            reply: Any = await self._blocking.xread(self._last, count=WATCHED, block=BLOCK_MS)  # type: ignore[arg-type]
        for stream, rows in reply or ():
            side = self._open["events" if stream == self._events else "commands"]
            for entry_id, fields in rows:
                self._last[stream] = entry_id
                if fields and self._chat_id in (None, fields.get("chat_id")):
                    side[fields.get("id", entry_id)] = (fields, 0)
        steps = [step for side in self._open for step in await self._news(side)]
        return sorted(steps, key=lambda step: step.at)

    async def _news(self, side: str) -> list[Step]:
        watched = self._open[side]
        for surplus in list(watched)[:-WATCHED]:
            del watched[surplus]
        ids = list(watched)
        news = []
        for one, record in zip(ids, await self._records.many(self._user_id, side, ids), strict=True):  # type: ignore[arg-type]
            entry, told = watched[one]
            if record is not None:
                news += [self._step(side, entry, record, step) for step in record.timeline[told:]]
                watched[one] = (entry, len(record.timeline))
            if record is None or record.ended:
                del watched[one]
        return news

    def _step(self, side: str, entry: Mapping[str, str], record: Record, step: Mapping[str, object]) -> Step:
        direction = "out" if side == "commands" else "echo" if record.fields.get("direction") == "out" else "in"
        event = str(step["event"])
        about = entry.get("kind", "") if event == "accepted" else _rest(step)
        if event == "accepted" and self._with_text and (text := text_of(entry.get("body", ""))):
            about = f"{about} «{text}»"
        if event in _BAD:
            about = record.fields.get("detail") or record.fields.get("reason", "")
        return Step(str(step["at"]), direction, record.id, entry.get("chat_id", ""), event, about)


def _rest(step: Mapping[str, object]) -> str:
    return " ".join(f"{name}={value}" for name, value in step.items() if name not in ("at", "event"))


def text_of(body: str) -> str:
    """
    Return the text in a command's or a webhook's body on one line, shortened; empty where there is none.
    """
    try:
        found = json.loads(body)
    except ValueError:
        return ""
    for name in ("payload", "value", "content", "text"):
        if isinstance(found, dict) and name in found:
            found = found[name]
    if not isinstance(found, str):
        return ""
    line = " ".join(found.split())
    return line if len(line) <= TEXT_CHARS else f"{line[: TEXT_CHARS - 1]}…"
