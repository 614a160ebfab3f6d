"""Decisions about mail: who gets a message, who may not, and when one is dead."""

from collections.abc import Callable, Iterator
from typing import Any

from visionflow.domain import mail_commands as mc
from visionflow.domain import mail_events as me
from visionflow.domain.agents import AgentSpec, WorkerStatus
from visionflow.domain.command import Command
from visionflow.domain.errors import InboxFull, LimitReached, Refused, UnknownAgent, UnknownSwarm
from visionflow.domain.events import AnyEvent
from visionflow.domain.limits import (
    INBOX_BYTES_MAX,
    INBOX_FULL_RETRY_MS,
    INBOX_MAX,
    INLINE_BYTES_MAX,
    MAIL_FAILURES_MAX,
    MAIL_TTL_MS_MAX,
    REQUESTS_MAX,
    SUBSCRIPTIONS_MAX,
    WORD_CHARS_MAX,
)
from visionflow.domain.mail import (
    BY_CAPABILITY,
    BY_SWARM,
    BY_TOPIC,
    BY_TYPE,
    EVERYBODY,
    DeadReason,
    Letter,
    is_pattern,
    is_single,
    is_topic,
    matches,
)
from visionflow.engine import mail as m
from visionflow.engine.decide.closing import RUNNING
from visionflow.engine.decide.table import RefusedOnRecord, decides
from visionflow.engine.state import Answer, SwarmState
from visionflow.engine.topology.rules import is_living, may_speak

Events = list[AnyEvent]
REASON_CHARS_MAX = 1_000
NOT_ALLOWED = "not_allowed"
"""The code of what the topology's rules refuse."""


@decides(mc.SendMail)
def _(state: SwarmState, command: mc.SendMail) -> Events:
    letter = command.letter
    _may_send(state, letter)
    if letter.id in state.mail.seen and not _is_over(state, letter):
        return []
    _well_formed(letter)
    if letter.answers:
        return [_answer(state, command)]
    wanted = _recipients(state, letter)
    to, withheld = _allowed(state, letter, wanted)
    to, full = _with_room(state, letter, to)
    if letter.answer_by_ms:
        _may_ask(state, letter, to)
    first = state.mail.number + 1
    return [
        me.MailSent(
            letter=letter,
            to=to,
            first=first,
            withheld=withheld,
            full=full,
            command=command.command,
        )
    ]


def _may_send(state: SwarmState, letter: Letter) -> None:
    if state.spec is None or state.closed is not None:
        why = "it was never created" if state.spec is None else state.closed
        raise Refused(f"The swarm carries no messages: {why}.", code="swarm_closed")
    if letter.external:
        return
    if not is_living(state, letter.sender):
        raise UnknownAgent(f"Agent {letter.sender} is not alive, so it can send nothing.")
    if not letter.task:
        return
    task = state.tasks.get(letter.task)
    current = task is not None and task.status in RUNNING and task.attempt == letter.attempt
    if task is None or not current or task.agent != letter.sender or task.cancelling is not None:
        raise Refused(
            f"Attempt {letter.attempt} of {letter.task} is not the open one of {letter.sender}; "
            "its message is not sent.",
            code="stale_attempt",
        )


def _well_formed(letter: Letter) -> None:
    words = (letter.id, letter.sender, letter.target, letter.type, letter.correlation, letter.by)
    if max(map(len, words)) > WORD_CHARS_MAX or not (letter.id and letter.target and letter.type):
        raise Refused(
            f"Sender, target, type and ids of a message have 1 to {WORD_CHARS_MAX} characters.",
            code="usage",
        )
    if m.size_of(letter) > INLINE_BYTES_MAX:
        raise Refused(
            f"The content of a message above {INLINE_BYTES_MAX} bytes travels by blob.",
            code="payload_too_large",
        )
    lives_ms = letter.expires_ms - letter.sent_ms
    asks_ms = letter.answer_by_ms - letter.sent_ms if letter.answer_by_ms else 1
    if not (0 < lives_ms <= MAIL_TTL_MS_MAX and 0 < asks_ms <= MAIL_TTL_MS_MAX):
        raise Refused(
            f"A message is of use, and its answer waited for, for 1 to {MAIL_TTL_MS_MAX} ms.",
            code="usage",
        )


