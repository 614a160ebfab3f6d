"""Tells tests that fail from tests that fail now and then: failures are run again.

Each failed test runs alone, in a process of its own, and after the tests that come before it in
its file; either until it passes, at most `reruns` times. One that passes in any of these runs is
flaky: it is quarantined, and counts neither as passed nor as failed. One that passes alone and
never after its neighbours depends on their order: it is named, and stays a failure, since the suite
as it is fails every time. Every run begins on a worktree that was put back, in the environment of
the first run but without coverage.

What is not run again: modules that cannot be collected, failures that an absence explains, all
beyond `CANDIDATES_MAX`, and what the clock leaves no room for. Those stay failures.
"""

import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import msgspec

from visionflow.agents.tools.junit import mark_flaky
from visionflow.agents.tools.project import Project
from visionflow.agents.tools.results import Case, CaseOutcome, Flaky, OnProgress, Progress, TestRun
from visionflow.agents.tools.selecting import file_of
from visionflow.agents.tools.testing import SuiteRequest, run_tests
from visionflow.agents.tools.text import one_line
from visionflow.agents.tools.verdicts import without_flaky
from visionflow.ports.sandbox import Sandbox

CANDIDATES_MAX = 20
WALL_MS = 120_000
"""All runs together take at most this, and at most the wall clock of the tests."""
_ONE_MS = 60_000
_LEAST_MS = 1_000
_NAMED_MAX = 10

PutBack = Callable[[], Awaitable[None]]


async def run_again(
    sandbox: Sandbox,
    project: Project,
    request: SuiteRequest,
    run: TestRun,
    put_back: PutBack,
    on_progress: OnProgress | None = None,
) -> TestRun:
    """`run` with its flaky tests in quarantine; junit.xml marks them too.

    `request` is that of `run`; `put_back` makes the worktree hold what it held before it.
    """
    found = candidates(run) if request.reruns > 0 else ()
    if not found:
        return run
    again = _Again(sandbox, project, request, put_back)
    flaky = await again.sort_out(found[:CANDIDATES_MAX], on_progress)
    await put_back()
    notes = [*run.notes, *_told(flaky), *again.notes]
    if len(found) > CANDIDATES_MAX:
        notes.append(f"{len(found) - CANDIDATES_MAX} more failures were not run again")
    if flaky:
        quarantined = tuple(each for each in flaky if not each.order_dependent)
        unmarked = mark_flaky(Path(request.junit), quarantined)
        notes += [f"{one_line(name, 200)} is not marked as flaky in junit.xml" for name in unmarked]
        run = msgspec.structs.replace(
            without_flaky(run, quarantined),
            order_dependent=tuple(each for each in flaky if each.order_dependent),
        )
    return msgspec.structs.replace(run, notes=tuple(notes))


def candidates(run: TestRun) -> tuple[Case, ...]:
    """The failures that another run could show to be flaky, by id."""
    if run.outcome != "failed":
        return ()
    return tuple(case for case in run.cases if "::" in case.id and case.missing is None)


class _Again:
    """The runs after the first."""

    def __init__(
        self, sandbox: Sandbox, project: Project, request: SuiteRequest, put_back: PutBack
    ) -> None:
        self.sandbox = sandbox
        self.project = project
        self.request = request
        self.put_back = put_back
        self.ends = time.monotonic() + min(WALL_MS, request.wall_ms) / 1000
        self.notes: list[str] = []

    async def sort_out(
        self, cases: Sequence[Case], on_progress: OnProgress | None
    ) -> tuple[Flaky, ...]:
        alone: dict[str, list[CaseOutcome]] = {case.id: [] for case in cases}
        ordered: dict[str, list[CaseOutcome]] = {case.id: [] for case in cases}
        for number, case in enumerate(cases):
            if on_progress is not None:
                on_progress(Progress(number, len(cases), case.id))
            for _ in range(self.request.reruns):
                if "passed" not in alone[case.id]:
                    _add(alone, await self._outcomes((case.id,), in_order=False))
        for file in sorted({file_of(case.id) for case in cases}):
            if on_progress is not None:
                on_progress(Progress(len(cases), len(cases), file))
            for _ in range(self.request.reruns):
                left = [n for n in ordered if file_of(n) == file and "passed" not in ordered[n]]
                if left:
                    _add(ordered, await self._outcomes(left, in_order=True))
        return tuple(
            Flaky(case.id, tuple(alone[case.id]), tuple(ordered[case.id]), case.summary)
            for case in cases
            if "passed" in (*alone[case.id], *ordered[case.id])
        )

    async def _outcomes(self, ids: Sequence[str], in_order: bool) -> dict[str, CaseOutcome]:
        """How these tests of one file ended in another run; what did not end is not in it."""
        left_ms = int((self.ends - time.monotonic()) * 1000)
        if left_ms < _LEAST_MS:
            told = "the time for running failures again was up: not all were run as often as asked"
            self.notes += [told] * (told not in self.notes)
            return {}
        await self.put_back()
        scratch = Path(self.request.scratch, "again")
        request = msgspec.structs.replace(
            self.request, selection=(file_of(ids[0]),), only=tuple(ids), in_order=in_order,
            measure=False, scratch=str(scratch), junit=str(scratch / "junit.xml"),
            wall_ms=min(left_ms, _ONE_MS),
        )  # fmt: skip
        run = await run_tests(self.sandbox, self.project, request)
        return {name: run.outcomes[name] for name in ids if name in run.outcomes}


def _add(to: dict[str, list[CaseOutcome]], outcomes: dict[str, CaseOutcome]) -> None:
    for name, outcome in outcomes.items():
        to[name].append(outcome)


def _told(flaky: Sequence[Flaky]) -> list[str]:
    """The quarantine in words; those that depend on what ran before are told apart."""
    notes: list[str] = []
    for order_dependent, what in (
        (False, "flaky and quarantined (failed, and passed when run again)"),
        (True, "order-dependent and still failures (pass alone, fail after the tests before them)"),
    ):
        names = [each.id for each in flaky if each.order_dependent is order_dependent]
        if names:
            more = f" and {len(names) - _NAMED_MAX} more" if len(names) > _NAMED_MAX else ""
            listed = ", ".join(one_line(name, 200) for name in names[:_NAMED_MAX])
            notes.append(f"{what}: {listed}{more}")
    return notes
