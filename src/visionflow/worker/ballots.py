"""Ballots that an agent is asked for: they go to its `vote`, beside its lane for tasks."""

from typing import Any

from visionflow.agents.base import BaseAgent, current_attempt
from visionflow.agents.task import Task
from visionflow.agents.voting import ballot_of
from visionflow.domain.votes import CAST_BALLOT
from visionflow.worker.attempt import RunningAttempt
from visionflow.worker.lanes import CoroutineLane, Desk, Lane


class _Voter:
    """An agent as one who is asked for ballots."""

    def __init__(self, agent: BaseAgent) -> None:
        self._agent = agent

    async def process_task(self, task: Task) -> Any:
        attempt = current_attempt.get()
        assert isinstance(attempt, RunningAttempt)
        return await ballot_of(self._agent, task, attempt.offload)


class VotingLane:
    """The lane of an agent, and another one for ballots."""

    def __init__(self, tasks: Lane, agent: BaseAgent, tasks_max: int, desk: Desk) -> None:
        self._tasks = tasks
        self._ballots = CoroutineLane(_Voter(agent), tasks_max, desk)

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
        return self._ballots if attempt.dispatch.type == CAST_BALLOT else self._tasks
