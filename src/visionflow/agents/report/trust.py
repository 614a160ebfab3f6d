"""How far a run can be trusted: how each task ended, what did not hold, what nobody looked at."""

from collections.abc import Iterator

from visionflow.agents.evidence import Vote
from visionflow.agents.findings import SEVERITIES, Finding, ToolRun, count_by_severity
from visionflow.agents.report.contest_words import (
    Mark,
    contest_nothing_left_out,
    contest_trust,
    contest_unseen,
)
from visionflow.agents.report.facts import RunFacts, TaskFacts
from visionflow.agents.report.gates import UNDER_WAY, Gates, Verdict, failed_of, is_made
from visionflow.agents.report.telling import Teller, named, path, percent, plural
from visionflow.agents.report.values import Trust, Unseen
from visionflow.agents.tools.results import TestRun
from visionflow.ports.sandbox import Confinement

_TITLES_MAX = 12
_OVER = ("completed", "failed", "cancelled", "dead_letter")
_VERDICT: dict[Verdict, tuple[str, Mark]] = {
    "passed": ("every gate passed", "good"), "failed": ("gates failed", "bad"),
    "incomplete": ("not every gate could be told", "doubt"),
    "nothing_checked": ("no gate could be told", "doubt"),
}  # fmt: skip
NO_VOTE = "no vote was needed"
_UNCOPIED = "not read ("
"""How the workspace's notes of what could not be copied read."""
Statement = tuple[str, Mark]


def trust_of(
    facts: RunFacts, gates: Gates, verdict: Verdict, unseen: tuple[Unseen, ...], teller: Teller
) -> Trust:
    """The line of trust and its parts."""
    told = [
        *_tasks(facts, teller),
        _verdict(facts, gates, verdict),
        *_judged(facts, teller),
        *_tools(facts.tools, teller),
        *_looked_at(facts, unseen, teller),
        *_vote(asked(facts)),
    ]
    statements = tuple(dict.fromkeys(statement for statement, _ in told))
    marked: dict[Mark, tuple[str, ...]] = {
        mark: tuple(dict.fromkeys(each for each, given in told if given == mark))
        for mark in ("doubt", "good", "bad")
    }
    sentence = f"How far to trust this: {'; '.join(statements)}."
    return Trust(sentence, statements, marked["doubt"], marked["good"], marked["bad"])


def held_by(held: Confinement) -> tuple[tuple[str, str | None], ...]:
    """What held a foreign command, and by which mechanism."""
    return (
        ("files", held.filesystem), ("network", held.network),
        ("processes", held.processes), ("memory", held.memory),
    )  # fmt: skip


def _tasks(facts: RunFacts, teller: Teller) -> Iterator[Statement]:
    groups: dict[str, list[TaskFacts]] = {}
    idle = [task for task in facts.tasks if not_needed(task, facts)]
    for task in facts.tasks:
        if task not in idle:
            groups.setdefault(task.status, []).append(task)
    for status in sorted(groups, key=lambda word: (word != "completed", word)):
        tasks = groups[status]
        told = [_task(task, teller) for task in tasks[:_TITLES_MAX]]
        if len(tasks) > _TITLES_MAX:
            told.append(f"{len(tasks) - _TITLES_MAX} more")
        mark: Mark = "doubt" if status in _OVER else "plain"
        mark = "good" if status == "completed" else mark
        yield f"{named(teller.line(status, 40))}: {', '.join(told)}", mark
    if idle:
        yield NO_VOTE, "plain"


def not_needed(task: TaskFacts, facts: RunFacts) -> bool:
    """Whether the task was to vote, and there was nothing to vote on."""
    return task.type == "vote" and task.status == "completed" and asked(facts) is None


def _task(task: TaskFacts, teller: Teller) -> str:
    why = f" ({teller.line(task.reason, 160)})" if task.reason else ""
    return teller.line(task.title, 80) + ("" if task.status == "completed" else why)


