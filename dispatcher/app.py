"""
Putting the dispatcher together.
"""

from __future__ import annotations

from common.avito.client import Avito
from common.queue.connection import Connections
from common.queue.consumer import Handler
from common.queue.gate import Gate
from common.queue.receipts import Receipts
from common.queue.role import Role, build_role
from common.settings import Settings
from dispatcher.decide import policy_of
from dispatcher.handlers import Sender
from dispatcher.images import Images
from dispatcher.reconcile import Lookup


def build(connections: Connections, settings: Settings, avito: Avito) -> Role:
    """
    Make the dispatcher of all accounts; `run` it, and `stop` it.
    """
    receipts = Receipts(connections, settings.key_prefix)
    images = Images(settings)
    policy = policy_of(settings)
    accounts: dict[str, tuple[Gate, Handler]] = {
        account.user_id: (
            avito.gate(account),
            Sender(account, avito, Lookup(account, avito, receipts), images, policy),
        )
        for account in settings.accounts
    }
    return build_role("dispatcher", connections, settings, accounts)