# Requests and answers --------------------------------------------------------------------------


def _is_over(state: SwarmState, letter: Letter) -> bool:
    """Whether it is a request whose time is over: it may be asked once more."""
    return bool(letter.answer_by_ms) and letter.id not in state.mail.requests


def _may_ask(state: SwarmState, letter: Letter, to: tuple[str, ...]) -> None:
    if not is_single(letter.target) or not to:
        raise Refused(
            f"A request goes to one agent, and {letter.target} may be several.", code="usage"
        )
    if len(state.mail.requests) >= REQUESTS_MAX:
        raise InboxFull(
            f"{len(state.mail.requests)} requests wait for an answer; that is the most."
        )


def _answer(state: SwarmState, command: mc.SendMail) -> me.MailSent:
    """Whatever the topology: an answer may always go back to who asked."""
    letter = command.letter
    request = state.mail.requests.get(letter.answers)
    if request is None or letter.sender not in request.to:
        raise Refused(
            f"Nobody waits for an answer of {letter.sender} to {letter.answers} (any more).",
            code="no_request",
            hint="Send it as a message of its own.",
        )
    if request.answer is not None:
        raise Refused(f"Request {letter.answers} is answered already.", code="already_answered")
    return me.MailSent(letter=letter, to=(request.sender,), command=command.command)


# Who gets it -----------------------------------------------------------------------------------


def _recipients(state: SwarmState, letter: Letter) -> list[str]:
    target = letter.target
    if is_single(target):
        return [named(state, target)]
    if target.startswith(BY_TOPIC):
        topic = target.removeprefix(BY_TOPIC)
        if not is_topic(topic):
            raise Refused(
                f"{topic!r:.100} is no topic: words with dots between, without wildcards.",
                code="usage",
            )
        return [each for each in _subscribed(state, topic) if each != letter.sender]
    if target.startswith(BY_SWARM):
        swarm = target.removeprefix(BY_SWARM)
        if state.spec is None or swarm != state.spec.id:
            raise UnknownSwarm(
                f"A message does not leave its swarm, and this one is not {swarm}.",
                hint="Have a client send it there.",
            )
    found = [
        name
        for name, agent in state.agents.items()
        if name != letter.sender and is_living(state, name) and _fits(target, agent.spec)
    ]
    if not found and target.startswith((BY_TYPE, BY_CAPABILITY)):
        raise UnknownAgent(f"No other living agent is meant by {target}.", code="no_recipients")
    return found


def _fits(target: str, spec: AgentSpec) -> bool:
    if target.startswith(BY_TYPE):
        return spec.type == target.removeprefix(BY_TYPE)
    if target.startswith(BY_CAPABILITY):
        return target.removeprefix(BY_CAPABILITY) in spec.capabilities
    return target == EVERYBODY or target.startswith(BY_SWARM)


def _subscribed(state: SwarmState, topic: str) -> Iterator[str]:
    for agent, patterns in state.mail.subscriptions.items():
        if is_living(state, agent) and any(matches(pattern, topic) for pattern in patterns):
            yield agent


def named(state: SwarmState, target: str) -> str:
    """The living agent of this id or name.

    Raises:
        UnknownAgent: there is none, or more than one.
    """
    if target in state.agents:
        if is_living(state, target):
            return target
        status = state.agents[target].status
        raise UnknownAgent(f"Agent {target} is {status}; it reads nothing until it is restarted.")
    found = [
        name
        for name, agent in state.agents.items()
        if agent.spec.name == target and is_living(state, name)
    ]
    if len(found) == 1:
        return found[0]
    if found:
        raise UnknownAgent(
            f"{len(found)} agents are called {target}.", hint=f"Use an id: {', '.join(found[:5])}."
        )
    raise UnknownAgent(f"No living agent has the id or name {target}.")


