"""
The catalogue of errors: every problem the HTTP face answers with, in one place.

`docs/errors.md` is this table as text: `make reference` writes it, and a test keeps the two alike.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """
    One kind of problem: its code, HTTP status, title, and what it means for the caller.
    """

    code: str
    status: int
    title: str
    meaning: str

    @property
    def type(self) -> str:
        """
        Return the problem's `type`: a name, not an address, so it is the same on every installation.
        """
        return f"urn:avito-gateway:problem:{self.code}"


_KINDS = (
    Kind(
        "bad_json",
        400,
        "The body is not JSON",
        "The body could not be read as JSON. Nothing was stored. Send valid JSON.",
    ),
    Kind(
        "bad_multipart",
        400,
        "The form cannot be read",
        "The multipart body is broken or was cut off. Nothing was stored. Send it again as multipart/form-data.",
    ),
    Kind("bad_request", 400, "The request cannot be read", "The HTTP request is broken. `detail` says where."),
    Kind(
        "bad_account",
        400,
        "X-Avito-Account is not an account id",
        "The header must hold the numeric id of an Avito account.",
    ),
    Kind(
        "unauthorized",
        401,
        "The key is missing or wrong",
        "Send the value of `API_KEY` as `X-API-Key`, or as `Authorization: Bearer`.",
    ),
    Kind("not_found", 404, "There is no such address", "The path is wrong, or a webhook's secret is."),
    Kind(
        "unknown_account",
        404,
        "The account is not configured",
        "No account with this id is in the settings or in `ACCOUNTS_FILE`.",
    ),
    Kind(
        "unknown_command",
        404,
        "There is no such command",
        "The id is wrong, belongs to another account, or its record has expired.",
    ),
    Kind(
        "unknown_event",
        404,
        "There is no such event",
        "No message with this id came in for this account, or its record has expired.",
    ),
    Kind(
        "avito_not_found",
        404,
        "Avito does not know it",
        "Avito answered 404: the chat, message or item does not exist or is not this account's.",
    ),
    Kind(
        "method_not_allowed",
        405,
        "The method is not allowed here",
        "The address exists and does not take this HTTP method.",
    ),
    Kind(
        "command_sending",
        409,
        "The command is being sent",
        "It can no longer be cancelled. Ask for its record to see how it ends.",
    ),
    Kind(
        "command_not_unknown",
        409,
        "The command's outcome is not in doubt",
        "Only a command of status `unknown` can be resolved by hand. Ask for its record to see where it stands.",
    ),
    Kind("command_ended", 409, "The command has ended", "It was sent, failed, expired or cancelled before."),
    Kind(
        "command_cancelled",
        409,
        "The command was cancelled",
        "The request waited for the command, and somebody cancelled it meanwhile.",
    ),
    Kind(
        "body_too_large",
        413,
        "The body is too large",
        "The limit is 1 MiB, 24 MiB for bulk requests. Nothing was stored. Send less at a time.",
    ),
    Kind("image_too_large", 413, "The image is too large", "Avito takes images of up to 24 MB. Make it smaller."),
    Kind(
        "unsupported_image",
        415,
        "The file is not an image Avito takes",
        "Avito takes JPEG, HEIC, GIF, BMP and PNG. The file's content counts, not its name.",
    ),
    Kind(
        "validation_failed",
        422,
        "The request is not valid",
        "`errors` names each field and what is wrong with it. Nothing was stored.",
    ),
    Kind(
        "idempotency_conflict",
        422,
        "The Idempotency-Key belongs to another request",
        "The key was used in the last 72 hours with another body. Take a new key for a new message.",
    ),
    Kind(
        "callback_not_allowed",
        422,
        "The callback address is not allowed",
        "Allowed are n8n's own origin and the hosts in `CALLBACK_HOSTS`.",
    ),
    Kind(
        "avito_invalid_request",
        422,
        "Avito finds the request invalid",
        "Avito answered 400 or 422 to a call made for this request. `detail` and `errors` hold what it says. "
        "Sending the same again does not help.",
    ),
    Kind(
        "queue_full",
        429,
        "The queue is too long",
        "The command would wait longer than `MAX_QUEUE_WAIT`. Send it again after `retry_after` seconds.",
    ),
    Kind(
        "rate_limited",
        429,
        "The limit towards Avito is used up",
        "No request to Avito was free in the time this one could wait. Send it again after `retry_after` seconds.",
    ),
    Kind(
        "internal_error",
        500,
        "The gateway has a fault",
        "A bug. The log has the details under the event `request.failed`.",
    ),
    Kind(
        "command_failed",
        502,
        "The command failed",
        "The request waited, and Avito did not take the command. It is among the dead letters, with its reason.",
    ),
    Kind(
        "command_expired",
        502,
        "The command expired",
        "The request waited, and `expires_in` passed before the command's turn came. It was not sent.",
    ),
    Kind(
        "avito_unavailable",
        502,
        "Avito gives no usable answer",
        "Avito is away, too slow, or answered with a server error. Send the request again later.",
    ),
    Kind(
        "avito_refused",
        502,
        "Avito refuses the call",
        "Avito answered with a 4xx status that is neither 404 nor about the request's values. `avito_status` holds it.",
    ),
    Kind(
        "avito_token_refused",
        502,
        "Avito refuses the credentials",
        "`AVITO_CLIENT_ID` and `AVITO_CLIENT_SECRET` give no token. Check them in Avito's cabinet.",
    ),
    Kind(
        "avito_blocked",
        503,
        "Avito has blocked the account's API",
        "Avito answers 402 (no paid plan) or 403 to every call. `detail` holds what it says. Calls pause meanwhile.",
    ),
    Kind(
        "redis_unavailable",
        503,
        "The store does not answer",
        "Redis is away or takes no writes. Nothing was promised. Send the request again, with the same Idempotency-Key "
        "where you use one.",
    ),
    Kind(
        "redis_misconfigured",
        503,
        "The store rejects the gateway",
        "Redis answers and rejects the command: a wrong password or a wrong server. See the log and `REDIS_URL`.",
    ),
    Kind(
        "not_configured",
        503,
        "No Avito account is configured",
        "Set `AVITO_CLIENT_ID`, `AVITO_CLIENT_SECRET` and `AVITO_USER_ID`, or list accounts in `ACCOUNTS_FILE`.",
    ),
)

CATALOGUE: dict[str, Kind] = {kind.code: kind for kind in _KINDS}


def as_markdown() -> str:
    """
    Return the text of `docs/errors.md`.
    """
    lines = [
        "# Errors",
        "",
        "Every error of the HTTP API is `application/problem+json` (RFC 9457). The body has `success` (false), `type`,",
        "`title`, `status`, `detail`, `code` and `message`. Where it helps there are also `errors` (a list of `field`,",
        "`message` and `code`), `retry_after` (seconds, as in the `Retry-After` header) and what the table names.",
        "Programs should look at `code`: it stays the same, texts may change.",
        "",
        "No 2xx answer has a top-level `error` key. `/health` answers in a shape of its own, also when it is 503.",
        "",
        "| status | code | title | meaning |",
        "|---|---|---|---|",
    ]
    lines += [f"| {kind.status} | `{kind.code}` | {kind.title} | {kind.meaning} |" for kind in _KINDS]
    return "\n".join(lines) + "\n"
