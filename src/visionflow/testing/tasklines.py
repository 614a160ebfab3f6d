"""What a log says of each task and each agent: the lines that the checkers keep."""

from collections import Counter
from typing import Any

Fact = dict[str, Any]


class AgentLine:
    """What the log says of one agent."""

    def __init__(self, spec: Fact, worker: str) -> None:
        self.spec = spec
        self.worker = worker
        self.status = "created"
        self.draining = False
        self.open: dict[str, int] = {}
        self.offers = frozenset(spec.get("capabilities", ()))
        self.configs: list[Any] = [spec.get("config", [])]
        """One after the other, as payloads."""
        self.version = 0
        self.built = 0
        """The version that its worker said it had built last."""


class TaskLine:
    """What the log says of one task."""

    def __init__(self, spec: Fact, status: str, place: int, at_ms: int) -> None:
        self.spec = spec
        self.status = status
        self.submitted_at = place
        self.submitted_ms = at_ms
        self.attempt = 0
        self.agent: str | None = None
        self.assigned_at: dict[int, int] = {}
        """By attempt, the place in the log where it was given out."""
        self.assigned_to: dict[int, tuple[AgentLine, int]] = {}
        """By attempt, the agent, and which of its configurations held then."""
        self.steps: dict[str, tuple[int, Any]] = {}
        """By key: the place in the log, and the payload."""
        self.recorded: set[str] = set()
        """Keys of steps of this and earlier rounds."""
        self.failures: list[tuple[int, str]] = []
        """(attempt, kind) of those without a result."""
        self.since_step: Counter[str] = Counter()
        """Kinds of attempts without a result since the last finished step."""
        self.waits: dict[int, int] = {}
        """By attempt that was throttled: how long after that the next may begin, in ms."""
        self.retry_at_ms: int | None = None
        self.cancelling = False
        self.delegated_by: str | None = None
        """The task whose agent had it done."""
        self.shared: set[int] = set()
        """Attempts that failed with others of their batch, whosever fault that was."""
        self.recalled = 0
        """The attempt that was asked back last."""
        self.stalled = 0
        """The attempt that makes no progress as far as can be told."""
        self.phases: list[tuple[str, list[str], int]] = []
        """Name, tasks, and how many of those may be under way at once; 0: all."""
        self.is_held = False
        """It is a plan that is blocked."""
        self.threshold_bp = 0
        self.result: Any = None
        self.failed_parts: list[str] = []
        self.reason = ""
        self.ended_ms = 0
        self.ends: list[str] = []
        """Each end that it came to; more than one when it was queued again."""
        self.completions = 0
        self.completed_attempt = 0
        self.round: list[str] = []
        """Kinds of failed attempts since it was submitted, or queued again after its end."""
        self.excused = ""
        """Why it failed through no attempt of its own: `dependency` or `deadline`."""
