"""Whether anybody in a swarm can take a task, and if not, what would mend that, in words."""

from visionflow.domain.agents import AgentStatus
from visionflow.domain.tasks import TERMINAL, TaskStatus
from visionflow.domain.teams import LEAD_PREFIX, LEADS, MANAGER
from visionflow.engine.matching import needs
from visionflow.engine.state import PlanState, SwarmState, TaskState
from visionflow.engine.topology.seats import (
    OF_A_TEAM,
    SEATS,
    UNDECIDED,
    key_of,
    offers_of,
    seated,
)
from visionflow.interfaces.tools.voted import referred_on
from visionflow.runtime.swarms import Swarms

TITLE_CHARS = 60
"""Of a task's text."""


def crowded(swarms: Swarms) -> str | None:
    """What mends it that an agent is missing, where the server has no room for one."""
    if swarms.agents < swarms.agents_max:
        return None
    return (
        f"this server has its {swarms.agents_max} agents (MAX_AGENTS): agent_terminate makes room, "
        "then agent_spawn adds one."
    )


def nobody_takes(state: SwarmState, task: TaskState, full: str | None = None) -> str | None:
    """Why no agent, busy or not, can take this queued task; `None`: one can. Here and below,
    `full` is what `crowded` says of the server."""
    if LEADS in task.spec.capabilities and not state.teams.teams:
        return "No team can be chosen for it: this swarm has no teams; agent_spawn forms one."
    return nobody_can(state, *key_of(state, task.spec), full)


def kept_waiting(state: SwarmState, plan: PlanState, full: str | None = None) -> list[str]:
    """What of a plan is queued and nobody can take, a sentence for each reason, in order."""
    found: dict[str, list[str]] = {}
    for phase in plan.phases[: plan.current + 1]:
        for name in phase.tasks:
            part = state.tasks.get(name)
            if part is not None and part.status is TaskStatus.QUEUED:
                why = nobody_takes(state, part, full)
                if why is not None:
                    found.setdefault(why, []).append(part.spec.description[:TITLE_CHARS])
    return [f"{_all_of(titles)} waits: {why}" for why, titles in found.items()]


def in_vain(state: SwarmState, task: TaskState, full: str | None = None) -> list[str]:
    """Why waiting for a task leads to nothing as things are: nothing of it is under way, and what
    is queued nobody can take, or a person is to decide. Empty: it goes on by itself, is blocked, or
    has ended."""
    piped = state.pipelines.open.get(task.spec.id)
    if piped is not None and piped.task is not None:
        task = state.tasks[piped.task]
    if task.plan is None:
        why = nobody_takes(state, task, full) if task.status is TaskStatus.QUEUED else None
        return [] if why is None else [why]
    if task.status is not TaskStatus.ORCHESTRATING or any(
        _goes_on(state, name) for name in _parts(task.plan)
    ):
        return []
    person = referred_on(state, task.spec.id)
    return kept_waiting(state, task.plan, full) + ([] if person is None else [person])


def _parts(plan: PlanState) -> list[str]:
    return [name for phase in plan.phases[: plan.current + 1] for name in phase.tasks]


def _goes_on(state: SwarmState, name: str) -> bool:
    part = state.tasks.get(name)
    if part is None or part.status in TERMINAL:
        return False
    if part.status is TaskStatus.QUEUED:
        return nobody_takes(state, part) is None
    return part.status is not TaskStatus.PENDING or part.retry_at_ms is not None


def _all_of(titles: list[str]) -> str:
    return titles[0] if len(titles) == 1 else f"{titles[0]} (with {len(titles) - 1} more)"


