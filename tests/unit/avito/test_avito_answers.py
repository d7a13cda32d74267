"""
What Avito's answers mean (facts, sections 2 and 5).
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from common.avito.answers import (
    Answer,
    Blocked,
    Limited,
    Meaning,
    NoAnswer,
    NotSent,
    Ok,
    Refused,
    Result,
    Unauthorized,
    Unknown,
    Unsent,
    meaning,
    message_of,
)
from common.http.headers import date_ms, retry_after_s

ERRORS = json.loads((Path(__file__).parents[2] / "payloads" / "23_errors.json").read_text(encoding="utf-8"))
NOW_MS = 1_764_610_200_000
SUPPORT = "Please, contact support"


def sample(name: str, status: int | None = None) -> Answer:
    """
    Return a sample of an error as an answer.
    """
    entry = ERRORS[name]
    return Answer(status=status if status is not None else entry["_status"], body=entry["body"])


@pytest.mark.parametrize(
    ("name", "status", "expected"),
    [
        ("expired_token_observed_2023", 403, Unauthorized(403, "access token expired")),
        ("expired_token_observed_2023", 401, Unauthorized(401, "access token expired")),
        ("expired_token_observed_2023", 200, Unauthorized(200, "access token expired")),
        ("kong_unknown_route_observed", None, Refused(404, "no Route matched with those values")),
        ("authError_spec", None, Unauthorized(401, "Unauthorized")),
        ("authError_spec", 200, Unauthorized(401, "Unauthorized")),
        ("purchasingError_spec", None, Blocked(402, "Payment required")),
        ("forbiddenError_spec", None, Unauthorized(403, "Forbidden")),
        ("notFoundError_spec", None, Refused(404, "Not found")),
        ("badRequestError_spec", None, Refused(400, "Bad Request")),
        ("validatingError_spec", None, Refused(400, "Validation error", {"<field>": "<text>"})),
        ("serviceError_spec", None, Unknown(f"HTTP 500: Error while processing request. {SUPPORT}", 500)),
        ("serviceUnavailableError_spec", None, Unknown(f"HTTP 503: Service temporarily unavailable. {SUPPORT}", 503)),
        ("tooManyRequestsError_other_avito_specs", None, Limited(None)),
        ("token_endpoint_failure_shape_from_clients", 400, Refused(400, "<text>")),
    ],
)
def test_meaning_of_every_sample(name: str, status: int | None, expected: Meaning) -> None:
    """
    Each known error has one meaning, whether its status is the documented one or not.
    """
    assert expected == meaning(sample(name, status))


def test_every_sample_is_in_the_table() -> None:
    """
    The table covers the file of samples.
    """
    table = next(m for m in test_meaning_of_every_sample.pytestmark if m.name == "parametrize")  # type: ignore[attr-defined]

    assert set(ERRORS) == {row[0] for row in table.args[1]}


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (NotSent("refused"), Unsent("refused")),
        (NoAnswer("cut"), Unknown("cut")),
        (NoAnswer("late", aborted=True), Unknown("late", aborted=True)),
        (Answer(200, {"ok": True}, server_ms=NOW_MS), Ok({"ok": True}, 200, NOW_MS)),
        (Answer(200, None), Ok(None)),
        (Answer(201, {}), Ok({}, 201)),
        (Answer(200, {"result": {"status": True}}), Ok({"result": {"status": True}})),
        (Answer(200, {"result": {"status": False, "message": "no such chat"}}), Refused(200, "no such chat")),
        (Answer(200, {"error": {"code": 404, "message": "Not found"}}), Refused(404, "Not found")),
        (Answer(200, {"error": {"code": "404"}}), Ok({"error": {"code": "404"}})),
        (Answer(301, None), Blocked(301, "Avito answered with a redirect: check AVITO_BASE_URL")),
        (Answer(408, None), Unknown("HTTP 408: status 408 without a message", 408)),
        (Answer(429, {}, retry_after_s=5.0), Limited(5.0)),
        (
            Answer(502, None, "upstream connect error or disconnect"),
            Unknown("HTTP 502: upstream connect error or disconnect", 502),
        ),
        (Answer(504, ["odd"], "x"), Unknown("HTTP 504: status 504 without a message", 504)),
        (Answer(400, {"errors": ["too long", "b"]}), Refused(400, "too long")),
        (Answer(409, {"message": "twice", "code": 9}), Refused(409, "twice")),
    ],
)
def test_meaning_of_other_results(result: Result, expected: Meaning) -> None:
    """
    What is no answer, no JSON or of another shape has a meaning, too.
    """
    assert expected == meaning(result)


def test_long_messages_are_cut() -> None:
    """
    A page of HTML does not get into logs and dead letters whole.
    """
    assert len(message_of(Answer(502, None, "x" * 10_000))) == 300


def test_an_answers_text_is_not_in_its_repr() -> None:
    """
    An answer in a log line does not carry its raw text.
    """
    assert "secret" not in repr(Answer(200, None, "secret"))


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("", None),
        ("7", 7.0),
        (" 1.5 ", 1.5),
        ("0", 1.0),
        ("-3", 1.0),
        ("22688", 900.0),
        ("inf", 900.0),
        ("nan", None),
        ("soon", None),
        ("Mon, 01 Dec 2025 17:30:30 GMT", 30.0),
        ("Mon, 01 Dec 2025 17:29:00 GMT", 1.0),
        ("Tue, 02 Dec 2025 17:30:00 GMT", 900.0),
    ],
)
def test_retry_after_in_both_forms(header: str | None, expected: float | None) -> None:
    """
    Retry-After is read as seconds and as a date, and clamped to 1 s .. 15 min.
    """
    assert expected == retry_after_s(header, NOW_MS)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("Mon, 01 Dec 2025 17:30:00 GMT", NOW_MS),
        ("Mon, 01 Dec 2025 17:30:00 -0000", NOW_MS),
        ("Mon, 01 Dec 2025 20:30:00 +0300", NOW_MS),
        ("yesterday", None),
        ("Mon, 99 Dec 2025 17:30:00 GMT", None),
    ],
)
def test_date_header(header: str | None, expected: int | None) -> None:
    """
    The Date header becomes unix ms, an unreadable one None.
    """
    assert expected == date_ms(header)
