"""
The exceptions of the gateway.

Exceptions are for outages and bugs; what a handler decides is a value (`common.queue.outcomes`).

    GatewayError
     +-- SettingsError          a setting is missing or wrong: stops the start, one line
     +-- Outage                 something we depend on is away; wait and go on
     |    +-- RedisAway         no answer from Redis: our own write may have happened (R2)
     |    +-- RedisRefused      Redis answers and refuses writes: out of memory, MISCONF, NOREPLICAS
     |    +-- RoleChanged       this server is not the primary any more: drop the connections
     +-- GroupLost              the consumer group is gone: recreate it at 0 (R9)
     +-- RedisMisuse            wrong password, wrong type, cross slot: settings or bug
     +-- NoPermit               the gate gave no token or slot in the time the caller could wait
     +-- AvitoUnavailable       Avito gave no usable answer to a call without a queue entry
     +-- TokenRefused           Avito refuses the client id and secret
"""

from __future__ import annotations


class GatewayError(Exception):
    """
    Base of all exceptions the gateway raises itself; the docstring is the default message.
    """

    def __init__(self, message: str | None = None) -> None:
        if message is None:
            message = " ".join((type(self).__doc__ or "").split())
        super().__init__(message)


class SettingsError(GatewayError):
    """
    A setting is missing or wrong.
    """


class Outage(GatewayError):
    """
    Something the gateway depends on is away.
    """


class RedisAway(Outage):
    """
    Redis does not answer. A write under way may or may not have happened (R2).
    """


class RedisRefused(Outage):
    """
    Redis refuses writes: out of memory, failed snapshot or too few replicas.
    """


class RoleChanged(Outage):
    """
    The Redis server is no longer the primary.
    """


class GroupLost(GatewayError):
    """
    The consumer group is gone from Redis.
    """


class RedisMisuse(GatewayError):
    """
    Redis rejects the command: wrong settings or a bug.
    """


class NoPermit(GatewayError):
    """
    The limit towards Avito is used up for now.
    """

    def __init__(self, retry_after_s: float, reason: str) -> None:
        self.retry_after_s = retry_after_s
        self.reason = reason
        super().__init__(f"no free request to Avito for {retry_after_s:.1f} s ({reason})")


class AvitoUnavailable(Outage):
    """
    Avito gave no usable answer.
    """


class TokenRefused(GatewayError):
    """
    Avito refuses AVITO_CLIENT_ID and AVITO_CLIENT_SECRET.
    """
