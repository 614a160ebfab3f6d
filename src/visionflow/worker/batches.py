"""The lane of an agent that takes several tasks of a type at once.

Tasks of a type that it `supports_batch` are handed to its `batch_process`, up to `BATCH_MAX` that
wait, each with an attempt of its own: result i is that of task i. All others go one by one through
the lane that the agent's `process_task` asks for. A batch that raises, or gives another number of
results, fails each of its attempts; what failed before comes marked to stand alone.
"""

import asyncio
import inspect
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, cast

import msgspec

from visionflow.agents.base import Attempt, BaseAgent, current_attempt
from visionflow.agents.batching import one_for_each
from visionflow.domain.errors import UsageError
from visionflow.domain.limits import BATCH_MAX, BATCH_TYPES_MAX
from visionflow.domain.messages import Batches, Failed, Result
from visionflow.domain.tasks import FailureKind, Payload
from visionflow.worker import values
from visionflow.worker.attempt import RunningAttempt, small_payload
from visionflow.worker.lanes import Desk, Lane, lane_for, taken_out
from visionflow.worker.telling import REASON_CHARS_MAX, told
from visionflow.worker.threads import Threads, offload


def takes_batches(agent: BaseAgent) -> bool:
    """Whether its class says anything of batches."""
    return type(agent).supports_batch is not BaseAgent.supports_batch


class BatchLane:
    """Gives each run of the agent, of one task or of several, its turn. It satisfies `Lane`, and
    is the desk of the lane that single tasks go through."""

    def __init__(
        self,
        agent: BaseAgent,
        tasks_max: int,
        desk: Desk,
        learned: Callable[[Batches], None],
    ) -> None:
        """`learned` hears of which types the agent takes several, each time that is one more."""
        self._agent = agent
        self._tasks_max = tasks_max
        self._desk = desk
        self._learned = learned
        self._single: Lane = lane_for(agent, tasks_max, self)
        self._types: dict[str, bool] = {}
        self._waiting: deque[RunningAttempt] = deque()
        self._runs: dict[RunningAttempt | Batch, None] = {}
        self._soon = False

    # As a lane -------------------------------------------------------------------------------

    def offer(self, attempt: RunningAttempt) -> None:
        """See `Lane`. It begins in the next turn of the loop, so that what comes together can
        share a batch."""
        self._batched(attempt)
        self._waiting.append(attempt)
        self._start_soon()

    def give_up(self, attempt: RunningAttempt) -> None:
        """See `Lane`."""
        if attempt in self._runs:
            self._single.give_up(attempt)
            self._free(attempt)
            return
        for run in list(self._runs):
            if isinstance(run, Batch) and run.is_over_without(attempt):
                self._free(run)

    def withdraw(self, attempt: RunningAttempt) -> bool:
        """See `Lane`."""
        return taken_out(attempt, self._waiting)

    def _start_soon(self) -> None:
        if not self._soon:
            self._soon = True
            self._desk.loop.call_soon(self._start_next)

    def _start_next(self) -> None:
        self._soon = False
        while self._waiting and len(self._runs) < self._tasks_max:
            first = self._waiting.popleft()
            if first.ended:
                continue
            group = self._group(first)
            if len(group) == 1:
                self._runs[first] = None
                self._single.offer(first)
            else:
                batch = Batch(group, self._agent, self._desk, self._free)
                self._runs[batch] = None
                batch.start()

    def _group(self, first: RunningAttempt) -> list[RunningAttempt]:
        """What runs together with the first in line, itself included."""
        group = [first]
        if self._batched(first):
            kind = first.dispatch.type
            for attempt in list(self._waiting):
                if len(group) == BATCH_MAX:
                    break
                if attempt.dispatch.type == kind and self._batched(attempt) and not attempt.ended:
                    self._waiting.remove(attempt)
                    group.append(attempt)
        return group

    def _batched(self, attempt: RunningAttempt) -> bool:
        """Whether an attempt may share a batch."""
        kind = attempt.dispatch.type
        known = self._types.get(kind)
        if known is None:
            known = self._learn(kind)
        return known and not attempt.dispatch.alone and not attempt.dispatch.suspect

    def _learn(self, kind: str) -> bool:
        known = self._asked(kind)
        if len(self._types) >= BATCH_TYPES_MAX:
            # What is forgotten is asked for again.
            self._types = {name: True for name, batched in self._types.items() if batched}
            if len(self._types) >= BATCH_TYPES_MAX:
                return False
        self._types[kind] = known
        if known:
            types = tuple(name for name, batched in self._types.items() if batched)
            self._learned(Batches(self._agent.id, types))
        return known

    def _asked(self, kind: str) -> bool:
        try:
            return bool(self._agent.supports_batch(kind))
        except Exception as error:
            text = f"Its supports_batch({kind!r}) failed, so tasks of that type go one by one: "
            self._agent.context.write_log("warning", text + told(error))
            return False

    def _free(self, run: "RunningAttempt | Batch") -> None:
        if self._runs.pop(run, 0) is None:
            self._start_soon()

    # As a desk -------------------------------------------------------------------------------

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """See `Desk`."""
        return self._desk.loop

    @property
    def threads(self) -> Threads:
        """See `Desk`."""
        return self._desk.threads

    def began(self, attempt: RunningAttempt) -> None:
        """See `Desk`."""
        self._desk.began(attempt)

    def ended(self, attempt: RunningAttempt, message: Result | Failed) -> None:
        """See `Desk`."""
        self._desk.ended(attempt, message)
        self._free(attempt)


