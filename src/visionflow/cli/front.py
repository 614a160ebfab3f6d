"""The front: a small process that keeps an orchestrator going until it has ended by itself.

It starts the orchestrator as its child in the same process group and holds a pipe to it. Over the
pipe it says `stop` or `kill` when a person does; the pipe's end tells the orchestrator that the
front is gone. An orchestrator that a signal killed, or that ended with 70 because it could not
write its log, is started again and goes on from the log, a few times a minute at most. The front
returns when none of the processes that it answers for is left. What the orchestrator does is not
its business; `commands` shows the result.
"""

import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import suppress
from types import FrameType
from typing import NamedTuple, TypeVar

from visionflow.cli import descendants
from visionflow.cli.terminal import say, show_cursor
from visionflow.domain.errors import UsageError

T = TypeVar("T")
FRONT_FD = "VISIONFLOW_FRONT_FD"
STOP, KILL = b"s", b"k"
"""What the front says over the pipe."""
STARTER_FD = "VISIONFLOW_STARTER_FD"
"""A pipe whose end tells a front that the program which started it is gone."""
FAIL_STOP = 70
RESTARTS_MAX = 3
WINDOW_S = 60.0
"""More restarts than that in this time, and something is wrong that a restart does not mend."""
STOP_S_MAX = 30.0
"""A graceful stop that takes longer becomes a kill."""
KILL_S_MAX = 10.0
"""An orchestrator that was told to kill and is still there after this is killed itself."""
SAME_WISH_S = 1.0
"""`timeout`, shells and terminals send TERM and HUP twice for one wish."""
ORPHANS_GRACE_S = 4.0
"""What workers and launchers have, to end and clean up after an orchestrator that was killed."""
HEARD = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def handed_over(order: str, kind: type[T], what: str, command: str) -> tuple[T, int]:
    """Of a program that a front started: its order, from the environment under this name, and the
    pipe to the front. Both are taken out of the environment, so that no child inherits them.

    Raises:
        UsageError: no front started it.
    """
    import msgspec

    try:
        found = msgspec.json.decode(os.environ.pop(order, ""), type=kind)
        pipe = int(os.environ.pop(FRONT_FD, ""))
        os.set_inheritable(pipe, False)
    except (msgspec.DecodeError, ValueError, OSError) as error:
        raise UsageError(
            f"{what} is started by its front, not by hand: {error}.",
            hint=f"Use `visionflow {command}`.",
        ) from error
    return found, pipe


def starter() -> int | None:
    """The pipe to the program that started this one, where that program gave one. It is taken out
    of the environment, so that no child inherits it."""
    given = os.environ.pop(STARTER_FD, "")
    try:
        pipe = int(given)
        os.set_inheritable(pipe, False)
    except (ValueError, OSError):
        return None
    return pipe


class Ending(NamedTuple):
    """How the last orchestrator ended."""

    code: int
    """Its exit code, negative for the signal that killed it."""
    asked: int | None
    """The signal by which somebody asked for the end, if somebody did."""
    gave_up: bool
    """Whether it would have been started again, had it not died so often."""
    left: list[int]
    """Processes that would not end."""


