"""The gate that agents have at hand keeps what it makes where it is told to, and nowhere else."""

import asyncio
from pathlib import Path

import pytest
from gates import SHOP
from repositories import commit, git, put

from tests.agents.unconfined import UnconfinedSandbox
from visionflow.agents.gate.results import GateResult
from visionflow.compose.gate.hosted import gate_runner


def judged(shop: Path, base: str, state: Path, cache: Path | None) -> tuple[GateResult, list[str]]:
    """A gate as an agent runs it, and what it said on the way."""
    sandbox, stages = UnconfinedSandbox(), list[str]()
    run = gate_runner(lambda: sandbox)(
        shop, base, state=state, virtual_env=None, trusted=False, tests_s=120,
        cache=None if cache is None else str(cache), on_stage=stages.append,
    )  # fmt: skip
    return asyncio.run(run), stages


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    folder.mkdir()
    git(folder, "init", "-q", ".")
    commit(folder, SHOP)
    commit(folder, {"shop/core.py": SHOP["shop/core.py"].replace("x + 1", "x + 2")})
    return folder


@pytest.mark.parametrize("cached", [True, False])
def test_it_keeps_nothing_in_the_users_home(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cached: bool
) -> None:
    home, state, cache = tmp_path / "home", tmp_path / "state", tmp_path / "cache"
    monkeypatch.setenv("VISIONFLOW_HOME", str(home))
    result, stages = judged(shop, "HEAD~1", state, cache if cached else None)
    assert result.failed == ("1 test broken",)
    assert result.tests is not None
    assert [each.id for each in result.tests.broken] == ["tests/test_core.py::test_price"]
    assert stages and stages[0] == "looking at what changed"
    assert (state / "repository.git").is_dir()
    assert cache.exists() == cached
    assert not home.exists()


def test_where_no_test_reaches_what_changed_all_are_run(shop: Path, tmp_path: Path) -> None:
    put(shop, {"shop/alone.py": "N = 1\n"})
    result, _ = judged(shop, "HEAD", tmp_path / "state", tmp_path / "cache")
    assert result.tests is not None
    assert (result.tests.run, result.tests.selection) == (2, "all")
    assert len(result.tests.known) == 1


def test_a_state_within_the_workspace_is_no_part_of_it(shop: Path, tmp_path: Path) -> None:
    result, _ = judged(shop, "HEAD~1", shop / "state", tmp_path / "cache")
    assert [each.path for each in result.files] == ["shop/core.py"]
    again, _ = judged(shop, "HEAD~1", shop / "state", tmp_path / "cache")
    assert [each.path for each in again.files] == ["shop/core.py"]
