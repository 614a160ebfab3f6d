"""The one projection of a run that feeds every face: report.md, report.html, `--json`, `show` and
the end on the terminal.

It decides what is told, in which order, how many of each and in which words; a face only lays it
out. The same facts give the same view.
"""

from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

import msgspec

from visionflow.agents.evidence import Issue
from visionflow.agents.findings import SEVERITIES, Suppressed
from visionflow.agents.report.commands import acting_on, commands_of, fixed_by
from visionflow.agents.report.contest_view import contest_view
from visionflow.agents.report.facts import RunFacts
from visionflow.agents.report.figures import figures_of
from visionflow.agents.report.gates import gates_of, known_findings, verdict
from visionflow.agents.report.ranking import ranked
from visionflow.agents.report.sections import change_view, tests_view, vote_view
from visionflow.agents.report.studies import architecture_view, research_view
from visionflow.agents.report.telling import Teller, path, place
from visionflow.agents.report.trust import (
    NO_VOTE,
    asked,
    not_looked_at,
    not_needed,
    nothing_left_out,
    trust_of,
)
from visionflow.agents.report.values import (
    HiddenLine,
    IssueLine,
    RunView,
    TaskLine,
    ToolLine,
)
from visionflow.agents.report.verdicts import gate_line, headline_of, hidden_told, subtitle_of
from visionflow.agents.tools.correlate import issues_of

__all__ = ["TOP", "RunView", "as_json", "from_json", "notes_of", "view_of"]

TOP = 5
"""How many issues are told as those that matter most."""
ISSUES_MAX = 200
SUPPRESSED_MAX = 100
UNSEEN_MAX = 100
_NOTES_MAX = 60


def view_of(facts: RunFacts) -> RunView:
    """Everything that is told of this run, at any moment of it."""
    teller = Teller(facts.tools)
    gates = gates_of(facts)
    issues = ranked(issues_of(facts.tools), facts)
    findings = known_findings(facts.tools)
    unseen = not_looked_at(facts, teller)
    hidden = _suppressed(facts)
    headline, tone = headline_of(facts, gates, teller)
    view = RunView(
        run=facts.run,
        status=facts.status,
        out=facts.out,
        findings=findings,
        gates=gates,
        seconds=round(facts.seconds, 3),
        notes=teller.lines(facts.notes)[:_NOTES_MAX],
        goal=teller.line(facts.goal, 500),
        playbook=teller.line(facts.playbook, 40),
        why=teller.line(facts.why),
        workspace=path(facts.workspace),
        project=teller.cut(path(PurePath(facts.workspace).name or facts.workspace), 80),
        started=teller.line(facts.started, 40),
        head=teller.maybe(facts.head, 64),
        dirty=facts.dirty,
        trusted=facts.trusted,
        verdict=verdict(gates),
        headline=headline,
        subtitle=subtitle_of(facts, gates, teller),
        tone=tone,
        trust=trust_of(facts, gates, verdict(gates), unseen, teller),
        gate_lines=tuple(gate_line(name, value, facts) for name, value in gates.items()),
        tasks=_tasks(facts, teller),
        issues=_issues(issues, facts, teller),
        issues_total=len(issues),
        issues_asked=bool(facts.tools or (facts.gates and facts.contest is None)),
        issues_known=findings is not None,
        suppressed=tuple(_hidden(each, teller) for each in hidden[:SUPPRESSED_MAX]),
        suppressed_total=len(hidden),
        hidden=hidden_told(facts),
        not_looked_at=unseen[:UNSEEN_MAX],
        not_looked_at_total=len(unseen),
        nothing_left_out=nothing_left_out(facts),
        tools=_tools(facts, teller),
        tests=None if facts.tests is None else tests_view(facts.tests, teller),
        architecture=_given(facts.architecture, architecture_view, teller),
        research=_given(facts.research, research_view, teller),
        change=None if facts.change is None else change_view(facts.change, facts, teller),
        contest=contest_view(facts, teller),
        vote=_given(asked(facts), vote_view, teller),
        warnings=teller.lines(facts.warnings)[:_NOTES_MAX],
        own_warnings=teller.lines(facts.own_warnings)[:_NOTES_MAX],
        commands=commands_of(facts),
    )
    return msgspec.structs.replace(view, figures=figures_of(view))


