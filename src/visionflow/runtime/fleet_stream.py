"""The shell of the fleet's stream: asking, reading behind it, the clock, and its end.

Beside expiry, the clock has the ends of the other streams noted (`StreamsAnchored`): then whoever
knows one hash of this stream can tell that none of them was cut or edited before that.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Self, TypeVar

import msgspec

from visionflow.domain import fleet as f
from visionflow.domain.errors import LogCorrupt, VisionFlowError
from visionflow.engine import fleet as machine
from visionflow.engine.state import Answer
from visionflow.ports.blobs import Blobs
from visionflow.ports.fleet_views import FleetViews
from visionflow.ports.host import Host, Timer
from visionflow.ports.log import GENESIS, Head, Log
from visionflow.runtime.answers import accepted, settle
from visionflow.runtime.control_plane import Machine, Turns
from visionflow.runtime.fleet_reads import FleetReads
from visionflow.runtime.fleet_refusals import Refusals

T = TypeVar("T")
MAILBOX_MAX = 20_000
TICK_MS = 250
ANCHOR_EVERY = 240
"""Every so many ticks the ends of the other streams are noted, when they have moved."""
FLEET = Machine(
    machine.handle,
    machine.nothing_follows,
    machine.evolve,
    machine.open_record,
    f.encode_fleet_record,
)


class FleetClosed(VisionFlowError):
    """The server was closed; nothing more is recorded."""

    code = "stopped"


def replay(log: Log) -> tuple[machine.FleetState, Head]:
    """The state that the fleet's stream amounts to, and where the stream ends.

    Raises:
        LogCorrupt: the chain does not hold, or a record is not one of this version's.
    """
    state, head = machine.FleetState(), Head(0, GENESIS)
    for entry in log.read(f.STREAM):
        try:
            record = f.decode_fleet_record(entry.body)
        except msgspec.DecodeError as error:
            raise LogCorrupt(
                f"Record {entry.seq} of {f.STREAM} cannot be read: {error}.",
                hint="It may come from a newer version of VisionFlow.",
            ) from error
        machine.fold(state, record)
        head = Head(entry.seq, entry.hash)
    return state, head


class FleetStream:
    """Decides on commands for the fleet's stream."""

    def __init__(
        self,
        log: Log,
        host: Host,
        blobs: Blobs,
        views: FleetViews,
        on_failure: Callable[[BaseException], None],
    ) -> None:
        """`on_failure` is called once, when nothing can be recorded any more."""
        state, head = replay(log)
        self._on_failure = on_failure
        self._log = log
        self._host = host
        self._blobs = blobs
        self._turns: Turns[machine.FleetState, f.FleetCommand, f.FleetEvent] = Turns(
            FLEET, f.STREAM, state, head, log, host, MAILBOX_MAX, self._failed
        )
        self._reads = FleetReads(log, views, lambda: self._turns.head.seq)
        self._refusals = Refusals(host, lambda found: self.offer(found))
        self._waiting: dict[asyncio.Future[Any], None] = {}
        self._ticks = 0
        self._anchored: dict[str, Head] = {}
        self._anchoring: asyncio.Task[None] | None = None
        self._timer: Timer | None = host.call_later(TICK_MS, self._tick)

    @classmethod
    def open(
        cls,
        log: Log,
        host: Host,
        blobs: Blobs,
        views: FleetViews,
        on_failure: Callable[[BaseException], None] = lambda _: None,
    ) -> Self:
        """Take the stream up where it ends, in the running loop.

        Raises:
            LogCorrupt: the chain does not hold, or a record is not one of this version's.
            LogUnavailable: the disk could not be read.
        """
        return cls(log, host, blobs, views, on_failure)

    async def close(self) -> None:
        """Record what waits and where all streams end, then nothing more. Close swarms before."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        try:
            if self._turns.failure is None:
                await self.anchored()
                self._refusals.close()
                with suppress(VisionFlowError):
                    await self._anchor()
                await self.quiet()
        finally:
            self._turns.close(FleetClosed("The server was closed.", hint="Start it again."))
            self._tell_over()

    # What is known -------------------------------------------------------------------------

    @property
    def state(self) -> machine.FleetState:
        """The fold. What is read of it may not be on the disk yet: see `settled`."""
        return self._turns.state

    @property
    def head(self) -> Head:
        """The last record that is durable: whoever notes its hash can tell a later change."""
        return self._turns.head

    @property
    def is_settled(self) -> bool:
        """Whether all that the state holds is durable, so that it may be told at once."""
        return self._turns.is_settled

    async def settled(self) -> None:
        """Wait until all that the state holds now is durable."""
        if self.is_settled:
            return
        passed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._turns.after_commit(lambda: settle(passed, None))
        await self._unless_over(passed)

    async def quiet(self) -> None:
        """Wait until all that was offered before is decided and durable."""
        done: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._turns.in_order(lambda answer: settle(done, answer))
        await self._unless_over(done)

    def follow(self, committed: Callable[[int, int, list[f.FleetEvent]], None]) -> None:
        """Have this called with number, time and events of each record from now on, in order, once
        it is durable."""
        self._turns.on_commit.append(committed)

    # Asking --------------------------------------------------------------------------------

    def offer(self, command: f.FleetCommand) -> None:
        """Queue a command whose answer nobody waits for. Once this is closed it is dropped."""
        self._turns.offer(command, bounded=False)

    async def ask(
        self, command: f.FleetCommand, offered: Callable[[], None] | None = None
    ) -> Answer:
        """Have a command decided; returns once that is durable. `offered` is called when its place
        among all commands is settled.

        Raises:
            Refused: it was not accepted, with the code and message on record.
            MailboxFull: it was not taken.
            VisionFlowError: nothing is decided here any more.
        """
        asked: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._turns.offer(command, lambda answer: settle(asked, answer))
        if offered is not None:
            offered()
        return accepted(await self._unless_over(asked))

    async def _unless_over(self, asked: "asyncio.Future[T]") -> T:
        failure = self._turns.failure
        if failure is not None and not asked.done():
            raise failure
        self._waiting[asked] = None
        try:
            return await asked
        finally:
            self._waiting.pop(asked, None)

    def _failed(self, failure: BaseException) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._tell_over()
        self._on_failure(failure)

    def _tell_over(self) -> None:
        failure = self._turns.failure
        for asked in list(self._waiting):
            if failure is not None and not asked.done():
                asked.set_exception(failure)

    def _tick(self) -> None:
        if self._timer is None:
            return
        self._ticks += 1
        now_ms = self._host.now_ms()
        if machine.is_due(self.state, now_ms):
            self._turns.offer(f.TickFleet(now_ms=now_ms), bounded=False)
        if self._ticks % ANCHOR_EVERY == 0 and self._anchoring is None:
            self._anchoring = asyncio.get_running_loop().create_task(self._anchor_quietly())
        self._timer = self._host.call_later(TICK_MS, self._tick)

    async def anchored(self) -> None:
        """Wait until the ends of other streams that are being looked at are noted."""
        if self._anchoring is not None:
            await asyncio.gather(self._anchoring, return_exceptions=True)
            await self.quiet()

    async def _anchor_quietly(self) -> None:
        # A disk that cannot be read is found by whoever needs it; nothing is lost by this.
        try:
            with suppress(VisionFlowError):
                await self._anchor()
        finally:
            self._anchoring = None

    async def _anchor(self) -> None:
        """Note where the other streams end, if one of them moved since the last time."""
        log = self._log

        def read() -> dict[str, Head]:
            return {name: log.head(name) for name in log.streams() if name != f.STREAM}

        heads = await in_thread(read)
        if heads != self._anchored:
            moved = {k: head for k, head in heads.items() if self._anchored.get(k) != head}
            ends = tuple((name, head.seq, head.hash.hex()) for name, head in moved.items())
            self._anchored = heads
            self._turns.offer(
                f.AnchorStreams(now_ms=self._host.now_ms(), heads=ends), bounded=False
            )


async def in_thread(call: Callable[[], T]) -> T:
    """Run what blocks on the disk beside the loop."""
    return await asyncio.get_running_loop().run_in_executor(None, call)
