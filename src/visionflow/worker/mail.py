"""Mail in a worker: what its agents send and ask for, what they get, and the events they hear.

Within an attempt a message quotes it, and is known by the task, what it is, and how often the same
came before; within the handling of a message by that delivery in the same way. So who does its
work again sends nothing twice. What is asked is repeated over each new connection until it is
answered.
"""

import asyncio
import hashlib
import inspect
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec

from visionflow.agents.base import BaseAgent, current_attempt
from visionflow.agents.messages import Message, SwarmEvent
from visionflow.agents.messaging import Handler, handles_messages
from visionflow.agents.orders import Order
from visionflow.domain.errors import NoAnswer, Refused, StaleAttempt, UsageError, refusal
from visionflow.domain.ids import make_id
from visionflow.domain.messages import (
    EventsWanted,
    EventTold,
    InboxAnswer,
    InboxAsked,
    MailAnswer,
    MailAsked,
    MailDone,
    MailHanded,
    MailHandles,
    MailReply,
    ReplyAwaited,
    TopicWanted,
)
from visionflow.domain.messages import Message as Wire
from visionflow.domain.tasks import NOTHING, Payload
from visionflow.ports.host import Host
from visionflow.worker import values
from visionflow.worker.asking import MailedAnswer, key_of
from visionflow.worker.attempt import RunningAttempt
from visionflow.worker.carrying import must_carry
from visionflow.worker.mailbox import Clerk, Mailbox, current_handling, read
from visionflow.worker.telling import told

EVENTS_WAITING_MAX = 1_000
"""Events that an agent has not been told of yet; the oldest are left out beyond that."""


