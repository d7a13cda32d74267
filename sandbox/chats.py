"""
What Avito stores: accounts, chats and their messages, as plain state without HTTP.
"""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sandbox.behaviour import Behaviour

STUB = "https://static.avito.ru/stub_avatars/%D0%90/3_{size}.png"
AVATAR_SIZES = ("24x24", "36x36", "48x48", "64x64", "72x72", "96x96", "128x128", "192x192", "256x256")


@dataclass(frozen=True, slots=True)
class Account:
    """
    A seller's account and the application that may act for it.
    """

    user_id: int = 100_000_001
    client_id: str = "sandbox"
    client_secret: str = "sandbox"  # noqa: S105 - the documented pair of the sandbox
    name: str = "Sandbox"

    def profile(self) -> dict[str, Any]:
        """
        Return what `core/v1/accounts/self` answers.
        """
        return {
            "email": f"{self.client_id}@sandbox.example",
            "id": self.user_id,
            "name": self.name,
            "phone": "79000000000",
            "phones": ["79000000000"],
            "profile_url": f"https://avito.ru/user/{self.user_id:032x}/profile",
        }


@dataclass(slots=True)
class Message:
    """
    A message of a chat. `read_s`: when the other side (for our own: the customer) read it; 0 = not yet.
    """

    id: str
    chat_id: str
    author_id: int
    created_s: int
    type: str
    content: dict[str, Any]
    read_s: int = 0
    quote: dict[str, Any] | None = None


@dataclass(slots=True)
class Chat:
    """
    A chat of an account with one customer, usually about an ad. Messages are oldest first.
    """

    id: str
    user_id: int
    customer_id: int
    customer_name: str
    item_id: int | None
    title: str
    price_string: str
    created_s: int
    updated_s: int
    order: int
    messages: list[Message] = field(default_factory=list)

    @property
    def type(self) -> str:
        """
        Return u2i, u2u or a2u, as the id begins.
        """
        return self.id.partition("-")[0]

    @property
    def unread(self) -> bool:
        """
        Tell whether a message to the account is unread.
        """
        return any(not m.read_s and m.author_id != self.user_id for m in reversed(self.messages))

    def find(self, message_id: str) -> Message | None:
        """
        Return the message of that id; the latest are looked at first.
        """
        return next((m for m in reversed(self.messages) if m.id == message_id), None)


class Chats:
    """
    All accounts and chats, by id.
    """

    def __init__(self) -> None:
        self.accounts: dict[int, Account] = {}
        self._by_id: dict[str, Chat] = {}
        self._order = 0

    def __iter__(self) -> Iterator[Chat]:
        return iter(self._by_id.values())

    def __len__(self) -> int:
        return len(self._by_id)

    def __contains__(self, chat_id: object) -> bool:
        return chat_id in self._by_id

    def __getitem__(self, chat_id: str) -> Chat:
        return self._by_id[chat_id]

    def of(self, user_id: int, chat_id: str) -> Chat | None:
        """
        Return the chat if it is the account's.
        """
        chat = self._by_id.get(chat_id)
        return chat if chat is not None and chat.user_id == user_id else None

    def create(
        self,
        user_id: int,
        now_s: int,
        *,
        chat_id: str | None = None,
        customer_id: int | None = None,
        customer_name: str = "Иван",
        item_id: int | None = None,
        title: str = "Ролик обводной",
        price_string: str = "3\u00a0873 ₽",
        type: str = "u2i",  # noqa: A002 - Avito's word
    ) -> Chat:
        """
        Create a chat; what is not given gets a value of the usual form. An existing id is returned as it is.
        """
        if chat_id is not None and chat_id in self._by_id:
            return self._by_id[chat_id]
        self._order += 1
        number = self._order
        chat = Chat(
            id=chat_id or new_chat_id(type),
            user_id=user_id,
            customer_id=customer_id or 121_000_000 + number,
            customer_name=customer_name,
            item_id=None if (chat_id or type).partition("-")[0] != "u2i" else item_id or 7_463_700_000 + number,
            title=title,
            price_string=price_string,
            created_s=now_s,
            updated_s=now_s,
            order=number,
        )
        self._by_id[chat.id] = chat
        return chat

    def append(self, chat: Chat, message: Message) -> None:
        """
        Put a message at the end of its chat.
        """
        self._order += 1
        chat.messages.append(message)
        chat.updated_s, chat.order = message.created_s, self._order

    def clear(self) -> None:
        """
        Forget all chats; the accounts stay.
        """
        self._by_id.clear()

    def latest_first(
        self, user_id: int, *, types: Iterable[str], item_ids: Iterable[int], unread_only: bool
    ) -> list[Chat]:
        """
        Return an account's chats that pass the filters, the latest updated first.
        """
        of_types, of_items = set(types), set(item_ids)
        chats = [
            chat
            for chat in self._by_id.values()
            if chat.user_id == user_id
            and chat.type in of_types
            and (not of_items or chat.item_id in of_items)
            and (not unread_only or chat.unread)
        ]
        return sorted(chats, key=lambda chat: chat.order, reverse=True)


