"""What the state of a swarm knows of its shape: the topology in force, and what was measured."""

import msgspec

from visionflow.domain.shape import Measured
from visionflow.domain.swarms import Topology


class Trial(msgspec.Struct, frozen=True, gc=False):
    """A switch that may still be taken back."""

    before: Topology
    since_ms: int
    agents: int
    """How many there were."""
    baseline: Measured
    """What was measured under `before`, since it had come into force."""


class ShapeState(msgspec.Struct, gc=False, omit_defaults=True):
    """The facts: they change when a topology is switched."""

    now: Topology | None = None
    """The topology in force; `None`: as the swarm was created."""
    since_ms: int = 0
    mark: Measured = Measured()
    """What the totals were when it came into force."""
    past: dict[Topology, Measured] = {}
    """What was measured under each topology until it was left."""
    trial: Trial | None = None
    cooled_ms: int = 0
    switches: int = 0
    barred: dict[Topology, int] = {}
    """Topologies that a roll-back left, with when they may be chosen again."""


class Totals(msgspec.Struct, gc=False):
    """Sums over the log. Like `SwarmState.completion_ms` they are no part of the hash: what is
    decided by them stands in the event with its figures."""

    open: int = 0
    """Attempts that are open."""
    since_ms: int = 0
    """While there are some: since when that time stands in `busy_ms` no more."""
    busy_ms: int = 0
    done: int = 0
    work_us: int = 0
    delayed_ms: int = 0
    """See `Measured`. Waits for who was held by a circuit or restarted are in it, as old logs have
    it so; `delays` is without."""
    messages: int = 0
    idle: dict[str, int] = {}
    """By agent, when it last gave a place back."""
    room: dict[str, int] = {}
    """By agent, since when it has had room and could be given something, without a break."""
    delays: dict[Topology, int] = {}
    """By topology, how long in ms what was given out under it had waited while its agent could
    have been given it."""
    failed_agents: dict[str, None] = {}
    """Agents that went into error since the topology in force came."""
