"""Folds of what happens to votes."""

from visionflow.domain import events as e
from visionflow.domain.events import Event
from visionflow.domain.limits import FINISHED_IDS_MAX
from visionflow.domain.tasks import TaskSpec
from visionflow.domain.votes import Decision, Regraded, Standing, VoteStatus
from visionflow.domain.votes_events import VoteReferred
from visionflow.engine.evolve.table import ABLE, answer, folds, refresh
from visionflow.engine.lifecycles import IllegalTransition, next_vote_status
from visionflow.engine.polls import OVER_MAX, Said, Verdict
from visionflow.engine.records import change_of
from visionflow.engine.state import Answer, SwarmState, VoteState


def _move(state: SwarmState, vote: str, event: type[Event]) -> VoteStatus:
    found = state.votes.get(vote)
    status = VoteStatus.DECIDED
    if found is not None:
        status = VoteStatus.REFERRED if found.referred else VoteStatus.OPEN
    return next_vote_status(status, event, vote)


@folds(e.VoteOpened)
def _(state: SwarmState, event: e.VoteOpened) -> None:
    spec, timeout_ms = event.spec, event.spec.terms.timeout_ms
    vote = state.votes[spec.id] = VoteState(spec, dict.fromkeys(spec.electorate))
    if timeout_ms is not None:
        vote.deadline_ms = state.now_ms + timeout_ms
        state.vote_ends.set(vote.deadline_ms, spec.id)
    if spec.asked:
        vote.opened_ms, vote.tasks = state.now_ms, event.tasks
        for task, member in zip(event.tasks, spec.electorate, strict=True):
            state.polls.asked[task] = (spec.id, member)
    if spec.task is not None:
        state.records.voted_on(spec.id, _parts_of(state, spec.task))
    answer(state, event.command, Answer(state.now_ms, spec.id))


def _parts_of(state: SwarmState, name: str) -> list[TaskSpec]:
    """What a result consists of: of a plan its parts, else the task itself."""
    task = state.tasks.get(name)
    if task is None:
        return []
    if task.plan is None:
        return [task.spec]
    names = (part for phase in task.plan.phases for part in phase.tasks)
    return [state.tasks[part].spec for part in names if part in state.tasks]


@folds(e.BallotCast)
def _(state: SwarmState, event: e.BallotCast) -> None:
    _move(state, event.vote, e.BallotCast)
    vote = state.votes[event.vote]
    ballots = vote.ballots
    if ballots.get(event.member, event.choice) is not None:
        raise IllegalTransition(f"{event.member} has no ballot (any more) on vote {event.vote}")
    ballots[event.member] = event.choice
    if event.ranking:
        vote.rankings[event.member] = event.ranking
    if vote.spec.asked:
        vote.said[event.member] = Said(event.evidence, event.reason, event.facts, event.ranking)
    answer(state, event.command, Answer(state.now_ms, event.vote))


@folds(e.BallotRefused)
def _(state: SwarmState, event: e.BallotRefused) -> None:
    state.counters.refusals += 1
    answer(state, event.command, Answer(state.now_ms, None, event.code, event.message))


@folds(VoteReferred)
def _(state: SwarmState, event: VoteReferred) -> None:
    _move(state, event.vote, VoteReferred)
    vote = state.votes[event.vote]
    vote.referred, vote.deadline_ms = True, None
    vote.verdict = Verdict(Decision.UNDECIDED, event.tally, event.reason, shares=event.shares)
    _trim(state)
    answer(state, event.command, Answer(state.now_ms, event.vote))


@folds(e.VoteDecided)
def _(state: SwarmState, event: e.VoteDecided) -> None:
    _move(state, event.vote, e.VoteDecided)
    vote = state.votes.pop(event.vote)
    state.decided[event.vote] = event.decision
    if len(state.decided) > FINISHED_IDS_MAX:
        del state.decided[next(iter(state.decided))]
    if vote.spec.asked:
        vote.verdict = Verdict(
            event.decision,
            event.tally,
            event.reason,
            event.chosen,
            event.shares,
            event.decider,
            event.person,
        )
        vote.referred, vote.ended_ms = False, state.now_ms
        over = state.polls.over
        over[event.vote] = vote
        if len(over) > OVER_MAX:
            del over[next(iter(over))]
    state.records.decided(event.vote, event.regraded)
    for regraded in event.regraded:
        _regrade(state, regraded)
    _trim(state)
    answer(state, event.command, Answer(state.now_ms, event.vote))


def _regrade(state: SwarmState, regraded: Regraded) -> None:
    agent = state.agents.get(regraded.agent)
    if agent is None:
        return
    completed = change_of(regraded, Standing.COMPLETED)
    failed = change_of(regraded, Standing.FAILED)
    agent.completed += completed
    agent.failed += failed
    life = state.supervised.lives.get(agent.worker)
    if life is not None:
        # Its attempts have ended as often as before.
        life.done += completed + failed
    if agent.status in ABLE:
        refresh(state, agent)


def _trim(state: SwarmState) -> None:
    def counts(at_ms: int, name: str) -> bool:
        vote = state.votes.get(name)
        return vote is not None and vote.deadline_ms == at_ms

    state.vote_ends.trim(counts)
