"""How the work on a repository went, month by month, read from its history."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

import msgspec

from visionflow.agents.workspace.git import git

COMMITS_MAX = 5_000
WINDOW = 3
"""Months that are compared with as many before them."""
_STAT = re.compile(
    rb"(\d+) files? changed(?:, (\d+) insertions?\(\+\))?(?:, (\d+) deletions?\(-\))?"
)


class Month(msgspec.Struct, frozen=True):
    """One month of history, in UTC."""

    month: str
    """Such as 2026-07."""
    commits: int
    authors: int
    files: int
    """Changes of files; one that was changed twice counts twice."""
    insertions: int
    deletions: int


class Trends(msgspec.Struct, frozen=True):
    """The last commits by month, merges left out."""

    months: tuple[Month, ...]
    """From the first one with a commit to the last, the ones without any included."""
    commits: int
    cut: bool
    """There are more commits than were looked at."""
    commits_change: float | None = None
    """Commits a month in the last three months over those in the three before, less 1; `None`
    without six months, or where there were none before."""
    churn_change: float | None = None
    """The same for inserted and deleted lines."""


class Commit(NamedTuple):
    """What a commit changed."""

    month: str
    author: bytes
    files: int
    insertions: int
    deletions: int


async def read_trends(
    repository: Path, head: str | None, commits_max: int = COMMITS_MAX
) -> Trends | None:
    """The trends up to `head`; `None` where there is no history.

    Raises:
        WorkspaceError: git failed.
    """
    if head is None:
        return None
    printed = await git(
        repository, "log", "--no-merges", "--no-renames", "--no-mailmap", "--no-show-signature",
        "--shortstat", f"--max-count={commits_max + 1}", "--format=format:%x00%ct %an", head, "--",
    )  # fmt: skip
    commits = list(_commits(printed))
    return trends_of(commits[:commits_max], cut=len(commits) > commits_max)


def trends_of(commits: list[Commit], *, cut: bool = False) -> Trends | None:
    """What these commits add up to."""
    if not commits:
        return None
    by_month: dict[str, list[Commit]] = {}
    for commit in commits:
        by_month.setdefault(commit.month, []).append(commit)
    months = tuple(
        Month(
            name,
            len(found),
            len({commit.author for commit in found}),
            sum(commit.files for commit in found),
            sum(commit.insertions for commit in found),
            sum(commit.deletions for commit in found),
        )
        for name in _between(min(by_month), max(by_month))
        for found in [by_month.get(name, [])]
    )
    # Of a history that is cut, the first month is not whole.
    whole = months[1:] if cut else months
    return Trends(
        months,
        len(commits),
        cut,
        _change([month.commits for month in whole]),
        _change([month.insertions + month.deletions for month in whole]),
    )


def _commits(printed: bytes) -> Iterator[Commit]:
    for record in printed.split(b"\0"):
        head, _, rest = record.partition(b"\n")
        at, _, author = head.partition(b" ")
        if not at.strip().isdigit():
            continue
        month = datetime.fromtimestamp(int(at), UTC).strftime("%Y-%m")
        stat = _STAT.search(rest)
        numbers = [int(each or 0) for each in stat.groups()] if stat else [0, 0, 0]
        yield Commit(month, author, *numbers)


def _between(first: str, last: str) -> Iterator[str]:
    year, month = map(int, first.split("-"))
    while (name := f"{year:04}-{month:02}") <= last:
        yield name
        year, month = (year + 1, 1) if month == 12 else (year, month + 1)


def _change(values: list[int]) -> float | None:
    if len(values) < 2 * WINDOW:
        return None
    before, now = values[-2 * WINDOW : -WINDOW], values[-WINDOW:]
    return round(fmean(now) / fmean(before) - 1, 4) if sum(before) else None
