"""What became of the tests: broken by the change, lost with it, newly flaky, or known from before.

- broken: fails on the working tree, hangs there or cannot be imported; passes on base, or is not
  there (for want of a dependency only where it passes on base).
- lost: passes on base; on the working tree it is skipped, expected to fail, or gone, and no test
  that is new takes its place.
- newly flaky: failed and then passed on the working tree; passed on base.
- known: fails on both.

A module that cannot be collected stands for its tests: it is known only where it cannot be
collected on base either. In a run without a verdict so does each file that had no result.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Literal

import msgspec

from visionflow.agents.gate.results import BrokenTest, Tests
from visionflow.agents.tools.results import Case, CaseOutcome, TestRun

FAILING = ("failed", "error")
GONE = "no longer there"
_IDLE: dict[CaseOutcome, str] = {"skipped": "skipped now", "xfailed": "expected to fail now"}
_CRASHED = "while this test ran"
Renames = Mapping[str, str]
"""Of files, new name to old."""


class Change(msgspec.Struct, frozen=True):
    """What the change did to files and functions."""

    touched: frozenset[str] = frozenset()
    """The files that it brings or changes."""
    deleted: frozenset[str] = frozenset()
    renamed: Mapping[str, str] = {}
    """Of test functions whose body got another name, old id to new."""


_NO_CHANGE = Change()


def suspects(run: TestRun) -> tuple[str, ...]:
    """The test files with anything but passed tests: those to be run on base."""
    ids = {id for id, outcome in run.outcomes.items() if outcome != "passed"}
    ids |= {case.id for case in run.cases} | {each.id for each in run.flaky}
    return tuple(sorted({path_of(each) for each in ids}))


def uncollected(run: TestRun) -> bool:
    """Whether some file could not be collected, for another reason than a dependency that is not
    there."""
    excused = _excused(run)
    return any("::" not in each and each not in excused for each in _failing(run))


def silent(run: TestRun, files: Iterable[str]) -> tuple[str, ...]:
    """Those of the files of which the run tells nothing."""
    told = {path_of(each) for each in run.outcomes}
    return tuple(sorted(set(files) - told))


def _failing(run: TestRun) -> list[str]:
    flaky = {each.id for each in run.flaky}
    failing = {id for id, outcome in run.outcomes.items() if outcome in FAILING}
    failing |= {case.id for case in run.cases if case.outcome in FAILING}
    return sorted(failing - flaky)


def _excused(run: TestRun) -> frozenset[str]:
    return frozenset(case.id for case in run.cases if case.missing is not None)


def cut_short(run: TestRun) -> bool:
    """Whether it ended before all of its tests had."""
    if run.outcome == "timed_out":
        return True
    ended = sum("::" in each for each in run.outcomes)
    if run.collected is not None and ended < run.collected:
        return True
    return run.outcome == "could_not_run" and not run.cases


def broken_cases(head: TestRun, base: TestRun | None, names: Renames) -> tuple[Case, ...]:
    """The failures that base does not explain: worth another run, as they may be flaky."""
    before = _Before(base, names)
    failing = set(_failing(head)) - _excused(head)
    return tuple(case for case in head.cases if case.id in failing and not before.failed(case.id))


def compare(
    head: TestRun,
    base: TestRun | None,
    selection: Literal["affected", "all"],
    names: Renames,
    change: Change = _NO_CHANGE,
) -> Tests:
    """Hold a run on the working tree against one on base, `None` where there was nothing to ask."""
    before = _Before(base, names)
    broken, known, untold = _failures(head, before)
    lost, unreached = _lost(head, before, change)
    if not any(_is_culprit(head, each) for each in broken):
        broken += _unreached(unreached, head.reason or "something ended the tests early")
        unreached = []
    judged = {each.id for each in broken}
    missing = {each.missing for each in head.cases if each.missing and each.id not in judged}
    flaky: list[BrokenTest] = []
    for each in head.flaky:
        told = BrokenTest(each.id, path_of(each.id), each.summary)
        (known if before.failed(each.id) else flaky).append(told)
    return Tests(
        run=head.counts.total,
        selection=selection,
        files=head.selection,
        broken=tuple(sorted(broken)),
        flaky=tuple(sorted(flaky)),
        known=tuple(sorted(known)),
        lost=tuple(sorted(lost)),
        untold=tuple(sorted(untold)),
        unreached=len(unreached),
        missing=tuple(each for each in head.missing if each in missing),
    )


_Failures = tuple[list[BrokenTest], list[BrokenTest], list[BrokenTest]]


def _failures(head: TestRun, before: "_Before") -> _Failures:
    """(broken, known, those that base says nothing of)."""
    messages = {case.id: case.summary for case in head.cases}
    excused = _excused(head)
    broken: list[BrokenTest] = []
    known: list[BrokenTest] = []
    untold: list[BrokenTest] = []
    failing = [(each, messages.get(each, "")) for each in _failing(head)]
    if head.hanging is not None and head.hanging not in head.outcomes:
        failing.append((head.hanging, head.reason or ""))
    for id, message in failing:
        told = BrokenTest(id, path_of(id), message)
        if before.passed(id):
            broken.append(told)
        elif id in excused:
            continue
        elif before.failed(id):
            known.append(told)
        else:
            (untold if before.cut else broken).append(told)
    return broken, known, untold


def _is_culprit(head: TestRun, test: BrokenTest) -> bool:
    """Whether this test is why the run ended early."""
    return test.id == head.hanging or test.message.endswith(_CRASHED)


def _unreached(ids: Iterable[str], why: str) -> list[BrokenTest]:
    """The files of tests that came to no end, each standing for its tests."""
    return [
        BrokenTest(path, path, f"{number} passed on base and had no result: {why}")
        for path, number in sorted(Counter(map(path_of, ids)).items())
    ]


def _lost(head: TestRun, before: "_Before", change: Change) -> tuple[list[BrokenTest], list[str]]:
    """(lost, the ids of those that the run did not come to)."""
    lost: list[BrokenTest] = []
    vanished: list[str] = []
    for id in sorted(before.passes):
        path = path_of(id)
        outcome = head.outcomes.get(id) or head.outcomes.get(path)
        if outcome in _IDLE:
            lost.append(BrokenTest(id, path, _IDLE[outcome]))
        elif outcome is None and id != head.hanging:
            vanished.append(id)
    cut = cut_short(head)
    unreached = [id for id in vanished if cut and path_of(id) not in change.deleted]
    gone = [id for id in vanished if not cut or path_of(id) in change.deleted]
    fresh = {
        id for id, outcome in head.outcomes.items()
        if outcome not in _IDLE and "::" in id
        and path_of(id) in change.touched and not before.has(id)
    }  # fmt: skip
    left = _without_renamed(gone, fresh, change.renamed)
    lost += [BrokenTest(id, path_of(id), GONE) for id in left]
    return lost, unreached


def _without_renamed(
    gone: list[str], fresh: Iterable[str], renamed: Mapping[str, str]
) -> list[str]:
    """Those of `gone` whose place no test of `fresh` takes; each takes one place.

    It does by its name anywhere, by being a case of the same function, or by the function's body.
    """
    free = set(fresh)
    keys: tuple[tuple[Callable[[str], str], Callable[[str], str]], ...] = (
        (_name, _name),
        (function_of, function_of),
        (lambda id: renamed.get(function_of(id), ""), function_of),
    )
    left = gone
    for old_key, new_key in keys:
        by_key: dict[str, list[str]] = {}
        for id in sorted(free, reverse=True):
            by_key.setdefault(new_key(id), []).append(id)
        still: list[str] = []
        for id in left:
            taken = by_key.get(old_key(id))
            if taken:
                free.discard(taken.pop())
            else:
                still.append(id)
        left = still
    return left


def _name(test: str) -> str:
    """Function and case."""
    stem, mark, case = test.partition("[")
    return stem.rpartition("::")[2] + mark + case


def function_of(test: str) -> str:
    """A test's id without its case."""
    return test.partition("[")[0]


