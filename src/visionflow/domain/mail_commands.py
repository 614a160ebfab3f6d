"""Commands about mail between agents."""

from visionflow.domain.command import Command
from visionflow.domain.mail import Letter


class SendMail(Command, frozen=True, tag="send_mail"):
    """Put a message into the inboxes of those that it is for. One whose id is known already is
    not sent again."""

    letter: Letter


class TakeMail(Command, frozen=True, tag="take_mail"):
    """Acknowledge deliveries: they leave the inbox. What has left it before changes nothing."""

    agent: str
    deliveries: tuple[int, ...]
    by: str = ""


class ReportMailFailed(Command, frozen=True, tag="report_mail_failed"):
    """An agent's handler failed with a delivery; `for_good`: trying again cannot help."""

    agent: str
    delivery: int
    reason: str
    for_good: bool = False


class ReportHandling(Command, frozen=True, tag="report_handling"):
    """A worker says that an agent in it handles its messages itself."""

    agent: str
    worker: str
    incarnation: int


class SubscribeTopic(Command, frozen=True, tag="subscribe_topic"):
    """Have an agent get what is published under topics of this pattern, or no more."""

    agent: str
    pattern: str
    on: bool = True


MailCommand = SendMail | TakeMail | ReportMailFailed | ReportHandling | SubscribeTopic
