"""Events of a swarm's shape: which topology is in force, and why."""

from visionflow.domain.event import Event
from visionflow.domain.shape import Measured, Plan, Prediction
from visionflow.domain.swarms import Topology


class TopologySwitched(Event, frozen=True, tag="topology_switched"):
    """From now on another topology is in force. What is under way goes on."""

    before: Topology
    after: Topology
    reason: str
    gain_bp: int | None = None
    """The predicted gain, or `None` where nothing was measured that could predict one."""
    predictions: tuple[Prediction, ...] = ()
    plan: Plan | None = None
    measured: Measured | None = None
    """Under `before`, since it came into force; of a roll-back, since the switch."""
    rolled_back: bool = False
    """It takes back the switch of before, which did worse than what was there."""
    cooled_ms: int = 0
    """Until then nothing is switched again without being asked for."""
    barred_ms: int = 0
    """Of a roll-back: until then `before` is not chosen again without being asked for."""
    requested: bool = False
    """Somebody asked for it."""
    command: str | None = None


class TopologyKept(Event, frozen=True, tag="topology_kept"):
    """The topology that was switched to proved itself, and is no more watched."""

    topology: Topology
    reason: str
    measured: Measured | None = None


ShapeEvent = TopologySwitched | TopologyKept
