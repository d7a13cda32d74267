"""
`python -m bench`: measure everything, print the table. `python -m bench drained` measures one row.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench.drain import QueueError
from bench.hardware import describe
from bench.load import LoadError
from bench.loop import new_runner
from bench.processes import ProcessError
from bench.report import page
from bench.rows import ROWS, RUNS, MeasureRow
from bench.store import open_store
from bench.table import render
from common import log
from common.errors import GatewayError
from common.garbage import rarely_collected

PAGE: Final = Path(__file__).resolve().parents[1] / "docs/benchmarks.md"


async def measure(rows: Sequence[MeasureRow]) -> None:
    """
    Measure these rows one after the other and print what came of them; all of them also make the page.
    """
    began_s = time.monotonic()
    async with open_store() as store:
        measured = []
        for row in rows:
            print(f"measuring {row.__name__} ...", file=sys.stderr, flush=True)
            measured.append(await row(store))
        version = await store.version()
    print(render(measured))
    print()
    how = (
        f"Medians of {RUNS} runs; a row and its ceiling take turns. {describe(version, asyncio.get_running_loop())}."
        f" Took {time.monotonic() - began_s:.0f} s."
    )
    print(how)
    if len(rows) == len(ROWS):
        PAGE.write_text(page(measured, how), encoding="utf-8")


def main() -> None:
    """
    Measure the rows that were named, or all. A floor that is not reached is shown, not an error.
    """
    by_name = {row.__name__: row for row in ROWS}
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure the gateway on this machine.")
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"of {', '.join(by_name)}; all by default")
    names: list[str] = parser.parse_args().rows
    for name in names:
        if name not in by_name:
            parser.error(f"no such row: {name}")
    log.configure("console", "warning")
    with new_runner() as runner, rarely_collected():
        try:
            runner.run(measure([by_name[name] for name in names or by_name]))
        except (GatewayError, LoadError, ProcessError, QueueError) as error:
            sys.exit(f"bench: {error}")


if __name__ == "__main__":
    main()
