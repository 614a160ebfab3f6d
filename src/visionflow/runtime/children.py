"""Children: the worker processes, from their start to their end.

A process is recorded before it is given anything, and each gets a secret of its own through an
inherited descriptor, which its hello must show. However it ends, the engine is told once. Those
that outlived an earlier orchestrator are kept here likewise, until they say hello or are ended.
"""

from collections.abc import Callable, Mapping, Sequence

import msgspec

from visionflow.domain import commands as c
from visionflow.domain.errors import CommandNotStarted
from visionflow.domain.supervision import Advice
from visionflow.domain.tasks import FailureKind
from visionflow.engine.effects import StartWorker, StopWorker
from visionflow.ports.host import UNKNOWN, Exit, Host, Process, Timer
from visionflow.ports.telemetry import Telemetry
from visionflow.runtime.adoption import Survivor, hash_of, is_secret
from visionflow.runtime.control_plane import ControlPlane

AskOfWorker = Callable[[str, Mapping[str, str], Callable[[Advice | None], None]], None]
STOP_GRACE_MS = 8_000
"""After this long a worker that was told to end is killed."""
KILLED_MS = 2_000
"""After this long one that was killed counts as gone although its end was not told: the kernel
lets it do nothing more, whatever holds it up."""
JOIN_MS = 60_000
"""A process that has not said hello after this long is killed."""
OVER_CEILING = 86
"""The code of a process that ended itself at its memory ceiling, whatever it was told meanwhile."""
_CODES = {
    0: (FailureKind.KILLED, "it ended although nobody told it to"),
    OVER_CEILING: (FailureKind.RESOURCES, "it reached its memory ceiling"),
    87: (FailureKind.KILLED, "too many of its attempts ignored that they were stopped"),
    88: (FailureKind.TIMEOUT, "an agent blocked it for longer than an attempt or a start may take"),
}
"""What a worker's own exit codes mean; any other is a crash."""


class Launch(msgspec.Struct, frozen=True):
    """How to start a worker: made by whoever wires the runtime."""

    argv: Sequence[str]
    env: Mapping[str, str]
    stderr_path: str | None = None
    over_ceiling: Callable[[int], bool] | None = None
    """Whether the system killed the process of this pid because it reached its memory ceiling;
    asked when it was killed and we did not."""
    last_words: Callable[[], str] | None = None
    """The end of what the process wrote to its standard error; asked once, when it has ended."""
    machine_bytes: int | None = None
    """Memory that the machine has, where that is known."""


class Child:
    """One process: an incarnation of a worker."""

    def __init__(
        self, effect: StartWorker, secret_hash: str, process: Process, launch: Launch, kept: bool
    ) -> None:
        self.worker = effect.worker
        self.incarnation = effect.incarnation
        self.secret_hash = secret_hash
        self.process = process
        self.launch = launch
        self.kept = kept
        """It lives on from before this orchestrator."""
        self.recorded = kept
        """The log names it, so that whoever comes next finds it."""
        self.joined = False
        self.stopping = False
        self.given_up: tuple[FailureKind, str] | None = None
        """Why it was killed by us, which is then what is reported."""
        self.probes: tuple[tuple[str, bool], ...] = ()
        """Of one that was given up: what it did not answer."""


