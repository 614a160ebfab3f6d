"""Commands about a swarm's shape."""

from visionflow.domain.command import Command
from visionflow.domain.swarms import Topology


class SwitchTopology(Command, frozen=True, tag="switch_topology"):
    """Put a topology into force, by the predictions of now.

    `topology` None: the best by prediction, and none where that gains nothing.
    """

    topology: Topology | None = None
    reason: str = "asked for"


ShapeCommand = SwitchTopology
