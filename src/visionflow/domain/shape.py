"""The shape of a swarm: what is measured of a topology, and what is predicted of one."""

import msgspec

from visionflow.domain.swarms import Topology


class Measured(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What a swarm did under one topology. Sums, so that two of them add up."""

    busy_ms: int = 0
    """Time in which at least one attempt was open."""
    done: int = 0
    """Tasks that agents completed."""
    work_us: int = 0
    """What these took their agents."""
    delayed_ms: int = 0
    """Of all that was given out: how long it had waited although the agent that it was given to
    had room. What coordination takes, and not load."""
    attempts: int = 0
    failed: int = 0
    """Of these, how many ended without a result and were failures."""
    completed: int = 0
    """Tasks that completed, plans among them."""
    completion_ms: int = 0
    """What these took, from submission to completion."""
    messages: int = 0
    """That agents sent to agents; one to several counts once."""
    agents_failed: int = 0
    """Agents that went into error or had to be built anew, each counted once."""


class Prediction(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What a topology is expected to make of the tasks that are not finished."""

    topology: Topology
    makespan_ms: int | None = None
    """Until the last of them ends; `None`: nothing is known that it could rest on."""
    overhead_us: int | None = None
    """Of an agent's time for each task beside the work itself."""
    measured: int = 0
    """Tasks completed under it in this swarm that the overhead rests on; 0: the usual one."""
    failed_bp: int | None = None
    """The share of attempts that is expected to fail and to be made again; `None`: too few ended
    in this swarm to tell, and none is."""


class Plan(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """The shape of the tasks that are not finished."""

    tasks: int
    depth: int
    """Tasks of the longest chain in which each waits for the one before."""
    width: int
    """Most tasks that could be under way at once, were there agents enough."""
    dependencies: int
    work_ms: int | None = None
    """What they are expected to take one agent; `None`: no task was measured yet."""
    critical_ms: int | None = None
    """What the longest chain is expected to take."""
    single: int = 0
    """Tasks that one agent alone could do."""
    beyond: int = 0
    """Tasks that were left out of all this because they are too many."""
