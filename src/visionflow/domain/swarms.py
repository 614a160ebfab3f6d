"""Swarms: agents that work towards one goal, and how they are joined."""

from enum import StrEnum

import msgspec

from visionflow.domain.limits import CodingLimits, Limits
from visionflow.domain.supervision import SupervisionSpec


class Topology(StrEnum):
    """Who may assign to whom."""

    HIERARCHICAL = "hierarchical"
    MESH = "mesh"
    SEQUENTIAL = "sequential"
    STAR = "star"
    RING = "ring"
    ADAPTIVE = "adaptive"


class Strategy(StrEnum):
    """Who decides on an assignment."""

    CENTRALIZED = "centralized"
    DISTRIBUTED = "distributed"
    ADAPTIVE = "adaptive"
    BALANCED = "balanced"
    SPECIALIZED = "specialized"


class SwarmSpec(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A swarm as it was created."""

    id: str
    goal: str = ""
    topology: Topology = Topology.HIERARCHICAL
    strategy: Strategy = Strategy.CENTRALIZED
    limits: Limits = Limits()
    name: str = ""
    workspace: str = ""
    """The folder that its tasks work on where they name none; empty: the server's first."""
    coding: CodingLimits = CodingLimits()
    supervision: SupervisionSpec = SupervisionSpec()
    autoscale: bool | None = None
    """Whether the numbers of its agents follow the load; `None`: as its server says."""
