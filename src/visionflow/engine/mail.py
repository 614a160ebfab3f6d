"""What the state of a swarm knows of the mail between its agents. Facts, like those of `state`."""

from collections.abc import Iterator

import msgspec

from visionflow.domain.mail import DeadReason, Letter

Life = tuple[str, int]
"""A process that an agent is in: its worker and incarnation."""


class Delivery(msgspec.Struct, gc=False, omit_defaults=True):
    """A message in an inbox."""

    letter: Letter
    failures: int = 0
    """How often its agent could not deal with it."""
    was: int = 0
    """Its delivery id before the last failure."""
    life: Life | None = None
    """The first process that it was given to; one that came later is told that it may have been
    read before."""


class Inbox(msgspec.Struct, gc=False, omit_defaults=True):
    """The messages that wait for an agent, in order, by delivery id."""

    deliveries: dict[int, Delivery]
    size: int = 0
    """Bytes of their contents that are kept here."""


class DeadLetter(msgspec.Struct, gc=False, omit_defaults=True):
    """A message that will not be read any more."""

    letter: Letter
    agent: str
    reason: DeadReason
    at_ms: int
    note: str = ""
    failures: int = 0


class RequestState(msgspec.Struct, gc=False, omit_defaults=True):
    """A message that wants an answer."""

    sender: str
    to: tuple[str, ...]
    until_ms: int
    answer: Letter | None = None


class Mail(msgspec.Struct, gc=False, omit_defaults=True):
    """Empty while nobody sent a message, and then no part of the digest."""

    number: int = 0
    """The last delivery id."""
    open: int = 0
    """Deliveries in all inboxes."""
    inboxes: dict[str, Inbox] = {}
    """Of agents for which something waits."""
    handling: dict[str, Life] = {}
    """Agents that handle their messages themselves, with the process that said so last."""
    subscriptions: dict[str, dict[str, None]] = {}
    """Patterns of topics, by agent."""
    seen: dict[str, int] = {}
    """Ids of messages that were sent, oldest first, with how many agents got them."""
    dead: dict[int, DeadLetter] = {}
    """By delivery id, oldest first."""
    requests: dict[str, RequestState] = {}
    """By id of the message."""
    orphans: dict[str, None] = {}
    """Agents that are gone and whose inbox is not empty: for an instant."""


def size_of(letter: Letter) -> int:
    """Bytes of a message's content that stand in the state."""
    return len(letter.content.inline or b"")


def deadlines(mail: Mail) -> Iterator[tuple[int, str]]:
    """When each message and request is over, as an alarm knows it."""
    for agent, inbox in mail.inboxes.items():
        for number, delivery in inbox.deliveries.items():
            yield delivery.letter.expires_ms, alarm_name(number, agent)
    for name, request in mail.requests.items():
        yield request.until_ms, f"?{name}"


def alarm_name(delivery: int, agent: str) -> str:
    """How an alarm knows a delivery."""
    return f"{delivery}/{agent}"


def over_at(mail: Mail, name: str) -> int | None:
    """When what an alarm names is over; `None`: it is over already."""
    if name.startswith("?"):
        request = mail.requests.get(name[1:])
        return None if request is None else request.until_ms
    number, _, agent = name.partition("/")
    inbox = mail.inboxes.get(agent)
    found = None if inbox is None else inbox.deliveries.get(int(number))
    return None if found is None else found.letter.expires_ms


def may_be_read(mail: Mail, agent: str, delivery: Delivery) -> bool:
    """Whether a message may have been handed over before: to an earlier life of its agent, or to a
    handler that failed with it."""
    if delivery.failures:
        return True
    return delivery.life is not None and delivery.life != mail.handling.get(agent)
