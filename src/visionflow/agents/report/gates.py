"""Gates by formula, and the verdict over them.

A gate is True, False or None. None is "could not be told", and is never counted as a pass. While a
run is under way nothing but its tests has passed yet: what is still to come may find something.

- `tests`: True when the outcome is `passed`; False when it is `failed`, or when the tests were cut
  off by the clock after a failure that no missing dependency explains; else None. A flaky test is
  quarantined and decides nothing; it is named.
- `syntax`: False when ruff found `invalid-syntax` outside tests; True when ruff completed, read a
  file, and what it did not read outside tests was parsed by bandit; else None, also where a file
  outside tests lies in no part that is reviewed.
- `findings`: False when any tool found something critical or high that the project does not hide;
  True when every tool completed, one of them read a file, and every focus was reviewed in every
  part; else None.
- `coverage`: as the tester told it, coverage against its threshold; None without coverage.
- `secrets`: False when detect-secrets found one that weighs medium or more; True when it found
  none, completed and read every part; else None, also where the only ones are in tests or
  documents and told by their name alone: most are made up there, and a person has to look.
- `cycles`: False when modules import each other in a ring; True when there is none and every module
  outside tests could be read; else None.
- `patch`: False when the coder's change was voted down; True when it passed its own gates and was
  not; else None, also where there is no change to judge: nothing to mend, or no fix that could be
  shown to be safe. That says nothing against the project, and alone leaves no verdict open.

Of a run of the playbook `code` they are about the result that is taken: see `contest_gates`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from visionflow.agents.evidence import Change, Vote
from visionflow.agents.findings import SEVERITIES, ToolRun, count_by_severity
from visionflow.agents.report import contest_gates
from visionflow.agents.report.facts import RunFacts
from visionflow.agents.tools.results import TestRun
from visionflow.agents.tools.tree import NO_SOURCE, is_test_path

Gates = dict[str, bool | None]
Verdict = Literal["passed", "failed", "incomplete", "nothing_checked"]
UNDER_WAY = ("running", "interrupted")
"""Status words of a run of which more may come."""
BASE = ("tests", "syntax", "findings")
"""The gates that every check has."""
SECRETS_TOOL = "detect-secrets"
MEANS: Mapping[str, str] = {
    "tests": "the project's own tests pass",
    "syntax": "every file outside tests parses",
    "findings": "no tool found anything critical or high that is not hidden by the project",
    "coverage": "the tests run as much of the code as the threshold asks",
    "secrets": "no secret lies in the files",
    "cycles": "no modules import each other in a ring",
    "patch": "what the coder changed passed its gates and was not voted down",
    **{name: contest_gates.MEANS[name] for name in ("winner", "accept", "landed")},
}
"""What each gate says when it is passed."""
_SYNTAX_RULE = "invalid-syntax"
_BLOCKING = SEVERITIES[:2]
_CERTAIN = SEVERITIES[:3]


def gates_of(facts: RunFacts) -> Gates:
    """The gates that the plan asks for, in its order, by the formulas above.

    A gate of a name that no formula has is None.
    """
    told: Gates = {}
    for name in facts.gates:
        value = _value(name, facts)
        final = name in _FINAL and facts.contest is None
        early = facts.status in UNDER_WAY and not final
        open_yet = value is True and (early or _partial(name, facts))
        told[name] = None if open_yet else value
    return told


def _value(name: str, facts: RunFacts) -> bool | None:
    if facts.contest is not None:
        judged = contest_gates.FORMULAS.get(name)
        return None if judged is None else judged(facts.contest)
    formula = _FORMULAS.get(name)
    return None if formula is None else formula(facts)


def base_gates(tests: TestRun | None, tools: Sequence[ToolRun]) -> Gates:
    """The gates `BASE` of results alone, with nothing to compare them with."""
    return {"tests": _tests(tests), "syntax": _syntax(tools), "findings": _findings(tools)}


def verdict(gates: Mapping[str, bool | None]) -> Verdict:
    """`failed` when a gate failed, `passed` when all passed, else what is between.

    That there is no change to judge leaves nothing open.
    """
    values = [value for name, value in gates.items() if name != "patch" or value is not None]
    if False in values:
        return "failed"
    if True not in values:
        return "nothing_checked"
    return "incomplete" if None in values else "passed"


def failed_of(gates: Mapping[str, bool | None]) -> str:
    """The names of the gates that failed."""
    return ", ".join(name for name, value in gates.items() if value is False)


def findings_of(tools: Sequence[ToolRun]) -> dict[str, int]:
    """All tools' findings by severity."""
    return count_by_severity(finding for run in tools for finding in run.findings)


