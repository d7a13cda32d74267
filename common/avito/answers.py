"""
What Avito answered, and what that means (facts, sections 2 and 5).

Two steps, both values: `exchange` (module `http`) gives a `Result`, what was seen on the wire; `meaning` says what a
caller can conclude from it. Avito's errors come in many shapes and often without JSON, so reading is lenient.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

MESSAGE_CHARS: Final = 300


@dataclass(frozen=True, slots=True)
class Answer:
    """
    A complete answer: `body` is its JSON or None, `server_ms` its Date header as unix ms by Avito's clock.
    """

    status: int
    body: object
    text: str = field(default="", repr=False)
    retry_after_s: float | None = None
    server_ms: int | None = None


@dataclass(frozen=True, slots=True)
class NotSent:
    """
    Nothing went out: there was no connection. Repeating is safe.
    """

    error: str


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """
    The request went out, at least in part, and no complete answer came: it may have taken effect.

    `aborted` says that our own deadline ended it, so it may still arrive.
    """

    error: str
    aborted: bool = False


Result = Answer | NotSent | NoAnswer


@dataclass(frozen=True, slots=True)
class Ok:
    """
    Avito did it.
    """

    body: object
    status: int = 200
    server_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """
    Avito said no, for good: the same request again gets the same answer.
    """

    status: int
    message: str
    fields: object = None


@dataclass(frozen=True, slots=True)
class Limited:
    """
    Too many requests (429): nobody sends for a while.
    """

    retry_after_s: float | None
    status: int = 429


@dataclass(frozen=True, slots=True)
class Blocked:
    """
    The account may not use the API now: no paid plan (402), denied with a fresh token, or a wrong address.
    """

    status: int
    message: str


@dataclass(frozen=True, slots=True)
class Unauthorized:
    """
    The access token is not accepted, or the account may not do this; only a refresh tells which.
    """

    status: int
    message: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """
    It may have taken effect or not. `status` is None when there was no answer at all.

    `aborted`: our own deadline ended it, so it may still be on its way.
    """

    error: str
    status: int | None = None
    aborted: bool = False


@dataclass(frozen=True, slots=True)
class Unsent:
    """
    It has certainly not taken effect; it may be tried again.
    """

    error: str


Meaning = Ok | Refused | Limited | Blocked | Unauthorized | Unknown | Unsent


def meaning(result: Result) -> Meaning:
    """
    Say what a result means for any call.

    401 and 403 are `Unauthorized` here: that a 403 after a refresh is `Blocked` only the caller can know.
    """
    match result:
        case NotSent(error=error):
            return Unsent(error)
        case NoAnswer(error=error, aborted=aborted):
            return Unknown(error, aborted=aborted)
        case Answer():
            return _of_answer(result)


def _of_answer(answer: Answer) -> Meaning:
    status = _real_status(answer)
    said = message_of(answer)
    if status == 429:
        return Limited(answer.retry_after_s)
    if status in (401, 403):
        return Unauthorized(status, said)
    if status == 402:
        return Blocked(status, said)
    if 300 <= status < 400:
        # Redirects are never followed. The address is wrong, not the message: hold the queue, do not empty it.
        return Blocked(status, "Avito answered with a redirect: check AVITO_BASE_URL")
    if status == 408 or status >= 500:
        return Unknown(f"HTTP {status}: {said}", status)
    if status >= 400:
        return Refused(status, said, _fields(answer.body))
    if _has_result_false(answer.body):
        return Unauthorized(status, said) if "token" in said.lower() else Refused(status, said)
    return Ok(answer.body, status, answer.server_ms)


def _real_status(answer: Answer) -> int:
    """
    Return the status, or the error code of a body that says 4xx or 5xx under a 2xx.
    """
    code = _mapping(_mapping(answer.body).get("error")).get("code")
    if 200 <= answer.status < 300 and isinstance(code, int) and 400 <= code < 600:
        return code
    return answer.status


def message_of(answer: Answer) -> str:
    """
    Return what Avito says in any of its shapes of errors, shortened; the plain text if it is not JSON.
    """
    body = _mapping(answer.body)
    error = body.get("error")
    errors = body.get("errors")
    candidates = (
        _mapping(error).get("message"),
        body.get("error_description"),
        error,
        body.get("message"),
        _mapping(body.get("result")).get("message"),
        errors[0] if isinstance(errors, list) and errors else None,
        answer.text if answer.body is None else None,
    )
    said = next((text.strip() for text in candidates if isinstance(text, str) and text.strip()), "")
    return (said or f"status {answer.status} without a message")[:MESSAGE_CHARS]


def _fields(body: object) -> object:
    return _mapping(_mapping(body).get("error")).get("fields")


def _has_result_false(body: object) -> bool:
    return _mapping(_mapping(body).get("result")).get("status") is False


def _mapping(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}
