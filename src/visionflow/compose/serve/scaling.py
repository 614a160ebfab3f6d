"""Has the swarms of a server scaled that want it: what new agents would be, and their making."""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec

from visionflow.compose.serve.core import Core
from visionflow.domain.errors import LimitReached, VisionFlowError
from visionflow.engine.matching import offers
from visionflow.engine.scaling import Room, worker_more
from visionflow.engine.topology.hierarchy import worker_types
from visionflow.interfaces.seats import Seat
from visionflow.interfaces.server import Server
from visionflow.interfaces.tools.casting import Wish, cast
from visionflow.interfaces.tools.spawning import birth
from visionflow.runtime.autoscaling import Autoscaler, Kind, memory_room
from visionflow.runtime.intake import sound
from visionflow.runtime.node import Node
from visionflow.runtime.swarms import LiveSwarm
from visionflow.worker.limits import machine_bytes


class Scaling:
    """The autoscalers of a server's swarms."""

    def __init__(self, server: Server, core: Core) -> None:
        self._server = server
        self._core = core
        self._kinds: dict[str, Kind | None] = {}
        self._under_way: dict[asyncio.Future[None], None] = {}

    def opened(self, swarm: LiveSwarm) -> None:
        """A swarm is open: look after it, if that is wanted."""
        if not self._server.scales(swarm.spec):
            return
        settings, node, core = self._server.templates.scaling, swarm.node, self._core
        supply = SwarmSupply(self, swarm)
        scaler = Autoscaler(
            node.control, core.host, core.lines, supply, settings.bounds, settings.rules
        )
        node.on_over.append(lambda _: scaler.stop())
        scaler.start()
        node.team_loads.more = lambda team: self._more(swarm, supply, team)

    async def close(self) -> None:
        """Make nothing more."""
        under_way = list(self._under_way)
        for making in under_way:
            making.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)

    def kind(self, agent_type: str) -> Kind | None:
        """What a new agent of a type would be; at first nothing, while its class is imported."""
        if agent_type not in self._kinds:
            self._kinds[agent_type] = None
            self._do(self._learn(agent_type))
        return self._kinds[agent_type]

    async def _learn(self, agent_type: str) -> None:
        try:
            found = await cast(self._server, Wish(type=agent_type))
        except VisionFlowError as error:
            told = f"agents of the type {agent_type} are not scaled: {error}"
            self._core.lines.log("warning", None, "scale_failed", told)
            return
        offered = offers(found.capabilities, agent_type)
        self._kinds[agent_type] = Kind(offered, found.tasks_max, found.memory_bytes)

    def rooms(self, kind: Kind) -> tuple[list[Room], list[str]]:
        """What the server and the machine bound."""
        swarms = self._server.swarms
        most = swarms.agents_max
        rooms = [Room(most - swarms.agents, f"this server may have {most} agents")]
        nodes = [(each.state, _resident(each.node)) for each in swarms.all()]
        room, unknown = memory_room(kind, machine_bytes(), nodes)
        if room is not None:
            rooms.append(room)
        return rooms, [] if unknown is None else [unknown]

    def spawn(self, swarm: LiveSwarm, agent_type: str, count: int) -> None:
        """Begin to make agents."""
        self._do(self._spawn(swarm, agent_type, count))

    def _more(self, swarm: LiveSwarm, supply: "SwarmSupply", team: str) -> str:
        """Begin to make a worker for a team, of the type of its workers that there may be more of;
        what is done, in words."""
        state, bounds = swarm.state, self._server.templates.scaling.bounds
        own = Room(swarm.spec.limits.agents_max - len(state.agents), "its swarm may have no more")

        def rooms(agent_type: str) -> list[Room] | None:
            kind = supply.kind(agent_type)
            return None if kind is None else [own, *supply.rooms(agent_type, kind)[0]]

        there = Counter(each.spec.type for each in state.agents.values())
        agent_type, told = worker_more(worker_types(state, team), there, bounds, rooms)
        if agent_type is not None:
            self._do(self._spawn(swarm, agent_type, 1, Seat("worker", team)))
        return told

    async def _spawn(
        self, swarm: LiveSwarm, agent_type: str, count: int, seat: Seat | None = None
    ) -> None:
        try:
            found = await cast(self._server, Wish(type=agent_type))
            wanted = msgspec.structs.replace(found, scaled=True)
            made = [birth(swarm, wanted) for _ in range(count)]
            for each in made:
                await self._server.swarms.spawning(1, lambda each=each: swarm.ask(each))
                if seat is not None:
                    await swarm.ask(sound(seat.command(each.spec.id, swarm.now_ms)))
        except LimitReached as error:
            told = f"{agent_type} in {swarm.id}: {error}"
            self._core.lines.log("warning", None, error.reason, told)
        except VisionFlowError as error:
            told = f"{agent_type} in {swarm.id}: no more are made: {error}"
            self._core.lines.log("warning", None, "scale_failed", told)

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        making = asyncio.ensure_future(work)
        self._under_way[making] = None
        making.add_done_callback(self._done)

    def _done(self, making: "asyncio.Future[None]") -> None:
        self._under_way.pop(making, None)
        if not making.cancelled() and making.exception() is not None:
            told = f"no more agents are made: {making.exception()!r}"
            self._core.lines.log("error", None, "scale_failed", told)


class SwarmSupply:
    """`Supply` of one swarm."""

    def __init__(self, scaling: Scaling, swarm: LiveSwarm) -> None:
        self._scaling = scaling
        self._swarm = swarm

    def kind(self, agent_type: str) -> Kind | None:
        """See `Supply`."""
        return self._scaling.kind(agent_type)

    def rooms(self, agent_type: str, kind: Kind) -> tuple[list[Room], list[str]]:
        """See `Supply`."""
        return self._scaling.rooms(kind)

    def spawn(self, agent_type: str, count: int) -> None:
        """See `Supply`."""
        self._scaling.spawn(self._swarm, agent_type, count)


def _resident(node: Node) -> Callable[[str], int | None]:
    """What a worker of this node takes, by its last heartbeat."""

    def resident(worker: str) -> int | None:
        heard = node.liveness.last_heard(worker)
        return None if heard is None else heard.resident_bytes

    return resident
