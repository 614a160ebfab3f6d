"""What follows for votes when tasks and time end: ballots that were asked for, decisions, and plans
that complete as a vote says.

An agent's answer to `cast_ballot` becomes its ballot in the decision in which that task ends;
whoever answers nothing has abstained.
"""

from collections.abc import Iterable
from typing import Protocol

import msgspec

from visionflow.domain import events as e
from visionflow.domain.agents import AgentStatus
from visionflow.domain.errors import Refused
from visionflow.domain.events import AnyEvent
from visionflow.domain.limits import WORD_CHARS_MAX
from visionflow.domain.swarms import Topology
from visionflow.domain.tasks import Payload, Priority, TaskSpec
from visionflow.domain.votes import (
    CAST_BALLOT,
    Cast,
    Choice,
    Decision,
    Matter,
    Mechanism,
    Regraded,
    Resolution,
    Standing,
    Tally,
    VoteSpec,
)
from visionflow.domain.votes_events import VoteReferred
from visionflow.engine.decide.opinions import read_opinion
from visionflow.engine.state import SwarmState, VoteState
from visionflow.engine.topology.choosing import bid_by_record
from visionflow.engine.topology.rules import centre_of, topology_in_force
from visionflow.engine.undecided import why_undecided
from visionflow.engine.voting import (
    FULL_BP,
    MECHANISMS,
    THRESHOLD_MESH_BP,
    THRESHOLD_WEIGHTED_BP,
    outcome,
    weight_bp,
)

ALL_CAST = "no ballot is outstanding"
SWARM_ENDED = "its swarm was ended"
TIME_IS_UP = "its time is up"
OVER = "the vote is over"
MEASURED = (Matter.PATCH, Matter.TASK_RESULT)
TIMEOUT_MS, MEASURING_MS = 60_000, 300_000
TIMEOUT_MS_MAX = 7 * 86_400_000
SHOWN_MAX = 32_768
"""How long a vote is open that states no limit and asks its members; the latter where they may have
to measure anew."""
INPUTS_BYTES_MAX = 16_384
STANDINGS = {Decision.APPROVED: Standing.COMPLETED, Decision.REJECTED: Standing.FAILED}
PRESENT = (AgentStatus.READY, AgentStatus.PROCESSING, AgentStatus.RECOVERING)
ARRIVING = (AgentStatus.CREATED, AgentStatus.INITIALISING)
"""Who may be asked whether a result is right; of those on their way up it is not known whether
they ever answer, so they are asked only where nobody else can be."""
NO_EVIDENCE = "none"
_facts = msgspec.msgpack.Encoder()


class Ends(Protocol):
    """A `Closing`: the events of one decision in which tasks end."""

    events: list[AnyEvent]
    state: SwarmState
    cast: dict[str, dict[str, Cast]]
    """Ballots of this decision, by vote and member."""
    voted: dict[str, Decision]
    """Votes that this decision ends, or refers to a person."""
    standings: dict[str, Standing]
    """What results count as by the votes of this decision, by task."""

    def has_ended(self, name: str) -> bool: ...
    def cancel(self, name: str, reason: str) -> None: ...
    def fail(self, name: str, reason: str) -> None: ...
    def finish(self, root: str) -> None:
        """A plan whose parts have all ended completes."""
        ...

    def done_by(self, root: str) -> dict[str, None]:
        """The agents that completed a part of a plan in this decision."""
        ...

    def results_of(self, root: str) -> tuple[str, ...]:
        """The parts of a plan that have a result, by now or in this decision."""
        ...


# Opening ---------------------------------------------------------------------------------------


def completed(state: SwarmState, spec: VoteSpec) -> VoteSpec:
    """The vote with what is fixed when it is opened: weights, the threshold that holds where none
    is given, its time, and who decides when the ballots do not."""
    terms = spec.terms
    changes: dict[str, object] = {}
    if spec.mechanism is Mechanism.WEIGHTED and not terms.threshold_bp:
        mesh = topology_in_force(state) is Topology.MESH
        changes["threshold_bp"] = THRESHOLD_MESH_BP if mesh else THRESHOLD_WEIGHTED_BP
    if terms.resolution is Resolution.COORDINATOR and terms.decider is None:
        changes["decider"] = centre_of(state)
    if spec.asked and terms.timeout_ms is None:
        changes["timeout_ms"] = MEASURING_MS if spec.matter in MEASURED else TIMEOUT_MS
    if changes:
        terms = msgspec.structs.replace(terms, **changes)
    weights: tuple[int, ...] = ()
    if spec.asked or spec.mechanism is Mechanism.WEIGHTED:
        records = (state.records.of(member, terms.capability) for member in spec.electorate)
        weights = tuple(weight_bp(each.completed, each.failed) for each in records)
    return msgspec.structs.replace(spec, terms=terms, weights=weights)


