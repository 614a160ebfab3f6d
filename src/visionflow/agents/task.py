"""What an agent is given to work on, as plain values.

It holds the decoded payloads, so changing them changes nothing anywhere else. Where the task
came from, and what becomes of its result, is not its business.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, cast

import msgspec


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt at one task, as `process_task` gets it."""

    id: str = ""
    """Made on submission where it is left out."""
    type: str = "task"
    description: str = ""
    input: Any = None
    config: dict[str, Any] = {}
    """What the submitter set beside the input; some of it has names of its own below."""
    required_capabilities: Sequence[str] = ()
    priority: int | str = 20
    """Lower runs first: a number, or critical (0), high (10), medium (20), low (30)."""
    deadline_ms: int | None = None
    """Milliseconds since the epoch by which the task must have ended."""
    attempt: int = 1
    """1 for the first try. `id/attempt` serves as a key for tools that can be asked twice."""
    dependencies: dict[str, Any] = {}
    """The results of the tasks that this one depends on, by their ids."""
    ends_at_ms: int | None = None
    """Milliseconds since the epoch at which this attempt will be stopped, unless the machine sleeps
    meanwhile: that time does not count."""
    left_ms: Callable[[], int] | None = None
    """How many milliseconds are left until then, by the clock that the attempt is stopped by."""
    now_ms: Callable[[], int] | None = None

    @property
    def requirements(self) -> Any:
        """What the submitter requires of the work (`config["requirements"]`), or `None`."""
        return self.config.get("requirements")

    @property
    def acceptance_criteria(self) -> list[Any] | None:
        """What the result will be judged by (`config["acceptance_criteria"]`), or `None`."""
        found = self.config.get("acceptance_criteria")
        if found is None or isinstance(found, list):
            return cast("list[Any] | None", found)
        return [found]

    @property
    def estimated_duration(self) -> float | None:
        """How long the submitter thinks it takes, in seconds; `None` when they did not say."""
        found = self.config.get("estimated_duration")
        return float(found) if isinstance(found, int | float) else None

    @property
    def deadline(self) -> datetime | None:
        """The deadline as a time in UTC."""
        if self.deadline_ms is None:
            return None
        return datetime.fromtimestamp(self.deadline_ms / 1000, UTC)

    @property
    def remaining_time(self) -> float | None:
        """Seconds until the attempt is stopped or the deadline has come; never below 0.

        `None` where there is neither a limit nor a deadline.
        """
        left: list[int] = []
        if self.left_ms is not None:
            left.append(self.left_ms())
        if self.now_ms is not None:
            own = self.ends_at_ms if self.left_ms is None else None
            ends = (end for end in (own, self.deadline_ms) if end is not None)
            left.extend(end - self.now_ms() for end in ends)
        return max(0, min(left)) / 1000 if left else None

    def to_dict(self) -> dict[str, Any]:
        """The task as maps, lists, strings and numbers."""
        return {
            "id": self.id,
            "type": self.type,
            "description": self.description,
            "input": self.input,
            "config": self.config,
            "requirements": self.requirements,
            "required_capabilities": list(self.required_capabilities),
            "acceptance_criteria": self.acceptance_criteria,
            "priority": self.priority,
            "deadline": None if self.deadline is None else self.deadline.isoformat(),
            "estimated_duration": self.estimated_duration,
            "attempt": self.attempt,
            "dependencies": self.dependencies,
        }
