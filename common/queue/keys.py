"""
The names of everything in Redis (design section 3).

Every key of an account carries the account's hash tag, so a script touches one cluster slot (R47).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal

RETRY: Final = "~retry"
LANE: Final = "~lane"

Side = Literal["commands", "events"]
SIDES: Final[tuple[Side, ...]] = ("commands", "events")


@dataclass(frozen=True)
class StreamKeys:
    """
    One work stream and its indexes; `indexes` is their order in every script.
    """

    stream: str

    @cached_property
    def indexes(self) -> tuple[str, str, str, str, str, str]:
        """
        Return stream, lanes, waiting, ready, retry, tries.
        """
        name = self.stream
        return (name, f"{name}:lanes", f"{name}:waiting", f"{name}:ready", f"{name}:retry", f"{name}:tries")

    @property
    def dead(self) -> str:
        """
        Return the stream of dead letters; both command streams share one, as do all of `events`.
        """
        return f"{self.stream.removesuffix(':bulk')}:dead"


@dataclass(frozen=True)
class AccountKeys:
    """
    The keys of one account.
    """

    prefix: str
    user_id: str

    @cached_property
    def _base(self) -> str:
        return f"{self.prefix}:{{{self.user_id}}}"

    @cached_property
    def commands(self) -> StreamKeys:
        """
        Interactive commands.
        """
        return StreamKeys(f"{self._base}:commands")

    @cached_property
    def bulk(self) -> StreamKeys:
        """
        Bulk commands.
        """
        return StreamKeys(f"{self._base}:commands:bulk")

    @cached_property
    def events(self) -> StreamKeys:
        """
        Inbound events and the outcomes for `callback_url`.
        """
        return StreamKeys(f"{self._base}:events")

    def side(self, side: str) -> tuple[StreamKeys, ...]:
        """
        Return the work streams of `commands`, in order of priority, or of `events`.
        """
        return (self.commands, self.bulk) if side == "commands" else (self.events,)

    @cached_property
    def messages(self) -> str:
        """
        The index of what was accepted, newest last: side (`c` or `e`), id and chat.
        """
        return f"{self._base}:messages"

    def gate(self, destination: str) -> tuple[str, str, str]:
        """
        Return hash, tokens and slots of the gate before `avito` or `n8n`.
        """
        base = f"{self._base}:gate:{destination}"
        return (base, f"{base}:tokens", f"{base}:slots")

    @property
    def done(self) -> str:
        """
        The channel on which the end of a command is published: its id.
        """
        return f"{self._base}:done"

    @property
    def token(self) -> str:
        """
        The Avito access token; beside it `:lock`, held while one process refreshes it.
        """
        return f"{self._base}:token"

    def command(self, command_id: str) -> str:
        """
        A command's status record.
        """
        return f"{self._base}:command:{command_id}"

    def idempotency(self, key: str) -> str:
        """
        What was accepted under an Idempotency-Key.
        """
        return f"{self._base}:idempotency:{key}"

    def event(self, message_id: str) -> str:
        """
        An event's record: dedupe and timeline; for our own messages also whose result they are.
        """
        return f"{self._base}:event:{message_id}"

    def sent(self, chat_id: str) -> str:
        """
        Ids of our own messages seen in a chat, by time.
        """
        return f"{self._base}:sent:{chat_id}"

    def chat(self, chat_id: str) -> str:
        """
        A cached chat.
        """
        return f"{self._base}:chat:{chat_id}"

    def ticket(self, ticket: str) -> str:
        """
        Held after a confirmation was used, so that it counts once.
        """
        return f"{self._base}:ticket:{ticket}"

    @property
    def recover_lock(self) -> str:
        """
        Held while one replica looks for missed webhooks, and then until the next look is due.
        """
        return f"{self._base}:recover:lock"

    @property
    def recover_since(self) -> str:
        """
        From when on a missed webhook counts, unix ms.
        """
        return f"{self._base}:recover:since"

    @property
    def recover_chats(self) -> str:
        """
        The unread chats, and up to which message each was compared.
        """
        return f"{self._base}:recover:chats"


def workers(prefix: str) -> str:
    """
    Return the zset of living workers: one for all accounts.
    """
    return f"{prefix}:workers"


def totals(prefix: str) -> str:
    """
    Return the hash of what all processes have counted.

    It and the history have a tag of their own, so that one report is one script.
    """
    return f"{prefix}:{{metrics}}"


def history(prefix: str, minute: int) -> str:
    """
    Return the hash of one minute, unix time / 60.
    """
    return f"{prefix}:{{metrics}}:history:{minute}"
