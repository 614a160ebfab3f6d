"""What a whole run amounts to: gates by formula, the verdict, and all that the report shows.

A gate is True, False or None. None is "could not be told", and is never counted as a pass:

- `tests`: True when the outcome is `passed`; False when it is `failed`, or when the tests were cut
  off by the clock after a failure that no missing dependency explains; else None.
- `syntax`: False when ruff found `invalid-syntax` outside tests; True when ruff completed, read a
  file, and what it did not read outside tests was parsed by bandit; else None.
- `findings`: False when any tool found something critical or high; True when every tool completed
  and one of them read a file; else None.
"""

from collections.abc import Sequence
from typing import Literal

import msgspec

from visionflow.agents.findings import SEVERITIES, ToolRun, count_by_severity
from visionflow.agents.tools.results import TestRun
from visionflow.agents.tools.ruff import SYNTAX_RULE
from visionflow.agents.tools.tree import NO_SOURCE, is_test_path

Gates = dict[str, bool | None]
Verdict = Literal["passed", "failed", "incomplete", "nothing_checked"]
_BLOCKING = SEVERITIES[:2]


class Part(msgspec.Struct, frozen=True):
    """One task of the run and how it ended."""

    name: str
    status: str
    note: str | None = None


class RunSummary(msgspec.Struct, frozen=True):
    """Everything the report and `--json` tell of one run."""

    run: str
    goal: str
    workspace: str
    status: str
    gates: Gates
    findings: dict[str, int]
    """By severity."""
    seconds: float
    parts: tuple[Part, ...] = ()
    tests: TestRun | None = None
    """`None` when no tester got to report."""
    tools: tuple[ToolRun, ...] = ()
    notes: tuple[str, ...] = ()


def gates_of(tests: TestRun | None, tools: Sequence[ToolRun]) -> Gates:
    """The gates, by the formulas above."""
    return {"tests": _tests(tests), "syntax": _syntax(tools), "findings": _findings(tools)}


def verdict(gates: Gates) -> Verdict:
    """`failed` when a gate failed, `passed` when all passed, else what is between."""
    values = list(gates.values())
    if False in values:
        return "failed"
    if True not in values:
        return "nothing_checked"
    return "incomplete" if None in values else "passed"


def findings_of(tools: Sequence[ToolRun]) -> dict[str, int]:
    """All tools' findings by severity."""
    return count_by_severity(finding for run in tools for finding in run.findings)


def _tests(run: TestRun | None) -> bool | None:
    if run is None:
        return None
    if run.outcome == "timed_out":
        faults = [case for case in run.cases if case.missing is None]
        return False if faults else None
    return {"passed": True, "failed": False}.get(run.outcome)


def _syntax(tools: Sequence[ToolRun]) -> bool | None:
    ruff = next((run for run in tools if run.tool == "ruff"), None)
    if ruff is None:
        return None
    if any(f.rule == SYNTAX_RULE and not is_test_path(f.path) for f in ruff.findings):
        return False
    if ruff.ended != "completed" or not ruff.files_read:
        return None
    unread = {p for p, why in ruff.not_read if why not in NO_SOURCE and not is_test_path(p)}
    return True if all(_parsed_by_bandit(path, tools) for path in unread) else None


def _parsed_by_bandit(path: str, tools: Sequence[ToolRun]) -> bool:
    """Whether bandit was given the file and read it: it takes every encoding that Python does."""
    return any(
        run.tool == "bandit"
        and run.ended == "completed"
        and path.endswith(".py")
        and path not in {each for each, _ in run.not_read}
        for run in tools
    )


def _findings(tools: Sequence[ToolRun]) -> bool | None:
    if any(finding.severity in _BLOCKING for run in tools for finding in run.findings):
        return False
    whole = bool(tools) and all(run.ended == "completed" for run in tools)
    return True if whole and any(run.files_read for run in tools) else None
