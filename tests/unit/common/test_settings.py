"""
Settings: defaults of the contract, and one line for what is wrong.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from common.errors import SettingsError
from common.settings import Settings, load

ACCOUNT = {"avito_client_id": "id", "avito_client_secret": "hush", "avito_user_id": "12"}


def test_the_fixed_names_have_their_defaults() -> None:
    """
    The first block of the contract: names and defaults do not change.
    """
    settings = load(None)
    expected = {
        "server_host": "0.0.0.0",
        "server_port": 8765,
        "rate_limit_requests": 100,
        "rate_limit_window": 60.0,
        "max_connections": 20,
        "connection_timeout": 30.0,
        "max_retries": 3,
        "retry_min_wait": 1.0,
        "retry_max_wait": 10.0,
        "api_key": None,
        "redis_url": None,
        "n8n_webhook_url": None,
    }

    assert expected == {name: getattr(settings, name) for name in expected}
    assert settings.accounts == ()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"server_port": "abc"}, "SERVER_PORT=abc: "),
        ({"redis_url": "http://x"}, "REDIS_URL=http://x: allowed are addresses that begin with redis://"),
        ({"timezone": "Mars/Base"}, "TIMEZONE=Mars/Base: allowed are names such as UTC or Europe/Moscow"),
        ({"n8n_webhook_url": "n8n.local"}, "N8N_WEBHOOK_URL=n8n.local: allowed is an address that begins with http://"),
        ({"rate_limit_requests": 0}, "RATE_LIMIT_REQUESTS=0: "),
        ({"avito_user_id": "self"}, "AVITO_USER_ID=self: allowed is the numeric account id"),
        ({"avito_client_id": "x"}, "AVITO_CLIENT_SECRET and AVITO_USER_ID must be set together with AVITO_CLIENT_ID"),
        ({"retry_min_wait": 20}, "RETRY_MIN_WAIT must not be above RETRY_MAX_WAIT"),
        ({"bulk_reserve": 100}, "BULK_RESERVE must be below RATE_LIMIT_REQUESTS"),
        ({"webhook_secret": "a/b"}, "WEBHOOK_SECRET=***: allowed are letters"),
        ({"n8n_webhook_secret": "whsec_!"}, "N8N_WEBHOOK_SECRET=***: allowed is whsec_ and base64"),
        ({"n8n_auth_header": "token"}, "N8N_AUTH_HEADER=***: allowed is one header line"),
        ({"n8n_auth_header": "A: b\nX: c"}, "N8N_AUTH_HEADER=***: allowed is one header line"),
        ({"n8n_auth_header": "A: b\rX: c"}, "N8N_AUTH_HEADER=***: allowed is one header line"),
        ({"n8n_auth_header": "A: b\0"}, "N8N_AUTH_HEADER=***: allowed is one header line"),
        ({"n8n_auth_header": "A B: c"}, "N8N_AUTH_HEADER=***: allowed is one header line"),
        ({"n8n_auth_header": "Ключ: c"}, "N8N_AUTH_HEADER=***: allowed is one header line"),
        ({"n8n_auth_header": "Content-Length: 0"}, "N8N_AUTH_HEADER=***: Content-Length is not yours to set"),
        ({"ambiguous_sends": "guess"}, "AMBIGUOUS_SENDS=guess: "),
        ({"accounts_file": "/nowhere.toml"}, "ACCOUNTS_FILE=/nowhere.toml: cannot be read"),
    ],
)
def test_a_wrong_value_is_one_line_with_name_value_and_what_is_allowed(values: dict[str, object], message: str) -> None:
    """
    The line names the setting; secrets are masked.
    """
    with pytest.raises(SettingsError) as error:
        load(None, **values)

    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_the_environment_and_the_file_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    The environment wins over `.env`; lists are comma separated; an empty value is not set.
    """
    env_file = tmp_path / ".env"
    env_file.write_text("API_KEY=\nSERVER_PORT=1\nCALLBACK_HOSTS=a.example, b.example\n")
    monkeypatch.setenv("SERVER_PORT", "2")
    settings = load(env_file)

    assert (None, 2, ("a.example", "b.example")) == (settings.api_key, settings.server_port, settings.callback_hosts)


