"""
The pages of the console in the order in which its menu lists them, and their addresses.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlencode

ROOT: Final = "/console"
_OWN: Final = re.compile(rf"{ROOT}(?:[/?][\x21-\x7e]*)?")


@dataclass(frozen=True, slots=True)
class Item:
    """
    A page of the menu; its title is the text `nav.<name>`.
    """

    name: str
    path: str


MENU: Final = (
    Item("overview", ROOT),
    Item("chats", f"{ROOT}/chats"),
    Item("messages", f"{ROOT}/messages"),
    Item("dead", f"{ROOT}/dead"),
)


def address(path: str, **query: object) -> str:
    """
    Return a path with a query; what is None or empty is left out.
    """
    given = {name: str(value) for name, value in query.items() if value not in (None, "")}
    return f"{path}?{urlencode(given)}" if given else path


def chat(chat_id: str, deed: str = "") -> str:
    """
    Return the path of a conversation, or of something done in it.
    """
    return f"{ROOT}/chats/{quote(chat_id, safe='')}{f'/{deed}' if deed else ''}"


def segments(path: str, *parts: str) -> str:
    """
    Return a path that goes on with these parts, whatever they hold.
    """
    return "/".join((path, *(quote(part, safe="") for part in parts)))


def own(path: str | None) -> str:
    """
    Return the path if it leads to a page of this console, else the first page: nobody is sent elsewhere.
    """
    return path if path is not None and _OWN.fullmatch(path) and "//" not in path.partition("?")[0] else ROOT
