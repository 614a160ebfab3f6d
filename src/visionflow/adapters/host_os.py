"""The machine for real: clocks, randomness, child processes.

The loop is told of a child's end by a descriptor of the process (Linux) or by a waiting thread
(elsewhere). What a child does with the pipe of its parent is the worker's business.
"""

import asyncio
import errno
import os
import signal
import struct
import subprocess
import threading
import time
from asyncio import AbstractEventLoop, TimerHandle
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress

from visionflow.adapters.attached import AttachedProcess, attach
from visionflow.adapters.os_processes import (
    STARTED_BY,
    Identity,
    end_family,
    end_started_by,
    identity,
    state_of,
)
from visionflow.domain.errors import CommandNotStarted
from visionflow.ports.host import Exit, ProcessState

PARENT_FD = "VISIONFLOW_PARENT_FD"
SECRET_BYTES_MAX = 4_096
"""It must fit into an empty pipe, or writing it would wait for the child."""
ENTROPY_BYTES = 4_096
SWEEP_S, SWEEPS_MAX = 0.1, 50
"""So often, and so many times at most, is what a process left behind looked for again where the
process table could not be read: no descriptor was free."""
_WORD = struct.Struct("<Q")


_lifelines: set[int] = set()


def _leave_lifelines() -> None:
    # A copy of this process that forks off must not keep our workers alive when we are gone.
    for descriptor in _lifelines:
        os.close(descriptor)
    _lifelines.clear()


os.register_at_fork(after_in_child=_leave_lifelines)


class OsProcess:
    """A child of this process. All methods belong to the loop's thread."""

    def __init__(
        self, loop: AbstractEventLoop, child: "subprocess.Popen[bytes]", lifeline: int, mark: str
    ) -> None:
        self._loop = loop
        self._mark = mark
        self._child = child
        self._lifeline = lifeline
        _lifelines.add(lifeline)
        self._code: int | None = None
        """It was reaped: its pid is nobody's, or somebody else's."""
        self._exit: Exit | None = None
        self._calls: list[Callable[[Exit], None]] = []
        self._descriptor: int | None = None
        self._left = False
        # It cannot have been reaped yet, so the pid is still its own.
        who = identity(child.pid)
        self._started = "" if who is None else who.started
        self._watch()

    @property
    def pid(self) -> int:
        """See `visionflow.ports.host.Process.pid`."""
        return self._child.pid

    @property
    def started(self) -> str:
        """See `visionflow.ports.host.Process.started`."""
        return self._started

    def on_exit(self, call: Callable[[Exit], None]) -> None:
        """See `visionflow.ports.host.Process.on_exit`."""
        if self._exit is None:
            self._calls.append(call)
        else:
            self._loop.call_soon(call, self._exit)

    def terminate(self) -> None:
        """See `visionflow.ports.host.Process.terminate`."""
        if self._code is None and not self._left:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)

    def kill(self) -> None:
        """See `visionflow.ports.host.Process.kill`."""
        # Until it is reaped, its pid and group are nobody else's; when it was, the group is
        # already dead.
        if self._code is None and not self._left:
            self._kill_group()

    def leave(self) -> None:
        """See `visionflow.ports.host.Process.leave`."""
        if self._exit is not None or self._left:
            return
        self._calls.clear()
        self._left = True
        if self._descriptor is not None:
            self._loop.remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = None
        self._close_lifeline()
        if self._code is None:
            # Whoever outlives us reaps it; the object must not try.
            self._child.returncode = 0

    def _kill_group(self) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def _watch(self) -> None:
        if hasattr(os, "pidfd_open"):
            self._descriptor = os.pidfd_open(self.pid)
            self._loop.add_reader(self._descriptor, self._ended)
            return
        threading.Thread(target=self._wait, name=f"wait-{self.pid}", daemon=True).start()

    def _wait(self) -> None:
        os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._ended)

    def _ended(self) -> None:
        if self._left or self._code is not None:
            return
        if self._descriptor is not None:
            self._loop.remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = None
        # It is dead but not reaped: the last moment at which its group is certainly its own.
        # Nothing that it started may live on, there or in sessions of its own.
        self._kill_group()
        self._code = self._child.wait()
        self._close_lifeline()
        self._tell(self._code, SWEEPS_MAX)

    def _tell(self, code: int, tries: int) -> None:
        """Its end is told when what it started elsewhere was killed."""
        if self._left:
            return
        try:
            end_started_by(self._mark)
        except OSError:
            if tries:
                self._loop.call_later(SWEEP_S, self._tell, code, tries - 1)
                return
        self._exit = Exit(code, None) if code >= 0 else Exit(None, _signal_name(-code))
        calls, self._calls = self._calls, []
        for call in calls:
            call(self._exit)

    def _close_lifeline(self) -> None:
        if self._lifeline in _lifelines:
            _lifelines.remove(self._lifeline)
            os.close(self._lifeline)


