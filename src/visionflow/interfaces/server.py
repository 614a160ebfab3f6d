"""The server as tools and faces see it: one place that names its parts; `compose` fills it."""

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from visionflow.domain.swarms import SwarmSpec
from visionflow.interfaces.connections import Connections
from visionflow.interfaces.jobs import Jobs
from visionflow.runtime.ended import EndedSwarms
from visionflow.runtime.fleet import FleetLog
from visionflow.runtime.swarms import Swarms
from visionflow.settings.agents import AgentSettings
from visionflow.settings.server import ServerSettings


class Lines(Protocol):
    """The server's log lines."""

    def tail(
        self, agent: str | None = None, level: str | None = None, limit: int = 100
    ) -> list[str]:
        """The last lines, oldest first; of one agent, and of at least this level. Blocks."""
        ...


class Server:
    """A running server."""

    def __init__(
        self,
        *,
        settings: ServerSettings,
        templates: AgentSettings,
        swarms: Swarms,
        fleet: FleetLog,
        jobs: Jobs,
        lines: Lines,
        now_ms: Callable[[], int],
        ended: EndedSwarms,
    ) -> None:
        self.settings = settings
        self.templates = templates
        self.swarms = swarms
        self.ended = ended
        self.fleet = fleet
        self.jobs = jobs
        self.lines = lines
        self.now_ms = now_ms
        self.started_ms = now_ms()
        self.connections = Connections(settings.connections_max)
        self.ready = False
        """Recovery is done and the ports are open."""
        self.under_way: dict[str, asyncio.Future[Any]] = {}
        """Changes that are being made, by the word for each: the same word joins in."""
        self.origins: dict[str, str] = {}
        """Where each setting came from, by its key; what is not in it is not known."""
        self.endpoints: dict[str, str] = {}
        """Where it listens, by the face's name."""

    def scales(self, spec: SwarmSpec) -> bool:
        """Whether the numbers of a swarm's agents follow the load: as it says itself, else the
        server's settings, else its agents.yaml."""
        for said in (spec.autoscale, self.settings.autoscale):
            if said is not None:
                return said
        return self.templates.scaling.autoscale
