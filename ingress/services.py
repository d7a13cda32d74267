"""
What the handlers work with, made once for the process.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from litestar import Litestar

from common.avito.client import Avito
from common.queue.connection import Connections
from common.queue.history import History
from common.queue.hold import Holds
from common.queue.intake import Intake
from common.queue.records import Records
from common.queue.reports import Reporter
from common.settings import Settings

STATE_KEY: Final = "services"


@dataclass(frozen=True, slots=True)
class Services:
    """
    Settings, connections and what is built on them.
    """

    settings: Settings
    connections: Connections
    avito: Avito
    intake: Intake
    records: Records
    holds: Holds
    history: History
    reporter: Reporter


def of_app(app: Litestar) -> Services:
    """
    Return the services of an application.
    """
    services: Services = app.state[STATE_KEY]
    return services
