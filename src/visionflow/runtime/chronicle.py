"""The life of agents and tasks as log lines: made from events that are durable, never before.

A flood writes no flood: of each subject (tasks, agents, faults) a swarm writes so many lines a
second, and then one that says how many were left out. The log has them all.
"""

from collections.abc import Callable, Iterable

from visionflow.domain import events as e
from visionflow.domain import fleet as f
from visionflow.domain import supervision_events as s
from visionflow.domain.events import AnyEvent, Event
from visionflow.domain.swarms import SwarmSpec
from visionflow.domain.tasks import TERMINAL, FailureKind, TaskSpec
from visionflow.engine.state import SwarmState
from visionflow.ports.host import Host
from visionflow.ports.telemetry import Telemetry
from visionflow.runtime import (
    chronicle_assigning,
    chronicle_mail,
    chronicle_mesh,
    chronicle_outside,
    chronicle_pipelines,
    chronicle_shape,
    chronicle_supervision,
    chronicle_teams,
    chronicle_votes,
)
from visionflow.runtime.chronicle_words import (
    ROWS,
    Known,
    Row,
    Told,
    stop_told,
    told_of_fleet,
)
from visionflow.runtime.debugging import Debugged
from visionflow.runtime.node import Node
from visionflow.runtime.shares import WINDOW_MS, Share

LINES_MAX = {"task": 50, "agent": 100, "fault": 50}
"""A second, of each subject in each swarm."""
FLEET_LINES_MAX = 50
_WORDS_FROM = (
    chronicle_assigning.__name__,
    chronicle_mesh.__name__,
    chronicle_mail.__name__,
    chronicle_outside.__name__,
    chronicle_pipelines.__name__,
    chronicle_shape.__name__,
    chronicle_supervision.__name__,
    chronicle_teams.__name__,
    chronicle_votes.__name__,
)
"""Modules that fill the table when they are imported."""
_LEVELS = ("debug", "info", "warning", "error")
MOVED = (FailureKind.RECALLED, FailureKind.REASSIGNED)
_ENDINGS = (e.TaskCompleted, e.TaskFailed, e.TaskDeadLettered, e.TaskCancelled)


