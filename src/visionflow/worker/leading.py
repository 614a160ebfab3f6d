"""The tasks by which an agent leads others: they run beside its lane for tasks, for they mostly
wait."""

from typing import Any

from visionflow.agents.base import BaseAgent
from visionflow.agents.led import lead
from visionflow.agents.task import Task
from visionflow.domain.teams import LEADING_MAX, is_leading
from visionflow.worker.attempt import RunningAttempt
from visionflow.worker.lanes import CoroutineLane, Desk, Lane


class _Lead:
    """An agent as one who leads."""

    def __init__(self, agent: BaseAgent) -> None:
        self._agent = agent

    async def process_task(self, task: Task) -> Any:
        return await lead(self._agent, task)


class LeadingLane:
    """The lane of an agent, and another one for what it leads."""

    def __init__(self, tasks: Lane, agent: BaseAgent, desk: Desk) -> None:
        self._tasks = tasks
        self._leading = CoroutineLane(_Lead(agent), LEADING_MAX, desk)

    def offer(self, attempt: RunningAttempt) -> None:
        """See `Lane`."""
        self._of(attempt).offer(attempt)

    def give_up(self, attempt: RunningAttempt) -> None:
        """See `Lane`."""
        self._of(attempt).give_up(attempt)

    def withdraw(self, attempt: RunningAttempt) -> bool:
        """See `Lane`."""
        return self._of(attempt).withdraw(attempt)

    def _of(self, attempt: RunningAttempt) -> Lane:
        return self._leading if is_leading(attempt.dispatch.type) else self._tasks