def opening(
    state: SwarmState,
    spec: VoteSpec,
    command: str | None = None,
    results: tuple[str, ...] = (),
) -> list[AnyEvent]:
    """A vote is opened, and its members are asked where they are. `results`: tasks whose results
    they are given."""
    spec = completed(state, spec)
    if not spec.asked:
        return [e.VoteOpened(spec=spec, command=command)]
    tasks = tuple(task_for(spec.id, number) for number in range(1, len(spec.electorate) + 1))
    shown = _shown(state, spec)
    asks = (
        TaskSpec(
            id=task,
            type=CAST_BALLOT,
            description=spec.question,
            input=shown,
            agent=member,
            priority=Priority.HIGH,
            timeout_ms=spec.terms.timeout_ms,
            depends_on=results,
        )
        for task, member in zip(tasks, spec.electorate, strict=True)
    )
    return [
        e.VoteOpened(spec=spec, command=command, tasks=tasks),
        *(e.TaskSubmitted(spec=ask, waits=False) for ask in asks),
    ]


def task_for(vote: str, number: int) -> str:
    """The id of the task that asks the member of this number, from 1."""
    return f"{vote}.{number}"


def _shown(state: SwarmState, spec: VoteSpec) -> Payload:
    """What a member is given to form its ballot on."""
    shown: dict[str, object] = {
        "vote": spec.id,
        "matter": spec.matter.value,
        "question": spec.question,
        "options": spec.options,
        "task": spec.task,
        "proposal": msgspec.Raw(spec.proposal.inline) if spec.proposal.inline else None,
    }
    judged = None if spec.task is None else state.tasks.get(spec.task)
    if judged is not None:
        plan = judged.plan
        parts = [] if plan is None else [name for each in plan.phases for name in each.tasks]
        shown["of"] = {
            "type": judged.spec.type,
            "description": judged.spec.description,
            "inputs": _inputs(state, [judged.spec.id, *parts]),
        }
    if spec.matter is Matter.TASK_ASSIGNMENT:
        shown["bids"] = [_bid(state, spec, name) for name in spec.options]
    return Payload(inline=_facts.encode(shown))


def _inputs(state: SwarmState, names: list[str]) -> dict[str, msgspec.Raw]:
    """What these tasks were given, as far as it is small: a member may do one again."""
    found: dict[str, msgspec.Raw] = {}
    left = INPUTS_BYTES_MAX
    for name in names:
        task = state.tasks.get(name)
        body = None if task is None else task.spec.input.inline
        if body is not None and len(body) <= left:
            found[name] = msgspec.Raw(body)
            left -= len(body)
    return found


def _bid(state: SwarmState, spec: VoteSpec, name: str) -> dict[str, object]:
    """What a candidate would bid."""
    word = spec.terms.capability
    required = (word,) if word else ()
    return msgspec.structs.asdict(
        bid_by_record(state, name, required, state.records.of(name, word))
    )


# Ballots ---------------------------------------------------------------------------------------


def answered(ends: Ends, task: str, result: Payload | None, why: str = "") -> None:
    """A task that asked for a ballot ended; `None`: without a result, because of `why`."""
    state = ends.state
    name, member = state.polls.asked[task]
    vote = state.votes.get(name)
    opinion = read_opinion(vote, result, why)
    if vote is None or vote.referred or name in ends.voted:
        if result is not None:
            ends.events.append(refused(name, member, opinion.choice, "late_ballot", OVER))
        return
    before = vote.ballots[member]
    if before is not None or member in ends.cast.get(name, {}):
        if result is not None:
            told = "it has cast one already"
            ends.events.append(refused(name, member, opinion.choice, "second_ballot", told))
        return
    ends.events.append(
        e.BallotCast(
            vote=name,
            member=member,
            choice=opinion.choice,
            evidence=opinion.evidence or NO_EVIDENCE,
            reason=opinion.reason,
            facts=Payload(inline=_facts.encode(opinion.facts)) if opinion.facts else Payload(),
            ranking=opinion.ranking,
        )
    )
    cast_now(ends, vote, member, Cast(opinion.choice, opinion.ranking))


