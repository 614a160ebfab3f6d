"""What attempts ask of their swarm: requests of workers in, commands to the engine, answers out,
each once what it says is durable.

A worker repeats what was not answered when it dials again, so nothing here has to survive: an
answer that found nobody is given again.
"""

from collections.abc import Callable
from typing import NamedTuple

from visionflow.domain import events as e
from visionflow.domain import messages as m
from visionflow.domain import supervision_commands as sc
from visionflow.domain import supervision_events as s
from visionflow.domain.errors import CircuitOpenError
from visionflow.domain.events import AnyEvent
from visionflow.engine.circuits import wait_ms
from visionflow.engine.decide.circuits import policy_of, refusal_of
from visionflow.engine.state import Answer, SwarmState
from visionflow.engine.topology.seats import team_view
from visionflow.ports.host import Host
from visionflow.runtime.completions import Completions, Ended, Waiter
from visionflow.runtime.control_plane import ControlPlane

AnswerMessage = m.LockAnswer | m.WaitAnswer | m.CircuitAnswer | m.DelegateAnswer | m.TeamAnswer
Send = Callable[[str, AnswerMessage], None]
"""Called with a worker and what it is told, if it is there."""
AGAIN_MS = 1_000
"""How long who was refused by a circuit that has moved on since is to wait."""


class _Place(NamedTuple):
    """A request for a lock that has not been granted."""

    lock: str
    task: str
    attempt: int
    number: int


