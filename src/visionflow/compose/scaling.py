"""Has the numbers of agents follow the load: what a new agent of a type would be, and its making.

Where agents come from, and what else bounds them, is told by whoever runs the swarms: a `Source`.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Protocol

from visionflow.domain.errors import LimitReached, VisionFlowError
from visionflow.engine.scaling import Room, worker_more
from visionflow.engine.topology.hierarchy import worker_types
from visionflow.interfaces.seats import Seat
from visionflow.ports.host import Host
from visionflow.ports.telemetry import Telemetry
from visionflow.runtime.autoscaling import Autoscaler, Kind, memory_room
from visionflow.runtime.node import Node
from visionflow.settings.scaling import ScalingSettings
from visionflow.worker.limits import machine_bytes


class Source(Protocol):
    """Where the swarms of a process get their agents from."""

    @property
    def nodes(self) -> Iterable[Node]:
        """Of all swarms that there are."""
        ...

    def rooms(self) -> list[Room]:
        """What bounds how many more there may be, beside their swarm and the machine."""
        ...

    async def kind(self, agent_type: str) -> Kind:
        """What a new agent of a type would be.

        Raises:
            VisionFlowError: there can be none; the message says why.
        """
        ...

    async def make(self, node: Node, agent_type: str, count: int, seat: Seat | None) -> None:
        """Add so many agents for the number's sake, each to this seat.

        Raises:
            LimitReached: there may be no more.
            VisionFlowError: one was refused, or cannot be.
        """
        ...


class Scaling:
    """The autoscalers of the swarms of one process."""

    def __init__(
        self, host: Host, lines: Telemetry, settings: ScalingSettings, source: Source
    ) -> None:
        self._host = host
        self._lines = lines
        self._settings = settings
        self._source = source
        self._kinds: dict[str, Kind | None] = {}
        self._under_way: dict[asyncio.Future[None], None] = {}

    def begin(self, node: Node) -> None:
        """Look after a swarm, as long as it is open."""
        settings, supply = self._settings, _Supply(self, node)
        scaler = Autoscaler(
            node.control, self._host, self._lines, supply, settings.bounds, settings.rules
        )
        node.on_over.append(lambda _: scaler.stop())
        scaler.start()
        node.team_loads.more = lambda team: self._more(node, supply, team)

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
            self._kinds[agent_type] = await self._source.kind(agent_type)
        except VisionFlowError as error:
            told = f"agents of the type {agent_type} are not scaled: {error}"
            self._lines.log("warning", None, "scale_failed", told)

    def rooms(self, kind: Kind) -> tuple[list[Room], list[str]]:
        """What bounds agents of this kind beside their swarm, and what is not known of it."""
        rooms = self._source.rooms()
        nodes = [(each.control.state, _resident(each)) for each in self._source.nodes]
        room, unknown = memory_room(kind, machine_bytes(), nodes)
        if room is not None:
            rooms.append(room)
        return rooms, [] if unknown is None else [unknown]

    def spawn(self, node: Node, agent_type: str, count: int, seat: Seat | None = None) -> None:
        """Begin to make agents."""
        self._do(self._spawn(node, agent_type, count, seat))

    def _more(self, node: Node, supply: "_Supply", team: str) -> str:
        """Begin to make a worker for a team, of the type of its workers that there may be more of;
        what is done, in words."""
        state = node.control.state
        most = len(state.agents) if state.spec is None else state.spec.limits.agents_max
        own = Room(most - len(state.agents), "its swarm may have no more")

        def rooms(agent_type: str) -> list[Room] | None:
            kind = supply.kind(agent_type)
            return None if kind is None else [own, *supply.rooms(agent_type, kind)[0]]

        there = Counter(each.spec.type for each in state.agents.values())
        types = worker_types(state, team)
        agent_type, told = worker_more(types, there, self._settings.bounds, rooms)
        if agent_type is not None:
            self.spawn(node, agent_type, 1, Seat("worker", team))
        return told

    async def _spawn(self, node: Node, agent_type: str, count: int, seat: Seat | None) -> None:
        spec = node.control.state.spec
        what = agent_type if spec is None else f"{agent_type} in {spec.id}"
        try:
            await self._source.make(node, agent_type, count, seat)
        except LimitReached as error:
            self._lines.log("warning", None, error.reason, f"{what}: {error}")
        except VisionFlowError as error:
            told = f"{what}: no more are made: {error}"
            self._lines.log("warning", None, "scale_failed", told)

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        making = asyncio.ensure_future(work)
        self._under_way[making] = None
        making.add_done_callback(self._done)

    def _done(self, making: "asyncio.Future[None]") -> None:
        self._under_way.pop(making, None)
        if not making.cancelled() and making.exception() is not None:
            told = f"no more agents are made: {making.exception()!r}"
            self._lines.log("error", None, "scale_failed", told)


class _Supply:
    """`Supply` of one swarm."""

    def __init__(self, scaling: Scaling, node: Node) -> None:
        self._scaling = scaling
        self._node = node

    def kind(self, agent_type: str) -> Kind | None:
        """See `Supply`."""
        return self._scaling.kind(agent_type)

    def rooms(self, agent_type: str, kind: Kind) -> tuple[list[Room], list[str]]:
        """See `Supply`."""
        return self._scaling.rooms(kind)

    def spawn(self, agent_type: str, count: int) -> None:
        """See `Supply`."""
        self._scaling.spawn(self._node, agent_type, count)


def _resident(node: Node) -> Callable[[str], int | None]:
    """What a worker of this node takes, by its last heartbeat."""

    def resident(worker: str) -> int | None:
        heard = node.liveness.last_heard(worker)
        return None if heard is None else heard.resident_bytes

    return resident
