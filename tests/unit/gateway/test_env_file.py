"""
`init`.
"""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from common.errors import GatewayError
from common.settings import Settings, load
from gateway import env_file


def test_file_is_its_owners_alone(tmp_path: Path) -> None:
    """
    The mode is 600, and no draft is left beside it.
    """
    env_file.write(tmp_path / ".env", force=False)

    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600
    assert [".env"] == [path.name for path in tmp_path.iterdir()]


def test_file_can_be_loaded_as_it_is(tmp_path: Path) -> None:
    """
    All keys are set and valid, and differ from file to file.
    """
    env_file.write(tmp_path / "a", force=False)
    env_file.write(tmp_path / "b", force=False)
    first, second = load(tmp_path / "a"), load(tmp_path / "b")

    for name in ("api_key", "webhook_secret", "n8n_webhook_secret"):
        assert getattr(first, name).get_secret_value() != getattr(second, name).get_secret_value()


def test_every_name_in_it_is_a_setting() -> None:
    """
    The file names nothing that the program does not read.
    """
    lines = [line.lstrip("#") for line in env_file.render().splitlines()]
    names = {name.lower() for name, equals, _ in (line.partition("=") for line in lines) if equals and name.isupper()}

    assert names <= set(Settings.model_fields)


def test_file_that_is_there_stays(tmp_path: Path) -> None:
    """
    Without --force nothing is overwritten.
    """
    path = tmp_path / ".env"
    path.write_text("API_KEY=mine", encoding="utf-8")

    with pytest.raises(GatewayError, match="is there already"):
        env_file.write(path, force=False)
    assert path.read_text(encoding="utf-8") == "API_KEY=mine"


def test_force_overwrites(tmp_path: Path) -> None:
    """
    With --force the old file is replaced as a whole, its mode too.
    """
    path = tmp_path / ".env"
    path.write_text("API_KEY=mine", encoding="utf-8")
    path.chmod(0o644)

    env_file.write(path, force=True)

    assert "API_KEY=mine\n" not in path.read_text(encoding="utf-8")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """
    The error says which file, and why.
    """
    with pytest.raises(GatewayError, match="cannot be written: No such file"):
        env_file.write(tmp_path / "nowhere" / ".env", force=False)
