"""The stages of a plan in a sequential swarm: the tasks of a phase that are for agents of several
types are done one type after the other. Pure.

The phases themselves keep the order in which whoever asked put them.
"""

from itertools import groupby

from visionflow.domain.swarms import Topology
from visionflow.domain.tasks import Phase, TaskSpec
from visionflow.engine.state import SwarmState
from visionflow.engine.topology.rules import stage_rank, stages, topology_in_force

Place = tuple[int, int]


def in_stages(
    state: SwarmState, phases: tuple[Phase, ...]
) -> tuple[tuple[Phase, ...], dict[str, tuple[int, ...]]]:
    """The phases with their tasks in the order of stages; of each that has several, how many tasks
    are of each. In a swarm that is not sequential they stay as they are."""
    if topology_in_force(state) is not Topology.SEQUENTIAL:
        return phases, {}
    order = stages(state)
    known: dict[tuple[str | None, str | None, tuple[str, ...]], Place] = {}
    ordered: list[Phase] = []
    sizes: dict[str, tuple[int, ...]] = {}
    for phase in phases:
        placed: list[tuple[Place, TaskSpec]] = []
        for spec in phase.tasks:
            asked = (spec.agent_type, spec.agent, spec.capabilities)
            if asked not in known:
                known[asked] = _place(state, order, spec)
            placed.append((known[asked], spec))
        placed.sort(key=lambda each: each[0])
        counts = tuple(len(list(group)) for _, group in groupby(place for place, _ in placed))
        if len(counts) > 1:
            sizes[phase.name] = counts
            tasks = tuple(spec for _, spec in placed)
            phase = Phase(phase.name, tasks, phase.sequential, phase.uses, phase.width)
        ordered.append(phase)
    return tuple(ordered), sizes


def _place(state: SwarmState, order: list[str], spec: TaskSpec) -> Place:
    """Where the stage of a task stands: that of the agents that it asks for, else the first one
    that has somebody able to do it."""
    agent_type = spec.agent_type
    if agent_type is None and spec.agent is not None and spec.agent in state.agents:
        agent_type = state.agents[spec.agent].spec.type
    if agent_type is None:
        able = (each for each in order if state.matching.able((spec.capabilities, each, None)))
        agent_type = next(able, None)
    if agent_type is None:
        return (stage_rank(""), len(order) + 1)
    rank = stage_rank(agent_type)
    if rank < stage_rank(""):
        return (rank, 0)
    return (rank, order.index(agent_type) if agent_type in order else len(order))
