"""Who could take over what was given out and has not begun; pure, and nothing is changed here.

What is queued belongs to nobody. Only attempts that were given out ahead can be in the wrong place:
they wait behind others in a worker while an agent elsewhere has nothing to do. Which agent a task
goes to once it is queued again is for `matching` to say, so a move is only proposed where that
would choose the one it is meant for.
"""

from collections.abc import Iterator

import msgspec

from visionflow.domain.agents import AgentStatus
from visionflow.domain.limits import BATCH_MAX
from visionflow.domain.tasks import TaskStatus
from visionflow.domain.teams import is_leading
from visionflow.engine.places import places_taken
from visionflow.engine.scoring import level_of, load_level, score_bp, slots
from visionflow.engine.state import AgentState, SwarmState, TaskState
from visionflow.engine.topology.seats import key_of

STEAL_WAIT_MS = 250
"""An attempt that has waited this long in its worker may be asked back for somebody idle: longer
than all that an agent is given ahead should take."""
STEALS_MAX = 64
"""Attempts that are asked back for others at one time."""
NOBODY = "nobody who could do it has room and holds less"
NO_SPECIALIST = "no better specialist has room for it"
ABLE = (AgentStatus.READY, AgentStatus.PROCESSING)
ASSIGNED = TaskStatus.ASSIGNED


class Move(msgspec.Struct, frozen=True, gc=False):
    """An attempt that has not begun as far as the log says, and who would take its task."""

    task: str
    holder: str
    taker: str


def unbegun(state: SwarmState, agent: AgentState) -> list[TaskState]:
    """What an agent was given and has not begun, as far as the log says, the latest first.

    None that is asked back or being cancelled, nor one that only this agent may do, nor one by
    which it leads: that begins at once, beside its work.
    """
    recalling = state.supervised.recalling
    return [
        task
        for task in (state.tasks[name] for name in reversed(agent.open))
        if task.status is ASSIGNED
        and task.cancelling is None
        and task.spec.agent is None
        and task.spec.id not in recalling
        and not is_leading(task.spec.type)
    ]


def level_with(state: SwarmState, agent: AgentState, held: int) -> int:
    """The level at which an agent that holds so many attempts would be offered the next."""
    if state.by_load:
        return load_level(held, agent.spec.tasks_max)
    return level_of(
        score_bp(agent.completed, agent.failed, agent.mean_us, held, agent.spec.tasks_max)
    )


def may_steal(state: SwarmState) -> bool:
    """Whether `steals` has anything to look at: somebody has room, and something is given out."""
    return state.matching.has_room and state.live > len(state.matching) and state.closed is None


def steals(state: SwarmState, now_ms: int) -> list[Move]:
    """What is to be asked back now from the longest tails, for agents that could begin it at once.

    Bounded by how much those could begin, less what is on its way back already.
    """
    if not may_steal(state):
        return []
    found: list[Move] = []
    spare: dict[str, int] = {}
    most = STEALS_MAX - len(state.supervised.recalling)
    for agent, task in _tails(state, now_ms):
        if len(found) >= most:
            break
        taker = _taker(state, agent, task, spare)
        if taker is not None:
            spare[taker] -= 1
            found.append(Move(task.spec.id, agent.spec.id, taker))
    return found


def _tails(state: SwarmState, now_ms: int) -> Iterator[tuple[AgentState, TaskState]]:
    """Attempts beyond what their agents work on at once that have waited long enough, those of the
    agent with the longest tail first."""
    # One in doubt may not answer; what is asked of it would only stand in the way of others.
    doubtful = (state.supervised.suspects, state.supervised.awaited)
    behind = [
        agent
        for agent in state.agents.values()
        if len(agent.open) > agent.spec.tasks_max
        and places_taken(state, agent) > agent.spec.tasks_max
        and not any(agent.worker in each for each in doubtful)
    ]
    behind.sort(key=lambda agent: agent.spec.tasks_max - places_taken(state, agent))
    for agent in behind:
        tail = places_taken(state, agent) - agent.spec.tasks_max
        for task in unbegun(state, agent)[:tail]:
            if now_ms - task.changed_ms >= STEAL_WAIT_MS:
                yield agent, task


