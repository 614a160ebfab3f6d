"""Runs of scripted coding agents on the sample, and what can be read off them."""

import os
import shutil
from pathlib import Path
from typing import Any

from jobs import Watch, carry_out, events_of

from tests.coding.sample import command_of, make_sample, run_git
from visionflow.agents.roles.job import CodingBounds
from visionflow.compose.job import CodingWish, Outcome, RunFolder, create_run

GOAL = "Limit the calls"
WALL_MS = 600_000
"""For an agent that ends by itself: the machine may be slow."""


class Shop:
    """The sample as somebody's repository, and a place for runs beside it."""

    def __init__(self, folder: Path) -> None:
        self.workspace = make_sample(folder / "shop")
        self.out = folder / "runs"

    def order(
        self,
        *actions: str,
        accept: tuple[str, ...] = (),
        at_once: int | None = None,
        run_wall_ms: int | None = None,
        workspace: Path | None = None,
        **bounds: Any,
    ) -> RunFolder:
        """A run that has not begun: one candidate for each text of actions."""
        wish = CodingWish(
            agents=tuple(command_of(each) for each in actions),
            accept=accept,
            at_once=at_once,
            bounds=CodingBounds(**{"wall_ms": WALL_MS, **bounds}),
            wall_ms=run_wall_ms,
        )
        return create_run(GOAL, workspace or self.workspace, self.out, coding=wish)

    def run(
        self, *actions: str, watch: Watch | None = None, **asked: Any
    ) -> tuple[RunFolder, Outcome]:
        """A whole one; `asked` is what `order` takes."""
        folder = self.order(*actions, **asked)
        return folder, carry_out(folder, watch)

    def git(self, *words: str) -> str:
        return run_git(self.workspace, *words)

    def without_git(self) -> None:
        shutil.rmtree(self.workspace / ".git")


def at_work_in(folder: RunFolder) -> list[int]:
    """Processes that stand somewhere in what the run's agents have, whoever started them."""
    found: list[int] = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            place = os.readlink(f"/proc/{name}/cwd")
        except OSError:
            continue
        if place.startswith(str(folder.coding)):
            found.append(int(name))
    return found


def candidate(outcome: Outcome, name: str) -> dict[str, Any]:
    """What the summary tells of one."""
    found = {each["candidate"]: each for each in outcome.summary["contest"]["candidates"]}
    return found[name]


def task(outcome: Outcome, title: str) -> dict[str, Any]:
    return next(each for each in outcome.summary["tasks"] if each["title"] == title)


def most_at_once(folder: RunFolder, prefix: str) -> int:
    """How many tasks whose ids begin so were at work at once, at most, by the log."""
    at_work, most = set[str](), 0
    for event in events_of(folder):
        name = event.get("task") or ""
        if not name.startswith(prefix):
            continue
        if event["type"] == "task_started":
            at_work.add(name)
        elif event["type"] in ("task_completed", "attempt_failed", "task_failed"):
            at_work.discard(name)
        most = max(most, len(at_work))
    return most


def worked_in_turn(folder: RunFolder, first: str, second: str) -> bool:
    """Whether one task had ended before the other began, by the log."""
    told = [(event["type"], event.get("task")) for event in events_of(folder)]
    return told.index(("task_completed", first)) < told.index(("task_started", second))
