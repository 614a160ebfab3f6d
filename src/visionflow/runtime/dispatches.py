"""How long attempts take from being given out to their start, measured as records become durable.

Only of attempts that tell of their start at once: others do so late, or not at all.
"""

from collections import deque
from typing import NamedTuple

from visionflow.domain import events as e
from visionflow.domain.events import AnyEvent
from visionflow.engine.effects import ANNOUNCE_ABOVE_US
from visionflow.engine.scoring import RECORD_TASKS_MIN
from visionflow.engine.state import SwarmState
from visionflow.runtime.control_plane import ControlPlane

WINDOW_MS = 60_000
SAMPLES_MAX = 10_000
GIVEN_MAX = 10_000
"""Attempts that have not started and are waited for."""
_ENDINGS = (e.AttemptFailed, e.TaskCompleted, e.TaskCancelled)


class Latency(NamedTuple):
    """Of the attempts that started lately; milliseconds."""

    samples: int
    p50_ms: int
    p99_ms: int


class Dispatches:
    """Of one swarm. Belongs to the loop's thread."""

    def __init__(self, control: ControlPlane) -> None:
        self._state: SwarmState = control.state
        self._given: dict[str, int] = {}
        self._took: deque[tuple[int, int]] = deque(maxlen=SAMPLES_MAX)
        """(when it started, how long that took)"""
        control.on_commit.append(self._committed)

    def lately(self, now_ms: int) -> Latency | None:
        """Of the last `WINDOW_MS`; `None` when none started."""
        took = sorted(ms for at_ms, ms in self._took if at_ms > now_ms - WINDOW_MS)
        if not took:
            return None
        return Latency(len(took), took[len(took) // 2], took[(len(took) * 99) // 100])

    def _committed(self, _seq: int, at_ms: int, events: list[AnyEvent]) -> None:
        for event in events:
            if type(event) is e.TaskAssigned:
                if self._tells_at_once(event.agent) and len(self._given) < GIVEN_MAX:
                    self._given[event.task] = at_ms
            elif type(event) is e.TaskStarted:
                given_ms = self._given.pop(event.task, None)
                if given_ms is not None:
                    self._took.append((at_ms, at_ms - given_ms))
            elif isinstance(event, _ENDINGS):
                self._given.pop(event.task, None)

    def _tells_at_once(self, name: str) -> bool:
        """As `engine.effects.dispatch` decided, or would by now."""
        agent = self._state.agents.get(name)
        return agent is not None and (
            agent.completed < RECORD_TASKS_MIN or agent.mean_us >= ANNOUNCE_ABOVE_US
        )
