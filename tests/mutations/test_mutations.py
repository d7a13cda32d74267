"""
The suite notices when a promise is broken: each mutation of a script makes the test fail that is named for it.

A test runs as a process of its own, in a copy of the program and the tests whose script is changed.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.fleet import ROOT
from tests.mutations.table import MUTATIONS, PROMISES, Mutation

PARTS = ("common", "dispatcher", "forwarder", "ingress", "gateway", "sandbox", "tests", "pyproject.toml")
FOLDER = "tests/integration/queue"
WITHIN_S = 110.0
# What Redis says of a script that cannot be compiled, or ends in an error of Lua's.
SCRIPT_FAULT = re.compile(r"user_script:\d+: ")
SLOW = [pytest.mark.chaos, pytest.mark.timeout(240)]


@pytest.fixture(name="copy", scope="module")
def _copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mutated")
    for part in PARTS:
        # With the compiled files: they hold for the copies, whose times are the same.
        (shutil.copytree if (ROOT / part).is_dir() else shutil.copy2)(ROOT / part, folder / part)
    return folder


def script(folder: Path, name: str) -> Path:
    """
    Return where a script lies.
    """
    return folder / "common/queue/lua" / f"{name}.lua"


@contextmanager
def mutated(folder: Path, mutation: Mutation) -> Iterator[None]:
    """
    Let the copy have this change inside the block.
    """
    path = script(folder, mutation.script)
    text = path.read_text(encoding="utf-8")
    path.write_text(mutation.applied(text), encoding="utf-8")
    try:
        yield
    finally:
        path.write_text(text, encoding="utf-8")


async def run(folder: Path, *tests: str) -> tuple[int, str]:
    """
    Run tests of the copy; return pytest's exit code and what it said.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "pytest", "-q", "-rf", "-p", "no:cacheprovider", "-p", "pytest_asyncio.plugin", "-p", "pytest_timeout"),
        *(f"{FOLDER}/{test}" for test in tests),
        cwd=folder,
        # Plugins that are not needed take most of the start.
        env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        said, _ = await asyncio.wait_for(process.communicate(), WITHIN_S)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return process.returncode, said.decode()


@pytest.mark.parametrize("mutation", MUTATIONS, ids=str)
def test_a_mutation_fits_its_script(mutation: Mutation) -> None:
    """
    What it changes is there, once.
    """
    text = script(ROOT, mutation.script).read_text(encoding="utf-8")

    assert text != mutation.applied(text)


def test_each_promise_is_broken_in_every_run() -> None:
    """
    Of each promise one mutation is quick.
    """
    assert list(PROMISES) == [mutation.promise for mutation in MUTATIONS if mutation.quick]


@pytest.mark.parametrize("mutation", [pytest.param(one, marks=[] if one.quick else SLOW) for one in MUTATIONS], ids=str)
async def test_a_broken_promise_is_noticed(copy: Path, mutation: Mutation) -> None:
    """
    With this one change the named test fails: not because the script does not run, but because it does another thing.
    """
    with mutated(copy, mutation):
        code, said = await run(copy, mutation.test)

    assert 1 == code, said
    assert f"FAILED {FOLDER}/{mutation.test}" in said
    assert not SCRIPT_FAULT.search(said), said


@pytest.mark.chaos
@pytest.mark.timeout(240)
async def test_unchanged_all_of_them_pass(copy: Path) -> None:
    """
    The same tests of the same copy pass when nothing is changed.
    """
    code, said = await run(copy, *sorted({mutation.test for mutation in MUTATIONS}))

    assert 0 == code, said
