"""The swarms that are open in this process: each with its node, its read service and its progress.

All of it belongs to one loop. A swarm is reserved in the fleet's stream before its own begins, so
a crash in between leaves a promise that `recover` keeps.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Protocol, TypeVar

import msgspec

from visionflow.domain import commands as c
from visionflow.domain import events as e
from visionflow.domain.commands import AnyCommand
from visionflow.domain.errors import (
    LimitReached,
    Refused,
    UnknownAgent,
    UnknownSwarm,
    VisionFlowError,
)
from visionflow.domain.events import AnyEvent
from visionflow.domain.swarms import SwarmSpec
from visionflow.domain.tasks import TERMINAL
from visionflow.engine.state import AgentState, Answer, SwarmState
from visionflow.ports.blobs import Blobs
from visionflow.runtime.answers import accepted, settle
from visionflow.runtime.dispatches import Dispatches
from visionflow.runtime.node import Node, Stopped
from visionflow.runtime.queries import Queries

T = TypeVar("T")
PROGRESS_MAX = 10_000
"""Tasks whose last word on their progress is kept."""
_ENDINGS = (e.TaskCompleted, e.TaskFailed, e.TaskDeadLettered, e.TaskCancelled)


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
        self.dispatches = Dispatches(node.control)
        self.signals: dict[str, TaskSignal] = {}
        """By task, the last of each while it runs."""
        self._waiting: dict[asyncio.Future[Any], None] = {}
        self._reading: dict[asyncio.Future[Any], None] = {}
        self._read_out = False
        node.control.on_commit.append(self._committed)
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

    @property
    def blobs(self) -> Blobs:
        """Values that are too large for its log."""
        return self.node.intake.blobs

    async def ask(self, command: AnyCommand) -> Answer:
        """Have a command decided; returns once that is durable.

        Raises:
            Refused: it was not accepted, with the code and message on record.
            MailboxFull: it was not taken.
            VisionFlowError: nothing is decided here any more.
        """
        asked: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.node.control.offer(command, lambda answer: settle(asked, answer))
        return accepted(await self._unless_over(asked))

    @property
    def is_settled(self) -> bool:
        """Whether all that the state holds is durable, so that it may be told at once."""
        return self.node.control.is_settled

    async def settled(self) -> None:
        """Wait until all that the state holds now is durable."""
        if self.is_settled or (self._read_out and isinstance(self.node.control.failure, Stopped)):
            return  # Before it was closed, all was.
        passed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.node.control.after_commit(lambda: settle(passed, None))
        await self._unless_over(passed)

    async def read(self, call: Callable[[Queries], T]) -> T:
        """Ask the read service, in a thread: it blocks on the disk.

        What the state holds now is durable by then, so that who has left the one is in the other.

        Raises:
            UnknownSwarm: the swarm ended while the caller looked elsewhere; its file is closed.
        """
        if self.node.control.failure is None:
            with suppress(VisionFlowError):  # A log that cannot be written is read all the same.
                await self.settled()
        if self._read_out:
            raise UnknownSwarm(f"Swarm {self.id} is over.", ids={"swarmId": self.id})
        reading = asyncio.get_running_loop().run_in_executor(None, call, self.queries)
        # Who asked may go away; the thread goes on, and the file must stay open for it.
        self._reading[reading] = None
        reading.add_done_callback(lambda _: self._reading.pop(reading, None))
        return await asyncio.shield(reading)

    async def read_out(self) -> None:
        """Wait until nobody reads any more; from now on nobody can."""
        self._read_out = True
        await asyncio.gather(*self._reading, return_exceptions=True)

    async def end(self, reason: str, command: str | None = None) -> None:
        """Cancel what is open, end all agents, take nothing more; returns once that is durable.

        Harmless when it was done before.
        """
        for name in [name for name, task in self.state.tasks.items() if task.spec.parent is None]:
            if self.state.tasks[name].status not in TERMINAL:
                cancel = c.CancelTask(now_ms=self.now_ms, task=name, reason=reason)
                self.node.control.offer(cancel, bounded=False)
        with suppress(Refused):  # It is closed already, which a retried call finds.
            await self.ask(c.CloseSwarm(now_ms=self.now_ms, reason=reason, command=command))
        await self.settled()

    async def _unless_over(self, asked: "asyncio.Future[T]") -> T:
        """Wait for it; a control plane that stopped for good answers nobody."""
        failure = self.node.control.failure
        if failure is not None and not asked.done():
            raise self._told(failure)
        self._waiting[asked] = None
        try:
            return await asked
        finally:
            self._waiting.pop(asked, None)

    def _over(self, reason: BaseException) -> None:
        for asked in list(self._waiting):
            if not asked.done():
                asked.set_exception(self._told(reason))

    def _told(self, reason: BaseException) -> BaseException:
        """Why nothing is decided any more, in words for whoever asked this swarm."""
        if not isinstance(reason, Stopped):
            return reason
        return Stopped(
            f"Swarm {self.id} is over, or the server ends.",
            hint="swarm_list has those that there are.",
        )

    def _committed(self, _seq: int, _at_ms: int, events: list[AnyEvent]) -> None:
        if self.signals:
            for event in events:
                if isinstance(event, _ENDINGS):
                    self.signals.pop(event.task, None)

    def _hear(self, task: str, attempt: int, fraction: float | None, note: str) -> None:
        if task not in self.signals and len(self.signals) >= PROGRESS_MAX:
            self.signals.pop(next(iter(self.signals)))
        self.signals[task] = TaskSignal(attempt, fraction, note, self.now_ms)


def _hear_out(future: "asyncio.Future[Any]") -> None:
    """Whoever waited for it may be gone; then nobody asks why it failed."""
    if not future.cancelled():
        future.exception()


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
        close_swarm: Callable[[LiveSwarm, bool], Awaitable[None]],
        agents_max: int,
    ) -> None:
        """`open_swarm` creates or takes up again; `close_swarm` ends its workers, at once when
        told to kill; `agents_max` bounds all swarms together."""
        self._reservations = reservations
        self._open = open_swarm
        self._close = close_swarm
        self._live: dict[str, LiveSwarm] = {}
        self._opening: dict[str, asyncio.Future[LiveSwarm]] = {}
        self._ending: dict[str, asyncio.Future[None]] = {}
        self._leaving: dict[str, LiveSwarm] = {}
        """Over, with processes that may still run."""
        self._closed = False
        self._let_go = False
        self._coming = 0
        self._turns: deque[asyncio.Future[None]] = deque()
        self.agents_max = agents_max
        self.latest_of: dict[str, str] = {}
        """By client, the swarm that it last made or named."""
        self.on_open: list[Callable[[LiveSwarm], None]] = []
        """Called with each swarm that is taken up again or made, before anybody else sees it."""

    async def recover(self) -> None:
        """Take up again every swarm that was promised and is not over.

        One that was closed just before a crash, and not yet struck off, is there still, closed:
        the retried call that closed it strikes it off.
        """
        for spec in self._reservations.promised():
            self._admit(await self._open(spec))

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
        """The latest swarm of this client, else the latest of all; none that is closed."""
        own = self._live.get(self.latest_of.get(client, ""))
        for found in (own, *reversed(self._live.values())):
            if found is not None and found.state.closed is None:
                return found
        return None

    async def create(self, spec: SwarmSpec, by: str, command: str | None = None) -> LiveSwarm:
        """A new swarm; the one of an earlier call when the command is known.

        Raises:
            Refused: the fleet does not take it.
            UnknownSwarm: the command is known, and its swarm is over.
            Stopped: the server ends.
        """
        if self._closed:
            raise Stopped("The server ends.", hint="Call again once it is back.")
        identity = await self._reservations.reserve(spec, by, command)
        found = self._live.get(identity)
        if found is not None:
            return found
        if all(known.id != identity for known in self._reservations.promised()):
            return self.get(identity)
        opening = self._opening.get(identity)
        if opening is None:
            chosen = msgspec.structs.replace(spec, id=identity)
            opening = self._opening[identity] = asyncio.ensure_future(self._opened(chosen))
            opening.add_done_callback(_hear_out)
        return await asyncio.shield(opening)

    async def _opened(self, spec: SwarmSpec) -> LiveSwarm:
        try:
            found = await self._open(spec)
            self._admit(found)
            return found
        finally:
            self._opening.pop(spec.id, None)

    def _admit(self, swarm: LiveSwarm) -> None:
        for call in self.on_open:
            call(swarm)
        self._live[swarm.id] = swarm

    async def destroy(self, swarm: str, reason: str, by: str, command: str | None = None) -> None:
        """End a swarm: what is open in it, its workers, its node; its log stays.

        Returns once no process of it is left. Again with the same command is harmless.

        Raises:
            UnknownSwarm: there is none, or it is over already.
        """
        found = self._live.get(swarm)
        ending = self._ending.get(swarm)
        if found is None and ending is None:
            # The fleet knows whether this is an earlier call come again.
            await self._reservations.end(swarm, reason, by, command)
            return
        if found is not None and ending is None:
            ended = self._ended(found, reason, by, command)
            ending = self._ending[swarm] = asyncio.ensure_future(ended)
            ending.add_done_callback(_hear_out)
        assert ending is not None
        await asyncio.shield(ending)

    async def _ended(self, swarm: LiveSwarm, reason: str, by: str, command: str | None) -> None:
        try:
            await swarm.end(reason, command)
            await self._reservations.end(swarm.id, reason, by, command)
            self._live.pop(swarm.id, None)
            self._leaving[swarm.id] = swarm
            await self._close(swarm, False)
        finally:
            self._leaving.pop(swarm.id, None)
            self._ending.pop(swarm.id, None)

    async def gone(self, swarm: str) -> None:
        """Wait until nothing of a swarm that is being ended is open here; at once otherwise."""
        ending = self._ending.get(swarm)
        if ending is not None:
            with suppress(Exception):  # Whoever ends it is told.
                await asyncio.shield(ending)

    async def close(self, kill: bool = False) -> None:
        """Let go of all of them; they are taken up again another time. Until each is closed it can
        be looked at; whoever asks for something is told."""
        self._closed = True
        await asyncio.gather(*self._opening.values(), return_exceptions=True)
        ending = [asyncio.shield(each) for each in self._ending.values()]
        live = [each for name, each in self._live.items() if name not in self._ending]
        closing = (self._close(each, kill) for each in live)
        await asyncio.gather(*closing, *ending, return_exceptions=True)
        self._let_go = True
        for each in live:
            self._live.pop(each.id, None)

    def check_held(self, whole: bool = False) -> None:
        """What is known here can be told; with `whole`, also that there is nothing more of it.

        Raises:
            Stopped: the server ends, and its swarms are let go of.
        """
        if self._let_go or (whole and self._closed):
            raise Stopped("The server ends.", hint="Call again once it is back.")

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
        """Agents of all swarms that are not terminated."""
        swarms = (*self._live.values(), *self._leaving.values())
        return sum(len(each.state.agents) for each in swarms)

    async def spawning(self, count: int, spawn: Callable[[], Awaitable[T]]) -> T:
        """Spawn `count` agents within what all swarms together may have.

        Who comes while others are being spawned waits until it is known how many they are.

        Raises:
            LimitReached: there would be too many.
        """
        while self.agents + self._coming + count > self.agents_max:
            if self.agents + count > self.agents_max or not self._coming:
                await self._settled()
                raise LimitReached(
                    f"This server has {self.agents} agents of at most {self.agents_max}; "
                    f"{count} more would be too many.",
                    hint="End some with agent_terminate, or start the server with a higher "
                    "MAX_AGENTS.",
                )
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._turns.append(turn)
            await turn
        self._coming += count
        try:
            return await spawn()
        finally:
            self._coming -= count
            turns, self._turns = self._turns, deque()
            for turn in turns:
                settle(turn, None)

    async def _settled(self) -> None:
        for each in self.all():
            await each.settled()
