"""Who could take over what was given out and has not begun; pure, and nothing is changed here.

What is queued belongs to nobody. Only attempts that were given out ahead can be in the wrong place:
they wait behind others in a worker while an agent elsewhere has nothing to do. Which agent a task
goes to once it is queued again is for `matching` to say, so a move is only proposed where that
would choose the one it is meant for.
"""

from collections.abc import Iterator

import msgspec

from visionflow.domain.agents import AgentStatus
from visionflow.domain.tasks import TaskStatus
from visionflow.engine.scoring import level_of, score_bp
from visionflow.engine.state import AgentState, SwarmState, TaskState

STEAL_WAIT_MS = 250
"""An attempt that has waited this long in its worker may be asked back for somebody idle: longer
than all that an agent is given ahead should take."""
STEALS_MAX = 64
"""Attempts that are asked back for others at one time."""
ABLE = (AgentStatus.READY, AgentStatus.PROCESSING)
ASSIGNED = TaskStatus.ASSIGNED


class Move(msgspec.Struct, frozen=True, gc=False):
    """An attempt that has not begun as far as the log says, and who would take its task."""

    task: str
    holder: str
    taker: str


def unbegun(state: SwarmState, agent: AgentState) -> list[TaskState]:
    """What an agent was given and has not begun, as far as the log says, the latest first.

    None that is asked back or being cancelled, nor one that only this agent may do.
    """
    recalling = state.supervised.recalling
    return [
        task
        for task in (state.tasks[name] for name in reversed(agent.open))
        if task.status is ASSIGNED
        and task.cancelling is None
        and task.spec.agent is None
        and task.spec.id not in recalling
    ]


def level_with(agent: AgentState, held: int) -> int:
    """The level at which an agent that holds so many attempts would be offered the next."""
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
    behind = [agent for agent in state.agents.values() if len(agent.open) > agent.spec.tasks_max]
    behind.sort(key=lambda agent: agent.spec.tasks_max - len(agent.open))
    for agent in behind:
        tail = len(agent.open) - agent.spec.tasks_max
        for task in unbegun(state, agent)[:tail]:
            if now_ms - task.changed_ms >= STEAL_WAIT_MS:
                yield agent, task


def _taker(
    state: SwarmState, holder: AgentState, task: TaskState, spare: dict[str, int]
) -> str | None:
    """Who would be given the task and could begin it at once; nobody, where its holder would get
    it again."""
    spec = task.spec
    again = level_with(holder, len(holder.open) - 1)
    for name, level in state.matching.takers((spec.capabilities, spec.agent_type, None)):
        if level <= again:
            return None
        if name == holder.spec.id:
            continue
        if name not in spare:
            agent = state.agents[name]
            spare[name] = agent.spec.tasks_max - len(agent.open)
        if spare[name] > 0:
            return name
    return None
