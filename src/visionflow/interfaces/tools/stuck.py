"""Which tasks are stuck: without progress for too long, or queued that long with nobody able.

Of one that runs that is the opinion in the swarm's log (`engine/stalling`). One that waits has
waited for too long after twice what tasks of its type took on average, and where there is no
record of those, the server's AGENT_TIMEOUT; never less than `STUCK_MS_MIN`, so that one slow run
of a quick type is not taken for a hung one.
"""

from visionflow.domain.tasks import TaskStatus
from visionflow.engine.stalling import STUCK_MS_MIN, patience_ms
from visionflow.interfaces.tools.able import nobody_can
from visionflow.ports.views import TaskRow
from visionflow.runtime.swarms import LiveSwarm

__all__ = ["STUCK_MS_MIN", "Stuck"]


class Stuck:
    """Judges tasks of one swarm as they are now."""

    def __init__(self, swarm: LiveSwarm, timeout_ms: int) -> None:
        """`timeout_ms` holds for a type without a record."""
        self._swarm = swarm
        self._timeout_ms = timeout_ms
        self._patience: dict[str, int] = {}

    async def is_so(self, row: TaskRow, now_ms: int) -> bool:
        """Whether a task is stuck."""
        if row.status == TaskStatus.RUNNING:
            return self._swarm.state.supervised.stalled.get(row.id) == row.attempt
        if row.status == TaskStatus.ASSIGNED:
            since_ms = max(row.changed_ms, row.stepped_ms or 0)
        elif row.status == TaskStatus.QUEUED:
            state = self._swarm.state
            if nobody_can(state, row.capabilities, row.agent_type, row.wanted_agent) is None:
                return False
            since_ms = row.changed_ms
        else:
            return False
        return now_ms - since_ms > await self._patience_ms(row.type)

    async def _patience_ms(self, type: str) -> int:
        found = self._patience.get(type)
        if found is None:
            took = await self._swarm.read(lambda queries: queries.durations(type))
            found = patience_ms(sum(took) // len(took) if took else None, self._timeout_ms)
            self._patience[type] = found
        return found
