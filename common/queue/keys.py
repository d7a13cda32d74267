"""
The names of everything in Redis (design section 3).

Every key of an account carries the account's hash tag, so a script touches one cluster slot (R47).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

RETRY: Final = "~retry"
LANE: Final = "~lane"

Side = Literal["commands", "events"]
SIDES: Final[tuple[Side, ...]] = ("commands", "events")


@dataclass(frozen=True, slots=True)
class StreamKeys:
    """
    One work stream and its indexes; `indexes` is their order in every script.
    """

    stream: str

    @property
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


@dataclass(frozen=True, slots=True)
class AccountKeys:
    """
    The keys of one account.
    """

    prefix: str
    user_id: str

    def _key(self, *parts: str) -> str:
        return ":".join((f"{self.prefix}:{{{self.user_id}}}", *parts))

    @property
    def commands(self) -> StreamKeys:
        """
        Interactive commands.
        """
        return StreamKeys(self._key("commands"))

    @property
    def bulk(self) -> StreamKeys:
        """
        Bulk commands.
        """
        return StreamKeys(self._key("commands", "bulk"))

    @property
    def events(self) -> StreamKeys:
        """
        Inbound events and the outcomes for `callback_url`.
        """
        return StreamKeys(self._key("events"))

    def side(self, side: str) -> tuple[StreamKeys, ...]:
        """
        Return the work streams of `commands`, in order of priority, or of `events`.
        """
        return (self.commands, self.bulk) if side == "commands" else (self.events,)

    @property
    def messages(self) -> str:
        """
        The index of what was accepted, newest last: side (`c` or `e`), id and chat.
        """
        return self._key("messages")

    def gate(self, destination: str) -> tuple[str, str, str]:
        """
        Return hash, tokens and slots of the gate before `avito` or `n8n`.
        """
        base = self._key("gate", destination)
        return (base, f"{base}:tokens", f"{base}:slots")

    @property
    def done(self) -> str:
        """
        The channel on which the end of a command is published: its id.
        """
        return self._key("done")

    @property
    def token(self) -> str:
        """
        The Avito access token; beside it `:lock`, held while one process refreshes it.
        """
        return self._key("token")

    def command(self, command_id: str) -> str:
        """
        A command's status record.
        """
        return self._key("command", command_id)

    def idempotency(self, key: str) -> str:
        """
        What was accepted under an Idempotency-Key.
        """
        return self._key("idempotency", key)

    def event(self, message_id: str) -> str:
        """
        An event's record: dedupe and timeline; for our own messages also whose result they are.
        """
        return self._key("event", message_id)

    def sent(self, chat_id: str) -> str:
        """
        Ids of our own messages seen in a chat, by time.
        """
        return self._key("sent", chat_id)

    def chat(self, chat_id: str) -> str:
        """
        A cached chat.
        """
        return self._key("chat", chat_id)

    def ticket(self, ticket: str) -> str:
        """
        Held after a confirmation was used, so that it counts once.
        """
        return self._key("ticket", ticket)

    @property
    def recover_lock(self) -> str:
        """
        Held while one replica looks for missed webhooks, and then until the next look is due.
        """
        return self._key("recover", "lock")

    @property
    def recover_since(self) -> str:
        """
        From when on a missed webhook counts, unix ms.
        """
        return self._key("recover", "since")

    @property
    def recover_chats(self) -> str:
        """
        The unread chats, and up to which message each was compared.
        """
        return self._key("recover", "chats")


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
