"""The control plane: one mailbox, one log, one writer.

    mailbox -> per command: decide, evolve in memory -> one append for the batch
            -> then answers, effects, and reads that saw it

State may run ahead of the disk; no answer may. While one record is on its way to the disk the
next one is decided, so batching adapts by itself: one task a record when idle, hundreds under
load. What a record makes necessary is worked out when it closes, when the state is exactly what
the log up to and including it amounts to, and leaves when it is durable.

A failed append is final: nothing of it or after it is answered, and whoever made this is told.

`Turns` is the shell for any machine that decides and folds; `ControlPlane` is the one of a swarm.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Generic, NamedTuple, Protocol, TypeVar

from visionflow.domain.commands import AnyCommand
from visionflow.domain.errors import MailboxFull, VisionFlowError
from visionflow.domain.events import AnyEvent, encode_record
from visionflow.domain.limits import COMMANDS_PER_TURN_MAX, EVENTS_PER_RECORD_MAX
from visionflow.engine.decide import ACCEPTED, handle, next_event
from visionflow.engine.evolve import evolve, open_record
from visionflow.engine.state import Answer, SwarmState
from visionflow.ports.host import Host
from visionflow.ports.log import Head, Log


class Timed(Protocol):
    """A state that knows the time of its last record."""

    now_ms: int


S = TypeVar("S", bound=Timed)
C = TypeVar("C")
E = TypeVar("E")


class Machine(NamedTuple, Generic[S, C, E]):
    """What decides and folds: nothing in it has a clock, makes an id or does I/O."""

    handle: Callable[[S, C], tuple[list[E], Answer]]
    """Events to fold, in order, and the answer to give once they are durable."""
    next_event: Callable[[S], E | None]
    """What follows from the state alone. It is folded before this is asked again."""
    evolve: Callable[[S, E], None]
    open_record: Callable[[S, int], None]
    encode_record: Callable[[int, list[E]], bytes]


SWARM = Machine(handle, next_event, evolve, open_record, encode_record)


class Fault(VisionFlowError):
    """Deciding or answering broke off, so the state can be trusted no more."""


class Turns(Generic[S, C, E]):
    """Decides on commands for one stream. Every method belongs to the loop's thread."""

    def __init__(
        self,
        machine: Machine[S, C, E],
        stream: str,
        state: S,
        head: Head,
        log: Log,
        host: Host,
        mailbox_max: int,
        on_failure: Callable[[BaseException], None],
    ) -> None:
        self.state = state
        self.head = head
        """The last record that is durable."""
        self._machine = machine
        self._evolve = machine.evolve
        self._stream = stream
        self._log = log
        self._host = host
        self._mailbox_max = mailbox_max
        self._on_failure = on_failure
        self._mailbox: deque[tuple[C | None, Callable[[Answer], None] | None]] = deque()
        self._events: list[E] = []
        self._opened_ms = 0
        self._outbox: list[Callable[[], None]] = []
        self._in_flight: list[Callable[[], None]] | None = None
        self._sent_seq = head.seq
        self._scheduled = False
        self._failed: BaseException | None = None
        self._loop = asyncio.get_running_loop()
        self.on_close: list[Callable[[list[E]], Callable[[], None] | None]] = []
        """Called when a record closes; what it returns is called once that record is durable."""
        self.on_commit: list[Callable[[int, int, list[E]], None]] = []
        """Called with number, time and events of each durable record, in order."""

    # Asking --------------------------------------------------------------------------------

    def offer(
        self,
        command: C,
        answered: Callable[[Answer], None] | None = None,
        *,
        bounded: bool = True,
    ) -> None:
        """Queue a command; `answered` is called once its outcome is durable.

        Reports of our own workers are not `bounded`: their number is by what they were given.

        Raises:
            MailboxFull: the command was not taken.
            VisionFlowError: it was not taken, because nothing is decided any more; where it is
                not `bounded` it is dropped.
        """
        if self._failed is not None:
            if bounded:
                raise self._failed
            return
        if bounded and len(self._mailbox) >= self._mailbox_max:
            raise MailboxFull(
                f"{len(self._mailbox)} commands wait for a turn; the mailbox holds "
                f"{self._mailbox_max}.",
                hint="Ask again a moment later.",
                retry_after_ms=100,
            )
        self._mailbox.append((command, answered))
        self._schedule()

    def after_commit(self, call: Callable[[], None]) -> None:
        """Call once all that the state holds now is durable. Every read of live state leaves
        through here: while a record is on its way, what it saw may never have happened."""
        self._outbox.append(call)
        self._schedule()

    def in_order(self, call: Callable[[Answer], None]) -> None:
        """Call once everything offered before this is decided and durable."""
        self._mailbox.append((None, call))
        self._schedule()

    @property
    def is_settled(self) -> bool:
        """Whether all that the state holds is durable, so that it may be told at once."""
        return self._in_flight is None and not self._events and self._failed is None

    @property
    def waiting(self) -> int:
        """Commands that wait for a turn."""
        return len(self._mailbox)

    @property
    def failure(self) -> BaseException | None:
        """Why it stopped for good."""
        return self._failed

    # The turn ------------------------------------------------------------------------------

    def _schedule(self) -> None:
        if not self._scheduled and self._failed is None:
            self._scheduled = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        self._scheduled = False
        if self._failed is None:
            self._or_fail(self._decide)

    def _or_fail(self, call: Callable[[], None]) -> None:
        # A loop reports what a callback raises and goes on; here nobody would be told anything
        # from then on, and what is in memory may be half of an event.
        try:
            call()
        except Exception as error:
            fault = Fault(
                f"The orchestrator stopped: {type(error).__name__}: {error}.",
                hint="Nothing acknowledged is lost. Please report it with the traceback.",
            )
            fault.__cause__ = error
            self._fail(fault)

    def _decide(self) -> None:
        mailbox, state, handle = self._mailbox, self.state, self._machine.handle
        for _ in range(COMMANDS_PER_TURN_MAX):
            if not mailbox or len(self._events) >= EVENTS_PER_RECORD_MAX:
                break
            command, answered = mailbox.popleft()
            answer = ACCEPTED
            if command is not None:
                events, answer = handle(state, command)
                for event in events:
                    self._happen(event)
            if answered is not None:
                self._outbox.append(_bind(answered, answer))
        self._go_on()
        if mailbox and len(self._events) < EVENTS_PER_RECORD_MAX:
            self._schedule()
        if self._in_flight is None:
            self._flush()

    def _happen(self, event: E) -> None:
        if not self._events:
            self._opened_ms = max(self._host.now_ms(), self.state.now_ms)
            self._machine.open_record(self.state, self._opened_ms)
        self._evolve(self.state, event)
        self._events.append(event)

    def _go_on(self) -> None:
        next_event = self._machine.next_event
        while len(self._events) < EVENTS_PER_RECORD_MAX:
            event = next_event(self.state)
            if event is None:
                return
            self._happen(event)

    def _flush(self) -> None:
        if self._events:
            self._close(*self._append())
            return
        outbox, self._outbox = self._outbox, []
        leaving = [call for call in (close([]) for close in self.on_close) if call]
        for call in (*leaving, *outbox):
            call()

    def _append(self) -> tuple[int, int, list[E]]:
        """Hand the open record to the disk; returns its number, time and events."""
        events, self._events = self._events, []
        outbox, self._outbox = self._outbox, []
        at_ms, seq = self._opened_ms, self._sent_seq + 1
        body = self._machine.encode_record(at_ms, events)
        appended = self._log.append(self._stream, self._sent_seq, body)
        self._sent_seq = seq
        self._in_flight = outbox
        appended.add_done_callback(self._durable)
        return seq, at_ms, events

    def _close(self, seq: int, at_ms: int, events: list[E]) -> None:
        """Work out what a record makes necessary; it leaves with the record's answers."""
        outbox = [] if self._in_flight is None else self._in_flight
        for close in self.on_close:
            leaving = close(events)
            if leaving is not None:
                outbox.append(leaving)
        for committed in self.on_commit:
            outbox.append(_bind_record(committed, seq, at_ms, events))

    def _durable(self, appended: "asyncio.Future[Head]") -> None:
        failure = asyncio.CancelledError() if appended.cancelled() else appended.exception()
        if self._failed is not None:
            return
        if failure is not None:
            self._fail(failure)
            return
        self.head = appended.result()
        self._or_fail(self._answer)

    def _answer(self) -> None:
        outbox, self._in_flight = self._in_flight or [], None
        # The disk works on the next record while the answers to this one leave; what that one
        # makes necessary is worked out when they have left.
        record = self._append() if self._events else None
        try:
            for call in outbox:
                call()
        finally:
            if record is not None:
                self._close(*record)
        if record is None and self._outbox:
            self._flush()
        if self._mailbox:
            self._schedule()

    def close(self, reason: BaseException) -> None:
        """Decide and answer nothing more; who asks from now on is told this reason."""
        if self._failed is None:
            self._forget(reason)

    def _fail(self, failure: BaseException) -> None:
        if self._failed is None:
            self._forget(failure)
            self._on_failure(failure)

    def _forget(self, reason: BaseException) -> None:
        self._failed = reason
        self._mailbox.clear()
        self._in_flight = None
        self._outbox.clear()


class ControlPlane(Turns[SwarmState, AnyCommand, AnyEvent]):
    """Decides on commands for a swarm."""

    def __init__(
        self,
        stream: str,
        state: SwarmState,
        head: Head,
        log: Log,
        host: Host,
        mailbox_max: int,
        on_failure: Callable[[BaseException], None],
    ) -> None:
        super().__init__(SWARM, stream, state, head, log, host, mailbox_max, on_failure)


def _bind(answered: Callable[[Answer], None], answer: Answer) -> Callable[[], None]:
    return lambda: answered(answer)


def _bind_record(
    committed: Callable[[int, int, list[E]], None], seq: int, at_ms: int, events: list[E]
) -> Callable[[], None]:
    return lambda: committed(seq, at_ms, events)
