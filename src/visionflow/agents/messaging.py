"""Messages as an agent sends and gets them.

`BaseAgent` has all of `Messaging`. What carries it is the process that hosts the agent (`Post`).
"""

import inspect
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Protocol, cast

import msgspec

from visionflow.agents.messages import EVENTS, Message, SwarmEvent
from visionflow.agents.orders import Order
from visionflow.agents.task import Task
from visionflow.domain.errors import UsageError, VisionFlowError
from visionflow.domain.mail import BY_TOPIC, DIRECT, EVERYBODY

if TYPE_CHECKING:
    from visionflow.agents.models import AgentMessage

REQUEST_S = 60.0
SECONDS_MAX = 10**9
_ENVELOPE = {"from", "to", "type", "content"}
"""What a message is put into that comes with an envelope of its own, which is taken off."""
_OWN = ("handle_message", "handle_event")
Handler = Callable[[Any], Any]


class UnhandledMessage(VisionFlowError):
    """An agent has no method for a message of this type: trying again cannot help."""

    code = "unhandled_message"


class Post(Protocol):
    """What carries an agent's messages. All of it belongs to the loop, but for `in_thread`."""

    async def send(self, order: Order) -> str:
        """The id of the message, once it is durably in the inboxes of those that it is for."""
        ...

    async def request(self, order: Order) -> Message:
        """The answer to it."""
        ...

    async def inbox(self, limit: int) -> list[Message]:
        """The first messages that wait."""
        ...

    async def take(self, deliveries: tuple[int, ...]) -> None:
        """Acknowledge them."""
        ...

    async def subscribe(self, pattern: str, on: bool) -> None:
        """Get what is published under such topics, or no more."""
        ...

    async def listen(self, event_type: str, handler: Handler) -> None:
        """Have events of the swarm handed to `handler`."""
        ...

    def in_thread(self, call: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """What the coroutine comes to, which runs in the loop. Blocks."""
        ...


class EventBus:
    """`await self.event_bus.subscribe("task.completed", handler)`."""

    def __init__(self, post: Post) -> None:
        self._post = post

    async def subscribe(self, event_type: str, handler: Handler) -> None:
        """Have events of this type handed to `handler`, plain or `async`, one after the other.

        Raises:
            UsageError: there is no such type.
        """
        if event_type not in EVENTS:
            raise UsageError(
                f"There are no events of type {event_type!r}.", hint=f"Use {', '.join(EVENTS)}."
            )
        await self._post.listen(event_type, handler)


class MessageBus:
    """`await self.message_bus.publish("agent.<id>", {...})`, by the names of channels."""

    def __init__(self, post: Post) -> None:
        self._post = post

    async def publish(self, channel: str, message: Any) -> str:
        """Send to `agent.<id>`, `broadcast.all`, `broadcast.<filter>`, or else to a topic."""
        if isinstance(message, dict) and _ENVELOPE <= cast("dict[str, Any]", message).keys():
            message = cast("dict[str, Any]", message)["content"]
        kind, _, rest = channel.partition(".")
        is_named = kind in ("agent", "broadcast") and rest
        target = rest if is_named else f"{BY_TOPIC}{channel}"
        return await self._post.send(Order(target, message, type_in(message)))


class Messaging:
    """An agent's side of the mail. See docs/messages.md."""

    id: str

    @property
    def agent_id(self) -> str:
        """The same as `id`."""
        return self.id

    @property
    def _post(self) -> Post:
        """What carries its messages."""
        raise NotImplementedError

    @property
    def event_bus(self) -> EventBus:
        """Where events of the swarm are subscribed to."""
        return EventBus(self._post)

    @property
    def message_bus(self) -> MessageBus:
        """Messages by the names of channels."""
        return MessageBus(self._post)

    # Sending ---------------------------------------------------------------------------------

    async def send_message(
        self,
        target: "str | AgentMessage",
        content: Any = None,
        *,
        type: str = "",
        ttl: float | None = None,
        priority: int = 0,
        correlation_id: str | None = None,
    ) -> str:
        """Send a message; its id, once it is durably in the inboxes of those that it is for.

        `target` is an agent's id or name, `all`, `type:coder`, `capability:python`, or an
        AgentMessage, which says all of it itself. `type` is what the content says under `type`, or
        `direct`. `ttl`: after so many seconds it is of no use any more; an hour, where it is not
        said. Within a task it is known by what it is and how often the same came before: a later
        attempt that sends it again sends nothing.

        Raises:
            Refused: `not_allowed` (the topology's rules are against it), `inbox_full` (with
                `retry_after_ms`), or nobody is there; nothing was sent.
            StaleAttempt: another attempt has begun; end this one.
            NotPersistable: the content cannot be stored.
        """
        return await self._post.send(
            _order(target, content, type, ttl, priority, correlation_id or "")
        )

    def send_message_sync(
        self, target: "str | AgentMessage", content: Any = None, **fields: Any
    ) -> str:
        """`send_message` for code that runs in a thread. Blocks."""
        post = self._post
        return post.in_thread(lambda: self.send_message(target, content, **fields))

    async def broadcast(self, content: Any, agent_filter: str | None = None, **fields: Any) -> str:
        """Send to all other agents, or to those that `agent_filter` means, as far as the topology
        lets this one talk to them. See `send_message`."""
        return await self.send_message(agent_filter or EVERYBODY, content, **fields)

    async def broadcast_task(self, task: Task, agent_filter: str | None = None) -> str:
        """Tell others of a task; nobody is given it by that. Its type is `task_broadcast`.

        Raises:
            UsageError: it is no `Task`.
        """
        _told_task(task)
        content = {"task": task.to_dict(), "requirements": task.requirements}
        return await self.broadcast(content, agent_filter, type="task_broadcast")

    async def publish(self, topic: str, content: Any = None, **fields: Any) -> str:
        """Send to those that have subscribed to this topic: words with dots between."""
        return await self.send_message(f"{BY_TOPIC}{topic}", content, **fields)

    async def request(
        self, target: str, content: Any = None, *, type: str = "", timeout: float = REQUEST_S
    ) -> Message:
        """Send a message to one agent, and the answer that it gives with `reply`. A later attempt
        that asks the same gets the same answer.

        Raises:
            NoAnswer: none came within `timeout` seconds.
            UsageError: `timeout` is not above 0.
            Refused: see `send_message`.
        """
        order = _order(target, content, type, timeout, 0, "")
        answer_ms = ms_of(timeout)
        return await self._post.request(msgspec.structs.replace(order, answer_ms=answer_ms))

    def request_sync(self, target: str, content: Any = None, **fields: Any) -> Message:
        """`request` for code that runs in a thread. Blocks."""
        post = self._post
        return post.in_thread(lambda: self.request(target, content, **fields))

    async def reply(self, message: Message, content: Any = None, *, type: str = "reply") -> str:
        """Answer a message. Who asked with `request` may always be answered, once; else it is a
        message like any other.

        Raises:
            UsageError: it is no `Message`.
        """
        if not isinstance(cast("object", message), Message):
            raise UsageError(f"{message!r:.100} is no Message, which could be answered.")
        answers = message.message_id if message.wants_answer else ""
        order = _order(message.from_agent, content, type, None, 0, message.message_id)
        return await self._post.send(msgspec.structs.replace(order, answers=answers))

    def reply_sync(self, message: Message, content: Any = None, *, type: str = "reply") -> str:
        """`reply` for code that runs in a thread. Blocks."""
        post = self._post
        return post.in_thread(lambda: self.reply(message, content, type=type))

    # Getting ---------------------------------------------------------------------------------

    def handle_message(self, message: Message) -> Any:
        """Called with each message, one at a time and in order, beside what the agent works on;
        may be `async`, a plain function runs in a thread. When it returns the message is
        acknowledged; when it raises it is handed over again, three times in all.

        This one calls `handle_<type of the message>(content)`. An agent that defines neither leaves
        its messages in the inbox: see `inbox`.

        Raises:
            UnhandledMessage: there is no such method.
        """
        handler = getattr(self, f"handle_{message.message_type}", None)
        if handler is None or f"handle_{message.message_type}" in _OWN:
            raise UnhandledMessage(
                f"{self.__class__.__name__} has no method for messages of type "
                f"{message.message_type}.",
                hint=f"Define handle_{message.message_type}, or handle_message.",
            )
        return handler(message.content)

    async def inbox(self, limit: int = 100) -> list[Message]:
        """The first messages that wait, in order. They stay until they are acknowledged."""
        return await self._post.inbox(limit)

    def inbox_sync(self, limit: int = 100) -> list[Message]:
        """`inbox` for code that runs in a thread. Blocks."""
        post = self._post
        return post.in_thread(lambda: self.inbox(limit))

    async def acknowledge(self, *messages: Message | int) -> None:
        """Let messages, or those of these delivery ids, leave the inbox; returns once that is
        durable."""
        await self._post.take(tuple(delivery_in(each) for each in messages))

    def acknowledge_sync(self, *messages: Message | int) -> None:
        """`acknowledge` for code that runs in a thread. Blocks."""
        post = self._post
        post.in_thread(lambda: self.acknowledge(*messages))

    async def subscribe(self, pattern: str) -> None:
        """Get what is published under topics of this pattern: `*` stands for one word, a last `>`
        for one or more. It holds until the agent is ended or `unsubscribe`."""
        await self._post.subscribe(pattern, True)

    async def unsubscribe(self, pattern: str) -> None:
        """Get it no more."""
        await self._post.subscribe(pattern, False)

    async def subscribe_to_events(
        self, *event_types: str, handler: Callable[[SwarmEvent], Any] | None = None
    ) -> None:
        """Have events of the swarm handed over, all five or these: `task.completed`, `task.failed`,
        `agent.joined`, `agent.left`, `error.occurred`. To `handler`, or to `self.handle_event`.

        They are told after they are in the log. What happens while the agent is not there is not
        told later: whoever has to know all reads the log.
        """
        call = handler or getattr(self, "handle_event", None)
        if call is None:
            raise UsageError(
                f"{self.__class__.__name__} has no handle_event, and no handler was given."
            )
        for event_type in event_types or EVENTS:
            await self.event_bus.subscribe(event_type, call)


def handles_messages(agent: Messaging) -> bool:
    """Whether an agent handles its messages itself."""
    kind = agent.__class__
    if kind.handle_message is not Messaging.handle_message:
        return True
    names = (name for name in dir(kind) if name.startswith("handle_") and name not in _OWN)
    return any(callable(getattr(kind, name, None)) for name in names)


def is_coroutine_handler(agent: Messaging) -> bool:
    """Whether its `handle_message` runs in the loop."""
    if agent.__class__.handle_message is Messaging.handle_message:
        names = (name for name in dir(agent) if name.startswith("handle_") and name not in _OWN)
        return all(inspect.iscoroutinefunction(getattr(agent, name)) for name in names)
    return inspect.iscoroutinefunction(agent.handle_message)


def type_in(content: Any) -> str:
    """What a message's content says it is, if it does."""
    told = cast("dict[str, Any]", content).get("type") if isinstance(content, dict) else None
    return told if isinstance(told, str) and told else DIRECT


def _order(
    target: "str | AgentMessage",
    content: Any,
    type: str,
    ttl: float | None,
    priority: int,
    correlation: str,
) -> Order:
    if not isinstance(target, str):
        from visionflow.agents.models import AgentMessage, order_of

        if not isinstance(cast("object", target), AgentMessage):
            raise UsageError(
                f"{target!r:.100} is neither whom a message is for nor an AgentMessage."
            )
        return order_of(target)
    return Order(
        target=target,
        content=content,
        type=type or type_in(content),
        priority=priority,
        correlation=correlation,
        ttl_ms=0 if ttl is None else ms_of(ttl),
    )


def ms_of(seconds: float) -> int:
    """A time that somebody gave in seconds.

    Raises:
        UsageError: it is none.
    """
    if isinstance(seconds, bool) or not isinstance(cast("object", seconds), int | float):
        raise UsageError(f"{seconds!r:.100} is no number of seconds.")
    if not 0 < seconds <= SECONDS_MAX:
        raise UsageError(f"A time of {seconds!r} seconds is not above 0 and up to {SECONDS_MAX}.")
    return max(1, round(seconds * 1_000))


def delivery_in(given: object) -> int:
    """The delivery id of a message of an inbox, or that itself.

    Raises:
        UsageError: it is neither.
    """
    number = given.delivery_id if isinstance(given, Message) else given
    if isinstance(number, bool) or not isinstance(number, int):
        raise UsageError(f"{given!r:.100} is no message of an inbox, nor the delivery id of one.")
    return number


def _told_task(given: object) -> None:
    if not isinstance(given, Task):
        raise UsageError(
            f"{given!r:.100} is no Task, of which broadcast_task tells.",
            hint="broadcast(content) sends anything else.",
        )
