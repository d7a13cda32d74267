"""
What `make site` adds to docs: pages and files of the repository that lie outside, wherever a link leads to one.

The READMEs become the site's first pages. A link to code leads to its text, so that the site needs no server.
"""

# ruff: noqa: INP001 - mkdocs loads it by its path

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any, Final

from mkdocs.structure.files import File, Files

ROOT: Final = Path(__file__).resolve().parents[1]
# Where a file of the repository stands in the site, if not under its own path.
_PLACES: Final = {"README.md": "index.md", "README.ru.md": "ru/index.md"}
_LINK: Final = re.compile(r"(\]\()([^)\s#]+)((?:#[^)\s]*)?\))")


def on_files(files: Files, config: Any) -> Files:
    """
    Add what the pages link to, and what those pages link to in turn.
    """
    todo = ["README.md", "README.ru.md", *(f"docs/{file.src_uri}" for file in files.documentation_pages())]
    seen = set(todo)
    while todo:
        path = todo.pop()
        for target in _targets(path, (ROOT / path).read_text(encoding="utf-8")):
            if target not in seen:
                seen.add(target)
                if target.endswith(".md"):
                    todo.append(target)
    for path in sorted(seen):
        place = _place(path)
        if not path.startswith("docs/"):
            content = _content(ROOT / path)
            files.append(File.generated(config, place, content=content.decode() if place.endswith(".md") else content))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """
    Let links lead to where their targets stand in the site.
    """
    here = page.file.src_uri
    source = _source(here)

    def moved(link: re.Match[str]) -> str:
        target = _resolved(source, link[2])
        if target is None or not (ROOT / target).exists():
            return link[0]
        place = _place(target)
        return link[1] + posixpath.relpath(place, posixpath.dirname(here) or ".") + link[3]

    return _LINK.sub(moved, markdown)


def _content(path: Path) -> bytes:
    """
    Return a file's bytes; of a folder what is in it.
    """
    if path.is_file():
        return path.read_bytes()
    return "\n".join(sorted(one.name for one in path.iterdir() if not one.name.startswith("_"))).encode()


def _targets(path: str, text: str) -> list[str]:
    found = (_resolved(path, link[2]) for link in _LINK.finditer(text))
    return [target for target in found if target is not None and (ROOT / target).exists()]


def _resolved(source: str, link: str) -> str | None:
    if "://" in link or link.startswith(("mailto:", "/")):
        return None
    return posixpath.normpath(posixpath.join(posixpath.dirname(source), link))


def _place(path: str) -> str:
    if path in _PLACES:
        return _PLACES[path]
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    # As text, so that a browser shows it.
    shown = (".md", ".png", ".json")
    return path if path.endswith(shown) else f"{path}.txt"


def _source(place: str) -> str:
    for path, moved in _PLACES.items():
        if moved == place:
            return path
    return f"docs/{place}" if (ROOT / "docs" / place).exists() else place
