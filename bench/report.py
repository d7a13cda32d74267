"""
The page of the benchmark: the table, how it came about, what bounds each row, and what is not measured yet. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from bench.table import Row, render

_INTRODUCTION: Final = """\
# Benchmarks

Written by `make bench`, which measures everything in one go. `.venv/bin/python -m bench ROW` measures one row again.
The ratios are what counts: the times depend on the machine."""

_BOUNDS: Final = """\
## What bounds each row

* **Webhooks**: the ingress process. About a quarter is our own work (secret, parsing, dedupe, record), the rest uvicorn
  and the two writes of an answer to the socket, which the ceiling pays as well.
* **Drain**: the server first. Settling an entry writes its record (HSET, PEXPIRE, PUBLISH), and a call from a script
  costs more than such a command itself; lane, gate and owner check go in batches. Our own Python takes about two
  thirds of the server's time, and the two take turns.
* **REST sends**: Litestar's parameters, dependencies and response: most of some 150 us of processor time a request.
* **Bulk**: the stream entry, record and key of each message, in one script call for 256 of them.
* **Idle latency**: three trips to the server, one after the other: accept, the end of XREAD, take. Each wakes a
  process."""

_MISSING: Final = """\
## Not measured yet

| what | against | why not |
|---|---|---|
| webhooks and REST sends | FastAPI and Litestar with one XADD each | not built yet; the ceiling stands in |
| webhooks at 500/s | the same | not built yet |
| drain, idle latency | FastStream, taskiq-redis, SAQ, streaq, arq | not built yet; the ceiling stands in |
| forwarder, end to end to n8n | one shared httpx client, a plain loop, a synchronous route | not built yet |
| limiter | limits, pyrate-limiter, INCR with EXPIRE | not built yet |
| memory, idle commands, backlog, growth of the cost | - | not built yet |
"""


def page(rows: Sequence[Row], how: str) -> str:
    """
    Return the Markdown page; `how` says on what and how it was measured, and how long it took.
    """
    return "\n\n".join([_INTRODUCTION, render(rows), how, _BOUNDS, _MISSING])
