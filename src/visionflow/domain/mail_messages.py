"""Messages between the orchestrator and its workers about mail; see `messages`."""

from visionflow.domain.mail import Letter
from visionflow.domain.message import Message
from visionflow.domain.tasks import NOTHING, Payload


class MailHanded(Message, frozen=True, tag=50):
    """To a worker: a message for an agent that handles messages itself. Repeating it changes
    nothing."""

    agent: str
    delivery: int
    letter: Letter
    redelivered: bool = False
    failures: int = 0


class MailAnswer(Message, frozen=True, tag=51):
    """To a worker: what became of what it asked under this id about mail. The message is sent, the
    subscription holds, the deliveries are acknowledged, or why not."""

    id: str
    agent: str
    task: str = ""
    attempt: int = 0
    count: int = 0
    """Of a message: so many agents got it. Of a failed delivery: its new id, 0 for a dead one."""
    code: str = ""
    reason: str = ""
    retry_after_ms: int = 0


class MailReply(Message, frozen=True, tag=52):
    """To a worker: the answer to a request, or why there is none."""

    request: str
    agent: str
    task: str = ""
    attempt: int = 0
    letter: Letter | None = None
    code: str = ""
    reason: str = ""


class InboxAnswer(Message, frozen=True, tag=53):
    """To a worker: the first messages that wait for an agent."""

    number: int
    agent: str
    task: str = ""
    attempt: int = 0
    handed: tuple[MailHanded, ...] = ()


class EventTold(Message, frozen=True, tag=54):
    """To a worker: an event of the swarm that is in the log. A signal."""

    type: str
    seq: int
    at_ms: int
    task: str | None = None
    agent: str | None = None
    reason: str = ""


class MailAsked(Message, frozen=True, tag=55):
    """An agent sends a message; answered by a MailAnswer. Repeating it changes nothing."""

    agent: str
    id: str
    target: str
    type: str
    content: Payload = NOTHING
    priority: int = 0
    correlation: str = ""
    answers: str = ""
    ttl_ms: int = 0
    answer_ms: int = 0
    task: str = ""
    attempt: int = 0


class MailDone(Message, frozen=True, tag=56):
    """An agent dealt with these deliveries. Where `id` is given it is answered by a MailAnswer."""

    agent: str
    deliveries: tuple[int, ...]
    id: str = ""
    task: str = ""
    attempt: int = 0


class MailTrouble(Message, frozen=True, tag=57):
    """An agent's handler failed with a delivery; answered by a MailAnswer of this id."""

    id: str
    agent: str
    delivery: int
    reason: str
    for_good: bool = False


class MailHandles(Message, frozen=True, tag=58):
    """An agent that was built handles its messages itself."""

    agent: str


class TopicWanted(Message, frozen=True, tag=59):
    """An agent wants what is published under such topics, or no more; answered by a MailAnswer of
    this id."""

    id: str
    agent: str
    pattern: str
    on: bool = True
    task: str = ""
    attempt: int = 0


class ReplyAwaited(Message, frozen=True, tag=80):
    """An agent waits for the answer to a request; answered by a MailReply."""

    request: str
    agent: str
    task: str = ""
    attempt: int = 0


class InboxAsked(Message, frozen=True, tag=81):
    """An agent looks into its inbox; answered by an InboxAnswer."""

    number: int
    agent: str
    limit: int
    task: str = ""
    attempt: int = 0


class EventsWanted(Message, frozen=True, tag=82):
    """An agent wants to be told of such events of the swarm. It is said again over each new
    connection."""

    agent: str
    types: tuple[str, ...]
