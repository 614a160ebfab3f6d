"""Mail as faces send and read it, and the part of the Python face that does."""

import asyncio
import threading
from collections.abc import Callable
from hashlib import sha256
from typing import Any, TypeVar, cast

import msgspec

from visionflow.agents.messages import Message, message_of
from visionflow.agents.messaging import REQUEST_S, delivery_in, ms_of, type_in
from visionflow.domain import mail_commands as mc
from visionflow.domain import mail_events as me
from visionflow.domain.commands import AnyCommand
from visionflow.domain.errors import NoAnswer, UnknownAgent, UsageError
from visionflow.domain.events import AnyEvent
from visionflow.domain.limits import MAIL_TTL_MS
from visionflow.domain.mail import DIRECT, Letter, is_single
from visionflow.domain.secrecy import masked
from visionflow.engine.decide.mail import named
from visionflow.engine.mail import Delivery, Mail, may_be_read
from visionflow.engine.state import Answer, SwarmState
from visionflow.interfaces.running import Runtime
from visionflow.ports.blobs import Blobs
from visionflow.runtime.intake import Intake, pack, sound, unpack

T = TypeVar("T")
POLL_S = 0.2
OUTSIDE = "python"
"""Who sends what this program sends and says no name for."""


class Receipt(msgspec.Struct, frozen=True):
    """What became of a message."""

    message_id: str
    delivered: tuple[str, ...]
    """Agents that have it in their inbox."""
    withheld: tuple[str, ...] = ()
    """Agents that it was meant for as well, and that its sender may not talk to."""
    full: tuple[str, ...] = ()
    """Agents whose inbox had no room for it: for them it is a dead letter."""


class DeadMessage(msgspec.Struct, frozen=True):
    """A message that will not be read any more."""

    message: Message
    agent: str
    reason: str
    """expired, handler_failed, agent_gone or inbox_full."""
    note: str
    at_ms: int


class Parcel(msgspec.Struct, frozen=True):
    """A message that somebody outside sends."""

    target: str
    content: Any = None
    type: str = ""
    sender: str = OUTSIDE
    by: str = ""
    """The identity of the client."""
    ttl_ms: int = MAIL_TTL_MS
    answer_ms: int = 0
    priority: int = 0
    correlation: str = ""

    def letter(self, agent: str | None, intake: Intake, command: str | None = None) -> Letter:
        """As it is to be sent. `agent`: the agent that its sender is (see `sender_in`), for which
        the rules for agents hold; any other is external.

        Raises:
            NotPersistable: its content cannot be stored.
        """
        now_ms = intake.now_ms()
        identity = intake.new_id("message", now_ms)
        if command is not None:
            identity = f"message_{sha256(command.encode()).hexdigest()[:24]}"
        return Letter(
            id=identity,
            sender=self.sender if agent is None else agent,
            target=self.target,
            sent_ms=now_ms,
            type=self.type or type_in(self.content) or DIRECT,
            content=pack(self.content, "the content of a message", intake.blobs),
            expires_ms=now_ms + self.ttl_ms,
            priority=self.priority,
            correlation=self.correlation,
            answer_by_ms=now_ms + self.answer_ms if self.answer_ms else 0,
            external=agent is None,
            by=self.by,
        )


def sender_in(state: SwarmState, sender: str) -> str | None:
    """The agent of this id or name, if there is exactly one."""
    try:
        return named(state, sender) if is_single(sender) else None
    except UnknownAgent:
        return None


class Watch:
    """Follows one message by what is durable. Belongs to the runtime's thread."""

    def __init__(self, message: str, loud: Callable[[], None]) -> None:
        """`loud` is called when its answer is there, or will not come any more."""
        self._message = message
        self._loud = loud
        self.sent: me.MailSent | None = None
        self.answer: Letter | None = None
        self.is_over = False
        """No answer will come any more."""
        self.reason: str | None = None
        """Why not, where it is not that its time is over."""
        self._waiting: set[int] = set()
        """Its deliveries that may still be read."""

    def __call__(self, _seq: int, _at_ms: int, events: list[AnyEvent]) -> None:
        """To be called with each record that is durable."""
        for event in events:
            if isinstance(event, me.MailSent):
                if event.letter.id == self._message:
                    self.sent = event
                    self._waiting.update(range(event.first, event.first + len(event.to)))
                elif event.letter.answers == self._message:
                    self.answer = event.letter
                    self._loud()
            elif isinstance(event, me.RequestsForgotten) and self._message in event.requests:
                self._end()
            elif isinstance(event, me.MailFailed) and event.delivery in self._waiting:
                self._waiting.remove(event.delivery)
                self._waiting.add(event.again)
            elif isinstance(event, me.MailDead) and not self._waiting.isdisjoint(event.deliveries):
                self._waiting.difference_update(event.deliveries)
                note = f": {masked(event.note)}" if event.note else ""
                self.reason = f"It is a dead letter, {event.reason}{note}"
                self._end()

    def _end(self) -> None:
        self.is_over = True
        self._loud()

    def receipt(self) -> Receipt | None:
        """`None`: it was sent by an earlier call."""
        sent = self.sent
        if sent is None:
            return None
        return Receipt(self._message, sent.to, sent.withheld, sent.full)


