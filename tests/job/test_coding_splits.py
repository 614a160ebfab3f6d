"""Work split over coding agents: what fits is on one branch, the rest is named and kept."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from codings import Shop, candidate, most_at_once, task, worked_in_turn
from jobs import carry_out, snapshot

from tests.cli.command_line import visionflow
from tests.coding.sample import ACCEPT, command_of
from tests.kills.watched_run import processes_of
from visionflow.compose.applying import apply_run
from visionflow.compose.job import CodingWish, ExitCode, Outcome, RunFolder, create_run, read_plan

PLAN = """\
goal: Make the shop better
playbook: code
why: It was written by hand.
gates: []
parts: []
accept: [{accept!r}]
phases:
- name: work
  tasks:
{tasks}"""
TASK = "  - {{id: {id}, role: coder, type: implement, goal: {goal!r}, files: {files}}}\n"
Work = tuple[str, str, list[str]]
"""A task's name, what its agent does, and the files that it is said to touch."""


class Done(NamedTuple):
    """A plan that was carried out."""

    shop: Shop
    before: dict[str, Any]
    folder: RunFolder
    outcome: Outcome

    @property
    def landed(self) -> set[str]:
        return {task for task, _ in self.outcome.summary["contest"]["landed"]}

    @property
    def unmerged(self) -> dict[str, Any]:
        return {each["task"]: each for each in self.outcome.summary["contest"]["unmerged"]}


def done(folder: Path, accept: str, *works: Work) -> Done:
    """Write the plan file, read it as a user's, and carry it out; agents in order of the tasks."""
    shop = Shop(folder)
    before = snapshot(shop.workspace)
    tasks = "".join(TASK.format(id=n, goal=f"do {n}", files=files) for n, _, files in works)
    file = folder / "plan.yaml"
    file.write_text(PLAN.format(accept=accept, tasks=tasks).replace("accept: ['']\n", ""))
    wish = CodingWish(agents=tuple(command_of(actions) for _, actions, _ in works))
    plan = read_plan(file).plan
    run = create_run(plan.goal, shop.workspace, shop.out, plan=plan, coding=wish)
    return Done(shop, before, run, carry_out(run))


def brought(work: Done) -> str:
    """Apply the result; the branch. The user's tree was as before until then."""
    assert snapshot(work.shop.workspace) == work.before
    assert processes_of(work.folder.path) == []
    branch = apply_run(work.folder).brought.branch
    assert branch == f"visionflow/{work.folder.run}"
    return branch


def works_on(shop: Shop, branch: str) -> set[str]:
    """Of which tasks the branch has commits, by their trailers."""
    form = "%(trailers:key=VisionFlow-Task,valueonly,separator=%x2C)"
    told = shop.git("log", f"--format={form}", f"main..{branch}").split()
    return {name for line in told for name in line.split(",") if name}


@pytest.mark.acceptance("coding-agents", "workspace")
def test_what_three_agents_did_lands_on_one_branch_and_overlapping_files_are_not_side_by_side(
    tmp_path: Path,
) -> None:
    work = done(
        tmp_path, ACCEPT,
        ("alpha", "good", ["shop/limits.py"]),
        ("beta", "replaces:README.md=# shop=# The shop", ["README.md"]),
        # It can do its part only on what alpha did.
        ("gamma", "replaces:shop/limits.py=a further=one more", ["shop/*.py"]),
    )  # fmt: skip
    assert work.outcome.exit_code == ExitCode.DONE
    assert work.outcome.summary["gates"]["landed"] is True
    assert (work.landed, work.unmerged) == ({"alpha", "beta", "gamma"}, {})
    assert worked_in_turn(work.folder, "alpha", "gamma")
    assert worked_in_turn(work.folder, "integrate-work-1", "gamma")
    for name in ("alpha", "beta", "gamma"):
        assert task(work.outcome, name)["status"] == "completed"
        assert not (work.folder.coding / f"again-{name}").exists()  # Nobody had to do more.
    branch = brought(work)
    assert works_on(work.shop, branch) == {"alpha", "beta", "gamma"}
    assert "Whether one more call" in work.shop.git("show", f"{branch}:shop/limits.py")
    assert work.shop.git("show", f"{branch}:README.md") == "# The shop"
    assert work.shop.git("diff", "--name-only", f"main..{branch}") == "README.md\nshop/limits.py"


