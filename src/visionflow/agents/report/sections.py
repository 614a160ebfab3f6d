"""The parts of the view that roles filled: tests, change, vote."""

from collections.abc import Sequence

from visionflow.agents.evidence import Ballot, Change, Vote
from visionflow.agents.report.commands import apply_command, can_apply
from visionflow.agents.report.contest_values import BallotLine
from visionflow.agents.report.facts import RunFacts
from visionflow.agents.report.gates import is_made
from visionflow.agents.report.telling import Teller, path, place, ranges
from visionflow.agents.report.trust import held_by
from visionflow.agents.report.values import (
    CaseLine,
    ChangeView,
    CommitLine,
    CoverageLine,
    FlakyLine,
    TestsView,
    VoteView,
)
from visionflow.agents.tools.results import Case, FileCoverage, Flaky, TestRun

FAILURES_MAX = 40
FLAKY_MAX = 40
FILES_MAX = 60
_SPREAD_MAX = 120
_LISTED_MAX = 100
_OPPOSITE = {"approved": "reject", "rejected": "approve"}


def tests_view(run: TestRun, teller: Teller) -> TestsView:
    """How the tests went."""
    flaky = {each.id for each in run.flaky}
    failures = [case for case in run.cases if case.id not in flaky]
    files = sorted(run.files, key=lambda file: (-len(file.missing), file.path))
    measured = [file for file in files if file.lines]
    held = run.enforced
    return TestsView(
        outcome=run.outcome,
        reason=teller.maybe(run.reason, 600),
        passed=run.counts.passed,
        failed=run.counts.failed,
        errors=run.counts.errors,
        skipped=run.counts.skipped,
        xfailed=run.counts.xfailed,
        seconds=run.seconds,
        coverage=run.coverage,
        coverage_reason=teller.maybe(run.coverage_reason),
        branch_coverage=run.branch_coverage,
        pass_rate=run.pass_rate,
        failures=tuple(_case(case, teller) for case in failures[:FAILURES_MAX]),
        failures_total=len(failures),
        flaky=tuple(_flaky(each, teller) for each in run.flaky[:FLAKY_MAX]),
        flaky_total=len(run.flaky),
        slowest=tuple(_case(case, teller) for case in run.slowest),
        files=tuple(_coverage(file) for file in measured[:FILES_MAX]),
        files_total=len(measured),
        spread=_spread(measured),
        selection=None if run.selection is None else tuple(map(path, run.selection[:_LISTED_MAX])),
        missing=teller.lines(run.missing, 80),
        environment=teller.line(run.environment),
        interpreter=teller.maybe(run.interpreter),
        held=() if held is None else held_by(held),
        unheld=() if held is None else teller.lines(held.reasons),
        confined=None if held is None else None not in [how for _, how in held_by(held)],
        notes=teller.lines(run.notes),
    )


def _case(case: Case, teller: Teller) -> CaseLine:
    return CaseLine(
        path(case.id), case.outcome, case.seconds, teller.line(case.summary),
        teller.block(case.message), teller.maybe(case.missing, 80),
    )  # fmt: skip


def _flaky(each: Flaky, teller: Teller) -> FlakyLine:
    return FlakyLine(path(each.id), each.alone, each.in_order, teller.line(each.summary))


def _coverage(file: FileCoverage) -> CoverageLine:
    return CoverageLine(
        path=path(file.path),
        percent=file.percent or 0.0,
        lines=file.lines,
        missing=len(file.missing),
        ranges=ranges(file.missing),
        branches=file.branches,
        missing_branches=sum(count for _, count in file.missing_branches),
    )


def _spread(files: Sequence[FileCoverage]) -> tuple[tuple[float, int], ...]:
    """(percent, lines) of all files, best first; neighbours joined until they can be drawn."""
    ordered = sorted(files, key=lambda file: (-(file.percent or 0.0), file.path))
    step = -(-len(ordered) // _SPREAD_MAX) or 1
    joined: list[tuple[float, int]] = []
    for start in range(0, len(ordered), step):
        group = ordered[start : start + step]
        lines = sum(file.lines for file in group)
        ran = lines - sum(len(file.missing) for file in group)
        joined.append((round(100 * ran / lines, 2), lines))
    return tuple(joined)


def change_view(change: Change, facts: RunFacts, teller: Teller) -> ChangeView:
    """What the coder made, and how to take it."""
    return ChangeView(
        outcome=change.outcome,
        made=is_made(change),
        reason=teller.maybe(change.reason),
        branch=teller.maybe(change.branch),
        tip=teller.maybe(change.tip, 64),
        commits=tuple(
            CommitLine(
                teller.line(each.rule, 40), teller.line(each.title, 160),
                teller.line(each.commit, 64), len(each.files), each.fixes,
            )
            for each in change.commits[:_LISTED_MAX]
        ),
        dropped=tuple(
            (teller.line(each.rule, 40), teller.line(each.why))
            for each in change.dropped[:_LISTED_MAX]
        ),
        files=tuple(path(name) for name in change.files[:_LISTED_MAX]),
        files_total=len(change.files),
        insertions=change.insertions,
        deletions=change.deletions,
        gates=dict(change.gates),
        fixed=change.fixed,
        new=tuple(
            f"{place(each.path, each.line)} {teller.line(each.tool, 40)} "
            f"{teller.line(each.rule, 40)}"
            for each in change.new[:_LISTED_MAX]
        ),
        code_quality=change.code_quality,
        patch_sha256=change.patch_sha256,
        apply=apply_command(facts) if can_apply(change) else None,
        notes=teller.lines(change.notes),
    )  # fmt: skip


def vote_view(vote: Vote, teller: Teller) -> VoteView:
    """Who voted how, and on what evidence."""
    voted = {ballot.member for ballot in vote.ballots}
    ballots = sorted(vote.ballots, key=lambda ballot: ballot.member)
    return VoteView(
        question=teller.line(vote.question),
        decision=vote.decision,
        electorate=teller.lines(vote.electorate, 80),
        ballots=tuple(ballot_line(ballot, vote.decision, teller) for ballot in ballots),
        silent=teller.lines((each for each in vote.electorate if each not in voted), 80),
    )


def ballot_line(ballot: Ballot, decision: str | None, teller: Teller) -> BallotLine:
    """A ballot as it is shown."""
    return BallotLine(
        member=teller.line(ballot.member, 80),
        choice=ballot.choice,
        evidence=teller.line(ballot.evidence, 40),
        reason=teller.line(ballot.reason),
        facts=tuple(
            (teller.line(key, 40), "unknown" if value is None else teller.line(str(value), 160))
            for key, value in sorted(ballot.facts.items())
        ),
        dissent=ballot.choice == _OPPOSITE.get(decision or ""),
    )
