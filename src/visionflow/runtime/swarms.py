"""The swarms that are open in this process: each with its node, its read service and its progress.

All of it belongs to one loop. A swarm is reserved in the fleet's stream before its own begins, so
a crash in between leaves a promise that `recover` keeps.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

import msgspec

from visionflow.domain.commands import AnyCommand
from visionflow.domain.errors import LimitReached, UnknownAgent, UnknownSwarm, refusal
from visionflow.domain.swarms import SwarmSpec
from visionflow.engine.state import AgentState, Answer, SwarmState
from visionflow.runtime.node import Node
from visionflow.runtime.queries import Queries

T = TypeVar("T")
PROGRESS_MAX = 10_000
"""Tasks whose last word on their progress is kept."""


class TaskSignal(msgspec.Struct, frozen=True, gc=False):
    """What an attempt last said of how far it is. A signal: it is in no log."""

    attempt: int
    fraction: float | None
    note: str
    at_ms: int


class LiveSwarm:
    """A swarm that is open here. Every method belongs to the loop's thread."""

    def __init__(self, spec: SwarmSpec, node: Node, queries: Queries) -> None:
        self.id = spec.id
        self.node = node
        self.queries = queries
        self.signals: dict[str, TaskSignal] = {}
        """By task, the last of each while it runs."""
        self._waiting: dict[asyncio.Future[Any], None] = {}
        node.sessions.on_progress.append(self._hear)
        node.on_over.append(self._over)

    @property
    def spec(self) -> SwarmSpec:
        """What it was created as, later changes of its limits included."""
        found = self.node.control.state.spec
        assert found is not None, "a swarm is live once its first record is durable"
        return found

    @property
    def state(self) -> SwarmState:
        """The fold. What is read of it may not be on the disk yet: see `settled`."""
        return self.node.control.state

    @property
    def now_ms(self) -> int:
        """The time to stamp commands with."""
        return self.node.intake.now_ms()

    async def ask(self, command: AnyCommand) -> Answer:
        """Have a command decided; returns once that is durable.

        Raises:
            Refused: it was not accepted, with the code and message on record.
            MailboxFull: it was not taken.
            VisionFlowError: nothing is decided here any more.
        """
        asked: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.node.control.offer(command, lambda answer: _settle(asked, answer))
        answer = await self._unless_over(asked)
        if answer.code is not None:
            raise refusal(answer.code, answer.message or answer.code)
        return answer

    @property
    def is_settled(self) -> bool:
        """Whether all that the state holds is durable, so that it may be told at once."""
        return self.node.control.is_settled

    async def settled(self) -> None:
        """Wait until all that the state holds now is durable."""
        if self.is_settled:
            return
        passed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.node.control.after_commit(lambda: _settle(passed, None))
        await self._unless_over(passed)

    async def read(self, call: Callable[[Queries], T]) -> T:
        """Ask the read service, in a thread: it blocks on the disk."""
        return await asyncio.get_running_loop().run_in_executor(None, call, self.queries)

    async def _unless_over(self, asked: "asyncio.Future[T]") -> T:
        """Wait for it; a control plane that stopped for good answers nobody."""
        failure = self.node.control.failure
        if failure is not None and not asked.done():
            raise failure
        self._waiting[asked] = None
        try:
            return await asked
        finally:
            self._waiting.pop(asked, None)

    def _over(self, reason: BaseException) -> None:
        for asked in list(self._waiting):
            if not asked.done():
                asked.set_exception(reason)

    def _hear(self, task: str, attempt: int, fraction: float | None, note: str) -> None:
        if task not in self.signals and len(self.signals) >= PROGRESS_MAX:
            self.signals.pop(next(iter(self.signals)))
        self.signals[task] = TaskSignal(attempt, fraction, note, self.now_ms)


def _settle(future: "asyncio.Future[T]", value: T) -> None:
    if not future.done():
        future.set_result(value)


class Reservations(Protocol):
    """The fleet's stream, as far as swarms need it."""

    async def reserve(self, spec: SwarmSpec, by: str, command: str | None) -> str:
        """Promise a swarm; returns its id, which is an earlier one when the command is known."""
        ...

    async def end(self, swarm: str, reason: str, by: str, command: str | None) -> None:
        """Record that a swarm is over."""
        ...

    def promised(self) -> list[SwarmSpec]:
        """Swarms that are not over, oldest first."""
        ...


