"""
What the console's pages are made of: the gate's picture, the chart, the words for why something waits, languages.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from common.queue.history import Flow
from common.queue.look import Depths
from common.queue.usage import Hold, Usage
from common.settings import load
from ingress.console import navigation
from ingress.console.chart import HEIGHT, STEP, chart, nice
from ingress.console.conversation import chat, line, web_address
from ingress.console.language import language
from ingress.console.page import Page
from ingress.console.picture import BARS, MOST_DOTS, picture
from ingress.console.texts import TEXTS
from ingress.console.waits import reasons

CONSOLE = Path(__file__).parents[3] / "ingress/console"
OPEN = Usage(tokens_out=0, limit=100, slots_open=0, max_connections=20, paused_ms=0, reason="")


def depth(name: str = "commands", **more: int) -> Depths:
    """
    Return a stream's depth.
    """
    counts: dict[str, Any] = {"new": 0, "in_flight": 0, "retrying": 0, "behind": 0, "dead": 0, "oldest_ms": 0} | more
    total = counts["new"] + counts["in_flight"] + counts["retrying"] + counts["behind"]
    return Depths(stream=f"avito:{{7}}:{name}", total=total, **counts, ages_ms={})


@pytest.mark.parametrize(
    ("limit", "back_ms", "ages", "next_ms"),
    [
        (4, [], [0, 0, 0, 0], None),
        (4, [59_000], [1, 0, 0, 0], 59_000),
        (4, [500, 20_000, 40_000, 59_999], [1, 2, 3, 4], 500),
        # A request that is still open comes back later than a window from now.
        (4, [90_000], [1, 0, 0, 0], 90_000),
        # The limit was lowered while more were out.
        (2, [100, 200, 300], [4, 4, 4], 100),
    ],
)
def test_dots_show_how_soon_a_token_is_back(
    limit: int, back_ms: list[int], ages: list[int], next_ms: int | None
) -> None:
    """
    One dot a token: the freshest first and strongest, then what is nearly back, then what is free.
    """
    drawn = picture(limit, 60_000.0, back_ms)

    assert ages == [dot.age for dot in drawn.dots]
    assert (1, next_ms) == (drawn.each, drawn.next_ms)


@pytest.mark.parametrize(("limit", "out"), [(1, 0), (1, 1), (201, 201), (1000, 400), (100_000, 99_999)])
def test_a_large_limit_still_is_a_small_picture(limit: int, out: int) -> None:
    """
    A dot stands for several tokens then; every token is in one bar.
    """
    drawn = picture(limit, 60_000.0, [n % 60_000 for n in range(out)])

    assert len(drawn.dots) <= MOST_DOTS
    assert len(drawn.dots) * drawn.each >= limit
    assert BARS == len(drawn.bars)
    assert out == sum(bar.tokens for bar in drawn.bars)
    assert all(0.0 <= bar.height <= 1.0 for bar in drawn.bars)


@pytest.mark.parametrize(
    ("most", "top"), [(0, 5), (1, 5), (5, 5), (6, 10), (11, 20), (21, 30), (100, 100), (101, 200), (900_000, 1_000_000)]
)
def test_the_axis_ends_at_a_round_number(most: int, top: int) -> None:
    """
    At least 5, and never below what is shown.
    """
    assert top == nice(most)


def test_the_chart_is_to_scale() -> None:
    """
    The hour's numbers are summed; heights stand to the top as numbers do.
    """
    minutes = [(1, Flow(0, 0, 0, 0)), (2, Flow(10, 5, 1, 4)), (3, Flow(2, 3, 0, 3))]
    drawn = chart(minutes)

    assert (10, 4, 12, 8, 1) == (drawn.top, drawn.most_waiting, drawn.accepted, drawn.done, drawn.failed)
    assert [(0, 0, 0), (HEIGHT, HEIGHT / 2, HEIGHT / 10), (HEIGHT * 0.2, HEIGHT * 0.3, 0)] == [
        (column.accepted, column.done, column.failed) for column in drawn.columns
    ]
    assert [0, STEP, 2 * STEP] == [column.x for column in drawn.columns]
    assert "M0 36L0 36.0L10 36.0L10 0.0L20 0.0L20 9.0L30 9.0L30 36Z" == drawn.waiting


@pytest.mark.parametrize(
    ("direction", "depths", "usage", "hold", "stalled", "said"),
    [
        ("commands", [depth()], OPEN, None, False, ["waits.nothing"]),
        ("commands", [depth(new=3)], OPEN, None, False, ["waits.moving"]),
        ("commands", [depth(new=3)], OPEN, None, True, ["waits.stalled.commands"]),
        ("events", [depth("events")], OPEN, Hold(5, "me", ""), False, ["waits.held"]),
        ("events", [depth("events")], OPEN, Hold(5, "me", "because"), False, ["waits.held_why"]),
        (
            "commands",
            [depth(new=1), depth("bulk")],
            Usage(100, 100, 0, 20, 0, ""),
            None,
            False,
            ["waits.rate"],
        ),
        # Without anybody who waits a full window is no news.
        ("commands", [depth(), depth("bulk")], Usage(100, 100, 0, 20, 0, ""), None, False, ["waits.nothing"]),
        (
            "commands",
            [depth(), depth("bulk", behind=9)],
            Usage(96, 100, 0, 20, 0, ""),
            None,
            False,
            ["waits.reserve", "waits.behind"],
        ),
        ("commands", [depth(), depth("bulk", new=9)], OPEN, None, False, ["waits.pace"]),
        ("events", [depth("events", new=2)], Usage(0, None, 20, 20, 0, ""), None, False, ["waits.slots"]),
        (
            "events",
            [depth("events", retrying=2)],
            Usage(0, None, 0, 20, 900, "HTTP 503"),
            None,
            False,
            ["waits.paused.events", "waits.retrying.events"],
        ),
        ("commands", [depth()], Usage(0, 100, 0, 20, 900, "state_lost"), None, False, ["waits.state_lost"]),
        ("commands", [depth()], Usage(0, 100, 0, 20, 0, "429"), None, False, ["waits.probe"]),
    ],
)
def test_why_something_waits(
    direction: str, depths: list[Depths], usage: Usage, hold: Hold | None, said: list[str], *, stalled: bool
) -> None:
    """
    A stop of the whole direction is told first, then what single messages wait for.
    """
    found = reasons(
        direction,  # type: ignore[arg-type]
        depths=depths,
        usage=replace(usage, hold=hold),
        next_ms=1000,
        reserve=5,
        is_stalled=stalled,
    )

    assert said == [reason.key for reason in found]
    for reason in found:
        for text in TEXTS[reason.key]:
            text.format(left="", since="", **reason.values)


@pytest.mark.parametrize(
    ("chosen", "accepted", "spoken"),
    [
        (None, "", "en"),
        (None, "ru-RU,ru;q=0.9,en;q=0.8", "ru"),
        (None, "de,en;q=0.5,ru;q=0.7", "ru"),
        (None, "ru;q=0,en", "en"),
        (None, "ru;q=x", "en"),
        (None, "*", "en"),
        ("en", "ru", "en"),
        ("ru", "", "ru"),
        ("xx", "ru", "ru"),
    ],
)
def test_language(chosen: str | None, accepted: str, spoken: str) -> None:
    """
    What was chosen by hand, else what the browser likes best of the two.
    """
    assert spoken == language(chosen, accepted)


@pytest.mark.parametrize(
    ("path", "leads_to"),
    [
        ("/console", "/console"),
        ("/console?account=1", "/console?account=1"),
        ("/console/chats/u2i-x?y=//z", "/console/chats/u2i-x?y=//z"),
        (None, "/console"),
        ("", "/console"),
        ("/consolex", "/console"),
        ("/api/chats", "/console"),
        ("//evil.example/console", "/console"),
        ("/console//evil.example", "/console"),
        ("https://evil.example/console", "/console"),
        ("/console/\r\nSet-Cookie: x=1", "/console"),
        ("/console/ x", "/console"),
    ],
)
def test_after_the_login_nobody_is_led_elsewhere(path: str | None, leads_to: str) -> None:
    """
    Only addresses of the console are gone on to.
    """
    assert leads_to == navigation.own(path)


def test_every_text_is_used_and_every_text_used_is_there() -> None:
    """
    The catalogue is complete in both languages, and nothing in it is left over.
    """
    sources = {
        path: path.read_text(encoding="utf-8")
        for path in CONSOLE.rglob("*")
        if path.suffix in (".py", ".html") and path.name != "texts.py"
    }
    everything = "\n".join(sources.values())
    # `t('a.b')` and "a.b" name a text; `t('a.' ~ x)` and f"a.{x}" name all that begin so.
    named = set(re.findall(r"""\bt\(\s*'([\w.]+)'""", everything)) | set(
        re.findall(r"""['"]([a-z_]+(?:\.\w+)*)['"]""", everything)
    )
    begun = set(re.findall(r"""\bt\(\s*'([\w.]+\.)' ~""", everything)) | set(
        re.findall(r"""f['"]([\w.]+\.)\{""", everything)
    )
    called = set(re.findall(r"""\bt\(\s*'([\w.]+)'\s*[,)]""", everything)) | set(
        re.findall(r"""\.text\(\s*"([\w.]+)"\s*[,)]""", everything)
    )

    assert set() == called - TEXTS.keys()
    assert [] == [prefix for prefix in begun if not any(key.startswith(prefix) for key in TEXTS)]
    assert set() == {key for key in TEXTS if key not in named and not any(key.startswith(prefix) for prefix in begun)}
    assert [] == [key for key, text in TEXTS.items() if not (text.en.strip() and text.ru.strip())]
    assert [] == [
        key
        for key, text in TEXTS.items()
        if set(re.findall(r"{(\w+)}", text.en)) != set(re.findall(r"{(\w+)}", text.ru))
    ]


