"""
The settings: environment or `.env`, checked at start (design section 8).

Names in the environment are the field names in capitals. Durations are seconds and may be fractions.
"""

from __future__ import annotations

import base64
import binascii
import re
import tomllib
from functools import cached_property
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Final, Literal, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from common.errors import SettingsError

_USERINFO = re.compile(r"//[^/\s]*@")
REDIS_SCHEMES = ("redis", "rediss", "unix", "redis+sentinel", "redis+cluster")


def _blank_is_unset(value: object) -> object:
    """
    Read `NAME=` in an `.env` as not set.
    """
    return None if isinstance(value, str) and not value.strip() else value


def _split(value: object) -> object:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _http_url(value: str | None) -> str | None:
    if value is None:
        return None
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("allowed is an address that begins with http:// or https://")
    return value.rstrip("/") if parts.path in ("", "/") and not parts.query else value


def _standard_webhooks_secret(value: SecretStr | None) -> SecretStr | None:
    if value is not None:
        text = value.get_secret_value().removeprefix("whsec_")
        try:
            key = base64.b64decode(text + "==")
        except binascii.Error:
            key = b""
        if not key:
            raise ValueError("allowed is whsec_ and base64, as `avito-gateway init` writes it")
    return value


# A header's name (RFC 9110), and the names that HTTP itself lives on.
_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_FRAMING: Final = ("connection", "content-length", "host", "transfer-encoding")


def _header_line(value: SecretStr | None) -> SecretStr | None:
    if value is not None:
        name, colon, content = value.get_secret_value().partition(":")
        if not (colon and _TOKEN.fullmatch(name.strip()) and content.strip() and content.isprintable()):
            raise ValueError("allowed is one header line, such as `Authorization: Bearer ...`")
        if name.strip().lower() in _FRAMING:
            raise ValueError(f"{name.strip()} is not yours to set: it says where a request ends")
    return value


def _path_segment(value: SecretStr | None) -> SecretStr | None:
    text = value.get_secret_value() if value is not None else "-"
    if not all(char.isascii() and (char.isalnum() or char in "-_.~") for char in text):
        raise ValueError("allowed are letters, digits and - _ . ~, since it is part of an address")
    return value


OptionalText = Annotated[str | None, BeforeValidator(_blank_is_unset)]
OptionalSecret = Annotated[SecretStr | None, BeforeValidator(_blank_is_unset)]
CommaList = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
Seconds = Annotated[float, Field(gt=0)]
Address = Annotated[str, AfterValidator(_http_url)]
OptionalAddress = Annotated[str | None, BeforeValidator(_blank_is_unset), AfterValidator(_http_url)]
SigningSecret = Annotated[SecretStr | None, BeforeValidator(_blank_is_unset), AfterValidator(_standard_webhooks_secret)]
HeaderLine = Annotated[SecretStr | None, BeforeValidator(_blank_is_unset), AfterValidator(_header_line)]
PathSecret = Annotated[SecretStr | None, BeforeValidator(_blank_is_unset), AfterValidator(_path_segment)]


class Account(BaseModel):
    """
    One Avito account: whose messages, with which credentials, for which n8n webhook.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    user_id: str = Field(pattern=r"^\d+$")
    """The number of the Avito account."""
    client_id: str = Field(min_length=1)
    """From Avito's cabinet."""
    client_secret: SecretStr
    """From Avito's cabinet."""
    n8n_webhook_url: OptionalAddress = None
    """Where its messages go. Not set: they are kept, and not delivered."""
    webhook_secret: PathSecret = None
    """The end of the address of its webhook."""
    n8n_webhook_secret: SigningSecret = None
    """Signs what n8n receives of it."""
    n8n_auth_header: HeaderLine = None
    """One header for n8n as it stands."""

    @field_validator("user_id", mode="before")
    @classmethod
    def _number_is_text(cls, value: object) -> object:
        return str(value) if isinstance(value, int) else value