def new_chat_id(type: str = "u2i") -> str:  # noqa: A002 - Avito's word
    """
    Return a chat id of the live form: 16 bytes in a base64 with `_` and `~`.
    """
    return f"{type}-{base64.b64encode(secrets.token_bytes(16), altchars=b'_~').decode().rstrip('=')}"


def message_body(message: Message, user_id: int, behaviour: Behaviour) -> dict[str, Any]:
    """
    Return a message as the messages list shows it (samples 07, 08, 19).
    """
    body: dict[str, Any] = {
        "id": message.id,
        "author_id": message.author_id,
        "created": message.created_s,
        "content": message.content,
        "type": message.type,
        "direction": "out" if message.author_id == user_id else "in",
        behaviour.read_field: bool(message.read_s),
    }
    if message.read_s:
        body["read"] = message.read_s
    if message.quote is not None:
        body["quote"] = message.quote
    return body


def chat_body(chat: Chat, account: Account) -> dict[str, Any]:
    """
    Return a chat as the chat list and the chat call show it (samples 05, 06). No unread counter: Avito has none.
    """
    body: dict[str, Any] = {"id": chat.id}
    if chat.item_id is not None:
        body["context"] = {
            "type": "item",
            "value": {
                "id": chat.item_id,
                "title": chat.title,
                "user_id": chat.user_id,
                "images": {"main": {"140x105": f"https://80.img.avito.st/image/1/1.{chat.item_id}"}, "count": 1},
                "status_id": 4,
                "price_string": chat.price_string,
                "url": f"https://avito.ru/sankt-peterburg/zapchasti_{chat.item_id}",
                "location": {"title": "Санкт-Петербург", "lat": 60.014356, "lon": 30.452744},
            },
        }
    body |= {
        "created": chat.created_s,
        "updated": chat.updated_s,
        "users": [
            _user(chat.customer_id, chat.customer_name, chat.item_id),
            _user(account.user_id, account.name, chat.item_id),
        ],
    }
    if chat.messages:
        last = chat.messages[-1]
        body["last_message"] = {
            "id": last.id,
            "author_id": last.author_id,
            "created": last.created_s,
            "content": last.content,
            "type": last.type,
            "direction": "out" if last.author_id == chat.user_id else "in",
            "delivered": last.created_s,
            **({"isRead": True, "read": last.read_s} if last.read_s else {}),
        }
    return body


def _user(user_id: int, name: str, item_id: int | None) -> dict[str, Any]:
    profile: dict[str, Any] = {
        "user_id": user_id,
        "avatar": {
            "default": STUB.format(size="256x256"),
            "images": {size: STUB.format(size=size) for size in AVATAR_SIZES},
        },
        "url": f"https://avito.ru/user/{user_id:032x}/profile?id={item_id or ''}&iid={item_id or ''}"
        "&src=messenger&page_from=from_item_messenger",
    }
    if item_id is not None:
        profile["item_id"] = item_id
    return {"id": user_id, "name": name, "parsing_allowed": True, "public_user_profile": profile}
