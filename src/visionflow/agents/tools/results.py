"""Values: how a project's tests went. Plain data that msgpack carries; nothing runs here."""

from collections.abc import Callable
from typing import ClassVar, Literal

import msgspec

from visionflow.ports.sandbox import Confinement

Outcome = Literal["passed", "failed", "could_not_run", "no_tests", "timed_out"]
CaseOutcome = Literal["passed", "failed", "error", "skipped", "xfailed"]


class Counts(msgspec.Struct, frozen=True):
    """How many tests ended how. A module that cannot be collected counts as one error."""

    passed: int = 0
    failed: int = 0
    errors: int = 0
    skipped: int = 0
    xfailed: int = 0
    flaky: int = 0
    """Quarantined: they are in none of the others."""

    @property
    def total(self) -> int:
        ran = self.passed + self.failed + self.errors + self.flaky
        return ran + self.skipped + self.xfailed


class Case(msgspec.Struct, frozen=True):
    """One test, or one module that could not be collected."""

    id: str
    """Pytest's node id: file, class and function."""
    outcome: CaseOutcome
    seconds: float
    message: str = ""
    """The end of what went wrong; empty for a test that passed."""
    summary: str = ""
    """The same in one line."""
    missing: str | None = None
    """The dependency whose absence explains the failure, when one does."""


class FileCoverage(msgspec.Struct, frozen=True):
    """One measured file. Line numbers are sorted."""

    path: str
    lines: int
    """How many can run."""
    missing: tuple[int, ...]
    """Those that did not."""
    branches: int = 0
    missing_branches: tuple[tuple[int, int], ...] = ()
    """(line, how many of its branches did not run)."""

    @property
    def percent(self) -> float | None:
        """Lines that ran, 0 to 100; `None` where none can."""
        return 100 * (1 - len(self.missing) / self.lines) if self.lines else None


class Flaky(msgspec.Struct, frozen=True):
    """A test that failed, and passed when it was run again."""

    id: str
    alone: tuple[CaseOutcome, ...]
    """Of each run by itself."""
    in_order: tuple[CaseOutcome, ...]
    """Of each run after the tests that came before it in its file."""
    summary: str = ""

    @property
    def order_dependent(self) -> bool:
        """It passes alone, and failed each time after the tests before it."""
        return "passed" in self.alone and bool(self.in_order) and "passed" not in self.in_order


class TestRun(msgspec.Struct, frozen=True):
    """The project's own tests, run once. Paths are relative to the workspace."""

    __test__: ClassVar[bool] = False

    outcome: Outcome
    reason: str | None = None
    """Why, in one sentence, for every outcome but `passed`."""
    counts: Counts = Counts()
    collected: int | None = None
    """Tests that pytest found; `None` when it did not get that far."""
    cases: tuple[Case, ...] = ()
    """The failed and erroneous ones, at most `CASES_MAX`, by id."""
    slowest: tuple[Case, ...] = ()
    coverage: float | None = None
    """Percent of lines that ran, 0 to 100."""
    coverage_reason: str | None = None
    """Why there is no coverage."""
    branch_coverage: float | None = None
    """Percent of branches that were taken, 0 to 100; `None` where there are none or unknown."""
    files: tuple[FileCoverage, ...] = ()
    outcomes: dict[str, CaseOutcome] = {}
    """How every test ended in the first run, by id; sorted."""
    flaky: tuple[Flaky, ...] = ()
    """These count neither as passed nor as failed in the outcome: they are quarantined."""
    order_dependent: tuple[Flaky, ...] = ()
    """These pass alone and never after the tests before them. They are failures."""
    hanging: str | None = None
    """The test that ran when the wall clock ended everything."""
    selection: tuple[str, ...] | None = None
    """The test files that were asked for; `None`: all."""
    pass_rate: float | None = None
    """Passed over passed, failed and erroneous, 0 to 1; `None` when none of them ran."""
    environment: str = ""
    interpreter: str | None = None
    enforced: Confinement | None = None
    """What held the tests; `None` when they were not started."""
    seconds: float = 0.0
    """Wall clock of the tests themselves."""
    missing: tuple[str, ...] = ()
    """Dependencies that were not there, sorted."""
    notes: tuple[str, ...] = ()


class Progress(msgspec.Struct, frozen=True):
    """How far a running suite is."""

    done: int
    collected: int | None
    current: str | None
    """The id of the test that runs now."""
    failed: int = 0


OnProgress = Callable[[Progress], None]
CASES_MAX = 200
SLOWEST_MAX = 10
