"""What workers should hold of their agents, and where what they say differs from it. Pure."""

from enum import StrEnum

import msgspec

from visionflow.domain.agents import AgentStatus
from visionflow.domain.digests import spec_digest
from visionflow.domain.messages import HeldAgent
from visionflow.engine.state import SwarmState

UP = (AgentStatus.READY, AgentStatus.PROCESSING)


class Difference(StrEnum):
    """How an agent in a worker differs from what the log says of it."""

    MISSING = "missing"
    """The worker does not have it."""
    OLDER = "older"
    """It was built as what it was before an update."""
    OTHER = "other"
    """It was built as something else."""
    BUILDING = "building"
    """It is being built."""
    UNKNOWN = "unknown"
    """There is no such agent, or it is elsewhere."""


class Differing(msgspec.Struct, frozen=True, gc=False):
    """An agent of which its worker holds something else than the log says."""

    agent: str
    difference: Difference


def expected(state: SwarmState, worker: str) -> dict[str, HeldAgent]:
    """What a worker should hold of each agent that is up in it, by the log."""
    place = state.workers.get(worker)
    found: dict[str, HeldAgent] = {}
    for name in () if place is None else place.agents:
        agent = state.agents[name]
        if agent.status in UP and name not in state.moving:
            revision = state.revisions.get(name, 0)
            found[name] = HeldAgent(name, revision, spec_digest(agent.spec))
    return found


def differences(
    state: SwarmState, worker: str, held: tuple[HeldAgent, ...]
) -> tuple[Differing, ...]:
    """Where what a worker says that it holds differs from what it should."""
    wanted = expected(state, worker)
    had = {each.agent: each for each in held}
    found: list[Differing] = []
    for name, should in wanted.items():
        has = had.get(name)
        if has is None:
            found.append(Differing(name, Difference.MISSING))
        elif has.revision < should.revision:
            found.append(Differing(name, Difference.OLDER))
        elif not has.up:
            found.append(Differing(name, Difference.BUILDING))
        elif has.spec != should.spec or has.revision != should.revision:
            found.append(Differing(name, Difference.OTHER))
    for name in had:
        agent = state.agents.get(name)
        stays = agent is not None and agent.worker == worker
        if not stays and state.departing.get(name) != worker:
            found.append(Differing(name, Difference.UNKNOWN))
    return tuple(found)
