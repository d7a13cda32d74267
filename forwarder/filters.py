"""
Which messages n8n wants: the customers', and on request our own and Avito's.
"""

from __future__ import annotations

from typing import Literal

from common.avito.messages import is_own, is_system
from common.settings import Settings
from forwarder.webhook import Webhook

Direction = Literal["in", "out", "system"]


def direction(webhook: Webhook, user_id: str) -> Direction:
    """
    Say who wrote it: a customer (`in`), the account `user_id` by whatever way (`out`), or Avito (`system`).
    """
    if is_system(webhook.value):
        return "system"
    return "out" if is_own(webhook.value, user_id) else "in"


def is_wanted(found: Direction, settings: Settings) -> bool:
    """
    Say whether n8n gets such a message. An answering bot that got its own would talk to itself (facts, 1.3).
    """
    if found == "out":
        return settings.forward_own
    if found == "system":
        return settings.forward_system
    return True


def shown(found: Direction, settings: Settings) -> Direction | None:
    """
    Return what `meta.direction` says; None when only customers' messages go out, so that there is nothing to tell.
    """
    return found if settings.forward_own or settings.forward_system else None
