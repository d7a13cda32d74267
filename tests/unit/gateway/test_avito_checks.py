"""
What the doctor concludes from Avito's answers.
"""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from common.avito.answers import Meaning, Ok, Refused
from common.errors import AvitoUnavailable, GatewayError, NoPermit, TokenRefused
from common.settings import Account
from gateway.avito_checks import judge_clock, judge_failure, judge_identity, judge_subscriptions
from gateway.findings import Level

ACCOUNT = Account(user_id="7", client_id="id", client_secret=SecretStr("secret"), webhook_secret=SecretStr("hush"))
OPEN = ACCOUNT.model_copy(update={"webhook_secret": None})


def subscribed(*urls: str) -> Ok:
    """
    Return Avito's list of subscriptions.
    """
    return Ok({"subscriptions": [{"url": url, "version": "3"} for url in urls]})


def test_account_of_the_credentials_is_recognised() -> None:
    """
    The number Avito gives and the one in the settings are the same, whatever their type.
    """
    found = judge_identity(ACCOUNT, Ok({"id": 7}, server_ms=1_000_000), 1000.0)

    assert [("OK", "account 7"), ("OK", "clock")] == [(one.level, one.subject) for one in found]


def test_wrong_account_number_is_corrected() -> None:
    """
    The advice names the value to set.
    """
    (found,) = judge_identity(ACCOUNT, Ok({"id": 8}), 0.0)

    assert ("FAIL", "Set AVITO_USER_ID=8.") == (found.level, found.advice)


@pytest.mark.parametrize("answer", [Refused(404, "Not found"), Ok([]), Ok(None)])
def test_strange_answer_about_the_account_fails(answer: Meaning) -> None:
    """
    Who we are must be known.
    """
    assert ["FAIL"] == [one.level for one in judge_identity(ACCOUNT, answer, 0.0)]


@pytest.mark.parametrize(("ahead_s", "level"), [(0.0, "OK"), (-1.0, "OK"), (31.0, "WARN"), (-3600.0, "WARN")])
def test_clock_may_differ_by_half_a_minute(ahead_s: float, level: Level) -> None:
    """
    Whole seconds and a slow answer are no reason to worry.
    """
    assert level == judge_clock(ahead_s).level


@pytest.mark.parametrize(
    ("account", "answer", "level", "word"),
    [
        (ACCOUNT, subscribed("https://gw.example.com/webhook/avito/hush"), "OK", "gw.example.com"),
        (
            ACCOUNT,
            subscribed("https://other.example.com/x", "https://gw.example.com/avito/webhook/avito/hush/"),
            "OK",
            "",
        ),
        (ACCOUNT, subscribed("https://gw.example.com/webhook/avito/old"), "WARN", "not with today's"),
        (OPEN, subscribed("https://gw.example.com/webhook/avito"), "OK", "gw.example.com"),
        (ACCOUNT, subscribed("https://other.example.com/hook"), "WARN", "does not look like"),
        (ACCOUNT, subscribed(), "WARN", "none"),
        (ACCOUNT, Ok("odd"), "WARN", "none"),
        (ACCOUNT, Refused(402, "Payment required"), "WARN", "402 Payment required"),
    ],
)
def test_subscription_is_found_by_path_and_secret(account: Account, answer: Meaning, level: Level, word: str) -> None:
    """
    Avito must call this gateway's address with today's secret, which is never shown.
    """
    found = judge_subscriptions(account, answer)

    assert (level, True) == (found.level, word in found.text)
    assert "hush" not in "".join(found.lines())


@pytest.mark.parametrize(
    ("error", "level"),
    [(TokenRefused(), "FAIL"), (NoPermit(3.0, "rate"), "WARN"), (AvitoUnavailable("no answer"), "FAIL")],
)
def test_used_up_limit_is_no_failure(error: GatewayError, level: Level) -> None:
    """
    A busy gateway keeps the doctor from asking; wrong credentials and silence are what fails.
    """
    found = judge_failure("avito 7", error)

    assert (level, True) == (found.level, bool(found.advice))