def page(spoken: Any = "en", timezone: str = "Europe/Moscow") -> Page:
    """
    Return a page that nobody asked for.
    """
    services: Any = SimpleNamespace(settings=load(None, timezone=timezone))
    request: Any = None
    return Page(request, services, spoken, None, is_new_session=False, account=None)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0 s"),
        (0.6, "1 s"),
        (59, "59 s"),
        (60, "1 min"),
        (61, "1 min 1 s"),
        (3600, "1 h"),
        (7500, "2 h 5 min"),
        (90061, "1 d 1 h"),
        (-5, "0 s"),
    ],
)
def test_a_duration_is_short(seconds: float, shown: str) -> None:
    """
    Its two largest parts, never negative.
    """
    assert shown == page().duration(seconds)


@pytest.mark.parametrize(
    ("ms", "english", "russian"),
    [
        (1_764_610_200_000, "2025-12-01 20:30:00", "01.12.2025 20:30:00"),
        ("1764610200999", "2025-12-01 20:30:00", "01.12.2025 20:30:00"),
        (None, "", ""),
        ("soon", "soon", "soon"),
        (1e30, "1e+30", "1e+30"),
    ],
)
def test_moments_are_in_the_settings_timezone(ms: float | str | None, english: str, russian: str) -> None:
    """
    In the order that the language writes them; what is no moment is shown as it is.
    """
    assert (english, russian) == (page().moment(ms), page("ru").moment(ms))


