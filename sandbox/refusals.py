"""
Avito's answers to what it refuses, in the shapes of facts section 5.
"""

from __future__ import annotations

from typing import Any

MESSAGES = {
    400: "Bad Request",
    401: "Unauthorized",
    402: "Payment required",
    403: "Forbidden",
    404: "Not found",
    500: "Error while processing request. Please, contact support",
    503: "Service temporarily unavailable. Please, contact support",
}
NO_ROUTE = {"message": "no Route matched with those values"}
TOO_LARGE = {"message": "Request size limit exceeded"}


class Refused(Exception):
    """
    Answer with this status and body.
    """

    def __init__(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        super().__init__(status, body)
        self.status = status
        self.body = body
        self.headers = headers or {}


def component(status: int) -> dict[str, Any]:
    """
    Return the component body of the specification; of a 429 only the code is known.
    """
    if status not in MESSAGES:
        return {"error": {"code": status}}
    return {"error": {"code": status, "message": MESSAGES[status]}}


def refused(status: int) -> Refused:
    """
    Refuse with the component body.
    """
    return Refused(status, component(status))


def invalid(**fields: str) -> Refused:
    """
    Refuse with 400 and the fields that are wrong.
    """
    return Refused(400, {"error": {"code": 400, "message": "Validation error", "fields": fields}})


def bad_token(form: str, message: str) -> Refused:
    """
    Refuse an expired or unknown access token in one of the three forms seen or promised (facts, section 2).
    """
    if form == "401":
        return refused(401)
    return Refused(int(form), {"result": {"status": False, "message": message}})
