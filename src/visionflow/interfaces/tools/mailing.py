"""The tools daa_communication, agent_message and agent_inbox: mail between agents, and with them.

Who calls is no agent, so what they send reaches everybody and is recorded as external, with who
they are. Where `from` is an agent of the swarm it is that agent's, and the topology's rules hold.
"""

import asyncio
from typing import Annotated, Any

import msgspec

from visionflow.agents.messages import Message, message_of
from visionflow.domain import mail_commands as mc
from visionflow.domain.access import MEMBERS, Role
from visionflow.domain.errors import Forbidden, UnknownAgent, UsageError
from visionflow.domain.limits import MAIL_TTL_MS
from visionflow.domain.mail import BY_SWARM, Letter
from visionflow.domain.tasks import Payload
from visionflow.engine.mail import DeadLetter
from visionflow.interfaces.mailing import (
    Parcel,
    Receipt,
    Watch,
    numbers_in,
    sender_in,
    waiting,
)
from visionflow.interfaces.server import Server
from visionflow.interfaces.tools.agent_reads import find_left
from visionflow.interfaces.tools.arguments import Arguments, Result
from visionflow.interfaces.tools.finding import find_agent, no_swarm, open_swarm
from visionflow.interfaces.tools.forms import about, form
from visionflow.interfaces.tools.moments import iso
from visionflow.interfaces.tools.recording import command_id, recorded
from visionflow.interfaces.tools.tool import AnyTool, Call, Tool
from visionflow.runtime.ended import EndedSwarm
from visionflow.runtime.intake import sound, unpack
from visionflow.runtime.swarms import LiveSwarm

COMMUNICATE, MESSAGE, INBOX = "daa_communication", "agent_message", "agent_inbox"
PAGE_MAX = 200
TIMEOUT_MS_MAX = 600_000
AGENT = "agent:"
"""What the name of a caller begins with that is an agent."""


class Communicate(Arguments, frozen=True, kw_only=True):
    """Arguments of daa_communication."""

    to: Annotated[str, about("Agent, all, type:T, capability:C, swarm:ID or topic:NAME.")]
    message: Annotated[dict[str, Any], form("object", "")]
    from_: Annotated[str | None, about("An agent, or any name.")] = msgspec.field(
        default=None, name="from"
    )
    swarm_id: str | None = None


class SendMessage(Arguments, frozen=True, kw_only=True):
    """Arguments of agent_message."""

    agent_id: str
    message: Any
    from_: str | None = msgspec.field(default=None, name="from")
    type: str = ""
    ttl: Annotated[int, form("seconds", "Seconds.")] = MAIL_TTL_MS
    timeout: Annotated[int | None, form("seconds", "Seconds to wait for an answer.")] = None
    swarm_id: str | None = None


class ReadInbox(Arguments, frozen=True, kw_only=True):
    """Arguments of agent_inbox."""

    agent_id: str
    acknowledge: Annotated[tuple[int, ...], about("Delivery ids.")] = ()
    dead: Annotated[bool, about("Show dead letters instead.")] = False
    limit: int = 50
    swarm_id: str | None = None


class Posted(Result, frozen=True, kw_only=True):
    """A message that was sent."""

    swarm_id: str
    message_id: str
    from_: str = msgspec.field(name="from")
    external: bool
    """Its sender is no agent of the swarm."""
    delivered: list[str] | None
    """Agents that have it in their inbox; null: it was sent by an earlier call of this key, of
    which the server knows no more."""


class Communicated(Posted, frozen=True, kw_only=True):
    """What became of a message."""

    withheld: list[str] | None
    """Agents that it was meant for, and that its sender may not talk to."""
    full: list[str] | None
    """Agents whose inbox had no room."""


class Replied(Posted, frozen=True, kw_only=True):
    """A message to one agent, and its answer."""

    answer: Any
    """What the agent answered; null: it was not waited for, or none came in time."""
    answered_at: str | None
    reason: str | None
    """Why there is no answer, where one was waited for."""


class Shown(Result, frozen=True, kw_only=True):
    """A message in an inbox, or a dead one."""

    delivery_id: int
    message_id: str
    from_: str = msgspec.field(name="from")
    external: bool
    to: str
    type: str
    content: Any
    sent_at: str
    correlation_id: str | None
    priority: int
    redelivered: bool | None
    reason: str | None
    """Of a dead letter: expired, handler_failed, agent_gone or inbox_full."""
    note: str | None
    dead_at: str | None


class InboxRead(Result, frozen=True, kw_only=True):
    """The messages of an agent."""

    swarm_id: str
    agent_id: str
    messages: list[Shown]
    waiting: int
    """All that are in the inbox, those that are not shown included."""
    acknowledged: list[int]
    """Of the given delivery ids, those that were in the inbox and have left it."""


