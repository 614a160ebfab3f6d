"""The analyst: figures of a repository by hand, and how the work on it went."""

from pathlib import Path

import pytest
from role_work import do
from study import commit
from test_roles import task_for
from tool_projects import write

from visionflow.agents.base import PermanentFailure
from visionflow.agents.roles.analyst import AnalystAgent
from visionflow.agents.study.trends import Commit, Month, trends_of

HARD = "def hard(x):\n    if x:\n        if x > 1:\n            return 1\n    return 0\n"
PROJECT: dict[str, str | bytes] = {
    "shop/__init__.py": "",
    "shop/a.py": "from shop import b\n\n\nclass A:\n    def plain(self):\n        return 1\n",
    "shop/b.py": "from shop import a\n\n\n" + HARD,
    "top.py": "# TODO: more\n",
    "tests/test_shop.py": "def test_it():\n    assert True\n",
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = write(tmp_path / "ws", PROJECT)
    commit(root, "one", author="Ada")
    write(root, {"top.py": "# TODO: more\nx = 1\n"})
    commit(root, "two", author="Bob")
    return root


def test_what_is_there_is_counted_with_tests_apart(project: Path, tmp_path: Path) -> None:
    result = do(AnalystAgent, tmp_path / "own", task_for(project, "analyse"))
    found = result["metrics"]
    counted = {key: found[key] for key in ("files", "lines", "test_files", "test_lines")}
    assert counted == {"files": 4, "lines": 16, "test_files": 1, "test_lines": 2}
    assert (found["functions"], found["classes"], found["todos"]) == (2, 1, 1)
    # `hard` has an if (1) and one within it (2); the other function has none.
    assert found["complexity"] == {"mean": 1.5, "median": 1.5, "p90": 3.0, "max": 3}
    assert (found["modules"], found["imports"], found["in_cycles"]) == (4, 2, 2)
    packages = [(each["package"], each["files"], each["functions"]) for each in found["packages"]]
    assert packages == [("shop", 3, 2), (".", 1, 0)]
    assert result["trends"]["commits"] == 2
    assert sum(month["authors"] for month in result["trends"]["months"]) == 2
    assert result["warnings"] == []


def test_a_folder_without_history_has_no_trends(tmp_path: Path) -> None:
    root = write(tmp_path / "ws", {"a.py": "x = 1\n"})
    result = do(AnalystAgent, tmp_path / "own", task_for(root, "analyse"))
    assert result["trends"] is None and result["metrics"]["files"] == 1


def test_months_without_a_commit_stand_between_and_three_are_compared_with_three() -> None:
    def made(month: str, count: int, lines: int = 1) -> list[Commit]:
        return [Commit(month, b"Ada", 1, lines, 0)] * count

    commits = [
        *made("2025-11", 2),
        *made("2026-01", 4),
        *made("2026-02", 6, 3),
        *made("2026-04", 3),
    ]
    found = trends_of(commits)
    assert found is not None
    assert [month.month for month in found.months] == [
        "2025-11", "2025-12", "2026-01", "2026-02", "2026-03", "2026-04",
    ]  # fmt: skip
    assert found.months[1] == Month("2025-12", 0, 0, 0, 0, 0)
    assert found.commits_change == 0.5, "6, 0 and 3 after 2, 0 and 4"
    assert found.churn_change == 2.5, "18, 0 and 3 after 2, 0 and 4"
    assert trends_of(commits, cut=True).commits_change is None  # type: ignore[union-attr]
    assert trends_of([]) is None


def test_what_it_does_not_do_it_refuses(project: Path, tmp_path: Path) -> None:
    with pytest.raises(PermanentFailure, match="cannot do tasks of type 'predict'"):
        do(AnalystAgent, tmp_path / "own", task_for(project, "predict"))