class Front:
    """One `run()` is one foreground run. Only for the main thread of a process of its own."""

    def __init__(
        self,
        argv: Sequence[str],
        env: Mapping[str, str],
        *,
        restarts_max: int = RESTARTS_MAX,
        stop_s_max: float = STOP_S_MAX,
        stdout: int = 2,
        what: str = "orchestrator",
        tell: Callable[[str], None] = say,
        spares: descendants.Spares | None = None,
        leaves: bool = False,
        meant: Set[int] | None = None,
        starter: int | None = None,
    ) -> None:
        """Nothing is started yet. `env` is the whole environment of the orchestrator, `stdout` the
        descriptor that it prints on, `what` how it is called here, and `tell` says a line.

        `spares` says which of the processes that an orchestrator leaves behind live on until the
        next one takes them up; with `leaves` also when there is none to come. With `meant` it is
        started again too when it ended by itself with a code that is none of these: something
        in it ended it. `starter` is a pipe at whose end all is ended at once, `leaves` or not."""
        self._argv = list(argv)
        self._env = dict(env)
        self._restarts_max = restarts_max
        self._stop_s_max = stop_s_max
        self._stdout = stdout
        self._what = what
        self._tell_person = tell
        self._spares = spares
        self._leaves = leaves
        self._meant = meant
        self._starter = starter
        self._restarts: list[float] = []
        self._asked: int | None = None
        self._asked_at = 0.0
        self._urgency = 0
        self._deadline: float | None = None
        self._pid = 0
        self._pipe = -1
        self._ended: int | None = None

    def run(self, then: Callable[[], None] | None = None) -> Ending:
        """Keep the orchestrator going; returns when it has ended and nothing of it is left.

        `then` is called before this process can be ended by a signal again: to end more.
        """
        before = descendants.children()
        adopting = descendants.adopt()
        hear, wake = os.pipe()
        os.set_blocking(hear, False)
        os.set_blocking(wake, False)
        kept = {number: signal.getsignal(number) for number in (*HEARD, signal.SIGCHLD)}
        try:
            signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
            for number, old in kept.items():
                # What `nohup` or a shell's `&` made deaf stays deaf.
                if old is not signal.SIG_IGN or number == signal.SIGCHLD:
                    signal.signal(number, _only_wakes)
            ending = self._until_it_ends(hear, before if adopting else None)
            if then is not None:
                then()
            return ending
        finally:
            signal.set_wakeup_fd(-1)
            for number, old in kept.items():
                signal.signal(number, old)
            os.close(hear)
            os.close(wake)

    def _until_it_ends(self, hear: int, before: set[descendants.Identity] | None) -> Ending:
        while True:
            code = self._one_life(hear)
            if code < 0:
                show_cursor()
            urgent = self._urgency > 1 or code == -signal.SIGKILL
            died = self._asked is None and self._is_death(code)
            again = died and self._may_restart()
            left: list[int] = []
            if before is not None:
                spares = self._spares if again or self._leaves else None
                left = descendants.end(before, 1.0 if urgent else ORPHANS_GRACE_S, spares)
            if not died or left:
                return Ending(code, self._asked, False, left)
            if not again:
                return Ending(code, None, True, left)
            times = f"again ({len(self._restarts)} of {self._restarts_max} a minute)"
            self._tell_person(
                f"The {self._what} {how_it_ended(code)}; it goes on from its log {times}."
            )

    def _is_death(self, code: int) -> bool:
        if code < 0 or code == FAIL_STOP:
            return True
        return self._meant is not None and code not in self._meant

    def _may_restart(self) -> bool:
        now = time.monotonic()
        self._restarts = [at for at in self._restarts if now - at < WINDOW_S]
        if len(self._restarts) >= self._restarts_max:
            return False
        self._restarts.append(now)
        return True

    def _one_life(self, hear: int) -> int:
        self._start()
        try:
            if self._urgency:
                # Asked for between two lives.
                self._tell(STOP if self._urgency == 1 else KILL)
            while self._ended is None:
                wait = None if self._deadline is None else self._deadline - time.monotonic()
                heard = [hear] if self._starter is None else [hear, self._starter]
                ready, _, _ = select.select(heard, [], [], None if wait is None else max(0.0, wait))
                self._hear(hear)
                if self._starter in ready:
                    self._lose_starter(self._starter)
                if self._deadline is not None and time.monotonic() >= self._deadline:
                    self._escalate()
            return self._ended
        finally:
            os.close(self._pipe)

    def _start(self) -> None:
        told, self._pipe = os.pipe()
        os.set_blocking(self._pipe, False)
        # Until the orchestrator listens, signals to the group must wait for it, not kill it.
        old = signal.pthread_sigmask(signal.SIG_BLOCK, HEARD)
        try:
            child = subprocess.Popen(
                self._argv,
                env={**self._env, FRONT_FD: str(told)},
                stdin=subprocess.DEVNULL,
                # Of a run, standard output is for the result alone, which this process prints.
                stdout=self._stdout,
                pass_fds=(told,),
            )
        except BaseException:
            os.close(self._pipe)
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, old)
            os.close(told)
        self._pid = child.pid
        self._ended = None
        # It is reaped here with all others; the object must not try.
        child.returncode = 0

    def _hear(self, hear: int) -> None:
        numbers = b""
        with suppress(BlockingIOError):
            numbers = os.read(hear, 4_096)
        for number in numbers:
            if number in HEARD:
                self._ask(number)
        code = descendants.reap().get(self._pid)
        if code is not None:
            self._ended = code

    @property
    def leaves(self) -> bool:
        """Whether spared processes live on after it: while whoever started it is there."""
        return self._leaves

    def _lose_starter(self, pipe: int) -> None:
        if os.read(pipe, 16):
            return
        self._starter, self._leaves = None, False
        self._ask(signal.SIGTERM)
        if self._urgency < 2:
            self._escalate()

    def _ask(self, number: int) -> None:
        now = time.monotonic()
        repeated = number != signal.SIGINT and number == self._asked
        if repeated and now - self._asked_at < SAME_WISH_S:
            return
        if self._asked is None:
            self._asked, self._asked_at = number, now
        self._escalate()

    def _escalate(self) -> None:
        """Stop gracefully, then kill what works, then kill the orchestrator too."""
        self._urgency += 1
        now = time.monotonic()
        if self._urgency == 1:
            self._tell_person("Stopping; finished steps are kept. Once more ends it at once.")
            self._deadline = now + self._stop_s_max
            self._tell(STOP)
        elif self._urgency == 2:
            self._tell_person("Ending at once.")
            self._deadline = now + KILL_S_MAX
            self._tell(KILL)
        else:
            self._deadline = now + KILL_S_MAX
            if self._pid and self._ended is None:
                os.kill(self._pid, signal.SIGKILL)

    def _tell(self, what: bytes) -> None:
        with suppress(BrokenPipeError, BlockingIOError):
            os.write(self._pipe, what)


def _only_wakes(number: int, frame: FrameType | None) -> None:
    """Its number reaches the loop through the wake-up pipe."""


def how_it_ended(code: int) -> str:
    """In words, for a code as `Ending` has it."""
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"was ended by {name}"
