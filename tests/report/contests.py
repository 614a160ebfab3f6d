"""Facts of invented runs of coding agents: a usual contest, ties, none good enough, split work."""

from typing import Any

import msgspec

from tests.report.sample_facts import finding
from visionflow.agents.candidates.values import (
    Accepted,
    Attempted,
    Contest,
    Gated,
    Integrated,
    Judged,
    Landed,
    Ranked,
    Ranking,
    Sides,
    Unmerged,
    Usage,
    Violation,
)
from visionflow.agents.evidence import Ballot, Change
from visionflow.agents.report.facts import RunFacts, TaskFacts

PREDICATE = "pytest -k limit"
BASE = "b" * 40
HELD = ("files: landlock", "network: namespace", "memory: cgroup")
GATES = ("winner", "accept", "tests", "findings")
SPLIT_GATES = ("winner", "accept", "tests", "findings", "landed")
CLAUDE, CODEX = "claude -p {goal}", "codex exec {goal}"
DIFF = """diff --git a/shop/limits.py b/shop/limits.py
index 1111111..2222222 100644
--- a/shop/limits.py
+++ b/shop/limits.py
@@ -1 +1,5 @@
 \"\"\"How often somebody may call.\"\"\"
-# nothing yet
+
+
+def limited(calls, allowed):
+    return calls >= allowed
"""


def attempted(number: int, **other: Any) -> Attempted:
    """A candidate that changed a file, with whatever is to be `other`wise."""
    made = Attempted(
        task=f"candidate-{number}", agent=CLAUDE if number % 2 else CODEX,
        profile="claude" if number % 2 else "codex", outcome="changed", base=BASE,
        tip=f"{number}" * 40, ref=f"refs/visionflow/kept/candidate-{number}",
        files=("shop/limits.py",), insertions=4, deletions=1, commits=1,
        summary="I added limited().", exit_code=0, wall_ms=61_000, output_bytes=2_048,
        memory_peak_bytes=200 << 20, log=f"state/coding/candidate-{number}/output.log",
        usage=Usage(12_000, 900, 41_000, 6), held=HELD,
    )  # fmt: skip
    return msgspec.structs.replace(made, **other)


def left_nothing(number: int, outcome: Any, reason: str, **other: Any) -> Attempted:
    """A candidate whose work cannot be taken."""
    usual = {"outcome": outcome, "reason": reason, "usage": Usage(), "commits": 0}
    return attempted(number, **(usual | other))


def ballots(**choices: str) -> tuple[Ballot, ...]:
    """One each, by the evidence that it is on."""
    return tuple(
        Ballot(evidence, choice, evidence, f"{evidence} say {choice}", {"looked at": 3})
        for evidence, choice in choices.items()
    )  # fmt: skip


def judged(number: int, **other: Any) -> Judged:
    """A judgement of a good candidate."""
    found = Judged(
        f"candidate-{number}", f"{number}" * 40,
        gate=Gated("clean", tests=214),
        accepted=(Accepted(PREDICATE, True, 0, wall_ms=900, on_base=False),),
        ballots=ballots(tests="approve", findings="approve", accept="approve"),
    )  # fmt: skip
    return msgspec.structs.replace(found, **other)


BROKEN = judged(
    2,
    gate=Gated(
        "failed", ("tests/test_prices.py::test_total fails now",), broken=(
            "tests/test_prices.py::test_total",), tests=214,
        new=(finding("ruff", "E722", "medium", "Do not use bare `except`", "shop/limits.py", 3),),
    ),
    accepted=(Accepted(PREDICATE, False, 1, "it ended with 1", "1 failed", 800, False),),
    ballots=ballots(tests="reject", findings="reject", accept="reject"),
)  # fmt: skip


def unjudged(number: int, reason: str) -> Judged:
    """There was nothing to judge."""
    return Judged(f"candidate-{number}", None, reason)


def ranked(number: int, place: int, good: bool, *reasons: str) -> Ranked:
    return Ranked(f"candidate-{number}", place, good, reasons)


def contest(**other: Any) -> Contest:
    """One that is good, one that breaks a test, one that touched a foreign branch, one that hung,
    one that flooded; and one that was refused by its provider."""
    told = Contest(
        attempted=(
            attempted(1),
            attempted(2, goes=("started", "resumed"), usage=Usage(20_000, 1_500)),
            left_nothing(
                3, "violation", "it moved the branch main", violations=(
                    Violation("foreign_branch", "It moved main from bbbbbbb to 3333333."),),
            ),
            left_nothing(4, "timed_out", "it was ended after 30 min", tip=None, ref=None, files=(),
                         insertions=0, deletions=0, exit_code=None,
                         goes=("started", "started_again")),
            left_nothing(5, "flooded", "it wrote more than 64 MiB", held=()),
        ),
        failed=(("candidate-6", "claude: 401 invalid x-api-key"),),
        judged=(
            judged(1), BROKEN, unjudged(3, "it moved a branch that is not its own"),
            unjudged(4, "it ran out of time"), unjudged(5, "it flooded its output"),
        ),
        ranking=Ranking(
            (ranked(1, 1, True, "the gate is clean", "its predicate proves something"),
             ranked(2, 2, False, "tests/test_prices.py::test_total fails with it")),
            "candidate-1", "candidate-1 is the only one of 2 that nobody objects to.",
        ),
        diffs={"candidate-1": DIFF, "candidate-2": DIFF, "candidate-3": DIFF},
    )  # fmt: skip
    return msgspec.structs.replace(told, **other)


