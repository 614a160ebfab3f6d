"""What a log line tells of each event of the mail between agents. Contents are not told."""

from visionflow.domain import mail_events as me
from visionflow.runtime.chronicle_words import (
    REASON_CHARS_MAX,
    TEXT_CHARS_MAX,
    Known,
    Told,
    one_line,
    tells,
)


def _names(event: me.MailSent | me.MailRefused) -> tuple[str, str]:
    """Who sent it, where that is an agent, and in words."""
    letter = event.letter if isinstance(event, me.MailSent) else None
    sender = event.sender if isinstance(event, me.MailRefused) else event.letter.sender
    target = event.target if isinstance(event, me.MailRefused) else event.letter.target
    external = letter is not None and letter.external
    told = f"{one_line(sender, TEXT_CHARS_MAX)} to {one_line(target, TEXT_CHARS_MAX)}"
    return "" if external else sender, told


@tells("debug", "agent", me.MailSent)
def _(event: me.MailSent, known: Known) -> Told:
    agent, names = _names(event)
    letter = event.letter
    told = f"{letter.id} ({one_line(letter.type, TEXT_CHARS_MAX)}) of {names}"
    message = f"{told}: {len(event.to)} got it"
    if event.withheld:
        message += f", {len(event.withheld)} may not by the topology"
    return Told(agent or None, "mail_sent", message)


@tells("warning", "fault", me.MailRefused)
def _(event: me.MailRefused, known: Known) -> Told:
    agent, names = _names(event)
    rule = one_line(event.rule, REASON_CHARS_MAX)
    return Told(agent or None, "mail_refused", f"{event.id} of {names} is not sent: {rule}")


@tells("warning", "fault", me.MailFailed)
def _(event: me.MailFailed, known: Known) -> Told:
    why = one_line(event.reason, REASON_CHARS_MAX)
    told = f"delivery {event.delivery}, failure {event.failures} of its handler: {why}"
    return Told(event.agent, "mail_failed", told)


@tells("warning", "fault", me.MailDead)
def _(event: me.MailDead, known: Known) -> Told:
    count = len(event.deliveries)
    told = "1 message is" if count == 1 else f"{count} messages are"
    note = f": {one_line(event.note, REASON_CHARS_MAX)}" if event.note else ""
    return Told(event.agent, "mail_dead", f"{told} not read any more, {event.reason}{note}")
