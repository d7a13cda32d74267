"""
Reading JSON bodies: bytes to a checked model, or a problem that names the fields.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

from litestar.dto import AbstractDTO
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from ingress.problems import FieldError, ProblemError, invalid_fields

if TYPE_CHECKING:
    from litestar._openapi.schema_generation import SchemaCreator
    from litestar.dto.data_structures import DTOFieldDefinition
    from litestar.openapi.spec import Reference, Schema
    from litestar.typing import FieldDefinition

Model = TypeVar("Model", bound=BaseModel)

BODY: Final = "(body)"
"""
The path of an error that concerns the body as a whole.
"""

_MESSAGES: Final[Mapping[str, str]] = {
    "missing": "This field is required.",
    "extra_forbidden": "There is no such field here.",
    "string_type": "This must be a text.",
    "string_too_short": "This must have at least {min_length} character(s).",
    "string_too_long": "This must have at most {max_length} characters.",
    "bool_type": "This must be true or false.",
    "float_type": "This must be a number.",
    "int_type": "This must be a whole number.",
    "list_type": "This must be a list.",
    "model_type": "This must be a JSON object.",
    "model_attributes_type": "This must be a JSON object.",
    "literal_error": "This must be {expected}.",
    "greater_than": "This must be greater than {gt}.",
    "less_than_equal": "This must be at most {le}.",
    "too_short": "This needs at least {min_length} item(s).",
    "too_long": "This takes at most {max_length} items.",
}


def decode(model: type[Model], raw: bytes) -> Model:
    """
    Read `raw` as JSON of that model.

    Raises:

        ProblemError: `bad_json`, or `validation_failed` with the path of each wrong field.

    """
    try:
        return model.model_validate_json(raw)
    except ValidationError as error:
        raise as_problem(error) from None


def check(model: type[Model], values: Mapping[str, object]) -> Model:
    """
    Check values that came another way than as JSON, such as the fields of a form.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise as_problem(error) from None


def as_problem(error: ValidationError) -> ProblemError:
    """
    Map pydantic's errors to a problem; values are left out, since they may be message texts.
    """
    details = error.errors(include_url=False, include_input=False)
    if details[0]["type"] == "json_invalid":
        return ProblemError("bad_json", f"The body is not JSON: {details[0]['ctx']['error']}.")
    return invalid_fields([_field_error(detail) for detail in details])


def _field_error(detail: ErrorDetails) -> FieldError:
    context = detail.get("ctx", {})
    template = _MESSAGES.get(detail["type"])
    message = template.format(**context) if template else detail["msg"]
    return FieldError(context.get("field") or path(detail["loc"]), message, detail["type"])


def path(location: Sequence[str | int]) -> str:
    """
    Write pydantic's location as a path: `("messages", 17, "text")` is `messages[17].text`.
    """
    text = ""
    for part in location:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text or BODY


class JsonBody(AbstractDTO[Model]):
    """
    Lets Litestar read a handler's `data` with `decode`, and describe it in OpenAPI as it is.

    The media type of the request does not matter: clients that forget `Content-Type` are understood.
    """

    def decode_bytes(self, value: bytes) -> Any:
        """
        Read the body.
        """
        return decode(self.model_type, value)

    @classmethod
    def create_for_field_definition(cls, *_: object, **__: object) -> None:
        """
        Do nothing: no transfer model is needed.
        """

    @classmethod
    def create_openapi_schema(
        cls, field_definition: FieldDefinition, handler_id: str, schema_creator: SchemaCreator
    ) -> Reference | Schema:
        """
        Describe the model itself.
        """
        del handler_id
        return schema_creator.for_field_definition(field_definition)

    @classmethod
    def generate_field_definitions(cls, model_type: type[Any]) -> Generator[DTOFieldDefinition, None, None]:
        """
        Name no fields: there is no transfer model.
        """
        del model_type
        yield from ()

    @classmethod
    def detect_nested_field(cls, field_definition: FieldDefinition) -> bool:
        """
        Name no nested fields either.
        """
        del field_definition
        return False
