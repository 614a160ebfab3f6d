"""Whether a patch may be kept, from what was measured before and after it. Pure.

Measuring is `roles.measuring`'s job, making and dropping commits the coder's.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec

from visionflow.agents.evidence import Change
from visionflow.agents.findings import Finding, Severity, ToolRun
from visionflow.agents.tools.codes import FileCode
from visionflow.agents.tools.delta import Delta, findings_delta
from visionflow.agents.tools.results import TestRun

WEIGHTS: Mapping[Severity, float] = {
    "critical": 10.0, "high": 5.0, "medium": 2.0, "low": 0.5, "info": 0.0,
}  # fmt: skip
"""What a finding takes off `code_quality`. Information takes nothing off."""


def tells(tests: TestRun | None) -> bool:
    """Whether a test run can show that something broke: some test of it passed."""
    return tests is not None and "passed" in tests.outcomes.values()


def broken_tests(before: TestRun, after: TestRun, stable: bool = True) -> tuple[str, ...]:
    """Ids of tests that passed before and do not now, sorted; those that vanished are among them.

    Flaky ones of either run are left out. `stable=False`: those that vanished too, because their
    ids change from run to run.
    """
    flaky = {each.id for each in (*before.flaky, *after.flaky)}
    return tuple(
        sorted(
            name
            for name, outcome in before.outcomes.items()
            if outcome == "passed"
            and name not in flaky
            and after.outcomes.get(name, "passed" if not stable else "error") != "passed"
        )
    )


def vanished_tests(before: TestRun, after: TestRun) -> tuple[str, ...]:
    """Ids of tests that passed before and of which the other run does not know, sorted."""
    return tuple(
        sorted(
            name
            for name, outcome in before.outcomes.items()
            if outcome == "passed" and name not in after.outcomes
        )
    )


def lowers_coverage(before: TestRun, after: TestRun, threshold: float | None) -> bool | None:
    """Whether coverage was at least the threshold (0 to 1) and is below it now.

    `None` without a threshold, or where coverage is not known of both.
    """
    if threshold is None or before.coverage is None or after.coverage is None:
        return None
    return after.coverage < 100 * threshold <= before.coverage


def real_delta(before: Sequence[ToolRun], after: Sequence[ToolRun]) -> Delta:
    """`findings_delta`, where a finding whose line reads otherwise now is the same finding.

    A fingerprint holds the text of its line, so mending one thing on a line makes every other
    finding there look new. A new one and a gone one of the same tool, rule, path and message
    cancel each other out.
    """
    found = findings_delta(before, after)
    new, gone = (Counter(_identity(each) for each in part) for part in (found.new, found.gone))
    both = new & gone
    return Delta(_without(found.new, both.copy()), _without(found.gone, both.copy()))


def _identity(finding: Finding) -> tuple[str, str, str, str]:
    return (finding.tool, finding.rule, finding.path, finding.message)


def _without(findings: Sequence[Finding], taken: Counter[tuple[str, str, str, str]]) -> tuple[
    Finding, ...
]:  # fmt: skip
    left: list[Finding] = []
    for finding in findings:
        key = _identity(finding)
        if taken[key]:
            taken[key] -= 1
        else:
            left.append(finding)
    return tuple(left)


def told_apart(before: Sequence[ToolRun], after: Sequence[ToolRun]) -> bool:
    """Whether every tool completed on both sides, so that no finding can have been missed."""
    ended = {run.tool for run in before if run.ended == "completed"}
    return bool(after) and all(run.ended == "completed" and run.tool in ended for run in after)


def code_quality(tools: Sequence[ToolRun], lines: int | None) -> float | None:
    """1 / (1 + w), where w is the weight of all findings for 100 lines of Python.

    A finding weighs `WEIGHTS` by its severity; suppressed ones weigh nothing; lines that hold
    nothing but white space do not count. 1 is code without a finding; at a weight of 1 for 100
    lines (two low findings, say) it is 0.5. `None` where there is no line or no tool completed.
    """
    done = [run for run in tools if run.ended == "completed"]
    if not lines or not done:
        return None
    weight = sum(WEIGHTS[finding.severity] for run in done for finding in run.findings)
    return round(1 / (1 + 100 * weight / lines), 4)


def same_code(codes: Mapping[str, FileCode]) -> bool:
    """Whether every changed file compiles to what it did before."""
    return all(code.same for code in codes.values())


def vote_needed(change: Change | None, tests: TestRun | None) -> tuple[bool, str]:
    """Whether reviewers vote on a change, and why or why not in one sentence.

    Members rest on tests, findings and the behaviour of changed functions. Where fewer than two of
    these can say anything, all ballots agree by construction, and a vote would only be for show.
    """
    if change is None:
        return False, "No vote: there is no change."
    if change.outcome != "changed":
        return False, f"No vote: nothing was changed ({change.reason or change.outcome})."
    can = ["findings"] if change.gates.get("findings") is not None else []
    if not change.same_code:
        can += ["tests"] if tells(tests) else []
        can += ["behaviour"] if any(path.endswith(".py") for path in change.files) else []
    if len(can) < 2:
        because = "every file compiles to what it did before" if change.same_code else "no more"
        told = f"only {can[0]} can say anything" if can else "no evidence can be had"
        return False, f"No vote: {told} about this change ({because}), so nobody could disagree."
    return True, f"The reviewers vote on evidence that can differ: {', '.join(can)}."


class Bisection(msgspec.Struct):
    """Finds the first commit at which something is wrong, by looking at few of them.

    Commits count from 1; after the last it is wrong, before the first it is not. Ask `next` for
    the place to look at, `tell` what was seen there, until `next` is `None`: then `found` is it.
    """

    bad: int
    good: int = 0

    @property
    def next(self) -> int | None:
        """The commit to look at; `None` when it is known."""
        return None if self.bad - self.good <= 1 else (self.bad + self.good) // 2

    def tell(self, at: int, wrong: bool) -> None:
        """After the commit `at` it is wrong, or is not."""
        if wrong:
            self.bad = min(self.bad, at)
        else:
            self.good = max(self.good, at)

    @property
    def found(self) -> int:
        """The commit at fault, counted from 1."""
        return self.bad