def _taker(
    state: SwarmState, holder: AgentState, task: TaskState, spare: dict[str, int]
) -> str | None:
    """Who would be given the task and could begin it at once; nobody, where its holder would get
    it again."""
    spec = task.spec
    again = level_with(state, holder, places_taken(state, holder) - 1)
    for name, level in state.matching.takers((*key_of(state, spec)[:2], None)):
        if level <= again:
            return None
        if name == holder.spec.id:
            continue
        if name not in spare:
            agent = state.agents[name]
            spare[name] = agent.spec.tasks_max - places_taken(state, agent)
        if spare[name] > 0:
            return name
    return None


# On request ------------------------------------------------------------------------------------


class Kept(msgspec.Struct, frozen=True, gc=False):
    """An attempt that stays where it is, and why."""

    task: str
    holder: str
    why: str


def evened(state: SwarmState, moves_max: int) -> tuple[list[Move], list[Kept]]:
    """What would make the load of agents even: from those that hold the most for what they work
    on at once, to those with room that hold less, one by one while that evens anything."""
    held = {name: places_taken(state, agent) for name, agent in state.agents.items()}
    moves: list[Move] = []
    kept: list[Kept] = []
    left = {name: unbegun(state, agent) for name, agent in state.agents.items() if agent.open}
    while left and len(moves) < moves_max:
        holder = max(left, key=lambda name: _share(state, name, held[name]))
        if not left[holder]:
            del left[holder]
            continue
        task = left[holder].pop(0)
        taker = _emptiest(state, task, holder, held)
        if taker is None:
            kept.append(Kept(task.spec.id, holder, NOBODY))
            continue
        held[holder] -= 1
        held[taker] += 1
        moves.append(Move(task.spec.id, holder, taker))
    return moves, kept


def specialised(state: SwarmState, moves_max: int) -> tuple[list[Move], list[Kept]]:
    """What would go to an agent that offers less beside what the task asks for, and has room."""
    moves: list[Move] = []
    kept: list[Kept] = []
    spare: dict[str, int] = {}
    for name, agent in state.agents.items():
        for task in unbegun(state, agent):
            if len(moves) == moves_max:
                return moves, kept
            taker = _taker(state, agent, task, spare)
            if taker is not None and _breadth(state, taker) < _breadth(state, name):
                spare[taker] -= 1
                moves.append(Move(task.spec.id, name, taker))
            else:
                kept.append(Kept(task.spec.id, name, NO_SPECIALIST))
    return moves, kept


def _share(state: SwarmState, agent: str, held: int) -> float:
    return held / state.agents[agent].spec.tasks_max


def _capacity(state: SwarmState, name: str, task: TaskState) -> int:
    """How many attempts an agent may hold, this task's among them."""
    agent = state.agents[name]
    tasks_max = agent.spec.tasks_max
    most = slots(agent.completed, agent.mean_us, tasks_max)
    if task.spec.type in state.supervised.batches.get(name, ()):
        most = max(most, BATCH_MAX * tasks_max)
    return most


def _breadth(state: SwarmState, agent: str) -> int:
    return len(state.agents[agent].spec.capabilities)


def _emptiest(state: SwarmState, task: TaskState, holder: str, held: dict[str, int]) -> str | None:
    """Who would be given the task and holds least, if that is less than its holder has without
    it."""
    spec = task.spec
    own = _share(state, holder, held[holder])
    best: tuple[float, str] | None = None
    for name, _ in state.matching.takers((*key_of(state, spec)[:2], None)):
        share = _share(state, name, held[name] + 1)
        if name == holder or share >= own or held[name] >= _capacity(state, name, task):
            continue
        if best is None or share < best[0]:
            best = (share, name)
    return None if best is None else best[1]
