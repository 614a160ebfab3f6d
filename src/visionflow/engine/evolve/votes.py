"""Folds of what happens to votes."""

from visionflow.domain import events as e
from visionflow.domain.events import Event
from visionflow.domain.limits import FINISHED_IDS_MAX
from visionflow.domain.votes import VoteStatus
from visionflow.engine.evolve.table import answer, folds
from visionflow.engine.lifecycles import IllegalTransition, next_vote_status
from visionflow.engine.state import Answer, SwarmState, VoteState


def _move(state: SwarmState, vote: str, event: type[Event]) -> VoteStatus:
    status = VoteStatus.OPEN if vote in state.votes else VoteStatus.DECIDED
    return next_vote_status(status, event, vote)


@folds(e.VoteOpened)
def _(state: SwarmState, event: e.VoteOpened) -> None:
    spec = event.spec
    state.votes[spec.id] = VoteState(spec, dict.fromkeys(spec.electorate))
    answer(state, event.command, Answer(state.now_ms, spec.id))


@folds(e.BallotCast)
def _(state: SwarmState, event: e.BallotCast) -> None:
    _move(state, event.vote, e.BallotCast)
    ballots = state.votes[event.vote].ballots
    if ballots.get(event.member, event.choice) is not None:
        raise IllegalTransition(f"{event.member} has no ballot (any more) on vote {event.vote}")
    ballots[event.member] = event.choice
    answer(state, event.command, Answer(state.now_ms, event.vote))


@folds(e.BallotRefused)
def _(state: SwarmState, event: e.BallotRefused) -> None:
    state.counters.refusals += 1
    answer(state, event.command, Answer(state.now_ms, None, event.code, event.message))


@folds(e.VoteDecided)
def _(state: SwarmState, event: e.VoteDecided) -> None:
    _move(state, event.vote, e.VoteDecided)
    del state.votes[event.vote]
    state.decided[event.vote] = event.decision
    if len(state.decided) > FINISHED_IDS_MAX:
        del state.decided[next(iter(state.decided))]
    answer(state, event.command, Answer(state.now_ms, event.vote))
