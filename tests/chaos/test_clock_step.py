"""
A clock of Redis that steps back while an entry waits for its next attempt: the smallest form of that row.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from common.queue.connection import connect
from common.queue.entry import Entry
from common.queue.gate import Permit
from common.queue.outcomes import Done, Outcome, Retry
from common.settings import Settings
from tests import servers
from tests.chaos.installation import faked, faketime, step
from tests.harness import Queue, Recorder, eventually

pytestmark = [
    pytest.mark.chaos,
    pytest.mark.skipif(faketime() is None, reason="libfaketime is not installed: apt-get install faketime"),
]


@pytest.mark.parametrize("to_s", [0, 3600, -3600])
async def test_a_retry_comes_in_its_time_though_the_clock_steps(settings: Settings, tmp_path: Path, to_s: int) -> None:
    """
    A retry due in 1 s comes within 10 s, wherever Redis' clock is set meanwhile.
    """

    def decide(_entry: Entry, _permit: Permit) -> Outcome:
        return Retry(after_s=1.0, error="once") if len(recorder.seen) == 1 else Done("sent")

    clock = tmp_path / "clock"
    recorder = Recorder(decide)
    with faked(clock):
        server = servers.embedded()
        started = server.__enter__()
    connections = connect(started.connection_url)
    queue = Queue(connections, settings)

    async def waits() -> bool:
        return bool(await connections.commands.zcard(queue.keys.commands.indexes[4]))

    try:
        async with queue.running(recorder):
            await queue.send("m1")
            await eventually(waits)
            step(clock, to_s)
            await recorder.count(2, 10)
            await eventually(queue.empty)
    finally:
        await queue.intake.stop()
        await connections.aclose()
        server.__exit__(None, None, None)

    assert ["m1", "m1"] == recorder.ids()
