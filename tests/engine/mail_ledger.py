"""What mail must still be handed to workers, worked out from the events alone."""

from visionflow.domain import events as e
from visionflow.domain import mail_events as me
from visionflow.domain.events import AnyEvent


class MailLedger:
    """Follows the events of a log."""

    def __init__(self) -> None:
        self.boxes: dict[str, list[int]] = {}
        self.handles: dict[str, tuple[str, int]] = {}

    def see(self, event: AnyEvent) -> None:
        """Take one event into account."""
        if isinstance(event, me.MailSent) and event.first:
            for number, agent in enumerate(event.to, event.first):
                self.boxes.setdefault(agent, []).append(number)
        elif isinstance(event, me.MailTaken | me.MailDead):
            box = self.boxes[event.agent]
            self.boxes[event.agent] = [each for each in box if each not in event.deliveries]
        elif isinstance(event, me.MailFailed):
            box = self.boxes[event.agent]
            box[box.index(event.delivery)] = event.again
        elif isinstance(event, me.MailHandled):
            self.handles[event.agent] = (event.worker, event.incarnation)
        elif isinstance(event, e.AgentTerminated):
            self.handles.pop(event.agent, None)

    def wanted(self, agent: str, worker: str, incarnation: int) -> set[tuple[str, ...]]:
        """What is to be handed to an agent that is up in this process."""
        if self.handles.get(agent) != (worker, incarnation):
            return set()
        numbers = self.boxes.get(agent, ())
        return {("Hand", worker, str(incarnation), agent, str(number)) for number in numbers}
