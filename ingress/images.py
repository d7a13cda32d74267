"""
Sending an image: by address, by image id, or as an uploaded file.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Final

from litestar import Request, post
from litestar.datastructures import UploadFile
from litestar.di import NamedDependency
from litestar.exceptions import ClientException
from litestar.openapi.spec import (
    Example,
    OpenAPIFormat,
    OpenAPIMediaType,
    OpenAPIType,
    Operation,
    Reference,
    RequestBody,
    Schema,
)
from litestar.status_codes import HTTP_202_ACCEPTED, HTTP_413_REQUEST_ENTITY_TOO_LARGE

from common.avito import calls, pictures, reads
from common.avito.messages import uploaded_image_id
from common.errors import AvitoUnavailable
from common.settings import Account
from ingress import accepting, answers
from ingress.asking import Ask
from ingress.bodies import SendFile, SendImage
from ingress.callbacks import check_callback
from ingress.catalogue import CATALOGUE
from ingress.commands import SEND_PROBLEMS, TAGS, WAITED
from ingress.decoding import BODY, check, decode
from ingress.drafts import Draft
from ingress.problems import AVITO_PROBLEMS, ProblemError, documented, invalid
from ingress.services import Services

JSON_BYTES: Final = 1024 * 1024
FORM_BYTES: Final = pictures.MAX_BYTES + 64 * 1024
"""
The largest file, and room for the other fields of its form.
"""
UPLOAD_WAIT_S: Final = 10.0
"""
How long an upload waits for a free request to Avito.
"""

_CHAT: Final[Reference | Schema] = Schema(type=OpenAPIType.STRING, max_length=128)
_OPTIONS: Final[dict[str, Reference | Schema]] = {
    "priority": Schema(type=OpenAPIType.STRING, enum=["interactive", "bulk"]),
    "send_at": Schema(type=OpenAPIType.STRING),
    "expires_in": Schema(type=OpenAPIType.NUMBER),
    "callback_url": Schema(type=OpenAPIType.STRING),
    "idempotency_key": Schema(type=OpenAPIType.STRING),
}


@dataclass
class ImageOperation(Operation):
    """
    Describes the two forms of the body, which Litestar cannot tell from the signature.
    """

    def __post_init__(self) -> None:
        """
        Put the request body in its place.
        """
        address = Schema(type=OpenAPIType.STRING, description="Fetched by the gateway.")
        image_id = Schema(type=OpenAPIType.STRING, description="Of an image uploaded before.")
        file = Schema(
            type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY, description="JPEG, HEIC, GIF, BMP or PNG up to 24 MB."
        )
        self.request_body = RequestBody(
            required=True,
            content={
                "application/json": OpenAPIMediaType(
                    schema=Schema(
                        type=OpenAPIType.OBJECT,
                        required=["chat_id"],
                        properties={"chat_id": _CHAT, "image_url": address, "image_id": image_id} | _OPTIONS,
                    ),
                    examples={
                        "address": Example(
                            value={
                                "chat_id": "u2i-AbCdEfGhIjKlMnOpQrStUg",
                                "image_url": "https://example.com/picture.png",
                            }
                        )
                    },
                ),
                "multipart/form-data": OpenAPIMediaType(
                    schema=Schema(
                        type=OpenAPIType.OBJECT,
                        required=["chat_id", "file"],
                        properties={"chat_id": _CHAT, "file": file} | _OPTIONS,
                    )
                ),
            },
        )


@post(
    "/messages/send/image",
    status_code=HTTP_202_ACCEPTED,
    request_max_body_size=FORM_BYTES,
    operation_class=ImageOperation,
    responses={200: WAITED}
    | documented(*SEND_PROBLEMS, *AVITO_PROBLEMS, "bad_multipart", "image_too_large", "unsupported_image"),
    tags=TAGS,
    summary="Send an image",
    operation_id="sendImage",
)
async def send_image(
    request: Request[Any, Any, Any],
    account: NamedDependency[Account],
    services: NamedDependency[Services],
    ask: NamedDependency[Ask],
) -> answers.Answer[answers.Accepted]:
    """
    Queue an image: `image_url` or `image_id` as JSON, or a `file` as multipart/form-data.

    A file is uploaded to Avito at once, within the limit, and queued by its image id.
    """
    if request.content_type[0].startswith("multipart/"):
        return await _send_file(request, account, services, ask)
    raw = await request.body()
    if len(raw) > JSON_BYTES:
        raise ProblemError("body_too_large", CATALOGUE["body_too_large"].meaning)
    if not raw:
        raise invalid(BODY, "The request needs a JSON body or a form.", "missing")
    data = decode(SendImage, raw)
    check_callback(data.callback_url, "callback_url", account, services.settings)
    body: dict[str, object] = {"image_url": data.image_url} if data.image_url else {"image_id": data.image_id}
    draft = Draft("image", data.chat_id, body)
    return await accepting.accept(services, account, draft, data, ask, wanted=("image", data))


async def _send_file(
    request: Request[Any, Any, Any], account: Account, services: Services, ask: Ask
) -> answers.Answer[answers.Accepted]:
    fields, content = await _read_form(request)
    data = check(SendFile, fields)
    check_callback(data.callback_url, "callback_url", account, services.settings)
    ask.key_with(data)
    picture = pictures.sniff(content)
    if not content:
        raise invalid("file", "The file is empty.")
    if len(content) > pictures.MAX_BYTES:
        raise ProblemError("image_too_large", CATALOGUE["image_too_large"].meaning)
    if picture is None:
        raise ProblemError("unsupported_image", CATALOGUE["unsupported_image"].meaning)
    filename = f"image.{picture.extension}"
    call = calls.upload_image(account.user_id, filename, content, picture.content_type)
    image_id = uploaded_image_id(await reads.read(services.avito, account, call, wait_s=UPLOAD_WAIT_S))
    if image_id is None:
        raise AvitoUnavailable("Avito took the image and gave no image id.")
    # The file, not the image id, tells a repeated request: Avito gives a new id each time.
    wanted = ("image", data, hashlib.sha256(content).hexdigest())
    draft = Draft("image", data.chat_id, {"image_id": image_id})
    return await accepting.accept(services, account, draft, data, ask, wanted=wanted)


async def _read_form(request: Request[Any, Any, Any]) -> tuple[dict[str, object], bytes]:
    """
    Return the text fields of a form and the content of its `file`.
    """
    try:
        form = await request.form()
    except ClientException as error:
        if error.status_code == HTTP_413_REQUEST_ENTITY_TOO_LARGE:
            raise ProblemError("image_too_large", CATALOGUE["image_too_large"].meaning) from None
        raise ProblemError("bad_multipart", f"The form cannot be read: {error.detail}.") from error
    except (ValueError, LookupError) as error:
        # Text that is not of its charset, a charset nobody knows, a boundary that is none.
        raise ProblemError(
            "bad_multipart", "The form cannot be read: a field's text or the boundary is wrong."
        ) from error
    fields: dict[str, object] = {}
    content: bytes | None = None
    try:
        for name, value in form.multi_items():
            if name in fields or (name == "file" and content is not None):
                raise invalid(name, "This field is there twice.")
            if name != "file":
                fields[name] = number(value) if name in ("send_at", "expires_in") else value
            elif isinstance(value, UploadFile):
                content = await value.read()
    finally:
        await form.close()
    if content is None:
        raise invalid("file", "The form needs a file: a part named `file` with a filename.", "missing")
    return fields, content


def number(text: object) -> object:
    """
    Read a form's text as a number where it is one: forms have no types.
    """
    try:
        return float(text) if isinstance(text, str) else text
    except ValueError:
        return text


HANDLERS: Final = [send_image]
