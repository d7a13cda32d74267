"""
Avito's calls as values (facts, section 4).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import quote

PAGE: Final = 100
MAX_OFFSET: Final = 1000
TEXT_CHARS: Final = 1000

Param = str | int | Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """
    A file of a multipart request.
    """

    field: str
    filename: str
    content: bytes
    content_type: str

    def __repr__(self) -> str:
        return f"Upload({self.field!r}, {len(self.content)} bytes, {self.content_type!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """
    One call. `name` is for logs; `repeatable` says that doing it twice is the same as once.
    """

    name: str
    method: Literal["GET", "POST"]
    path: str
    params: Mapping[str, Param] | None = None
    json: Mapping[str, object] | None = None
    form: Mapping[str, str] | None = None
    upload: Upload | None = None
    repeatable: bool = False

    def __repr__(self) -> str:
        return f"Call({self.name})"


def segment(text: str) -> str:
    """
    Encode one part of a path; `~`, which chat ids contain, as well.
    """
    quoted = quote(text, safe="").replace("~", "%7E")
    # A client takes these for steps up the path.
    return quoted.replace(".", "%2E") if quoted in (".", "..") else quoted


def _account(version: str, user_id: str) -> str:
    return f"/messenger/{version}/accounts/{segment(user_id)}"


def _chat(version: str, user_id: str, chat_id: str) -> str:
    return f"{_account(version, user_id)}/chats/{segment(chat_id)}"


def send_text(user_id: str, chat_id: str, text: str) -> Call:
    """
    Send a text of at most 1000 characters.
    """
    body = {"message": {"text": text}, "type": "text"}
    return Call(name="send_text", method="POST", path=f"{_chat('v1', user_id, chat_id)}/messages", json=body)


def send_image(user_id: str, chat_id: str, image_id: str) -> Call:
    """
    Send an uploaded image.
    """
    return Call(
        name="send_image",
        method="POST",
        path=f"{_chat('v1', user_id, chat_id)}/messages/image",
        json={"image_id": image_id},
    )


def upload_image(user_id: str, filename: str, content: bytes, content_type: str) -> Call:
    """
    Upload one image. A second upload is only a second image id, so it may be repeated.
    """
    return Call(
        name="upload_image",
        method="POST",
        path=f"{_account('v1', user_id)}/uploadImages",
        upload=Upload(field="uploadfile[]", filename=filename, content=content, content_type=content_type),
        repeatable=True,
    )


def delete(user_id: str, chat_id: str, message_id: str) -> Call:
    """
    Delete a message within an hour of its sending. The second time may answer 404.
    """
    path = f"{_chat('v1', user_id, chat_id)}/messages/{segment(message_id)}"
    return Call(name="delete", method="POST", path=path, repeatable=True)


def read(user_id: str, chat_id: str) -> Call:
    """
    Mark a chat as read.
    """
    return Call(name="read", method="POST", path=f"{_chat('v1', user_id, chat_id)}/read", repeatable=True)


def chats(
    user_id: str,
    *,
    item_ids: Sequence[int] = (),
    unread_only: bool = False,
    chat_types: Sequence[str] = (),
    limit: int = PAGE,
    offset: int = 0,
) -> Call:
    """
    List chats; without `chat_types` Avito gives only u2i. `limit` 1..100, `offset` 0..1000.
    """
    params: dict[str, Param] = {"limit": limit, "offset": offset}
    if item_ids:
        # The comma form is the one that is known to work.
        params["item_ids"] = ",".join(map(str, item_ids))
    if unread_only:
        params["unread_only"] = "true"
    if chat_types:
        params["chat_types"] = ",".join(chat_types)
    return Call(name="chats", method="GET", path=f"{_account('v2', user_id)}/chats", params=params, repeatable=True)


def chat(user_id: str, chat_id: str) -> Call:
    """
    Get one chat.
    """
    return Call(name="chat", method="GET", path=_chat("v2", user_id, chat_id), repeatable=True)


def messages(user_id: str, chat_id: str, limit: int = PAGE, offset: int = 0) -> Call:
    """
    List a chat's messages, newest first; does not mark them as read.
    """
    return Call(
        name="messages",
        method="GET",
        path=f"{_chat('v3', user_id, chat_id)}/messages/",
        params={"limit": limit, "offset": offset},
        repeatable=True,
    )


def voice_files(user_id: str, voice_ids: Sequence[str]) -> Call:
    """
    Ask for links to voice messages; they live one hour.
    """
    return Call(
        name="voice_files",
        method="GET",
        path=f"{_account('v1', user_id)}/getVoiceFiles",
        params={"voice_ids": list(voice_ids)},
        repeatable=True,
    )


def subscribe(url: str) -> Call:
    """
    Register a webhook address (version 3) for the token's account.
    """
    return Call(name="subscribe", method="POST", path="/messenger/v3/webhook", json={"url": url}, repeatable=True)


def unsubscribe(url: str) -> Call:
    """
    Remove a webhook address, of all versions.
    """
    return Call(
        name="unsubscribe", method="POST", path="/messenger/v1/webhook/unsubscribe", json={"url": url}, repeatable=True
    )


def subscriptions() -> Call:
    """
    List the registered webhook addresses; a POST, the GET answers 404.
    """
    return Call(name="subscriptions", method="POST", path="/messenger/v1/subscriptions", repeatable=True)


def me() -> Call:
    """
    Get the token's account: `id`, `name`, `email`, ...
    """
    return Call(name="me", method="GET", path="/core/v1/accounts/self", repeatable=True)


def token(client_id: str, client_secret: str) -> Call:
    """
    Ask for a new access token.
    """
    form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": client_secret}
    return Call(name="token", method="POST", path="/token", form=form, repeatable=True)
