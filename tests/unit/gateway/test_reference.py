"""
The pages that are written from the code.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from common.settings import Account, Settings
from gateway.reference import pages

ROOT = Path(__file__).parents[3]
PAGES = pages()


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_current(name: str) -> None:
    """
    What lies in docs is what `make reference` writes.
    """
    assert PAGES[name] == (ROOT / "docs" / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("model", [Settings, Account])
def test_every_setting_says_what_it_does(model: type[Settings | Account]) -> None:
    """
    No field of the settings is without a text below it.
    """
    assert [] == [name for name, field in model.model_fields.items() if not field.description]