def test_numbers_are_told_apart() -> None:
    """
    Thousands stand apart, in both languages.
    """
    assert "1\u202f234\u202f567" == page().number(1234567)


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("https://example.com/a?b=c", True),
        ("http://example.com", True),
        ("javascript:alert(1)", False),
        ("data:text/html,x", False),
        ("//example.com", False),
        ("habr.com", False),
        ("https://", False),
        ("https://[", False),
        ("https://example.com/\nx", False),
        (None, False),
        (5, False),
    ],
)
def test_only_web_addresses_become_links(value: object, *, kept: bool) -> None:
    """
    Only http and https with a host; anything else stays text.
    """
    assert (value if kept else None) == web_address(value)


@pytest.mark.parametrize(
    "body", [{}, {"users": 5, "context": [], "last_message": "x", "updated": "y"}, {"users": [None]}]
)
def test_odd_chats_do_no_harm(body: dict[str, object]) -> None:
    """
    Whatever Avito gives, there is a chat and a line to show.
    """
    shown = chat(body, "1")

    assert ("", None, None) == (shown.id, shown.name, shown.last)
    assert "system" != line({"content": 5, "type": None, "created": "x"}, "1").side


def test_samples_are_shown_as_what_they_are() -> None:
    """
    Every kind of message of Avito's documentation has words or a name.
    """
    samples = json.loads((CONSOLE.parents[1] / "tests/payloads/20_messages_all_types_from_spec.json").read_text())
    lines = [line(sample, "94235311") for sample in samples]

    assert all(one.text or one.kind for one in lines)
    assert {one.kind for one in lines if one.kind} <= {key.removeprefix("message.") for key in TEXTS}
