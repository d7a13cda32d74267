"""
Connections that pack commands in C: redis-py's own way costs a third of a webhook, and what it does for its synchronous
clients, which looks at each argument first, a tenth of a message in bulk.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from hiredis import pack_command
from redis import exceptions
from redis.asyncio.connection import AbstractConnection, Connection, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.sentinel import SentinelManagedConnection
from redis.typing import EncodableT


class _Packed(AbstractConnection):
    """
    Closes itself when the server says that it is a replica: behind a name that leads elsewhere now, whoever uses it
    would hear the same for ever (R48).
    """

    def pack_command(self, *args: EncodableT) -> list[bytes]:
        name = args[0]
        # "CLIENT SETINFO" is two words of the protocol.
        words = name.split() if isinstance(name, str | bytes) else [name]
        try:
            return [pack_command((*words, *args[1:]))]
        except TypeError as error:
            raise exceptions.DataError(str(error)) from error

    def pack_commands(self, commands: Iterable[Iterable[EncodableT]]) -> list[bytes]:
        return [b"".join(piece for command in commands for piece in self.pack_command(*command))]

    async def read_response(self, *args: Any, **options: Any) -> Any:
        try:
            return await super().read_response(*args, **options)
        except (exceptions.ReadOnlyError, exceptions.MasterDownError):
            await self.disconnect(nowait=True)
            raise


class PackedConnection(_Packed, Connection):
    """
    Over TCP.
    """


class PackedSentinelConnection(_Packed, SentinelManagedConnection):
    """
    Over TCP, to the server that the Sentinels name.
    """


class _PackedSSLConnection(_Packed, SSLConnection):
    pass


class _PackedUnixConnection(_Packed, UnixDomainSocketConnection):
    pass


PACKED: Final[dict[type, type]] = {
    Connection: PackedConnection,
    SSLConnection: _PackedSSLConnection,
    UnixDomainSocketConnection: _PackedUnixConnection,
}