class Asks:
    """The orchestrator's end of what attempts ask. Belongs to the loop's thread."""

    def __init__(
        self, control: ControlPlane, completions: Completions, host: Host, send: Send
    ) -> None:
        self._control = control
        self._completions = completions
        self._host = host
        self._send = send
        self._places: dict[_Place, str] = {}
        """Requests in a queue, with the worker that they came from."""
        self._waits: dict[tuple[str, int, str], Waiter] = {}
        control.on_commit.append(self._committed)

    def take(self, worker: str, message: object) -> bool:
        """Have a message of a worker decided; whether it is one of these."""
        now_ms = self._host.now_ms()
        match message:
            case m.LockAsked():
                self._lock(worker, message, now_ms)
            case m.LockDropped():
                self._unlock(message, now_ms)
            case m.WaitAsked():
                self._wait(worker, message, now_ms)
            case m.WaitDropped():
                self._end_wait(message, now_ms)
            case m.Delegated():
                self._delegate(worker, message, now_ms)
            case m.TeamAsked():
                self._control.after_commit(lambda: self._tell_team(worker, message))
            case m.CircuitAsked():
                self._try_circuit(worker, message, now_ms)
            case m.Outcome():
                self._control.offer(
                    sc.ReportOutcome(
                        now_ms=now_ms,
                        circuit=message.circuit,
                        succeeded=message.succeeded,
                        reason=message.reason,
                    ),
                    bounded=False,
                )
            case _:
                return False
        return True

    @property
    def _state(self) -> SwarmState:
        return self._control.state

    # Locks -----------------------------------------------------------------------------------

    def _lock(self, worker: str, asked: m.LockAsked, now_ms: int) -> None:
        place = _Place(asked.lock, asked.task, asked.attempt, asked.number)

        def answered(answer: Answer) -> None:
            if answer.code is not None:
                self._send(worker, _lock_answer(place, answer.code, answer.message or ""))
            elif self._is_held(place):
                # It may be of a record that is on its way; what was granted then is told then.
                self._control.after_commit(lambda: self._granted(worker, place))
            elif self._is_queued(place):
                self._places[place] = worker

        command = sc.AcquireLock(
            now_ms=now_ms,
            lock=asked.lock,
            task=asked.task,
            attempt=asked.attempt,
            number=asked.number,
            entropy=self._host.entropy(),
        )
        self._control.offer(command, answered, bounded=False)

    def _is_held(self, place: _Place) -> bool:
        lock = self._state.supervised.locks.get(place.lock)
        return lock is not None and lock.holder == place[1:]

    def _is_queued(self, place: _Place) -> bool:
        lock = self._state.supervised.locks.get(place.lock)
        return lock is not None and place[1:] in lock.queue

    def _granted(self, worker: str, place: _Place) -> None:
        if self._is_held(place):
            self._send(worker, _lock_answer(place))

    def _unlock(self, dropped: m.LockDropped, now_ms: int) -> None:
        command = sc.ReleaseLock(
            now_ms=now_ms,
            lock=dropped.lock,
            task=dropped.task,
            attempt=dropped.attempt,
            number=dropped.number,
        )
        self._control.offer(command, bounded=False)

    def _committed(self, _seq: int, _at_ms: int, events: list[AnyEvent]) -> None:
        if not self._places:
            return
        for event in events:
            if isinstance(event, s.LockGranted | s.LockReleased):
                place = _Place(event.lock, event.task, event.attempt, event.number)
                worker = self._places.pop(place, None)
                if worker is not None and isinstance(event, s.LockGranted):
                    self._send(worker, _lock_answer(place))
            elif isinstance(event, e.AttemptFailed | e.TaskCompleted):
                for place in [each for each in self._places if each.task == event.task]:
                    del self._places[place]

    # Waits and delegated tasks ---------------------------------------------------------------

    def _wait(self, worker: str, asked: m.WaitAsked, now_ms: int) -> None:
        key = (asked.task, asked.attempt, asked.on)

        def ended(ended: Ended | None, error: BaseException | None = None) -> None:
            self._waits.pop(key, None)
            if ended is not None:
                self._send(
                    worker,
                    m.WaitAnswer(*key, ended.status, ended.result, ended.reason or ""),
                )

        def answered(answer: Answer) -> None:
            if answer.code is not None:
                refused = m.WaitAnswer(*key, "", reason=answer.message or "", code=answer.code)
                self._send(worker, refused)
            elif key not in self._waits:
                self._waits[key] = ended
                self._completions.wait(asked.on, ended)

        command = sc.BeginWait(
            now_ms=now_ms,
            task=asked.task,
            attempt=asked.attempt,
            on=asked.on,
            entropy=self._host.entropy(),
        )
        self._control.offer(command, answered, bounded=False)

    def _end_wait(self, dropped: m.WaitDropped, now_ms: int) -> None:
        def answered(_: Answer) -> None:
            # Here, for the answer to the request before it comes before this one too.
            waiter = self._waits.pop((dropped.task, dropped.attempt, dropped.on), None)
            if waiter is not None:
                self._completions.forget(dropped.on, waiter)

        command = sc.EndWait(
            now_ms=now_ms, task=dropped.task, attempt=dropped.attempt, on=dropped.on
        )
        self._control.offer(command, answered, bounded=False)

    def _delegate(self, worker: str, asked: m.Delegated, now_ms: int) -> None:
        who = (asked.task, asked.attempt, asked.spec.id)

        def answered(answer: Answer) -> None:
            code, reason = answer.code or "", answer.message or ""
            self._send(worker, m.DelegateAnswer(*who, code, reason))

        command = sc.DelegateTask(
            now_ms=now_ms, task=asked.task, attempt=asked.attempt, spec=asked.spec
        )
        self._control.offer(command, answered, bounded=False)

    def _tell_team(self, worker: str, asked: m.TeamAsked) -> None:
        task = self._state.tasks.get(asked.task)
        agent = None if task is None or task.attempt != asked.attempt else task.agent
        view = team_view(self._state, agent)
        self._send(worker, m.TeamAnswer(asked.task, asked.attempt, asked.number, view))

    # Circuits --------------------------------------------------------------------------------

    def _try_circuit(self, worker: str, asked: m.CircuitAsked, now_ms: int) -> None:
        who, name = (asked.task, asked.attempt, asked.number), asked.circuit

        def refused(answer: Answer | None = None) -> None:
            state = self._state
            known = state.supervised.circuits.get(name)
            wait = wait_ms(known, self._host.now_ms(), policy_of(state)) or AGAIN_MS
            reason = refusal_of(state, name)
            if answer is not None and answer.code != CircuitOpenError.code:
                reason = answer.message or reason
            message = m.CircuitAnswer(*who, False, wait, reason)
            self._control.after_commit(lambda: self._send(worker, message))

        def answered(answer: Answer) -> None:
            if answer.code is None:
                self._send(worker, m.CircuitAnswer(*who, True))
            else:
                refused(answer)

        known = self._state.supervised.circuits.get(name)
        if wait_ms(known, now_ms, policy_of(self._state)) is not None:
            refused()  # Without a command: each refusal of one is a line in the log.
            return
        self._control.offer(sc.TryCircuit(now_ms=now_ms, circuit=name), answered, bounded=False)


def _lock_answer(place: _Place, code: str = "", reason: str = "") -> m.LockAnswer:
    return m.LockAnswer(place.task, place.attempt, place.lock, place.number, not code, code, reason)