class MailTools:
    """The tools of one server."""

    def __init__(self, server: Server) -> None:
        self._server = server

    # Sending ---------------------------------------------------------------------------------

    async def communicate(self, call: Call, given: Communicate) -> Communicated:
        """Send to whoever is meant."""
        named = given.to.removeprefix(BY_SWARM) if given.to.startswith(BY_SWARM) else None
        swarm = open_swarm(self._server, call, given.swarm_id or named)
        parcel = self._parcel(call, given.to, given.message, given.from_)
        letter, receipt, *_ = await self._send(call, COMMUNICATE, swarm, parcel)
        return Communicated(
            **_told(swarm, letter, receipt),
            withheld=None if receipt is None else list(receipt.withheld),
            full=None if receipt is None else list(receipt.full),
        )

    async def message(self, call: Call, given: SendMessage) -> Replied:
        """Send to one agent, and wait for its answer where that is asked for."""
        if given.ttl <= 0 or given.timeout == 0:
            raise UsageError("ttl and timeout are above 0.")
        if given.timeout is not None and given.timeout > TIMEOUT_MS_MAX:
            raise UsageError(f"timeout is at most {TIMEOUT_MS_MAX // 1_000} s.")
        swarm, agent = find_agent(self._server, call, given.agent_id, given.swarm_id)
        parcel = msgspec.structs.replace(
            self._parcel(call, agent.spec.id, given.message, given.from_),
            type=given.type,
            ttl_ms=given.ttl,
            answer_ms=given.timeout or 0,
        )
        letter, receipt, answer, why = await self._send(call, MESSAGE, swarm, parcel)
        content = None if answer is None else await _content(swarm, answer.content)
        return Replied(
            **_told(swarm, letter, receipt),
            answer=content,
            answered_at=None if answer is None else iso(answer.sent_ms),
            reason=why,
        )

    def _parcel(self, call: Call, target: str, content: Any, sender: str | None) -> Parcel:
        name = call.caller.name
        if call.caller.role is Role.AGENT and name.startswith(AGENT):
            own = name.removeprefix(AGENT)
            if sender not in (None, own):
                raise Forbidden(f"{name} cannot send in the name of {sender!r:.100}.")
            return Parcel(target, content, sender=own, by=name)
        return Parcel(target, content, sender=sender or name, by=name)

    async def _send(
        self, call: Call, tool: str, swarm: LiveSwarm, parcel: Parcel
    ) -> tuple[Letter, Receipt | None, Letter | None, str | None]:
        """The message, who got it where this call sent it, and the answer, or why there is none
        where one was waited for."""
        command, control = command_id(call, tool), swarm.node.control
        agent = sender_in(swarm.state, parcel.sender)
        letter = await _off_loop(lambda: parcel.letter(agent, swarm.node.intake, command))
        heard = asyncio.Event()
        watch = Watch(letter.id, heard.set)
        control.on_commit.append(watch)
        try:
            await recorded(
                self._server,
                call,
                tool,
                lambda: swarm.ask(
                    sound(mc.SendMail(now_ms=swarm.now_ms, letter=letter, command=command))
                ),
                swarm=swarm,
                subject=letter.id,
                command=command,
            )
            answer = await self._answer(call, swarm, letter, watch, heard)
        finally:
            control.on_commit.remove(watch)
        why = None
        if letter.answer_by_ms and answer is None:
            timeout_s = (letter.answer_by_ms - letter.sent_ms) / 1_000
            why = watch.reason or f"No answer came within {timeout_s:g} s"
        return letter, watch.receipt(), answer, None if why is None else f"{why}."

    async def _answer(
        self, call: Call, swarm: LiveSwarm, letter: Letter, watch: Watch, heard: asyncio.Event
    ) -> Letter | None:
        """The answer, once it is durable; `None`: none is waited for, or none came in time."""
        if not letter.answer_by_ms:
            return None
        request = swarm.state.mail.requests.get(letter.id)
        if request is not None and request.answer is not None:
            await swarm.settled()
            return request.answer
        if request is None or watch.is_over:
            return None
        call.took_effect()
        ends = [asyncio.ensure_future(event.wait()) for event in (heard, call.cancelled)]
        try:
            left_ms = request.until_ms - swarm.now_ms + TIMEOUT_MS_MAX
            await asyncio.wait(ends, timeout=left_ms / 1_000, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for end in ends:
                end.cancel()
        return watch.answer

    # Reading ---------------------------------------------------------------------------------

    async def inbox(self, call: Call, given: ReadInbox) -> InboxRead:
        """Read, and acknowledge what was read before."""
        if not 0 < given.limit <= PAGE_MAX:
            raise UsageError(f"limit is {given.limit}; it is from 1 to {PAGE_MAX}.")
        swarm, name = await self._whose(call, given)
        caller = call.caller
        if caller.role is Role.AGENT and caller.name.startswith(AGENT):
            if caller.name != f"{AGENT}{name}":
                raise Forbidden(f"{caller.name} cannot read the inbox of {name}.")
        taken: list[int] = []
        # Of one that has left nothing waits, so that there is nothing to acknowledge.
        if given.acknowledge and name in swarm.state.agents:
            command = command_id(call, INBOX)
            take = mc.TakeMail(
                now_ms=swarm.now_ms,
                agent=name,
                deliveries=given.acknowledge,
                by=caller.name,
                command=command,
            )
            answer = await recorded(
                self._server,
                call,
                INBOX,
                lambda: swarm.ask(sound(take)),
                swarm=swarm,
                subject=name,
                command=command,
            )
            taken = numbers_in(answer)
        mail = swarm.state.mail
        box = mail.inboxes.get(name)
        count = 0 if box is None else len(box.deliveries)
        found = [] if given.dead else waiting(mail, name, given.limit)
        dead = [(n, each) for n, each in mail.dead.items() if given.dead and each.agent == name]
        call.saw(swarm)

        def shown() -> list[Shown]:
            if given.dead:
                return [_dead(swarm, number, each) for number, each in dead[-given.limit :]]
            return [
                _shown(message_of(each.letter, _value(swarm, each.letter.content), number, before))
                for number, each, before in found
            ]

        return InboxRead(
            swarm_id=swarm.id,
            agent_id=name,
            messages=await _off_loop(shown),
            waiting=count,
            acknowledged=taken,
        )

    async def _whose(self, call: Call, given: ReadInbox) -> tuple[LiveSwarm, str]:
        """The agent whose messages are asked for; one that has left may have dead letters.

        Raises:
            UnknownSwarm: there is no such swarm, or it is over.
            UnknownAgent: there never was such an agent.
        """
        try:
            swarm, agent = find_agent(self._server, call, given.agent_id, given.swarm_id)
            return swarm, agent.spec.id
        except UnknownAgent:
            left = await find_left(self._server, call, given.agent_id, given.swarm_id)
            if left is None:
                raise
        place, row = left
        if isinstance(place, EndedSwarm):
            raise no_swarm(self._server, place.id)
        return place, row.id


async def _off_loop(call: Any) -> Any:
    """In a thread: large contents are on the disk."""
    return await asyncio.get_running_loop().run_in_executor(None, call)


def _value(swarm: LiveSwarm, content: Payload) -> Any:
    return unpack(content, swarm.blobs)


async def _content(swarm: LiveSwarm, content: Payload) -> Any:
    return await _off_loop(lambda: _value(swarm, content))


def _told(swarm: LiveSwarm, letter: Letter, receipt: Receipt | None) -> dict[str, Any]:
    return {
        "swarm_id": swarm.id,
        "message_id": letter.id,
        "from_": letter.sender,
        "external": letter.external,
        "delivered": None if receipt is None else list(receipt.delivered),
    }


def _shown(message: Message, dead: DeadLetter | None = None) -> Shown:
    return Shown(
        delivery_id=message.delivery_id,
        message_id=message.message_id,
        from_=message.from_agent,
        external=message.external,
        to=message.to_agent,
        type=message.message_type,
        content=message.content,
        sent_at=iso(round(message.timestamp.timestamp() * 1_000)),
        correlation_id=message.correlation_id,
        priority=message.priority,
        redelivered=message.redelivered if dead is None else None,
        reason=None if dead is None else str(dead.reason),
        note=None if dead is None else dead.note or None,
        dead_at=None if dead is None else iso(dead.at_ms),
    )


def _dead(swarm: LiveSwarm, number: int, dead: DeadLetter) -> Shown:
    return _shown(message_of(dead.letter, _value(swarm, dead.letter.content), number, False), dead)


def mail_tools(server: Server) -> list[AnyTool]:
    """daa_communication, agent_message and agent_inbox."""
    tools = MailTools(server)
    return [
        Tool(
            name=COMMUNICATE,
            group="coordination",
            summary="Send a message to agents, durably.",
            arguments=Communicate,
            result=Communicated,
            roles=MEMBERS,
            run=tools.communicate,
            example={"from": "ops", "to": "all", "message": {"type": "notice", "text": "hello"}},
            positional=("to", "message"),
        ),
        Tool(
            name=MESSAGE,
            group="coordination",
            summary="Send a message to one agent; with `timeout` wait for its answer.",
            arguments=SendMessage,
            result=Replied,
            roles=MEMBERS,
            run=tools.message,
            example={"agentId": "tester-1", "message": {"text": "hello"}},
            positional=("agentId", "message"),
        ),
        Tool(
            name=INBOX,
            group="coordination",
            summary="Messages that wait for an agent; acknowledge them, or see dead letters.",
            arguments=ReadInbox,
            result=InboxRead,
            roles=MEMBERS,
            run=tools.inbox,
            example={"agentId": "tester-1"},
            positional=("agentId",),
        ),
    ]