class Chronicle:
    """Writes the lines of one swarm. Belongs to the loop's thread."""

    def __init__(
        self,
        spec: SwarmSpec,
        node: Node,
        host: Host,
        telemetry: Telemetry,
        level: str,
        cover: Callable[[str, str], str],
        debugged: Debugged,
    ) -> None:
        """Made before the node starts. Lines below `level` are not made, but for those of agents
        that are `debugged`. `cover`: see `Known`."""
        self._known = _known(spec, node.control.state, cover)
        self._rows = {kind: row for kind, row in ROWS.items() if _wanted(row, level)}
        self._telemetry = telemetry
        self._stopped = False
        """Its workers have ended with it, which was told once and for all of them."""
        self._debugged = debugged
        debugged.keep(node.control.state.supervised.debugging)
        self._shares = {
            subject: Share(host, most, self._left_out(spec.id, subject))
            for subject, most in LINES_MAX.items()
        }
        node.control.on_commit.append(self._committed)
        node.on_over.append(lambda _: self._close())

    def _committed(self, _seq: int, _at_ms: int, events: list[AnyEvent]) -> None:
        rows, known = self._rows, self._known
        for event in events:
            kind = type(event)
            if kind is e.WorkerStopped and not self._stopped:
                self._stopped = self._tell_of_stop(events)
            if self._stopped and kind in _OF_A_STOP:
                continue
            if isinstance(event, e.TaskAssigned):
                known.holders[event.task] = event.agent
            row = rows.get(kind)
            if row is not None:
                self._tell(row, event)
            elif self._debugged and kind in ROWS:
                self._tell(ROWS[kind], event, debugging=True)
            if isinstance(event, _ENDINGS):
                known.holders.pop(event.task, None)
            elif kind in _PLACES:
                self._place(event)

    def _tell(self, row: Row, event: Event, debugging: bool = False) -> None:
        if isinstance(event, e.AttemptFailed) and event.retry_at_ms is None:
            return  # What follows in the same record says so, and that it was the last.
        if debugging:
            agent = row.words(event, self._known).agent
            if agent is None or not self._debugged.is_on(agent):
                return
        if self._shares[row.subject].take():
            told: Told = row.words(event, self._known)
            moved = isinstance(event, e.AttemptFailed) and event.kind in MOVED
            level = "info" if moved else row.level  # It is no failure.
            self._telemetry.log(level, told.agent, told.code, told.message)

    def _tell_of_stop(self, events: list[AnyEvent]) -> bool:
        told = stop_told(self._known.swarm, events)
        if told is not None and e.WorkerStopped in self._rows:
            self._telemetry.log("info", *told)
        return told is not None

    def _place(self, event: Event) -> None:
        known = self._known
        match event:
            case e.AgentSpawned():
                known.workers[event.spec.id] = event.worker
            case e.AgentMoved():
                known.workers[event.agent] = event.worker
            case e.AgentTerminated():
                known.workers.pop(event.agent, None)
                self._debugged.forget(event.agent)
            case s.DebugEnabled():
                self._debugged.keep({event.agent: event.until_ms})
            case e.WorkerStarted():
                known.pids[event.worker] = event.pid
            case e.WorkerLost() | e.WorkerStopped():
                known.pids.pop(event.worker, None)
            case _:
                pass

    def _left_out(self, swarm: str, subject: str) -> Callable[[int], None]:
        def tell(count: int) -> None:
            lines = "line" if count == 1 else "lines"
            told = f"{count} {lines} about {subject}s of {swarm} within {WINDOW_MS} ms"
            self._telemetry.log("info", None, "lines_left_out", told)

        return tell

    def _close(self) -> None:
        for share in self._shares.values():
            share.close()


class FleetChronicle:
    """Writes lines about who was turned away, and what became of swarms."""

    def __init__(self, host: Host, telemetry: Telemetry, level: str) -> None:
        self._telemetry = telemetry
        self._least = _LEVELS.index(level)
        self._share = Share(host, FLEET_LINES_MAX, self._left_out)

    def committed(self, _seq: int, _at_ms: int, events: Iterable[f.FleetEvent]) -> None:
        """Tell of a record that is durable."""
        for event in events:
            if self._least and isinstance(event, f.CallRecorded) and event.code is None:
                continue  # There may be thousands a second.
            told = told_of_fleet(event)
            if told is not None and _LEVELS.index(told[0]) >= self._least and self._share.take():
                self._telemetry.log(told[0], *told[1])

    def close(self) -> None:
        """Tell nothing more."""
        self._share.close()

    def _left_out(self, count: int) -> None:
        told = f"{count} lines about calls and logins within {WINDOW_MS} ms"
        self._telemetry.log("info", None, "lines_left_out", told)


_OF_A_STOP = frozenset((e.WorkerStopped, e.AgentRecovering, e.AgentTerminated, e.AttemptFailed))
_PLACES = frozenset(
    (
        e.AgentSpawned,
        e.AgentMoved,
        e.AgentTerminated,
        e.WorkerStarted,
        e.WorkerLost,
        e.WorkerStopped,
        s.DebugEnabled,
    )
)


def _wanted(row: Row, level: str) -> bool:
    return _LEVELS.index(row.level) >= _LEVELS.index(level)


def _known(spec: SwarmSpec, state: SwarmState, cover: Callable[[str, str], str]) -> Known:
    """What is known before the first event: all of this state is durable."""

    def spec_of(task: str) -> TaskSpec | None:
        found = state.tasks.get(task)
        return None if found is None else found.spec

    return Known(
        swarm=spec.id,
        specs=spec_of,
        cover=cover,
        holders={
            name: task.agent
            for name, task in state.tasks.items()
            if task.agent is not None and task.status not in TERMINAL
        },
        workers={name: agent.worker for name, agent in state.agents.items()},
    )