def known_findings(tools: Sequence[ToolRun]) -> dict[str, int] | None:
    """Findings by severity; where no tool ran nothing is known, which is not 0."""
    return findings_of(tools) if any(run.ended != "not_run" for run in tools) else None


def _tests(run: TestRun | None) -> bool | None:
    if run is None:
        return None
    if run.outcome == "timed_out":
        quarantined = {each.id for each in run.flaky}
        faults = [c for c in run.cases if c.missing is None and c.id not in quarantined]
        return False if faults else None
    return {"passed": True, "failed": False}.get(run.outcome)


def _syntax(tools: Sequence[ToolRun]) -> bool | None:
    ruff = next((run for run in tools if run.tool == "ruff"), None)
    if ruff is None:
        return None
    if any(f.rule == _SYNTAX_RULE and not is_test_path(f.path) for f in ruff.findings):
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


def _partial(name: str, facts: RunFacts) -> bool:
    """Whether a part of what the gate is about was looked at by no review."""
    outside = () if facts.survey is None else facts.survey.unreviewed
    if name == "syntax":
        return any(not is_test_path(path) for path in outside)
    if name == "secrets":
        return bool(outside) or any(focus == "security" for focus, _ in facts.gaps)
    return name == "findings" and bool(outside or facts.gaps)


def _secrets(facts: RunFacts) -> bool | None:
    runs = [run for run in facts.tools if run.tool == SECRETS_TOOL]
    found = [finding.severity for run in runs for finding in run.findings]
    if found:
        return False if any(each in _CERTAIN for each in found) else None
    read = runs and all(run.ended == "completed" and run.files_read for run in runs)
    return True if read else None


def _cycles(facts: RunFacts) -> bool | None:
    found = facts.architecture
    if found is None:
        return None
    if found.cycles:
        return False
    unread = any(why not in NO_SOURCE and not is_test_path(path) for path, why in found.not_read)
    return True if found.modules and not unread else None


def _patch(facts: RunFacts) -> bool | None:
    return None if facts.change is None else patch_gate(facts.change, facts.vote)


def is_made(change: Change) -> bool:
    """Whether there is a change, taken or not, and not only an attempt."""
    return change.outcome == "changed" or (change.outcome == "rejected" and bool(change.commits))


def patch_gate(change: Change, vote: Vote | None) -> bool | None:
    """The gate `patch` of a change and the vote on it, where there was one."""
    if change.outcome != "changed":
        return None
    decision = "approved" if vote is None else vote.decision
    if decision == "rejected":
        return False
    passed = all(value is True for value in change.gates.values())
    return True if passed and decision == "approved" else None


_FORMULAS: Mapping[str, Callable[[RunFacts], bool | None]] = {
    "tests": lambda facts: _tests(facts.tests),
    "syntax": lambda facts: _syntax(facts.tools),
    "findings": lambda facts: _findings(facts.tools),
    "coverage": lambda facts: facts.coverage_gate,
    "secrets": _secrets,
    "cycles": _cycles,
    "patch": _patch,
}
_FINAL = ("tests", "coverage")
"""Gates that one task decides: once it has ended they stand."""