def waiting(mail: Mail, agent: str, limit: int) -> list[tuple[int, Delivery, bool]]:
    """The first messages that wait for an agent, by delivery id, and whether each may have been
    read before."""
    inbox = mail.inboxes.get(agent)
    found = [] if inbox is None else list(inbox.deliveries.items())[:limit]
    return [(number, each, may_be_read(mail, agent, each)) for number, each in found]


class FleetMail:
    """What of a `Fleet` is about mail. From any thread; each call blocks."""

    _runtime: Runtime

    def _ask(self, command: AnyCommand) -> Answer:
        raise NotImplementedError

    def _in_turn(self, look: Callable[[], None]) -> None:
        raise NotImplementedError

    def send_message(
        self,
        target: str,
        content: Any = None,
        *,
        type: str = "",
        sender: str = OUTSIDE,
        ttl: float | None = None,
        priority: int = 0,
        correlation_id: str | None = None,
    ) -> Receipt:
        """Send a message to an agent by id or name, or to `all`, `type:coder`, `capability:python`
        or `topic:builds.done`; returns once it is durably in their inboxes. This program is no
        agent, so it reaches everybody; `sender` is what it calls itself.

        Raises:
            UnknownAgent: nobody is there. LimitReached: the inbox is full.
            NotPersistable: the content cannot be stored.
        """
        parcel = Parcel(
            target,
            content,
            type,
            sender,
            OUTSIDE,
            MAIL_TTL_MS if ttl is None else ms_of(ttl),
            0,
            priority,
            correlation_id or "",
        )
        return self._post(parcel)[1]

    def request(
        self,
        target: str,
        content: Any = None,
        *,
        type: str = "",
        sender: str = OUTSIDE,
        timeout: float = REQUEST_S,
    ) -> Message:
        """Ask an agent, and return the answer that it gives with `reply`.

        Raises:
            NoAnswer: none came within `timeout` seconds, or it is a dead letter, so that none will
                come. Also what `send_message` raises.
        """
        ms = ms_of(timeout)
        heard = threading.Event()
        parcel = Parcel(target, content, type, sender, OUTSIDE, ms, ms)
        watch, receipt = self._post(parcel, heard.set)
        control = self._runtime.node.control
        try:
            while watch.answer is None and not watch.is_over:
                if control.failure is not None:
                    raise control.failure
                heard.wait(POLL_S)
        finally:
            self._in_turn(lambda: control.on_commit.remove(watch))
        if watch.answer is None:
            why = f"within {timeout:g} s" if watch.reason is None else f"({watch.reason})"
            raise NoAnswer(f"{target} did not answer {receipt.message_id} {why}.")
        return message_of(watch.answer, unpack(watch.answer.content, self._blobs), 0, False)

    def _post(
        self, parcel: Parcel, loud: Callable[[], None] | None = None
    ) -> tuple[Watch, Receipt]:
        """`loud`: its answer is waited for, so it is followed on."""
        for name in ("target", "sender", "type", "correlation"):
            said: object = getattr(parcel, name)
            if not isinstance(said, str):
                raise UsageError(f"The {name} of a message is {said!r:.100}; it is a text.")
        node = self._runtime.node
        senders: list[str | None] = []
        self._in_turn(lambda: senders.append(sender_in(node.control.state, parcel.sender)))
        letter = parcel.letter(senders[0], node.intake)
        watch = Watch(letter.id, loud or _silent)
        self._in_turn(lambda: node.control.on_commit.append(watch))
        posted = False
        try:
            self._ask(sound(mc.SendMail(now_ms=letter.sent_ms, letter=letter)))
            self._in_turn(lambda: None)
            posted = True
        finally:
            if not posted or loud is None:
                self._in_turn(lambda: node.control.on_commit.remove(watch))
        return watch, watch.receipt() or Receipt(letter.id, ())

    @property
    def _blobs(self) -> Blobs:
        return self._runtime.blobs

    def inbox(self, agent: str, limit: int = 100) -> list[Message]:
        """The first messages that wait for an agent, by id or name. They stay there.

        Raises:
            UnknownAgent: there is no such agent.
            UsageError: `limit` is none.
        """
        if isinstance(limit, bool) or not isinstance(cast("object", limit), int) or limit < 1:
            raise UsageError(f"limit is {limit!r:.100}; it is a whole number above 0.")
        found: list[tuple[int, Delivery, bool]] = []
        state = self._runtime.node.control.state
        name = self._named(agent)
        self._in_turn(lambda: found.extend(waiting(state.mail, name, limit)))
        return [
            message_of(each.letter, unpack(each.letter.content, self._blobs), number, before)
            for number, each, before in found
        ]

    def acknowledge(self, agent: str, *deliveries: Message | int) -> list[int]:
        """Let messages leave the inbox of an agent, in its name; the delivery ids of those that
        did. What had left it before is not among them."""
        numbers = tuple(delivery_in(each) for each in deliveries)
        name, now_ms = self._named(agent), self._runtime.node.intake.now_ms()
        command = mc.TakeMail(now_ms=now_ms, agent=name, deliveries=numbers, by=OUTSIDE)
        return numbers_in(self._ask(sound(command)))

    def dead_letters(self, agent: str | None = None) -> list[DeadMessage]:
        """Messages that will not be read any more, oldest first, of all agents or of one, by id or
        name; it may have left.

        Raises:
            UnknownAgent: there never was such an agent.
        """
        state, blobs = self._runtime.node.control.state, self._blobs
        name = None if agent is None else self._ever_named(agent)
        found: list[tuple[int, Any]] = []
        self._in_turn(lambda: found.extend(state.mail.dead.items()))
        return [
            DeadMessage(
                message_of(each.letter, unpack(each.letter.content, blobs), number, False),
                each.agent,
                str(each.reason),
                masked(each.note),
                each.at_ms,
            )
            for number, each in found
            if name in (None, each.agent)
        ]

    def _ever_named(self, agent: str) -> str:
        """The id of the agent of this id or name, a living one first."""
        try:
            return self._named(agent)
        except UnknownAgent:
            rows = self._runtime.queries.agents()
            left = [row for row in rows if row.id == agent]
            left = left or [row for row in rows if row.name == agent]
            if not left:
                raise
            return max(left, key=lambda row: row.spawned_ms).id

    def _named(self, agent: str) -> str:
        state = self._runtime.node.control.state
        found: list[str] = []
        self._in_turn(lambda: found.append(agent if agent in state.agents else named(state, agent)))
        return found[0]


