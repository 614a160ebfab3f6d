"""The coordinator's merge queue over what scripted agents did, with the real sandbox and git."""

from pathlib import Path
from typing import Any

import pytest
from contest import SANDBOX, Arena
from role_work import Attempt, Killed, do
from unconfined import RefusingSandbox

from tests.coding.sample import ACCEPT
from visionflow.agents import Task
from visionflow.agents.candidates.values import Attempted, Integrated, Violation
from visionflow.agents.roles.coordinator import CoordinatorAgent
from visionflow.agents.roles.job import restored
from visionflow.ports.sandbox import Sandbox

CODING = pytest.mark.acceptance("coding-agents")
BREAKS = "replaces:shop/prices.py=price * count=price + count"
HOLDS = "python -c 'import shop.prices'"


class Queue(Arena):
    """A run whose work is split over agents."""

    def integrate(
        self,
        *expected: str,
        name: str = "integrate",
        attempt: Attempt | None = None,
        sandbox: Sandbox = SANDBOX,
    ) -> Integrated:
        """One go of the queue over the results so far, which are then its own alone."""
        task = Task(
            id=name, type="integrate", input=self.given(name, expected=list(expected)),
            dependencies=dict(self.results),
        )  # fmt: skip
        result = do(CoordinatorAgent, self.tmp / "own", task, sandbox=sandbox, attempt=attempt)
        integrated = restored(result["integrated"], Integrated)
        self.results = {name: result}
        self.base = integrated.tip
        return integrated

    def split(self, name: str, actions: str, *files: str, **about: Any) -> Attempted:
        about = {"files": files, "ref": f"refs/visionflow/kept/{name}", **about}
        return self.attempt(name, actions, **about)


def landed(found: Integrated) -> list[str]:
    return [each.task for each in found.landed]


def refused(found: Integrated) -> dict[str, str]:
    return {each.task: each.reason for each in found.unmerged}


@CODING
def test_what_fits_lands_what_conflicts_or_breaks_a_test_is_handed_back(tmp_path: Path) -> None:
    queue = Queue(tmp_path, accept=(HOLDS, ACCEPT))
    base = queue.base
    queue.split("api", "good", "shop/limits.py")
    queue.split("cli", "wrong", "shop/limits.py")
    queue.split("prices", BREAKS, "shop/prices.py")
    queue.split("docs", "writes:docs.md=all of it", "docs.md")
    found = queue.integrate("api", "cli", "prices", "docs")
    assert (found.base, landed(found)) == (base, ["api", "docs"])
    assert refused(found) == {"cli": "conflict", "prices": "predicate"}
    cli, prices = found.unmerged
    assert cli.message == "It is at odds with the work of api in shop/limits.py."
    (side,) = cli.conflicts
    assert side.ours is not None and "calls >= most" in side.ours
    assert side.theirs is not None and "calls > most" in side.theirs
    assert "test_three_cost_three_times_as_much" in prices.message
    assert (cli.ref, prices.ref) == ("refs/visionflow/kept/cli", "refs/visionflow/kept/prices")
    assert found.batches[0] == (("api", "prices", "docs"), False)
    assert found.batches[-1][1]
    assert queue.git("rev-parse", "refs/heads/visionflow/r1") == found.tip
    assert queue.git("rev-list", "--reverse", f"{base}..{found.tip}").split() == [
        each.commit for each in found.landed
    ]
    passed = [(each.command, each.passed, each.on_base) for each in found.accepted]
    assert passed == [(HOLDS, True, True), (ACCEPT, True, False)]
    assert any(ACCEPT in note and "does not pass on the state before" in note
               for note in found.notes)  # fmt: skip


@CODING
def test_what_was_refused_lands_when_it_was_done_once_more_on_the_merged_state(
    tmp_path: Path,
) -> None:
    queue = Queue(tmp_path, accept=())
    queue.split("api", "good", "shop/limits.py")
    queue.split("cli", "wrong", "shop/limits.py")
    queue.split("prices", BREAKS, "shop/prices.py")
    first = queue.integrate("api", "cli", "prices")
    queue.split("again-api", "say", outcome="not_needed", tip=None)
    queue.split("again-cli", "writes:shop/cli.py=from shop.limits import limited")
    queue.split("again-prices", BREAKS, "shop/prices.py")
    second = queue.integrate("api", "cli", "prices", name="integrate-again")
    assert (second.base, landed(second)) == (first.tip, ["cli"])
    assert refused(second) == {"prices": "predicate"}
    prices = second.unmerged[0]
    assert prices.ref == "refs/visionflow/kept/again-prices"
    assert prices.message.count("test_three_cost_three_times_as_much") == 2
    assert "The second go: " in prices.message
    text = queue.git("show", f"{second.tip}:shop/limits.py")
    assert "calls >= most" in text
    trailer = "--format=%(trailers:key=VisionFlow-Task,valueonly)"
    assert queue.git("log", "-1", trailer, second.tip) == "cli"


