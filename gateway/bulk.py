"""
Sending a file of messages from the command line.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from common.queue.intake import Accepted, Conflict, Duplicate, Full, Intake, NewCommand
from common.queue.records import Record, Records
from gateway.bulk_file import Line, read, write_report
from gateway.session import Session, open_session
from gateway.signals import StopRequest
from ingress.accepting import unix_ms
from ingress.drafts import Draft, batch_of, command, request_mark

CHUNK: Final = 500
# They end about in their order: who is far behind is not asked about.
WATCHED: Final = 2000
POLL_S: Final = 0.5

Failed = dict[Line, tuple[str, str]]


async def send(path: Path, user_id: str | None, *, batch: str | None, wait: bool, as_json: bool) -> int:
    """
    Queue all messages of a file, follow them to their end, and write a report of those that failed.

    Stopped by Ctrl-C, it says how far it got; the same file goes on from there. Return the exit code: 1 if one failed.

    Raises:

        SettingsError: the file is not valid; nothing was stored.

    """
    lines = read(path, batch)
    stop = StopRequest()
    # By a flag: a Redis call that is cancelled may swallow the cancellation (R5).
    with stop.installed():
        async with open_session(user_id) as session:
            console = Console(stderr=True, soft_wrap=True)
            if wait and not await session.has_workers():
                console.print("They wait in the queue until `avito-gateway run` runs: no dispatcher is alive now.")
            run = _Run(session, lines, console, stop.asked)
            await run.store()
            if wait:
                await run.follow()
    if stop.asked.is_set():
        console.print(
            f"Stopped. {len(run.ids)} of {len(lines)} are stored and go out all the same. "
            f"To go on, give the same file again: what is stored is not sent twice."
        )
        return 1
    summary = {"total": len(lines), "stored": len(run.ids), "sent": run.sent, "failed": len(run.failed)}
    if run.failed:
        report = path.with_name(f"{path.stem}.report.csv")
        write_report(report, run.failed)
        console.print(f"Why {len(run.failed)} were not sent: {report}")
    if as_json:
        click.echo(json.dumps(summary))
    else:
        click.echo(", ".join(f"{count} {name}" for name, count in summary.items()))
    return 1 if run.failed else 0


class _Run:
    """
    The messages of one file on their way. `ids` are those that are stored, by line; `failed` those that ended badly.
    """

    def __init__(self, session: Session, lines: Sequence[Line], console: Console, stopped: asyncio.Event) -> None:
        self.ids: dict[Line, str] = {}
        self.failed: Failed = {}
        self.sent = 0
        self._session = session
        self._lines = lines
        self._console = console
        self._stopped = stopped
        self._user_id = session.account.user_id

    async def store(self) -> None:
        """
        Store all of them, in their order; where the queue is full, as it gets room.
        """
        intake = Intake(self._session.connections, self._session.settings)
        try:
            with self._progress() as progress:
                bar = progress.add_task("stored", total=len(self._lines))
                for start in range(0, len(self._lines), CHUNK):
                    await self._store(intake, self._lines[start : start + CHUNK], progress, bar)
        finally:
            await intake.stop()

    async def _store(self, intake: Intake, lines: Sequence[Line], progress: Progress, bar: TaskID) -> None:
        left = list(lines)
        while left and not self._stopped.is_set():
            wait_s = 0.0
            full = []
            replies = await intake.commands(self._user_id, [self._command(line) for line in left])
            for line, reply in zip(left, replies, strict=True):
                match reply:
                    case Accepted(command_id=command_id) | Duplicate(command_id=command_id):
                        self.ids[line] = command_id
                    case Conflict():
                        self.failed[line] = ("refused", "its key belongs to another message of the last 72 hours")
                    case Full(retry_after_s=after_s):
                        full.append(line)
                        wait_s = after_s
            progress.update(bar, completed=len(self.ids) + len(self.failed))
            left = full
            if left:
                self._console.print(f"The queue is full. Going on in {wait_s:.0f} s.")
                await self._pause(wait_s)

    def _command(self, line: Line) -> NewCommand:
        message = line.message.model_copy(update={"priority": line.message.priority or "bulk"})
        return command(
            Draft("text", message.chat_id, {"text": message.text}),
            message,
            now_ms=unix_ms(),
            key=line.key,
            mark=request_mark("text", message),
            batch_id=batch_of(self._user_id, self._lines[0].key),
        )

    async def follow(self) -> None:
        """
        Wait until all that are stored have ended.
        """
        records = Records(self._session.connections, self._session.settings)
        waiting = dict(self.ids)
        with self._progress() as progress:
            bar = progress.add_task("sent", total=len(waiting))
            while waiting and not self._stopped.is_set():
                watched = list(waiting.items())[:WATCHED]
                found = await records.many(self._user_id, "commands", [command_id for _, command_id in watched])
                for (line, _), record in zip(watched, found, strict=True):
                    if record is None or record.ended:
                        del waiting[line]
                        self._end(line, record)
                progress.update(bar, completed=len(self.ids) - len(waiting))
                if waiting:
                    await self._pause(POLL_S)

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopped.wait(), seconds)

    def _end(self, line: Line, record: Record | None) -> None:
        if record is not None and record.status == "sent":
            self.sent += 1
        elif record is None:
            self.failed[line] = ("unknown", "its record is gone: Redis lost it, or it is older than 72 hours")
        else:
            self.failed[line] = (record.status, record.fields.get("detail") or record.fields.get("reason", ""))

    def _progress(self) -> Progress:
        return Progress(
            TextColumn("{task.description:>6}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
