"""Attempts that run beside an agent's tasks, in a lane of their own: those that mostly wait, and
those that must not wait behind its work."""

from collections.abc import Callable

from visionflow.worker.attempt import RunningAttempt
from visionflow.worker.lanes import Lane


class BesideLane:
    """The lane of an agent, and another one for attempts of some types."""

    def __init__(self, tasks: Lane, beside: Lane, is_beside: Callable[[str], bool]) -> None:
        """`is_beside`: of a task's type."""
        self._tasks = tasks
        self._beside = beside
        self._is_beside = is_beside

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
        return self._beside if self._is_beside(attempt.dispatch.type) else self._tasks
