"""
How the Avito stand-in behaves when no fault is set. Defaults follow live behaviour (facts, section 11).
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Limit(BaseModel):
    """
    A real limiter: at most `requests` arrivals of one account in any `window_s`; further ones get 429.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    requests: int = Field(ge=1)
    window_s: float = Field(gt=0)
    retry_after: bool = False
    rate_headers: bool = False


class Webhooks(BaseModel):
    """
    How webhooks are delivered: a deadline per attempt, then one more attempt after each of `retry_after_s`.

    `ping` posts `{}` to a URL when it is subscribed, as the specification's self-test does.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    echo: bool = True
    deadline_s: float = Field(2.0, gt=0)
    retry_after_s: tuple[float, ...] = (0.5, 1.0, 2.0)
    ping: bool = False
    signed: bool = True


class Behaviour(BaseModel):
    """
    The switches. A changed copy takes effect with the next request.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    token_life_s: float = Field(86_400, gt=0)
    wrong_credentials_status: Literal[200, 401] = 200
    bad_token: Literal["403", "401", "200"] = "403"  # noqa: S105 - a form of answer
    lists: Literal["object", "array"] = "object"
    read_field: Literal["isRead", "is_read"] = "isRead"
    delete_window_s: float = Field(3600, ge=0)
    limit: Limit | None = None
    webhooks: Webhooks = Webhooks()