class OsHost:
    """A `Host` that is the operating system; for one loop's thread."""

    def __init__(self, loop: AbstractEventLoop | None = None, *, floor_ms: int = 0) -> None:
        """Without a `loop`, the one that runs when a call needs it.

        `floor_ms` is the latest time that an earlier life recorded: `now_ms` starts there when
        the machine's clock was set back since, and goes on from there as time passes.
        """
        self._loop = loop
        self._now_ms = floor_ms
        self._ahead_ms: int | None = None
        """While the machine's clock shows less than was told: by how much what is told is ahead of
        the clock that only measures."""
        self._words: Iterator[tuple[int]] = iter(())

    def now_ms(self) -> int:
        """See `visionflow.ports.host.Host.now_ms`."""
        now_ms = time.time_ns() // 1_000_000
        if now_ms < self._now_ms:
            # It was set back. Time that stood still until it caught up would hold up all that is
            # to come after a wait: retries, limits, deadlines.
            measured_ms = self.monotonic_ms()
            if self._ahead_ms is None:
                self._ahead_ms = self._now_ms - measured_ms
            now_ms = max(now_ms, self._now_ms, measured_ms + self._ahead_ms)
        elif self._ahead_ms is not None:
            self._ahead_ms = None
        self._now_ms = now_ms
        return now_ms

    def monotonic_ms(self) -> int:
        """See `visionflow.ports.host.Host.monotonic_ms`."""
        return time.monotonic_ns() // 1_000_000

    def entropy(self) -> int:
        """See `visionflow.ports.host.Host.entropy`."""
        # Ids are made in any thread: taking the next word is one step, so nobody gets it twice.
        word = next(self._words, None)
        while word is None:
            self._words = _WORD.iter_unpack(os.urandom(ENTROPY_BYTES))
            word = next(self._words, None)
        return word[0]

    def call_later(self, delay_ms: int, call: Callable[[], None]) -> TimerHandle:
        """See `visionflow.ports.host.Host.call_later`."""
        return self._running_loop().call_later(delay_ms / 1_000, call)

    def spawn(
        self,
        argv: Sequence[str],
        env: Mapping[str, str],
        secret: bytes,
        stderr_path: str | None = None,
    ) -> OsProcess:
        """See `visionflow.ports.host.Host.spawn`.

        The environment is `env`, that one variable, and one that all it starts inherits. Standard
        input is empty; what it prints is appended to the file at `stderr_path`, or goes nowhere.
        When it ends, what is left of its process group is killed, and on Linux whatever else has
        that variable.
        """
        loop = self._running_loop()
        try:
            inherited, lifeline = os.pipe()
        except OSError as error:
            raise _not_started(argv, error) from error
        mark = os.urandom(8).hex()
        try:
            _write_secret(lifeline, secret)
            told = {**env, PARENT_FD: str(inherited), STARTED_BY: mark}
            child = _start(argv, told, inherited, stderr_path)
        except BaseException:
            os.close(lifeline)
            raise
        finally:
            os.close(inherited)
        try:
            return OsProcess(loop, child, lifeline, mark)
        except OSError as error:
            # Nobody would be told of its end.
            _lifelines.discard(lifeline)
            os.close(lifeline)
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            raise _not_started(argv, error) from error

    def attach(self, pid: int, started: str) -> AttachedProcess | None:
        """See `visionflow.ports.host.Host.attach`."""
        return attach(self._running_loop(), Identity(pid, started))

    def process_state(self, pid: int, started: str) -> ProcessState:
        """See `visionflow.ports.host.Host.process_state`."""
        return state_of(Identity(pid, started))

    def end_leftover(self, pid: int, started: str) -> bool:
        """See `visionflow.ports.host.Host.end_leftover`. It blocks until they are dead.

        Processes of its session and descendants in sessions of their own are ended too.

        Raises:
            VisionFlowError: one of them does not end although it was killed.
        """
        return end_family(Identity(pid, started))

    def _running_loop(self) -> AbstractEventLoop:
        return self._loop or asyncio.get_running_loop()


def _write_secret(lifeline: int, secret: bytes) -> None:
    if len(secret) > SECRET_BYTES_MAX or b"\n" in secret:
        raise CommandNotStarted(
            f"A worker's secret is one line of at most {SECRET_BYTES_MAX} bytes."
        )
    os.write(lifeline, secret + b"\n")


def _start(
    argv: Sequence[str], env: Mapping[str, str], inherited: int, stderr_path: str | None
) -> "subprocess.Popen[bytes]":
    try:
        with open(stderr_path or os.devnull, "ab") as output:
            return subprocess.Popen(
                list(argv),
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=(inherited,),
                start_new_session=True,
            )
    except (OSError, ValueError) as error:
        raise _not_started(argv, error) from error


def _not_started(argv: Sequence[str], error: Exception) -> CommandNotStarted:
    out = isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE)
    return CommandNotStarted(
        f"{argv[0] if argv else 'A command without words'} could not be started: {error}.",
        hint="Allow this process more open files (ulimit -n), or let it have fewer connections."
        if out
        else "Check that it exists, may be executed, and that its output file can be written.",
    )


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
