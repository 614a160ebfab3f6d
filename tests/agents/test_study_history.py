"""What the history says, read from a repository with odd names, empty commits and addresses."""

import asyncio
from pathlib import Path

import pytest
from study import commit
from test_workspace_source import git
from tool_projects import write

from visionflow.agents.evidence import Owner
from visionflow.agents.study.facts import FileFacts
from visionflow.agents.study.history import (
    History,
    hotspots_of,
    owners_of,
    read_history,
    read_messages,
)


def history_of(root: Path, most: int = 100) -> History:
    found = asyncio.run(read_history(root / ".git", git(root, "rev-parse", "HEAD"), most))
    assert found is not None
    return found


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four commits that touch files, two that do not, by three people; one gives an address."""
    root = tmp_path_factory.mktemp("grown") / "r"
    write(root, {"a b.py": "1", "pkg/ü.py": "1", "pkg/sub/\n\x01odd.py": "1"})
    commit(root, "one")
    commit(root, "nothing", author="Bob")
    write(root, {"a b.py": "2", "pkg/ü.py": "2"})
    commit(root, "two\n\nWhy it was done.\n", author="Bob")
    write(root, {"pkg/ü.py": "3"})
    commit(root, "three", author="bob@example.org")
    write(root, {"pkg/ü.py": "4", "pkg/new.py": ""})
    commit(root, "four", author="Bob")
    commit(root, "", author="Ada")
    return root


def test_changes_and_authors_are_counted(grown: Path) -> None:
    found = history_of(grown)
    assert (found.commits, found.cut) == (6, False)
    assert found.changes == {
        "a b.py": 2, "pkg/new.py": 1, "pkg/sub/\n\x01odd.py": 1, "pkg/ü.py": 4,
    }  # fmt: skip
    assert found.authors["pkg"] == {"Ada": 1, "Bob": 2, "bob": 1}
    assert found.authors["pkg/sub"] == {"Ada": 1}
    owners = owners_of(found, ["pkg/ü.py", "a b.py"], 10)
    assert owners == (Owner(".", "Bob", 0.5, 3), Owner("pkg", "Bob", 0.5, 3))
    assert [owner.folder for owner in owners_of(found, ["pkg/ü.py"], 1)] == ["."]


def test_a_long_history_is_cut_and_says_so(grown: Path) -> None:
    found = history_of(grown, 3)
    assert (found.commits, found.cut) == (3, True)
    assert found.changes == {"pkg/new.py": 1, "pkg/ü.py": 2}


def test_messages_come_newest_first_with_all_their_lines(grown: Path) -> None:
    found = asyncio.run(read_messages(grown / ".git", git(grown, "rev-parse", "HEAD")))
    assert [message.lines for message in found] == [
        (), ("four",), ("three",), ("two", "", "Why it was done."), ("nothing",), ("one",),
    ]  # fmt: skip
    assert found[-1].commit == git(grown, "rev-list", "--max-parents=0", "HEAD")


def test_without_a_history_nothing_is_known(tmp_path: Path) -> None:
    assert asyncio.run(read_history(tmp_path, None)) is None
    assert asyncio.run(read_messages(tmp_path, None)) == ()
    assert hotspots_of({}, None, 5) == owners_of(None, ["a"], 5) == ()


def test_a_hotspot_is_both_changed_and_complex() -> None:
    def facts(complexity: int) -> FileFacts:
        return FileFacts(1, (), (), (), None, False, (), complexity, None)

    files = {"hot.py": facts(40), "warm.py": facts(20), "new.py": facts(99), "easy.py": facts(3)}
    changes = {"hot.py": 10, "warm.py": 10, "new.py": 1, "easy.py": 500}
    found = hotspots_of(files, History(500, False, changes, {}), 5)
    assert [(spot.path, spot.score) for spot in found] == [("hot.py", 1.0), ("warm.py", 0.5)]
