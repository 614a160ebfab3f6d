"""Ballots that an agent is asked for: they go to its `vote`, beside its lane for tasks."""

from typing import Any

from visionflow.agents.base import BaseAgent, current_attempt
from visionflow.agents.task import Task
from visionflow.agents.voting import ballot_of
from visionflow.domain.votes import CAST_BALLOT
from visionflow.worker.attempt import RunningAttempt
from visionflow.worker.beside import BesideLane
from visionflow.worker.lanes import CoroutineLane, Desk, Lane


class _Voter:
    """An agent as one who is asked for ballots."""

    def __init__(self, agent: BaseAgent) -> None:
        self._agent = agent

    async def process_task(self, task: Task) -> Any:
        attempt = current_attempt.get()
        assert isinstance(attempt, RunningAttempt)
        return await ballot_of(self._agent, task, attempt.offload)


def with_ballots(tasks: Lane, agent: BaseAgent, tasks_max: int, desk: Desk) -> Lane:
    """The lane of an agent, and another one for ballots."""
    return BesideLane(tasks, CoroutineLane(_Voter(agent), tasks_max, desk), CAST_BALLOT.__eq__)
