"""Probing: asks workers that are in doubt whether they live, and acts on what is thought of them.

A change of opinion goes into the log: suspected, trusted again, lost. Whoever is lost is killed,
for what it still does must not reach the workspace while another does its work.
"""

import asyncio
from collections.abc import Callable

from visionflow.domain import messages as m
from visionflow.domain import supervision_commands as sc
from visionflow.domain.tasks import FailureKind
from visionflow.engine.liveness import Opinion, Probe, Standing
from visionflow.ports.host import Host, ProcessState
from visionflow.ports.telemetry import Telemetry
from visionflow.runtime.children import Children
from visionflow.runtime.control_plane import ControlPlane
from visionflow.runtime.liveness import Liveness

PATIENCE_MS = 2_000
"""How long somebody who wants to know now waits for the answer to a ping."""


class Probing:
    """Looks at workers. `judge` is called a few times in each heartbeat."""

    def __init__(
        self,
        control: ControlPlane,
        host: Host,
        children: Children,
        liveness: Liveness,
        telemetry: Telemetry,
        ask: Callable[[str, m.Ping], bool],
    ) -> None:
        """`ask` sends a ping over a worker's connection; whether there is one."""
        self._control = control
        self._host = host
        self._children = children
        self._liveness = liveness
        self._telemetry = telemetry
        self._ask = ask
        self._number = 0
        self._sent: dict[str, int] = {}
        """By worker, the number of the last ping."""
        self._waiting: dict[tuple[str, int], asyncio.Future[bool]] = {}
        """By worker and number of a ping that somebody waits for."""

    def judge(self) -> None:
        """Come to an opinion on every worker."""
        suspects = self._control.state.supervised.suspects
        for worker, incarnation in self._liveness.watched():
            if self._liveness.is_doubtful(worker) or worker in suspects:
                self.look_at(worker, incarnation)

    def look_at(self, worker: str, incarnation: int) -> None:
        """Come to an opinion on one that is in doubt."""
        child = self._children.child(worker)
        if child is None or child.incarnation != incarnation:
            # Its process has ended, and that is on record already: nobody is silent.
            self._liveness.forget(worker)
            return
        if self._children.expects_end(worker):
            return
        if self._liveness.wants_ping(worker):
            self._ping(worker)
        state, process = self._process(worker)
        opinion = self._liveness.judge(worker, process)
        if opinion is None or state in (ProcessState.GONE, ProcessState.ZOMBIE):
            return  # Whoever watches the process says how it ended.
        if opinion.standing is Standing.LOST:
            self._lost(worker, incarnation, opinion, state)
        elif opinion.standing is Standing.SUSPECTED:
            self._suspected(worker, incarnation, opinion)
        else:
            self._trusted(worker, incarnation, opinion)

    def _ping(self, worker: str) -> int:
        self._number += 1
        if self._ask(worker, m.Ping(self._number)):
            self._sent[worker] = self._number
            self._liveness.asked(worker)
        return self._number

    def ponged(self, worker: str, incarnation: int, number: int) -> None:
        """A worker answered a ping, not necessarily the last one."""
        if 0 < number <= self._sent.get(worker, 0):
            self._liveness.answered(worker, incarnation)
        waiting = self._waiting.get((worker, number))
        if waiting is not None and not waiting.done():
            waiting.set_result(True)

    def _process(self, worker: str) -> tuple[ProcessState | None, Probe]:
        child = self._children.child(worker)
        if child is None:
            return None, Probe("process", False, "nothing is known of its process")
        state = self._host.process_state(child.process.pid, child.process.started)
        told = f"process {child.process.pid} is {state}"
        return state, Probe("process", state is ProcessState.RUNNING, told)

    # Opinions ------------------------------------------------------------------------------

    def _suspected(self, worker: str, incarnation: int, opinion: Opinion) -> None:
        if worker not in self._control.state.supervised.suspects:
            command = sc.ReportSuspicion(
                now_ms=self._host.now_ms(),
                worker=worker,
                incarnation=incarnation,
                evidence=opinion.evidence,
            )
            self._control.offer(command, bounded=False)

    def _trusted(self, worker: str, incarnation: int, opinion: Opinion) -> None:
        if worker in self._control.state.supervised.suspects:
            command = sc.ReportTrust(
                now_ms=self._host.now_ms(),
                worker=worker,
                incarnation=incarnation,
                evidence=opinion.evidence,
            )
            self._control.offer(command, bounded=False)

    def _lost(
        self, worker: str, incarnation: int, opinion: Opinion, state: ProcessState | None
    ) -> None:
        kind, why = FailureKind.CRASH, "it hangs"
        if state is ProcessState.STOPPED:
            kind, why = FailureKind.KILLED, "somebody stopped it"
        elif not opinion.reachable:
            kind, why = FailureKind.NETWORK, "it cannot be reached"
        reason = f"{why}: {opinion.evidence}"
        self._telemetry.log("warning", None, "worker_silent", f"{worker}: {reason}")
        self._children.give_up(worker, incarnation, kind, reason, opinion.answers)
        self._liveness.forget(worker)

    # On request ----------------------------------------------------------------------------

    async def probe(
        self, worker: str, patience_ms: int = PATIENCE_MS
    ) -> tuple[tuple[str, bool], ...]:
        """Each probe of a worker by name, made now, and whether it was answered.

        Takes as long as the answer to a ping, at most `patience_ms`.
        """
        answered = await self._pinged(worker, patience_ms)
        _, process = self._process(worker)
        opinion = self._liveness.judge(worker, process)
        fresh = opinion is not None and opinion.probes[0].answered is True
        runs = process.answered is True
        return (("heartbeat", fresh), ("ping", answered), ("process", runs))

    async def _pinged(self, worker: str, patience_ms: int) -> bool:
        number = self._ping(worker)
        key = (worker, number)
        answer = self._waiting[key] = asyncio.get_running_loop().create_future()

        def over() -> None:
            if not answer.done():
                answer.set_result(False)

        timer = self._host.call_later(patience_ms, over)
        try:
            return await answer
        finally:
            timer.cancel()
            del self._waiting[key]
