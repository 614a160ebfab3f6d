"""One attempt in this process: what its agent can ask of it, and how it ends.

Whoever ends it first wins: its own code, a cancellation, or its wall-clock limit. What the code
does afterwards is discarded. When it may begin is the executor's business.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, Protocol, cast

import msgspec

from visionflow.agents.base import BaseAgent, PermanentFailure, TryLater, current_attempt
from visionflow.agents.effects import InDoubt
from visionflow.agents.outside import Order
from visionflow.agents.task import Task
from visionflow.domain.errors import (
    AwaitedTaskFailed,
    NotPersistable,
    StaleAttempt,
    UsageError,
)
from visionflow.domain.limits import THROTTLE_MS_MAX
from visionflow.domain.messages import (
    Dispatch,
    EffectAnswer,
    EffectAsked,
    EffectDone,
    Failed,
    Parcel,
    Progress,
    Started,
    StepDone,
)
from visionflow.domain.secrecy import secret_values
from visionflow.domain.tasks import FailureKind, Payload
from visionflow.ports.blobs import Blobs
from visionflow.worker import values
from visionflow.worker.asking import AskedAnswer, AttemptAsking, Notice, Request, key_of
from visionflow.worker.carrying import must_carry
from visionflow.worker.hiding import HIDDEN
from visionflow.worker.outside import OutsideEffects
from visionflow.worker.steps import Steps
from visionflow.worker.telling import REASON_CHARS_MAX, sendable, told

NOTE_CHARS_MAX = 500
Question = StepDone | Started | EffectAsked | EffectDone | Request
"""What is reported and waits for an answer."""


class Surroundings(Protocol):
    """What an attempt needs of the executor."""

    @property
    def blobs(self) -> Blobs:
        """Where large values are."""
        ...

    def offload(self, call: Callable[[], Any]) -> Awaitable[Any]:
        """Run something that blocks."""
        ...

    def now_ms(self) -> int:
        """Milliseconds since the epoch."""
        ...

    def report_step(self, done: Question | Notice) -> None:
        """Send it, to be kept until acknowledged."""
        ...

    def report_progress(self, progress: Progress) -> None:
        """Send it, if somebody is there. From any thread."""
        ...

    def in_loop(self) -> asyncio.AbstractEventLoop:
        """The loop of this process."""
        ...


class Stop:
    """Why an attempt was told to end, and what to report of it."""

    __slots__ = ("kind", "reason")

    def __init__(self, kind: FailureKind, reason: str) -> None:
        self.kind = kind
        self.reason = reason


class RunningAttempt:
    """An attempt that was given to this process. Satisfies `agents.base.Attempt`."""

    __slots__ = (
        "_answers",
        "_asking",
        "_event",
        "_outside",
        "_steps",
        "_surroundings",
        "agent",
        "announced",
        "dispatch",
        "ended",
        "entered",
        "on_stop",
        "overran",
        "silent",
        "started_at",
        "stop",
        "task_handle",
    )

    def __init__(self, dispatch: Dispatch, agent: BaseAgent, surroundings: Surroundings) -> None:
        self.dispatch = dispatch
        self.agent = agent
        self.started_at: float | None = None
        """Seconds of the loop's clock; `None` while it waits."""
        self.announced = False
        self.ended = False
        self.entered = False
        """Its coroutine took its first step: only then does cancelling it reach our code."""
        self.silent = False
        """Nobody wants to hear how it ends."""
        self.overran = False
        """It was given up, and long after that its code still ran."""
        self.stop: Stop | None = None
        self.on_stop: Callable[[RunningAttempt], None] | None = None
        """Called when it is told to stop, where it shares its code with others."""
        self.task_handle: asyncio.Task[None] | None = None
        self._surroundings = surroundings
        self._event: threading.Event | None = None
        self._steps: Steps | None = None
        self._outside: OutsideEffects | None = None
        self._asking: AttemptAsking | None = None
        self._answers: dict[str, tuple[Question, asyncio.Future[Any]]] | None = None

    # What the agent asks for -----------------------------------------------------------------

    async def step(
        self, name: str, call: Callable[..., Any], args: tuple[Any, ...], workspace: Path | None
    ) -> Any:
        """See `BaseAgent.step`."""
        self._refuse_when_stopped()
        if self._steps is None:
            dispatch, context = self.dispatch, self.agent.context
            self._steps = Steps(
                self, dispatch.task, dispatch.attempt, dispatch.steps, context.trees, self._say
            )
        return await self._steps.step(name, call, args, workspace)

    def step_in_thread(
        self, name: str, call: Callable[..., Any], args: tuple[Any, ...], workspace: Path | None
    ) -> Any:
        """See `BaseAgent.step_sync`."""
        loop = self._surroundings.in_loop()
        if _runs_here(loop):
            raise UsageError(
                "step_sync blocks, so it cannot be called in the loop.",
                hint="Use `await self.step(...)`, or leave `blocking` at True.",
            )
        coming = asyncio.run_coroutine_threadsafe(self.step(name, call, args, workspace), loop)
        return coming.result()

    async def effect(self, order: Order) -> Any:
        """See `BaseAgent.effect`."""
        self._refuse_when_stopped()
        if self._outside is None:
            dispatch = self.dispatch
            self._outside = OutsideEffects(self, dispatch.task, dispatch.attempt, self._say)
        return await self._outside.effect(order)

    def effect_in_thread(self, order: Order) -> Any:
        """See `BaseAgent.effect_sync`."""
        loop = self._surroundings.in_loop()
        if _runs_here(loop):
            raise UsageError(
                "effect_sync blocks, so it cannot be called in the loop.",
                hint="Use `await self.effect(...)`, or leave `blocking` at True.",
            )
        return asyncio.run_coroutine_threadsafe(self.effect(order), loop).result()

    @property
    def asking(self) -> AttemptAsking:
        """See `agents.base.Attempt`."""
        if self._asking is None:
            dispatch = self.dispatch
            self._asking = AttemptAsking(self, dispatch.task, dispatch.attempt, dispatch.priority)
        return self._asking

    def progress(self, fraction: float | None, note: str) -> None:
        """See `BaseAgent.progress`."""
        if fraction is not None:
            fraction = min(1.0, max(0.0, float(fraction)))
        dispatch = self.dispatch
        if not self.ended:
            self._surroundings.report_progress(
                Progress(dispatch.task, dispatch.attempt, fraction, sendable(note, NOTE_CHARS_MAX))
            )

    @property
    def cancelled(self) -> threading.Event:
        """See `BaseAgent.cancelled`."""
        if self._event is None:
            self._event = threading.Event()
        if self.stop is not None:
            self._event.set()
        return self._event

    # What its steps ask for ------------------------------------------------------------------

    @property
    def blobs(self) -> Blobs:
        """See `StepHost`."""
        return self._surroundings.blobs

    def offload(self, call: Callable[[], Any]) -> Awaitable[Any]:
        """See `StepHost`."""
        return self._surroundings.offload(call)

    async def record(self, done: StepDone) -> bool:
        """See `StepHost`."""
        must_carry(done)
        return await self._answered(done.key, done)

    def tell(self, done: EffectDone) -> None:
        """See `OutsideHost`."""
        must_carry(done)
        self._surroundings.report_step(done)

    async def ask(self, question: EffectAsked | EffectDone) -> EffectAnswer:
        """See `OutsideHost`. How an effect went is told also when the attempt has been stopped."""
        must_carry(question)
        if self.stop is not None and isinstance(question, EffectDone):
            self._surroundings.report_step(question)
        return await self._answered(_name_of(question.number), question)

    async def request(self, key: str, message: Request) -> Any:
        """See `AskingHost`."""
        must_carry(message)
        return await self._answered(key, message)

    def notify(self, message: Notice) -> None:
        """See `AskingHost`."""
        must_carry(message)
        self._surroundings.report_step(message)

    def wait_for(self, call: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """See `AskingHost`."""
        loop = self._surroundings.in_loop()
        if _runs_here(loop):
            raise UsageError(
                "What ends in _sync blocks, so it cannot be called in the loop.",
                hint="Use the one without _sync, or leave `blocking` at True.",
            )
        return asyncio.run_coroutine_threadsafe(call(), loop).result()

    async def confirm(self) -> None:
        """Return once the log says that it began. In the loop.

        Raises:
            StaleAttempt: it was told to stop.
        """
        self.announced = True
        await self._answered("", Started(self.dispatch.task, self.dispatch.attempt, True))

    def confirm_in_thread(self) -> None:
        """`confirm`, from a thread. Blocks; where there are no threads it does nothing."""
        loop = self._surroundings.in_loop()
        if not _runs_here(loop):
            asyncio.run_coroutine_threadsafe(self.confirm(), loop).result()

    async def _answered(self, key: str, message: Question) -> Any:
        self._refuse_when_stopped()
        if self._answers is None:
            self._answers = {}
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._answers[key] = (message, answer)
        self._surroundings.report_step(message)
        try:
            return await answer
        finally:
            self._answers.pop(key, None)

    def unanswered(self) -> list[Question]:
        """What was reported and is neither accepted nor refused yet."""
        return [] if self._answers is None else [done for done, _ in self._answers.values()]

    def effect_answered(self, answer: EffectAnswer) -> None:
        """The ledger of outside effects has answered."""
        self.answer(_name_of(answer.number), answer)

    def asked_answered(self, answer: AskedAnswer) -> None:
        """What was asked of the swarm is answered."""
        self.answer(key_of(answer), answer)

    def answer(self, key: str, accepted: bool | EffectAnswer | AskedAnswer) -> None:
        """The orchestrator has judged a step, or answers a question."""
        if self._answers is not None and key in self._answers:
            waiting = self._answers[key][1]
            if not waiting.done():
                waiting.set_result(accepted)

    def left_ms(self) -> int:
        """How many milliseconds are left until its wall-clock limit, by the clock that measures it;
        that one stands still while the machine sleeps. From any thread."""
        began = self.started_at
        if began is None:
            return self.dispatch.timeout_ms
        spent_ms = (self._surroundings.in_loop().time() - began) * 1_000
        return max(0, round(self.dispatch.timeout_ms - spent_ms))

    # How it runs and ends --------------------------------------------------------------------

    def input(self) -> Task:
        """The task as the agent gets it. Blocks on the disk when a payload is a blob."""
        blobs = self._surroundings.blobs
        if self.dispatch.parcel is not None:
            parcel = msgspec.msgpack.decode(blobs.get(self.dispatch.parcel), type=Parcel)
            self.dispatch = msgspec.structs.replace(
                self.dispatch, steps=parcel.steps, dependencies=parcel.dependencies, parcel=None
            )
        dispatch = self.dispatch
        config, given = values.load(dispatch.config, blobs), values.load(dispatch.input, blobs)
        HIDDEN.add(secret_values([config, given]))
        now = self._surroundings.now_ms
        return Task(
            id=dispatch.task,
            type=dispatch.type,
            description=dispatch.description,
            input=given,
            config=cast("dict[str, Any]", config) if isinstance(config, dict) else {},
            required_capabilities=dispatch.capabilities,
            priority=dispatch.priority,
            deadline_ms=dispatch.deadline_ms,
            attempt=dispatch.attempt,
            dependencies={task: values.load(p, blobs) for task, p in dispatch.dependencies},
            ends_at_ms=now() + dispatch.timeout_ms,
            left_ms=self.left_ms,
            now_ms=now,
        )

    def reads_blobs(self) -> bool:
        """Whether `input` has to read the disk."""
        dispatch = self.dispatch
        return (
            dispatch.input.blob is not None
            or dispatch.parcel is not None
            or dispatch.config.blob is not None
            or any(payload.blob is not None for _, payload in dispatch.dependencies)
        )

    def encoded(self, value: object) -> bytes:
        """A result as bytes; empty for `None`.

        Raises:
            NotPersistable: it cannot be stored.
        """
        if value is None:
            return b""
        return values.encode(value, f"The result of {self.agent.__class__.__name__}")

    def failure(self, error: BaseException) -> Failed:
        """How to report this exception, or the stop that led to it."""
        task, attempt = self.dispatch.task, self.dispatch.attempt
        if self.stop is not None:
            return Failed(task, attempt, self.stop.kind, self.stop.reason[:REASON_CHARS_MAX])
        if isinstance(error, InDoubt):
            reason = sendable(error, REASON_CHARS_MAX)
            return Failed(task, attempt, FailureKind.IN_DOUBT, reason, effect=error.key)
        if isinstance(error, TryLater):
            reason = sendable(error, REASON_CHARS_MAX)
            return Failed(task, attempt, FailureKind.THROTTLED, reason, _wait_ms(error))
        if isinstance(error, PermanentFailure | NotPersistable | AwaitedTaskFailed):
            kind, reason = FailureKind.PERMANENT, sendable(error, REASON_CHARS_MAX)
        elif isinstance(error, MemoryError):
            kind, reason = FailureKind.RESOURCES, f"The agent ran out of memory. {told(error)}"
        elif isinstance(error, StaleAttempt):
            kind, reason = FailureKind.KILLED, sendable(error, REASON_CHARS_MAX)
        else:
            kind, reason = FailureKind.ERROR, told(error)
            if self._asking is not None:
                circuit = self._asking.circuit_of(error)
                return Failed(task, attempt, kind, reason[:REASON_CHARS_MAX], circuit=circuit)
        return Failed(task, attempt, kind, reason[:REASON_CHARS_MAX])

    def tell_to_stop(self, stop: Stop) -> None:
        """Make it end: cancel its coroutine, set the event, refuse its steps."""
        if self.stop is not None:
            return
        self.stop = stop
        if self._event is not None:
            self._event.set()
        for _, waiting in list((self._answers or {}).values()):
            if not waiting.done():
                waiting.set_exception(StaleAttempt(f"The attempt was stopped: {stop.reason}"))
        if self.task_handle is not None and self.entered:
            self.task_handle.cancel()
        if self.on_stop is not None:
            self.on_stop(self)

    def enter(self) -> None:
        """Called first of all by its coroutine.

        Raises:
            CancelledError: it was told to stop before it began.
        """
        self.entered = True
        current_attempt.set(self)
        if self.stop is not None:
            raise asyncio.CancelledError

    def _refuse_when_stopped(self) -> None:
        if self.stop is not None:
            raise StaleAttempt(f"The attempt was stopped: {self.stop.reason}")

    def _say(self, text: str) -> None:
        self.agent.context.write_log("warning", text)


def _wait_ms(error: TryLater) -> int:
    """How long it asks to wait, as something that can be sent. No time at all where it says none:
    agents' code makes the number, out of what somebody else replied."""
    try:
        return int(min(max(error.wait_ms, 0), THROTTLE_MS_MAX))
    except (TypeError, ValueError):
        return 0


def small_payload(body: bytes) -> Payload | None:
    """The payload for an encoded result, unless it has to become a blob."""
    if not body:
        return Payload()
    return Payload(inline=body) if values.is_small(body) else None


def _name_of(number: int) -> str:
    """Of a question about an effect, among what waits for an answer; no step's key is like it."""
    return f"?{number}"


def _runs_here(loop: asyncio.AbstractEventLoop) -> bool:
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False
