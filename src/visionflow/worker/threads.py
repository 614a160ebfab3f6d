"""Threads for calls that block. What they call, and what follows, is for the caller.

`OsThreads` is real; `InlineThreads` runs everything in the loop and serves where there must be
no threads, as in the simulator. Neither can end a call that does not return.
"""

import asyncio
import os
import queue
import threading
from collections import deque
from collections.abc import Callable
from contextvars import copy_context
from typing import Protocol, TypeVar

from visionflow.worker import exits

T = TypeVar("T")

IDLE_MAX = 16
"""Threads kept for the next call; more of them end when they have nothing to do."""


class Threads(Protocol):
    """Runs calls beside the loop."""

    def start(self, call: Callable[[], None]) -> None:
        """Run it on a thread. It must not raise."""
        ...

    def post(self, call: Callable[[], None]) -> None:
        """From a thread: have it called in the loop, in the order of posting."""
        ...


def end_if_forked(pid: int) -> None:
    """End this process when it is not the one with this pid but a copy that an agent forked.

    A copy that runs on here would report, and take on work, in the name of the worker.
    """
    if os.getpid() != pid:
        os._exit(exits.FORKED)


def offload(threads: Threads, call: Callable[[], T]) -> "asyncio.Future[T]":
    """What `call` returns or raises, from a thread, in the caller's context."""
    outcome: asyncio.Future[T] = asyncio.get_running_loop().create_future()
    context = copy_context()

    def settle(value: T | None, error: BaseException | None) -> None:
        if outcome.done():
            return
        if error is None:
            outcome.set_result(value)  # type: ignore[arg-type]
        else:
            outcome.set_exception(_raisable(error))

    def work() -> None:
        try:
            value = context.run(call)
        except BaseException as error:
            caught = error
            threads.post(lambda: settle(None, caught))
        else:
            threads.post(lambda: settle(value, None))

    threads.start(work)
    return outcome


def _raisable(error: BaseException) -> BaseException:
    # A Future refuses StopIteration, and takes the other two for an end of the whole loop.
    if isinstance(error, StopIteration | SystemExit | KeyboardInterrupt):
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


class InlineThreads:
    """Everything in the loop, one turn later."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def start(self, call: Callable[[], None]) -> None:
        """See `Threads`."""
        self._loop.call_soon(call)

    def post(self, call: Callable[[], None]) -> None:
        """See `Threads`."""
        self._loop.call_soon(call)


class OsThreads:
    """Daemon threads, made as needed and used again. The loop is woken once for many posts."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._idle: deque[queue.SimpleQueue[Callable[[], None]]] = deque()
        self._posted: deque[Callable[[], None]] = deque()
        self._woken = False
        self._pid = os.getpid()

    def start(self, call: Callable[[], None]) -> None:
        """See `Threads`. Called in the loop."""
        try:
            inbox = self._idle.pop()
        except IndexError:
            inbox = self._new_thread()
        inbox.put(call)

    def post(self, call: Callable[[], None]) -> None:
        """See `Threads`."""
        end_if_forked(self._pid)
        self._posted.append(call)
        if not self._woken:
            self._woken = True
            try:
                self._loop.call_soon_threadsafe(self._drain)
            except RuntimeError:  # The loop is closed: nobody is there to be told.
                self._posted.clear()

    def _new_thread(self) -> "queue.SimpleQueue[Callable[[], None]]":
        inbox: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        threading.Thread(target=self._serve, args=(inbox,), daemon=True).start()
        return inbox

    def _serve(self, inbox: "queue.SimpleQueue[Callable[[], None]]") -> None:
        while True:
            inbox.get()()
            if len(self._idle) >= IDLE_MAX:
                return
            self._idle.append(inbox)

    def _drain(self) -> None:
        # First, so that whoever posts from here on wakes the loop again.
        self._woken = False
        for _ in range(len(self._posted)):
            self._posted.popleft()()
