"""
Problems: errors as `application/problem+json` (RFC 9457), and the one place where exceptions become such answers.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from http import HTTPStatus
from typing import Any, Final

from litestar import Request, Response
from litestar.exceptions import HTTPException, InternalServerException, ValidationException
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example
from litestar.types import ExceptionHandlersMap

from common.avito.messages import mapping
from common.avito.reads import AvitoBlocked, AvitoRefused
from common.errors import AvitoUnavailable, GroupLost, NoPermit, Outage, RedisMisuse, TokenRefused
from common.log import logger
from ingress.catalogue import CATALOGUE
from ingress.sparing import Sparing

PROBLEM_JSON: Final = "application/problem+json"
REDIS_RETRY_AFTER_S: Final = 5.0
"""
What a caller is told to wait while Redis is away.
"""
MAX_FIELD_ERRORS: Final = 100
"""
A bulk request may have 10 000 wrong items; the answer names this many.
"""

_log = logger(__name__)
_sparing = Sparing()
# Litestar tells of a missing parameter only in its text.
_MISSING: Final = re.compile(r"Missing required \w+ parameter '([\w-]+)'")


@dataclass(frozen=True, slots=True)
class FieldError:
    """
    What is wrong with one field; `field` is its path, such as `messages[17].text`.
    """

    field: str
    message: str
    code: str = "invalid"


class ProblemError(Exception):
    """
    Ends a request with the problem `code` of the catalogue; `extra` are further members of the body.
    """

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        errors: Sequence[FieldError] = (),
        retry_after_s: float | None = None,
        extra: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.kind = CATALOGUE[code]
        self.detail = detail
        self.errors = tuple(errors)
        self.retry_after_s = retry_after_s
        self.extra = dict(extra or {})
        self.headers = dict(headers or {})

    def body(self) -> dict[str, object]:
        """
        Return the members of the answer.
        """
        body: dict[str, object] = {
            "success": False,
            "type": self.kind.type,
            "title": self.kind.title,
            "status": self.kind.status,
            "detail": self.detail,
            "code": self.kind.code,
            "message": self.detail,
        }
        if self.errors:
            body["errors"] = [asdict(error) for error in self.errors[:MAX_FIELD_ERRORS]]
        if self.retry_after_s is not None:
            body["retry_after"] = whole_seconds(self.retry_after_s)
        return body | self.extra

    def response(self) -> Response[dict[str, object]]:
        """
        Return the answer, with `Retry-After` where the problem has one.
        """
        headers = dict(self.headers)
        if self.retry_after_s is not None:
            headers["Retry-After"] = str(whole_seconds(self.retry_after_s))
        return Response(self.body(), status_code=self.kind.status, media_type=PROBLEM_JSON, headers=headers)


def whole_seconds(seconds: float) -> int:
    """
    Round up to the whole seconds of a `Retry-After` header, at least 1.
    """
    return max(1, math.ceil(seconds))


def invalid(name: str, message: str, code: str = "invalid") -> ProblemError:
    """
    Return the problem of one invalid field.
    """
    return invalid_fields([FieldError(name, message, code)])


def invalid_fields(errors: Sequence[FieldError]) -> ProblemError:
    """
    Return the problem of several invalid fields; the detail names the first.
    """
    first = errors[0]
    more = f" ({len(errors) - 1} more)" if len(errors) > 1 else ""
    return ProblemError("validation_failed", f"{first.field}: {first.message}{more}", errors=errors)


def from_exception(exception: Exception) -> ProblemError:
    """
    Map what may come out of a handler to a problem; what is not known is `internal_error`.
    """
    match exception:
        case ProblemError():
            problem = exception
        case ValidationException():
            problem = _from_validation(exception)
        case HTTPException():
            problem = _from_http(exception)
        case NoPermit():
            problem = _from_no_permit(exception)
        case AvitoBlocked() | AvitoRefused():
            problem = _from_avito(exception)
        case AvitoUnavailable():
            problem = ProblemError("avito_unavailable", f"{exception}", retry_after_s=REDIS_RETRY_AFTER_S)
        case TokenRefused():
            problem = ProblemError("avito_token_refused", f"{exception}")
        case Outage() | GroupLost():
            problem = ProblemError(
                "redis_unavailable",
                "The store does not take anything right now. Nothing was promised; send the request again.",
                retry_after_s=REDIS_RETRY_AFTER_S,
            )
        case RedisMisuse():
            problem = ProblemError(
                "redis_misconfigured",
                "The store rejects the gateway's commands. The log names the reason.",
                retry_after_s=60.0,
            )
        case _:
            problem = ProblemError("internal_error", "The gateway has a fault. The log has the details.")
    return problem


def _from_validation(exception: ValidationException) -> ProblemError:
    """
    Read Litestar's list of wrong parameters; a missing body comes as the parameter `data`.
    """
    extra = exception.extra if isinstance(exception.extra, list) else []
    errors = [
        FieldError("(body)", "The request needs a JSON body.", "missing")
        if item.get("key") == "data"
        else FieldError(str(item.get("key", "(request)")), str(item.get("message", "not valid")))
        for item in extra
        if isinstance(item, dict)
    ]
    missing = _MISSING.search(exception.detail)
    if missing and not errors:
        errors = [FieldError(missing[1], "This parameter is required.", "missing")]
    return invalid_fields(errors or [FieldError("(request)", exception.detail)])


_BY_STATUS: Final[dict[int, str]] = {
    HTTPStatus.UNAUTHORIZED: "unauthorized",
    HTTPStatus.NOT_FOUND: "not_found",
    HTTPStatus.METHOD_NOT_ALLOWED: "method_not_allowed",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "body_too_large",
}


def _from_http(exception: HTTPException) -> ProblemError:
    code = _BY_STATUS.get(exception.status_code)
    if code is None and isinstance(exception, InternalServerException) and "disconnect" in exception.detail:
        # The caller went away while it sent its body: nobody reads the answer, and it is no fault of ours.
        code = "bad_request"
    elif code is None:
        code = "bad_request" if exception.status_code < HTTPStatus.INTERNAL_SERVER_ERROR else "internal_error"
    detail = exception.detail if code == "bad_request" else CATALOGUE[code].meaning
    return ProblemError(code, detail, headers=exception.headers)


def _from_no_permit(exception: NoPermit) -> ProblemError:
    """
    Tell a gate that is only busy from one that is paused since Avito denies everything (`HTTP 402: ...`).
    """
    if exception.reason.startswith("HTTP "):
        detail = f"Calls to Avito are paused. Its last answer: {exception.reason}"
        return ProblemError("avito_blocked", detail, retry_after_s=exception.retry_after_s)
    return ProblemError(
        "rate_limited",
        f"No request to Avito is free now ({exception.reason}). Send the request again later.",
        retry_after_s=exception.retry_after_s,
    )


def _from_avito(exception: AvitoBlocked | AvitoRefused) -> ProblemError:
    extra = {"avito_status": exception.status}
    detail = f"Avito answered {exception.status}: {exception.message}"
    if isinstance(exception, AvitoBlocked):
        return ProblemError("avito_blocked", detail, retry_after_s=300.0, extra=extra)
    if exception.status == HTTPStatus.NOT_FOUND:
        return ProblemError("avito_not_found", detail, extra=extra)
    if exception.status in (HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY):
        errors = [FieldError(name, str(text), "avito") for name, text in mapping(exception.fields).items()]
        return ProblemError("avito_invalid_request", detail, errors=errors, extra=extra)
    return ProblemError("avito_refused", detail, extra=extra)


def answer(request: Request[Any, Any, Any], exception: Exception) -> Response[dict[str, object]]:
    """
    Litestar's exception handler for everything: log what is a fault, answer with a problem.
    """
    problem = from_exception(exception)
    route = request.scope.get("path_template") or "(no route)"
    if problem.kind.code == "internal_error":
        _log.error("request.failed", method=request.method, route=route, exc_info=exception)
    elif problem.kind.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        # An outage refuses each of thousands of requests: they share a line.
        code = problem.kind.code
        left_out = _sparing.due(code)
        if left_out is not None:
            _log.warning("request.refused", route=route, code=code, left_out=left_out, error=str(exception))
    return problem.response()


HANDLERS: Final[ExceptionHandlersMap] = {Exception: answer}


@dataclass(frozen=True, slots=True)
class ProblemBody:
    """
    The body of every error.
    """

    type: str
    title: str
    status: int
    detail: str
    code: str
    message: str
    success: bool = False
    errors: list[FieldError] = field(default_factory=list)
    retry_after: int | None = None


def documented(*codes: str) -> dict[int, ResponseSpec]:
    """
    Return what OpenAPI says about these problems, one response a status with an example for each code.
    """
    by_status: dict[int, list[str]] = {}
    for code in codes:
        by_status.setdefault(CATALOGUE[code].status, []).append(code)
    return {
        status: ResponseSpec(
            ProblemBody,
            generate_examples=False,
            description=". ".join(CATALOGUE[code].title for code in listed),
            media_type=PROBLEM_JSON,
            examples=[
                Example(id=code, summary=code, value=ProblemError(code, CATALOGUE[code].meaning).body())
                for code in listed
            ],
        )
        for status, listed in sorted(by_status.items())
    }


API_PROBLEMS: Final = (
    "bad_account",
    "unauthorized",
    "unknown_account",
    "redis_unavailable",
    "redis_misconfigured",
    "not_configured",
)
"""
What any address under /api may answer.
"""
AVITO_PROBLEMS: Final = (
    "avito_not_found",
    "avito_invalid_request",
    "rate_limited",
    "avito_unavailable",
    "avito_refused",
    "avito_token_refused",
    "avito_blocked",
)
"""
What an address that calls Avito at once may answer.
"""
