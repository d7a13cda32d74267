"""
The Avito stand-in without its HTTP: what each call does to the state, and what it refuses.
"""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING, Any

from sandbox.changes import Changes
from sandbox.chats import Account, Chat, Chats, Message
from sandbox.images import Images
from sandbox.rate import Limiter
from sandbox.refusals import invalid, refused
from sandbox.tokens import Tokens
from sandbox.webhooks import Webhooks

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.behaviour import Behaviour
    from sandbox.clock import Clock
    from sandbox.faults import Faults
    from sandbox.images import Image
    from sandbox.journal import Journal

TEXT_MAX = 1000
ONE_URL = re.compile(r"https?://\S+", re.IGNORECASE)
SYSTEM_AUTHOR = 0


class Avito:
    """
    Accounts, chats, tokens, images and subscriptions of the stand-in. `behaviour` may be replaced at any time.

    Tests may read and change the state directly; what happens over HTTP wakes `wait_for`.
    """

    def __init__(self, behaviour: Behaviour, clock: Clock, journal: Journal, faults: Faults, files_url: str) -> None:
        self.behaviour = behaviour
        self.clock = clock
        self.journal = journal
        self.chats = Chats()
        self.tokens = Tokens(clock, self.chats.accounts)
        self.images = Images(files_url)
        self.limiter = Limiter()
        self.webhooks = Webhooks(lambda: self.behaviour, clock, journal, faults)
        self.blacklist: list[dict[str, Any]] = []
        self.changes = Changes()
        self._sent: list[Message] = []

    def register(self, account: Account) -> None:
        """
        Add an account, or change the credentials of one.
        """
        self.chats.accounts[account.user_id] = account

    @property
    def default_user_id(self) -> int:
        """
        Return the account registered first.
        """
        return next(iter(self.chats.accounts))

    def create_chat(self, chat_id: str | None = None, user_id: int | None = None, **details: Any) -> Chat:
        """
        Create a chat, by default of the first account; see `Chats.create` for the details.
        """
        return self.chats.create(user_id or self.default_user_id, int(self.clock.now_s()), chat_id=chat_id, **details)

    def sent(self, chat_id: str | None = None) -> list[Message]:
        """
        Return what was sent through the API, in the order taken; of one chat, or of all. Deleted ones are among them.
        """
        return [message for message in self._sent if chat_id in (None, message.chat_id)]

    async def wait_for(self, is_so: Callable[[Avito], bool], timeout_s: float = 10.0) -> None:
        """
        Return when `is_so(avito)` holds; it is asked after each change made through the API.
        """
        await self.changes.wait_until(lambda: is_so(self), timeout_s, lambda: f"{len(self._sent)} messages sent")

    def receive(
        self,
        chat_id: str,
        text: str = "",
        *,
        type: str = "text",  # noqa: A002 - Avito's word
        content: dict[str, Any] | None = None,
        author_id: int | None = None,
        announce: bool = True,
    ) -> Message:
        """
        Let a message arrive in a chat, by default the customer's, and deliver its webhook.

        With `announce=False` the webhook is lost: only the chat shows the message. A `type` system has author 0.
        """
        chat = self.chats[chat_id]
        author = author_id if author_id is not None else SYSTEM_AUTHOR if type == "system" else chat.customer_id
        message = self._message(chat, author, type, {"text": text} if content is None else content)
        self.chats.append(chat, message)
        if announce:
            self.webhooks.announce(chat, message)
        self.changes.notify()
        return message

    def send_text(self, user_id: int, chat_id: str, body: Any) -> Message:
        """
        Send a text as the account; one that is a URL and nothing else becomes a link.
        """
        if not isinstance(body, dict):
            raise refused(400)
        message = body.get("message")
        text = message.get("text") if isinstance(message, dict) else None
        if body.get("type") != "text":
            raise invalid(type="must be text")
        if not isinstance(text, str) or not 1 <= len(text) <= TEXT_MAX:
            raise invalid(**{"message.text": f"must be a string of 1 to {TEXT_MAX} characters"})
        chat = self.chat(user_id, chat_id)
        if ONE_URL.fullmatch(text):
            return self._send(chat, "link", {"link": {"text": text, "url": text, "preview": None}})
        return self._send(chat, "text", {"text": text})

    def send_image(self, user_id: int, chat_id: str, body: Any) -> Message:
        """
        Send an uploaded image of the same account.
        """
        image_id = body.get("image_id") if isinstance(body, dict) else None
        image = self.images.by_id.get(image_id) if isinstance(image_id, str) else None
        if image is None or image.user_id != user_id:
            raise invalid(image_id="unknown image")
        chat = self.chat(user_id, chat_id)
        return self._send(chat, "image", {"image": {"sizes": self.images.sizes(image.id)}})

    def upload(self, user_id: int, filename: str, content_type: str, content: bytes) -> Image:
        """
        Take a picture.
        """
        image = self.images.upload(user_id, filename, content_type, content)
        self.changes.notify()
        return image

    def delete(self, user_id: int, chat_id: str, message_id: str) -> None:
        """
        Empty an own message that is young enough; it stays in the chat as type `deleted`.
        """
        message = self.chat(user_id, chat_id).find(message_id)
        if message is None:
            raise refused(404)
        if message.author_id != user_id:
            raise refused(403)
        if self.clock.now_s() - message.created_s > self.behaviour.delete_window_s:
            raise refused(400)
        message.type, message.content = "deleted", {}
        self.changes.notify()

    def read(self, user_id: int, chat_id: str) -> None:
        """
        Mark what the account was sent in a chat as read.
        """
        chat = self.chat(user_id, chat_id)
        now = int(self.clock.now_s())
        for message in chat.messages:
            if message.author_id != user_id and not message.read_s:
                message.read_s = now
        self.changes.notify()

    def chat(self, user_id: int, chat_id: str) -> Chat:
        """
        Return the account's chat, or refuse with 404.
        """
        chat = self.chats.of(user_id, chat_id)
        if chat is None:
            raise refused(404)
        return chat

    def clear(self) -> None:
        """
        Forget chats, messages, images, subscriptions and arrivals. Accounts, tokens and behaviour stay.
        """
        self.chats.clear()
        self.images.by_id.clear()
        self.blacklist.clear()
        self.limiter.clear()
        self.webhooks.clear()
        self._sent.clear()
        self.changes.notify()

    def _send(self, chat: Chat, type: str, content: dict[str, Any]) -> Message:  # noqa: A002 - Avito's word
        message = self._message(chat, chat.user_id, type, content)
        self.chats.append(chat, message)
        self._sent.append(message)
        self.webhooks.announce(chat, message)
        self.changes.notify()
        return message

    def _message(self, chat: Chat, author_id: int, type: str, content: dict[str, Any]) -> Message:  # noqa: A002
        return Message(uuid.uuid4().hex, chat.id, author_id, int(self.clock.now_s()), type, content)
