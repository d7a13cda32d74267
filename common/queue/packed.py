"""
Connections that pack commands in C, as redis-py does for its synchronous clients: the other way costs a third of a
webhook.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from redis import exceptions
from redis.asyncio.connection import AbstractConnection, Connection, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.sentinel import SentinelManagedConnection
from redis.connection import HiredisRespSerializer
from redis.typing import EncodableT


class _Packed(AbstractConnection):
    """
    Closes itself when the server says that it is a replica: behind a name that leads elsewhere now, whoever uses it
    would hear the same for ever (R48).
    """

    _packer: Final = HiredisRespSerializer()

    def pack_command(self, *args: EncodableT) -> list[bytes]:
        return self._packer.pack(*args)  # type: ignore[no-any-return,arg-type]

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
