"""The guide's `MeshCoordinator`: peers that agree among themselves on who does what.

It is a face and keeps nothing but who was spawned. Auction, agreement, gossip and copies are the
peers' own, and go on when this program, or any of them, ends.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeVar, cast

import msgspec

from visionflow.agents.task import Task
from visionflow.compose.api import AgentOrchestrator
from visionflow.domain.errors import UnknownId, UsageError
from visionflow.domain.mesh import REPLICAS, AuctionBallot, AuctionBid
from visionflow.domain.swarms import Topology
from visionflow.domain.wording import shown
from visionflow.interfaces.async_fleet import AsyncFleet
from visionflow.interfaces.classes import AgentClass
from visionflow.interfaces.client.remote import RemoteFleet
from visionflow.interfaces.handles import TaskHandle
from visionflow.interfaces.meshes import EmbeddedMesh, Settlement
from visionflow.interfaces.orchestrator import AgentHandle, Fleet
from visionflow.interfaces.templates import tasks_at_once
from visionflow.runtime.meshing import MeshStatus

T = TypeVar("T")
PEER = "peer_agent"
CONVERGE_S = 60.0
LOOK_S = 0.05
GOSSIP_S = 2.0
_KEPT = 1_000
"""Tasks and results that are remembered, so that they can be asked about."""


class Replicas(msgspec.Struct, frozen=True):
    """The copies of a result."""

    achieved: int
    required: int
    digest: str
    """SHA-256 of the result as it is stored, hexadecimal."""
    holders: tuple[str, ...]
    machines: int
    """On how many machines they are: copies on one are lost with it."""


class Auctioned(list[AuctionBid]):
    """The bids for a task, the best first, and what they are for."""

    def __init__(self, task: Task, id: str, settled: Settlement) -> None:
        super().__init__(settled.bids)
        self.task = task
        self.id = id
        """Of the task in the swarm."""
        self.winner = settled.agent
        self.ballots: tuple[AuctionBallot, ...] = settled.ballots


class MeshPeer:
    """A peer of a mesh."""

    def __init__(self, coordinator: "MeshCoordinator", handle: AgentHandle) -> None:
        self._coordinator = coordinator
        self.handle = handle
        self.id = handle.id
        self.type = handle.type
        self.config = handle.config

    def __repr__(self) -> str:
        return f"MeshPeer({self.id})"

    async def execute_task(self, task: Task) -> Any:
        """The result of a task that this peer won, which it began when it did; any other task is
        given to it by name.

        Raises:
            TaskFailed: there is none.
        """
        return await self._coordinator.result_of(task, self)

    async def exchange_state(self, target: "MeshPeer") -> bool:
        """Whether both know the same of the mesh, after the gossip that makes it so: peers exchange
        what they know every two seconds, unasked."""
        return await self._coordinator.know_the_same(self, target)


class MeshCoordinator:
    """Peers, with full connectivity, that vote on who does what."""

    _given: AgentOrchestrator[Any, Any] | Fleet | AsyncFleet | RemoteFleet | None = None
    _opened: AgentOrchestrator[Any, Any] | None = None
    _fleet: AsyncFleet | None = None
    _classes: Mapping[str, AgentClass] = MappingProxyType({})
    _mesh: EmbeddedMesh | None = None
    _won: dict[int, tuple[Task, TaskHandle]] | None = None
    _results: list[tuple[Any, str]] | None = None

    def __init__(
        self,
        orchestrator: AgentOrchestrator[Any, Any] | Fleet | AsyncFleet | None = None,
        *,
        agents: Mapping[str, AgentClass] | None = None,
    ) -> None:
        """`orchestrator`: whose agents the peers are; its swarm is a mesh. `None`: one of its own,
        until `aclose`. `agents`: by type, classes of this program."""
        self.peers: list[MeshPeer] = []
        self.connections: dict[str, list[str]] = {}
        self.consensus_protocol = "gossip"
        if orchestrator is not None or agents:
            self.use(orchestrator, agents)

    def use(
        self,
        orchestrator: AgentOrchestrator[Any, Any] | Fleet | AsyncFleet | None,
        agents: Mapping[str, AgentClass] | None = None,
    ) -> None:
        """Have the peers be agents of this orchestrator, where the constructor was not told."""
        self._given, self._fleet, self._mesh = orchestrator, None, None
        if agents is not None:
            self._classes = dict(agents)

    # As the guide has it -----------------------------------------------------------------------

    async def initialize_mesh(self, agent_count: int) -> MeshStatus:
        """Spawn so many peers, beside those that are there; returns once they all belong to the
        mesh and agree on it.

        Raises:
            UsageError: the number is no whole one above zero, or the swarm is no mesh.
            TimeoutError: they did not within a minute.
        """
        if type(agent_count) is not int or agent_count < 1:
            raise UsageError(f"A mesh has at least one peer, not {shown(agent_count)}.")
        config = {"peer_discovery": True, "consensus_protocol": self.consensus_protocol}
        for _ in range(agent_count):
            self.peers.append(await self.spawn_agent(PEER, config))
        await self._agreed()
        for peer in self.peers:
            self.connections[peer.id] = [each.id for each in self.peers if each is not peer]
        return await self.status()

    async def distribute_task(self, task: Task) -> Any:
        """Have a task done by the peer that the others agree on, and its result copied.

        Raises:
            UsageError: there is no peer, or none has a capability that the task asks for.
            TaskFailed: there is no result.
        """
        bids = await self.broadcast_task_auction(task)
        winner = await self.conduct_consensus_vote(bids)
        result = await winner.execute_task(task)
        if len(self.peers) > 1:
            await self.replicate_result(result)
        return result

    async def gossip_protocol(self) -> None:
        """Look on while peers exchange what they know, until this is cancelled; they do so by
        themselves. What they think stands in `last_status`."""
        while True:
            self.last_status = await self.status()
            await asyncio.sleep(GOSSIP_S)

    last_status: MeshStatus | None = None

    async def spawn_agent(self, type: str, config: Mapping[str, Any] | None = None) -> MeshPeer:
        """Add an agent to the swarm; in a mesh each is a peer."""
        fleet, made = await self._open(), self._classes.get(type)
        if made is None:
            handle = await fleet.spawn_agent(type, config)
        else:
            options = {"type": type, "config": config, "tasks_max": tasks_at_once(config or {})}
            [handle] = await fleet.spawn(made, **options)
        return MeshPeer(self, handle)

    async def establish_connection(self, one: MeshPeer, other: MeshPeer) -> bool:
        """Returns once both belong to the mesh, whose peers all reach each other.

        Raises:
            TimeoutError: they do not within a minute.
        """
        mesh = await self._look()
        await self._until(lambda: mesh.connected(one.id, other.id), f"{one} and {other} to meet")
        known = self.connections.setdefault(one.id, [])
        if other.id not in known:
            known.append(other.id)
        return True

    async def broadcast_task_auction(self, task: Task) -> Auctioned:
        """Have the peers bid for a task. They agree at once, and the winner begins; what is given
        back is what they bid, and how they voted.

        Raises:
            UsageError: there is no peer, or none has a capability that the task asks for.
        """
        await self._must_be_able(task)
        fleet, mesh = await self._open(), await self._look()
        handle = fleet.submit(task)

        async def look() -> Settlement | None:
            if handle.done:
                await handle  # Where it was refused, this says why.
            return await mesh.settlement(handle.id)

        settled = await self._found(look, f"the peers to agree on {handle.id}")
        bids = Auctioned(task, handle.id, settled)
        won = self._won = self._won if self._won is not None else {}
        won[id(task)] = (task, handle)
        if len(won) > _KEPT:
            del won[next(iter(won))]
        return bids

    async def conduct_consensus_vote(self, bids: Sequence[AuctionBid]) -> MeshPeer:
        """The peer that the electorate agreed on.

        Raises:
            UsageError: these bids are of no auction.
        """
        if not isinstance(bids, Auctioned):
            raise UsageError(
                "Peers vote on the bids of an auction, and these are of none.",
                hint="Hand in what broadcast_task_auction gave.",
            )
        return self._peer(bids.winner)

    async def replicate_result(self, result: Any, replication_factor: int = REPLICAS) -> Replicas:
        """The copies of a result that peers of this coordinator gave: they make them unasked.
        Returns once there are enough, or no more to be had.

        Raises:
            UsageError: another number is asked for, or it is no result of a peer.
        """
        if replication_factor != REPLICAS:
            raise UsageError(f"A mesh keeps {REPLICAS} copies, not {replication_factor}.")
        task = next((t for r, t in reversed(self._results or []) if r is result), None)
        if task is None:
            raise UsageError("This is no result of a task that a peer of this mesh did.")
        mesh = await self._look()
        found = await self._found(lambda: mesh.replicas(task), f"copies of the result of {task}")
        return Replicas(
            achieved=len(found.holders),
            required=found.required,
            digest=found.digest,
            holders=tuple(holder.agent for holder in found.holders),
            machines=found.machines,
        )

    async def status(self) -> MeshStatus:
        """The mesh as its peers see it now."""
        return await (await self._look()).status()

    async def aclose(self) -> None:
        """Close the orchestrator, where this one made it."""
        if self._opened is not None:
            await self._opened.aclose()
            self._opened = self._fleet = self._mesh = None
            self.peers.clear()
            self.connections.clear()

    # How ---------------------------------------------------------------------------------------

    async def result_of(self, task: Task, peer: MeshPeer) -> Any:
        """See `MeshPeer.execute_task`."""
        fleet = await self._open()
        known = (self._won or {}).get(id(task))
        if known is None or known[0] is not task:
            handle = fleet.submit(task, agent=peer.handle)
        else:
            handle = known[1]
        result = await handle
        results = self._results = self._results if self._results is not None else []
        results.append((result, handle.id))
        del results[:-_KEPT]
        return result

    async def know_the_same(self, one: MeshPeer, other: MeshPeer) -> bool:
        """See `MeshPeer.exchange_state`."""
        mesh = await self._look()
        await self._until(lambda: mesh.agree(one.id, other.id), f"{one} and {other} to agree")
        return True

    async def _must_be_able(self, task: Task) -> None:
        """Nobody would come to bid for what no agent can do."""
        nothing_yet = self._given is None and self._opened is None
        agents = [] if nothing_yet else await (await self._open()).agents()
        if not agents:
            raise UsageError("This mesh has no peers.", hint="Call initialize_mesh first.")
        wanted = set(task.required_capabilities)
        if not any(wanted.issubset(each.capabilities) for each in agents):
            have = sorted({word for each in agents for word in each.capabilities})
            lacking = ", ".join(sorted(wanted.difference(have))) or "all of it at once"
            raise UsageError(
                f"The task asks for {', '.join(sorted(wanted))}, and no peer has {lacking}.",
                hint=f"They have {', '.join(have)}." if have else "They have no capabilities.",
            )

    def _peer(self, agent: str) -> MeshPeer:
        for peer in self.peers:
            if peer.id == agent:
                return peer
        raise UnknownId(f"Agent {agent} is none of the peers of this coordinator.")

    async def _agreed(self) -> None:
        mesh, count = await self._look(), len(self.peers)
        await self._until(lambda: mesh.whole(count), f"{count} peers to agree")

    async def _until(self, true: Callable[[], Awaitable[bool]], what: str) -> None:
        async def found() -> bool | None:
            return await true() or None

        await self._found(found, what)

    async def _found(self, look: Callable[[], Awaitable[T | None]], what: str) -> T:
        loop = asyncio.get_running_loop()
        until = loop.time() + CONVERGE_S
        while True:
            found = await look()
            if found is not None:
                return found
            if loop.time() > until:
                raise TimeoutError(f"Waited {CONVERGE_S:.0f} s for {what}.")
            await asyncio.sleep(LOOK_S)

    async def _look(self) -> EmbeddedMesh:
        if self._mesh is None:
            self._mesh = (await self._open()).sync.face(EmbeddedMesh)
            await self._mesh.must_be_a_mesh()
        return self._mesh

    async def _open(self) -> AsyncFleet:
        if self._fleet is None:
            found = self._given
            if found is None:
                found = self._opened = AgentOrchestrator(topology=Topology.MESH)
            if isinstance(found, AgentOrchestrator):
                found = await cast("AgentOrchestrator[Any, Any]", found).fleet()
            if isinstance(found, RemoteFleet):
                raise UsageError(
                    "The peers of a server's mesh are not coordinated from here.",
                    hint="Submit tasks to its swarm: its peers hold the auctions all the same.",
                )
            self._fleet = AsyncFleet(found) if isinstance(found, Fleet) else found
        return self._fleet
