"""The worker's end of its conversation with the orchestrator.

What must arrive is numbered and kept until it is acknowledged; a broken connection is dialled
again, introduced by a hello, and what was not acknowledged follows in order. So every report
arrives at least once, and its content (task, attempt) lets the other end drop the second copy.
It runs over a `Bus` and a `Host` alone, so that the simulator drives the very same code.
"""

import asyncio
import threading
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import msgspec

from visionflow.domain.errors import BusClosed, Refused
from visionflow.domain.messages import (
    PROTOCOL,
    Announce,
    AuctionOver,
    Begin,
    CancelAttempt,
    CircuitAnswer,
    Debug,
    DelegateAnswer,
    DigestAsked,
    DigestTold,
    Dispatch,
    DropAgent,
    EffectAnswer,
    EventTold,
    Failed,
    FrameAck,
    Heartbeat,
    Hello,
    HostAgent,
    InboxAnswer,
    LockAnswer,
    LogLine,
    MailAnswer,
    MailHanded,
    MailReply,
    MeshFounded,
    Message,
    OrchestratorFrame,
    PeerDown,
    PeersLeft,
    PeerUp,
    Ping,
    Pong,
    Progress,
    RecallAttempt,
    Rejected,
    Result,
    StepAnswer,
    Stop,
    TeamAnswer,
    WaitAnswer,
    Welcome,
    WorkerFrame,
)
from visionflow.domain.tasks import FailureKind
from visionflow.engine.mesh.bidding import free_share_bp
from visionflow.ports.bus import Bus, Delivery
from visionflow.ports.host import Host, Timer
from visionflow.worker import exits
from visionflow.worker.executor import Executor
from visionflow.worker.peers import Peers

MESSAGES_PER_FRAME_MAX = 100
"""With values of INLINE_BYTES_MAX this many still fit into FRAME_BYTES_MAX."""
SIGNALS_MAX = 1_000
"""Signals kept for the frame to come; more of one turn are dropped, and lines are counted."""
FIRST_DIAL_MS = 10_000
"""How long the first connection may take, whatever the grace is."""
DIAL_WAIT_MS = 50
DIAL_WAIT_MAX_MS = 1_000
HELLO_AGAIN_MS = 1_000
DRAIN_MS = 8_000
LAST_ACK_MS = 2_000
"""How long a stopping worker waits for its last reports to be acknowledged."""

Connect = Callable[[Callable[[], None]], Awaitable[Bus]]
"""Dials; the argument is to be called once when the connection is lost later.

Raises BusClosed when nobody answers, Refused when this worker is not wanted."""

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(OrchestratorFrame)


class Identity(NamedTuple):
    """Who this worker is. The secret was passed by descriptor and is told to nobody else."""

    worker: str
    incarnation: int
    secret: str
    swarm: str
    pid: int

    @property
    def inbox(self) -> str:
        """The subject on which it is spoken to."""
        return f"worker.{self.worker}"

    @property
    def commands(self) -> str:
        """The subject on which it reports."""
        return f"orch.{self.swarm}.cmd"

    @property
    def heartbeats(self) -> str:
        """The subject on which it says that it lives."""
        return f"orch.{self.swarm}.hb"


class _Sent(NamedTuple):
    number: int
    body: bytes
    attempts: tuple[tuple[str, int], ...]


