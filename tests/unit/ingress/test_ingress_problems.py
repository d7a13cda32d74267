"""
The catalogue of errors, and what becomes a problem.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from pathlib import Path

import pytest
from litestar.exceptions import (
    ClientException,
    InternalServerException,
    MethodNotAllowedException,
    NotFoundException,
    ValidationException,
)

from common import errors
from common.avito.reads import AvitoBlocked, AvitoRefused
from common.settings import load
from ingress.catalogue import CATALOGUE
from ingress.problems import FieldError, ProblemError, from_exception, whole_seconds
from ingress.webhook_secrets import WebhookSecrets

ROOT = Path(__file__).parents[3]


def test_every_code_is_used() -> None:
    """
    The catalogue has no kind that nothing answers with, and nothing answers with a kind it lacks.
    """
    sources = "\n".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "ingress").glob("*.py") if path.name != "catalogue.py"
    )
    used = set(re.findall(r'"([a-z]+(?:_[a-z]+)+|unauthorized)"', sources))
    made = {f"command_{status}" for status in ("expired", "cancelled")}

    assert set() == CATALOGUE.keys() - used - made
    assert all(HTTPStatus(kind.status) >= 400 and kind.title and kind.meaning for kind in CATALOGUE.values())


def test_body() -> None:
    """
    A problem has the members of RFC 9457, those n8n looks at, and its own.
    """
    problem = ProblemError(
        "queue_full", "Too long.", errors=[FieldError("a", "b", "c")], retry_after_s=1.2, extra={"accepted": 5}
    )

    assert problem.body() == {
        "success": False,
        "type": "urn:avito-gateway:problem:queue_full",
        "title": "The queue is too long",
        "status": 429,
        "detail": "Too long.",
        "code": "queue_full",
        "message": "Too long.",
        "errors": [{"field": "a", "message": "b", "code": "c"}],
        "retry_after": 2,
        "accepted": 5,
    }
    assert problem.response().headers["Retry-After"] == "2"


@pytest.mark.parametrize(
    ("exception", "code", "retries"),
    [
        (errors.RedisAway(), "redis_unavailable", True),
        (errors.RedisRefused(), "redis_unavailable", True),
        (errors.RoleChanged(), "redis_unavailable", True),
        (errors.GroupLost(), "redis_unavailable", True),
        (errors.RedisMisuse(), "redis_misconfigured", True),
        (errors.NoPermit(3.0, "rate"), "rate_limited", True),
        (errors.NoPermit(3.0, "HTTP 402: no plan"), "avito_blocked", True),
        (errors.AvitoUnavailable(), "avito_unavailable", True),
        (AvitoBlocked(402, "no plan"), "avito_blocked", True),
        (errors.TokenRefused(), "avito_token_refused", False),
        (AvitoRefused(404, "Not found"), "avito_not_found", False),
        (AvitoRefused(400, "Validation error", {"text": "too long"}), "avito_invalid_request", False),
        (AvitoRefused(400, "Bad Request", ["odd"]), "avito_invalid_request", False),
        (AvitoRefused(409, "Conflict"), "avito_refused", False),
        (NotFoundException(), "not_found", False),
        (MethodNotAllowedException(), "method_not_allowed", False),
        (ClientException(status_code=413), "body_too_large", False),
        (ClientException("odd header"), "bad_request", False),
        (InternalServerException("client disconnected prematurely"), "bad_request", False),
        (ClientException("odd", status_code=499), "bad_request", False),
        (ValidationException("no details"), "validation_failed", False),
        (RuntimeError("a bug"), "internal_error", False),
    ],
    ids=repr,
)
def test_exceptions(exception: Exception, code: str, retries: bool) -> None:
    """
    Every exception has one problem; what passes by itself tells when to come again.
    """
    problem = from_exception(exception)

    assert (code, retries) == (problem.kind.code, problem.retry_after_s is not None)


def test_bugs_tell_nothing() -> None:
    """
    The answer to a bug holds nothing of the exception.
    """
    assert "secret" not in str(from_exception(RuntimeError("secret")).body())


@pytest.mark.parametrize(("seconds", "whole"), [(0.0, 1), (0.2, 1), (1.0, 1), (1.01, 2), (299.5, 300)])
def test_whole_seconds(seconds: float, whole: int) -> None:
    """
    Retry-After is rounded up, so that nobody comes too early.
    """
    assert whole == whole_seconds(seconds)


def test_secrets(tmp_path: Path) -> None:
    """
    An account's own secret goes before the common one; without any secret every address serves.
    """
    accounts = tmp_path / "accounts.toml"
    accounts.write_text(
        '[[account]]\nuser_id = "1"\nclient_id = "a"\nclient_secret = "a"\nwebhook_secret = "own"\n'
        '[[account]]\nuser_id = "2"\nclient_id = "b"\nclient_secret = "b"\n'
    )
    settings = load(None, accounts_file=accounts, webhook_secret="common")
    secrets = WebhookSecrets(settings)
    first, second = settings.accounts

    assert [True, True, False, False] == [secrets.known(shown) for shown in ("own", "common", "other", None)]
    assert [True, False] == [secrets.opens(first, shown) for shown in ("own", "common")]
    assert [False, True] == [secrets.opens(second, shown) for shown in ("own", "common")]
    assert (first, None) == (secrets.owner("own", settings), secrets.owner("common", settings))
    assert WebhookSecrets(load(None)).known(None)
