"""What an agent gets to see of a message, and of an event of its swarm."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from visionflow.domain.mail import Letter

if TYPE_CHECKING:
    from visionflow.agents.models import AgentMessage

EVENTS = ("task.completed", "task.failed", "agent.joined", "agent.left", "error.occurred")
"""What can be subscribed to."""


class Message(msgspec.Struct, frozen=True):
    """A message as it was delivered. `message["type"]` and the like work too."""

    message_id: str
    from_agent: str
    to_agent: str
    """As its sender said it: an agent, `all`, `type:coder`, `topic:builds.done` and the like."""
    message_type: str
    content: Any
    timestamp: datetime
    correlation_id: str | None
    priority: int
    delivery_id: int
    """Each delivery has one of its own, and is handed over once under it."""
    redelivered: bool = False
    """It may have been handed over before: to an agent whose process died since, or to a handler
    that failed."""
    external: bool = False
    """Its sender is no agent of this swarm."""
    wants_answer: bool = False
    """Its sender waits for `reply`."""

    @property
    def topic(self) -> str | None:
        """The topic that it was published under."""
        is_published = self.to_agent.startswith("topic:")
        return self.to_agent.removeprefix("topic:") if is_published else None

    def __getitem__(self, key: str) -> Any:
        if key == "timestamp":
            return self.timestamp.isoformat()
        return getattr(self, _KEYS[key])

    def get(self, key: str, default: Any = None) -> Any:
        """As of a dict."""
        return self[key] if key in _KEYS else default

    def model(self) -> "AgentMessage":
        """As the pydantic model of its type."""
        from visionflow.agents.models import model_of

        return model_of(self)


_KEYS = {
    **{name: name for name in Message.__struct_fields__},
    "from": "from_agent",
    "to": "to_agent",
    "type": "message_type",
}


class SwarmEvent(msgspec.Struct, frozen=True):
    """Something that happened in the swarm, and is in its log."""

    type: str
    """One of `EVENTS`."""
    seq: int
    """The number of the log's record that holds it; several events may share one."""
    at_ms: int
    """When that was written, in ms since the epoch."""
    task: str | None = None
    agent: str | None = None
    reason: str = ""
    """Of what failed or left: why."""


def time_of(ms: int) -> datetime:
    """Milliseconds since the epoch as a time."""
    return datetime.fromtimestamp(ms / 1_000, UTC)


def message_of(letter: Letter, content: Any, delivery: int, redelivered: bool) -> Message:
    """A letter as it is shown to whom it was delivered; `content` is what it holds."""
    return Message(
        message_id=letter.id,
        from_agent=letter.sender,
        to_agent=letter.target,
        message_type=letter.type,
        content=content,
        timestamp=time_of(letter.sent_ms),
        correlation_id=letter.correlation or None,
        priority=letter.priority,
        delivery_id=delivery,
        redelivered=redelivered,
        external=letter.external,
        wants_answer=bool(letter.answer_by_ms),
    )