class Batch:
    """Several attempts that one call of `batch_process` works on; to that call it is the attempt.

    Of what an attempt offers it has progress and `cancelled`: the rest belongs to one task.
    """

    def __init__(
        self,
        attempts: list[RunningAttempt],
        agent: BaseAgent,
        desk: Desk,
        over: Callable[["Batch"], None],
    ) -> None:
        self._attempts = attempts
        self._agent = agent
        self._desk = desk
        self._over = over
        self._handle: asyncio.Task[None] | None = None
        self._event = threading.Event()
        self._stopped_for: str | None = None

    def start(self) -> None:
        """Begin all of them. In the loop."""
        for attempt in self._attempts:
            attempt.on_stop = self._on_stop
            self._desk.began(attempt)
        self._handle = self._desk.loop.create_task(self._run())

    # What the agent asks for -----------------------------------------------------------------

    @property
    def cancelled(self) -> threading.Event:
        """See `BaseAgent.cancelled`: set once nobody wants any of its results."""
        return self._event

    def progress(self, fraction: float | None, note: str) -> None:
        """See `BaseAgent.progress`: of each of them."""
        for attempt in self._attempts:
            attempt.progress(fraction, note)

    def __getattr__(self, name: str) -> Any:
        raise UsageError(
            f"{name.removesuffix('_in_thread')} belongs to one task, and batch_process works on "
            f"{len(self._attempts)}.",
            hint="Use it in process_task, and answer False in supports_batch for such tasks.",
        )

    # How it runs and ends --------------------------------------------------------------------

    def is_over_without(self, attempt: RunningAttempt) -> bool:
        """Whether this was one of its attempts, and nobody waits for any of them."""
        return attempt in self._attempts and all(each.ended for each in self._attempts)

    def _on_stop(self, attempt: RunningAttempt) -> None:
        """One of them was told to stop. What it took too long for ends all; a result that is not
        wanted any more is only dropped, while others are."""
        stop = attempt.stop
        if stop is not None and stop.kind is FailureKind.TIMEOUT:
            self._stopped_for = stop.reason
        elif any(each.stop is None and not each.ended for each in self._attempts):
            self._desk.ended(attempt, attempt.failure(asyncio.CancelledError()))
            return
        self._event.set()
        if self._handle is not None:
            self._handle.cancel()

    async def _run(self) -> None:
        clock = self._desk.loop.time
        began = clock()
        try:
            current_attempt.set(cast("Attempt", self))
            results = await self._results()
            took_us = int((clock() - began) * 1e6)
            for attempt, value in zip(self._attempts, results, strict=True):
                await self._finish(attempt, value, took_us)
        except BaseException as error:
            blamed = self._blamed()
            for attempt in self._attempts:
                self._desk.ended(attempt, self._failure(attempt, error, attempt is not blamed))
        self._over(self)

    async def _results(self) -> Sequence[Any]:
        threads, process = self._desk.threads, self._agent.batch_process
        reads = any(attempt.reads_blobs() for attempt in self._attempts)

        def read() -> list[Any]:
            return [attempt.input() for attempt in self._attempts]

        tasks = await offload(threads, read) if reads else read()
        if inspect.iscoroutinefunction(process):
            found: Any = await process(tasks)
        else:
            found = await offload(threads, lambda: process(tasks))
            if inspect.isawaitable(found):
                found = await found
        return one_for_each(found, len(self._attempts))

    async def _finish(self, attempt: RunningAttempt, value: Any, took_us: int) -> None:
        """One of them is done; that its value cannot be stored is its own failure."""
        dispatch = attempt.dispatch
        try:
            payload = await self._stored(attempt, attempt.encoded(value))
            message: Result | Failed = Result(dispatch.task, dispatch.attempt, payload, took_us)
            if attempt.stop is not None:
                message = attempt.failure(asyncio.CancelledError())
        except Exception as error:
            message = attempt.failure(error)
        self._desk.ended(attempt, message)

    async def _stored(self, attempt: RunningAttempt, body: bytes) -> Payload:
        small = small_payload(body)
        if small is not None:
            return small
        return await offload(self._desk.threads, lambda: values.store(body, attempt.blobs))

    def _blamed(self) -> RunningAttempt | None:
        """With which attempt the failure of all is told: the one that took too long, else one that
        nobody told to stop."""
        left = [attempt for attempt in self._attempts if not attempt.ended]
        for attempt in left:
            if attempt.stop is not None and attempt.stop.kind is FailureKind.TIMEOUT:
                return attempt
        return next((attempt for attempt in left if attempt.stop is None), None)

    def _failure(self, attempt: RunningAttempt, error: BaseException, shared: bool) -> Failed:
        """How the end of all is told of one. `shared`: as a part of another's failure."""
        failed = attempt.failure(error)
        if attempt.stop is not None:
            return msgspec.structs.replace(failed, shared=shared)
        kind, reason = failed.kind, failed.reason
        if kind is FailureKind.PERMANENT:
            # That holds for all of them together. By itself each may fare better.
            kind = FailureKind.ERROR
        if self._stopped_for is not None:
            reason = f"it was stopped with the others: {self._stopped_for}"
        told_of = f"In a batch of {len(self._attempts)}: {reason}"[:REASON_CHARS_MAX]
        return Failed(
            failed.task,
            failed.attempt,
            kind,
            told_of,
            failed.wait_ms,
            circuit=failed.circuit,
            shared=shared,
        )