def _allowed(
    state: SwarmState, letter: Letter, wanted: list[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Those that it may go to by the topology in force, and those that it may not."""
    if letter.external:
        return tuple(wanted), ()
    to: list[str] = []
    withheld: list[str] = []
    rule = ""
    for agent in wanted:
        why = may_speak(state, letter.sender, agent)
        if why is None:
            to.append(agent)
        else:
            withheld.append(agent)
            rule = rule or why
    if withheld and not to:
        refused = me.MailRefused(
            id=letter.id,
            sender=letter.sender,
            target=letter.target,
            rule=rule,
            task=letter.task,
            attempt=letter.attempt,
            by=letter.by,
        )
        raise RefusedOnRecord(refused, NOT_ALLOWED, rule)
    return tuple(to), tuple(withheld)


def _with_room(
    state: SwarmState, letter: Letter, to: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Those that have room for it, and those that have not."""
    size = m.size_of(letter)
    full = tuple(agent for agent in to if not _has_room(state.mail, agent, size))
    if full and len(full) == len(to):
        who = full[0] if len(full) == 1 else f"each of {len(full)} agents"
        raise InboxFull(
            f"The inbox of {who} is full: it holds {INBOX_MAX} messages, and {INBOX_BYTES_MAX} "
            f"bytes of contents up to {INLINE_BYTES_MAX} bytes each.",
            hint=f"Send it again after {INBOX_FULL_RETRY_MS} ms, once some were acknowledged.",
        )
    return tuple(agent for agent in to if agent not in full) if full else to, full


def _has_room(mail: m.Mail, agent: str, size: int) -> bool:
    inbox = mail.inboxes.get(agent)
    if inbox is None:
        return True
    return len(inbox.deliveries) < INBOX_MAX and inbox.size + size <= INBOX_BYTES_MAX


# What becomes of it ----------------------------------------------------------------------------


def takeable(state: SwarmState, command: mc.TakeMail) -> tuple[int, ...]:
    """Of deliveries to be acknowledged, those that still wait."""
    inbox = state.mail.inboxes.get(command.agent)
    if inbox is None:
        return ()
    return tuple(each for each in dict.fromkeys(command.deliveries) if each in inbox.deliveries)


@decides(mc.TakeMail)
def _(state: SwarmState, command: mc.TakeMail) -> Events:
    taken = takeable(state, command)
    if not taken:
        return []
    return [
        me.MailTaken(agent=command.agent, deliveries=taken, by=command.by, command=command.command)
    ]


@decides(mc.ReportMailFailed)
def _(state: SwarmState, command: mc.ReportMailFailed) -> Events:
    agent, number = command.agent, command.delivery
    inbox = state.mail.inboxes.get(agent)
    delivery = None if inbox is None else inbox.deliveries.get(number)
    if delivery is None:
        return []
    failures, reason = delivery.failures + 1, command.reason[:REASON_CHARS_MAX]
    failed = me.MailFailed(
        agent=agent,
        delivery=number,
        again=state.mail.number + 1,
        failures=failures,
        reason=reason,
    )
    if failures < MAIL_FAILURES_MAX and not command.for_good:
        return [failed]
    dead = me.MailDead(
        agent=agent,
        deliveries=(failed.again,),
        reason=DeadReason.HANDLER_FAILED,
        note=reason,
    )
    return [failed, dead]


@decides(mc.ReportHandling)
def _(state: SwarmState, command: mc.ReportHandling) -> Events:
    agent, worker = state.agents.get(command.agent), state.workers.get(command.worker)
    if agent is None or worker is None or agent.worker != command.worker:
        return []
    if worker.status is not WorkerStatus.JOINED or worker.incarnation != command.incarnation:
        return []
    life = (command.worker, command.incarnation)
    if state.mail.handling.get(command.agent) == life:
        return []
    return [
        me.MailHandled(agent=command.agent, worker=command.worker, incarnation=command.incarnation)
    ]


@decides(mc.SubscribeTopic)
def _(state: SwarmState, command: mc.SubscribeTopic) -> Events:
    agent, pattern = command.agent, command.pattern
    if not is_living(state, agent):
        raise UnknownAgent(f"Agent {agent} is not alive, so it gets nothing.")
    if len(pattern) > WORD_CHARS_MAX or not is_pattern(pattern):
        raise Refused(
            f"{pattern!r:.100} is no pattern of topics: words with dots between, of which `*` "
            "stands for one and a last `>` for one or more.",
            code="usage",
        )
    known = state.mail.subscriptions.get(agent, {})
    if (pattern in known) is command.on:
        return []
    if command.on and len(known) >= SUBSCRIPTIONS_MAX:
        raise LimitReached(f"{agent} has {len(known)} subscriptions; that is the most.")
    return [me.MailSubscribed(agent=agent, pattern=pattern, on=command.on)]


class Sent(Answer, frozen=True, gc=False):
    """The answer to a message that was sent, now or before: so many agents got it."""

    count: int = 0


class Again(Answer, frozen=True, gc=False):
    """The answer to the report that a handler failed: the delivery's new id; 0: there is none."""

    count: int = 0


def _sent(state: SwarmState, command: mc.SendMail, events: Events) -> Sent:
    name = command.letter.id
    for event in events:
        if isinstance(event, me.MailSent):
            return Sent(command.now_ms, name, count=len(event.to))
    return Sent(command.now_ms, name, count=state.mail.seen.get(name, 0))


def _taken(_: SwarmState, command: mc.TakeMail, events: Events) -> Answer:
    taken = [event.deliveries for event in events if isinstance(event, me.MailTaken)]
    return Answer(command.now_ms, ",".join(str(each) for one in taken for each in one))


def _again(state: SwarmState, command: mc.ReportMailFailed, events: Events) -> Again:
    for event in events:
        if isinstance(event, me.MailFailed) and len(events) == 1:
            return Again(command.now_ms, count=event.again)
    inbox = state.mail.inboxes.get(command.agent)
    if not events and inbox is not None:
        # It may be the same report once more.
        for number, each in inbox.deliveries.items():
            if each.was == command.delivery:
                return Again(command.now_ms, count=number)
    return Again(command.now_ms)


ANSWERS: dict[type[Command], Callable[[SwarmState, Any, Events], Answer]] = {
    mc.SendMail: _sent,
    mc.TakeMail: _taken,
    mc.ReportMailFailed: _again,
}
"""What the answer to a command is that was not refused, by its events, which are not folded yet."""


# Time, and who is gone -------------------------------------------------------------------------


def is_due(state: SwarmState, now_ms: int) -> bool:
    """Whether a message is of no use any more, or nobody waits for an answer any more."""
    due_ms = state.mail_alarm.next_ms()
    return due_ms is not None and due_ms <= now_ms


def end_due(state: SwarmState, now_ms: int) -> Events:
    """What of it is over now."""
    expired: dict[str, list[int]] = {}
    requests: list[str] = []
    for at_ms, name in state.mail_alarm.due(now_ms):
        if m.over_at(state.mail, name) != at_ms:
            continue
        if name.startswith("?"):
            requests.append(name[1:])
        else:
            number, _, agent = name.partition("/")
            expired.setdefault(agent, []).append(int(number))
    events: Events = [
        me.MailDead(agent=agent, deliveries=tuple(numbers), reason=DeadReason.EXPIRED)
        for agent, numbers in expired.items()
    ]
    if requests:
        events.append(me.RequestsForgotten(requests=tuple(requests)))
    return events


def next_orphan(state: SwarmState) -> me.MailDead:
    """The inbox of an agent that is gone: all of it will not be read."""
    agent = next(iter(state.mail.orphans))
    numbers = tuple(state.mail.inboxes[agent].deliveries)
    return me.MailDead(agent=agent, deliveries=numbers, reason=DeadReason.AGENT_GONE)
