"""
Every command of every page is carried out, and every other block is what it says it is.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from io import StringIO
from pathlib import Path

import pytest
import yaml
from dotenv import dotenv_values

from common.settings import Account, Settings, load
from tests.documents import REASONS, ROOT, RUN, Block, Document, documents
from tests.scene import scene

PAGES = documents()
ENGLISH = [page for page in PAGES if not page.path.name.endswith(".ru.md") and "ru" not in page.path.parts]
# What else may stand between fences: outputs, and things that are looked at and not run here.
SHOWN = {"text", "mermaid"}
READ = {"json", "toml", "yaml", "env", "python"}
SHELL = re.compile(
    r"^\s*(\$ |curl |make |redis-cli |docker |systemctl |kubectl |avito-gateway [a-z]|\.venv/)", re.MULTILINE
)

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.path))


def has_commands(page: Document) -> bool:
    """
    Whether there is anything to carry out.
    """
    return any(block.language in RUN and block.not_run is None for block in page.blocks())


@pytest.mark.parametrize("page", [page for page in ENGLISH if has_commands(page)], ids=lambda page: str(page.path))
async def test_commands_do_what_the_page_says(page: Document) -> None:
    """
    A reader who types a page's commands from top to bottom sees what the page shows.
    """
    async with scene(page) as here:
        for block in page.blocks():
            await here.play(block)


def russian_of(page: Document) -> Path | None:
    """
    Return where a page's Russian version is, if it has one.
    """
    path = page.path
    there = Path("README.ru.md") if path == Path("README.md") else Path("docs/ru", *path.parts[1:])
    return there if any(other.path == there for other in PAGES) else None


@pytest.mark.parametrize("page", [page for page in ENGLISH if russian_of(page)], ids=lambda page: str(page.path))
def test_the_russian_page_has_the_same_commands(page: Document) -> None:
    """
    What is carried out for a page holds for its translation: the same blocks in the same order.
    """
    other = russian_of(page)
    assert other is not None

    def kept(blocks: list[Block]) -> list[tuple[str, str, str | None]]:
        return [(block.language, block.text, block.not_run) for block in blocks if block.language in {*RUN, *READ}]

    assert kept(page.blocks()) == kept(Document(other).blocks())


def test_every_russian_page_is_a_translation() -> None:
    """
    No page is Russian alone.
    """
    russian = {page.path for page in PAGES} - {page.path for page in ENGLISH}

    assert russian == {russian_of(page) for page in ENGLISH} - {None}


@each_page
def test_blocks_say_what_they_are(page: Document) -> None:
    """
    Each block names its language, what is not run names a reason of the list that fits, and no command hides.
    """
    for block in page.blocks():
        where = f"{page.path}:{block.line}"
        assert block.language in {*RUN, *READ, *SHOWN, "Ctrl-C"}, f"{where}: {block.language!r}"
        if block.language in SHOWN and block.not_run is None:
            assert not SHELL.search(re.sub(r"^  .*$", "", block.text, flags=re.MULTILINE)), (
                f"{where}: commands in `text`"
            )
        if block.not_run is not None:
            assert block.not_run in REASONS, f"{where}: {block.not_run!r} is no reason"
            fits = re.compile(REASONS[block.not_run])
            assert fits.search(block.text), f"{where}: nothing in it {block.not_run}"


@each_page
def test_no_code_is_indented_instead_of_fenced(page: Document) -> None:
    """
    Blocks made by four spaces would escape these tests.
    """
    outside = re.sub(r"^( *)```.*?^\1```$", "", page.text, flags=re.MULTILINE | re.DOTALL)

    assert [] == re.findall(r"(?:\A|\n)\n {4}(?![-*\d ]).*", re.sub(r"<!--.*?-->", "", outside, flags=re.DOTALL))


@each_page
def test_shell_blocks_parse(page: Document) -> None:
    """
    Also what is not run is a script that bash understands.
    """
    scripts = [text for block in page.blocks() if block.language in RUN for text in block.commands]
    checked = subprocess.run(
        ["bash", "-n"], input="\n".join(scripts), capture_output=True, text=True, check=False, env={"PATH": os.defpath}
    )

    assert "" == checked.stderr


@each_page
def test_data_blocks_are_read(page: Document, tmp_path: Path) -> None:
    """
    JSON, TOML and YAML parse; accounts are what ACCOUNTS_FILE takes; `.env` lines are settings with values that are
    allowed; Python runs.
    """
    for block in page.blocks():
        match block.language:
            case "json":
                json.loads(block.text)
            case "toml":
                for account in tomllib.loads(block.text).get("account", []):
                    Account.model_validate(account)
            case "yaml":
                list(yaml.safe_load_all(block.text))
            case "env":
                settings = dotenv_values(stream=StringIO(block.text))
                assert set() == {name.lower() for name in settings} - set(Settings.model_fields)
                given = {name.lower(): value for name, value in settings.items()} | {"accounts_file": None}
                complete = {"avito_client_id": "1", "avito_client_secret": "1", "avito_user_id": "1"} | given
                load(None, **complete)
            case "python":
                code = [sys.executable, "-W", "error", "-c", block.text]
                subprocess.run(code, check=True, cwd=tmp_path, capture_output=True, timeout=60)


def test_the_runbook_has_a_section_for_each_alert() -> None:
    """
    Whoever is woken by an alert finds what to do under its name, and no section is about an alert that is no more.
    """
    rules = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text(encoding="utf-8"))
    alerts = {rule["alert"] for group in rules["groups"] for rule in group["rules"]}
    sections = re.findall(
        r"^## (AvitoGateway\w+)$", (ROOT / "docs/runbook.md").read_text(encoding="utf-8"), re.MULTILINE
    )

    assert sorted(alerts) == sorted(sections)
