"""
Ids in paths.
"""

from __future__ import annotations

from typing import Annotated, Final

from litestar.params import PathParameter
from pydantic import TypeAdapter, ValidationError

from ingress.bodies import Identifier
from ingress.problems import invalid

ChatId = Annotated[str, PathParameter(name="chat_id", description="As Avito gives it, such as u2i-... ; encode `~`.")]
MessageId = Annotated[str, PathParameter(name="message_id", description="As Avito gives it: 32 characters.")]
CommandId = Annotated[str, PathParameter(name="command_id", description="From the answer 202.")]

_IDENTIFIER: Final[TypeAdapter[str]] = TypeAdapter(Identifier)


def checked(name: str, value: str) -> str:
    """
    Return the id if it can be one.

    Raises:

        ProblemError: `validation_failed`.

    """
    try:
        return _IDENTIFIER.validate_python(value)
    except ValidationError as error:
        raise invalid(name, error.errors()[0]["msg"], error.errors()[0]["type"]) from None