@pytest.fixture(scope="module")
def at_odds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Done]:
    """Two pairs in conflict: the second of the one can do its part on what the first did, the
    second of the other cannot."""
    yield done(
        tmp_path_factory.mktemp("odds"), "",
        ("one", "replaces:README.md=# shop=# shop A", []),
        ("two", "say,replaces:README.md=# shop=# shop B", []),
        ("other", "writes:shop/limits.py=MOST = 3", []),
        ("late", "replaces:shop/limits.py=How often=How seldom", []),
    )  # fmt: skip


@pytest.mark.acceptance("coding-agents")
def test_a_conflict_is_handed_back_with_both_sides_and_its_second_go_lands(
    at_odds: Done,
) -> None:
    assert at_odds.landed == {"one", "two", "other"}
    assert candidate(at_odds.outcome, "again-two")["standing"] == "landed"
    heard = (at_odds.folder.coding / "again-two" / "output.log").read_text()
    for side in ("# shop A", "# shop B", "+# shop B", "Conflict in README.md", "do two"):
        assert side in heard
    assert "# shop A" not in (at_odds.folder.coding / "two" / "output.log").read_text()
    assert not (at_odds.folder.coding / "again-one").exists()
    assert most_at_once(at_odds.folder, "integrate-") == 1


@pytest.mark.acceptance("coding-agents", "workspace")
def test_what_stays_unmerged_is_named_ends_with_6_and_comes_back_as_a_branch(
    at_odds: Done,
) -> None:
    assert (at_odds.outcome.status, at_odds.outcome.exit_code) == ("completed", ExitCode.UNMERGED)
    assert at_odds.outcome.summary["gates"]["landed"] is False
    (missing,) = at_odds.unmerged.values()
    assert (missing["task"], missing["ref"]) == ("late", "refs/visionflow/kept/late")
    assert "1 of 4 parts is not in the result: late" in at_odds.outcome.summary["headline"]
    assert "late" in missing["recover"] and "late" in at_odds.folder.report.read_text()
    shop = at_odds.shop
    branch = brought(at_odds)
    assert works_on(shop, branch) == {"one", "again-two", "other"}
    assert shop.git("show", f"{branch}:README.md") == "# shop B A"
    assert shop.git("show", f"{branch}:shop/limits.py") == "MOST = 3"
    done = visionflow(
        "workspace", "restore", at_odds.folder.run, "late", "--out", shop.out, cwd=shop.out
    )
    assert done.returncode == 0, done.stderr
    restored = f"visionflow/{at_odds.folder.run}-late"
    assert "How seldom somebody may call" in shop.git("show", f"{restored}:shop/limits.py")
    assert shop.git("merge-base", "main", restored) == shop.git("rev-parse", "main")


@pytest.mark.acceptance("coding-agents")
def test_the_one_of_a_batch_that_breaks_the_predicate_is_found_and_left_out(
    tmp_path: Path,
) -> None:
    work = done(
        tmp_path, "python -m pytest -q tests",
        ("first", "writes:first.txt=1", []),
        ("culprit", "replaces:shop/prices.py=price * count=price + count", []),
        ("last", "writes:last.txt=3", []),
    )  # fmt: skip
    assert work.outcome.exit_code == ExitCode.UNMERGED
    assert work.landed == {"first", "last"}
    assert [(t, each["reason"]) for t, each in work.unmerged.items()] == [("culprit", "predicate")]
    batches = [(set(names), held) for names, held in work.outcome.summary["contest"]["batches"]]
    assert batches[0] == ({"first", "culprit", "last"}, False)
    assert ({"culprit"}, False) in batches
    assert [held for names, held in batches if "culprit" in names].count(True) == 0
    branch = brought(work)
    assert works_on(work.shop, branch) == {"first", "last"}
    assert work.shop.git("diff", "--name-only", f"main..{branch}") == "first.txt\nlast.txt"
