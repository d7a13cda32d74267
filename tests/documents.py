"""
The documents as the tests read them: their blocks, what a reader would type, and what the page says comes back.

    ```sh        commands, carried out as they stand; they must succeed
    ```console   `$ command` and its output, compared but for what chance makes of it; `...` stands for anything
    ```env       lines for the `.env`, read by the settings
    ```json, toml, yaml, python   read, or run

A comment before a block says what is special about it:

    <!-- not run: needs Docker -->   why no test can carry it out; REASONS has the words that count
    <!-- runs on: Ctrl-C stops. -->  it does not end by itself; ready when it has printed that
    <!-- exit code 1 -->             it ends so, and means to

A comment of its own is for the tests alone:

    <!-- scene: gateway NAME=value --> what there is before the first block; see tests/scene.py
    <!-- run                         commands that prepare what the page speaks of
    ...
    -->
    <!-- Ctrl-C -->                  end what runs on
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
FOLDERS: Final = ("docs", "deploy", "n8n/workflows")
RUN: Final = ("sh", "console")
# Why a block is not carried out, and what must stand in each of its commands so that this may be said of it.
REASONS: Final = {
    "needs Docker": r"\bdocker\b",
    "needs Kubernetes": r"\bkubectl\b|\bkustomize\b",
    "needs systemd": r"\bsystemctl\b|\bjournalctl\b|\bsystemd-",
    "needs root": r"\bapt-get\b|\buseradd\b|\bsudo\b|/etc/|/opt/|/usr/local/|/var/",
    "needs n8n": r"\bn8n\b",
    "needs Caddy": r"\bcaddy\b",
    "needs Prometheus": r"\bprom(tool|etheus)\b",
    "takes minutes": r"\bmake (\w+=\w+ )?(test|check|otel|node|n8n|e2e-n8n|chaos|bench|peers|fuzz|scaling|demo|site)\b"
    r"|-m chaos\b|-m tests\.scene\b|\.ci/run\b",
    "needs a public address": r"https://gateway\.example\.com",
    "needs another server": r"\bredis\.internal\b|\bnew-host\b|\bbackup@",
}

_FENCE: Final = re.compile(r"^( *)```(\w*)[ \t]*\n(.*?)^\1```[ \t]*$", re.MULTILINE | re.DOTALL)
_COMMENT: Final = re.compile(r"<!-- *(.*?) *-->", re.DOTALL)
_BEFORE: Final = re.compile(r"<!-- *(not run|runs on|exit code):? +([^\n]*?) *-->\s*\Z")


@dataclass(frozen=True, kw_only=True)
class Block:
    """
    One block of a document. `line` is where it begins; `hidden`: a comment, which readers do not see.
    """

    language: str
    text: str
    line: int
    hidden: bool = False
    not_run: str | None = None
    runs_on: str | None = None
    exit_code: int = 0

    @property
    def commands(self) -> list[str]:
        """
        Return its commands as typed, one for each line that begins one.
        """
        if self.language == "console":
            return [command for command, _ in self.exchanges]
        joined = re.sub(r"\\\n\s*", " ", self.text)
        return [line for line in joined.splitlines() if line.strip() and not line.lstrip().startswith("#")]

    @property
    def exchanges(self) -> list[tuple[str, str]]:
        """
        Return the commands of a `console` block, each with the output that is shown.
        """
        found = re.findall(r"^\$ ((?:.*\\\n)*.*)\n?((?:(?!\$ ).*\n?)*)", self.text, re.MULTILINE)
        return [(command, output.rstrip("\n")) for command, output in found]


@dataclass(frozen=True)
class Document:
    """
    One page: `path` is relative to the repository.
    """

    path: Path

    @property
    def text(self) -> str:
        """
        Return what is in it.
        """
        return (ROOT / self.path).read_text(encoding="utf-8")

    @property
    def scene(self) -> list[str]:
        """
        Return what its first block finds, as words; without a word of its own a gateway that runs.
        """
        found = re.search(r"^<!-- scene: (.*?) -->$", self.text, re.MULTILINE)
        return shlex.split(found[1]) if found else ["gateway"]

    def blocks(self) -> list[Block]:
        """
        Return its blocks from top to bottom, hidden ones among them.
        """
        return sorted(_blocks(self.text), key=lambda block: block.line)


def _blocks(text: str) -> Iterator[Block]:
    fenced = list(_FENCE.finditer(text))
    for fence in fenced:
        indent, language, body = fence.groups()
        said = _BEFORE.search(text[: fence.start()])
        what, value = said.groups() if said else (None, "")
        yield Block(
            language=language,
            text="\n".join(line.removeprefix(indent) for line in body.splitlines()) + "\n",
            line=_line(text, fence.start()),
            not_run=value if what == "not run" else None,
            runs_on=value if what == "runs on" else None,
            exit_code=int(value) if what == "exit code" else 0,
        )
    for comment in _COMMENT.finditer(text):
        if any(fence.start() < comment.start() < fence.end() for fence in fenced):
            continue
        if comment[1].startswith("run\n"):
            yield Block(
                language="sh",
                text=comment[1].removeprefix("run\n") + "\n",
                line=_line(text, comment.start()),
                hidden=True,
            )
        elif comment[1] == "Ctrl-C":
            yield Block(language="Ctrl-C", text="", line=_line(text, comment.start()), hidden=True)


def _line(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1


def documents() -> list[Document]:
    """
    Return all pages, the Russian ones among them.
    """
    paths = [*ROOT.glob("*.md"), *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.md"))]
    return [Document(path.relative_to(ROOT)) for path in sorted(paths)]


# What differs from run to run: what it looks like, and whether it is an id that later commands may name.
_CHANCE: Final = (
    (r"\s*\.\.\.\s*", False),
    (r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", True),
    (r"\b\d{13}-\d+", True),
    (r"\d{20}-\d{20}\b", False),
    (r"\b[0-9a-f]{32}\b", True),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|\+00:00)?", False),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", False),
    (r"\b\d\d:\d\d:\d\d(?:\.\d+)?\b", False),
    (r"127\.0\.0\.1:\d+", False),
    (r"\bby \S+@[\w.-]+", False),
    (r'\bms\\*"?[=:]\d+(?:\.\d+)?', False),
    (r"\b1\d{12}(?:\.\d+)?\b", False),
    (r"\b1\d{9}(?:\.\d+)?\b", False),
    (r"\b[\w.]+-\d+-[0-9a-f]{8}\b", False),
    (r"\b\d+(?:\.\d+)? ?(?:ms|s|seconds|MiB|KiB|MB|KB|kB|B)\b", False),
    (r"\b\d+\.\d{1,9}\b(?!\.)", False),
    (r"[─━═╌-]{4,}", False),
    (r"\s+", False),
)
_ANYTHING: Final = ".*?"
_ANY_CHANCE: Final = re.compile("|".join(f"({pattern})" for pattern, _ in _CHANCE))


@dataclass(frozen=True)
class Shown:
    """
    Output as a page shows it.
    """

    text: str

    def ids_in(self, printed: str, known: Mapping[str, str] = MappingProxyType({})) -> dict[str, str] | None:
        """
        Compare with what was printed. Return what stands there for the ids of the page, or None if it differs: also
        if an id of the page would stand for two, or for another one than is known.
        """
        pattern, ids = "", []
        at = 0
        for found in _ANY_CHANCE.finditer(self.text.strip()):
            pattern += re.escape(self.text.strip()[at : found.start()])
            at = found.end()
            look, is_id = _CHANCE[found.lastindex - 1] if found.lastindex else ("", False)
            if found[0].strip() == "...":
                pattern += _ANYTHING
            elif is_id:
                ids.append(found[0])
                pattern += f"({look})"
            else:
                pattern += f"(?:{look})"
        pattern += re.escape(self.text.strip()[at:])
        same = re.fullmatch(pattern, printed.strip(), re.DOTALL)
        if not same:
            return None
        pairs = set(zip(ids, same.groups(), strict=True))
        return dict(pairs) if len(dict({*pairs, *known.items()})) == len({*pairs, *known.items()}) else None
