"""The verdict on a run of coding agents in words: the headline, why it is so, and how far to trust
it. What a gate's value is, `contest_gates` decides.
"""

from collections.abc import Iterator, Mapping
from typing import Literal

from visionflow.agents.candidates.ranking import RESULT
from visionflow.agents.candidates.values import Attempted, Contest, Judged, Ranking
from visionflow.agents.report.contest_gates import (
    accepted_of,
    judged_of,
    unmerged_of,
    winner_of,
)
from visionflow.agents.report.facts import RunFacts
from visionflow.agents.report.telling import Teller, plural
from visionflow.agents.report.values import Unseen
from visionflow.agents.tools.text import one_line

NOT_ENDED = ("failed", "timed_out", "out_of_memory", "flooded")
"""Outcomes of agents that came to no end of their own."""
_NAMED_MAX = 6
_NAME_MAX = 100
Mark = Literal["good", "plain", "bad", "doubt"]
"""good: it gives cause for trust; bad: something failed; doubt: it takes trust away."""


def contest_headline(
    facts: RunFacts, contest: Contest, gates: Mapping[str, bool | None], teller: Teller
) -> tuple[str, str] | None:
    """Who won and why in one or two sentences, and the tone; `None`: nothing special is to be
    said of how this run ended."""
    if facts.status == "failed":
        refused = _refusals(contest, teller)
        return None if refused is None else (refused, "bad")
    if facts.status != "completed":
        return None
    ranking = contest.ranking
    if ranking is None:
        return "Nothing was ranked, so nothing is taken.", "unsure"
    why = teller.line(ranking.why, 400)
    if ranking.winner is None:
        none = "None is good enough." if ranking.order else "Nothing is taken."
        return (why if "good enough" in why else f"{none} {why}"), "bad"
    told = _taken(ranking, _missing(facts, contest, teller), teller)
    told = " ".join((told, *_unproved(contest, teller)))
    against = [name for name, value in gates.items() if value is False]
    if against and against != ["landed"]:
        return f"Failed: {', '.join(against)}. {told}", "bad"
    tone = "bad" if against else "unsure" if None in gates.values() else "good"
    return _with_why(told, ranking, why), tone


def _with_why(told: str, ranking: Ranking, why: str) -> str:
    """Both as one saying, without the winner's name twice; a tie says already why."""
    if ranking.tied:
        return told
    begins = f"{ranking.winner} is "
    if told == f"{begins}taken." and why.startswith(begins):
        return f"{begins}taken: {why[len(begins) :]}"
    return f"{told} {why}"


def _taken(ranking: Ranking, missing: str, teller: Teller) -> str:
    """What is taken, and what it lacks."""
    winner = teller.line(ranking.winner or "", _NAME_MAX)
    if missing:
        return missing
    if ranking.tied:
        others = _names(ranking.tied, teller)
        return f"{winner} is taken, but nothing told it apart from {others}."
    return "All of the work is in the result." if winner == RESULT else f"{winner} is taken."


def _unproved(contest: Contest, teller: Teller) -> Iterator[str]:
    """What is no proof that it does what was asked for."""
    for each in accepted_of(contest):
        if each.doubt is not None:
            command, why = teller.line(each.command, 100), teller.line(each.doubt, 300)
            yield f"Look at it: {command} {why}, which is no proof."
            return


def _missing(facts: RunFacts, contest: Contest, teller: Teller) -> str:
    """Which parts of split work are not in the result; empty: all are."""
    missing = unmerged_of(contest)
    if not missing:
        return ""
    parts = [each for each in facts.tasks if each.type == "implement" and each.of is None]
    count, names = len(missing), _names([each.task for each in missing], teller)
    of = f"{count:,} of {len(parts):,} parts" if parts else plural(count, "part")
    return f"{of} {'is' if count == 1 else 'are'} not in the result: {names}."


def why_failed(name: str, contest: Contest, teller: Teller) -> str:
    """What decided a gate that failed."""
    judged = winner_of(contest)
    gate = None if judged is None else judged.gate
    if name == "winner":
        return "; ".join(_objections(contest, teller)) or "there was nothing to judge"
    if name == "landed":
        told = [
            f"{teller.line(each.task, _NAME_MAX)} ({teller.line(each.message, 200).rstrip('.')})"
            for each in unmerged_of(contest)
        ]
        return "; ".join(_some(told))
    if name == "accept":
        told = [teller.line(each.command, 100) for each in accepted_of(contest) if not each.passed]
        return f"{', '.join(_some(told))} did not pass"
    if name == "tests" and gate is not None and (gate.broken or gate.lost):
        return f"{len(gate.broken):,} broken, {len(gate.lost):,} gone"
    if name == "findings" and gate is not None and gate.new:
        return f"{len(gate.new):,} new"
    ballots = () if judged is None else judged.ballots
    against = [each.reason for each in ballots if (each.evidence, each.choice) == (name, "reject")]
    return teller.line("; ".join(against) or "the ballot was against it", 200)


def contest_trust(facts: RunFacts, contest: Contest, teller: Teller) -> Iterator[tuple[str, Mark]]:
    """How far to trust what is taken: what was run on it, what it proves, what held the agents."""
    judged = winner_of(contest)
    if judged is None and contest.ranking is not None and contest.ranking.winner is not None:
        yield f"{teller.line(contest.ranking.winner, _NAME_MAX)} was judged by nobody", "doubt"
    if judged is not None:
        yield from _of_the_result(judged, teller)
        asked = [each for each in facts.gates if each == "accept"]
        if not judged.accepted and not asked:
            yield "no predicate was given, so nothing shows that it does what was asked", "doubt"
    loose = [each for each in contest.attempted if _ran(each) and not each.held]
    held = [each for each in contest.attempted if _ran(each) and each.held]
    if loose:
        names = _names([each.task for each in loose], teller)
        yield f"NOT confined while they worked: {names}", "doubt"
    elif held:
        yield "every agent was confined", "good"
    for each in contest.attempted:
        for violation in each.violations[:_NAMED_MAX]:
            told = teller.line(violation.message, 200).rstrip(".")
            yield f"{teller.line(each.task, _NAME_MAX)} did what it may not: {told}", "doubt"
    if facts.trusted:
        told = "run with --trust: foreign code may run where nothing confines it"
        yield told, "doubt" if loose or not held else "plain"


