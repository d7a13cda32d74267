"""
What the control API is told.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from sandbox.chats import Account


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class NewAccount(_Body):
    """
    An account to register.
    """

    user_id: int = Field(gt=0)
    client_id: str
    client_secret: str
    name: str = "Sandbox"

    def account(self) -> Account:
        """
        Return it as the stand-in keeps it.
        """
        return Account(**self.model_dump())


class NewChat(_Body):
    """
    A chat to create; what is missing gets a value of the usual form.
    """

    chat_id: str | None = None
    user_id: int | None = None
    customer_id: int | None = None
    customer_name: str = "Иван"
    item_id: int | None = None
    title: str = "Ролик обводной"
    type: Literal["u2i", "u2u", "a2u"] = "u2i"


class Inbound(_Body):
    """
    A message that arrives in a chat: `text`, or `type` with `content`. `announce` false: its webhook is lost.
    """

    chat_id: str
    text: str = ""
    type: str = "text"
    content: dict[str, Any] | None = None
    author_id: int | None = None
    announce: bool = True


class Subscription(_Body):
    """
    A webhook URL to subscribe without a token.
    """

    url: str
    user_id: int | None = None


class Authorization(_Body):
    """
    The user's consent, as the browser would bring it back.
    """

    user_id: int | None = None
    scope: str = "messenger:read,messenger:write"


class Shift(_Body):
    """
    By how many seconds the wall clock is ahead of the machine's.
    """

    shift_s: float
