"""
The log is a contract: `docs/logs.md` says what the code logs, and how a line looks.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import defaultdict
from typing import Final

import pytest

from tests import log_events

EXAMPLE: Final = """
import sys
from common import log

log.configure(sys.argv[1], "info")
log.logger("forwarder.handler").bind(account="100000001").warning("n8n.down", error="HTTP 503", paused_s=2.0)
"""
TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z")


@pytest.fixture(name="document", scope="module")
def _document() -> str:
    return log_events.DOCUMENT.read_text(encoding="utf-8")


@pytest.fixture(name="lines", scope="module")
def _lines() -> list[log_events.Line]:
    return log_events.lines()


def test_the_document_lists_what_the_code_logs(document: str, lines: list[log_events.Line]) -> None:
    """
    Every event of the six packages is in the document with its level and fields, and nothing else is there; to mend
    it, run `python -m tests.log_events` and fill in the new sentences.
    """
    assert log_events.as_written(document, lines).splitlines() == document.splitlines()


def test_the_document_says_of_each_event_and_field_what_it_means(document: str) -> None:
    """
    No row is without its sentence.
    """
    said = log_events.sentences(document)

    assert len(said) > 100
    assert [] == [name for name, sentence in said.items() if not sentence.strip()]


def test_names_have_one_form(lines: list[log_events.Line]) -> None:
    """
    An event is a noun, a point and what became of it; a field is one word in small letters.
    """
    assert [] == [line for line in lines if not re.fullmatch(r"[a-z0-9_]+\.[a-z0-9_]+", line.event)]
    assert [] == [line for line in lines if not all(re.fullmatch(r"[a-z][a-z0-9_]*", name) for name in line.fields)]


def test_an_event_has_one_level(lines: list[log_events.Line]) -> None:
    """
    Whoever alerts on an event need not look at its level as well.
    """
    levels = defaultdict(set)
    for line in lines:
        levels[line.event].add(line.level)

    assert {} == {event: found for event, found in levels.items() if len(found) > 1}


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ('_log.info("a.b", x=1, y=2)', [("a.b", "info", ("x", "y"))]),
        ('_log.exception("a.b", x=1)', [("a.b", "error", ("x", "exception"))]),
        ('_log.error("a.b", exc_info=error)', [("a.b", "error", ("exception",))]),
        ('self._log.warning("a.b", x=1)', [("a.b", "warning", ("account", "x"))]),
        ('console.error("no log at all")', []),
    ],
)
def test_a_call_is_read_from_the_code(call: str, expected: list[tuple[str, str, tuple[str, ...]]]) -> None:
    """
    Event, level and fields are taken from the call, with what is bound to the logger.
    """
    source = f"_log = log.logger(__name__)\nself._log = log.logger(__name__).bind(account=1)\n{call}"
    found = log_events.lines_of(source, "m.py")

    assert expected == [(line.event, line.level, line.fields) for line in found]


@pytest.mark.parametrize("call", ["_log.info(event)", '_log.info("a.b", **more)', 'other_log.info("a.b")'])
def test_a_call_that_cannot_be_read_is_refused(call: str) -> None:
    """
    An event in a variable, fields from a mapping and a logger of unknown origin would slip through: they are errors.
    """
    with pytest.raises(log_events.UnclearError):
        list(log_events.lines_of(f"_log = log.logger(__name__)\n{call}", "m.py"))


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_line_looks_as_the_document_shows(document: str, log_format: str) -> None:
    """
    Both formats, but for the time; each line has timestamp, level, logger and event.
    """
    line = subprocess.run(
        [sys.executable, "-c", EXAMPLE, log_format], cwd=log_events.ROOT, capture_output=True, text=True, check=True
    ).stderr

    assert TIME.sub("TIME", line) in TIME.sub("TIME", document)
    if log_format == "json":
        assert {"timestamp", "level", "logger", "event"} <= set(json.loads(line))
