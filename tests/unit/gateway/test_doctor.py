"""
What the doctor says of the settings.
"""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from common.settings import Account, Settings
from gateway import n8n_checks
from gateway.doctor import settings_findings
from gateway.findings import Finding
from gateway.profile import Profile, read_profile
from sandbox import Sandbox

SECRETS = {"api_key": "k", "webhook_secret": "w", "n8n_webhook_secret": "whsec_c2VjcmV0LW9mLXRoZS10ZXN0"}


def test_settings_with_keys_are_fine(settings: Settings) -> None:
    """
    Account and keys are there, and the file is its owner's alone.
    """
    whole = Settings(**(settings.model_dump() | SECRETS))

    assert {"OK"} == {one.level for one in settings_findings(Profile(whole, is_sandbox=False), 0o600)}


def test_each_missing_key_is_a_warning(settings: Settings) -> None:
    """
    Keys may be missing, but not in silence.
    """
    found = settings_findings(Profile(settings, is_sandbox=False), None)

    assert ["API_KEY", "WEBHOOK_SECRET", "N8N_WEBHOOK_SECRET"] == [one.subject for one in found if one.level == "WARN"]


def test_readable_env_file_is_a_warning(settings: Settings) -> None:
    """
    Secrets that others on the machine can read are named with the command that mends it.
    """
    found = settings_findings(Profile(settings, is_sandbox=False), 0o644)

    assert (
        Finding("WARN", ".env", "its mode is 644: others can read it", "Run `doctor --fix`, or chmod 600.") == found[-1]
    )


def test_sandbox_is_said_first(tmp_path: Path) -> None:
    """
    Whoever runs without an account is told so.
    """
    found = settings_findings(read_profile(tmp_path / ".env"), None)

    assert ("WARN", True) == (found[0].level, "sandbox" in found[0].text)


async def test_any_answer_of_n8n_will_do(sandbox: Sandbox) -> None:
    """
    n8n's door answers 404 without starting a workflow: it is there.
    """
    account = Account(user_id="7", client_id="i", client_secret="s", n8n_webhook_url=sandbox.n8n_webhook_url)

    found = await n8n_checks.check(account)

    assert Finding("OK", "n8n 7", f"{sandbox.n8n_url}/ answers (404)") == found
    assert not sandbox.n8n.received


async def test_n8n_that_is_down_fails(sandbox: Sandbox) -> None:
    """
    A refused connection is a FAIL with advice.
    """
    account = Account(user_id="7", client_id="i", client_secret="s", n8n_webhook_url=sandbox.n8n_webhook_url)
    await sandbox.n8n_down()

    found = await n8n_checks.check(account)

    assert ("FAIL", True) == (found.level, bool(found.advice))


async def test_n8n_without_address_is_a_warning() -> None:
    """
    Nothing is asked where there is nobody to ask.
    """
    assert (await n8n_checks.check(Account(user_id="7", client_id="i", client_secret="s"))).level == "WARN"


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://n8n.example.com/webhook/secret-path", "https://n8n.example.com/"),
        ("http://user:word@n8n:5678/webhook/x?token=1", "http://n8n:5678/"),
    ],
)
def test_origin_shows_no_secret(url: str, origin: str) -> None:
    """
    The path of a webhook and a password in its address stay out of the terminal.
    """
    assert origin == n8n_checks.origin_of(url)
    assert httpx.URL(origin).path == "/"
