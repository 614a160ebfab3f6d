"""Trust is remembered per folder, outside of every workspace."""

from pathlib import Path

import pytest

from visionflow.compose.job import create_run, remember_trust, trusted
from visionflow.domain.errors import ConfigError


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VISIONFLOW_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_a_folder_is_trusted_after_the_user_said_so_and_no_other_one(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    (mine / "below").mkdir(parents=True)
    assert not trusted(mine)
    remember_trust(mine)
    (tmp_path / "link").symlink_to(mine)
    assert trusted(mine) and trusted(tmp_path / "link")
    assert not trusted(mine / "below") and not trusted(tmp_path)


def test_asking_writes_nothing(tmp_path: Path, home: Path) -> None:
    assert not trusted(tmp_path)
    assert not home.exists()


def test_a_file_that_we_did_not_write_is_an_error_and_trusts_nobody(
    tmp_path: Path, home: Path
) -> None:
    home.mkdir()
    (home / "trust.json").write_text('{"workspaces": "all"}')
    with pytest.raises(ConfigError, match=r"trust\.json cannot be read"):
        trusted(tmp_path)


def test_a_run_keeps_to_the_trust_it_was_created_with(tmp_path: Path) -> None:
    plain = create_run("Test this", tmp_path, tmp_path / "out")
    open_ = create_run("Test this", tmp_path, tmp_path / "out", trust=True)
    assert (plain.read_order().trusted, open_.read_order().trusted) == (False, True)
