"""
`init`: an `.env` to fill in, with fresh keys.
"""

from __future__ import annotations

import base64
import os
import secrets
from pathlib import Path
from string import Template
from typing import Final

from common.errors import GatewayError

TEMPLATE: Final = Template("""\
# Settings of avito-gateway. This file holds secrets: keep it out of version control.

# From Avito's cabinet, section "API". Without AVITO_CLIENT_ID the gateway runs against its sandbox.
#AVITO_CLIENT_ID=
#AVITO_CLIENT_SECRET=
# The number of your account, as its profile shows it.
#AVITO_USER_ID=

# Where incoming messages go: the production URL of n8n's Webhook node.
#N8N_WEBHOOK_URL=https://n8n.example.com/webhook/avito

# n8n shows this key as the header X-API-Key.
API_KEY=$api_key
# The end of the address that Avito calls: https://<your host>/webhook/avito/<this>
WEBHOOK_SECRET=$webhook_secret
# Signs what n8n receives (Standard Webhooks).
N8N_WEBHOOK_SECRET=$n8n_webhook_secret

# Where messages are kept. Without it: an embedded Valkey in DATA_DIR.
#REDIS_URL=redis://localhost:6379/0
#DATA_DIR=./data

#SERVER_HOST=0.0.0.0
#SERVER_PORT=8765

# Avito's limit: so many requests in so many seconds, so many at once.
#RATE_LIMIT_REQUESTS=100
#RATE_LIMIT_WINDOW=60
#MAX_CONNECTIONS=20

#TIMEZONE=UTC
#LOG_FORMAT=json
#LOG_LEVEL=info
""")

NEXT_STEPS: Final = """\
Next:
  1. Put AVITO_CLIENT_ID, AVITO_CLIENT_SECRET, AVITO_USER_ID and N8N_WEBHOOK_URL into it.
  2. Check it:   avito-gateway doctor
  3. Start:      avito-gateway run
  4. Register the webhook: POST /api/webhook/subscribe with {"url": "https://<your host>/webhook/avito"}"""


def render() -> str:
    """
    Return the file's text with keys of 256 bits that nobody has seen.
    """
    return TEMPLATE.substitute(
        api_key=secrets.token_urlsafe(32),
        webhook_secret=secrets.token_urlsafe(32),
        n8n_webhook_secret=f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}",
    )


def write(path: Path, *, force: bool) -> None:
    """
    Write the file with mode 600. At no moment is there a half-written one, nor one that others can read.

    Raises:

        GatewayError: there is one already and `force` is not given, or it cannot be written.

    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(file, "w", encoding="utf-8") as text:
                text.write(render())
            if force:
                draft.replace(path)
            else:
                # Unlike a rename, a link does not replace what is there.
                path.hardlink_to(draft)
        finally:
            draft.unlink(missing_ok=True)
    except FileExistsError:
        raise GatewayError(f"{path} is there already. `avito-gateway init --force` overwrites it.") from None
    except OSError as error:
        raise GatewayError(f"{path} cannot be written: {error.strerror or error}.") from error
