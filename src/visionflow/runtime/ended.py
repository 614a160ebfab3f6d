"""Swarms that are over, to be read: their log, their values and what their views show.

Nothing of them is opened before somebody reads, and few are open at once; nothing is folded, so
their state is empty: what there is to know of them is in the rows. Belongs to the loop's thread.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple, TypeVar

from visionflow.domain.errors import UnknownSwarm
from visionflow.domain.swarms import SwarmSpec
from visionflow.engine.fleet import Ending, FleetState
from visionflow.engine.state import SwarmState
from visionflow.ports.blobs import Blobs
from visionflow.runtime.queries import Queries
from visionflow.runtime.swarms import LiveSwarm, TaskSignal

T = TypeVar("T")
OPEN_MAX = 4
"""So many have their views open at once, and those beyond that are being read."""


class Reads(NamedTuple):
    """The read service of a swarm that is over, and what lets go of its files."""

    queries: Queries
    close: Callable[[], None]


class EndedSwarm:
    """A swarm that is over, as those who read see it: like a `LiveSwarm` in which nothing is."""

    def __init__(self, spec: SwarmSpec, ending: Ending, places: "EndedSwarms") -> None:
        self.id = spec.id
        self.spec = spec
        self.ending = ending
        self.state = SwarmState()
        self.state.spec, self.state.closed = spec, ending.reason
        self.signals: dict[str, TaskSignal] = {}
        self._places = places

    @property
    def blobs(self) -> Blobs:
        """Values that are too large for its log."""
        return self._places.blobs

    @property
    def now_ms(self) -> int:
        """When it ended: no time passes in it."""
        return self.ending.at_ms

    @property
    def is_settled(self) -> bool:
        """It is: nothing of it is only in memory."""
        return True

    async def settled(self) -> None:
        """At once."""

    async def read(self, call: Callable[[Queries], T]) -> T:
        """Ask the read service, in a thread: it blocks on the disk."""
        return await self._places.read(self.id, call)


AnySwarm = LiveSwarm | EndedSwarm
"""What a tool that only reads may be given."""


class EndedSwarms:
    """Those that the fleet still knows of."""

    def __init__(
        self,
        fleet: FleetState,
        blobs: Blobs,
        open_reads: Callable[[str], Reads],
        gone: Callable[[str], Awaitable[None]],
    ) -> None:
        """`open_reads` opens the views of a swarm, in a thread; `gone` waits until nothing in this
        process writes to them any more."""
        self.blobs = blobs
        self._fleet = fleet
        self._open_reads = open_reads
        self._gone = gone
        self._open: dict[str, asyncio.Task[Reads]] = {}
        """The one that was read last comes last."""
        self._readers: dict[str, int] = {}
        self._closing: dict[str, asyncio.Future[None]] = {}
        self._closed = False

    def find(self, swarm: str) -> EndedSwarm | None:
        """The swarm of this id, if it is over and still known. What it tells may leave once the
        fleet is settled."""
        ending, spec = self._fleet.endings.get(swarm), self._fleet.over.get(swarm)
        return None if ending is None or spec is None else EndedSwarm(spec, ending, self)

    def since(self, at_ms: int, most: int) -> list[EndedSwarm]:
        """Those that ended then or later, the latest first."""
        found: list[EndedSwarm] = []
        for name, ending in reversed(self._fleet.endings.items()):
            if ending.at_ms < at_ms or len(found) == most:
                break
            each = self.find(name)
            if each is not None:
                found.append(each)
        return found

    async def read(self, swarm: str, call: Callable[[Queries], T]) -> T:
        """Ask the read service of a swarm.

        Raises:
            UnknownSwarm: the server ends.
        """
        self._readers[swarm] = self._readers.get(swarm, 0) + 1
        try:
            reads = await asyncio.shield(self._opened(swarm))
        except BaseException:
            self._left(swarm)
            raise
        reading = asyncio.get_running_loop().run_in_executor(None, call, reads.queries)
        # Who asked may go away; the thread goes on, and the file must stay open for it.
        reading.add_done_callback(lambda _: self._left(swarm))
        return await asyncio.shield(reading)

    def _opened(self, swarm: str) -> "asyncio.Task[Reads]":
        if self._closed:
            raise UnknownSwarm(f"Swarm {swarm} is over, and the server ends.")
        opening = self._open.pop(swarm, None)
        if opening is None:
            opening = asyncio.ensure_future(self._opening(swarm))
        self._open[swarm] = opening
        return opening

    async def _opening(self, swarm: str) -> Reads:
        closing = self._closing.get(swarm)
        if closing is not None:
            await closing
        await self._gone(swarm)
        return await asyncio.to_thread(self._open_reads, swarm)

    def _left(self, swarm: str) -> None:
        self._readers[swarm] -= 1
        if not self._readers[swarm]:
            del self._readers[swarm]
        opening = self._open.get(swarm)
        if opening is not None and opening.done() and _failed(opening):
            del self._open[swarm]  # The next one who reads tries again.
        spare = [name for name in self._open if name not in self._readers]
        for name in spare[: max(0, len(self._open) - OPEN_MAX)]:
            self._let_go(name)

    def _let_go(self, swarm: str) -> None:
        opening = self._open.pop(swarm)

        async def close() -> None:
            try:
                reads = await opening
                await asyncio.to_thread(reads.close)
            finally:
                self._closing.pop(swarm, None)

        closing = self._closing[swarm] = asyncio.ensure_future(close())
        closing.add_done_callback(_failed)

    async def close(self) -> None:
        """Let go of all files, once those who read have read."""
        self._closed = True
        while self._readers:
            await asyncio.sleep(0.01)
        for name in list(self._open):
            self._let_go(name)
        await asyncio.gather(*self._closing.values(), return_exceptions=True)


def _failed(done: "asyncio.Future[T]") -> bool:
    """Whether it came to nothing; whoever waited for it was told."""
    return done.cancelled() or done.exception() is not None