class AgentPost:
    """The mail of one agent in this process. Satisfies `agents.messaging.Post`."""

    def __init__(self, agent: str, clerk: Clerk, host: Host) -> None:
        self.agent = agent
        self._clerk = clerk
        self._host = host
        self._numbers = 0
        self._asked: dict[str, tuple[Wire, asyncio.Future[Any]]] = {}
        """What no attempt asked, by its key."""
        self._sending: dict[str, None] = {}
        self.box = Mailbox(agent, clerk, self._ask_alone, self._number)
        self._handlers: dict[str, list[Handler]] = {}
        self._events: deque[SwarmEvent] = deque()
        self._left_out = 0
        self._telling: asyncio.Task[None] | None = None

    # Sending ---------------------------------------------------------------------------------

    async def send(self, order: Order) -> str:
        """See `Post`."""
        asked = await self._letter(order)
        await self._send(asked)
        return asked.id

    async def _send(self, asked: MailAsked) -> None:
        if asked.id in self._sending:
            raise UsageError(f"Message {asked.id} is being sent already.")
        self._sending[asked.id] = None
        try:
            _check(await self._ask(asked.id, asked))
        finally:
            del self._sending[asked.id]

    async def request(self, order: Order) -> Message:
        """See `Post`."""
        asked = await self._letter(order)
        await self._send(asked)
        awaited = ReplyAwaited(asked.id, self.agent, asked.task, asked.attempt)
        answer: MailReply = await self._ask(f"reply {asked.id}", awaited)
        if answer.letter is None:
            if answer.code == StaleAttempt.code:
                raise StaleAttempt(answer.reason)
            raise NoAnswer(answer.reason)
        return await read(self._clerk, answer.letter, 0, False)

    async def _letter(self, order: Order) -> MailAsked:
        must_carry(msgspec.structs.replace(order, content=None))
        what = "The content of a message"
        body = b"" if order.content is None else values.encode(order.content, what)
        parts = (order.target, order.type, order.priority, order.correlation, order.answers)
        known = hashlib.sha256(body + values.encode_sorted(parts, what)).hexdigest()
        attempt = _attempt()
        payload = NOTHING if order.content is None else await self._payload(body)
        return MailAsked(
            agent=self.agent,
            id=order.id or self._id_of(known, attempt),
            target=order.target,
            type=order.type,
            content=payload,
            priority=order.priority,
            correlation=order.correlation,
            answers=order.answers,
            ttl_ms=order.ttl_ms,
            answer_ms=order.answer_ms,
            task="" if attempt is None else attempt.dispatch.task,
            attempt=0 if attempt is None else attempt.dispatch.attempt,
        )

    async def _payload(self, body: bytes) -> Payload:
        if values.is_small(body):
            return Payload(inline=body)
        return await self._clerk.offload(lambda: values.store(body, self._clerk.blobs))

    def _id_of(self, known: str, attempt: RunningAttempt | None) -> str:
        if attempt is not None:
            of, ordinal = attempt.dispatch.task, attempt.asking.ordinal(f"mail {known}")
        else:
            handling = current_handling.get(None)
            if handling is None:
                return make_id("message", self._host.now_ms(), self._host.entropy())
            of = f"delivery {handling.delivery} of {self.agent}"
            ordinal = handling.ordinals[known] = handling.ordinals.get(known, 0) + 1
        name = hashlib.sha256(f"{of}\0{known}\0{ordinal}".encode()).hexdigest()[:24]
        return f"message_{name}"

    # Reading ---------------------------------------------------------------------------------

    async def inbox(self, limit: int) -> list[Message]:
        """See `Post`."""
        number, attempt = self._number(), _attempt()
        quoted = ("", 0) if attempt is None else (attempt.dispatch.task, attempt.dispatch.attempt)
        asked = InboxAsked(number, self.agent, max(1, limit), *quoted)
        answer: InboxAnswer = await self._ask(f"inbox {number}", asked)
        return [
            await read(self._clerk, each.letter, each.delivery, each.redelivered)
            for each in answer.handed
        ]

    async def take(self, deliveries: tuple[int, ...]) -> None:
        """See `Post`."""
        name, attempt = f"take {self.agent} {self._number()}", _attempt()
        quoted = ("", 0) if attempt is None else (attempt.dispatch.task, attempt.dispatch.attempt)
        if deliveries:
            _check(await self._ask(name, MailDone(self.agent, deliveries, name, *quoted)))

    async def subscribe(self, pattern: str, on: bool) -> None:
        """See `Post`."""
        name, attempt = f"topic {self.agent} {self._number()}", _attempt()
        quoted = ("", 0) if attempt is None else (attempt.dispatch.task, attempt.dispatch.attempt)
        _check(await self._ask(name, TopicWanted(name, self.agent, pattern, on, *quoted)))

    # Asking ----------------------------------------------------------------------------------

    def in_thread(self, call: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """See `Post`."""
        attempt = _attempt()
        if attempt is not None:
            return attempt.wait_for(call)
        loop = self._clerk.loop
        try:
            here = asyncio.get_running_loop() is loop
        except RuntimeError:
            here = False
        if here:
            raise UsageError(
                "What ends in _sync blocks, so it cannot be called in the loop.",
                hint="Use the one without _sync.",
            )
        return asyncio.run_coroutine_threadsafe(call(), loop).result()

    def _number(self) -> int:
        self._numbers += 1
        return self._numbers

    async def _ask(self, name: str, message: Any) -> Any:
        attempt = _attempt()
        if attempt is not None:
            return await attempt.request(f"\0mail {name}", message)
        return await self._ask_alone(name, message)

    async def _ask_alone(self, name: str, message: Wire) -> Any:
        must_carry(message)
        key = f"\0mail {name}"
        answer: asyncio.Future[Any] = self._clerk.loop.create_future()
        self._asked[key] = (message, answer)
        self._clerk.send(message)
        try:
            return await answer
        finally:
            self._asked.pop(key, None)

    def answered(self, answer: MailedAnswer) -> None:
        """What was asked is answered."""
        found = self._asked.get(key_of(answer))
        if found is not None and not found[1].done():
            found[1].set_result(answer)

    def repeat(self) -> None:
        """Say again what was not answered, over a new connection."""
        for message, _ in list(self._asked.values()):
            self._clerk.send(message)
        if self._handlers:
            self._clerk.send(EventsWanted(self.agent, tuple(self._handlers)))

    # Its agent -------------------------------------------------------------------------------

    def up(self, agent: BaseAgent) -> None:
        """The agent was built."""
        if handles_messages(agent):
            self._clerk.send(MailHandles(self.agent))
            self.box.open(agent)

    def down(self) -> None:
        """The agent is not there any more: it is ended, or built anew."""
        self.box.close()
        self._handlers.clear()
        self._events.clear()
        for _, answer in list(self._asked.values()):
            if not answer.done():
                answer.set_exception(Refused(f"Agent {self.agent} was ended.", code="agent_gone"))
                answer.exception()

    # Events ----------------------------------------------------------------------------------

    async def listen(self, event_type: str, handler: Handler) -> None:
        """See `Post`."""
        handlers = self._handlers.setdefault(event_type, [])
        if handler not in handlers:
            handlers.append(handler)
        self._clerk.send(EventsWanted(self.agent, tuple(self._handlers)))

    def told(self, event: SwarmEvent) -> None:
        """Something happened in the swarm."""
        if event.type not in self._handlers:
            return
        self._events.append(event)
        if len(self._events) > EVENTS_WAITING_MAX:
            self._events.popleft()
            self._left_out += 1
        if self._telling is None:
            self._telling = self._clerk.loop.create_task(self._tell())

    async def _tell(self) -> None:
        while self._events:
            event = self._events.popleft()
            for handler in list(self._handlers.get(event.type, ())):
                try:
                    found = handler(event)
                    if inspect.isawaitable(found):
                        await found
                except Exception as error:
                    text = f"Its handler of {event.type} failed: {told(error)}"
                    self._clerk.write_log(self.agent, "warning", text)
            if self._left_out:
                left, self._left_out = self._left_out, 0
                text = f"{left} events were not told: it deals with them too slowly."
                self._clerk.write_log(self.agent, "warning", text)
            await asyncio.sleep(0)
        self._telling = None


class PostOffice:
    """The mail of all agents in this process. Belongs to the loop."""

    def __init__(self, clerk: Clerk, host: Host) -> None:
        self._clerk = clerk
        self._host = host
        self._posts: dict[str, AgentPost] = {}

    def of(self, agent: str) -> AgentPost:
        """The mail of an agent."""
        post = self._posts.get(agent)
        if post is None:
            post = self._posts[agent] = AgentPost(agent, self._clerk, self._host)
        return post

    @property
    def is_serving(self) -> bool:
        """Whether code of an agent deals with a message now."""
        return any(post.box.is_serving for post in self._posts.values())

    def handed(self, handed: MailHanded) -> None:
        """A message for an agent came."""
        post = self._posts.get(handed.agent)
        if post is not None:
            post.box.put(handed)

    def answered(self, answer: MailedAnswer) -> None:
        """What no attempt asked is answered."""
        post = self._posts.get(answer.agent)
        if post is not None:
            post.answered(answer)

    def told(self, event: EventTold) -> None:
        """Something happened in the swarm."""
        happened = SwarmEvent(
            event.type, event.seq, event.at_ms, event.task, event.agent, event.reason
        )
        for post in list(self._posts.values()):
            post.told(happened)

    def repeat(self) -> None:
        """Say again what was not answered, over a new connection."""
        for post in list(self._posts.values()):
            post.repeat()

    def forget(self, agent: str) -> None:
        """An agent is ended here."""
        post = self._posts.pop(agent, None)
        if post is not None:
            post.down()

    def close(self) -> None:
        """All are."""
        for agent in list(self._posts):
            self.forget(agent)


def _attempt() -> RunningAttempt | None:
    found = current_attempt.get(None)
    return found if isinstance(found, RunningAttempt) else None


def _check(answer: MailAnswer) -> None:
    """Raises what stood in the way of what was asked."""
    if answer.code == StaleAttempt.code:
        raise StaleAttempt(answer.reason)
    if answer.code:
        error = refusal(answer.code, answer.reason)
        error.retry_after_ms = answer.retry_after_ms or None
        raise error
