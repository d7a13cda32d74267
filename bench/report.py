"""
The page of the benchmark: the goals, each row with its table and chart, and what bounds it. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from bench.bounds import BOUNDS
from bench.chart import bars
from bench.results import Result
from bench.table import render, verdicts

_INTRODUCTION: Final = """\
# Benchmarks

Written by `make bench`, which measures everything on one machine in one go and takes about half an hour.
`make bench ROWS="webhooks drained"` measures rows again, `make bench ROWS=page` writes this page and its pictures anew
from what was measured (`bench/results.json`). Edit `bench/`, not this page.

The ratios are what counts: the times depend on the machine. Goals that are a rate or a time of their own were set for
two cores on which the FastAPI application accepts some 3 500 webhooks a second; where it accepts fewer they are out of
reach by as much. Everything of a row runs on the same cores, in turns,
against the same Redis. Numbers are medians, in brackets the least and the most of the runs. The other libraries are
installed from pinned files (`bench/peers`) into an environment of their own and run as their documentation has it;
none of those queues keeps the order of a chat, has a limit for all processes, or records what became of a message."""

_PICTURES: Final = "pictures"


def page(results: Mapping[str, Result]) -> str:
    """
    Return the Markdown page.
    """
    rows = {name: result.row for name, result in results.items() if result.row is not None}
    parts = [_INTRODUCTION, "## What was to be reached", verdicts(rows)]
    for name, result in results.items():
        parts += _section(name, result)
    return "\n\n".join([*parts, _machines(results)]) + "\n"


def pictures(results: Mapping[str, Result]) -> dict[str, str]:
    """
    Return the charts, by file name.
    """
    return {
        _picture(name, place): bars(result.row.title, figure, result.row.entrants)
        for name, result in results.items()
        if result.row is not None
        for place, figure in enumerate(result.row.charts)
    }


def _picture(name: str, place: int) -> str:
    return f"bench-{name}{f'-{place + 1}' if place else ''}.svg"


def _section(name: str, result: Result) -> list[str]:
    if result.row is None:
        return [f"## {name}", f"🔴 Not measured: {result.error}"]
    row = result.row
    parts = [f"## {row.title}", render(row)]
    parts += [f"![{row.title}: {figure}]({_PICTURES}/{_picture(name, n)})" for n, figure in enumerate(row.charts)]
    bound = BOUNDS.get(name)
    return [*parts, *([row.note] if row.note else []), *([f"**What bounds it.** {bound}"] if bound else [])]


def _machines(results: Mapping[str, Result]) -> str:
    lines = ["## Measured on", "", "| row | day | commit | runs | took | machine |", "|---|---|---|---:|---:|---|"]
    for name, result in results.items():
        runs = max((len(entrant.runs) for entrant in result.row.entrants), default=0) if result.row else 0
        lines.append(
            f"| `{name}` | {result.day} | {result.commit} | {runs} | {result.took_s:.0f} s | {result.machine} |"
        )
    return "\n".join(lines)
