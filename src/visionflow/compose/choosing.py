"""Which change of a run is brought in, and what stands against it: by its gates, its vote, or the
judgement of a candidate. Nothing is read here but the facts.
"""

from collections.abc import Iterator
from typing import ClassVar

import msgspec

from visionflow.agents.candidates.ranking import RESULT
from visionflow.agents.candidates.values import Attempted, Contest, Judged
from visionflow.agents.report.commands import candidate_command, run_command
from visionflow.agents.report.contest_gates import judged_of, unmerged_of
from visionflow.agents.report.facts import RunFacts
from visionflow.agents.tools.text import one_line
from visionflow.compose.job.exits import ExitCode
from visionflow.compose.job.folder import FINISHED
from visionflow.domain.errors import Refused, UnknownId

_WORDS_MAX = 160


class NotAccepted(Refused):
    """A gate or the vote did not let the change through, and nobody insisted."""

    code: ClassVar[str] = "not_accepted"
    status: ClassVar[int] = ExitCode.GATE_FAILED


class Chosen(msgspec.Struct, frozen=True):
    """A change that can be brought in."""

    base: str
    tip: str
    candidate: str | None = None
    """The task that made it; `None`: the run's one change."""
    by_name: bool = False
    """It was asked for, rather than what the run takes."""
    against: str | None = None
    """What stands against it."""
    notes: tuple[str, ...] = ()


def choose(facts: RunFacts, candidate: str | None) -> Chosen:
    """What a run takes, or the candidate of this name: its task, how that begins, or its number.

    Raises:
        UnknownId: no candidate, or more than one, is meant.
        Refused: there is no change that could be brought in.
        NotAccepted: none of the candidates is good enough.
    """
    contest = facts.contest
    if candidate is None or (contest is not None and _is_taken(contest, candidate)):
        return _taken(facts)
    if contest is None:
        raise Refused(
            f"The run {facts.run} has no candidates: one coder worked on it.",
            hint=f"Leave {candidate!r} out: {run_command('apply', facts)}",
        )
    if candidate == RESULT and contest.integrated:
        last = contest.integrated[-1]
        against = _against(judged_of(contest, RESULT))
        return Chosen(contest.integrated[0].base, last.tip, RESULT, True, against)
    made = _named(facts, contest, candidate)
    if made.tip is None:
        raise Refused(
            f"{made.task} left the files as they were: {_fate(made, contest)}.",
            hint=f"There is nothing to apply. The candidates: {_all_of(facts, contest)}.",
        )
    if made.outcome != "changed" or made.violations:
        against = f"it ended as {_fate(made, contest)}".rstrip(".") + "."
    else:
        against = _against(judged_of(contest, made.task))
    return Chosen(made.base, made.tip, made.task, True, against)


def _is_taken(contest: Contest, candidate: str) -> bool:
    return candidate == RESULT and contest.ranking is not None and contest.ranking.winner == RESULT


def _taken(facts: RunFacts) -> Chosen:
    contest = facts.contest
    if contest is not None:
        _see_a_winner(facts, contest)
    against = objection(facts)
    change = facts.change
    assert change is not None and change.tip is not None
    if contest is None:
        return Chosen(change.base, change.tip, against=against)
    ranking = contest.ranking
    assert ranking is not None
    notes: list[str] = []
    if ranking.tied:
        names = ", ".join(one_line(each, 100) for each in ranking.tied)
        notes.append(f"Nothing told {ranking.winner} apart from {names}; it was the first of them.")
    left = unmerged_of(contest)
    missing = ", ".join(dict.fromkeys(one_line(each.task, 100) for each in left))
    if missing:
        kept = [one_line(each.task, 100) for each in left if each.ref is not None]
        told = f"Not in it: the work of {missing}."
        if kept:
            told += f" Kept of {', '.join(kept)}: {run_command('workspace show', facts)}"
        notes.append(told)
    return Chosen(change.base, change.tip, ranking.winner, against=against, notes=tuple(notes))


def _see_a_winner(facts: RunFacts, contest: Contest) -> None:
    """See that the run takes one.

    Raises:
        Refused: it is not over, or ended before that was settled.
        NotAccepted: none is good enough.
    """
    ranking, listed = contest.ranking, _all_of(facts, contest)
    merged = bool(contest.integrated) and contest.integrated[0].base != contest.integrated[-1].tip
    best = (
        RESULT
        if merged
        else next(
            (
                each.candidate
                for each in (() if ranking is None else ranking.order)
                if any(made.task == each.candidate and made.tip for made in contest.attempted)
            ),
            next((made.task for made in contest.attempted if made.tip), None),
        )
    )
    if facts.status not in FINISHED:
        own = f" A candidate that is finished can be taken by its name. So far: {listed}."
        raise Refused(
            f"The run {facts.run} is not over: it is {facts.status}." + (own if listed else ""),
            hint=f"Go on with it: {run_command('run --resume', facts)}",
        )
    if ranking is None:
        raise Refused(
            f"The run {facts.run} is {facts.status}, and no candidate was chosen: "
            f"{listed or 'there is none'}.",
            hint=_how_to_take(facts, best),
        )
    if ranking.winner is None:
        raise NotAccepted(
            f"No candidate of {facts.run} is good enough: {one_line(ranking.why)} "
            f"The candidates: {listed or 'none'}.",
            hint=_how_to_take(facts, best),
        )