def test_networks_and_hosts_may_be_named_together() -> None:
    """
    ALLOW_PRIVATE_HOSTS holds host names, addresses and networks.
    """
    settings = load(None, allow_private_hosts="127.0.0.1,n8n.local,10.0.0.0/8")

    assert ["127.0.0.1/32", "10.0.0.0/8"] == [str(network) for network in settings.private_networks]


def test_the_settings_describe_the_first_account_and_the_file_the_others(tmp_path: Path) -> None:
    """
    The default account comes first and is found without an id.
    """
    listed = tmp_path / "accounts.toml"
    listed.write_text('[[account]]\nuser_id = 34\nclient_id = "b"\nclient_secret = "c"\n')
    settings = load(None, **ACCOUNT, accounts_file=str(listed))

    assert ["12", "34"] == [account.user_id for account in settings.accounts]
    assert (settings.account(), settings.account("34"), settings.account("56")) == (*settings.accounts, None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("account = 1", "no [[account]] table in it"),
        ("[[account", "not TOML"),
        ("account = [1]", "account[0]: Input should be a valid dictionary"),
        ('[[account]]\nuser_id = "x"\nclient_id = "b"\nclient_secret = "c"', "account[0]: USER_ID=x: "),
        ('[[account]]\nuser_id = 12\nclient_id = "b"\nclient_secret = "c"', "account 12 is listed twice"),
        ('[[account]]\nuser_id = 1\nclient_id = "b"\nclient_secret = "c"\nport = 1', "account[0]: PORT: "),
    ],
)
def test_a_wrong_file_of_accounts_names_its_place(tmp_path: Path, text: str, message: str) -> None:
    """
    The line names the file, the table and the field.
    """
    listed = tmp_path / "accounts.toml"
    listed.write_text(text)
    with pytest.raises(SettingsError) as error:
        load(None, **ACCOUNT, accounts_file=str(listed))

    assert message in str(error.value)


@pytest.mark.parametrize(
    "text",
    [
        '[[account]]\nuser_id = 1\nclient_secret = "hush"',
        '[[account]]\nuser_id = 1\nclient_id = "b"\nclient_secre = "hush"',
        '[[account]]\nuser_id = "1\\n2"\nclient_id = "b"\nclient_secret = "hush"',
        '[[account]]\nuser_id = 1\nclient_id = "b"\nclient_secret = "b"\nn8n_webhook_url = "ftp://me:hush@n8n"',
        "\udcff",
    ],
)
def test_a_wrong_file_of_accounts_is_one_line_without_secrets(tmp_path: Path, text: str) -> None:
    """
    Whatever is wrong in it: the line names the file, and shows nothing that may be a secret.
    """
    listed = tmp_path / "accounts.toml"
    listed.write_text(text, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(SettingsError, match=f"^ACCOUNTS_FILE={listed}: ") as error:
        load(None, **ACCOUNT, accounts_file=str(listed))

    assert ("hush", "\n") == tuple(part for part in ("hush", "\n") if part not in str(error.value))


def test_a_wrong_address_of_redis_is_shown_without_its_password() -> None:
    """
    What stands before the @ is not shown.
    """
    with pytest.raises(SettingsError) as error:
        load(None, redis_url="amqp://me:hush@queue:5672")

    assert "REDIS_URL=amqp://***@queue:5672: allowed are" in str(error.value)


def test_no_secret_shows_in_a_printed_model() -> None:
    """
    What is printed of the settings or an account by mistake holds no secret.
    """
    settings: Settings = load(None, **ACCOUNT, api_key="hush", webhook_secret="hush")

    assert "hush" not in repr(settings) + repr(settings.accounts)
