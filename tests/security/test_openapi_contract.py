"""
Schemathesis against the running ingress, from the document it gives itself.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from common.queue.connection import Connections
from sandbox import Sandbox
from tests.fleet import fleet

API_KEY = "key-for-tests"

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


class Contract:
    """
    Calls every operation of the document with generated requests and keeps what is wrong, one of a kind and operation.
    """

    def __init__(self, base_url: str, headers: dict[str, str]) -> None:
        self._schema = schemathesis.openapi.from_url(f"{base_url}/openapi.json")
        self._headers = headers
        self.operations = 0
        self.statuses: dict[int, int] = {}
        self.wrong: dict[tuple[str, str], str] = {}

    def check(self, examples: int) -> None:
        """
        Make `examples` valid requests to each operation and as many invalid ones.
        """
        for found in self._schema.get_all_operations():
            assert isinstance(found, Ok), found
            operation = found.ok()
            self.operations += 1
            self._probe(operation, GenerationMode.POSITIVE, examples)
            try:
                self._probe(operation, GenerationMode.NEGATIVE, examples)
            except Unsatisfiable:
                # Nothing in the request could be wrong.
                continue

    def _probe(self, operation: Any, mode: GenerationMode, examples: int) -> None:
        @settings(
            max_examples=examples,
            deadline=None,
            database=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def one(case: Any) -> None:
            self._call(operation.label, case)

        one()

    def _call(self, label: str, case: Any) -> None:
        wait = (case.query or {}).get("wait")
        if isinstance(wait, int) and wait > 0:
            # A command of tomorrow would be waited for in vain.
            case.query["wait"] = 0
        response = case.call(headers=self._headers)
        self.statuses[response.status_code] = self.statuses.get(response.status_code, 0) + 1
        # Nobody dispatches, so after 30 s health tells of it, with the 503 that it is documented to have.
        checks = CHECKS[1:] if case.path == "/health" else CHECKS
        try:
            case.validate_response(response, checks=checks)
        except FailureGroup as failures:
            for failure in failures.exceptions:
                self.wrong.setdefault((label, type(failure).__name__), f"{label}: {failure}\n{case.as_curl_command()}")


@pytest.mark.parametrize("examples", [4, pytest.param(100, marks=[pytest.mark.chaos, pytest.mark.timeout(1800)])])
async def test_every_answer_is_a_documented_one(
    connections: Connections, redis_url: str, sandbox: Sandbox, tmp_path: Path, examples: int
) -> None:
    """
    Valid and invalid requests get an answer of a documented status, type and shape; none of them is a 5xx.

    The ingress is a process of its own: Hypothesis watches this one's use of `random`. Nobody dispatches, so no
    address that was made up is ever called.
    """
    limits = {"RATE_LIMIT_REQUESTS": "100000", "RATE_LIMIT_WINDOW": "1"}
    async with fleet(connections, redis_url, sandbox, tmp_path, API_KEY=API_KEY, **limits) as running:
        await running.start("ingress")
        contract = await asyncio.to_thread(Contract, running.url, {"X-API-Key": API_KEY})
        await asyncio.to_thread(contract.check, examples)

    assert not contract.wrong, "\n\n".join(text[:3000] for text in contract.wrong.values())
    assert contract.operations > 20
    assert {200, 202, 422} <= contract.statuses.keys()