class WorkerSession:
    """Connects an `Executor` to the orchestrator. Satisfies `Reporter`."""

    def __init__(
        self,
        identity: Identity,
        connect: Connect,
        host: Host,
        executor: Executor,
        orphan_grace_ms: int = 0,
        resident_bytes: Callable[[], int | None] = lambda: None,
        ceiling_bytes: Callable[[], int | None] = lambda: None,
        peer_bus: Bus | None = None,
    ) -> None:
        """`orphan_grace_ms` is how long a lost orchestrator is waited for; 0: not at all.
        `resident_bytes`: the memory of this process, where that is known; called on any thread.
        `ceiling_bytes`: what it may have; peers of a mesh bid by how much of that is free.
        `peer_bus`: over which peers of a mesh speak, where that is not the hub's own."""
        self._identity = identity
        self._connect = connect
        self._host = host
        self._executor = executor
        self._grace_ms = orphan_grace_ms
        self._resident_bytes = resident_bytes
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[int] = self._loop.create_future()
        self._bus: Bus | None = None
        self._welcomed = False
        self._joined_once = False
        self._number = 0
        self._out: list[Message] = []
        self._signals: deque[Message] = deque(maxlen=SIGNALS_MAX)
        self._left_out: Counter[tuple[str | None, str]] = Counter()
        self._signals_lock = threading.RLock()
        self._signals_soon = False
        self._thread = threading.get_ident()
        self._dialling = False
        self._unacked: deque[_Sent] = deque()
        self._flush_soon = False
        self._hello_again: Timer | None = None
        self._background: list[asyncio.Task[None]] = []
        self._leaving = False

        def free_bp() -> int | None:
            return free_share_bp(resident_bytes(), ceiling_bytes())

        self.peers = Peers(host, executor, self, identity.swarm, peer_bus, free_bp)
        executor.on_result = self.peers.completed
        self._handlers: dict[type[Message], Callable[..., None]] = {
            Welcome: self._welcome,
            Rejected: self._rejected,
            HostAgent: self._host_agent,
            DropAgent: self._drop_agent,
            Dispatch: executor.dispatch,
            CancelAttempt: executor.cancel,
            StepAnswer: executor.step_answered,
            EffectAnswer: executor.effect_answered,
            LockAnswer: executor.asked_answered,
            WaitAnswer: executor.asked_answered,
            CircuitAnswer: executor.asked_answered,
            TeamAnswer: executor.asked_answered,
            DelegateAnswer: executor.asked_answered,
            MailAnswer: executor.mail_answered,
            MailReply: executor.mail_answered,
            InboxAnswer: executor.mail_answered,
            MailHanded: executor.mail.handed,
            EventTold: executor.mail.told,
            Begin: executor.begin,
            RecallAttempt: executor.recall,
            Debug: self._debug,
            FrameAck: self._frame_acked,
            Stop: self._told_to_stop,
            PeerUp: self.peers.up,
            PeerDown: self.peers.down,
            PeersLeft: self.peers.left,
            MeshFounded: self.peers.founded,
            Announce: self.peers.announce,
            AuctionOver: self.peers.over,
            Ping: self._pinged,
            DigestAsked: self._digest_asked,
        }
        executor.report_to(self)

    async def run(self) -> int:
        """Serve until told to stop; returns the code with which the process should end."""
        self._start(self._dial(max(FIRST_DIAL_MS, self._grace_ms)))
        code = await self._ended
        for task in self._background:
            task.cancel()
        if self._hello_again is not None:
            self._hello_again.cancel()
        if self._bus is not None:
            await self._bus.close()
        return code

    def drain(self, reason: str) -> None:
        """Take nothing new, finish what runs within `DRAIN_MS`, then end with 0."""
        self._leave(reason, DRAIN_MS)

    def end(self, code: int) -> None:
        """End now with this code; what is under way is left as it is."""
        self.flush()
        if not self._ended.done():
            self._ended.set_result(code)

    def fail_all_and_end(self, kind: FailureKind, reason: str, code: int) -> None:
        """Report every attempt as failed, then end with this code."""
        self._executor.fail_all(kind, reason)
        self.end(code)

    def held(self) -> tuple[tuple[str, int], ...]:
        """(task, attempt) under way here, or ended and not acknowledged yet. From any thread."""
        kept = [pair for sent in tuple(self._unacked) for pair in sent.attempts]
        # What ended while nobody was there is in no frame yet.
        return (*self._executor.held(), *kept, *_ends(tuple(self._out)))

    def heartbeat(self, early: bool = False) -> bytes:
        """The frame that says that this worker lives, `early`: before its time. From any thread."""
        who = self._identity
        size, overrunning = self._resident_bytes(), self._executor.overrunning
        beat = Heartbeat(who.worker, who.incarnation, self.held(), size, early, overrunning)
        return _encoder.encode(WorkerFrame(0, [beat]))

    def beat(self) -> None:
        """Send a heartbeat over the session's own connection, where there is no thread."""
        if self._welcomed:
            self._publish(self._identity.heartbeats, self.heartbeat())

    # Reporter --------------------------------------------------------------------------------

    def send(self, message: Message) -> None:
        """Deliver it, over several connections if need be. In the loop."""
        self._out.append(message)
        if not self._flush_soon:
            self._flush_soon = True
            self._loop.call_soon(self.flush)

    def signal(self, message: Message) -> None:
        """Deliver it if somebody is there now. From any thread."""
        with self._signals_lock:
            if len(self._signals) == SIGNALS_MAX and isinstance(self._signals[0], LogLine):
                dropped = self._signals[0]
                self._left_out[dropped.agent, dropped.level] += 1
            self._signals.append(message)
        if self._signals_soon:
            return
        self._signals_soon = True
        if threading.get_ident() == self._thread:
            self._loop.call_soon(self._flush_signals)
        else:
            with suppress(RuntimeError):  # The loop is closed: nobody is there to be told.
                self._loop.call_soon_threadsafe(self._flush_signals)

    # Sending ---------------------------------------------------------------------------------

    def flush(self) -> None:
        """Put what is ready into frames. Before the welcome it stays where it is."""
        self._flush_soon = False
        if not self._welcomed:
            return
        out, self._out = self._out, []
        for start in range(0, len(out), MESSAGES_PER_FRAME_MAX):
            part = out[start : start + MESSAGES_PER_FRAME_MAX]
            self._number += 1
            body = _encoder.encode((self._number, part))
            self._unacked.append(_Sent(self._number, body, _ends(part)))
            self._publish(self._identity.commands, body)

    def _flush_signals(self) -> None:
        # First, so that whoever signals from here on has this called again.
        self._signals_soon = False
        if not self._welcomed:
            return
        with self._signals_lock:
            signals = list(self._signals)
            self._signals.clear()
            left_out, self._left_out = self._left_out, Counter()
        last: dict[tuple[str, int] | int, Message] = {}
        for place, signal in enumerate(signals):
            # Of the progress of one attempt in one turn only the last is of interest.
            if isinstance(signal, Progress):
                last.pop((signal.task, signal.attempt), None)
                last[signal.task, signal.attempt] = signal
            else:
                last[place] = signal
        messages = list(last.values())
        messages += [LogLine(who, level, "", count) for (who, level), count in left_out.items()]
        for start in range(0, len(messages), MESSAGES_PER_FRAME_MAX):
            part = messages[start : start + MESSAGES_PER_FRAME_MAX]
            self._publish(self._identity.commands, _encoder.encode((0, part)))

    def _publish(self, subject: str, body: bytes) -> None:
        if self._bus is not None:
            try:
                self._bus.publish(subject, body)
            except BusClosed:
                # `_lost` is on its way, and what is unacknowledged is sent again.
                self._welcomed = False

    # Connecting ------------------------------------------------------------------------------

    async def _dial(self, patience_ms: int) -> None:
        until = self._host.monotonic_ms() + patience_ms
        wait_ms = DIAL_WAIT_MS
        self._dialling = True
        while self._dialling and not self._ended.done():
            try:
                self._opened(await self._connect(self._lost))
            except Refused:
                self.end(exits.REFUSED)
            except (BusClosed, OSError):
                if self._host.monotonic_ms() + wait_ms > until:
                    self.end(exits.ORPHANED)
                else:
                    await self._pause(wait_ms)
                    wait_ms = min(2 * wait_ms, DIAL_WAIT_MAX_MS)

    def _opened(self, bus: Bus) -> None:
        bus.subscribe(self._identity.inbox, self._receive)
        self._bus = bus
        self.peers.connected(bus)
        self._dialling = False
        self._hello()

    def _hello(self) -> None:
        if self._welcomed or self._bus is None or self._ended.done():
            return
        who = self._identity
        hello = Hello(
            who.worker,
            who.incarnation,
            who.secret,
            who.pid,
            self.held(),
            protocol=PROTOCOL,
            leaving=self._leaving,
        )
        self._publish(who.commands, _encoder.encode(WorkerFrame(0, [hello])))
        self._hello_again = self._host.call_later(HELLO_AGAIN_MS, self._hello)

    def _lost(self) -> None:
        self._bus = None
        self.peers.lost()
        self._welcomed = False
        if self._hello_again is not None:
            self._hello_again.cancel()
        if self._ended.done():
            return
        if self._grace_ms <= 0:
            self.end(exits.DONE if self._leaving else exits.ORPHANED)
        elif not self._dialling:
            self._executor.pause()
            self._start(self._dial(self._grace_ms))

    async def _pause(self, wait_ms: int) -> None:
        over: asyncio.Future[None] = self._loop.create_future()

        def wake() -> None:
            if not over.done():
                over.set_result(None)

        timer = self._host.call_later(wait_ms, wake)
        try:
            await over
        finally:
            timer.cancel()

    # Receiving -------------------------------------------------------------------------------

    def _receive(self, delivery: Delivery) -> None:
        for message in _decoder.decode(delivery.payload).messages:
            self._handlers[type(message)](message)

    def _welcome(self, welcome: Welcome) -> None:
        if self._welcomed or self._bus is None:
            self._acknowledged(welcome.acked)
            return
        if self._hello_again is not None:
            self._hello_again.cancel()
        self._acknowledged(welcome.acked)
        self._executor.resume()
        self._welcomed = True
        for sent in list(self._unacked):
            self._publish(self._identity.commands, sent.body)
        if self._joined_once:
            self._executor.repeat_steps()
        self._joined_once = True
        self.flush()
        self._flush_signals()

    def _rejected(self, _: Rejected) -> None:
        self.end(exits.REFUSED)

    def _host_agent(self, message: HostAgent) -> None:
        self._executor.host_agent(message.spec, message.revision)

    def _drop_agent(self, message: DropAgent) -> None:
        self._executor.drop_agent(message.agent)
        self.peers.leave(message.agent)

    def _debug(self, message: Debug) -> None:
        self._executor.debugging.keep(message.agent, message.for_ms)

    def _frame_acked(self, message: FrameAck) -> None:
        self._acknowledged(message.number)

    def _told_to_stop(self, message: Stop) -> None:
        self._leave(message.reason, 0)

    def _pinged(self, message: Ping) -> None:
        # A signal: what is answered late, over another connection, answers nothing.
        self._publish(self._identity.commands, _encoder.encode((0, [Pong(message.number)])))

    def _digest_asked(self, message: DigestAsked) -> None:
        told = DigestTold(message.number, self._executor.hosted())
        self._publish(self._identity.commands, _encoder.encode((0, [told])))

    def _acknowledged(self, number: int) -> None:
        while self._unacked and self._unacked[0].number <= number:
            self._unacked.popleft()

    # Leaving ---------------------------------------------------------------------------------

    def _leave(self, reason: str, patience_ms: int) -> None:
        if not self._leaving:
            self._leaving = True
            self._start(self._wind_up(reason, patience_ms))

    async def _wind_up(self, reason: str, patience_ms: int) -> None:
        if patience_ms:
            await self._executor.drain(reason, patience_ms)
        await self._executor.close(reason)
        self.flush()
        began_ms = self._host.monotonic_ms()
        while self._unacked or self._out:
            # What it has done is worth waiting for, also for another orchestrator than this one.
            owes = self._grace_ms > 0 and bool(self.held())
            longest_ms = max(self._grace_ms, LAST_ACK_MS) if owes else LAST_ACK_MS
            waited_ms = self._host.monotonic_ms() - began_ms
            if waited_ms >= longest_ms or (self._bus is None and not owes):
                break
            await self._pause(10)
        self.end(exits.DONE)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        self._background = [task for task in self._background if not task.done()]
        self._background.append(self._loop.create_task(work))


def _ends(messages: Sequence[Message]) -> tuple[tuple[str, int], ...]:
    """(task, attempt) of those that these messages end."""
    return tuple((m.task, m.attempt) for m in messages if isinstance(m, Result | Failed))