def contest_unseen(contest: Contest, teller: Teller) -> Iterator[Unseen]:
    """What the gate could not look at and predicates that could not be run, of each candidate."""
    for judged in contest.judged:
        name = teller.line(judged.candidate, _NAME_MAX)
        for told in () if judged.gate is None else judged.gate.unseen:
            yield Unseen(f"the gate on {name}", teller.line(told, 200), ("gate",))
        for each in judged.accepted:
            if each.passed is None:
                why = teller.line(each.reason or "nobody said why", 200)
                yield Unseen(f"{teller.line(each.command, 100)} on {name}", why, ("tester",))


def contest_nothing_left_out(contest: Contest) -> str:
    """What is said where `contest_unseen` has nothing, of a run that is over."""
    looked = [each for each in contest.judged if each.gate and each.gate.verdict != "not_run"]
    if not looked:
        return "No result was looked at, so what was left out is not known."
    names = ", ".join(dict.fromkeys(one_line(each.candidate, _NAME_MAX) for each in looked))
    return f"The gate names nothing that it left out of {names}."


def _of_the_result(judged: Judged, teller: Teller) -> Iterator[tuple[str, Mark]]:
    name, gate = teller.line(judged.candidate, _NAME_MAX), judged.gate
    if gate is None or gate.verdict == "not_run" or gate.tests is None:
        yield f"tests of {name}: not known", "doubt"
    elif gate.broken or gate.lost:
        told = f"{len(gate.broken):,} broken, {len(gate.lost):,} gone"
        yield f"tests of {name}: {gate.tests:,} run, {told}", "bad"
    else:
        whys = [each.reason for each in judged.ballots if each.evidence == "tests"]
        why = f" ({teller.line('; '.join(whys), 160)})" if whys else ""
        told = f"{gate.tests:,} run, none broken" if gate.tests else f"no test was run{why}"
        yield f"tests of {name}: {told}", "good" if gate.tests else "doubt"
    for each in judged.accepted:
        command = teller.line(each.command, 100)
        if each.passed is None:
            why = teller.line(each.reason or "nobody said why", 160)
            yield f"{command} could not be run ({why})", "doubt"
        elif not each.passed:
            yield f"{command} did not pass", "bad"
        elif each.doubt is not None:
            told = teller.line(each.doubt, 300)
            yield f"{command} {told}, so look at that: it is no proof", "doubt"
        elif each.on_base:
            yield f"{command} passes without the change too, so it proves nothing", "doubt"
        elif each.on_base is None:
            yield f"{command} passes; whether it does without the change is not known", "plain"
        else:
            yield f"{command} passes, and does not without the change", "good"


def _ran(each: Attempted) -> bool:
    """Whether its program ran as far as is known."""
    return each.outcome != "not_needed" and (each.wall_ms is not None or each.output_bytes > 0)


def _refusals(contest: Contest, teller: Teller) -> str | None:
    """Why no agent came to an end, in the words of their providers and tools; `None`: some did."""
    if any(each.outcome not in (*NOT_ENDED, "not_needed") for each in contest.attempted):
        return None
    whys = {each.task: each.reason or each.outcome.replace("_", " ") for each in contest.attempted
            if each.outcome in NOT_ENDED} | dict(contest.failed)  # fmt: skip
    if not whys:
        return None
    told = {name: teller.line(why, 300).rstrip(".") for name, why in whys.items()}
    words = dict.fromkeys(told.values())
    if len(words) == 1:
        return f"No agent came to an end: {next(iter(words))}."
    each = [f"{teller.line(name, _NAME_MAX)}: {why}" for name, why in told.items()]
    return f"No agent came to an end. {'; '.join(_some(each))}."


def _objections(contest: Contest, teller: Teller) -> list[str]:
    """What stands against each candidate, the best first."""
    ranking = contest.ranking
    places = {} if ranking is None else {each.candidate: each for each in ranking.order}
    names = dict.fromkeys((
        *places, *(each.task for each in contest.attempted if each.outcome != "changed"),
        *(name for name, _ in contest.failed),
    ))  # fmt: skip
    reasons = {
        each.task: each.reason or each.outcome.replace("_", " ")
        for each in contest.attempted
        if each.outcome != "changed"
    } | dict(contest.failed)
    told: list[str] = []
    for name in names:
        judged, place = judged_of(contest, name), places.get(name)
        against = [each.reason for each in (() if judged is None else judged.ballots)
                   if each.choice == "reject"]  # fmt: skip
        why = reasons.get(name) or "; ".join(against)
        why = why or ("" if place is None else "; ".join(place.reasons)) or "not good enough"
        told.append(f"{teller.line(name, _NAME_MAX)}: {teller.line(why, 200)}")
    return _some(told)


def _names(names: "list[str] | tuple[str, ...]", teller: Teller) -> str:
    return ", ".join(_some([teller.line(each, _NAME_MAX) for each in names]))


def _some(told: list[str]) -> list[str]:
    """The first of them, and how many more."""
    more = [f"{len(told) - _NAMED_MAX:,} more"] if len(told) > _NAMED_MAX else []
    return told[:_NAMED_MAX] + more
