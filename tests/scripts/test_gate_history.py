"""The gates over a history of releases: pins are whole and in order, rows say what was found."""

import re
from itertools import pairwise
from pathlib import Path

from scripts import gate_history, releases

DOCS = Path(__file__).parents[2] / "docs" / "gate.md"


def test_the_lock_has_more_than_fifty_changes_in_the_order_of_releases() -> None:
    histories = gate_history.by_package(gate_history.LOCK.read_text())
    assert sum(len(each) - 1 for each in histories.values()) > 50
    told = DOCS.read_text()
    for name, pins in histories.items():
        found = [re.fullmatch(r"([a-z-]+)==([\d.]+) --hash=sha256:[0-9a-f]{64}", p) for p in pins]
        versions = [tuple(map(int, each[2].split("."))) for each in found if each is not None]
        assert len(versions) == len(pins)
        assert versions == sorted(set(versions))
        for before, after in pairwise(versions):
            change = f"{'.'.join(map(str, before))} to {'.'.join(map(str, after))}"
            assert f"| {name} {change} |" in told


def test_a_row_says_what_was_flagged_and_unknown_where_nothing_is_known() -> None:
    answer = {
        "findings": {"new": [{"severity": "low"}, {"severity": "high"}, {"severity": "low"}]},
        "files": [{"lines": 3}, {"lines": 4}],
        "tests": {"run": 9, "broken": [1], "flaky": [], "known": [1, 2]},
        "tests_reason": None, "coverage": {"percent": 50.4},
    }  # fmt: skip
    gated = gate_history.Gated("a 1 to 2", answer, 1, "", 2.34)
    assert gate_history.row(gated) == (
        "| a 1 to 2 | 2 | 7 | 1 high, 2 low | 9 run, 1 broken, 2 known | 50 % | 1 | 2.3 |"
    )
    answer |= {"tests": None, "tests_reason": "no tests", "coverage": None}
    assert "| no tests | unknown |" in gate_history.row(gated)


def test_a_gate_without_an_answer_or_with_another_code_is_not_sound() -> None:
    for answer, code, sound in (({}, 0, True), ({}, 1, True), ({}, 70, False), (None, 1, False)):
        assert gate_history.Gated("a", answer, code, "broke", 1.0).sound is sound


def test_a_commit_makes_the_working_tree_that_of_the_release(tmp_path: Path) -> None:
    repository, package = tmp_path / "repository", tmp_path / "package"
    repository.mkdir()
    (package / "sub").mkdir(parents=True)
    releases.git(repository, "init", "-q", ".")
    (repository / "old.py").write_text("old")
    (package / "sub" / "new.py").write_text("new")
    releases.commit(repository, package, "1.0")
    assert sorted(each.name for each in repository.iterdir()) == [".git", "sub"]
    releases.git(repository, "cat-file", "-e", "HEAD:sub/new.py")