@CODING
def test_every_one_that_left_nothing_to_merge_is_told_of_by_name(tmp_path: Path) -> None:
    queue = Queue(tmp_path, accept=())
    moved = Violation("foreign_branch", "main was moved from a to b")
    queue.split("moves", "good", outcome="violation", violations=(moved,))
    queue.split("slow", "good", outcome="timed_out", reason="30 min were over")
    queue.split("idle", "say", outcome="nothing_changed", tip=None, ref=None, reason="it is fine")
    queue.split("lost", "say", tip="1" * 40)
    base = queue.base
    found = queue.integrate("moves", "slow", "idle", "lost", "dead", sandbox=RefusingSandbox())
    assert (found.tip, found.landed) == (base, ())
    told = {each.task: (each.reason, each.message) for each in found.unmerged}
    assert told.pop("lost")[0] == "failed"
    assert told == {
        "moves": ("violation", "It did what it may not: main was moved from a to b."),
        "slow": ("failed", "It took too long and was ended: 30 min were over."),
        "idle": ("failed", "It changed nothing: it is fine."),
        "dead": ("not_attempted",
                 "Its agent came to no end of its own; why stands with the task."),
    }  # fmt: skip
    later = queue.integrate("next", name="later")
    assert {"moves", "slow", "idle", "lost", "dead", "next"} == set(refused(later))


@CODING
def test_where_nothing_can_be_run_only_conflicts_are_refused_and_that_is_said(
    tmp_path: Path,
) -> None:
    queue = Queue(tmp_path)
    queue.split("api", "good", "shop/limits.py")
    queue.split("cli", "wrong", "shop/limits.py")
    queue.split("prices", BREAKS, "shop/prices.py")
    found = queue.integrate("api", "cli", "prices", sandbox=RefusingSandbox())
    assert landed(found) == ["api", "prices"]
    assert refused(found) == {"cli": "conflict"}
    assert found.batches == ()
    assert found.notes[-1] == (
        "Nothing can judge the merges: only what is in conflict was left out."
    )
    assert [each.passed for each in found.accepted] == [None]


@CODING
def test_a_command_that_held_before_is_asked_of_every_batch(tmp_path: Path) -> None:
    queue = Queue(tmp_path, accept=("test ! -e forbidden.txt",))
    queue.split("api", "good", "shop/limits.py")
    queue.split("bad", "writes:forbidden.txt=x")
    found = queue.integrate("api", "bad")
    assert landed(found) == ["api"]
    assert found.unmerged[0].message == (
        "With it `test ! -e forbidden.txt` does not pass, which passed without it: it ended with 1."
    )
    assert [(each.passed, each.on_base) for each in found.accepted] == [(True, True)]


@CODING
def test_a_queue_that_was_killed_anywhere_ends_with_the_same_branch(tmp_path: Path) -> None:
    queue = Queue(tmp_path, accept=())
    queue.split("api", "good", "shop/limits.py")
    queue.split("prices", BREAKS, "shop/prices.py")
    results, base = dict(queue.results), queue.base
    whole = Attempt()
    wanted = queue.integrate("api", "prices", attempt=whole)
    assert landed(wanted) == ["api"]
    done: dict[str, bytes] = {}
    for kill_at in (1, *(2 for _ in whole.ran)):
        # One more step is recorded each time, and the next one did its work unrecorded.
        queue.results, queue.base = dict(results), base
        attempt = Attempt(done, kill_at=kill_at)
        try:
            queue.integrate("api", "prices", attempt=attempt)
        except Killed:
            assert len(attempt.done) == len(done) + kill_at - 1
        done = attempt.done
    assert len(done) == len(whole.ran)
    queue.results = dict(results)
    assert queue.integrate("api", "prices", attempt=Attempt(done)) == wanted
    assert queue.git("rev-parse", "refs/heads/visionflow/r1") == wanted.tip
