"""
One program for two accounts, and a webhook for a third that nobody configured.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from common.queue.connection import Connections
from common.queue.dead import DeadLetters
from sandbox import Account, Options, Sandbox
from tests.fleet import fleet
from tests.harness import USER_ID, eventually

OTHER = "200000002"
STRANGER = "300000003"
PAYLOAD = Path(__file__).resolve().parents[1] / "payloads" / "01_webhook_v3_text_in_2023.json"


@pytest.fixture(name="sandbox_options")
def _sandbox_options() -> Options:
    other = Account(user_id=int(OTHER), client_id="other", client_secret="other", name="Other")
    return Options(accounts=(Account(), other), chats=0)


def _webhook(user_id: str, message_id: str) -> dict[str, Any]:
    webhook: dict[str, Any] = copy.deepcopy(json.loads(PAYLOAD.read_text(encoding="utf-8")))
    webhook["payload"]["value"] |= {"user_id": int(user_id), "id": message_id}
    return webhook


async def test_each_account_has_its_own_and_nothing_is_dropped(
    connections: Connections, redis_url: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    """
    `X-Avito-Account` says who sends, a webhook whose it is; a stranger's is a dead letter of the first account.
    """
    accounts = tmp_path / "accounts.toml"
    accounts.write_text(
        f'[[account]]\nuser_id = {OTHER}\nclient_id = "other"\nclient_secret = "other"\n'
        f'n8n_webhook_url = "{sandbox.n8n_webhook_url}"\n'
    )
    chat = sandbox.avito.create_chat(user_id=int(OTHER))
    async with fleet(connections, redis_url, sandbox, tmp_path, ACCOUNTS_FILE=str(accounts)) as running:
        program = await running.start("ingress", "dispatcher", "forwarder")
        path, body = "/api/messages/send", {"chat_id": chat.id, "text": "from the other"}
        sent = await running.client.post(path, json=body, params={"wait": 20}, headers={"X-Avito-Account": OTHER})
        of_nobody = await running.client.post(path, json=body, headers={"X-Avito-Account": STRANGER})
        for user_id in (USER_ID, OTHER, STRANGER):
            assert (await running.webhook(_webhook(user_id, f"m{user_id}"))).status_code == 200
        letters = DeadLetters(connections, running.settings)

        async def buried() -> bool:
            return bool(await letters.list(USER_ID, "events"))

        await eventually(buried)
        await eventually(lambda: len(sandbox.n8n.received) == 2)
        (letter,) = await letters.list(USER_ID, "events")
        log = [json.loads(line) for line in running.log_of(program).splitlines()]

    assert (200, 404) == (sent.status_code, of_nobody.status_code)
    assert [(int(OTHER), "from the other")] == [(m.author_id, m.content["text"]) for m in sandbox.avito.sent(chat.id)]
    assert {f"m{user_id}": user_id for user_id in (USER_ID, OTHER)} == {
        call.json["meta"]["external_message_id"]: call.json["meta"]["user_id"] for call in sandbox.n8n.received
    }
    assert ("unknown_account", f"m{STRANGER}") == (letter.fields["reason"], letter.fields["id"])
    assert [STRANGER] == [line["account"] for line in log if line["event"] == "webhook.unknown_account"]
