"""Where the swarms of a server get agents from, when their numbers follow the load."""

from collections.abc import Iterable

import msgspec

from visionflow.compose.scaling import Scaling
from visionflow.compose.serve.core import Core
from visionflow.engine.matching import offers
from visionflow.engine.scaling import Room
from visionflow.interfaces.seats import Seat
from visionflow.interfaces.server import Server
from visionflow.interfaces.tools.casting import Wish, cast
from visionflow.interfaces.tools.spawning import birth
from visionflow.runtime.autoscaling import Kind
from visionflow.runtime.intake import sound
from visionflow.runtime.node import Node
from visionflow.runtime.swarms import LiveSwarm


class ServerSource:
    """`Source` of a server: its templates, as `agent_spawn` uses them."""

    def __init__(self, server: Server) -> None:
        self._server = server

    @property
    def nodes(self) -> Iterable[Node]:
        """See `Source`."""
        return [each.node for each in self._server.swarms.all()]

    def rooms(self) -> list[Room]:
        """See `Source`."""
        swarms = self._server.swarms
        most = swarms.agents_max
        return [Room(most - swarms.agents, f"this server may have {most} agents")]

    async def kind(self, agent_type: str) -> Kind:
        """See `Source`."""
        found = await cast(self._server, Wish(type=agent_type))
        offered = offers(found.capabilities, agent_type)
        return Kind(offered, found.tasks_max, found.memory_bytes)

    async def make(self, node: Node, agent_type: str, count: int, seat: Seat | None) -> None:
        """See `Source`."""
        swarm = next((each for each in self._server.swarms.all() if each.node is node), None)
        if swarm is None:
            return  # It ended meanwhile.
        found = await cast(self._server, Wish(type=agent_type))
        wanted = msgspec.structs.replace(found, scaled=True)
        made = [birth(swarm, wanted) for _ in range(count)]
        for each in made:
            await self._server.swarms.spawning(1, lambda each=each: swarm.ask(each))
            if seat is not None:
                await swarm.ask(sound(seat.command(each.spec.id, swarm.now_ms)))


def scaling_of(server: Server, core: Core) -> Scaling:
    """The autoscalers of a server, which begin with each swarm that wants it."""
    settings = server.templates.scaling
    scaling = Scaling(core.host, core.lines, settings, ServerSource(server))

    def opened(swarm: LiveSwarm) -> None:
        if server.scales(swarm.spec):
            scaling.begin(swarm.node)

    core.swarms.on_open.append(opened)
    return scaling
