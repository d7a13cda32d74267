"""
What Prometheus and Grafana get: the scrape, the rules and the dashboard name the same metrics, and promtool takes them.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import Histogram
from prometheus_client.parser import text_string_to_metric_families

from common import metrics
from common.metrics import FAMILIES, Children, Family, series
from common.queue import keys
from tests.integration.ingress.conftest import API_KEY, CHAT, Gateway, Serve
from tests.prometheus import needs_promtool, promtool

ROOT = Path(__file__).resolve().parents[3]
RULES = ROOT / "deploy/prometheus/alerts.yml"
RULE_TESTS = ROOT / "deploy/prometheus/alerts_test.yml"
DASHBOARD = ROOT / "deploy/grafana/dashboard.json"
RUNBOOK = ROOT / "docs/runbook.md"
DOCUMENT = ROOT / "docs/metrics.md"

ACCOUNTS = 50
# As many series as a busy installation has: each family of an account with so many combinations of its other labels.
COMBINATIONS = 4


def _count_all() -> None:
    """
    Let every counter and histogram of this process grow once.
    """
    for children in vars(metrics).values():
        if isinstance(children, Children):
            labels = tuple(f"some-{name}" for name in children._parent._labelnames)
            child = children[labels]
            if isinstance(child, Histogram):
                child.observe(0.2)
            else:
                child.inc()


@pytest.fixture(name="scrape")
async def _scrape(gateway: Gateway) -> str:
    """
    A scrape to which everything has happened.
    """
    _count_all()
    await gateway.http.post("/api/messages/send", json={"chat_id": CHAT, "text": "x"})
    return (await gateway.http.get("/metrics")).text


def _named(text: str) -> set[str]:
    """
    Return the families that a text names.
    """
    names = set(re.findall(r"\bavito_gateway_[a-z0-9_]+", text))
    return {re.sub(r"_seconds_(bucket|sum|count)$", "_seconds", name) for name in names}


def _expressions(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        for name, value in node.items():
            if name == "expr":
                yield str(value)
            else:
                yield from _expressions(value)
    elif isinstance(node, list):
        for value in node:
            yield from _expressions(value)


def _alerts() -> list[str]:
    return re.findall(r"- alert: (\w+)$", RULES.read_text(encoding="utf-8"), re.MULTILINE)


def test_a_scrape_shows_every_metric(scrape: str) -> None:
    """
    Once everything has happened each metric is there, under its own type, and no other.
    """
    found = {
        family.name + ("_total" if family.type == "counter" else ""): family.type
        for family in text_string_to_metric_families(scrape)
    }

    assert {family.name: family.type for family in FAMILIES.values()} == found


@needs_promtool
def test_promtool_finds_no_fault_with_a_scrape(scrape: str) -> None:
    """
    Names, types, units and texts are as Prometheus wants them.
    """
    assert "" == promtool("check", "metrics", given=scrape)


@needs_promtool
def test_promtool_takes_the_rules() -> None:
    """
    The alert rules are valid, fire when they should and not before, and the example of a configuration is one.
    """
    promtool("check", "rules", str(RULES))
    promtool("test", "rules", RULE_TESTS.name, folder=RULE_TESTS.parent)
    promtool("check", "config", "--syntax-only", "prometheus.yml", folder=RULES.parent)


@needs_promtool
def test_promtool_takes_the_dashboards_queries(tmp_path: Path) -> None:
    """
    Each query of the dashboard is PromQL, once Grafana has put in its variables.
    """
    queries = list(_expressions(json.loads(DASHBOARD.read_text(encoding="utf-8"))))
    plain = [query.replace("$__rate_interval", "1m").replace("$account", ".*") for query in queries]
    rules = [{"record": f"query:{n}", "expr": query} for n, query in enumerate(plain)]
    # JSON is YAML.
    (tmp_path / "rules.yml").write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))

    assert queries
    assert f"SUCCESS: {len(queries)} rules found" in promtool("check", "rules", str(tmp_path / "rules.yml"))


@pytest.mark.parametrize("path", [RULES, RULE_TESTS, DASHBOARD], ids=lambda path: path.name)
def test_only_metrics_that_are_there_are_asked_for(scrape: str, path: Path) -> None:
    """
    Rules and dashboard name no metric that a scrape does not show.
    """
    asked = _named(path.read_text(encoding="utf-8"))

    assert asked
    assert set() == asked - _named(scrape)


def test_each_alert_is_tested_and_leads_to_the_runbook() -> None:
    """
    The link is to the alert's own heading.
    """
    rules, alerts = RULES.read_text(encoding="utf-8"), _alerts()

    assert alerts
    assert set(alerts) == set(re.findall(r'alertname="(\w+)"', RULE_TESTS.read_text(encoding="utf-8")))
    links = re.findall(r"runbook_url: (\S+)$", rules, re.MULTILINE)
    assert [f"docs/runbook.md#{alert.lower()}" for alert in alerts] == links


@pytest.mark.skipif(not RUNBOOK.exists(), reason="docs/runbook.md is not written yet")
def test_the_runbook_has_a_heading_for_each_alert() -> None:
    """
    Who follows an alert's link finds what to do.
    """
    headings = set(re.findall(r"^#+ (\w+)$", RUNBOOK.read_text(encoding="utf-8"), re.MULTILINE))

    assert set() == set(_alerts()) - headings


def _row(family: Family) -> str:
    labels = ", ".join(f"`{label}`" for label in family.labels) or "-"
    return f"| `{family.name}` | {family.type} | {labels} | {family.text} |"


def test_the_document_describes_every_metric() -> None:
    """
    The table of docs/metrics.md is what the program says of its metrics, in the same order.
    """
    table = re.findall(r"^\| `avito_gateway_.+$", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)

    assert [_row(family) for family in FAMILIES.values()] == table


def _totals(user_ids: list[str]) -> dict[Any, Any]:
    found: dict[Any, Any] = {}
    for family in FAMILIES.values():
        others = [label for label in family.labels if label != "account"]
        for user_id in user_ids if "account" in family.labels else [""]:
            for n in range(COMBINATIONS if others else 1):
                values = {"account": user_id} | {label: f"{label}-{n}" for label in others}
                labels = tuple((label, values[label]) for label in family.labels)
                if family.type == "counter":
                    found[series(family.name, labels)] = "12345"
                elif family.type == "histogram":
                    for bound in range(15):
                        found[series(f"{family.name}_bucket", (*labels, ("le", f"{bound}.0")))] = "12345"
    return found


async def _raw(gateway: Gateway, path: str) -> bytes:
    """
    Return a whole answer, its head with it.
    """
    url = gateway.http.base_url
    reader, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(f"GET {path} HTTP/1.1\r\nhost: test\r\nx-api-key: {API_KEY}\r\nconnection: close\r\n\r\n".encode())
    answer = await reader.read(-1)
    writer.close()
    await writer.wait_closed()
    return answer


async def test_a_scrape_of_fifty_accounts_costs_a_quarter_of_reading_it(serve: Serve, tmp_path: Path) -> None:
    """
    With everything counted for each of them, by the processor time of the whole test, since the machine has other work:
    the best of thirty scrapes, whose client reads without parsing, beside the best of three times that Prometheus' own
    library for Python reads one.
    """
    listed = [
        f'[[account]]\nuser_id = {200_000_000 + n}\nclient_id = "a"\nclient_secret = "b"\n' for n in range(1, ACCOUNTS)
    ]
    (tmp_path / "accounts.toml").write_text("".join(listed))
    async with serve(accounts_file=tmp_path / "accounts.toml", avito_base_url="http://127.0.0.1:9") as gateway:
        user_ids = [account.user_id for account in gateway.settings.accounts]
        totals = _totals(user_ids)
        await gateway.connections.commands.hset(keys.totals(gateway.settings.key_prefix), mapping=totals)
        for user_id in user_ids:
            command = {"chat_id": CHAT, "text": "x"}
            await gateway.http.post("/api/messages/send", json=command, headers={"X-Avito-Account": user_id})
        text = (await gateway.http.get("/metrics")).text
        scraped_s = []
        for _ in range(30):
            begun_s = time.process_time()
            assert len(await _raw(gateway, "/metrics")) > len(text)
            scraped_s.append(time.process_time() - begun_s)
    read_s = []
    for _ in range(3):
        begun_s = time.process_time()
        list(text_string_to_metric_families(text))
        read_s.append(time.process_time() - begun_s)

    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert ACCOUNTS == len(user_ids)
    assert len(lines) > len(totals) > 40 * ACCOUNTS
    assert 4 * min(scraped_s) < min(read_s), (scraped_s, read_s)
