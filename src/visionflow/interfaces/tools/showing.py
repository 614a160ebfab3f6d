"""Agents as replies show them. Every value is from the state, the log or the system; else null."""

from typing import Any, cast

import msgspec

from visionflow.domain.agents import AgentSpec, AgentStatus
from visionflow.domain.sizes import memory_text
from visionflow.domain.supervision import CircuitStatus
from visionflow.domain.tasks import Payload
from visionflow.engine.state import AgentState, SwarmState
from visionflow.interfaces.tools.arguments import Result
from visionflow.interfaces.tools.casting import held_by
from visionflow.interfaces.tools.moments import iso_or_none
from visionflow.ports.views import AgentRow
from visionflow.runtime.swarms import LiveSwarm

SPAWNING = "spawning"


class AgentShown(Result, frozen=True, kw_only=True):
    """An agent in a list."""

    id: str
    type: str
    name: str
    status: str
    current_task: str | None
    pid: int | None
    """The worker process that hosts it."""
    swarm_id: str


class Allocated(Result, frozen=True, kw_only=True):
    """What an agent is held to."""

    allocated: bool
    cpu: str | None = None
    memory: str | None
    gpu_device: int | None = None
    enforced_by: str | None


def shown(swarm: LiveSwarm, agent: AgentState) -> AgentShown:
    """A living agent."""
    spec = agent.spec
    return AgentShown(
        id=spec.id,
        type=spec.type,
        name=spec.name,
        status=agent.status,
        current_task=next(iter(agent.open), None),
        pid=pid_of(swarm.state, agent),
        swarm_id=swarm.id,
    )


def row_shown(swarm: str, row: AgentRow) -> AgentShown:
    """One that has left, as the log has it."""
    return AgentShown(
        id=row.id,
        type=row.type,
        name=row.name,
        status=row.status,
        current_task=None,
        pid=None,
        swarm_id=swarm,
    )


def pid_of(state: SwarmState, agent: AgentState) -> int | None:
    """The process that hosts it, while there is one."""
    worker = state.workers.get(agent.worker)
    return None if worker is None else worker.pid


def circuit_of(state: SwarmState, agent: str) -> CircuitStatus:
    """Where the circuit breaker of an agent stands."""
    found = state.supervised.circuits.get(f"agent:{agent}")
    return CircuitStatus.CLOSED if found is None else found.status


def debug_until(swarm: LiveSwarm, agent: str) -> str | None:
    """Until when an agent's lines of level debug are kept, if they are."""
    until_ms = swarm.state.supervised.debugging.get(agent, 0)
    return iso_or_none(until_ms if until_ms > swarm.now_ms else None)


def spawn_word(status: AgentStatus) -> str:
    """The status in a reply to a spawn."""
    return SPAWNING if status in (AgentStatus.CREATED, AgentStatus.INITIALISING) else status


def allocated(spec: AgentSpec, moving: bool = False) -> Allocated:
    """The ceiling of an agent, and what holds it; `moving`: it has yet to get the process of its
    own that does."""
    ceiling = spec.limits.memory_bytes
    means = None if ceiling is None or moving else held_by(ceiling)
    return Allocated(
        allocated=means is not None,
        memory=None if ceiling is None else memory_text(ceiling),
        enforced_by=means,
    )


def config_of(config: Payload) -> dict[str, Any] | None:
    """An agent's settings; `None` when they are so large that they are in a blob."""
    if config.blob is not None:
        return None
    if config.inline is None:
        return {}
    found = msgspec.msgpack.decode(config.inline)
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}
