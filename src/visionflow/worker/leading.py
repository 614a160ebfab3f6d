"""The tasks by which an agent leads others: they run beside its lane for tasks, for they mostly
wait."""

from typing import Any

from visionflow.agents.base import BaseAgent
from visionflow.agents.led import lead
from visionflow.agents.task import Task
from visionflow.domain.teams import LEADING_MAX, is_leading
from visionflow.worker.beside import BesideLane
from visionflow.worker.lanes import CoroutineLane, Desk, Lane


class _Lead:
    """An agent as one who leads."""

    def __init__(self, agent: BaseAgent) -> None:
        self._agent = agent

    async def process_task(self, task: Task) -> Any:
        return await lead(self._agent, task)


def with_leading(tasks: Lane, agent: BaseAgent, desk: Desk) -> Lane:
    """The lane of an agent, and another one for what it leads."""
    return BesideLane(tasks, CoroutineLane(_Lead(agent), LEADING_MAX, desk), is_leading)
