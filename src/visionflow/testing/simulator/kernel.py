"""Virtual time, and the processes that live in it.

Every simulated process has an event loop of its own, and one scheduler runs them all in one
thread: it picks a process that has something to do, by chance, and runs a callback or two of it.
When nobody has, the clock jumps to the next timer. So a process can be stopped (its loop gets no
time) or end between any two callbacks without the others noticing, which one shared loop cannot
offer. A loop knows futures, tasks and timers and nothing else: sockets, files, threads, executors
and child processes raise, so nothing real can leak in.

A process that ends keeps its tasks until the world is closed: what stands in their `finally`
runs then, and reaches only ports that are dead.
"""

import asyncio
import random
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context
from hashlib import blake2b
from heapq import heappop, heappush
from typing import Any

BURST_MAX = 4
"""Callbacks of one process in a row, at most, while others have something to do too."""
EPOCH_MS = 1_700_000_000_000
PIDS = (100, 120)
"""These come round, and more than these only while many processes live."""


class Loop(asyncio.AbstractEventLoop):
    """The loop of one process. What is not here raises NotImplementedError."""

    def __init__(self, kernel: "Kernel", process: "Process") -> None:
        self._kernel = kernel
        self._process = process

    def time(self) -> float:
        """Seconds since the world began."""
        return self._kernel.now_us / 1_000_000

    def get_debug(self) -> bool:
        """Never."""
        return False

    def is_running(self) -> bool:
        """Whether the process lives."""
        return self._process.alive

    def is_closed(self) -> bool:
        """Whether the process has ended."""
        return not self._process.alive

    def call_soon(
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        """See asyncio."""
        handle = asyncio.Handle(callback, args, self, context)
        self._process.post(handle)
        return handle

    def call_later(
        self,
        delay: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """See asyncio."""
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """See asyncio."""
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        self._kernel.push(int(when * 1_000_000 + 0.999), self._process, handle)
        return handle

    def create_future(self) -> "asyncio.Future[Any]":
        """See asyncio."""
        return asyncio.Future(loop=self)

    def create_task(
        self,
        coro: Any,
        *,
        name: str | None = None,
        context: Context | None = None,
    ) -> "asyncio.Task[Any]":
        """See asyncio. The task lives as long as the world."""
        task = asyncio.Task(coro, loop=self, name=name or "task", context=context)
        self._process.tasks.append(task)
        return task

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """What nobody caught is a fault of the system under test, while the process lives."""
        if self._process.alive:
            error = context.get("exception")
            self._kernel.fault(
                f"{self._process.name}: {context.get('message')}: {type(error).__name__}: {error}"
            )

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Cancelled timers are passed over when their time comes."""


class Process:
    """One simulated process."""

    def __init__(self, kernel: "Kernel", name: str, pid: int) -> None:
        self.kernel = kernel
        self.name = name
        self.pid = pid
        self.started = str(kernel.now_us)
        """With the pid, this tells it from every other process."""
        self.alive = True
        self.stopped = False
        self.loop = Loop(kernel, self)
        self.ready: deque[asyncio.Handle] = deque()
        self.tasks: list[asyncio.Task[Any]] = []
        self.on_death: list[Callable[[], None]] = []
        """Called by the world, not by the process: it is dead then."""
        self.listed = False
        self.steps_left = -1
        """It dies after so many callbacks; below 0: not for that reason."""
        self.touches_left = -1
        """It dies at its so-many-th use of a port."""
        self.deaf_us = 0
        """A kill takes so long, and meanwhile it runs on if it was not stopped."""
        self.killed = False
        """It was killed, and may not have ended yet."""

    def post(self, handle: asyncio.Handle) -> None:
        """Have a callback run in it."""
        if self.alive:
            self.ready.append(handle)
            if not self.listed and not self.stopped:
                self.listed = True
                self.kernel.runnable.append(self)

    def call(self, callback: Callable[..., object], *args: Any) -> None:
        """Have something called in its loop."""
        if self.alive:
            self.loop.call_soon(callback, *args)

    def start(self, main: Coroutine[Any, Any, None]) -> None:
        """Give it its first task."""
        self.loop.create_task(main)

    def touch(self) -> bool:
        """Every port asks first: whether this process may still have an effect on the world."""
        if self.touches_left >= 0 and self.alive:
            self.touches_left -= 1
            if self.touches_left < 0:
                self.die()
        return self.alive

    def die(self) -> None:
        """End as by kill -9: at once, in the middle of whatever it does."""
        if self.alive:
            self.alive = False
            self.ready.clear()
            calls, self.on_death = self.on_death, []
            for call in calls:
                call()

    def stop(self) -> None:
        """SIGSTOP: its loop gets no time."""
        self.stopped = True

    def resume(self) -> None:
        """SIGCONT: what came in the meantime is there all at once."""
        self.stopped = False
        if self.alive and self.ready and not self.listed:
            self.listed = True
            self.kernel.runnable.append(self)


class Kernel:
    """The scheduler, the clock, chance, and the trace of all that happened."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.now_us = 0
        self.wall_ms = EPOCH_MS
        """What clocks on the wall show beyond `now_us`; they may be set."""
        self.latest_ms = EPOCH_MS
        """The latest time that those clocks have ever shown before one was set."""
        self.set_back = False
        """Whether those clocks were ever set back."""
        self.slept_ms = 0
        """Time that passed while the machine slept, which only some clocks count."""
        self.runnable: list[Process] = []
        self.faults: list[str] = []
        self.steps = 0
        self._timers: list[tuple[int, int, Process | None, asyncio.Handle | Callable[[], None]]]
        self._timers = []
        self._order = 0
        self._trace = blake2b(digest_size=16)
        self._processes: list[Process] = []
        self._pids = 100

    def fault(self, text: str) -> None:
        """Note something that must not happen."""
        if len(self.faults) < 50:
            self.faults.append(f"[{self.now_us // 1_000} ms] {text}")

    def trace(self, what: str, data: bytes = b"") -> None:
        """Note something that happened, for comparing runs."""
        self._trace.update(b"%d %s %d " % (self.now_us, what.encode(), len(data)))
        self._trace.update(data)

    def digest(self) -> str:
        """A hash of everything that was traced."""
        return self._trace.hexdigest()

    def chance(self, probability: float) -> bool:
        """Whether something of this probability happens."""
        return self.random.random() < probability

    def between(self, low_us: int, high_us: int) -> int:
        """A time between these, short ones more often."""
        share = self.random.random()
        return low_us + int((high_us - low_us) * share * share)

    def process(self, name: str) -> Process:
        """A new process. Pids come round again soon, as on a busy machine."""
        used = {process.pid for process in self._processes if process.alive}
        last = max(PIDS[1], PIDS[0] + 2 * len(used))
        self._pids += 1
        while self._pids in used or self._pids > last:
            self._pids = PIDS[0] if self._pids > last else self._pids + 1
        process = Process(self, name, self._pids)
        self._processes.append(process)
        self.trace(f"start {name} {process.pid}")
        return process

    def push(
        self, when_us: int, process: Process | None, what: asyncio.Handle | Callable[[], None]
    ) -> None:
        """Have a callback come at this time: in a process, or (`None`) in the world itself."""
        self._order += 1
        heappush(self._timers, (when_us, self._order, process, what))

    def after(self, delay_us: int, call: Callable[[], None]) -> None:
        """Something that the world does after this time."""
        self.push(self.now_us + delay_us, None, call)

    def at_ms(self, when_ms: int, call: Callable[[], None]) -> None:
        """Something that the world does at this time."""
        self.push(max(self.now_us, when_ms * 1_000), None, call)

    def set_clock(self, by_ms: int) -> None:
        """Let the clocks on the wall jump."""
        self.latest_ms = self.shown_ms()
        self.wall_ms += by_ms
        self.set_back = self.set_back or by_ms < 0

    def shown_ms(self) -> int:
        """The latest time that any process can have read off a clock on the wall."""
        return max(self.latest_ms, self.wall_ms + self.now_us // 1_000)

    # Running ---------------------------------------------------------------------------------

    def run(self, done: Callable[[], bool], until_ms: int) -> str | None:
        """Let time pass until `done` holds; why it ended otherwise."""
        until_us = until_ms * 1_000
        try:
            while not done():
                if self.runnable:
                    self._run_somebody()
                elif not self._timers:
                    return "nothing is scheduled: the system has stopped by itself"
                elif self._timers[0][0] > until_us:
                    return f"it is not done after {until_ms} ms"
                else:
                    self._wake()
        finally:
            events._set_running_loop(None)
        return None

    def _run_somebody(self) -> None:
        runnable = self.runnable
        place = int(self.random.random() * len(runnable)) if len(runnable) > 1 else 0
        process = runnable[place]
        events._set_running_loop(process.loop)
        ready = process.ready
        burst = BURST_MAX if len(runnable) > 1 else 64
        while ready and burst and process.alive and not process.stopped:
            handle = ready.popleft()
            burst -= 1
            if not handle.cancelled():
                self.steps += 1
                handle._run()
                if process.steps_left >= 0:
                    process.steps_left -= 1
                    if process.steps_left < 0:
                        process.die()
        if not ready or process.stopped or not process.alive:
            process.listed = False
            runnable[place] = runnable[-1]
            runnable.pop()

    def _wake(self) -> None:
        when_us, _, process, what = heappop(self._timers)
        if isinstance(what, asyncio.Handle):
            if process is None or what.cancelled() or not process.alive:
                return
            self.now_us = max(self.now_us, when_us)
            process.post(what)
        else:
            self.now_us = max(self.now_us, when_us)
            events._set_running_loop(None)
            what()

    def close(self) -> None:
        """End everything, and let go of what the dead had begun."""
        for process in self._processes:
            process.on_death.clear()
            process.die()
        for process in self._processes:
            for task in process.tasks:
                _let_go(task)
            process.tasks.clear()
        self._timers.clear()
        self.runnable.clear()


def _let_go(task: "asyncio.Task[Any]") -> None:
    if task.done():
        if not task.cancelled():
            task.exception()
        return
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    coroutine = task.get_coro()
    if coroutine is not None:
        try:
            coroutine.close()
        except (RuntimeError, ValueError):
            # It goes on awaiting, or is the one that runs: it is dropped as it stands.
            return