class Children:
    """Starts, watches and ends worker processes."""

    def __init__(
        self,
        control: ControlPlane,
        host: Host,
        launch: Callable[[StartWorker], Launch],
        telemetry: Telemetry,
        grace_ms: int = 0,
    ) -> None:
        """`grace_ms`: how long a worker waits for the next orchestrator when this one is gone;
        0: it ends with this one."""
        self._control = control
        self._host = host
        self._launch = launch
        self._telemetry = telemetry
        self._grace_ms = grace_ms
        self._children: dict[str, Child] = {}
        self._timers: dict[str, Timer] = {}
        self.advise: AskOfWorker = lambda worker, failure, then: then(None)
        """Asks the strategy of a worker's agent about its end, where it has one of its own."""
        self._closed = False
        self.on_given_up: Callable[[str, int], None] = lambda worker, incarnation: None
        """Told of a process that was killed: nothing more may pass between it and anybody."""
        self._idle: list[Callable[[], None]] = []
        self._stopped: list[tuple[str, int]] = []
        """What ended as it was asked to, with this orchestrator."""
        self._in_order = False

    def child(self, worker: str) -> Child | None:
        """The living process of a worker, if there is one."""
        return self._children.get(worker)

    def pids(self) -> list[int]:
        """Of all living processes."""
        return [child.process.pid for child in self._children.values()]

    def start(self, effect: StartWorker) -> None:
        """Start a process when its time has come."""
        if self._closed:
            return
        wait_ms = effect.at_ms - self._host.now_ms()
        old = self._timers.pop(effect.worker, None)
        if old is not None:
            old.cancel()
        if wait_ms > 0:
            self._timers[effect.worker] = self._host.call_later(
                wait_ms, lambda: self._start(effect)
            )
        else:
            self._start(effect)

    def withdraw(self, effect: StartWorker) -> None:
        """It is not wanted any more: do not start it if its time has not come."""
        timer = self._timers.pop(effect.worker, None)
        if timer is not None:
            timer.cancel()

    def _start(self, effect: StartWorker) -> None:
        self._timers.pop(effect.worker, None)
        if self._closed:
            return
        secret = f"{self._host.entropy():016x}{self._host.entropy():016x}"
        try:
            launch = self._launch(effect)
            process = self._host.spawn(launch.argv, launch.env, secret.encode(), launch.stderr_path)
        except (CommandNotStarted, OSError) as error:
            self._lost(effect.worker, effect.incarnation, FailureKind.CRASH, str(error))
            return
        child = Child(effect, hash_of(secret), process, launch, False)
        self._children[effect.worker] = child
        self._control.offer(
            c.ReportWorkerStarted(
                now_ms=self._host.now_ms(),
                worker=effect.worker,
                incarnation=effect.incarnation,
                pid=process.pid,
                started=process.started,
                secret_hash=child.secret_hash if self._grace_ms else "",
            ),
            lambda _: self._recorded(child),
            bounded=False,
        )
        process.on_exit(lambda how: self._ended(child, how))
        self._host.call_later(JOIN_MS, lambda: self._expect_hello(child))

    def keep(self, survivor: Survivor) -> None:
        """Take care of a process of an earlier life, which has the grace to say hello."""
        effect, process = survivor.effect, survivor.process
        child = Child(effect, survivor.secret_hash, process, self._launch(effect), True)
        self._children[effect.worker] = child
        process.on_exit(lambda how: self._ended(child, how))
        self._host.call_later(self._grace_ms, lambda: self._expect_hello(child))

    def _recorded(self, child: Child) -> None:
        """What the log does not name by now was not wanted any more when it started."""
        worker = self._control.state.workers.get(child.worker)
        if worker is None or worker.incarnation < child.incarnation:
            child.stopping = True
            child.process.kill()
        child.recorded = True

    def _expect_hello(self, child: Child) -> None:
        if child.joined or self._children.get(child.worker) is not child:
            return
        kind, reason = FailureKind.CRASH, f"it has not said hello within {JOIN_MS} ms"
        if child.kept:
            kind = FailureKind.NETWORK
            reason = (
                "it outlived its orchestrator and has not come back to the next one within "
                f"{self._grace_ms} ms"
            )
        self.give_up(child.worker, child.incarnation, kind, reason)

    def joined(self, worker: str) -> None:
        """The living process of a worker said hello."""
        child = self._children.get(worker)
        if child is not None:
            child.joined = True

    def expect_end(self, worker: str) -> None:
        """The living process of a worker was told to end by somebody, and will."""
        child = self._children.get(worker)
        if child is not None:
            child.stopping = True

    def awaits(self, worker: str) -> bool:
        """Whether the process of a worker lives on from before and has yet to say hello."""
        child = self._children.get(worker)
        return child is not None and child.kept and not child.joined

    def admits(self, worker: str, incarnation: int, secret: str, pid: int | None) -> bool:
        """Whether a hello is that of the living process: number, secret, and kernel's pid. One that
        was given up is not let in again, whatever it shows."""
        child = self._children.get(worker)
        return (
            child is not None
            and child.incarnation == incarnation
            and child.given_up is None
            and is_secret(secret, child.secret_hash)
            and pid in (None, child.process.pid)
        )

    def stop(self, effect: StopWorker, tell: Callable[[], None]) -> None:
        """End a process: `tell` asks it, and after a grace it is killed."""
        child = self._children.get(effect.worker)
        if child is None or child.incarnation != effect.incarnation:
            return
        child.stopping = True
        if child.joined:
            tell()
        else:
            child.process.terminate()
        self._host.call_later(STOP_GRACE_MS, child.process.kill)

    def expects_end(self, worker: str) -> bool:
        """Whether the process of a worker was told to end, or killed: its silence is no news."""
        child = self._children.get(worker)
        return self._closed or child is None or child.stopping or child.given_up is not None

    def give_up(
        self,
        worker: str,
        incarnation: int,
        kind: FailureKind,
        reason: str,
        probes: tuple[tuple[str, bool], ...] = (),
    ) -> None:
        """Kill a process that does not answer; its end is reported with this reason, and with each
        probe of it and whether it was answered."""
        child = self._children.get(worker)
        if child is not None and child.incarnation == incarnation and child.given_up is None:
            child.given_up = (kind, reason)
            child.probes = probes
            child.process.kill()
            self.on_given_up(worker, incarnation)
            self._host.call_later(KILLED_MS, lambda: self._outlived(child))

    def _outlived(self, child: Child) -> None:
        if self._children.get(child.worker) is not child or child.given_up is None or self._closed:
            return
        del self._children[child.worker]
        kind, reason = child.given_up
        reason = f"{reason}; it was killed and has not ended within {KILLED_MS} ms"
        self._lost(child.worker, child.incarnation, kind, reason, child)

    def _ended(self, child: Child, how: Exit) -> None:
        words = "" if child.launch.last_words is None else child.launch.last_words()
        if self._children.get(child.worker) is child:
            del self._children[child.worker]
        elif child.given_up is not None:
            return  # It was reported without waiting for its end.
        if self._closed:
            if child.given_up is None:
                self._stopped.append((child.worker, child.incarnation))
            if not self._children:
                self._all_ended()
            return
        if child.stopping and how.code != OVER_CEILING:
            self._control.offer(
                c.ReportWorkerStopped(
                    now_ms=self._host.now_ms(),
                    worker=child.worker,
                    incarnation=child.incarnation,
                ),
                bounded=False,
            )
            return
        kind, reason = child.given_up or _cause(child, how)
        self._lost(child.worker, child.incarnation, kind, reason, child, words)

    def _all_ended(self) -> None:
        if self._in_order and self._stopped and self._control.failure is None:
            # At once: so that nothing is given to a process that is about to end as well.
            report = c.ReportStopped(now_ms=self._host.now_ms(), workers=tuple(self._stopped))
            self._control.offer(report, bounded=False)
        self._stopped.clear()
        for call in self._idle:
            call()

    def machine_bytes(self, worker: str) -> int | None:
        """Memory that the machine of a worker's process has, where that is known."""
        child = self._children.get(worker)
        return None if child is None else child.launch.machine_bytes

    def _lost(
        self,
        worker: str,
        incarnation: int,
        kind: FailureKind,
        reason: str,
        child: Child | None = None,
        words: str = "",
    ) -> None:
        self._telemetry.log("debug", None, "worker_gone", f"{worker}.{incarnation}: {reason}")

        def report(advice: Advice | None) -> None:
            self._control.offer(
                c.ReportWorkerLost(
                    now_ms=self._host.now_ms(),
                    worker=worker,
                    incarnation=incarnation,
                    kind=kind,
                    reason=reason,
                    probes=() if child is None else child.probes,
                    machine_bytes=None if child is None else child.launch.machine_bytes,
                    last_words=words,
                    advice=advice,
                ),
                bounded=False,
            )

        failure = {"cause": kind.value, "reason": reason, "last_words": words}
        self.advise(worker, failure, report)

    def leave(self, done: Callable[[], None]) -> None:
        """Start nothing more and let the processes live on, but for those that are being ended or
        that the next orchestrator would not find; call `done` when only such are left that do."""
        for child in list(self._children.values()):
            if child.recorded and not child.stopping and child.given_up is None:
                child.process.leave()
                del self._children[child.worker]
        self._end_all(done, kill=False)

    def close(self, done: Callable[[], None], kill: bool = False) -> None:
        """Start nothing more, end what lives, and call `done` when no process is left. Unless they
        were killed the log has then that they ended in order."""
        self._in_order = not kill
        self._end_all(done, kill)

    def _end_all(self, done: Callable[[], None], kill: bool) -> None:
        self._closed = True
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._idle.append(done)
        for child in list(self._children.values()):
            if kill:
                child.process.kill()
            else:
                child.process.terminate()
                self._host.call_later(STOP_GRACE_MS, child.process.kill)
        if not self._children:
            done()


def _cause(child: Child, how: Exit) -> tuple[FailureKind, str]:
    if how.signal == "SIGKILL" or how == UNKNOWN:
        over = child.launch.over_ceiling
        if over is not None and over(child.process.pid):
            return FailureKind.RESOURCES, "it reached its memory ceiling, and the kernel killed it"
    if how == UNKNOWN:
        reason = "it ended; only the process that started it, which is gone, was told how"
        return FailureKind.CRASH, reason
    if how.signal == "SIGKILL":
        return FailureKind.KILLED, "it was killed (SIGKILL)"
    if how.signal is not None:
        return FailureKind.CRASH, f"it died by {how.signal}"
    known = _CODES.get(how.code or 0)
    return known or (FailureKind.CRASH, f"it ended with code {how.code}")