class _Before:
    """How tests went on base, under the names that their files have now."""

    def __init__(self, run: TestRun | None, names: Renames) -> None:
        now = {old: new for new, old in names.items()}
        self.cut = run is not None and cut_short(run)
        self.passes: frozenset[str] = frozenset()
        self._failed: frozenset[str] = frozenset()
        self._told: frozenset[str] = frozenset()
        if run is None:
            return
        failed = {each.id for each in run.flaky} | set(_failing(run))
        if run.hanging is not None:
            failed.add(run.hanging)
        passed = {id for id, outcome in run.outcomes.items() if outcome == "passed"} - failed

        def named(ids: Iterable[str]) -> frozenset[str]:
            return frozenset(_renamed(each, now) for each in ids)

        self.passes, self._failed = named(passed), named(failed)
        self._told = named(run.outcomes) | self._failed

    def failed(self, test: str) -> bool:
        """Whether it failed there, at least once; its whole module's failure counts for it."""
        return test in self._failed or path_of(test) in self._failed

    def passed(self, test: str) -> bool:
        """Whether it passed there, or any test of the module that it is."""
        if "::" in test:
            return test in self.passes
        return any(path_of(each) == test for each in self.passes)

    def has(self, test: str) -> bool:
        """Whether it was there."""
        return test in self._told


def _renamed(test: str, now: Mapping[str, str]) -> str:
    path, mark, rest = test.partition("::")
    return now.get(path, path) + mark + rest


def path_of(test: str) -> str:
    """The file of a test's id."""
    return test.partition("::")[0]


def unknown(run: TestRun) -> str | None:
    """Why a run by itself says nothing about the tests, `None` where it does.

    A run that the clock ended still tells of the failures that it saw.
    """
    if run.outcome in ("passed", "failed"):
        return None
    return None if run.outcome == "timed_out" and _failing(run) else run.reason or run.outcome
