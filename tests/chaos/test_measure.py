"""
The arithmetic of the faults' table, the table itself, and the proxy.
"""

from __future__ import annotations

import asyncio

import pytest

from tests.chaos.faults import FAULTS
from tests.chaos.measure import Direction, compare, resumed_s
from tests.chaos.proxy import Proxy
from tests.chaos.run import verdict
from tests.chaos.table import BEGIN, END, Report, Row, rendered, written

WELL = Row(
    name="kill-forwarder",
    title="a kill",
    since="the kill",
    keeps=True,
    to_avito=Direction(10, 0, 0, 0),
    to_n8n=Direction(20, 0, 3, 0),
    at_most=8,
    took_s=11.96,
    worst=40,
    limit=80,
    versions="Redis 7.0.15",
)
KILL = next(fault for fault in FAULTS if fault.name == "kill-forwarder")


@pytest.mark.parametrize(
    ("accepted", "arrived", "expected"),
    [
        ("abc", "abc", (3, 0, 0, 0)),
        ("abc", "ac", (3, 1, 0, 0)),
        ("abc", "abbbc", (3, 0, 2, 0)),
        ("abc", "acb", (3, 0, 0, 1)),
        ("abc", "cab", (3, 0, 0, 2)),
        ("abc", "abac", (3, 0, 1, 0)),
        ("abc", "", (3, 3, 0, 0)),
        ("ab", "abx", (2, 0, 0, 0)),
        ("", "x", (0, 0, 0, 0)),
    ],
)
def test_what_arrived_is_compared_with_what_was_accepted(
    accepted: str, arrived: str, expected: tuple[int, int, int, int]
) -> None:
    """
    Lost is what never came, repeated each further copy, out of order whose successor came first.
    """
    assert Direction(*expected) == compare({"chat": list(accepted)}, {"chat": list(arrived)})


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ({"a": [9.0, 10.5, 11.0], "b": [10.2, 11.5]}, 10.5),
        ({"a": [10.5, 11.0, 11.5], "b": []}, None),
        ({"a": [10.5]}, 10.5),
        ({"a": [10.1, 10.5, 11.5], "b": [9.9]}, None),
        ({"a": [10.1, 13.2, 13.4]}, 13.2),
        ({"a": [10.1, 10.2], "late": [10.3, 14.9, 15.0]}, None),
    ],
)
def test_a_chat_goes_on_when_it_stands_still_no_more(times: dict[str, list[float]], expected: float | None) -> None:
    """
    The last chat decides; one that stalls again, or stands still now, has not gone on.
    """
    now_s = max(at_s for of_chat in times.values() for at_s in of_chat)

    assert expected == resumed_s(times, 10.0, now_s)


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        ({}, []),
        ({"to_avito": Direction(10, 1, 0, 0)}, ["lost"]),
        ({"to_avito": Direction(10, 0, 1, 0)}, ["shown twice"]),
        ({"to_n8n": Direction(10, 0, 9, 0)}, ["repeated to n8n"]),
        ({"to_n8n": Direction(10, 0, 0, 1)}, ["out of order"]),
        ({"took_s": 15.1}, ["slow"]),
        ({"took_s": None}, ["slow"]),
        ({"worst": 81}, ["above the limit"]),
        ({"broken": "dead letters"}, ["dead letters"]),
    ],
)
def test_each_broken_promise_is_named(change: dict[str, object], broken: list[str]) -> None:
    """
    A row that breaks a promise says which.
    """
    assert broken == verdict(KILL, _row(**change))


def test_the_table_stands_between_its_markers() -> None:
    """
    A new table takes the old one's place, and what stands around it stays.
    """
    report = Report([WELL, _row(name="clock", took_s=None, broken="stands still")], {"oom": ("full", "no room")})

    table = rendered(report, ["clock", "kill-forwarder", "oom", "cut"])
    page = written(written(f"before\n{BEGIN}\nold\n{END}\nafter", "other", ""), table, "Measured.")

    assert page == f"before\n{BEGIN}\n\n{table}\n\nMeasured.\n\n{END}\nafter"
    assert table.splitlines()[2:] == [
        "| a kill **FAILED: stands still** | 10 + 20 | not known | 0 | 3 (allowed 8) | 0 | does not | 40 of 80 |",
        "| a kill | 10 + 20 | 0 | 0 | 3 (allowed 8) | 0 | 12.0 s from the kill | 40 of 80 |",
        "| full | not run: no room |  |  |  |  |  |  |",
    ]


async def test_the_proxy_loses_a_reply_after_the_command_took_effect() -> None:
    """
    The server gets what was sent, the client no answer; a cut ends the connection.
    """
    got = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line)
            if line == b"2\n":
                got.set()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server, Proxy.start(*server.sockets[0].getsockname()[:2]) as proxy:
        host, _, port = proxy.url.removeprefix("redis://").partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"1\n")
        assert await reader.readline() == b"1\n"
        proxy.lose = 1.0
        writer.write(b"2\n")
        await asyncio.wait_for(got.wait(), 5)
        assert proxy.cut() == 1
        with pytest.raises((ConnectionError, AssertionError)):
            assert await reader.readline()
        writer.close()


def _row(**change: object) -> Row:
    return Row(**{name: getattr(WELL, name) for name in Row.__slots__} | change)
