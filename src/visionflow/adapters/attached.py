"""A process that this one did not start: watched, asked to end, killed; never mistaken.

It is some other process's child, or nobody's, so nobody here is told with what code it ended. On
Linux a descriptor holds on to it: signals reach this very process, and its end wakes the loop.
Elsewhere it is looked at every so often, by pid and start time.
"""

import os
import signal
from asyncio import AbstractEventLoop, TimerHandle
from collections.abc import Callable
from contextlib import suppress

from visionflow.adapters.os_processes import (
    Identity,
    end_started_by,
    family,
    is_alive,
    mark_of,
    send,
)
from visionflow.ports.host import UNKNOWN, Exit

LOOK_S = 0.2
"""Where the system tells of no end, it is looked for this often."""
SWEEP_S = 0.02
"""So long after killing what it left behind, it is looked whether that is gone."""
SWEEPS_MAX = 250
"""So often at most it is looked again where the process table cannot be read."""


def attach(loop: AbstractEventLoop, who: Identity) -> "AttachedProcess | None":
    """Watch this very process from now on; `None` when it does not run any more."""
    descriptor: int | None = None
    if hasattr(os, "pidfd_open"):
        try:
            descriptor = os.pidfd_open(who.pid)
        except ProcessLookupError:
            return None
    # The descriptor holds on to whoever has the pid now; the start time says who that is.
    if not is_alive(who):
        if descriptor is not None:
            os.close(descriptor)
        return None
    return AttachedProcess(loop, who, descriptor)


class AttachedProcess:
    """Made by `attach`. All methods belong to the loop's thread."""

    def __init__(self, loop: AbstractEventLoop, who: Identity, descriptor: int | None) -> None:
        self._loop = loop
        self._who = who
        self._mark = mark_of(who)
        self._descriptor = descriptor
        self._timer: TimerHandle | None = None
        self._over = False
        self._sweeps = SWEEPS_MAX
        self._exit: Exit | None = None
        self._calls: list[Callable[[Exit], None]] = []
        if descriptor is None:
            self._look()
        else:
            loop.add_reader(descriptor, self._ended)

    @property
    def pid(self) -> int:
        """See `visionflow.ports.host.Process.pid`."""
        return self._who.pid

    @property
    def started(self) -> str:
        """See `visionflow.ports.host.Process.started`."""
        return self._who.started

    def on_exit(self, call: Callable[[Exit], None]) -> None:
        """See `visionflow.ports.host.Process.on_exit`."""
        if self._exit is None:
            self._calls.append(call)
        else:
            self._loop.call_soon(call, self._exit)

    def terminate(self) -> None:
        """See `visionflow.ports.host.Process.terminate`."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """See `visionflow.ports.host.Process.kill`. What else is in its group follows when its end
        is seen."""
        self._signal(signal.SIGKILL)

    def leave(self) -> None:
        """See `visionflow.ports.host.Process.leave`."""
        self._let_go()
        self._calls.clear()

    def _signal(self, number: signal.Signals) -> None:
        if self._over:
            return
        with suppress(ProcessLookupError, PermissionError):
            if self._descriptor is None:
                send(self._who, number)
            else:
                signal.pidfd_send_signal(self._descriptor, number)

    def _look(self) -> None:
        if is_alive(self._who):
            self._timer = self._loop.call_later(LOOK_S, self._look)
        else:
            self._ended()

    def _ended(self) -> None:
        self._let_go()
        self._sweep()

    def _let_go(self) -> None:
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
        if self._descriptor is not None:
            self._loop.remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = None

    def _sweep(self) -> None:
        """Its end is told when nothing that it started in its session lives on, and the rest of
        what it started is killed."""
        try:
            if self._mark is not None:
                end_started_by(self._mark)
            left = family(self._who)
        except OSError:
            # No descriptor is free to read the process table with.
            if not self._sweeps:
                left = set[Identity]()
            else:
                self._sweeps -= 1
                self._timer = self._loop.call_later(SWEEP_S, self._sweep)
                return
        for who in left:
            with suppress(PermissionError):
                send(who, signal.SIGKILL)
        if left:
            self._timer = self._loop.call_later(SWEEP_S, self._sweep)
            return
        self._exit = UNKNOWN
        calls, self._calls = self._calls, []
        for call in calls:
            call(UNKNOWN)