class AsyncFleetMail:
    """The same for a program with a loop of its own."""

    @property
    def _mail(self) -> FleetMail:
        raise NotImplementedError

    async def send_message(self, target: str, content: Any = None, **fields: Any) -> Receipt:
        """See `FleetMail.send_message`."""
        return await _in_thread(lambda: self._mail.send_message(target, content, **fields))

    async def request(self, target: str, content: Any = None, **fields: Any) -> Message:
        """See `FleetMail.request`."""
        return await _in_thread(lambda: self._mail.request(target, content, **fields))

    async def inbox(self, agent: str, limit: int = 100) -> list[Message]:
        """See `FleetMail.inbox`."""
        return await _in_thread(lambda: self._mail.inbox(agent, limit))

    async def acknowledge(self, agent: str, *deliveries: Message | int) -> list[int]:
        """See `FleetMail.acknowledge`."""
        return await _in_thread(lambda: self._mail.acknowledge(agent, *deliveries))

    async def dead_letters(self, agent: str | None = None) -> list[DeadMessage]:
        """See `FleetMail.dead_letters`."""
        return await _in_thread(lambda: self._mail.dead_letters(agent))


async def _in_thread(call: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(None, call)


def numbers_in(answer: Answer) -> list[int]:
    """The delivery ids that an acknowledgement took."""
    return [int(number) for number in (answer.subject or "").split(",") if number]


def _silent() -> None:
    pass
