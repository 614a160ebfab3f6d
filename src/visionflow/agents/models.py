"""The standard formats of messages between agents, as pydantic models."""

from datetime import datetime
from typing import Any, Protocol, cast

from pydantic import BaseModel

from visionflow.agents.orders import Order
from visionflow.domain.mail import EVERYBODY


class Told(Protocol):
    """A message as an agent gets it."""

    @property
    def message_id(self) -> str:
        """Its id."""
        ...

    @property
    def from_agent(self) -> str:
        """Who sent it."""
        ...

    @property
    def to_agent(self) -> str:
        """Whom it was sent to."""
        ...

    @property
    def message_type(self) -> str:
        """What it is."""
        ...

    @property
    def content(self) -> Any:
        """What it says."""
        ...

    @property
    def timestamp(self) -> datetime:
        """When it was sent."""
        ...

    @property
    def correlation_id(self) -> str | None:
        """What it belongs to."""
        ...

    @property
    def priority(self) -> int:
        """As its sender said."""
        ...


class AgentMessage(BaseModel):
    """Standard agent message format."""

    message_id: str
    from_agent: str
    to_agent: str | None
    message_type: str
    content: dict[str, Any]
    timestamp: datetime
    correlation_id: str | None
    priority: int = 0


class TaskMessage(AgentMessage):
    """Task-specific message."""

    task_id: str
    task_type: str
    deadline: datetime | None


class StatusMessage(AgentMessage):
    """Agent status update."""

    status: str
    metrics: dict[str, float]
    capabilities: list[str]


_OWN: dict[type[AgentMessage], frozenset[str]] = {
    kind: frozenset(kind.model_fields) - frozenset(AgentMessage.model_fields)
    for kind in (TaskMessage, StatusMessage)
}


def order_of(message: AgentMessage) -> Order:
    """How to send a model, to all where it names nobody. What its class adds travels as part of the
    content."""
    own = _OWN.get(type(message), frozenset())
    added = {name: getattr(message, name) for name in sorted(own)}
    return Order(
        target=message.to_agent or EVERYBODY,
        content={**message.content, **added},
        type=message.message_type,
        id=message.message_id,
        priority=message.priority,
        correlation=message.correlation_id or "",
    )


def model_of(message: Told) -> AgentMessage:
    """The model for a message: by the first word of its type, and where its content has the fields
    of that model. A content that is no map stands under `content`.

    Raises:
        pydantic.ValidationError: these fields have values of other types.
    """
    told = message.content
    content = cast("dict[str, Any]", told) if isinstance(told, dict) else {"content": told}
    fields: dict[str, Any] = {
        "message_id": message.message_id,
        "from_agent": message.from_agent,
        "to_agent": message.to_agent,
        "message_type": message.message_type,
        "timestamp": message.timestamp,
        "correlation_id": message.correlation_id,
        "priority": message.priority,
    }
    for kind, own in _OWN.items():
        word = kind.__name__.removesuffix("Message").lower()
        if message.message_type.startswith(word) and own <= content.keys():
            rest = {key: value for key, value in content.items() if key not in own}
            return kind(**fields, **{key: content[key] for key in own}, content=rest)
    return AgentMessage(**fields, content=content)
