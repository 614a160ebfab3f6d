"""Agents that send each other messages, on a machine that loses, delays and repeats what they say.

The real orchestrator and workers, as in every seed. What agents are handed is compared with the
log: nothing before it is durable, nothing twice under one delivery id in one life, and what one
sender sent in its order; and in the end nothing that was sent to a living inbox is missing.
"""

import asyncio
from collections import Counter
from typing import ClassVar, Protocol

import msgspec

from visionflow.agents.base import BaseAgent
from visionflow.agents.messages import Message
from visionflow.agents.task import Task
from visionflow.domain import messages as m
from visionflow.domain.errors import NoAnswer, Refused
from visionflow.testing.checkers import LogCheck
from visionflow.testing.simulator.kernel import Kernel, Process

STAYING = 4
"""The agents from this number on may be ended while messages are on their way to them."""
PATTERN = "news.>"
ANSWER_S = 20.0
MailTold = m.MailHanded | m.MailAnswer | m.MailReply
MISSING = frozenset({"not_allowed", "unknown_agent", "no_recipients"})
"""What a message to somebody who may be gone is refused with."""


class Errand(msgspec.Struct, frozen=True):
    """What an agent does with a task: whom it writes to, one after the other."""

    targets: tuple[str, ...]
    asks: tuple[str, ...] = ()
    pause_ms: int = 0


class Note(msgspec.Struct, frozen=True):
    """What is in a message."""

    word: str
    fails: bool = False
    """Its handler fails with it."""
    onward: str = ""
    """Whom its reader writes to in turn."""


def ahead_of_log(check: LogCheck, told: MailTold) -> str | None:
    """Why a worker must not be told this yet, if so."""
    mail = check.mail
    match told:
        case m.MailHanded():
            if told.delivery not in mail.places:
                return f"delivery {told.delivery} is not in the log"
        case m.MailAnswer(code="", count=count) if told.id.startswith("message_"):
            if mail.sent.get(told.id) != count:
                return f"message {told.id} is not in the log as sent to {count}"
        case m.MailReply(code=""):
            if told.request not in mail.answered:
                return f"no answer to {told.request} is in the log"
        case _:
            pass
    return None


class PostWitness:
    """Sees what agents are handed."""

    def __init__(self, kernel: Kernel, check: LogCheck) -> None:
        self._kernel = kernel
        self._check = check
        self._lives = 0
        self._handed: set[tuple[int, int]] = set()
        self._places: set[tuple[str, int]] = set()
        self._last: dict[tuple[int, str], int] = {}
        self.read: set[tuple[str, str]] = set()
        """(agent, message) that were handed over."""
        self.counts: Counter[str] = Counter()

    def born(self) -> int:
        """A new life of an agent: its number."""
        self._lives += 1
        return self._lives

    def handed(self, process: Process, life: int, agent: str, message: Message) -> None:
        """An agent is handed a message."""
        if not process.alive:
            return
        number, sender = message.delivery_id, message.from_agent
        self._kernel.trace(f"handed {agent} {number}")
        self.counts["handed"] += 1
        self.counts["handed again"] += message.redelivered
        place = self._check.mail.places.get(number)
        if place is None:
            self._kernel.fault(f"{agent} is handed delivery {number}, which is not in the log")
            return
        if (life, number) in self._handed:
            self._kernel.fault(f"{agent} is handed delivery {number} twice in one life")
        self._handed.add((life, number))
        before = self._last.get((life, sender), 0)
        if place < before:
            self._kernel.fault(f"{agent} is handed {place} of {sender} after {before}")
        self._last[life, sender] = place
        self.read.add((agent, message.message_id))
        if self._is_given_up(process, agent):
            # It stood still and does not know yet that another process took its place: what it
            # says of this message nobody hears.
            self.counts["handed in processes that were given up"] += 1
            return
        # A request whose time was over may be asked anew, which is another place.
        if (agent, place) in self._places and not message.redelivered:
            self._kernel.fault(f"{agent} is handed {message.message_id} again and is not told so")
        self._places.add((agent, place))

    def _is_given_up(self, process: Process, agent: str) -> bool:
        line = self._check.agents.get(agent)
        worker = None if line is None else self._check.workers.get(line.worker)
        return worker is None or worker.pid != process.pid


class Sight(Protocol):
    """What sees a world, as far as mail goes."""

    @property
    def post(self) -> PostWitness:
        """Sees what agents are handed."""
        ...


class Station(Protocol):
    """The process that an agent plays in."""

    @property
    def process(self) -> Process:
        """The process."""
        ...

    @property
    def witness(self) -> Sight:
        """Who sees it."""
        ...


class Postal(BaseAgent):
    """Runs errands, and reads its messages."""

    stage: ClassVar[Station]
    life = 0

    async def start(self) -> None:
        """See `BaseAgent`."""
        self.life = self.stage.witness.post.born()
        await self.subscribe(PATTERN)

    async def process_task(self, task: Task) -> int:
        """See `BaseAgent`."""
        errand, answers = msgspec.convert(task.input, Errand), 0
        for number, target in enumerate(errand.targets):
            note = Note(f"{task.id} {number}", fails=number % 7 == 5, onward=_onward(number))
            await self._write(target, note)
            await asyncio.sleep(errand.pause_ms / 1_000)
        for target in errand.asks:
            try:
                answer = await self.request(target, Note(f"{task.id} asks"), timeout=ANSWER_S)
            except (Refused, NoAnswer):
                continue
            if answer.content != f"{task.id} asks":
                raise AssertionError(f"{answer.content} answers {task.id}")
            answers += 1
        return answers

    async def _write(self, target: str, note: Note) -> None:
        try:
            await self.send_message(target, note)
        except Refused as refused:
            if refused.reason not in MISSING:
                raise

    async def handle_message(self, message: Message) -> None:
        """See `BaseAgent`."""
        stage, note = self.stage, msgspec.convert(message.content, Note)
        stage.witness.post.handed(stage.process, self.life, self.id, message)
        await asyncio.sleep((message.delivery_id % 5) / 100)
        if message.wants_answer:
            await self._answer(message, note)
        elif note.onward and note.onward != self.id:
            await self._write(note.onward, Note(f"{note.word} of {self.id}"))
        if note.fails:
            raise ValueError(f"it says so of {note.word}")

    async def _answer(self, message: Message, note: Note) -> None:
        try:
            await self.reply(message, note.word)
        except Refused as refused:
            # Who asked waits no more, or had this answer from an earlier life.
            if refused.reason not in ("no_request", "already_answered"):
                raise


def _onward(number: int) -> str:
    return f"agent_{number % STAYING}" if number % 3 == 1 else ""