class Settings(BaseSettings):
    """
    All settings of the gateway. Frozen; `load` is the way to make one from the environment.

    What stands below a field is its text in docs/reference/settings.md.
    """

    model_config = SettingsConfigDict(
        frozen=True, env_file=None, extra="ignore", case_sensitive=False, use_attribute_docstrings=True
    )

    avito_client_id: OptionalText = None
    """From Avito's cabinet. Without it the gateway runs against the sandbox."""
    avito_client_secret: OptionalSecret = None
    """From Avito's cabinet, with AVITO_CLIENT_ID."""
    avito_user_id: OptionalText = None
    """The number of your Avito account, with AVITO_CLIENT_ID."""
    redis_url: OptionalText = None
    """Where messages are kept. Not set: an embedded Valkey in DATA_DIR."""
    n8n_webhook_url: OptionalAddress = None
    """Where messages go: the production URL of n8n's Webhook node. Not set: they are kept, and not delivered."""
    server_host: str = "0.0.0.0"  # noqa: S104 - the public contract: containers publish it
    """On which address the API listens."""
    server_port: int = Field(default=8765, ge=0, le=65535)
    """On which port. 0: any free one."""
    rate_limit_requests: int = Field(default=100, ge=1)
    """At most so many requests to Avito in any window, over all processes."""
    rate_limit_window: Seconds = 60.0
    """The length of that window."""
    max_connections: int = Field(default=20, ge=1)
    """At most so many requests to Avito open at once, over all processes."""
    connection_timeout: Seconds = 30.0
    """How long one request to Avito may take."""
    max_retries: int = Field(default=3, ge=0)
    """How often a send is tried again after the first time."""
    retry_min_wait: Seconds = 1.0
    """The shortest wait before a send is tried again."""
    retry_max_wait: Seconds = 10.0
    """The longest wait before a send is tried again."""
    api_key: OptionalSecret = None
    """What callers of the API show. Not set: anybody who reaches the port can send."""
    console: bool = True
    """The console at `/console`, which asks for API_KEY. false switches it off."""

    avito_base_url: Address = "https://api.avito.ru"
    """Another address for Avito's API, such as the sandbox's."""
    key_prefix: str = Field(default="avito", pattern=r"^[A-Za-z0-9_.:-]+$")
    """What every key in Redis begins with: letters, digits and _ . : -"""
    data_dir: Path = Path("./data")
    """Where the embedded Valkey keeps its files."""
    webhook_secret: PathSecret = None
    """The end of the webhook's address. Not set: anybody can post webhooks."""
    n8n_webhook_secret: SigningSecret = None
    """Signs what n8n receives (Standard Webhooks): whsec_ and base64, as `avito-gateway init` makes it."""
    n8n_auth_header: HeaderLine = None
    """One header for n8n as it stands, such as X-Token: secret."""
    accounts_file: Annotated[Path | None, BeforeValidator(_blank_is_unset)] = None
    """A TOML file with more accounts, one [[account]] each."""
    timezone: str = "UTC"
    """Of `timestamp` in what n8n receives, such as Europe/Moscow."""
    bulk_reserve: int = Field(default=5, ge=0)
    """So many requests of the limit are left alone by bulk sends. Below RATE_LIMIT_REQUESTS."""
    ambiguous_sends: Literal["reconcile", "resend", "hold"] = "reconcile"
    """A send of unknown outcome: look into the chat (reconcile), send again (resend), keep it for a person (hold)."""
    forward_concurrency: int = Field(default=20, ge=1)
    """So many events are delivered to n8n at once."""
    forward_timeout: Seconds = 30.0
    """How long n8n may take to answer."""
    forward_max_attempts: int = Field(default=8, ge=1)
    """How often an event that n8n fails on is tried."""
    forward_retry_min: Seconds = 2.0
    """The shortest wait between two attempts at n8n."""
    forward_retry_max: Seconds = 300.0
    """The longest wait between two attempts at n8n."""
    event_max_age: Seconds = 259_200.0
    """An event older than this becomes a dead letter (72 hours)."""
    forward_own: bool = False
    """Deliver your own messages to n8n, too."""
    forward_system: bool = False
    """Deliver Avito's system messages to n8n, too."""
    enrich_wait: float = Field(default=3.0, ge=0)
    """How long an event waits for the customer's name and the ad."""
    reconcile_interval: float = Field(default=300.0, ge=0)
    """How often to look for messages whose webhook got lost. 0: never."""
    max_queue_wait: Seconds = 21_600.0
    """A command that would wait longer is refused with 429 (6 hours)."""
    keep_texts: bool = True
    """Keep texts for 72 hours after the end, for the console to search. false: they go with their message."""
    shutdown_grace: Seconds = 25.0
    """How long what is under way may take to finish at the end."""
    callback_hosts: CommaList = ()
    """Hosts besides n8n's that `callback_url` may name."""
    allow_private_hosts: CommaList = ()
    """Hosts, addresses and networks that may be reached although they are not public, such as n8n.local,10.0.0.0/8."""
    log_format: Literal["json", "console"] = "json"
    """One JSON object a line, or text for people. On a terminal console, unless you set it."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """From which level on."""
    # The name and the meaning are OpenTelemetry's.
    otel_exporter_otlp_endpoint: OptionalAddress = None
    """Where traces go, such as http://127.0.0.1:4318. Not set: there are none."""

    _accounts: tuple[Account, ...] = PrivateAttr(default=())

    @field_validator("log_format", "log_level", "ambiguous_sends", mode="before")
    @classmethod
    def _any_case(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value

    @field_validator("avito_user_id")
    @classmethod
    def _is_account_id(cls, value: str | None) -> str | None:
        if value is not None and not value.isdecimal():
            raise ValueError("allowed is the numeric account id, as GET /core/v1/accounts/self shows it")
        return value

    @field_validator("redis_url")
    @classmethod
    def _is_redis(cls, value: str | None) -> str | None:
        if value is not None and urlsplit(value).scheme not in REDIS_SCHEMES:
            raise ValueError(f"allowed are addresses that begin with {', '.join(s + '://' for s in REDIS_SCHEMES)}")
        return value

    @field_validator("timezone")
    @classmethod
    def _is_timezone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError("allowed are names such as UTC or Europe/Moscow") from error
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.retry_min_wait > self.retry_max_wait:
            raise ValueError("RETRY_MIN_WAIT must not be above RETRY_MAX_WAIT")
        if self.forward_retry_min > self.forward_retry_max:
            raise ValueError("FORWARD_RETRY_MIN must not be above FORWARD_RETRY_MAX")
        if self.bulk_reserve >= self.rate_limit_requests:
            raise ValueError("BULK_RESERVE must be below RATE_LIMIT_REQUESTS")
        given = {
            "AVITO_CLIENT_ID": self.avito_client_id,
            "AVITO_CLIENT_SECRET": self.avito_client_secret,
            "AVITO_USER_ID": self.avito_user_id,
        }
        missing = [name for name, value in given.items() if value is None]
        if self.avito_client_id is not None and missing:
            raise ValueError(f"{' and '.join(missing)} must be set together with AVITO_CLIENT_ID")
        self._accounts = self._collect_accounts()
        return self

    def _collect_accounts(self) -> tuple[Account, ...]:
        accounts: list[Account] = []
        if self.avito_client_id and self.avito_client_secret and self.avito_user_id:
            accounts.append(
                Account(
                    user_id=self.avito_user_id,
                    client_id=self.avito_client_id,
                    client_secret=self.avito_client_secret,
                    n8n_webhook_url=self.n8n_webhook_url,
                    webhook_secret=self.webhook_secret,
                    n8n_webhook_secret=self.n8n_webhook_secret,
                    n8n_auth_header=self.n8n_auth_header,
                )
            )
        if self.accounts_file is not None:
            accounts.extend(_read_accounts(self.accounts_file))
        seen: set[str] = set()
        for account in accounts:
            if account.user_id in seen:
                raise ValueError(f"account {account.user_id} is listed twice")
            seen.add(account.user_id)
        return tuple(accounts)

    @cached_property
    def accounts(self) -> tuple[Account, ...]:
        """
        The Avito accounts, the default one first: that of the settings, then those of `ACCOUNTS_FILE`.
        """
        return self._accounts

    @property
    def private_networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """
        The networks among `ALLOW_PRIVATE_HOSTS`; the rest of that list are host names.
        """
        return tuple(net for net in map(_network, self.allow_private_hosts) if net is not None)

    def account(self, user_id: str | None = None) -> Account | None:
        """
        Return the account with that id, or the default account when `user_id` is None.
        """
        if user_id is None:
            return self.accounts[0] if self.accounts else None
        return next((account for account in self.accounts if account.user_id == user_id), None)


def load(env_file: Path | str | None = ".env", **values: object) -> Settings:
    """
    Read the settings from the environment, `env_file` (when it is there) and `values`, which win.

    Raises:

        SettingsError: one line that names the setting, its value (secrets masked) and what is allowed.

    """
    try:
        return Settings(_env_file=env_file, _env_file_encoding="utf-8", **values)  # type: ignore[arg-type]
    except ValidationError as error:
        raise SettingsError(_one_line(error)) from None


def _one_line(error: ValidationError) -> str:
    parts = []
    for item in error.errors():
        # An error of the file of accounts carries its own place in the message.
        name = ".".join(str(part) for part in item["loc"]).upper()
        message = item["msg"].removeprefix("Value error, ")
        given = item.get("input")
        if not name:
            parts.append(message)
        elif item["type"] in ("missing", "extra_forbidden"):
            # What was given is the whole table, or stands under a name nobody knows: it may be a secret.
            parts.append(f"{name}: {message}")
        elif isinstance(given, SecretStr) or "SECRET" in name or "KEY" in name or "AUTH" in name:
            parts.append(f"{name}=***: {message}")
        else:
            parts.append(f"{name}={_USERINFO.sub('//***@', str(given))}: {message}")
    # A value, too, may have several lines.
    return " ".join("; ".join(parts).split())


def _read_accounts(path: Path) -> list[Account]:
    try:
        listed = tomllib.loads(path.read_text(encoding="utf-8")).get("account", [])
    except OSError as error:
        raise ValueError(f"ACCOUNTS_FILE={path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"ACCOUNTS_FILE={path}: not UTF-8 ({error.reason})") from error
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"ACCOUNTS_FILE={path}: not TOML ({error})") from error
    if not isinstance(listed, list) or not listed:
        raise ValueError(f"ACCOUNTS_FILE={path}: no [[account]] table in it")
    accounts = []
    for index, table in enumerate(listed):
        try:
            accounts.append(Account.model_validate(table))
        except ValidationError as error:
            raise ValueError(f"ACCOUNTS_FILE={path}: account[{index}]: {_one_line(error)}") from error
    return accounts


def _network(text: str) -> IPv4Network | IPv6Network | None:
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None
