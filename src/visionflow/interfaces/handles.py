"""Handles: what a caller holds of a task that was submitted. Usable from any thread or loop."""

import asyncio
import logging
import threading
from collections.abc import Callable, Generator
from contextlib import suppress
from typing import Any

from visionflow.domain.errors import TaskFailed, VisionFlowError
from visionflow.domain.tasks import TaskStatus
from visionflow.ports.blobs import Blobs
from visionflow.runtime.completions import Ended
from visionflow.runtime.intake import unpack

_lock = threading.Lock()
_log = logging.getLogger("visionflow")


class TaskHandle:
    """A task under way: `handle.result()` waits in a thread, `await handle` in a loop."""

    __slots__ = ("_blobs", "_calls", "_ended", "_error", "_event", "_gate", "accepted", "id")

    def __init__(self, task: str, blobs: Blobs) -> None:
        self.id = task
        self.accepted = False
        """Whether the task is durable: from then on it survives whatever ends this program."""
        self._blobs = blobs
        self._ended: Ended | None = None
        self._error: BaseException | None = None
        self._event: threading.Event | None = None
        self._gate: threading.Event | None = None
        self._calls: list[Callable[[], None]] | None = None

    def __repr__(self) -> str:
        return f"TaskHandle({self.id}, {self.status or 'under way'})"

    @property
    def done(self) -> bool:
        """Whether it has ended, or was refused."""
        return self._ended is not None or self._error is not None

    @property
    def status(self) -> TaskStatus | None:
        """How it ended; `None` before that, or when it was refused."""
        return None if self._ended is None else self._ended.status

    @property
    def failed_parts(self) -> tuple[str, ...]:
        """Of a plan: the tasks without which it completed."""
        return () if self._ended is None else self._ended.failed_parts

    def on_done(self, call: Callable[[], None]) -> None:
        """Call once it has ended: in the runtime's thread, or now if it has already.

        It must not block, for nothing else is answered meanwhile. What it raises is logged.
        """
        with _lock:
            if not self.done:
                if self._calls is None:
                    self._calls = []
                self._calls.append(call)
                return
        call()

    def accept(self) -> None:
        """It is durable. Called by the runtime, for every task: who waits looks after this."""
        self.accepted = True
        if self._gate is not None:
            self._gate.set()

    def settle(self, ended: Ended | None, error: BaseException | None = None) -> None:
        """It has ended. Called by the runtime, once."""
        with _lock:
            if self.done:
                return
            self._ended, self._error = ended, error
            event, calls = self._event, self._calls
            self._calls = None
        for waited in (event, self._gate):
            if waited is not None:
                waited.set()
        for call in calls or ():
            try:
                call()
            except Exception:
                # It is the caller's own; what others wait for must still reach them.
                _log.exception("What was to be called at the end of %s raised", self.id)

    def wait_accepted(self, timeout: float | None = None) -> bool:
        """Block until the task is durable, for at most `timeout` seconds; whether it is.

        Raises:
            Refused: it was not accepted.
            VisionFlowError: the orchestrator ended before it could say.
        """
        with _lock:
            gate = self._gate = self._gate or threading.Event()
        if not (self.accepted or self.done):
            gate.wait(timeout)
        if self._error is not None and not self.accepted:
            raise self._error.with_traceback(None)
        return self.accepted or self.done

    def wait(self, timeout: float | None = None) -> bool:
        """Block until it has ended, for at most `timeout` seconds; whether it has."""
        if self.done:
            return True
        with _lock:
            if self.done:
                return True
            if self._event is None:
                self._event = threading.Event()
            event = self._event
        return event.wait(timeout)

    def result(self, timeout: float | None = None) -> Any:
        """The result, after blocking until it is there.

        Raises:
            TaskFailed: the task ended without a result.
            Refused: it was never accepted.
            TimeoutError: it has not ended within `timeout` seconds.
        """
        if not self.wait(timeout):
            raise TimeoutError(f"{self.id} has not ended within {timeout} s")
        return self._outcome()

    def __await__(self) -> Generator[Any, None, Any]:
        if not self.done:
            loop = asyncio.get_running_loop()
            waiting: asyncio.Future[None] = loop.create_future()

            def wake() -> None:
                if not waiting.done():
                    waiting.set_result(None)

            def ended() -> None:
                with suppress(RuntimeError):  # Who waited, and the loop, are gone.
                    loop.call_soon_threadsafe(wake)

            self.on_done(ended)
            try:
                yield from waiting
            finally:
                with _lock:
                    if self._calls is not None and ended in self._calls:
                        self._calls.remove(ended)
        return self._outcome()

    def _outcome(self) -> Any:
        if self._error is not None:
            raise self._error.with_traceback(None)
        ended = self._ended
        if ended is None:
            raise VisionFlowError(f"{self.id} has not ended.")
        if ended.status is TaskStatus.COMPLETED:
            return unpack(ended.result, self._blobs)
        reason = (ended.reason or "no reason was recorded").rstrip(".")
        raise TaskFailed(
            f"Task {self.id} ended as {ended.status}: {reason}.", task=self.id, reason=reason
        )


class PlanHandle(TaskHandle):
    """A plan under way. Its result holds, by phase, the results of the parts in order, with
    `None` in the place of a part without which the plan completed."""

    __slots__ = ("parts",)

    def __init__(self, task: str, blobs: Blobs, parts: dict[str, list[TaskHandle]]) -> None:
        super().__init__(task, blobs)
        self.parts = parts

    def _outcome(self) -> Any:
        super()._outcome()
        return {
            phase: [
                handle._outcome() if handle.status is TaskStatus.COMPLETED else None
                for handle in handles
            ]
            for phase, handles in self.parts.items()
        }