def _verdict(facts: RunFacts, gates: Gates, verdict: Verdict) -> Statement:
    if facts.status in UNDER_WAY:
        return "the run is not over, and more may be found", "doubt"
    if not facts.gates:
        return "verdict: this playbook has no gate", "plain"
    told, mark = _VERDICT[verdict]
    return f"verdict: {told}" + (f": {failed_of(gates)}" if verdict == "failed" else ""), mark


def _judged(facts: RunFacts, teller: Teller) -> Iterator[Statement]:
    """What the tests say, or of coding agents all that was run on what is taken."""
    if facts.contest is None:
        yield from _tests(facts, teller)
        return
    if facts.tests is not None:
        yield from _tests(facts, teller)
    yield from contest_trust(facts, facts.contest, teller)


def _tests(facts: RunFacts, teller: Teller) -> Iterator[Statement]:
    run = facts.tests
    if run is None:
        if "tests" in facts.gates:
            yield "tests: no result", "doubt"
        return
    told = "no tests" if run.outcome == "no_tests" else f"tests {named(run.outcome)}"
    if run.reason is not None:
        told += f" ({teller.line(run.reason, 200)})"
    yield _confined(told, run)
    if run.enforced is not None and run.coverage is None:
        why = teller.line(run.coverage_reason or "not measured", 160)
        yield f"coverage unknown ({why})", "doubt"
    elif run.coverage is not None:
        yield f"coverage {percent(run.coverage)} of lines", "plain"
    if run.flaky:
        yield f"{plural(len(run.flaky), 'flaky test')} in quarantine", "doubt"
    if run.selection is not None:
        yield f"only {plural(len(run.selection), 'test file')} of the tests were run", "doubt"
    if facts.trusted:
        held = run.enforced is not None and run.enforced.active
        yield (
            "run with --trust: foreign code may run where nothing confines it",
            "plain" if held else "doubt",
        )


def _confined(told: str, run: TestRun) -> Statement:
    if run.enforced is None:
        return f"{told}, nothing of the project was executed", "doubt"
    absent = [what for what, how in held_by(run.enforced) if how is None]
    if absent:
        return f"{told}, NOT confined: {', '.join(absent)}", "doubt"
    marks: dict[str, Mark] = {"passed": "good", "failed": "bad"}
    return f"{told}, confined", marks.get(run.outcome, "doubt")


def _tools(runs: tuple[ToolRun, ...], teller: Teller) -> Iterator[Statement]:
    for run in sorted(runs, key=lambda each: each.tool):
        why = f" ({teller.line(run.reason, 160)})" if run.reason else ""
        whole = run.ended == "completed"
        yield f"{teller.line(run.tool, 40)} {named(run.ended)}{why}", "good" if whole else "doubt"


def _looked_at(facts: RunFacts, unseen: tuple[Unseen, ...], teller: Teller) -> Iterator[Statement]:
    outside = () if facts.survey is None else facts.survey.unreviewed
    unread = {name for run in facts.tools for name, _ in run.not_read}
    if outside:
        told = f"{plural(len(outside), 'Python file')} in no part that was reviewed"
        yield told, "doubt"
    if unread:
        yield f"{_paths(len(unread))} not looked at by at least one tool", "doubt"
    for gap in facts.gaps:
        yield f"not reviewed: {_gap(gap, teller)}", "doubt"
    missing = _not_given(facts)
    if missing:
        yield f"{plural(missing, 'Python file')} not given to any tool", "doubt"
    if not (outside or unread or missing) and _all_read(facts):
        yield "every file that a tool reads was read", "good"
    uncopied = sum(_UNCOPIED in note for note in facts.notes)
    if uncopied:
        yield f"{plural(uncopied, 'path')} of the workspace could not be copied", "doubt"
    hidden = count_by_severity(hidden_in(facts))
    count = sum(hidden.values())
    if count:
        told = f"{plural(count, 'finding')} hidden by the project itself{grave(hidden)}"
        yield told, "doubt"
    if facts.architecture is not None and facts.architecture.commits is None:
        yield "no history to look at", "doubt"