def nobody_can(
    state: SwarmState,
    capabilities: tuple[str, ...],
    agent_type: str | None = None,
    agent: str | None = None,
    full: str | None = None,
) -> str | None:
    """Why no agent of the swarm, busy or not, can take such a task; `None`: one can."""
    capabilities = tuple(word for word in capabilities if word != LEADS)
    key = (capabilities, agent_type, agent)
    if state.matching.able(key) and not state.draining:
        return None
    living = {name: each.spec for name, each in state.agents.items() if _takes_part(state, name)}
    wanted = needs(key)
    for spec in living.values():
        if agent in (None, spec.id) and wanted <= offers_of(state, spec):
            return None
    if agent is not None:
        only = living.get(agent)
        if only is None:
            left = state.agents.get(agent)
            if left is not None and left.status is AgentStatus.FAILED:
                why = "" if left.reason is None else f" ({left.reason.rstrip('.')})"
                return (
                    f"It is for agent {agent} only, which has failed{why}; agent_restart brings it "
                    "back."
                )
            gone = (
                "is not there (any more)" if left is None else f"ends or has ended ({left.status})"
            )
            return f"It is for agent {agent} only, which {gone}."
        lacks = [each for each in capabilities if each not in only.capabilities]
        lacks += [agent_type] if agent_type not in (None, only.type) else []
        return f"It is for agent {agent} only, which lacks {', '.join(lacks)}."
    failed = _failed(state, key)
    if failed is not None:
        return failed
    mend = _mend(state, full)
    seat = next((word for word in capabilities if word.startswith(SEATS)), None)
    if seat is not None:
        others = tuple(word for word in capabilities if word != seat)
        return _of_seat(state, seat, others, agent_type, mend)
    if not living:
        return f"The swarm has no agents; {mend}"
    if agent_type is not None and all(each.type != agent_type for each in living.values()):
        return f"There is no agent of type {agent_type}; {mend}"
    offered = {word for each in living.values() for word in each.capabilities}
    missing = [each for each in capabilities if each not in offered]
    if missing:
        return f"No agent has the capability {', '.join(missing)}; {mend}"
    wanted = ", ".join(capabilities) or "what it needs"
    kind = "" if agent_type is None else f" of type {agent_type}"
    return f"No one agent{kind} has all of {wanted}; {mend}"


def _of_seat(
    state: SwarmState, seat: str, others: tuple[str, ...], agent_type: str | None, mend: str
) -> str:
    """Why nobody sits there who could take a task for a seat."""
    lacking = [*others, *([] if agent_type is None else [f"type {agent_type}"])]
    manager = state.teams.manager
    if seat in (MANAGER, UNDECIDED) and manager is None:
        return f"It waits for the manager, and this swarm has none; {mend}"
    if seat == UNDECIDED:
        return f"It waits for the manager, {manager}, to choose a team."
    if seat == MANAGER:
        return f"It is for the manager, {manager}, which lacks one of {', '.join(lacking)}."
    if not seat.startswith(OF_A_TEAM):
        return f"It is for seat {seat}, and there is no such seat."
    name = seat[len(UNDECIDED) :]
    if name not in state.teams.teams:
        there = f"; teams: {', '.join(state.teams.teams)}" if state.teams.teams else ""
        return (
            f"It is for team {name}, and there is no team of that name{there}. agent_spawn with "
            "config.hierarchy forms one."
        )
    rank, people = ("lead" if seat.startswith(LEAD_PREFIX) else "worker"), seated(state, name)
    if not people:
        who = "leads" if rank == "lead" else "is left in"
        why = f"Nobody {who} team {name}"
    elif rank == "lead":
        why = f"The lead of team {name}, {people[0].spec.id}, lacks one of {', '.join(lacking)}"
    else:
        why = f"No one agent in team {name} has all of {', '.join(lacking)}"
    return f'{why}; {mend} Its config.hierarchy is {{"rank": "worker", "team": "{name}"}}.'


def _failed(state: SwarmState, key: tuple[tuple[str, ...], str | None, str | None]) -> str | None:
    """Which agent could take such a task, had it not failed for good."""
    wanted = needs(key)
    found = [
        each
        for each in state.agents.values()
        if each.status is AgentStatus.FAILED and wanted <= offers_of(state, each.spec)
    ]
    if not found:
        return None
    first, more = found[0], len(found) - 1
    also = "" if not more else f", like {more} more"
    why = "" if first.reason is None else f" ({first.reason.rstrip('.')})"
    return (
        f"Agent {first.spec.id} could take it, but has failed{also}{why}; agent_restart brings it "
        "back."
    )


def _mend(state: SwarmState, full: str | None) -> str:
    most = None if state.spec is None else state.spec.limits.agents_max
    if full is not None:
        return full
    if most is None or len(state.agents) < most:
        return "agent_spawn adds one."
    return f"it has its {most} agents: swarm_scale gives it room, then agent_spawn adds one."


def _takes_part(state: SwarmState, agent: str) -> bool:
    """Whether an agent takes tasks, now or when it is up again."""
    return agent not in state.draining and state.matching.room(agent) is not None
