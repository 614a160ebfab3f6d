"""Takes on goals: not wired yet."""

from visionflow.compose.serve.core import Core
from visionflow.domain.access import Caller
from visionflow.domain.errors import NotBuilt
from visionflow.interfaces.jobs import Order, Report, Started
from visionflow.runtime.swarms import LiveSwarm


class ServerJobs:
    """Satisfies `Jobs`."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def recover(self) -> None:
        """Go on with what was under way. Called once the swarms are open."""

    async def close(self) -> None:
        """Follow nothing more. Again is harmless."""

    async def start(self, order: Order, swarm: LiveSwarm, caller: Caller) -> Started:
        """See `Jobs.start`."""
        raise NotBuilt("The server takes on no goals yet.")

    def report(self, task: str) -> Report | None:
        """See `Jobs.report`."""
        return None

    async def concluded(self, task: str) -> None:
        """See `Jobs.concluded`."""

    def runs(self) -> list[Report]:
        """See `Jobs.runs`."""
        return []
