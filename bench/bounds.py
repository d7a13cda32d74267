"""
What bounds each row, in words: written by hand after profiling (py-spy, INFO commandstats). By the row's name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

BOUNDS: Final[Mapping[str, str]] = {
    "webhooks": "The ingress process. About a quarter is our own work (secret, parsing, dedupe, record), the"
    " rest uvicorn"
    " and the two writes of an answer to the socket, which the ceiling pays as well.",
    "drained": "The server first. Settling an entry writes its record (HSET, PEXPIRE, PUBLISH), and a call from"
    " a script"
    " costs more than such a command itself; lane, gate and owner check go in batches. Our own Python takes about"
    " two thirds of the server's time, and the two take turns.",
    "sends": "Litestar's parameters, dependencies and response: most of some 150 us of processor time a request.",
    "bulk": "The stream entry, record and key of each message, in one script call for 256 of them.",
    "latency": "Three trips to the server, one after the other: accept, the end of XREAD, take. Each wakes a process.",
}
