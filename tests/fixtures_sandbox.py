"""
The fixture `sandbox`; a conftest imports it together with `sandbox_options`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from sandbox import Options, Sandbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
def sandbox_options() -> Options:
    """
    How `sandbox` starts; a test module overrides it to start it otherwise.
    """
    return Options()


@pytest_asyncio.fixture
async def sandbox(sandbox_options: Options) -> AsyncIterator[Sandbox]:
    """
    Stand-ins for Avito and n8n on free ports of this process, fresh for each test.
    """
    async with Sandbox.start(sandbox_options) as running:
        yield running
