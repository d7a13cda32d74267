"""
`python -m bench`: measure everything and write the page. `python -m bench drained` measures one row.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from bench import results
from bench.hardware import describe
from bench.loop import new_runner
from bench.processes import ROOT
from bench.report import page, pictures
from bench.results import Result
from bench.rows import ROWS, Measured
from bench.store import open_store
from bench.table import Row, render, verdicts
from common import log
from common.garbage import rarely_collected

PAGE: Final = ROOT / "docs/benchmarks.md"
PICTURES: Final = ROOT / "docs/pictures"


async def measure(names: Sequence[str], runs: int) -> None:
    """
    Measure these rows one after the other, each on a Redis of its own and for so long at most; what is there is kept
    when one fails or the run is ended.
    """
    # Ended from outside, it ends what it has started.
    whole = asyncio.current_task()
    assert whole is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, whole.cancel)
    kept = results.load()
    commit = _commit()
    for name in names:
        print(f"measuring {name} ...", file=sys.stderr, flush=True)
        began_s = time.monotonic()
        row, error, machine = await _tried(ROWS[name], runs)
        day = datetime.now(UTC).date().isoformat()
        kept[name] = Result(row, error, day, commit, machine, time.monotonic() - began_s)
        results.save(kept, list(ROWS))
        print(f"## {name}\n\n{error}" if row is None else f"## {row.title}\n\n{render(row)}", end="\n\n", flush=True)
    found = {name: row for name in names if (row := kept[name].row) is not None}
    print(verdicts(found))


async def _tried(measured: Measured, runs: int) -> tuple[Row | None, str, str]:
    machine = ""
    try:
        async with asyncio.timeout(measured.longest_s), open_store(runs) as store:
            machine = describe(await store.version(), asyncio.get_running_loop())
            return await measured.row(store), "", machine
    except TimeoutError:
        return None, f"it took longer than {measured.longest_s:.0f} s", machine
    except Exception as error:  # noqa: BLE001 - the other rows are measured all the same
        text = " ".join(str(error).split())
        return None, f"{type(error).__name__}: {text[-500:]}", machine


def write() -> None:
    """
    Write the page and the charts from what was measured last.
    """
    kept = results.load()
    PAGE.write_text(page(kept), encoding="utf-8")
    for old in PICTURES.glob("bench-*.svg"):
        old.unlink()
    for name, text in pictures(kept).items():
        (PICTURES / name).write_text(text, encoding="utf-8")


def _commit() -> str:
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "not known"


def main() -> None:
    """
    Measure the rows that were named, or all, and write the page. A goal that is not reached is shown, not an error.
    """
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure the gateway on this machine.")
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"of {', '.join(ROWS)}, page; all by default")
    parser.add_argument("--runs", type=int, default=5, help="how often each is measured; 5 by default")
    parsed = parser.parse_args()
    names: list[str] = parsed.rows
    for name in names:
        if name not in (*ROWS, "page"):
            parser.error(f"no such row: {name}")
    log.configure("console", "error")
    try:
        with new_runner() as runner, rarely_collected():
            runner.run(measure([name for name in names or ROWS if name != "page"], parsed.runs))
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("bench: ended; what was measured is kept", file=sys.stderr)
    write()


if __name__ == "__main__":
    main()
