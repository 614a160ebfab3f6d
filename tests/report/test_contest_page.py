"""The page on reports lists the keys of a contest: every one, and no other."""

import re
from pathlib import Path

import pytest

from visionflow.agents.report.contest_values import (
    BallotLine,
    CandidateLine,
    ContestView,
    PredicateLine,
    UnmergedLine,
)

_PAGE = Path(__file__).parents[2].joinpath("docs", "report.md").read_text(encoding="utf-8")


def _table(head: str) -> str:
    return _PAGE.split(f"\n| {head} | what |\n|---|---|\n", 1)[1].split("\n\n", 1)[0]


@pytest.mark.parametrize(
    ("head", "kind"), [("key of `contest`", ContestView), ("key of a candidate", CandidateLine)]
)
def test_each_key_has_its_row(head: str, kind: type[ContestView] | type[CandidateLine]) -> None:
    cells = re.findall(r"(?m)^\| (`.*?`) \|", _table(head))
    told = [key.strip("`") for cell in cells for key in cell.split(", ")]
    assert sorted(told) == sorted(kind.__struct_fields__)


@pytest.mark.parametrize(
    ("head", "row", "kind"),
    [
        ("key of `contest`", "unmerged", UnmergedLine),
        ("key of a candidate", "predicates", PredicateLine),
        ("key of a candidate", "ballots", BallotLine),
    ],
)
def test_what_is_in_a_row_is_told_key_by_key(
    head: str, row: str, kind: type[UnmergedLine] | type[PredicateLine] | type[BallotLine]
) -> None:
    told = next(line for line in _table(head).splitlines() if line.startswith(f"| `{row}` |"))
    named = set(re.findall(r"`([a-z_]+)`", told.split("|", 2)[2]))
    assert set(kind.__struct_fields__) <= named
