"""
How a sandbox is started.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from sandbox.behaviour import Behaviour
from sandbox.chats import Account


@dataclass(frozen=True, kw_only=True)
class Options:
    """
    Ports 0 are any free ones. `chats` demo chats are created for the first account, with ids that the sandbox makes.
    """

    host: str = "127.0.0.1"
    avito_port: int = 0
    n8n_port: int = 0
    control_port: int = 0
    accounts: tuple[Account, ...] = (Account(),)
    behaviour: Behaviour = field(default_factory=Behaviour)
    chats: int = 3
    seed: int = 0