def _how_to_take(facts: RunFacts, best: str | None) -> str:
    if best is None:
        return "There is nothing to apply."
    return f"Take one all the same: {candidate_command(facts, best, force=True)}"


def _named(facts: RunFacts, contest: Contest, asked: str) -> Attempted:
    """The candidate that is meant.

    Raises:
        UnknownId: none is, or more than one.
        Refused: it is not finished.
    """
    made = {each.task: each for each in contest.attempted}
    others = _unfinished(facts, contest)
    names = [*made, *others]
    found = [name for name in (asked, f"candidate-{asked}") if name in names][:1]
    found = found or [name for name in names if asked and name.startswith(asked)]
    if len(found) == 1 and found[0] in made:
        return made[found[0]]
    if len(found) == 1:
        raise Refused(
            f"{found[0]} made nothing that could be taken: it is {others[found[0]]}.",
            hint=f"The candidates: {_all_of(facts, contest)}.",
        )
    what = "More than one candidate begins with" if found else "There is no candidate"
    raise UnknownId(
        f"{what} {asked!r} in the run {facts.run}.",
        hint=f"The candidates: {_all_of(facts, contest) or 'none yet'}.",
    )


def _unfinished(facts: RunFacts, contest: Contest) -> dict[str, str]:
    """Tasks of agents that came to no end of their own, each with how it stands."""
    done = {each.task for each in contest.attempted}
    told = {
        each.task: each.status.replace("_", " ")
        for each in facts.tasks
        if each.type == "implement" and each.task not in done
    }
    return told | {task: f"failed: {one_line(why, _WORDS_MAX)}" for task, why in contest.failed}


def _all_of(facts: RunFacts, contest: Contest) -> str:
    """Every candidate with what became of it."""
    return "; ".join(_each_of(facts, contest))


def _each_of(facts: RunFacts, contest: Contest) -> Iterator[str]:
    parts = sum(len(each.landed) for each in contest.integrated)
    if parts:
        yield f"{RESULT} ({parts} part{'' if parts == 1 else 's'} merged)"
    for made in contest.attempted:
        if made.outcome != "not_needed":
            yield f"{one_line(made.task, 100)} ({_fate(made, contest)})"
    for task, how in _unfinished(facts, contest).items():
        yield f"{one_line(task, 100)} ({how})"


def _fate(made: Attempted, contest: Contest) -> str:
    """What became of a candidate, in a few words."""
    if made.violations:
        return f"violation: {one_line(made.violations[0].message, _WORDS_MAX)}"
    if made.outcome != "changed":
        why = f": {one_line(made.reason, _WORDS_MAX)}" if made.reason else ""
        return made.outcome.replace("_", " ") + why
    ranking = contest.ranking
    places = {each.candidate: each.place for each in (ranking.order if ranking else ())}
    place = f"place {places[made.task]}, " if made.task in places else ""
    against = _against(judged_of(contest, made.task))
    how = "good" if against is None else against.rstrip(".")
    return f"{place}+{made.insertions} -{made.deletions} lines, {how}"


def _against(judged: Judged | None) -> str | None:
    if judged is None:
        return "it was not judged."
    if judged.good:
        return None
    reasons = [
        f"{each.member}: {each.reason}" for each in judged.ballots if each.choice == "reject"
    ]
    told = "; ".join(one_line(each, _WORDS_MAX) for each in reasons)
    told = told or one_line(judged.reason or "there was nothing to judge", _WORDS_MAX)
    return f"it was not judged good ({told})."


def objection(facts: RunFacts) -> str | None:
    """What stands against bringing a run's change in; `None` where nothing does.

    Raises:
        Refused: there is no change that could be brought in.
    """
    change, vote = facts.change, facts.vote
    if facts.status not in FINISHED:
        raise Refused(
            f"The run {facts.run} is not over: it is {facts.status}.",
            hint=f"Go on with it: {run_command('run --resume', facts)}",
        )
    if change is None:
        raise Refused(
            f"The run {facts.run} made no change: its playbook ({facts.playbook or 'none'}) has no "
            "coder, or the coder did not come to an end.",
            hint='The playbooks fix and audit have one: visionflow run "Fix the findings".',
        )
    if change.outcome == "rejected" and change.tip is not None:
        return f"{change.reason or 'a gate failed'}."
    if change.outcome != "changed" or change.tip is None:
        raise Refused(
            f"The run {facts.run} made no change: {change.reason or change.outcome}.",
            hint="There is nothing to apply.",
        )
    failed = sorted(name for name, passed in change.gates.items() if passed is False)
    if failed:
        return f"its gates failed: {', '.join(failed)}."
    if vote is not None and vote.decision != "approved":
        against = [each for each in vote.ballots if each.choice == "reject"]
        reasons = "; ".join(f"{each.member}: {each.reason}" for each in against)
        how = vote.decision or "left open"
        return f"the reviewers' vote on it was {how}" + (f" ({reasons})." if reasons else ".")
    return None
