"""
The webhook in OpenAPI: plain ASGI routes are not described by themselves.
"""

from __future__ import annotations

from typing import Any, Final

from litestar.openapi.spec import (
    Example,
    OpenAPIMediaType,
    OpenAPIResponse,
    OpenAPIType,
    Operation,
    Parameter,
    PathItem,
    Reference,
    RequestBody,
    Schema,
)

from ingress.catalogue import CATALOGUE
from ingress.problems import PROBLEM_JSON, ProblemError
from ingress.webhooks import PATH

_EXAMPLE: Final[dict[str, Any]] = {
    "id": "c061cb80-2ff3-4bf9-a9ea-6cc6418dbfbd",
    "version": "v3.0.0",
    "timestamp": 1754916287,
    "payload": {
        "type": "message",
        "value": {
            "id": "e1db89671023344e771c480b69a48f4f",
            "chat_id": "u2i-bbB2KIaZ9_mERi0AEbfPig",
            "user_id": 353000001,
            "author_id": 121000002,
            "created": 1754916284,
            "type": "text",
            "chat_type": "u2i",
            "content": {"text": "Hello!"},
            "item_id": 7463700001,
        },
    },
}
_PROBLEMS: Final = ("bad_json", "not_found", "method_not_allowed", "body_too_large", "redis_unavailable")
_SECRET: Final = Parameter(
    name="secret",
    param_in="path",
    required=True,
    schema=Schema(type=OpenAPIType.STRING),
    description="WEBHOOK_SECRET, or the account's own.",
)


def paths() -> dict[str, PathItem]:
    """
    Describe the webhook's addresses.
    """
    return {
        PATH: PathItem(post=_operation("avitoWebhook", "Avito's webhook")),
        f"{PATH}/{{secret}}": PathItem(
            post=_operation("avitoWebhookWithSecret", "Avito's webhook, with its secret", _SECRET)
        ),
    }


def _operation(operation_id: str, summary: str, *parameters: Parameter) -> Operation:
    body = OpenAPIMediaType(schema=Schema(type=OpenAPIType.OBJECT), examples={"text": Example(value=_EXAMPLE)})
    ok = Schema(type=OpenAPIType.OBJECT, properties={"ok": Schema(type=OpenAPIType.BOOLEAN)}, required=["ok"])
    responses: dict[str, OpenAPIResponse | Reference] = {
        "200": OpenAPIResponse(
            description="Stored, or known already.", content={"application/json": OpenAPIMediaType(schema=ok)}
        )
    }
    responses |= {str(CATALOGUE[code].status): _problem(code) for code in _PROBLEMS}
    return Operation(
        operation_id=operation_id,
        summary=summary,
        description="Answered with 200 only after the event is stored. With a secret set the path without it is 404.",
        tags=["Webhook"],
        parameters=list(parameters),
        request_body=RequestBody(required=True, content={"application/json": body}),
        responses=responses,
    )


def _problem(code: str) -> OpenAPIResponse:
    return OpenAPIResponse(
        description=CATALOGUE[code].title,
        content={
            PROBLEM_JSON: OpenAPIMediaType(
                schema=Reference(ref="#/components/schemas/ProblemBody"),
                examples={code: Example(value=ProblemError(code, CATALOGUE[code].meaning).body())},
            )
        },
    )
