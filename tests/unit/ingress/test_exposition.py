"""
Prometheus' text format, as Prometheus' own library reads it.
"""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from common.metrics import FAMILIES
from ingress import exposition

ACCEPTED = "avito_gateway_commands_accepted_total"
WAIT = "avito_gateway_wait_seconds"


def test_totals_and_states_are_read_as_they_were() -> None:
    """
    Labels, values and types come through, whatever stands in a label.
    """
    labels = {"account": '1"\\\n', "kind": "text", "priority": "bulk"}
    written = '{account="1\\"\\\\\\n",kind="text",priority="bulk"}'

    text = exposition.text({ACCEPTED + written: "12"}, {"avito_gateway_redis_up": ["avito_gateway_redis_up 1"]})

    up, accepted = text_string_to_metric_families(text)
    assert ("gauge", [({}, 1.0)]) == (up.type, [(sample.labels, sample.value) for sample in up.samples])
    assert ("counter", [(labels, 12.0)]) == (
        accepted.type,
        [(sample.labels, sample.value) for sample in accepted.samples],
    )
    assert FAMILIES[ACCEPTED].text == accepted.documentation


def test_a_histogram_is_whole_and_in_order() -> None:
    """
    Buckets stand in the order of their bounds, series by series, and belong to one family with sum and count.
    """
    totals = {
        f'{WAIT}_{part}{{queue="{queue}"{bound}}}': "1"
        for queue in ("events", "bulk")
        for part, bound in (
            ("bucket", ',le="+Inf"'),
            ("sum", ""),
            ("bucket", ',le="10.0"'),
            ("bucket", ',le="2.5"'),
            ("count", ""),
        )
    }

    text = exposition.text(totals, {})

    (family,) = text_string_to_metric_families(text)
    assert ("histogram", 10) == (family.type, len(family.samples))
    buckets = [(sample.labels["queue"], sample.labels["le"]) for sample in family.samples if "le" in sample.labels]
    assert [(queue, bound) for queue in ("bulk", "events") for bound in ("2.5", "10.0", "+Inf")] == buckets


def test_what_this_version_does_not_know_is_left_out() -> None:
    """
    Totals stay in Redis when a family is gone; they are not shown, nor is a family of which there is nothing.
    """
    totals = {"avito_gateway_gone_total": "1", f"{ACCEPTED}_sum": "1", "avito_gateway_redis_up_bucket": "1"}

    assert "" == exposition.text(totals, {})
