"""The orchestrator's end of mail: what agents send and ask in, answers, messages and events out,
each once what it says is durable.

Workers repeat what was not answered when they dial again, and say again which events their agents
want, so nothing here has to survive.
"""

from collections.abc import Callable
from functools import partial

from visionflow.domain import events as e
from visionflow.domain import mail_commands as mc
from visionflow.domain import mail_events as me
from visionflow.domain import messages as m
from visionflow.domain.errors import InboxFull, NoAnswer
from visionflow.domain.events import AnyEvent
from visionflow.domain.limits import INBOX_FULL_RETRY_MS, MAIL_TTL_MS
from visionflow.domain.mail import Letter
from visionflow.domain.tasks import is_failure
from visionflow.engine.decide.mail import Again, Sent
from visionflow.engine.mail import Mail, may_be_read
from visionflow.engine.state import Answer, SwarmState
from visionflow.ports.host import Host
from visionflow.runtime.control_plane import ControlPlane

MailMessage = m.MailHanded | m.MailAnswer | m.MailReply | m.InboxAnswer | m.EventTold
"""What workers are told."""
INBOX_READ_MAX = 200
"""Messages that are read at once."""
INBOX_READ_BYTES_MAX = 1_048_576
_TOLD = (
    e.TaskCompleted,
    e.TaskFailed,
    e.TaskDeadLettered,
    e.AgentSpawned,
    e.AgentTerminated,
    e.AgentFailed,
    e.AgentErrored,
    e.AttemptFailed,
    e.WorkerLost,
)


class MailRoom:
    """Belongs to the loop's thread."""

    def __init__(
        self, control: ControlPlane, host: Host, send: Callable[[str, MailMessage], None]
    ) -> None:
        """`send` is called with a worker and what it is told, if it is there."""
        self._control = control
        self._host = host
        self._send = send
        self._awaited: dict[str, dict[tuple[str, m.ReplyAwaited], None]] = {}
        """By request, who waits for its answer, and in which worker."""
        self._wanted: dict[str, tuple[str, tuple[str, ...]]] = {}
        """By agent, the events that it wants to hear, and its worker."""
        control.on_commit.append(self._committed)

    @property
    def _state(self) -> SwarmState:
        return self._control.state

    def take(self, worker: str, message: object) -> bool:
        """Have a message of a worker decided; whether it is one of these."""
        match message:
            case m.MailAsked():
                self._sent(worker, message)
            case m.MailDone():
                self._done(worker, message)
            case m.MailTrouble():
                self._trouble(worker, message)
            case m.MailHandles():
                self._handles(worker, message)
            case m.TopicWanted():
                self._topic(worker, message)
            case m.ReplyAwaited():
                self._control.in_order(lambda _: self._await(worker, message))
            case m.InboxAsked():
                self._look(worker, message)
            case m.EventsWanted():
                self._wanted[message.agent] = (worker, message.types)
            case _:
                return False
        return True

    # Sending ---------------------------------------------------------------------------------

    def _sent(self, worker: str, asked: m.MailAsked) -> None:
        now_ms = self._host.now_ms()
        letter = Letter(
            id=asked.id,
            sender=asked.agent,
            target=asked.target,
            sent_ms=now_ms,
            type=asked.type,
            content=asked.content,
            expires_ms=now_ms + (asked.ttl_ms or MAIL_TTL_MS),
            priority=asked.priority,
            correlation=asked.correlation,
            answers=asked.answers,
            answer_by_ms=now_ms + asked.answer_ms if asked.answer_ms else 0,
            task=asked.task,
            attempt=asked.attempt,
        )
        self._ask(worker, mc.SendMail(now_ms=now_ms, letter=letter), asked)

    def _done(self, worker: str, done: m.MailDone) -> None:
        command = mc.TakeMail(
            now_ms=self._host.now_ms(), agent=done.agent, deliveries=done.deliveries
        )
        if done.id:
            self._ask(worker, command, done)
        else:
            self._control.offer(command, bounded=False)

    def _topic(self, worker: str, wanted: m.TopicWanted) -> None:
        command = mc.SubscribeTopic(
            now_ms=self._host.now_ms(), agent=wanted.agent, pattern=wanted.pattern, on=wanted.on
        )
        self._ask(worker, command, wanted)

    def _trouble(self, worker: str, trouble: m.MailTrouble) -> None:
        command = mc.ReportMailFailed(
            now_ms=self._host.now_ms(),
            agent=trouble.agent,
            delivery=trouble.delivery,
            reason=trouble.reason,
            for_good=trouble.for_good,
        )
        self._ask(worker, command, trouble)

    def _ask(
        self,
        worker: str,
        command: mc.MailCommand,
        asked: m.MailAsked | m.MailDone | m.TopicWanted | m.MailTrouble,
    ) -> None:
        task, attempt = "", 0
        if not isinstance(asked, m.MailTrouble):
            task, attempt = asked.task, asked.attempt

        def answered(answer: Answer) -> None:
            count = answer.count if isinstance(answer, Sent | Again) else 0
            told = m.MailAnswer(
                asked.id,
                asked.agent,
                task,
                attempt,
                count,
                answer.code or "",
                answer.message or "",
                INBOX_FULL_RETRY_MS if answer.code == InboxFull.code else 0,
            )
            self._send(worker, told)

        self._control.offer(command, answered, bounded=False)

    def _handles(self, worker: str, message: m.MailHandles) -> None:
        place = self._state.workers.get(worker)
        if place is not None:
            command = mc.ReportHandling(
                now_ms=self._host.now_ms(),
                agent=message.agent,
                worker=worker,
                incarnation=place.incarnation,
            )
            self._control.offer(command, bounded=False)

    # Reading ---------------------------------------------------------------------------------

    def _await(self, worker: str, awaited: m.ReplyAwaited) -> None:
        """Its answer may be of a record that is on its way, or come with a later one."""
        request = self._state.mail.requests.get(awaited.request)
        if request is None:
            self._send(worker, self._no_answer(awaited))
            return
        self._awaited.setdefault(awaited.request, {})[worker, awaited] = None
        if request.answer is not None:
            self._control.after_commit(partial(self._reply, awaited.request, request.answer))

    def _reply(self, request: str, letter: Letter | None) -> None:
        for worker, awaited in self._awaited.pop(request, {}):
            told = self._no_answer(awaited) if letter is None else _reply_to(awaited, letter)
            self._send(worker, told)

    def _no_answer(self, awaited: m.ReplyAwaited) -> m.MailReply:
        why = f"Nobody answered {awaited.request} in time, or its answer was kept for too short."
        return m.MailReply(
            awaited.request,
            awaited.agent,
            awaited.task,
            awaited.attempt,
            code=NoAnswer.code,
            reason=why,
        )

    def _look(self, worker: str, asked: m.InboxAsked) -> None:
        mail = self._state.mail
        inbox = mail.inboxes.get(asked.agent)
        handed: list[m.MailHanded] = []
        size = 0
        for number, each in () if inbox is None else inbox.deliveries.items():
            size += len(each.letter.content.inline or b"")
            if len(handed) >= min(asked.limit, INBOX_READ_MAX):
                break
            if handed and size > INBOX_READ_BYTES_MAX:
                break
            read = may_be_read(mail, asked.agent, each)
            handed.append(m.MailHanded(asked.agent, number, each.letter, read, each.failures))
        answer = m.InboxAnswer(asked.number, asked.agent, asked.task, asked.attempt, tuple(handed))
        # What the state holds may not be durable yet.
        self._control.after_commit(lambda: self._send(worker, answer))

    # What is durable -------------------------------------------------------------------------

    def _committed(self, seq: int, at_ms: int, events: list[AnyEvent]) -> None:
        if self._awaited:
            for event in events:
                if isinstance(event, me.MailSent) and event.letter.answers:
                    self._reply(event.letter.answers, event.letter)
                elif isinstance(event, me.RequestsForgotten):
                    for request in event.requests:
                        self._reply(request, None)
        if self._wanted:
            for event in events:
                if isinstance(event, _TOLD):
                    self._tell(seq, at_ms, event)

    def _tell(self, seq: int, at_ms: int, event: AnyEvent) -> None:
        for told in told_of(event, seq, at_ms):
            workers = {
                worker: None for worker, types in self._wanted.values() if told.type in types
            }
            for worker in workers:
                self._send(worker, told)
        if isinstance(event, e.AgentTerminated):
            self._wanted.pop(event.agent, None)