def tied() -> Contest:
    """Two that nothing tells apart, and made the very same files."""
    return contest(
        attempted=(attempted(1), attempted(2)),
        failed=(),
        judged=(judged(1), judged(2)),
        ranking=Ranking(
            (ranked(1, 1, True, "the gate is clean"), ranked(2, 1, True, "the gate is clean")),
            "candidate-1", "Nothing that was measured tells them apart; candidate-1 is the first.",
            tied=("candidate-2",), same=(("candidate-1", "candidate-2"),),
        ),
    )  # fmt: skip


def none_good() -> Contest:
    """One candidate, and it breaks a test."""
    return contest(
        attempted=(attempted(2),), failed=(), judged=(BROKEN,),
        ranking=Ranking(
            (ranked(2, 1, False, "tests/test_prices.py::test_total fails with it"),), None,
            "candidate-2 is not good enough: tests: a test is broken.",
        ),
        diffs={"candidate-2": DIFF},
    )  # fmt: skip


CONFLICT = Unmerged(
    "names", "conflict", "shop/limits.py was changed by limits too.",
    (Sides("shop/limits.py", "def limited():\n", "def bounded():\n", "", "content"),),
    "refs/visionflow/kept/names",
)  # fmt: skip


def split(*unmerged: Unmerged) -> Contest:
    """Work of three agents, merged, but for what is `unmerged`."""
    names = ("prices", "limits", "names")
    landed = tuple(
        Landed(name, f"{n}" * 40)
        for n, name in enumerate(names, 1)
        if name not in {each.task for each in unmerged}
    )
    works = tuple(attempted(n, task=name) for n, name in enumerate(names, 1))
    return Contest(
        attempted=works,
        judged=(judged(1, candidate="result", tip="f" * 40),),
        integrated=(
            Integrated(BASE, "e" * 40, landed[:2], unmerged, ((names, False), (names[:2], True))),
            Integrated("e" * 40, "f" * 40, landed[2:], unmerged),
        ),
        ranking=Ranking(
            (Ranked("result", 1, True, ("the gate is clean",)),), "result",
            "Nobody objects to result.", unmerged=unmerged,
        ),
        split=True,
        diffs={"result": DIFF, **dict.fromkeys(names, DIFF)},
    )  # fmt: skip


def _tasks(told: Contest) -> tuple[TaskFacts, ...]:
    failed = dict(told.failed)
    works = [each.task for each in told.attempted]
    commands = {each.task: each.agent for each in told.attempted}
    return (
        *(
            TaskFacts(name, name.replace("-", " "), name, "attempt", "completed", None, 1,
                      "implement", command=commands[name])
            for name in works
        ),
        *(
            TaskFacts(name, name.replace("-", " "), name, "attempt", "failed", why, 1,
                      "implement", command=CLAUDE)
            for name, why in failed.items()
        ),
        TaskFacts("rank", "rank", "coordinator", "decide", "completed", None, 1, "rank"),
    )  # fmt: skip


def change(told: Contest) -> Change | None:
    """What the run offers to be applied."""
    if told.ranking is None:
        return None
    if told.ranking.winner is None:
        return Change("rejected", told.ranking.why)
    return Change(
        "changed", None, BASE, "visionflow/run_contest", "f" * 40, files=("shop/limits.py",),
        insertions=4, deletions=1, gates={"tests": True, "findings": True},
    )  # fmt: skip


def run_of(told: Contest, **other: Any) -> RunFacts:
    """A finished run with this contest."""
    facts = RunFacts(
        run="run_contest", goal="Add rate limiting to the login endpoint", playbook="code",
        why="Coding agents were named for it.", workspace="/home/ada/shop",
        out="/home/ada/shop/.visionflow/runs/run_contest", status="completed",
        started="2026-01-05T09:30:00.000Z", seconds=92.0, tasks=_tasks(told),
        gates=SPLIT_GATES if told.split else GATES, change=change(told), head="9f8e7d6c" * 5,
        dirty=False, contest=told,
    )  # fmt: skip
    return msgspec.structs.replace(facts, **other)
