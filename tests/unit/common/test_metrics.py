"""
What a process counts, and what it has grown by.
"""

from __future__ import annotations

import re

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram

from common.metrics import FAMILIES, Children, Growth, Sample


@pytest.fixture(name="registry")
def _registry() -> CollectorRegistry:
    return CollectorRegistry()


def test_growth_is_taken_once(registry: CollectorRegistry) -> None:
    """
    Who takes the growth gets what was counted since it was taken last, whoever that was; nothing counted is nothing.
    """
    sent = Children(Counter("sent_total", "Sent.", ("account", "kind"), registry=registry))
    growth = Growth(registry)
    text, image = (Sample("sent_total", (("account", "1"), ("kind", kind))) for kind in ("text", "image"))

    sent["1", "text"].inc()
    sent["1", "image"].inc(2)
    assert {text: 1.0, image: 2.0} == growth.take()

    sent["1", "text"].inc(3)
    assert {text: 3.0} == growth.take()
    assert {} == growth.take()


def test_what_was_put_back_is_in_the_next(registry: CollectorRegistry) -> None:
    """
    Growth that could not be reported is added to what was counted meanwhile.
    """
    sent = Children(Counter("sent_total", "Sent.", registry=registry))
    growth = Growth(registry)
    sent[()].inc(2)
    growth.put_back(growth.take())
    sent[()].inc()

    assert {Sample("sent_total", ()): 3.0} == growth.take()


def test_a_histogram_grows_by_its_samples(registry: CollectorRegistry) -> None:
    """
    Buckets, sum and count are samples like all others, so they add up over processes.
    """
    seconds = Children(Histogram("seconds", "Seconds.", buckets=(1.0, 10.0), registry=registry))
    growth = Growth(registry)
    seconds[()].observe(2.5)

    assert {
        'seconds_bucket{le="10.0"}': 1.0,
        'seconds_bucket{le="+Inf"}': 1.0,
        "seconds_sum": 2.5,
        "seconds_count": 1.0,
    } == {str(sample): grown for sample, grown in growth.take().items()}


@pytest.mark.parametrize(
    ("value", "written"), [("plain", "plain"), ('a"b', r"a\"b"), ("a\\b", r"a\\b"), ("a\nb", r"a\nb")]
)
def test_a_series_is_written_as_prometheus_reads_it(value: str, written: str) -> None:
    """
    What would end a label's value is escaped.
    """
    assert f'x{{a="{written}",b="1"}}' == str(Sample("x", (("a", value), ("b", "1"))))


def test_names_are_prometheus_names() -> None:
    """
    All begin with the program's name; counters end in `_total`, and nothing else does; each has a sentence.
    """
    assert FAMILIES
    for name, family in FAMILIES.items():
        assert re.fullmatch(r"avito_gateway_[a-z0-9_]+", name), name
        assert (family.type == "counter") == name.endswith("_total"), name
        assert family.text.endswith("."), name