def as_json(view: RunView) -> dict[str, Any]:
    """The view as plain values: what `--json` prints and summary.json holds."""
    return msgspec.to_builtins(view)


def from_json(stored: object) -> RunView:
    """A view from what `as_json` made of it; of an older release what it told.

    Raises:
        msgspec.ValidationError: it is none.
    """
    return msgspec.convert(stored, RunView)


def notes_of(view: RunView) -> tuple[str, ...]:
    """The notes of every part, each once."""
    parts = (view.tests, view.architecture, view.research, view.change)
    told = [note for part in parts if part is not None for note in part.notes]
    return tuple(dict.fromkeys((*told, *view.notes)))


def _given(value: Any, make: Any, teller: Teller) -> Any:
    return None if value is None else make(value, teller)


def _tasks(facts: RunFacts, teller: Teller) -> tuple[TaskLine, ...]:
    return tuple(
        TaskLine(
            teller.line(task.title, 80), teller.line(task.role, 40), teller.line(task.phase, 40),
            teller.line(task.status, 40),
            NO_VOTE if not_needed(task, facts) else teller.maybe(task.reason), task.attempts,
        )
        for task in facts.tasks
    )  # fmt: skip


def _issues(issues: Sequence[Issue], facts: RunFacts, teller: Teller) -> tuple[IssueLine, ...]:
    return tuple(
        IssueLine(
            rank=rank,
            severity=issue.severity,
            place=place(issue.path, issue.line),
            path=path(issue.path),
            line=issue.line,
            message=teller.cut(teller.veil.message(issue)),
            rules=tuple(f"{tool} {teller.line(rule, 60)}" for tool, rule in issue.rules),
            cwe=issue.cwe,
            focus=issue.focus,
            why=issue.why,
            snippet=teller.cut(teller.veil.snippet(issue), 200),
            command=acting_on(issue, facts),
            fixed=fixed_by(issue, facts.change),
            fingerprints=issue.fingerprints,
        )
        for rank, issue in enumerate(issues[:ISSUES_MAX], 1)
    )


def _suppressed(facts: RunFacts) -> list[Suppressed]:
    every = [each for run in facts.tools for each in run.suppressed]
    order = {severity: number for number, severity in enumerate(SEVERITIES)}
    return sorted(
        every,
        key=lambda each: (
            order[each.finding.severity], each.finding.path, each.finding.line,
            each.finding.tool, each.finding.rule, each.by, each.where,
        ),
    )  # fmt: skip


def _hidden(each: Suppressed, teller: Teller) -> HiddenLine:
    found = each.finding
    return HiddenLine(
        severity=found.severity,
        place=place(found.path, found.line),
        message=teller.cut(teller.veil.finding(found)),
        rule=f"{teller.line(found.tool, 40)} {teller.line(found.rule, 60)}",
        by=each.by,
        where=_comment(each, teller) if each.by == "comment" else teller.line(each.where),
    )


def _comment(each: Suppressed, teller: Teller) -> str:
    """The comment itself; what stands before it on its line may be a secret."""
    begins = max(each.where.rfind("#"), each.where.find("pragma"))
    if begins < 0:
        return teller.source(each.finding.path, each.finding.line, each.where)
    return teller.line(each.where[begins:])


def _tools(facts: RunFacts, teller: Teller) -> tuple[ToolLine, ...]:
    return tuple(
        ToolLine(
            tool=teller.line(run.tool, 40),
            version=teller.maybe(run.version, 40),
            ended=run.ended,
            reason=teller.maybe(run.reason),
            findings=len(run.findings),
            suppressed=len(run.suppressed),
            files_read=run.files_read,
            cached=run.cached,
            not_read=len(run.not_read),
            held=teller.lines(run.enforced, 80),
        )
        for run in sorted(facts.tools, key=lambda run: run.tool)
    )
