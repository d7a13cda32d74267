"""
What lies where, who may import whom, and what no file may say.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.settings import Settings, load

ROOT = Path(__file__).parents[2]
MAY_IMPORT = {
    "common": set[str](),
    "sandbox": set[str](),
    "ingress": {"common"},
    "dispatcher": {"common"},
    "forwarder": {"common"},
    "gateway": {"common", "dispatcher", "forwarder", "ingress", "sandbox"},
}
SCRIPTS = sorted((ROOT / "common/queue/lua").glob("*.lua"))
SHARED_SCRIPTS = sorted((ROOT / "common/queue/lua/shared").glob("*.lua"))
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
HIDDEN_BUT_OURS = {".ci", ".dockerignore", ".editorconfig", ".env.example", ".gitignore"}
NOT_OURS = {"__pycache__", "data", "dist", "node_modules"}
# In two parts, so that this file passes its own test.
INDEX_HOSTS = [f"{name}.{end}" for name, end in (("pypi", "org"), ("pythonhosted", "org"), ("pypi", "python"))]
IMAGE_HOSTS = [f"{name}.{end}" for name, end in (("ghcr", "io"), ("quay", "io"), ("gcr", "io"), ("registry", "hub"))]


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.partition(".")[0]


def _our_files(folder: Path = ROOT) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.name in NOT_OURS or (path.name.startswith(".") and path.name not in HIDDEN_BUT_OURS):
            continue
        if path.is_dir():
            yield from _our_files(path)
        else:
            yield path


def _header(path: Path) -> str:
    lines = path.read_text(encoding="utf-8").splitlines()
    end = next((number for number, line in enumerate(lines) if not line.startswith("--")), len(lines))
    return "\n".join(lines[:end])


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_a_package_imports_only_what_the_layout_allows(package: str) -> None:
    """
    Roles import common and never each other; nothing imports gateway or sandbox but gateway.
    """
    forbidden = set(MAY_IMPORT) - MAY_IMPORT[package] - {package}
    modules = list((ROOT / package).rglob("*.py"))
    found = {
        f"{path.relative_to(ROOT)} imports {name}" for path in modules for name in _imports(path) if name in forbidden
    }

    assert modules
    assert set() == found


@pytest.mark.parametrize("word", ["KEYS", "ARGV", "Reply", "Safe at OOM", "Owner-checked"])
def test_every_script_says_in_its_header_how_it_is_called(word: str) -> None:
    """
    Each Lua script begins with a comment that names its keys, arguments, reply and guarantees.
    """
    said = re.compile(rf"^-- {word}\b", re.IGNORECASE | re.MULTILINE)

    assert SCRIPTS
    assert [] == [path.name for path in SCRIPTS if not said.search(_header(path))]


def test_shared_parts_of_scripts_say_so() -> None:
    """
    A Lua file that other scripts include says in its header what it expects.
    """
    assert [] == [path.name for path in SHARED_SCRIPTS if "Shared part: expects" not in _header(path)]


def test_no_file_names_a_registry() -> None:
    """
    Where packages and images come from is the machine's business, so no file names a host for it.
    """
    names = re.compile("|".join(map(re.escape, INDEX_HOSTS + IMAGE_HOSTS)).encode())
    files = list(_our_files())

    assert ROOT / "requirements/runtime.txt" in files
    assert ROOT / ".ci/run" in files
    assert [] == [str(path.relative_to(ROOT)) for path in files if names.search(path.read_bytes())]


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.stem)
def test_a_lock_file_is_names_versions_and_hashes_alone(path: Path) -> None:
    """
    Every line pins one version or adds a hash to it, and every pin has a hash: no options, addresses or paths.
    """
    pin = re.compile(r"[a-z0-9-]+(\[[a-z0-9,-]+\])?==[\w.+!]+( ; [^\\]+)?")
    entries = [
        [line.strip() for line in entry.split("\\\n")]
        for entry in re.split(r"\n(?=\S)", path.read_text(encoding="utf-8").strip())
    ]
    odd = [
        parts[0]
        for parts in entries
        if not pin.fullmatch(parts[0])
        or len(parts) < 2
        or not all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", part) for part in parts[1:])
    ]

    assert entries
    assert [] == odd


def test_lock_files_pin_the_same_versions() -> None:
    """
    What is tested is what is run: the versions of runtime.txt stand in otel.txt, and those in dev.txt too.
    """
    runtime, otel, dev = (
        set(re.findall(r"^\S+==\S+", (ROOT / f"requirements/{name}.txt").read_text(encoding="utf-8"), re.MULTILINE))
        for name in ("runtime", "otel", "dev")
    )

    assert (set(), set()) == (runtime - otel, otel - dev)


def test_the_example_env_lists_every_setting_with_its_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    deploy/.env.example names all settings and no others, and reading it changes nothing.
    """
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    text = (ROOT / "deploy/.env.example").read_text(encoding="utf-8")
    listed = dict(re.findall(r"^#([A-Z][A-Z0-9_]*)=(.*)$", text, re.MULTILINE))

    assert {name.upper() for name in Settings.model_fields} == set(listed)
    assert load(None) == load(None, **{name.lower(): value for name, value in listed.items() if value})


def test_compose_passes_every_setting_on() -> None:
    """
    What is set in `.env` reaches the containers; only DATA_DIR has no use there, since Redis is a service.
    """
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    passed = set(re.findall(r"^    - ([A-Z][A-Z0-9_]*)(?:=.*)?$", text, re.MULTILINE))

    # OpenTelemetry reads more variables than the one that is a setting here.
    standard = {name for name in passed if name.startswith("OTEL_")}

    assert {name.upper() for name in Settings.model_fields} - {"DATA_DIR"} == passed - {"ALL"} - (
        standard - {"OTEL_EXPORTER_OTLP_ENDPOINT"}
    )
