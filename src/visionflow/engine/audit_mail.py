"""What must always hold of the mail between agents."""

from collections.abc import Iterator

from visionflow.domain.limits import DEAD_LETTERS_MAX, INBOX_BYTES_MAX, INBOX_MAX
from visionflow.engine.mail import deadlines, size_of
from visionflow.engine.state import SwarmState


def mail_faults(state: SwarmState) -> Iterator[str]:
    """Every invariant of it that does not hold, one sentence each."""
    mail = state.mail
    if not mail.number and not mail.handling and not mail.subscriptions:
        return
    numbers: dict[int, str] = {}
    for agent, inbox in mail.inboxes.items():
        if agent not in state.agents:
            yield f"agent {agent} is gone and has an inbox"
        if not inbox.deliveries:
            yield f"agent {agent} has an inbox with nothing in it"
        if len(inbox.deliveries) > INBOX_MAX or inbox.size > INBOX_BYTES_MAX:
            yield f"the inbox of {agent} holds {len(inbox.deliveries)}, {inbox.size} bytes"
        size = sum(size_of(each.letter) for each in inbox.deliveries.values())
        if size != inbox.size:
            yield f"the inbox of {agent} counts {inbox.size} bytes, there are {size}"
        for number in inbox.deliveries:
            if number in numbers:
                yield f"delivery {number} is in the inboxes of {numbers[number]} and {agent}"
            numbers[number] = agent
    if len(numbers) != mail.open:
        yield f"{mail.open} deliveries are counted, there are {len(numbers)}"
    if max((*numbers, *mail.dead), default=0) > mail.number:
        yield f"a delivery has a higher number than the last, {mail.number}"
    for number in mail.dead:
        if number in numbers:
            yield f"delivery {number} is dead and in the inbox of {numbers[number]}"
    if len(mail.dead) > DEAD_LETTERS_MAX:
        yield f"{len(mail.dead)} dead letters are kept"
    for agent in (*mail.handling, *mail.subscriptions):
        if agent not in state.agents:
            yield f"agent {agent} is gone and gets messages"
    if mail.orphans:
        yield f"what waited for {next(iter(mail.orphans))}, which is gone, is not dead"
    yield from _alarms(state)


def _alarms(state: SwarmState) -> Iterator[str]:
    known = set(state.mail_alarm.due(2**63))
    for at_ms, name in deadlines(state.mail):
        if (at_ms, name) not in known:
            yield f"nothing will end {name} of the mail at {at_ms}"
