"""
A page: who asks, in which language, about which account; and how its template becomes an answer.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import Any, Final
from zoneinfo import ZoneInfo

from jinja2 import Environment, PackageLoader, StrictUndefined
from litestar import Response
from litestar.datastructures import Cookie
from litestar.di import NamedDependency
from litestar.enums import MediaType
from litestar_htmx import HTMXRequest

from common.settings import Account
from ingress.accounts import choose
from ingress.catalogue import CATALOGUE
from ingress.console import language as languages
from ingress.console import navigation, session
from ingress.console.guard import session_of
from ingress.console.language import Language
from ingress.console.session import Session
from ingress.console.texts import TEXTS
from ingress.info import program_version
from ingress.problems import ProblemError
from ingress.services import Services

ASSETS: Final = f"{navigation.ROOT}/assets"

HTMX: Final = json.dumps(
    {
        # What the Content-Security-Policy forbids.
        "allowEval": False,
        "allowScriptTags": False,
        "includeIndicatorStyles": False,
        "selfRequestsOnly": True,
        # Pages of a session are not kept in the browser.
        "historyCacheSize": 0,
        "refreshOnHistoryMiss": True,
        "responseHandling": [
            {"code": "204", "swap": False},
            {"code": "[23]..", "swap": True},
            # An error is told where errors are told, and takes nothing away.
            {"code": "[45]..", "swap": True, "error": True, "target": "#notice", "swapOverride": "innerHTML"},
        ],
    }
)

_TEMPLATES: Final = Environment(
    loader=PackageLoader("ingress.console"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


@dataclass(frozen=True, slots=True)
class Page:
    """
    What all templates see as `page`. `account` is None where none is configured, and on pages about no account.
    """

    request: HTMXRequest
    services: Services
    language: Language
    session: Session | None
    is_new_session: bool
    account: Account | None

    def text(self, key: str, **values: object) -> str:
        """
        Return a text of the catalogue in the page's language.
        """
        found = getattr(TEXTS[key], self.language)
        return str(found.format(**values) if values else found)

    def address(self, path: str, **query: object) -> str:
        """
        Return an address that goes on with the page's account.
        """
        default = self.services.settings.account()
        is_default = self.account is None or default is None or self.account.user_id == default.user_id
        account = None if is_default or self.account is None else self.account.user_id
        return navigation.address(path, **({"account": account} | query))

    def moment(self, ms: float | str | None) -> str:
        """
        Return unix milliseconds as date and time in `TIMEZONE`.
        """
        return self._local(ms, "%Y-%m-%d %H:%M:%S" if self.language == "en" else "%d.%m.%Y %H:%M:%S")

    def clock(self, ms: float | str | None) -> str:
        """
        Return unix milliseconds as the time of the day in `TIMEZONE`.
        """
        return self._local(ms, "%H:%M:%S")

    def _local(self, ms: float | str | None, shape: str) -> str:
        zone = ZoneInfo(self.services.settings.timezone)
        try:
            return datetime.fromtimestamp(float(ms or "") / 1000, zone).strftime(shape)
        except (ValueError, OverflowError, OSError):
            return "" if ms is None else str(ms)

    def duration(self, seconds: float) -> str:
        """
        Return a duration in its two largest units: `2 h 5 min`, `17 s`.
        """
        left = max(0, round(seconds))
        parts: list[str] = []
        for unit, size in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
            if left >= size or (unit == "s" and not parts):
                parts.append(f"{left // size} {self.text(f'unit.{unit}')}")
            left %= size
        return " ".join(parts[:2])

    def number(self, value: float) -> str:
        """
        Return a number with its thousands apart.
        """
        return f"{value:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")

    def asset(self, name: str) -> str:
        """
        Return the address of a file of `assets`; a changed file has another one.
        """
        return f"{ASSETS}/{name}?v={_digest(name)}"

    def render(
        self,
        template: str,
        context: Mapping[str, object] | None = None,
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
    ) -> Response[bytes]:
        """
        Return the answer that a template makes of `page` and `context`. Half a surrogate pair, which Avito may give,
        becomes a question mark.
        """
        values: dict[str, Any] = {
            "page": self,
            "t": self.text,
            "htmx": HTMX,
            "navigation": navigation,
            **(context or {}),
        }
        html = _TEMPLATES.get_template(template).render(values | dict(context or {}))
        answer = Response(
            html.encode("utf-8", "replace"), media_type=MediaType.HTML, status_code=status, headers=dict(headers or {})
        )
        if self.session is not None and self.is_new_session:
            answer.cookies.append(cookie(self.request, session.COOKIE, self.session.cookie))
        return answer

    @property
    def here(self) -> str:
        """
        The address that was asked for, with its query.
        """
        scope = self.request.scope
        # As it was asked for: an id may have in it what a path must not.
        path = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1")
        query = scope["query_string"].decode("latin-1")
        return f"{path}?{query}" if query else path

    @property
    def version(self) -> str:
        """
        The program's version.
        """
        return program_version()

    @property
    def accounts(self) -> tuple[Account, ...]:
        """
        All accounts, for the picker.
        """
        return self.services.settings.accounts

    @property
    def is_open(self) -> bool:
        """
        Whether there is no `API_KEY`, so that nobody has to log in.
        """
        return self.services.settings.api_key is None

    @property
    def current(self) -> str:
        """
        The path of the menu's entry that this page belongs to.
        """
        path = self.request.url.path
        fitting = [item.path for item in navigation.MENU if path == item.path or path.startswith(f"{item.path}/")]
        return max(fitting, key=len, default="")


@cache
def _digest(name: str) -> str:
    content = (files("ingress.console") / "assets" / name).read_bytes()
    return hashlib.sha256(content).hexdigest()[:12]


def cookie(request: HTMXRequest, name: str, value: str, *, life_s: int | None = None) -> Cookie:
    """
    Return a cookie that only this console gets back, and no script sees; over HTTPS never without.
    """
    is_https = "https" in (request.url.scheme, request.headers.get("x-forwarded-proto"))
    return Cookie(
        key=name,
        value=value,
        path=navigation.ROOT,
        max_age=life_s,
        httponly=True,
        secure=is_https,
        samesite="strict",
    )


def bare_page(request: HTMXRequest, services: Services) -> Page:
    """
    Return a page about no account in particular, as the login and the errors are.
    """
    found, is_new = session_of(request)
    spoken = languages.language(request.cookies.get(languages.COOKIE), request.headers.get("accept-language", ""))
    return Page(request, services, spoken, found, is_new, None)


def provide_page(request: HTMXRequest, services: NamedDependency[Services]) -> Page:
    """
    Give handlers their `page`, about the account of `?account=` or the default one.

    Raises:

        ProblemError: `unknown_account`, `bad_account`.

    """
    bare = bare_page(request, services)
    wanted = request.query_params.get("account")
    account = choose(services.settings, wanted) if wanted or services.settings.accounts else None
    return Page(request, services, bare.language, bare.session, bare.is_new_session, account)


def account_of(page: Page) -> Account:
    """
    Return the page's account.

    Raises:

        ProblemError: `not_configured`.

    """
    if page.account is None:
        raise ProblemError("not_configured", CATALOGUE["not_configured"].meaning)
    return page.account
