"""Values: what a gate found out. Plain data without a clock or a place of this machine.

Paths are relative to the workspace with `/`; lines count from 1; `None` is what is not known.
"""

from typing import ClassVar, Literal

import msgspec

from visionflow.agents.findings import SEVERITIES, Finding, Severity, Suppressed
from visionflow.agents.tools.tree import NO_SOURCE

FailOn = Literal["low", "medium", "high", "critical"]
Verdict = Literal["clean", "incomplete", "failed"]
NOT_ASKED, NO_CHANGE = "tests were not asked for", "nothing changed"
"""Reasons without a question."""
Status = Literal["added", "changed", "renamed", "deleted", "submodule"]


class Base(msgspec.Struct, frozen=True):
    """What the working tree is compared with."""

    ref: str
    """As it was asked for."""
    commit: str
    merge_base: bool
    """Whether it is where HEAD and the ref part, and not the ref itself."""


class ChangedFile(msgspec.Struct, frozen=True):
    """A file that differs between base and working tree."""

    path: str
    status: Status
    lines: int
    """How many lines of it are new or changed."""


class Accepted(msgspec.Struct, frozen=True, order=True, forbid_unknown_fields=True):
    """One entry of a baseline file: a finding that is there and may stay."""

    path: str
    tool: str
    rule: str
    fingerprint: str


class Findings(msgspec.Struct, frozen=True):
    """The findings of the changed files, each sorted by place. A finding is in one of them."""

    new: tuple[Finding, ...] = ()
    """New, on a changed line, and at or above the threshold: what fails the gate."""
    below: tuple[Finding, ...] = ()
    """The same below the threshold: shown only."""
    accepted: tuple[Finding, ...] = ()
    """The same, and in the baseline."""
    elsewhere: tuple[Finding, ...] = ()
    """New, but on lines that did not change."""
    moved: tuple[Finding, ...] = ()
    """On changed lines, but the same line stood in another file of this change before."""
    known: int = 0
    """How many were there before."""
    fixed: int = 0
    """How many are gone."""
    suppressed: tuple[Suppressed, ...] = ()
    """Hidden by a comment or a setting that the change brought: told, never failing."""


class BrokenTest(msgspec.Struct, frozen=True, order=True):
    """A test that does not do what it did."""

    id: str
    path: str
    message: str = ""
    line: int = 1
    """Where it is defined, or where that was; 1 where nobody knows."""


class Tests(msgspec.Struct, frozen=True):
    """The tests that were run on the working tree, held against base."""

    __test__: ClassVar[bool] = False

    run: int
    """How many ended."""
    selection: Literal["affected", "all"]
    files: tuple[str, ...] | None
    """The test files that were chosen; `None`: all."""
    broken: tuple[BrokenTest, ...] = ()
    """Fail, hang or cannot be imported, and passed on base or were not there."""
    lost: tuple[BrokenTest, ...] = ()
    """Passed on base, and are skipped, expected to fail, or gone."""
    allowed: tuple[BrokenTest, ...] = ()
    """The same, and in the baseline or allowed by `--allow-lost-tests`."""
    flaky: tuple[BrokenTest, ...] = ()
    """Failed, passed when run again, and passed on base."""
    known: tuple[BrokenTest, ...] = ()
    """Fail, and fail on base too."""
    untold: tuple[BrokenTest, ...] = ()
    """Fail, and base ended before it came to them."""
    unreached: int = 0
    """How many passed on base and had no result, as a broken test ended the run."""
    missing: tuple[str, ...] = ()
    """Dependencies that were not there and explain failures; such failures are not judged."""


class FileLines(msgspec.Struct, frozen=True, order=True):
    """The changed lines of a file that can run and did not."""

    path: str
    missing: tuple[int, ...]


class ChangedCoverage(msgspec.Struct, frozen=True):
    """How much of what changed ran in the tests."""

    lines: int
    """Changed lines that can run."""
    ran: int
    missing: tuple[FileLines, ...] = ()

    @property
    def percent(self) -> float | None:
        """0 to 100; `None` where no changed line can run."""
        return 100 * self.ran / self.lines if self.lines else None


class ToolState(msgspec.Struct, frozen=True):
    """How far a tool got with the changed files as they are now."""

    tool: str
    version: str | None
    ended: str
    reason: str | None
    files_read: int
    not_read: tuple[tuple[str, str], ...]
    enforced: tuple[str, ...] = ()


class GateResult(msgspec.Struct, frozen=True):
    """The whole answer."""

    base: Base
    head: str | None
    """The commit that is checked out."""
    dirty: bool
    """Whether the working tree differs from it."""
    files: tuple[ChangedFile, ...]
    findings: Findings
    fail_on: FailOn = "low"
    stale: tuple[Accepted, ...] = ()
    """Entries of the baseline that no longer occur."""
    tests: Tests | None = None
    tests_reason: str | None = None
    """Why there is no answer on tests."""
    tests_unknown: bool = False
    """Whether there are tests, on one side at least, of which nothing can be told."""
    coverage: ChangedCoverage | None = None
    coverage_reason: str | None = None
    tools: tuple[ToolState, ...] = ()
    failed: tuple[str, ...] = ()
    """One sentence for each thing that fails the gate; empty: it is clean."""
    notes: tuple[str, ...] = ()

    @property
    def clean(self) -> bool:
        """Whether nothing failed."""
        return not self.failed

    @property
    def verdict(self) -> Verdict:
        """`incomplete`: nothing failed, but a tool did not look at all that changed, or how the
        tests go cannot be told."""
        if self.failed:
            return "failed"
        return "incomplete" if self.unseen or self.tests_unknown else "clean"

    @property
    def unseen(self) -> tuple[str, ...]:
        """What the tools did not look at and should have, one sentence each."""
        told: list[str] = []
        changed = {each.path for each in self.files}
        for tool in self.tools:
            files = [p for p, why in tool.not_read if p in changed and why not in NO_SOURCE]
            if tool.ended != "completed":
                told.append(f"{tool.tool} did not do its work: {tool.reason or tool.ended}")
            elif files:
                more = f" and {len(files) - 1} more" if len(files) > 1 else ""
                told.append(f"{tool.tool} did not read {files[0]}{more}")
        return tuple(told)


def at_least(severity: Severity, threshold: Severity) -> bool:
    """Whether `severity` is `threshold` or worse."""
    return SEVERITIES.index(severity) <= SEVERITIES.index(threshold)
