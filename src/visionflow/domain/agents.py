"""Agents and the workers that host them."""

from enum import StrEnum

import msgspec

from visionflow.domain.supervision import RecoverySpec, RecyclingSpec
from visionflow.domain.tasks import NOTHING, Payload


class AgentStatus(StrEnum):
    """Where an agent stands in its life."""

    CREATED = "created"
    INITIALISING = "initialising"
    READY = "ready"
    PROCESSING = "processing"
    ERROR = "error"
    RECOVERING = "recovering"
    FAILED = "failed"
    TERMINATING = "terminating"
    TERMINATED = "terminated"


class WorkerStatus(StrEnum):
    """Where a worker process stands."""

    WANTED = "wanted"
    """Agents are placed on it and no process of it lives."""
    STARTING = "starting"
    JOINED = "joined"
    STOPPING = "stopping"
    FAILED = "failed"
    """It died too often within the restart period."""


class ResourceLimits(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """Ceilings, not reservations; an agent with one has a worker process of its own."""

    memory_bytes: int | None = None


class AgentSpec(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What an agent is. Its capabilities decide which tasks can be matched to it."""

    id: str
    type: str
    name: str
    class_path: str
    """`module:Class`, or `/path/to/file.py:Class` for a class of a script."""
    capabilities: tuple[str, ...] = ()
    config: Payload = NOTHING
    tasks_max: int = 1
    """Tasks it works on at once."""
    limits: ResourceLimits = ResourceLimits()
    formed: bool = False
    """It was spawned for a plan, not by a client: a later plan adds the roles that it lacks."""
    recovery: RecoverySpec = RecoverySpec()
    recycling: RecyclingSpec = RecyclingSpec()
    scaled: bool = False
    """It was spawned so that there are enough of its type, and may go when there are too many."""
