"""How far a run can be trusted: how each task ended, what did not hold, what nobody looked at."""

from collections.abc import Iterator

from visionflow.agents.evidence import Vote
from visionflow.agents.findings import ToolRun
from visionflow.agents.report.facts import RunFacts, TaskFacts
from visionflow.agents.report.gates import UNDER_WAY, Verdict, is_made
from visionflow.agents.report.telling import Teller, named, path, percent, plural
from visionflow.agents.report.values import Trust, Unseen
from visionflow.agents.tools.results import TestRun
from visionflow.ports.sandbox import Confinement

_TITLES_MAX = 12
_OVER = ("completed", "failed", "cancelled", "dead_letter")
_VERDICT: dict[Verdict, str] = {
    "passed": "every gate passed", "failed": "a gate failed",
    "incomplete": "not every gate could be told", "nothing_checked": "no gate could be told",
}  # fmt: skip
_UNCOPIED = "not read ("
"""How the workspace's notes of what could not be copied read."""
Statement = tuple[str, bool]
"""A statement, and whether it takes trust away."""


def trust_of(
    facts: RunFacts, verdict: Verdict, unseen: tuple[Unseen, ...], teller: Teller
) -> Trust:
    """The line of trust and its parts."""
    told = [
        *_tasks(facts, teller),
        _verdict(facts, verdict),
        *_tests(facts, teller),
        *_tools(facts.tools, teller),
        *_looked_at(facts, unseen),
        *_vote(asked(facts)),
    ]
    statements = tuple(dict.fromkeys(statement for statement, _ in told))
    doubts = tuple(dict.fromkeys(statement for statement, doubt in told if doubt))
    return Trust(f"How far to trust this: {'; '.join(statements)}.", statements, doubts)


def held_by(held: Confinement) -> tuple[tuple[str, str | None], ...]:
    """What held a foreign command, and by which mechanism."""
    return (
        ("files", held.filesystem), ("network", held.network),
        ("processes", held.processes), ("memory", held.memory),
    )  # fmt: skip


def _tasks(facts: RunFacts, teller: Teller) -> Iterator[Statement]:
    groups: dict[str, list[TaskFacts]] = {}
    for task in facts.tasks:
        groups.setdefault(task.status, []).append(task)
    for status in sorted(groups, key=lambda word: (word != "completed", word)):
        tasks = groups[status]
        told = [_task(task, teller) for task in tasks[:_TITLES_MAX]]
        if len(tasks) > _TITLES_MAX:
            told.append(f"{len(tasks) - _TITLES_MAX} more")
        wrong = status in _OVER and status != "completed"
        yield f"{named(teller.line(status, 40))}: {', '.join(told)}", wrong


def _task(task: TaskFacts, teller: Teller) -> str:
    why = f" ({teller.line(task.reason, 160)})" if task.reason else ""
    return teller.line(task.title, 80) + ("" if task.status == "completed" else why)


def _verdict(facts: RunFacts, verdict: Verdict) -> Statement:
    if facts.status in UNDER_WAY:
        return "the run is not over, and more may be found", True
    if not facts.gates:
        return "verdict: this playbook has no gate", False
    return f"verdict: {_VERDICT[verdict]}", verdict in ("incomplete", "nothing_checked")


def _tests(facts: RunFacts, teller: Teller) -> Iterator[Statement]:
    run = facts.tests
    if run is None:
        if "tests" in facts.gates:
            yield "tests: no result", True
        return
    told = "no tests" if run.outcome == "no_tests" else f"tests {named(run.outcome)}"
    if run.reason is not None:
        told += f" ({teller.line(run.reason, 200)})"
    yield _confined(told, run)
    if run.enforced is not None and run.coverage is None:
        why = teller.line(run.coverage_reason or "not measured", 160)
        yield f"coverage unknown ({why})", True
    elif run.coverage is not None:
        yield f"coverage {percent(run.coverage)} of lines", False
    if run.flaky:
        yield f"{plural(len(run.flaky), 'flaky test')} in quarantine", True
    if run.selection is not None:
        yield f"only {plural(len(run.selection), 'test file')} of the tests were run", True
    if facts.trusted:
        held = run.enforced is not None and run.enforced.active
        yield "run with --trust: foreign code may run where nothing confines it", not held


def _confined(told: str, run: TestRun) -> Statement:
    if run.enforced is None:
        return f"{told}, nothing of the project was executed", True
    absent = [what for what, how in held_by(run.enforced) if how is None]
    if absent:
        return f"{told}, NOT confined: {', '.join(absent)}", True
    return f"{told}, confined", run.outcome not in ("passed", "failed")