class Swarms:
    """The swarms that are open, oldest first."""

    def __init__(
        self,
        reservations: Reservations,
        open_swarm: Callable[[SwarmSpec], Awaitable[LiveSwarm]],
        close_swarm: Callable[[LiveSwarm], Awaitable[None]],
        agents_max: int,
    ) -> None:
        """`open_swarm` creates or takes up again; `agents_max` bounds all swarms together."""
        self._reservations = reservations
        self._open = open_swarm
        self._close = close_swarm
        self._live: dict[str, LiveSwarm] = {}
        self._opening: dict[str, asyncio.Future[LiveSwarm]] = {}
        self._coming = 0
        self.agents_max = agents_max
        self.latest_of: dict[str, str] = {}
        """By client, the swarm that it last made or named."""

    async def recover(self) -> None:
        """Take up again every swarm that was promised and is not over."""
        for spec in self._reservations.promised():
            self._live[spec.id] = await self._open(spec)

    def all(self) -> list[LiveSwarm]:
        """Those that are open, oldest first."""
        return list(self._live.values())

    def get(self, swarm: str) -> LiveSwarm:
        """The swarm of this id.

        Raises:
            UnknownSwarm: it is not open.
        """
        found = self._live.get(swarm)
        if found is None:
            raise UnknownSwarm(
                f"There is no swarm {swarm!r}.", hint="swarm_list has those that there are."
            )
        return found

    def find(self, swarm: str) -> LiveSwarm | None:
        """The swarm of this id, if it is open."""
        return self._live.get(swarm)

    def latest(self, client: str) -> LiveSwarm | None:
        """The latest swarm of this client, else the latest of all."""
        own = self._live.get(self.latest_of.get(client, ""))
        return own or next(reversed(self._live.values()), None)

    async def create(self, spec: SwarmSpec, by: str, command: str | None = None) -> LiveSwarm:
        """A new swarm; the one of an earlier call when the command is known.

        Raises:
            Refused: the fleet does not take it.
        """
        identity = await self._reservations.reserve(spec, by, command)
        found = self._live.get(identity)
        if found is not None:
            return found
        opening = self._opening.get(identity)
        if opening is None:
            chosen = msgspec.structs.replace(spec, id=identity)
            opening = self._opening[identity] = asyncio.ensure_future(self._opened(chosen))
        return await asyncio.shield(opening)

    async def _opened(self, spec: SwarmSpec) -> LiveSwarm:
        try:
            self._live[spec.id] = found = await self._open(spec)
            return found
        finally:
            self._opening.pop(spec.id, None)

    async def destroy(self, swarm: str, reason: str, by: str, command: str | None = None) -> None:
        """End a swarm: its workers, its node; its log stays.

        Raises:
            UnknownSwarm: it is not open.
        """
        found = self.get(swarm)
        await self._reservations.end(swarm, reason, by, command)
        self._live.pop(swarm, None)
        await self._close(found)

    async def close(self) -> None:
        """Let go of all of them; they are taken up again another time."""
        live, self._live = self._live, {}
        await asyncio.gather(*(self._close(each) for each in live.values()))

    # Agents of all swarms ------------------------------------------------------------------

    def agent(self, agent: str, within: LiveSwarm | None = None) -> tuple[LiveSwarm, AgentState]:
        """The agent of this id or name, in this swarm or in any; the latest of several names.

        Raises:
            UnknownAgent: there is none that is alive or not yet forgotten.
        """
        places = [within] if within is not None else list(reversed(self._live.values()))
        for place in places:
            found = place.state.agents.get(agent)
            if found is not None:
                return place, found
        for place in places:
            for state in reversed(place.state.agents.values()):
                if state.spec.name == agent:
                    return place, state
        raise UnknownAgent(f"There is no agent {agent!r}.", hint="agent_list has them all.")

    @property
    def agents(self) -> int:
        """Agents of all swarms that are not terminated, and those being spawned."""
        return self._coming + sum(len(each.state.agents) for each in self._live.values())

    async def spawning(self, count: int, spawn: Callable[[], Awaitable[T]]) -> T:
        """Spawn `count` agents within what all swarms together may have.

        Raises:
            LimitReached: there would be too many.
        """
        if self.agents + count > self.agents_max:
            raise LimitReached(
                f"This server has {self.agents} agents of at most {self.agents_max}; "
                f"{count} more would be too many.",
                hint="Terminate some with agent_terminate, or start the server with MAX_AGENTS.",
            )
        self._coming += count
        try:
            return await spawn()
        finally:
            self._coming -= count
