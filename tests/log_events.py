"""
The log events as the code has them, and `docs/logs.md`, whose tables of names, levels and fields are made from that.

`python -m tests.log_events` writes them anew; what stands in the last column is a person's, and stays.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
DOCUMENT: Final = ROOT / "docs/logs.md"
PACKAGES: Final = ("common", "ingress", "dispatcher", "forwarder", "gateway", "sandbox")
LEVELS: Final = ("error", "warning", "info", "debug")

_METHODS: Final = {level: level for level in LEVELS} | {"exception": "error", "critical": "error"}
_MAKERS: Final = ("logger", "log.logger", "logging.getLogger")
_TABLE: Final = r"(?s)(<!-- {name} -->\n).*?(<!-- end -->)"
_ROW: Final = re.compile(r"^\| `([\w.]+)` \|(?:.*\|)? ([^|]*) \|$", re.MULTILINE)


class UnclearError(Exception):
    """
    A call of a logger whose event or fields cannot be told from the code: give them by name.
    """


@dataclass(frozen=True, slots=True)
class Line:
    """
    One call of a logger.
    """

    event: str
    level: str
    fields: tuple[str, ...]
    place: str


def lines() -> list[Line]:
    """
    Return every call of a logger in the packages.
    """
    modules = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    return [
        line for path in modules for line in lines_of(path.read_text(encoding="utf-8"), str(path.relative_to(ROOT)))
    ]


def lines_of(source: str, name: str) -> Iterator[Line]:
    """
    Return the calls of loggers in a module's text.
    """
    tree = ast.parse(source)
    loggers = dict(_loggers(tree))
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _METHODS):
            continue
        said = ast.unparse(node.func.value)
        place = f"{name}:{node.lineno}"
        if said in loggers:
            yield _line(node, node.func.attr, loggers[said], place)
        elif "log" in said.lower():
            raise UnclearError(f"{place}: {said} is not known as a logger")


def _loggers(tree: ast.AST) -> Iterator[tuple[str, tuple[str, ...]]]:
    """
    Return the names that loggers have in a module, and the fields bound to each.
    """
    for node in ast.walk(tree):
        if not isinstance(node, ast.Assign | ast.AnnAssign) or not isinstance(node.value, ast.Call):
            continue
        call, bound = node.value, tuple[str, ...]()
        if isinstance(call.func, ast.Attribute) and call.func.attr == "bind" and isinstance(call.func.value, ast.Call):
            bound = tuple(keyword.arg or "" for keyword in call.keywords)
            call = call.func.value
        if ast.unparse(call.func) in _MAKERS:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from ((ast.unparse(target), bound) for target in targets)


def _line(call: ast.Call, method: str, bound: tuple[str, ...], place: str) -> Line:
    match call.args:
        case [ast.Constant(value=str(event))]:
            given = [keyword.arg for keyword in call.keywords]
        case _:
            raise UnclearError(f"{place}: the event is not one text")
    if None in given:
        raise UnclearError(f"{place}: fields come from a mapping")
    fields = [*bound, *(field for field in given if field and field != "exc_info")]
    if method == "exception" or "exc_info" in given:
        fields.append("exception")
    return Line(event, _METHODS[method], tuple(fields), place)


def fields_of(event: str, found: list[Line]) -> dict[str, bool]:
    """
    Return the fields of an event, and of each whether every line has it.
    """
    own = [line.fields for line in found if line.event == event]
    return {field: all(field in fields for fields in own) for fields in own for field in fields}


def sentences(text: str) -> dict[str, str]:
    """
    Return what the document says of each event and field.
    """
    return dict(_ROW.findall(text))


def as_written(text: str, found: list[Line]) -> str:
    """
    Return the document with its tables as the code wants them; what is new has an empty sentence.
    """
    known = sentences(text)
    for level in LEVELS:
        events = sorted({line.event for line in found if line.level == level})
        rows = {event: ", ".join(_shown(*field) for field in fields_of(event, found).items()) for event in events}
        text = _with_table(text, f"{level} events", ("event", "fields", "when, and what to do"), rows, known)
    names = sorted({field for line in found for field in line.fields})
    return _with_table(text, "fields", ("field", "holds"), dict.fromkeys(names), known)


def _shown(field: str, is_always_there: bool) -> str:
    return f"`{field}`" if is_always_there else f"`{field}`?"


def _with_table(
    text: str, name: str, head: tuple[str, ...], rows: Mapping[str, str | None], known: Mapping[str, str]
) -> str:
    table = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for key, middle in rows.items():
        cells = [f"`{key}`", *([] if middle is None else [middle]), known.get(key, "")]
        table.append(f"| {' | '.join(cells)} |")
    written, count = re.subn(_TABLE.format(name=name), lambda found: "\n".join((found[1], *table, "", found[2])), text)
    if count != 1:
        raise UnclearError(f"{DOCUMENT.name} has no place for a table of {name}")
    return written


if __name__ == "__main__":
    DOCUMENT.write_text(as_written(DOCUMENT.read_text(encoding="utf-8"), lines()), encoding="utf-8")
