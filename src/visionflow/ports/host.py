"""Port: the machine: time, randomness, processes."""

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple, Protocol


class Exit(NamedTuple):
    """How a process ended: a code of its own, or the name of the signal that ended it; with
    neither it is not known, for it was another process's child."""

    code: int | None
    signal: str | None


UNKNOWN = Exit(None, None)
"""It has ended; how, only whoever started it was told."""


class ProcessState(StrEnum):
    """What the operating system says of a process."""

    RUNNING = "running"
    """It runs, or waits for something."""
    STOPPED = "stopped"
    """Somebody stopped it (SIGSTOP, a debugger): it does nothing until it is woken."""
    ZOMBIE = "zombie"
    """It has ended, and its parent has not taken note of that."""
    GONE = "gone"
    """There is none of this pid and start time (any more)."""


class Process(Protocol):
    """A worker process that was started through the Host, by this process or one before it."""

    @property
    def pid(self) -> int:
        """The operating system's number for it."""
        ...

    @property
    def started(self) -> str:
        """With the pid, this tells it from every other process before and after."""
        ...

    def on_exit(self, call: Callable[[Exit], None]) -> None:
        """Call in the loop, once, when it has ended (at once if it has already)."""
        ...

    def terminate(self) -> None:
        """Ask it to end."""
        ...

    def kill(self) -> None:
        """End its whole process group now. Harmless when it is gone."""
        ...

    def leave(self) -> None:
        """Watch it no more: it lives on, and nothing more of it is told."""
        ...


class Timer(Protocol):
    """A call that is to come."""

    def cancel(self) -> None:
        """It will not come."""
        ...


class Host(Protocol):
    """What the runtime may know of and do to the machine."""

    def now_ms(self) -> int:
        """Milliseconds since the epoch; never less than before, in this process."""
        ...

    def monotonic_ms(self) -> int:
        """Milliseconds on a clock that only measures; it stands still in suspend or not."""
        ...

    def entropy(self) -> int:
        """64 random bits."""
        ...

    def call_later(self, delay_ms: int, call: Callable[[], None]) -> Timer:
        """Call in the loop after this time."""
        ...

    def spawn(
        self,
        argv: Sequence[str],
        env: Mapping[str, str],
        secret: bytes,
        stderr_path: str | None = None,
    ) -> Process:
        """Start a worker process in a session and group of its own. When it ends, what is left of
        its group is killed, and what it started elsewhere as far as the system tells.

        It inherits one descriptor, whose number stands in its environment as
        `VISIONFLOW_PARENT_FD`: the read end of a pipe that first yields `secret` and a newline
        and then end-of-file when this process is gone.

        Raises:
            CommandNotStarted: the operating system refused.
        """
        ...

    def attach(self, pid: int, started: str) -> Process | None:
        """A process of an earlier life that still runs, to watch and to end as if it were a child.

        How it ends is not known then, but that it did; what is left of its session is killed.
        `None` when there is none of this pid and start time (any more).
        """
        ...

    def process_state(self, pid: int, started: str) -> ProcessState:
        """How this very process is now. It does not wait."""
        ...

    def end_leftover(self, pid: int, started: str) -> bool:
        """Kill the process group of a process of an earlier life, if it is still that one.

        Returns once none of the group is alive; whether there was one.

        Raises:
            VisionFlowError: one of them cannot be killed.
        """
        ...