def leaves(ends: Ends, agent: str, why: str) -> None:
    """An agent is no more, or for good of no use: it answers nothing that it was asked. To be
    called before what it works on is ended."""
    for task, (_, member) in ends.state.polls.asked.items():
        if member == agent and not ends.has_ended(task):
            ends.cancel(task, why)


def cast_now(
    ends: Ends, vote: VoteState, member: str, cast: Cast, command: str | None = None
) -> None:
    """A ballot of this decision counts; the last one decides."""
    own = ends.cast.setdefault(vote.spec.id, {})
    own[member] = cast
    if all(said is not None or name in own for name, said in vote.ballots.items()):
        over = ends.state.closed is not None or any(map(_closes, ends.events[:1]))
        decide(ends, vote, SWARM_ENDED if over else ALL_CAST, command)


def _closes(event: AnyEvent) -> bool:
    return isinstance(event, e.SwarmClosed)


def refused(vote: str, member: str, choice: Choice, code: str, why: str) -> e.BallotRefused:
    """A ballot that does not count, on record."""
    message = f"The ballot of {member} on {vote} is refused: {why}."
    return e.BallotRefused(vote=vote, member=member, choice=choice, code=code, message=message)


# Decisions -------------------------------------------------------------------------------------


def decide(
    ends: Ends, vote: VoteState, reason: str, command: str | None = None, final: bool = False
) -> None:
    """The vote ends by the ballots that are there, or is referred to a person unless this is
    `final`."""
    spec, name = vote.spec, vote.spec.id
    own = ends.cast.get(name, {})
    ballots = {
        member: own.get(member) or (None if said is None else cast_of(vote, member, said))
        for member, said in vote.ballots.items()
    }
    found = outcome(spec, ballots)
    plain = spec.mechanism in MECHANISMS and not spec.options and not spec.asked
    shares = {} if plain else found.shares
    if found.decision is Decision.UNDECIDED:
        reason = f"{reason}; {why_undecided(spec, ballots)}"
    ends.voted[name] = found.decision
    if found.refer and not final:
        ends.events.append(
            VoteReferred(
                vote=name, tally=found.tally, reason=reason, shares=shares, command=command
            )
        )
    else:
        ends.events.append(
            e.VoteDecided(
                vote=name,
                decision=found.decision,
                tally=found.tally,
                reason=reason,
                command=command,
                chosen=found.chosen,
                shares=shares,
                decider=found.decider,
                regraded=regraded(ends, spec, found.decision),
            )
        )
    for task in vote.tasks:
        if not ends.has_ended(task):
            ends.cancel(task, OVER)
    if not found.refer or final:
        settle(ends, spec, found.decision, found.tally)


def cast_of(vote: VoteState, member: str, choice: Choice) -> Cast:
    """A ballot that was folded, as it counts."""
    return Cast(choice, vote.rankings.get(member, ()))


def regraded(ends: Ends, spec: VoteSpec, decision: Decision) -> tuple[Regraded, ...]:
    """What the results that a vote was about count as from now on, as far as that is new.

    One that was held back for the vote counts neither way where there is no decision; any other
    then stays what it was, so that a vote that nobody can judge takes no record away.
    """
    state, after = ends.state, STANDINGS.get(decision)
    if after is None and spec.gates and decision is Decision.UNDECIDED:
        after = Standing.UNCOUNTED
    if after is None:
        return ()
    found: list[Regraded] = []
    for task, result in state.records.votes.get(spec.id, {}).items():
        before = ends.standings.get(task, result.standing)
        if before is not after and result.agent in state.agents:
            found.append(Regraded(task, result.agent, before, after))
            ends.standings[task] = after
    return tuple(found)


def settle(
    ends: Ends, spec: VoteSpec, decision: Decision, tally: Tally, by_person: bool = False
) -> None:
    """What a decision makes of the plan that waits for it."""
    root = spec.task
    if not spec.gates or root is None or ends.has_ended(root):
        return
    members = len(spec.electorate)
    said = f"{tally.approve} of {members} members approve, {tally.reject} reject"
    if by_person:
        said = f"which a person decided; {said}"
    if decision is Decision.APPROVED:
        ends.finish(root)
    elif decision is Decision.REJECTED:
        ends.fail(root, f"its result is rejected: vote {spec.id}, {said}")
    else:
        ends.fail(root, f"there is no decision on its result: vote {spec.id}, {said}")


