"""Agents that send each other messages, on a machine that loses, delays and repeats what they say.

The real orchestrator and workers, as in every seed. What agents are handed is compared with the
log: nothing before it is durable, nothing twice under one delivery id in one life, and what one
sender sent in its order; and in the end nothing that was sent to a living inbox is missing.
"""

import asyncio
from collections import Counter
from random import Random
from typing import TYPE_CHECKING, ClassVar

import msgspec

from visionflow.agents.base import BaseAgent
from visionflow.agents.messages import Message
from visionflow.agents.task import Task
from visionflow.domain import commands as c
from visionflow.domain import mail_commands as mc
from visionflow.domain import messages as m
from visionflow.domain.agents import AgentSpec, ResourceLimits
from visionflow.domain.errors import NoAnswer, Refused
from visionflow.domain.mail import Letter
from visionflow.domain.swarms import Topology
from visionflow.domain.tasks import Payload, RetryPolicy, TaskSpec
from visionflow.testing.checkers import LogCheck
from visionflow.testing.simulator.kernel import Kernel, Process
from visionflow.testing.workload import Action, Workload

if TYPE_CHECKING:
    from visionflow.testing.simulator.scripted import Stage

SPAN_MS = 6_000
END_MS = 900_000
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


class Postal(BaseAgent):
    """Runs errands, and reads its messages."""

    stage: ClassVar["Stage"]
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


class PostResult(msgspec.Struct, frozen=True):
    """What one seed showed."""

    seed: int
    topology: Topology
    faults: tuple[str, ...]
    """What must not have happened; empty is a clean bill."""
    counts: dict[str, int]
    injected: dict[str, int]
    digest: str


def run_post(seed: int, agents: int = 6, errands: int = 14) -> PostResult:
    """Run one seed to its end. It never raises for a fault of the system: it reports it."""
    from visionflow.testing.simulator.faults import Faults
    from visionflow.testing.simulator.orchestrator import compare_with_replay
    from visionflow.testing.simulator.world import World

    source = Random(f"post of {seed}")
    topology = source.choice((Topology.MESH, Topology.STAR, Topology.HIERARCHICAL))
    world = World(seed, _workload(source, agents, errands))
    world.spec = msgspec.structs.replace(world.spec, topology=topology, autoscale=False)
    befall = Faults(world, SPAN_MS, 0)
    kernel, check, post = world.kernel, world.witness.check, world.witness.post
    mail = check.mail

    def finished() -> bool:
        if kernel.faults:
            return True
        over = kernel.now_us > SPAN_MS * 1_000 and world.client.done and not check.alive
        return over and not mail.waiting()

    try:
        world.start()
        world.client.start()
        why = kernel.run(finished, END_MS)
        if why is not None:
            left = {agent: list(box)[:5] for agent, box in mail.boxes.items() if box}
            tasks = [name for name, task in check.tasks.items() if not task.ends]
            kernel.fault(f"{why}; waiting: {left}; open: {tasks}; {world.client.waiting()[:5]}")
        for fault in _missing(check, post) if not kernel.faults else []:
            kernel.fault(fault)
        for fault in compare_with_replay(world.witness, world.lives):
            kernel.fault(fault)
    finally:
        kernel.close()
    counts = Counter(check.events) + post.counts
    counts["requests answered"] = sum(
        msgspec.msgpack.decode(task.result[0]) for task in check.tasks.values() if task.result
    )
    return PostResult(
        seed=seed,
        topology=topology,
        faults=tuple(kernel.faults),
        counts=dict(sorted(counts.items())),
        injected=dict(sorted(befall.counts.items())),
        digest=kernel.digest(),
    )


def _missing(check: LogCheck, post: PostWitness) -> list[str]:
    """What was acknowledged and never handed over."""
    return [
        f"message {message} was acknowledged by {agent} and never handed to it"
        for agent, message in check.mail.taken_by
        if (agent, message) not in post.read
    ]


# What is asked for -------------------------------------------------------------------------------


def _workload(source: Random, agents: int, errands: int) -> Workload:
    actions = [_spawned(source, number) for number in range(agents)]
    names = [f"agent_{number}" for number in range(agents)]
    ready = tuple(action.command for action in actions)
    actions += [_sent(source, number, names, ready) for number in range(errands)]
    actions += [_from_outside(source, number, names, ready) for number in range(errands // 2)]
    leaving = [name for name in names[STAYING:] if source.random() < 0.5]
    actions += [_ended(source, name, ready) for name in leaving]
    actions.sort(key=lambda action: action.at_ms)
    return Workload(actions, {}, {}, {}, agents, 0)


def _spawned(source: Random, number: int) -> Action:
    alone = number and source.random() < 0.4
    spec = AgentSpec(
        id=f"agent_{number}",
        type="scripted" if number else "coordinator",
        name=f"agent_{number}",
        class_path="scripted:postal",
        capabilities=("writing",),
        tasks_max=2,
        limits=ResourceLimits(memory_bytes=2**30 if alone else None),
    )

    def make(now: int, command: str) -> c.AnyCommand:
        return c.SpawnAgent(now_ms=now, command=command, spec=spec)

    return Action(number, f"spawn_{number}", make)


def _sent(source: Random, number: int, names: list[str], ready: tuple[str, ...]) -> Action:
    name = f"errand_{number}"
    targets = (*names * 2, "all", "type:scripted", "topic:news.of.today")
    errand = Errand(
        tuple(source.choice(targets) for _ in range(source.randint(1, 12))),
        tuple(source.choice(names) for _ in range(source.choice((0, 0, 1, 2)))),
        source.choice((0, 0, 5, 100)),
    )
    spec = TaskSpec(
        id=name,
        type="errand",
        input=Payload(inline=msgspec.msgpack.encode(errand)),
        capabilities=("writing",),
        agent=source.choice(names[:STAYING]),
        timeout_ms=600_000,
        retry=RetryPolicy(attempts_max=3, base_ms=100),
    )

    def make(now: int, command: str) -> c.AnyCommand:
        return c.SubmitTask(now_ms=now, command=command, spec=spec)

    return Action(source.randint(100, SPAN_MS), f"ask_{name}", make, (name,), ready)


def _from_outside(source: Random, number: int, names: list[str], ready: tuple[str, ...]) -> Action:
    target, ttl_ms = source.choice((*names, "all")), source.choice((50, 2_000, 600_000))
    content = Payload(inline=msgspec.msgpack.encode(Note(f"outside {number}")))

    def make(now: int, command: str) -> c.AnyCommand:
        letter = Letter(
            id=f"message_from_outside_{number}",
            sender="ops",
            target=target,
            sent_ms=now,
            content=content,
            expires_ms=now + ttl_ms,
            external=True,
            by="local:ops",
        )
        return mc.SendMail(now_ms=now, command=command, letter=letter)

    at_ms = source.randint(100, SPAN_MS)
    return Action(at_ms, f"tell_{number}", make, needs=ready, refusals=tuple(MISSING))


def _ended(source: Random, name: str, ready: tuple[str, ...]) -> Action:
    drain = source.random() < 0.5

    def make(now: int, command: str) -> c.AnyCommand:
        return c.TerminateAgent(now_ms=now, command=command, agent=name, drain=drain)

    return Action(source.randint(1_000, SPAN_MS), f"end_{name}", make, needs=ready)