def hidden_in(facts: RunFacts) -> Iterator[Finding]:
    """The findings that the project itself hides."""
    return (each.finding for run in facts.tools for each in run.suppressed)


def grave(counts: dict[str, int]) -> str:
    """How many of them are critical or high, as ` (1 high)`; empty: none."""
    told = [f"{counts[word]:,} {word}" for word in SEVERITIES[:2] if counts[word]]
    return f" ({', '.join(told)})" if told else ""


def _all_read(facts: RunFacts) -> bool:
    """Whether the run is over and everything that was to be reviewed is known and was."""
    told = facts.status == "completed" and facts.survey is not None and not facts.gaps
    ended = all(run.ended == "completed" for run in facts.tools)
    return told and ended and any(run.files_read for run in facts.tools)


def _not_given(facts: RunFacts) -> int:
    """Python files of the survey that ruff, which reads them all, neither read nor gave up on."""
    ruff = next((run for run in facts.tools if run.tool == "ruff"), None)
    if facts.survey is None or ruff is None or ruff.ended != "completed" or facts.gaps:
        return 0
    if facts.status in UNDER_WAY:
        return 0
    given_up = sum(name.endswith((".py", ".pyi")) for name, _ in ruff.not_read)
    told = ruff.files_read + given_up + len(facts.survey.unreviewed)
    return max(0, facts.survey.python_files - told)


def _gap(gap: tuple[str, str | None], teller: Teller) -> str:
    focus, part = gap
    if part is None:
        return focus
    return f"{focus} of {teller.line(part, 80) if part else 'what lies in no reviewed part'}"


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
        yield told, "good" if vote.decision == "approved" else "doubt"


def not_looked_at(facts: RunFacts, teller: Teller) -> tuple[Unseen, ...]:
    """Everything that was not looked at, and why: tasks and tools first, then paths."""
    whole = [*_tasks_not_done(facts, teller), *_tools_not_done(facts, teller)]
    whole += _unmeasured(facts, teller)
    whole += _in_no_review(facts)
    whole += [] if facts.contest is None else contest_unseen(facts.contest, teller)
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


def _in_no_review(facts: RunFacts) -> Iterator[Unseen]:
    """Files that the plan's reviews leave out, or that got lost on the way to the tools."""
    missing = _not_given(facts)
    if missing:
        why = "the survey counts them, and no tool was given them"
        yield Unseen(plural(missing, "Python file"), why, ("ruff",))
    for name in () if facts.survey is None else facts.survey.unreviewed:
        yield Unseen(path(name), "it lies in no part that the plan reviews", ("reviewer",))


def nothing_left_out(facts: RunFacts) -> str:
    """What is said where `not_looked_at` has nothing."""
    if facts.status in UNDER_WAY:
        return "The run is not over, so what it leaves out is not known yet."
    if facts.contest is not None:
        return contest_nothing_left_out(facts.contest)
    if facts.survey is None:
        return "No survey was made, so what was left out is not known."
    return "Nothing is known that was left out."


def _pairs(facts: RunFacts) -> Iterator[tuple[str, tuple[tuple[str, str], ...]]]:
    for run in facts.tools:
        yield run.tool, run.not_read
    if facts.research is not None:
        yield "researcher", facts.research.not_read
    if facts.architecture is not None:
        yield "architect", facts.architecture.not_read


def _tasks_not_done(facts: RunFacts, teller: Teller) -> Iterator[Unseen]:
    if not facts.tasks and facts.status not in UNDER_WAY:
        yield Unseen("the whole workspace", "nothing was run", ("everybody",))
    for task in facts.tasks:
        if task.status in _OVER and task.status != "completed":
            why = task.reason or f"the task is {named(task.status)}"
            yield Unseen(teller.line(task.title, 80), teller.line(why, 200), (task.role,))


def _tools_not_done(facts: RunFacts, teller: Teller) -> Iterator[Unseen]:
    for gap in facts.gaps:
        yield Unseen(_gap(gap, teller), "no review of it came to an end", ("reviewer",))
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
