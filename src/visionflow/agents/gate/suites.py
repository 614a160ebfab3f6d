"""What became of the tests: broken by the change, newly flaky, or known from before.

- broken: fails on the working tree; passes on base, or is not there.
- newly flaky: failed and then passed on the working tree; passed on base.
- known: fails on both.

A failure that a missing dependency explains says nothing about the change and is left out. A module
that cannot be collected stands for its tests: it is known only where it cannot be collected on base
either.
"""

from collections.abc import Mapping
from typing import Literal

from visionflow.agents.gate.results import BrokenTest, Tests
from visionflow.agents.tools.results import Case, TestRun

FAILING = ("failed", "error")


def suspects(run: TestRun) -> tuple[str, ...]:
    """The test files with failing or flaky tests: those to be run on base."""
    ids = [*_failing(run), *(each.id for each in run.flaky)]
    return tuple(sorted({path_of(each) for each in ids}))


def _failing(run: TestRun) -> list[str]:
    excused = {case.id for case in run.cases if case.missing is not None}
    flaky = {each.id for each in run.flaky}
    failing = {id for id, outcome in run.outcomes.items() if outcome in FAILING}
    failing |= {case.id for case in run.cases if case.outcome in FAILING}
    return sorted(failing - excused - flaky)


def broken_cases(head: TestRun, base: TestRun | None, names: Mapping[str, str]) -> tuple[Case, ...]:
    """The failures that base does not explain: worth another run, as they may be flaky."""
    before = _Before(base, names)
    failing = set(_failing(head))
    return tuple(case for case in head.cases if case.id in failing and not before.failed(case.id))


def compare(
    head: TestRun,
    base: TestRun | None,
    selection: Literal["affected", "all"],
    names: Mapping[str, str],
) -> Tests:
    """Hold a run on the working tree against one on base of its suspects.

    `base`: `None` where there was nothing to ask. `names`: of renamed files, new to old.
    """
    messages = {case.id: case.summary for case in head.cases}
    before = _Before(base, names)
    broken: list[BrokenTest] = []
    known: list[BrokenTest] = []
    for each in _failing(head):
        told = BrokenTest(each, path_of(each), messages.get(each, ""))
        (known if before.failed(each) else broken).append(told)
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
        missing=head.missing,
    )


class _Before:
    """How tests went on base."""

    def __init__(self, run: TestRun | None, names: Mapping[str, str]) -> None:
        self._names = names
        self._failed: set[str] = set()
        if run is not None:
            self._failed = {each.id for each in run.flaky}
            self._failed |= {id for id, outcome in run.outcomes.items() if outcome in FAILING}
            self._failed |= {case.id for case in run.cases if case.outcome in FAILING}

    def failed(self, test: str) -> bool:
        """Whether it failed there, at least once; its whole module's failure counts for it."""
        path, mark, rest = test.partition("::")
        old = self._names.get(path, path)
        return old + mark + rest in self._failed or old in self._failed


def path_of(test: str) -> str:
    """The file of a test's id."""
    return test.partition("::")[0]


def unknown(run: TestRun) -> str | None:
    """Why a run says nothing about the tests, `None` where it does.

    A run that the clock ended still tells of the failures that it saw.
    """
    if run.outcome in ("passed", "failed"):
        return None
    return None if run.outcome == "timed_out" and _failing(run) else run.reason or run.outcome