def expire(ends: Ends, now_ms: int) -> None:
    """Close the votes whose time is up."""
    for at_ms, name in ends.state.vote_ends.due(now_ms):
        vote = ends.state.votes.get(name)
        if vote is None or vote.referred or vote.deadline_ms != at_ms or name in ends.voted:
            continue
        decide(ends, vote, TIME_IS_UP)


# Plans that wait for a vote --------------------------------------------------------------------


def gate(ends: Ends, root: str) -> None:
    """All parts of a plan have ended: the swarm is asked whether it may complete."""
    state = ends.state
    authors = {**state.polls.authors.get(root, {}), **ends.done_by(root)}
    members = tuple(_others(state, authors))
    if not members:
        ends.fail(
            root,
            "no_electorate: its result needs the agreement of agents that did not make it all "
            "themselves, and there is no other",
        )
        return
    template = state.polls.gated[root]
    spec = msgspec.structs.replace(
        template,
        id=_unused(state, template.id, len(members)),
        electorate=members,
        task=root,
        gates=True,
        asked=True,
    )
    ends.events.extend(opening(state, spec, results=ends.results_of(root)))


def consented(template: VoteSpec | None) -> VoteSpec | None:
    """How a plan is voted on, as it was asked for with the plan.

    Raises:
        Refused: it cannot be so.
    """
    if template is None:
        return None
    usable = template.mechanism is not Mechanism.RANKED and not template.options
    if not usable or template.electorate or template.seats:
        raise Refused(
            "The result of a plan is approved or rejected by agents that are found when it is "
            "there.",
            code="usage",
        )
    wrong = wrong_terms(template)
    if wrong is not None:
        raise Refused(f"Vote {template.id} {wrong}.", code="usage")
    return template


def wrong_terms(spec: VoteSpec) -> str | None:
    """What no vote can be decided by."""
    terms = spec.terms
    if not (0 <= terms.threshold_bp <= FULL_BP and 0 <= terms.quorum_bp <= FULL_BP):
        return f"has a threshold or quorum that is not between 0 and {FULL_BP} basis points"
    if terms.timeout_ms is not None and not 0 < terms.timeout_ms <= TIMEOUT_MS_MAX:
        return (
            f"has a timeout of {terms.timeout_ms / 1_000:.12g} s; it is above 0 and at most "
            f"{TIMEOUT_MS_MAX // 1_000} s ({TIMEOUT_MS_MAX // 86_400_000} days)"
        )
    if len(terms.capability) > WORD_CHARS_MAX:
        return (
            f"names a capability of {len(terms.capability)} characters; {WORD_CHARS_MAX} are the "
            "most"
        )
    shown = len(spec.proposal.inline or b"")
    if shown > SHOWN_MAX:
        return f"shows its members a proposal of {shown} bytes; {SHOWN_MAX} are the most"
    return None


def _others(state: SwarmState, authors: Iterable[str]) -> list[str]:
    """Who votes on a result: agents that made no part of it, those still on their way up only
    where there are no others; where each made one, all of them."""
    made = dict.fromkeys(authors)
    present, arriving = (
        [
            name
            for name, agent in state.agents.items()
            if agent.status in statuses and name not in state.draining
        ]
        for statuses in (PRESENT, ARRIVING)
    )
    for able in (present, arriving):
        others = [name for name in able if name not in made]
        if others:
            return others
    every = present if len(present) > 1 else [*present, *arriving]
    return every if len(every) > 1 else []


def _unused(state: SwarmState, base: str, members: int) -> str:
    """An id for a vote that nothing else has, nor the tasks that ask its members."""
    name, number = base, 1
    while (
        name in state.votes
        or name in state.decided
        or any(
            task_for(name, each) in known
            for each in range(1, members + 1)
            for known in (state.tasks, state.finished)
        )
    ):
        number += 1
        name = f"{base}~{number}"
    return name


def gate_gone(ends: Ends, root: str) -> None:
    """A plan ended some other way while its result was voted on."""
    for name, vote in ends.state.votes.items():
        if vote.spec.gates and vote.spec.task == root and name not in ends.voted:
            decide(ends, vote, "its task has ended", final=True)


__all__ = [
    "ALL_CAST",
    "Ends",
    "answered",
    "cast_now",
    "cast_of",
    "consented",
    "decide",
    "expire",
    "gate",
    "gate_gone",
    "leaves",
    "opening",
    "refused",
    "regraded",
    "settle",
    "task_for",
    "wrong_terms",
]
