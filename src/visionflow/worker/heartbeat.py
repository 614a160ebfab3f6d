"""Says that the process lives: from a thread of its own, or from the loop where there are none.

The thread has a connection of its own, so that a busy loop is not taken for a dead process. It
also sees what the loop cannot: an agent that blocks the loop beyond its attempt's limit.
"""

import threading
from collections.abc import Callable
from typing import Protocol

from visionflow.domain.errors import BusClosed, Refused
from visionflow.ports.host import Host, Timer

STALL_S = 3.5
"""An attempt this far over its limit, seen twice in a row, means that the loop is stuck."""
LOOK_S = 0.5
"""So often that is looked at, however rarely it beats: the process is to end before the engine
gives the attempt up without it (`TIMEOUT_GRACE_MS`) and hands it the next one."""
URGENT_S = 0.1


class Publisher(Protocol):
    """A connection that a thread can publish on."""

    def publish(self, subject: str, payload: bytes) -> None:
        """Send at once; raises BusClosed when it is gone."""
        ...

    def close(self) -> None:
        """End it."""
        ...


class ThreadHeartbeat:
    """Beats from a daemon thread until stopped."""

    def __init__(
        self,
        dial: Callable[[], Publisher],
        subject: str,
        frame: Callable[[bool], bytes],
        every_ms: int,
        overdue_s: Callable[[], float],
        on_stall: Callable[[], None],
        urgent: Callable[[], bool] | None = None,
    ) -> None:
        """`frame` (of a beat before its time, or not) and `overdue_s` are called on the thread, and
        so is `on_stall`, once. `urgent` is asked ten times a second whether a beat must go out
        before its time."""
        self._dial = dial
        self._subject = subject
        self._frame = frame
        self._every_s = every_ms / 1000
        self._overdue_s = overdue_s
        self._on_stall = on_stall
        self._urgent = urgent
        self._connection: Publisher | None = None
        self._unlooked_s = 0.0
        self._stalled = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def start(self) -> None:
        """Beat once at once, and then regularly."""
        self._thread.start()

    def stop(self) -> None:
        """Beat no more. Returns when the thread has ended."""
        self._over.set()
        self._thread.join(5)

    def _run(self) -> None:
        while True:
            self._beat()
            if self._waited():
                break
        if self._connection is not None:
            self._connection.close()

    def _waited(self) -> bool:
        """Wait until the next beat is to go out; whether there is none any more."""
        left_s, urgent = self._every_s, self._urgent
        part_s = LOOK_S if urgent is None else URGENT_S
        while left_s > part_s:
            if self._over.wait(part_s):
                return True
            self._look(part_s)
            if urgent is not None and urgent():
                self._beat(early=True)
            left_s -= part_s
        over = self._over.wait(left_s)
        self._look(left_s)
        return over

    def _look(self, passed_s: float) -> None:
        """See whether the loop is stuck, where that was not looked at for a while."""
        self._unlooked_s += passed_s
        if self._unlooked_s + passed_s / 2 < LOOK_S:
            return
        self._unlooked_s = 0.0
        self._stalled = self._stalled + 1 if self._overdue_s() > STALL_S else 0
        if self._stalled == 2:
            self._on_stall()

    def _beat(self, early: bool = False) -> None:
        try:
            if self._connection is None:
                self._connection = self._dial()
            self._connection.publish(self._subject, self._frame(early))
        except (BusClosed, Refused):
            # The session notices a lost orchestrator and decides; here the next beat dials.
            self._connection = None
        except OSError:
            # An agent may have left no descriptor free; this thread goes on all the same.
            if self._connection is not None:
                self._connection.close()
            self._connection = None


class LoopHeartbeat:
    """Beats from the loop, over whatever connection `beat` uses."""

    def __init__(self, host: Host, beat: Callable[[], None], every_ms: int) -> None:
        self._host = host
        self._beat = beat
        self._every_ms = every_ms
        self._timer: Timer | None = None

    def start(self) -> None:
        """Beat once at once, and then regularly."""
        self._beat()
        self._timer = self._host.call_later(self._every_ms, self.start)

    def stop(self) -> None:
        """Beat no more."""
        if self._timer is not None:
            self._timer.cancel()
