"""
A file of messages to send: CSV or JSON lines, checked whole before anything is stored.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from common.errors import SettingsError
from ingress.bodies import BulkMessage

COLUMNS: Final = ("chat_id", "text", "priority", "send_at", "key")
# What a report adds; a mended report is a file to send again.
REPORT_COLUMNS: Final = ("line", "status", "detail")
SHOWN_ERRORS: Final = 10
_DELIMITERS: Final = (",", ";", "\t")


@dataclass(frozen=True, slots=True)
class Line:
    """
    One message of the file, its line's number and its idempotency key.
    """

    number: int
    message: BulkMessage
    key: str


def read(path: Path, batch: str | None = None) -> list[Line]:
    """
    Read `.jsonl` as JSON lines and everything else as CSV: comma, semicolon or tab, in UTF-8 or Windows-1251.

    A message without `key` gets one from its content, its count among equal ones, and `batch` (default: the file's
    name). So the same file, sent again, goes on where it stopped.

    Raises:

        SettingsError: the file cannot be read, or holds something that is no message; names the lines.

    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from error
    text = _decoded(data)
    rows = _json_rows(text) if path.suffix.lower() in (".jsonl", ".ndjson") else _csv_rows(path, text)
    lines, problems = [], []
    seen: Counter[str] = Counter()
    for number, row in rows:
        try:
            lines.append(_line(number, row, path.stem if batch is None else batch, seen))
        except ValidationError as error:
            problems += [f"  line {number}, {where(one['loc'])}: {one['msg']}" for one in error.errors()]
        except ValueError as error:
            problems.append(f"  line {number}: {error}")
    if problems:
        more = [f"  and {len(problems) - SHOWN_ERRORS} more"] if len(problems) > SHOWN_ERRORS else []
        raise SettingsError("\n".join([f"{path}: nothing is sent.", *problems[:SHOWN_ERRORS], *more]))
    if not lines:
        raise SettingsError(f"{path}: there is no message in it")
    return lines


def where(location: tuple[int | str, ...]) -> str:
    """
    Return a column's name as the file has it.
    """
    name = str(location[0]) if location else "the message"
    return "key" if name == "idempotency_key" else name


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        # What a Russian Excel writes as CSV.
        return data.decode("cp1251", errors="replace")


def _json_rows(text: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                row = json.loads(line)
            except ValueError:
                row = None
            yield number, row if isinstance(row, dict) else {"": "this is no JSON object"}


def _csv_rows(path: Path, text: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    heading = text.split("\n", 1)[0]
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=max(_DELIMITERS, key=heading.count))
    names = [name.strip() for name in reader.fieldnames or ()]
    reader.fieldnames = names
    missing = [name for name in COLUMNS[:2] if name not in names]
    unknown = [name for name in names if name not in COLUMNS + REPORT_COLUMNS]
    if missing or unknown:
        what = f"the column {missing[0]} is missing" if missing else f"the column {unknown[0]!r} is not known"
        raise SettingsError(f"{path}: {what}; the first line names them: {', '.join(COLUMNS)}")
    for row in reader:
        # The reader stands behind the row's last line; a text may have several.
        yield reader.line_num, {name: value for name, value in row.items() if value}


def _line(number: int, row: Mapping[str, Any], batch: str, seen: Counter[str]) -> Line:
    if "" in row or None in row:
        raise ValueError(row.get("", "there are more fields than columns"))
    fields = {name: value for name, value in row.items() if name not in REPORT_COLUMNS}
    if "key" in fields:
        fields["idempotency_key"] = fields.pop("key")
    if isinstance(moment := fields.get("send_at"), str) and moment.replace(".", "", 1).isdecimal():
        fields["send_at"] = float(moment)
    message = BulkMessage.model_validate(fields)
    if message.idempotency_key is not None:
        return Line(number, message, message.idempotency_key)
    content = json.dumps([batch, message.chat_id, message.text, message.send_at])
    seen[content] += 1
    digest = hashlib.blake2b(f"{content}{seen[content]}".encode(), digest_size=16).hexdigest()
    return Line(number, message, f"bulk-{digest}")


def write_report(path: Path, failed: Mapping[Line, tuple[str, str]]) -> None:
    """
    Write the messages that were not sent, with status and detail, as a file that can be mended and sent.
    """
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow((*COLUMNS[:4], *REPORT_COLUMNS))
        for line, (status, detail) in failed.items():
            one = line.message
            writer.writerow((one.chat_id, one.text, one.priority or "", one.send_at or "", line.number, status, detail))
