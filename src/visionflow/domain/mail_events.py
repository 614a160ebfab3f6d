"""Events of the mail between agents."""

from visionflow.domain.event import Event
from visionflow.domain.mail import DeadReason, Letter


class MailSent(Event, frozen=True, tag="mail_sent"):
    """A message is in the inboxes of these agents, and of no others."""

    letter: Letter
    to: tuple[str, ...] = ()
    first: int = 0
    """The delivery id of the first of them; each further one has the next number. 0: it is the
    answer to a request, kept for who asked."""
    withheld: tuple[str, ...] = ()
    """Agents that it was meant for as well, and that its sender may not talk to."""
    full: tuple[str, ...] = ()
    """Agents whose inbox has no room; each has the next delivery ids, as dead letters."""
    command: str | None = None


class MailRefused(Event, frozen=True, tag="mail_refused"):
    """A message was not sent: the topology's rules are against it."""

    id: str
    sender: str
    target: str
    rule: str
    """Which one, and what to do."""
    task: str = ""
    attempt: int = 0
    by: str = ""


class MailTaken(Event, frozen=True, tag="mail_taken"):
    """These deliveries were read and acknowledged."""

    agent: str
    deliveries: tuple[int, ...]
    by: str = ""
    """The client that did so; empty: the agent itself."""
    command: str | None = None


class MailFailed(Event, frozen=True, tag="mail_failed"):
    """An agent could not deal with a message. It stays at its place under another delivery id."""

    agent: str
    delivery: int
    again: int
    """Its new delivery id."""
    failures: int
    reason: str


class MailDead(Event, frozen=True, tag="mail_dead"):
    """These deliveries will not be read any more; they are kept as dead letters."""

    agent: str
    deliveries: tuple[int, ...]
    reason: DeadReason
    note: str = ""


class MailHandled(Event, frozen=True, tag="mail_handled"):
    """An agent that handles its messages itself was built: from here on they are given to it."""

    agent: str
    worker: str
    incarnation: int


class MailSubscribed(Event, frozen=True, tag="mail_subscribed"):
    """What is published under topics of this pattern goes to this agent too, or does no more."""

    agent: str
    pattern: str
    on: bool = True


class RequestsForgotten(Event, frozen=True, tag="requests_forgotten"):
    """Nobody waits for an answer to these requests any more."""

    requests: tuple[str, ...]


MailEvent = (
    MailSent
    | MailRefused
    | MailTaken
    | MailFailed
    | MailDead
    | MailHandled
    | MailSubscribed
    | RequestsForgotten
)
