"""Folds of what happens to the mail between agents."""

from collections.abc import Iterable

from visionflow.domain import mail_events as me
from visionflow.domain.agents import WorkerStatus
from visionflow.domain.limits import DEAD_LETTERS_MAX, MAIL_SEEN_MAX
from visionflow.domain.mail import DeadReason
from visionflow.engine import mail as m
from visionflow.engine.evolve.table import answer, folds
from visionflow.engine.state import Answer, SwarmState
from visionflow.engine.timing import Alarm

STALE_ALARMS_MAX = 1_024
"""Beyond this many, and as many again as there are messages, alarms are made anew."""


@folds(me.MailSent)
def _(state: SwarmState, event: me.MailSent) -> None:
    mail, letter = state.mail, event.letter
    answer(state, event.command, Answer(state.now_ms, letter.id))
    _remember(mail, letter.id, len(event.to))
    if not letter.external and any(each in state.agents for each in event.to):
        state.totals.messages += 1
    if letter.answers:
        mail.requests[letter.answers].answer = letter
        return
    number = event.first
    for agent in event.to:
        _put(state, agent, number, m.Delivery(letter, life=_life_of(state, agent)))
        number += 1
    for agent in event.full:
        _bury(state, number, m.DeadLetter(letter, agent, DeadReason.INBOX_FULL, state.now_ms))
        number += 1
    mail.number = max(mail.number, number - 1)
    if letter.answer_by_ms:
        mail.requests[letter.id] = m.RequestState(letter.sender, event.to, letter.answer_by_ms)
        state.mail_alarm.set(letter.answer_by_ms, f"?{letter.id}")


def _remember(mail: m.Mail, name: str, count: int) -> None:
    mail.seen[name] = count
    if len(mail.seen) > MAIL_SEEN_MAX:
        del mail.seen[next(iter(mail.seen))]


def _life_of(state: SwarmState, agent: str) -> m.Life | None:
    """The process that a message is given to now, if there is one."""
    life = state.mail.handling.get(agent)
    if life is None:
        return None
    worker = state.workers.get(life[0])
    if worker is None or worker.status is not WorkerStatus.JOINED:
        return None
    return life if worker.incarnation == life[1] else None


def _put(state: SwarmState, agent: str, number: int, delivery: m.Delivery) -> None:
    mail = state.mail
    inbox = mail.inboxes.get(agent)
    if inbox is None:
        inbox = mail.inboxes[agent] = m.Inbox({})
    inbox.deliveries[number] = delivery
    inbox.size += m.size_of(delivery.letter)
    mail.open += 1
    state.mail_alarm.set(delivery.letter.expires_ms, m.alarm_name(number, agent))


def _take_out(state: SwarmState, agent: str, numbers: Iterable[int]) -> list[m.Delivery]:
    mail = state.mail
    inbox = mail.inboxes[agent]
    found: list[m.Delivery] = []
    for number in numbers:
        delivery = inbox.deliveries.pop(number)
        inbox.size -= m.size_of(delivery.letter)
        mail.open -= 1
        found.append(delivery)
    if not inbox.deliveries:
        del mail.inboxes[agent]
        mail.orphans.pop(agent, None)
    trim(state)
    return found


def _bury(state: SwarmState, number: int, dead: m.DeadLetter) -> None:
    kept = state.mail.dead
    kept[number] = dead
    if len(kept) > DEAD_LETTERS_MAX:
        del kept[next(iter(kept))]


def trim(state: SwarmState) -> None:
    """Drop alarms of what is over."""
    mail, alarm = state.mail, state.mail_alarm
    alarm.trim(lambda at_ms, name: m.over_at(mail, name) == at_ms)
    live = mail.open + len(mail.requests)
    if len(alarm) > STALE_ALARMS_MAX + 2 * live:
        fresh = state.mail_alarm = Alarm()
        for at_ms, name in m.deadlines(mail):
            fresh.set(at_ms, name)


@folds(me.MailRefused)
def _(state: SwarmState, event: me.MailRefused) -> None:
    state.counters.refusals += 1


@folds(me.MailTaken)
def _(state: SwarmState, event: me.MailTaken) -> None:
    told = ",".join(map(str, event.deliveries))
    answer(state, event.command, Answer(state.now_ms, told))
    if event.deliveries:
        _take_out(state, event.agent, event.deliveries)


@folds(me.MailFailed)
def _(state: SwarmState, event: me.MailFailed) -> None:
    """The message keeps its place: what its sender sent after it comes after it."""
    mail = state.mail
    inbox = mail.inboxes[event.agent]
    delivery = inbox.deliveries[event.delivery]
    delivery.failures, delivery.was = event.failures, event.delivery
    inbox.deliveries = {
        event.again if number == event.delivery else number: each
        for number, each in inbox.deliveries.items()
    }
    mail.number = max(mail.number, event.again)
    state.mail_alarm.set(delivery.letter.expires_ms, m.alarm_name(event.again, event.agent))
    trim(state)


@folds(me.MailDead)
def _(state: SwarmState, event: me.MailDead) -> None:
    found = _take_out(state, event.agent, event.deliveries)
    for number, each in zip(event.deliveries, found, strict=True):
        dead = m.DeadLetter(
            each.letter, event.agent, event.reason, state.now_ms, event.note, each.failures
        )
        _bury(state, number, dead)


@folds(me.MailHandled)
def _(state: SwarmState, event: me.MailHandled) -> None:
    life = state.mail.handling[event.agent] = (event.worker, event.incarnation)
    inbox = state.mail.inboxes.get(event.agent)
    if inbox is not None:
        for delivery in inbox.deliveries.values():
            if delivery.life is None:
                delivery.life = life


@folds(me.MailSubscribed)
def _(state: SwarmState, event: me.MailSubscribed) -> None:
    patterns = state.mail.subscriptions.setdefault(event.agent, {})
    if event.on:
        patterns[event.pattern] = None
    else:
        del patterns[event.pattern]
    if not patterns:
        del state.mail.subscriptions[event.agent]


@folds(me.RequestsForgotten)
def _(state: SwarmState, event: me.RequestsForgotten) -> None:
    for name in event.requests:
        del state.mail.requests[name]
    trim(state)


def agent_gone(state: SwarmState, agent: str) -> None:
    """An agent is no more: what waits for it will not be read."""
    mail = state.mail
    mail.handling.pop(agent, None)
    mail.subscriptions.pop(agent, None)
    if agent in mail.inboxes:
        mail.orphans[agent] = None
