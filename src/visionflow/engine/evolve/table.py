"""The table of what folds each event, and the two things that most of them do."""

from collections.abc import Callable, Iterable
from typing import TypeVar, cast

from visionflow.domain.agents import AgentStatus
from visionflow.domain.events import Event
from visionflow.domain.limits import ANSWER_AGE_MS_MAX, ANSWERS_MAX, BATCH_MAX
from visionflow.domain.mesh import Seat
from visionflow.engine.circuits import holds
from visionflow.engine.places import places_taken
from visionflow.engine.scoring import level_of, load_level, score_bp, slots
from visionflow.engine.state import AgentState, Answer, SwarmState

E = TypeVar("E", bound=Event)
# Looking an enum's member up costs 0.1 us on 3.11, as much as all else that some folds do.
ABLE = (AgentStatus.READY, AgentStatus.PROCESSING)
TABLE: dict[type[Event], Callable[[SwarmState, Event], None]] = {}


def folds(kind: type[E]) -> Callable[[Callable[[SwarmState, E], None]], None]:
    """Register what folds this kind of event."""

    def register(function: Callable[[SwarmState, E], None]) -> None:
        TABLE[kind] = cast("Callable[[SwarmState, Event], None]", function)

    return register


def answer(state: SwarmState, command: str | None, first: Answer) -> None:
    """Keep the first answer to a command that carries an id, and let one that is too old go."""
    if command is None:
        return
    answers = state.answers
    answers[command] = first
    oldest = next(iter(answers))
    if len(answers) > ANSWERS_MAX or state.now_ms - answers[oldest].at_ms > ANSWER_AGE_MS_MAX:
        del answers[oldest]


def is_held(state: SwarmState, agent: str) -> bool:
    """Whether an agent gets no task now: it is to end, an update has yet to take effect, its worker
    is in doubt or to be replaced, or its circuit is open."""
    sup = state.supervised
    # Asked twice for each task, and nearly always all of these are empty.
    if not (
        sup.circuits
        or state.draining
        or state.updating
        or state.moving
        or sup.suspects
        or sup.awaited
        or sup.recycling
        or sup.restarting
    ):
        return False
    if agent in state.draining or agent in state.updating or agent in state.moving:
        return True
    worker = state.agents[agent].worker
    if worker in sup.suspects or worker in sup.awaited:
        return True
    if worker in sup.recycling or worker in sup.restarting:
        return True
    if not holds(sup.circuits, agent, is_busy=True):
        return False
    return holds(sup.circuits, agent, bool(state.agents[agent].open) or bids(state, agent))


def bids(state: SwarmState, agent: str) -> bool:
    """Whether an agent takes part in an auction, and may be given its task by it."""
    if not state.mesh.auctions:
        return False
    seats = (seat for auction in state.mesh.auctions.values() for seat in auction.seats)
    return any(seat.agent == agent for seat in seats)


def refresh_bidders(state: SwarmState, seats: Iterable[Seat]) -> None:
    """Bring those who took part in an auction, or do now, in step where that matters: whoever is to
    try its circuit with one task bids for one."""
    if state.supervised.circuits:
        for seat in seats:
            agent = state.agents.get(seat.agent)
            if agent is not None and state.matching.room(seat.agent) is not None:
                refresh(state, agent)


def not_measured(state: SwarmState, gap_ms: int) -> None:
    """Nobody was there for so long: that is no work, and nobody's waiting."""
    totals = state.totals
    totals.since_ms = min(totals.since_ms + gap_ms, state.now_ms)
    for agent in totals.idle:
        totals.idle[agent] = state.now_ms
    for agent in totals.room:
        totals.room[agent] = state.now_ms


def refresh_worker(state: SwarmState, worker: str) -> None:
    """`refresh` for all agents of a worker."""
    found = state.workers.get(worker)
    if found is not None:
        for agent in found.agents:
            if state.matching.room(agent) is not None:
                refresh(state, state.agents[agent])


def may_batch(state: SwarmState, agent: AgentState) -> bool:
    """Whether an agent may be given one more for a batch: all that it holds could be in one."""
    types = state.supervised.batches.get(agent.spec.id)
    if types is None or len(agent.open) >= BATCH_MAX * agent.spec.tasks_max:
        return False
    return all(state.tasks[name].spec.type in types for name in agent.open)


def holds_waiting(state: SwarmState, agent: AgentState) -> bool:
    """Whether an attempt of an agent waits for something, or holds a lock: what is given to it
    ahead might be just what that waits for."""
    waits, lockers = state.supervised.waits, state.lockers
    if not waits and not lockers:
        return False
    return any(task in waits or task in lockers for task in agent.open)


def refresh(state: SwarmState, agent: AgentState) -> None:
    """Bring an agent's place in the matching index in step with its record and load."""
    level = -1
    if agent.status in ABLE and state.closed is None and not is_held(state, agent.spec.id):
        completed, mean_us = agent.completed, agent.mean_us
        held, tasks_max = places_taken(state, agent), agent.spec.tasks_max
        room = held < tasks_max
        if not room and not holds_waiting(state, agent):
            room = held < slots(completed, mean_us, tasks_max)
            room = room or (bool(state.supervised.batches) and may_batch(state, agent))
        if room and state.by_load:
            level = load_level(held, tasks_max)
        elif room:
            level = level_of(score_bp(completed, agent.failed, mean_us, held, tasks_max))
    if level >= 0 and state.matching.room(agent.spec.id) == -1:
        state.totals.room[agent.spec.id] = state.now_ms
    state.matching.place(agent.spec.id, level)
