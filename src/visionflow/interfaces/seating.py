"""Seats of a hierarchy, from a program: of an embedded fleet, and of a server's.

Nothing is kept here: who sits where is the engine's.
"""

from collections.abc import Mapping
from typing import Any, Protocol, cast

from visionflow.agents.led import LEAD_MS
from visionflow.agents.task import Task
from visionflow.domain.errors import UnknownSwarm
from visionflow.domain.swarms import Topology
from visionflow.engine.topology.rules import topology_in_force
from visionflow.interfaces.async_fleet import AsyncFleet
from visionflow.interfaces.classes import AgentClass
from visionflow.interfaces.client.remote import RemoteAgent, RemoteFleet
from visionflow.interfaces.faces import EmbeddedFace
from visionflow.interfaces.orchestrator import AgentHandle
from visionflow.interfaces.seats import HIERARCHY, Seat
from visionflow.interfaces.templates import tasks_at_once

Agent = AgentHandle | RemoteAgent


class Seating(Protocol):
    """What the coordinator of a hierarchy needs of a fleet."""

    async def spawn(self, kind: str, config: Mapping[str, Any], seat: Seat) -> Agent:
        """Add an agent and give it its seat."""
        ...

    async def run(self, task: Task, agent: Agent | None = None) -> Any:
        """Have a task done, and wait for its result."""
        ...

    async def end(self, agent: str) -> None:
        """Terminate an agent."""
        ...

    async def teams(self) -> dict[str, Any]:
        """The hierarchy as it is: `manager`, and `teams` with `lead` and `members`."""
        ...

    async def topology(self) -> str:
        """The topology of the swarm: adaptive if it was made so, else the one in force."""
        ...


class EmbeddedSeats(EmbeddedFace):
    """The engine's commands and state."""

    async def take(self, agent: str, seat: Seat) -> None:
        """Give an agent a seat; returns once that is durable."""
        await self._do(seat.command(agent, self._node.intake.now_ms()))

    async def teams(self) -> dict[str, Any]:
        """See `Seating`."""
        teams = self._node.control.state.teams
        return await self._read(lambda: hierarchy_of(teams.manager, teams.teams))

    async def topology(self) -> str:
        """See `Seating`."""

        def look() -> str:
            state = self._node.control.state
            made = None if state.spec is None else state.spec.topology
            # What is in force of an adaptive one may be another by the time that it is asked.
            return str(made if made is Topology.ADAPTIVE else topology_in_force(state))

        return await self._read(look)


def hierarchy_of(manager: str | None, teams: Mapping[str, Any]) -> dict[str, Any]:
    """The hierarchy in plain values."""
    return {
        "manager": manager,
        "teams": {
            name: {"lead": team.lead, "members": list(team.members)} for name, team in teams.items()
        },
    }


class EmbeddedSeating:
    """Satisfies `Seating` for a fleet of this program."""

    def __init__(self, fleet: AsyncFleet, classes: Mapping[str, AgentClass]) -> None:
        """`classes`: by type, classes of this program; other types are templates."""
        self._fleet = fleet
        self._classes = classes
        self._seats = fleet.sync.face(EmbeddedSeats)

    async def spawn(self, kind: str, config: Mapping[str, Any], seat: Seat) -> Agent:
        """See `Seating`. Who cannot be given the seat is ended."""
        made = self._classes.get(kind)
        if made is None:
            agent = await self._fleet.spawn_agent(kind, config)
        else:
            [agent] = await self._fleet.spawn(
                made, type=kind, config=config, tasks_max=tasks_at_once(config)
            )
        try:
            await self._seats.take(agent.id, seat)
        except BaseException:
            await self._fleet.terminate(agent)
            raise
        return agent

    async def run(self, task: Task, agent: Agent | None = None) -> Any:
        """See `Seating`."""
        options: dict[str, Any] = {"timeout_ms": LEAD_MS} if agent is None else {}
        return await self._fleet.submit(task, agent=cast("AgentHandle | None", agent), **options)

    async def end(self, agent: str) -> None:
        """See `Seating`."""
        await self._fleet.terminate(agent)

    async def teams(self) -> dict[str, Any]:
        """See `Seating`."""
        return await self._seats.teams()

    async def topology(self) -> str:
        """See `Seating`."""
        return await self._seats.topology()


class RemoteSeating:
    """Satisfies `Seating` for the swarm of a server."""

    def __init__(self, fleet: RemoteFleet) -> None:
        self._fleet = fleet

    async def spawn(self, kind: str, config: Mapping[str, Any], seat: Seat) -> Agent:
        """See `Seating`."""
        return await self._fleet.spawn_agent(kind, {**config, HIERARCHY: seat.told})

    async def run(self, task: Task, agent: Agent | None = None) -> Any:
        """See `Seating`."""
        return await self._fleet.run(task, agent=cast("RemoteAgent | None", agent))

    async def end(self, agent: str) -> None:
        """See `Seating`."""
        await self._fleet.terminate(agent)

    async def teams(self) -> dict[str, Any]:
        """See `Seating`."""
        said = await self._fleet.client.call("swarm_status", {"swarmId": self._fleet.swarm})
        return {
            "manager": said["manager"],
            "teams": {
                team["name"]: {"lead": team["lead"], "members": team["members"]}
                for team in said["teams"]
            },
        }

    async def topology(self) -> str:
        """See `Seating`."""
        try:
            said = await self._fleet.client.call("swarm_status", {"swarmId": self._fleet.swarm})
        except UnknownSwarm:
            # The first agent makes one, as it is where nothing else is said.
            return Topology.HIERARCHICAL.value
        return str(said["topology"])
