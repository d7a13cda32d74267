"""
Connections that pack commands in C: redis-py's own way costs a third of a webhook, and what it does for its synchronous
clients, which looks at each argument first, a tenth of a message in bulk. Nor do they write in a task of its own, which
is an eighth of a command's way to an idle server and back.
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

    async def send_packed_command(
        self,
        command: bytes | str | Iterable[bytes],
        check_health: bool = True,  # noqa: FBT002 - redis-py's signature
    ) -> None:
        # The task is for a timeout. Behind nothing unwritten there is nothing to wait for but the reply, which has the
        # same timeout.
        writer = self._writer
        if (
            writer is not None
            and not writer.transport.is_closing()
            and writer.transport.get_write_buffer_size() == 0
            and not self.health_check_interval
            and isinstance(command, list)
        ):
            writer.writelines(command)
        else:
            await super().send_packed_command(command, check_health)

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
