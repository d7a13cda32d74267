"""
The settings: environment or `.env`, checked at start (design section 8).

Names in the environment are the field names in capitals. Durations are seconds and may be fractions.
"""

from __future__ import annotations

import base64
import binascii
import re
import tomllib
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

    model_config = ConfigDict(frozen=True, extra="forbid")

    user_id: str = Field(pattern=r"^\d+$", description="numeric Avito account id")
    client_id: str = Field(min_length=1)
    client_secret: SecretStr
    n8n_webhook_url: OptionalAddress = None
    webhook_secret: PathSecret = None
    n8n_webhook_secret: SigningSecret = None
    n8n_auth_header: HeaderLine = None

    @field_validator("user_id", mode="before")
    @classmethod
    def _number_is_text(cls, value: object) -> object:
        return str(value) if isinstance(value, int) else value


class Settings(BaseSettings):
    """
    All settings of the gateway. Frozen; `load` is the way to make one from the environment.
    """

    model_config = SettingsConfigDict(frozen=True, env_file=None, extra="ignore", case_sensitive=False)

    avito_client_id: OptionalText = None
    avito_client_secret: OptionalSecret = None
    avito_user_id: OptionalText = None
    redis_url: OptionalText = None
    n8n_webhook_url: OptionalAddress = None
    server_host: str = "0.0.0.0"  # noqa: S104 - the public contract: containers publish it
    server_port: int = Field(default=8765, ge=0, le=65535)
    rate_limit_requests: int = Field(default=100, ge=1)
    rate_limit_window: Seconds = 60.0
    max_connections: int = Field(default=20, ge=1)
    connection_timeout: Seconds = 30.0
    max_retries: int = Field(default=3, ge=0)
    retry_min_wait: Seconds = 1.0
    retry_max_wait: Seconds = 10.0
    api_key: OptionalSecret = None
    console: bool = True

    avito_base_url: Address = "https://api.avito.ru"
    key_prefix: str = Field(default="avito", pattern=r"^[A-Za-z0-9_.:-]+$")
    data_dir: Path = Path("./data")
    webhook_secret: PathSecret = None
    n8n_webhook_secret: SigningSecret = None
    n8n_auth_header: HeaderLine = None
    accounts_file: Annotated[Path | None, BeforeValidator(_blank_is_unset)] = None
    timezone: str = "UTC"
    bulk_reserve: int = Field(default=5, ge=0)
    ambiguous_sends: Literal["reconcile", "resend", "hold"] = "reconcile"
    forward_concurrency: int = Field(default=20, ge=1)
    forward_timeout: Seconds = 30.0
    forward_max_attempts: int = Field(default=8, ge=1)
    forward_retry_min: Seconds = 2.0
    forward_retry_max: Seconds = 300.0
    event_max_age: Seconds = 259_200.0
    forward_own: bool = False
    forward_system: bool = False
    enrich_wait: float = Field(default=3.0, ge=0)
    reconcile_interval: float = Field(default=300.0, ge=0)
    max_queue_wait: Seconds = 21_600.0
    shutdown_grace: Seconds = 25.0
    callback_hosts: CommaList = ()
    allow_private_hosts: CommaList = ()
    log_format: Literal["json", "console"] = "json"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    # The name and the meaning are OpenTelemetry's.
    otel_exporter_otlp_endpoint: OptionalAddress = None

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

    @property
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