def handed_of(mail: Mail, agent: str, number: int) -> m.MailHanded | None:
    """A message as its agent's worker gets it; `None`: it waits no more."""
    inbox = mail.inboxes.get(agent)
    found = None if inbox is None else inbox.deliveries.get(number)
    if found is None:
        return None
    read = may_be_read(mail, agent, found)
    return m.MailHanded(agent, number, found.letter, read, found.failures)


def _reply_to(awaited: m.ReplyAwaited, letter: Letter) -> m.MailReply:
    return m.MailReply(awaited.request, awaited.agent, awaited.task, awaited.attempt, letter)


def told_of(event: AnyEvent, seq: int, at_ms: int) -> list[m.EventTold]:
    """What agents are told of an event of the log; nothing for most of them."""
    match event:
        case e.TaskCompleted():
            return [m.EventTold("task.completed", seq, at_ms, event.task)]
        case e.TaskFailed() | e.TaskDeadLettered():
            return [m.EventTold("task.failed", seq, at_ms, event.task, reason=event.reason)]
        case e.AgentSpawned():
            return [m.EventTold("agent.joined", seq, at_ms, agent=event.spec.id)]
        case e.AgentTerminated():
            return [m.EventTold("agent.left", seq, at_ms, agent=event.agent)]
        case e.AgentFailed():
            failed = (seq, at_ms, None, event.agent, event.reason)
            return [m.EventTold("agent.left", *failed), m.EventTold("error.occurred", *failed)]
        case e.AgentErrored():
            return [
                m.EventTold("error.occurred", seq, at_ms, agent=event.agent, reason=event.reason)
            ]
        case e.AttemptFailed() if is_failure(event.kind, event.excused):
            return [m.EventTold("error.occurred", seq, at_ms, task=event.task, reason=event.reason)]
        case e.WorkerLost():
            why = f"worker {event.worker} was lost: {event.reason}"
            return [m.EventTold("error.occurred", seq, at_ms, reason=why)]
        case _:
            return []
