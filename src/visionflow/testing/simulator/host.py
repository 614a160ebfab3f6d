"""The simulated machine: clocks that jump, chance from the seed, processes that are coroutines."""

from asyncio import TimerHandle
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from visionflow.domain.errors import CommandNotStarted
from visionflow.ports.host import UNKNOWN, Exit, ProcessState
from visionflow.testing.simulator.kernel import Kernel, Process

EXIT_TOLD_US_MAX = 20_000
"""A parent hears of its child's end within this; messages of the child may come later."""


class Machine(Protocol):
    """What a host needs of the world around it."""

    @property
    def kernel(self) -> Kernel:
        """Time and chance."""
        ...

    def launch(self, parent: "SimHost", env: Mapping[str, str], secret: str) -> "Child | None":
        """Start a worker process; `None`: the machine refuses."""
        ...

    def attach(self, watcher: "SimHost", pid: int, started: str) -> "Child | None":
        """Watch a worker process that another started; `None`: it does not live."""
        ...

    def process_state(self, pid: int, started: str) -> ProcessState:
        """How this process is."""
        ...

    def end_leftover(self, pid: int, started: str) -> bool:
        """Kill this process if it lives; whether it did."""
        ...


class Child:
    """A worker process, as its parent sees it, or another that watches it: `attached`."""

    def __init__(
        self,
        process: Process,
        parent: Process,
        terminate: Callable[[], None],
        attached: bool = False,
    ) -> None:
        self.process = process
        self._attached = attached
        self._parent = parent
        self._terminate = terminate
        self._how = Exit(None, "SIGKILL")
        self._exit: Exit | None = None
        self._calls: list[Callable[[Exit], None]] = []
        process.on_death.append(self._died)

    @property
    def is_orphan(self) -> bool:
        """Whether who started it is gone."""
        return not self._parent.alive

    @property
    def pid(self) -> int:
        """See `visionflow.ports.host.Process`."""
        return self.process.pid

    @property
    def started(self) -> str:
        """See `visionflow.ports.host.Process`."""
        return self.process.started

    def on_exit(self, call: Callable[[Exit], None]) -> None:
        """See `visionflow.ports.host.Process`."""
        if self._exit is None:
            self._calls.append(call)
        else:
            self._parent.call(call, self._exit)

    def terminate(self) -> None:
        """See `visionflow.ports.host.Process`."""
        if self._parent.touch():
            self._terminate()

    def kill(self) -> None:
        """See `visionflow.ports.host.Process`."""
        if self._parent.touch():
            kernel, deaf_us = self.process.kernel, self.process.deaf_us
            self.process.killed = True
            if deaf_us:
                kernel.after(deaf_us, lambda: self.end(Exit(None, "SIGKILL")))
            else:
                self.end(Exit(None, "SIGKILL"))

    def leave(self) -> None:
        """See `visionflow.ports.host.Process`."""
        self._calls.clear()

    def end(self, how: Exit) -> None:
        """It ends like this, whoever did it. The first end counts."""
        if self.process.alive:
            self._how = how
            self.process.die()

    def _died(self) -> None:
        kernel = self.process.kernel
        kernel.trace(f"end {self.process.name} {self._how.code} {self._how.signal}")
        kernel.after(kernel.between(100, EXIT_TOLD_US_MAX), self._told)

    def _told(self) -> None:
        how = self._exit = UNKNOWN if self._attached else self._how
        calls, self._calls = self._calls, []
        for call in calls:
            self._parent.call(call, how)


class SimHost:
    """A `Host` for one process."""

    def __init__(self, process: Process, machine: Machine, floor_ms: int = 0) -> None:
        self.process = process
        self._kernel = process.kernel
        self._machine = machine
        self._now_ms = floor_ms

    def now_ms(self) -> int:
        """See `visionflow.ports.host.Host`."""
        kernel = self._kernel
        self._now_ms = max(self._now_ms, kernel.wall_ms + kernel.now_us // 1_000)
        return self._now_ms

    def monotonic_ms(self) -> int:
        """See `visionflow.ports.host.Host`."""
        return self._kernel.slept_ms + self._kernel.now_us // 1_000

    def entropy(self) -> int:
        """See `visionflow.ports.host.Host`."""
        return self._kernel.random.getrandbits(64) if self.process.alive else 0

    def call_later(self, delay_ms: int, call: Callable[[], None]) -> TimerHandle:
        """See `visionflow.ports.host.Host`."""
        return self.process.loop.call_later(delay_ms / 1_000, call)

    def spawn(
        self,
        argv: Sequence[str],
        env: Mapping[str, str],
        secret: bytes,
        stderr_path: str | None = None,
    ) -> Child:
        """See `visionflow.ports.host.Host`."""
        if not self.process.touch():
            raise CommandNotStarted("This process is dead.")
        child = self._machine.launch(self, env, secret.decode())
        if child is None:
            raise CommandNotStarted("The simulated machine has no process left.")
        return child

    def attach(self, pid: int, started: str) -> Child | None:
        """See `visionflow.ports.host.Host`."""
        return self._machine.attach(self, pid, started) if self.process.touch() else None

    def process_state(self, pid: int, started: str) -> ProcessState:
        """See `visionflow.ports.host.Host`."""
        return self._machine.process_state(pid, started)

    def end_leftover(self, pid: int, started: str) -> bool:
        """See `visionflow.ports.host.Host`."""
        return self.process.touch() and self._machine.end_leftover(pid, started)


class CountingTelemetry:
    """A `Telemetry` that counts by code word."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}

    def log(self, level: str, agent: str | None, code: str, message: str) -> None:
        """See `visionflow.ports.telemetry.Telemetry`."""
        self.counts[code] = self.counts.get(code, 0) + 1