def _tools(runs: tuple[ToolRun, ...], teller: Teller) -> Iterator[Statement]:
    for run in sorted(runs, key=lambda each: each.tool):
        why = f" ({teller.line(run.reason, 160)})" if run.reason else ""
        yield f"{teller.line(run.tool, 40)} {named(run.ended)}{why}", run.ended != "completed"


def _looked_at(facts: RunFacts, unseen: tuple[Unseen, ...]) -> Iterator[Statement]:
    unread = {name for run in facts.tools for name, _ in run.not_read}
    if unread:
        yield f"{_paths(len(unread))} not looked at by at least one tool", True
    elif any(run.ended == "completed" and run.files_read for run in facts.tools):
        yield "every file that a tool reads was read", False
    uncopied = sum(_UNCOPIED in note for note in facts.notes)
    if uncopied:
        yield f"{plural(uncopied, 'path')} of the workspace could not be copied", True
    hidden = sum(len(run.suppressed) for run in facts.tools)
    if hidden:
        yield f"{plural(hidden, 'finding')} hidden by the project itself", True
    if facts.architecture is not None and facts.architecture.commits is None:
        yield "no history to look at", True


def _paths(count: int) -> str:
    return f"{plural(count, 'path')} {'was' if count == 1 else 'were'}"


def asked(facts: RunFacts) -> Vote | None:
    """The vote, where there was a change to vote on."""
    return facts.vote if facts.change is None or is_made(facts.change) else None


def _vote(vote: Vote | None) -> Iterator[Statement]:
    if vote is not None:
        cast = len(vote.ballots)
        decision = vote.decision or "still open"
        told = f"vote {decision}, {cast} of {len(vote.electorate)} ballots"
        yield told, vote.decision != "approved"


def not_looked_at(facts: RunFacts, teller: Teller) -> tuple[Unseen, ...]:
    """Everything that was not looked at, and why: tasks and tools first, then paths."""
    whole = [*_tasks_not_done(facts, teller), *_tools_not_done(facts, teller)]
    whole += _unmeasured(facts, teller)
    paths: dict[tuple[str, str], set[str]] = {}
    for by, pairs in _pairs(facts):
        for name, why in pairs:
            paths.setdefault((path(name), teller.line(why, 160)), set()).add(by)
    for note in facts.notes:
        if _UNCOPIED in note:
            name, _, why = note.partition(": " + _UNCOPIED)
            key = (path(name), f"could not be copied ({teller.line(why.rstrip(').'), 120)})")
            paths.setdefault(key, set()).add("everybody")
    rest = [Unseen(name, why, tuple(sorted(by))) for (name, why), by in sorted(paths.items())]
    return (*whole, *rest)


def _pairs(facts: RunFacts) -> Iterator[tuple[str, tuple[tuple[str, str], ...]]]:
    for run in facts.tools:
        yield run.tool, run.not_read
    if facts.research is not None:
        yield "researcher", facts.research.not_read
    if facts.architecture is not None:
        yield "architect", facts.architecture.not_read


def _tasks_not_done(facts: RunFacts, teller: Teller) -> Iterator[Unseen]:
    for task in facts.tasks:
        if task.status in _OVER and task.status != "completed":
            why = task.reason or f"the task is {named(task.status)}"
            yield Unseen(teller.line(task.title, 80), teller.line(why, 200), (task.role,))


def _tools_not_done(facts: RunFacts, teller: Teller) -> Iterator[Unseen]:
    for run in sorted(facts.tools, key=lambda each: each.tool):
        if run.ended != "completed":
            why = run.reason or named(run.ended)
            yield Unseen(f"all that {run.tool} looks for", teller.line(why, 200), (run.tool,))


def _unmeasured(facts: RunFacts, teller: Teller) -> Iterator[Unseen]:
    run = facts.tests
    if run is not None and run.outcome not in ("passed", "failed"):
        why = run.reason or named(run.outcome)
        yield Unseen("the tests", teller.line(why, 200), ("tester",))
    if run is not None and run.enforced is not None and run.coverage is None:
        why = run.coverage_reason or "not measured"
        yield Unseen("coverage", teller.line(why, 200), ("tester",))
    found = facts.architecture
    if found is not None and found.commits is None:
        yield Unseen("history", "there is none to look at", ("architect",))
