"""The witness: sees what the world sees, and compares it with what is durable at that moment.

It stands outside the system: at the disk it reads what can no longer be lost, at the wire every
frame as it is sent, at the agents what really runs. Nothing may be said or done of which the log
does not know yet.
"""

from collections import Counter
from typing import Any

import msgspec

from visionflow.domain import messages as m
from visionflow.domain.outside import Verdict
from visionflow.domain.tasks import Payload
from visionflow.engine.state import Answer, Denial
from visionflow.runtime.completions import Ended
from visionflow.testing.checkers import OPEN, LogCheck
from visionflow.testing.holding import HoldCheck
from visionflow.testing.restarts import RestartCheck
from visionflow.testing.simulator import posting
from visionflow.testing.simulator.asking import Sections, ahead_of_log
from visionflow.testing.simulator.kernel import Kernel, Process
from visionflow.testing.simulator.outside import OutsideWorld, Person, kept
from visionflow.testing.simulator.posting import PostWitness
from visionflow.testing.simulator.wire import Link
from visionflow.testing.workload import Action

_to_worker = msgspec.msgpack.Decoder(m.OrchestratorFrame)
_from_worker = msgspec.msgpack.Decoder(m.WorkerFrame)
Said = list[tuple[int, list[m.Result | m.Failed | m.StepDone]]]


def _unpacked(payload: list[Any]) -> dict[str, Any]:
    return msgspec.msgpack.decode(payload[0]) if payload else {}


class Witness:
    """Everything that was seen, and every fault in it."""

    def __init__(self, kernel: Kernel, blobs: dict[str, bytes]) -> None:
        self.kernel = kernel
        self.check = LogCheck(blobs.__contains__)
        self.restarts = RestartCheck()
        self._holds = HoldCheck()
        self.bodies: list[bytes] = []
        self.sections = Sections(kernel, self.check)
        self.post = PostWitness(kernel, self.check)
        self.outside = OutsideWorld(kernel, self.check)
        self.person = Person(kernel, self.outside)
        self._questions: dict[tuple[str, int, int], m.EffectAsked | m.EffectDone] = {}
        """By (task, attempt, number), what was asked of the ledger."""
        self.answers: dict[str, Answer] = {}
        """The first answer to each command, as it left the orchestrator."""
        self.counts: Counter[str] = Counter()
        self._said: dict[tuple[str, str], Said] = {}
        """By process, the frames that were not acknowledged."""
        self._numbers: dict[tuple[str, str], int] = {}
        self._began: dict[tuple[str, int], str] = {}
        self._executed: dict[tuple[str, int, str], int] = {}
        self._serial = 0

    # The disk --------------------------------------------------------------------------------

    def durable(self, body: bytes) -> None:
        """A record can no longer be lost."""
        self.bodies.append(body)
        seen = len(self.check.faults)
        self.check.record(body, self.kernel.shown_ms())
        kernel = self.kernel
        for key in self.check.effects.doubted:
            self.person.doubted(key)
        self.check.effects.doubted.clear()
        restarts = self.restarts.record(body, kernel.shown_ms(), kernel.set_back)
        for fault in (*self.check.faults[seen:], *restarts, *self._holds.record(body)):
            self.kernel.fault(f"log: {fault}")

    # The wire --------------------------------------------------------------------------------

    def to_worker(self, link: Link, payload: bytes) -> bool:
        """See `wire.Ear`."""
        worker, acknowledges = link.sender.rpartition(".")[0], False
        for message in _to_worker.decode(payload).messages:
            acknowledges = acknowledges or isinstance(message, m.FrameAck)
            fault = self._ahead_of_log(message, worker, link)
            if fault is not None:
                self.kernel.fault(f"{link.sender} is sent {type(message).__name__}: {fault}")
        return acknowledges

    def _ahead_of_log(self, message: m.Message, worker: str, link: Link) -> str | None:
        check = self.check
        match message:
            case m.Dispatch():
                return self._dispatched(message, worker, link)
            case m.Announce():
                self.counts["announced"] += 1
                auction = (message.dispatch.task, message.dispatch.attempt)
                if message.dispatch.agent not in check.mesh.electorates.get(auction, ()):
                    return f"no auction of {auction} with {message.dispatch.agent} is in the log"
            case m.StepAnswer(accepted=True):
                task = check.tasks.get(message.task)
                if task is None or message.key not in task.recorded:
                    return f"step {message.key} of {message.task} is not in the log"
            case m.FrameAck() | m.Welcome(acked=_):
                number = message.number if isinstance(message, m.FrameAck) else message.acked
                return self._acknowledged(link, number)
            case m.HostAgent():
                if message.spec.id not in check.agents:
                    return f"agent {message.spec.id} is not in the log"
            case m.CancelAttempt():
                task = check.tasks.get(message.task)
                if task is None:
                    return f"task {message.task} is not in the log"
                current = task.status in OPEN and task.attempt == message.attempt
                if current and not task.cancelling:
                    return f"{message.task} is not being cancelled"
            case m.EffectAnswer():
                return self._ruled(message)
            case m.LockAnswer() | m.WaitAnswer() | m.DelegateAnswer():
                return ahead_of_log(check, message)
            case m.MailHanded() | m.MailAnswer() | m.MailReply():
                return posting.ahead_of_log(check, message)
            case m.DropAgent():
                agent = check.agents.get(message.agent)
                if agent is None or agent.worker != worker:
                    return None
                if agent.status != "terminating":
                    return f"agent {message.agent} is {agent.status}"
            case _:
                pass
        return None

    def _dispatched(self, message: m.Dispatch, worker: str, link: Link) -> str | None:
        task = self.check.tasks.get(message.task)
        if task is None or message.attempt not in task.assigned_at:
            return f"attempt {message.attempt} of {message.task} is not in the log"
        line, process = self.check.workers.get(worker), link.worker.process
        # The hub may hear of a wire's end after the next process joined: a dead one reads nothing.
        if line is None or not line.joined or (process.alive and line.pid != process.pid):
            return "it is not the process that the log names"
        if message.agent in self.check.agents and self.check.agents[message.agent].worker != worker:
            return f"agent {message.agent} is not on it"
        return None

    def _ruled(self, answer: m.EffectAnswer) -> str | None:
        """What the ledger says must be in the log."""
        asked = self._questions.get((answer.task, answer.attempt, answer.number))
        line = None if asked is None else self.check.effects.effects.get(asked.key)
        holder = (answer.task, answer.attempt)
        match answer.verdict:
            case Verdict.RUN | Verdict.UNSETTLED:
                if line is None or holder not in line.holders:
                    return f"no reservation of {holder} is in the log"
            case Verdict.SETTLED:
                if msgspec.convert(kept(line), Payload) != answer.result:
                    return f"the log does not say that {asked and asked.key} happened so"
            case Verdict.RECORDED:
                if line is None or (line.status == "reserved" and line.holder == holder):
                    return f"how {asked and asked.key} went is not in the log"
            case Verdict.DOUBTED:
                other = self.check.effects.effects.get(answer.key or (asked.key if asked else ""))
                if other is None or not other.was_doubted:
                    return f"no doubt about {asked and asked.key} is in the log"
            case Verdict.STALE:
                self.counts["effects refused to stale attempts"] += isinstance(asked, m.EffectAsked)
            case _:
                pass
        return None

    def key_like(self, beginning: str) -> str:
        """The key of the effect in the log that begins so, or nothing."""
        for key in self.check.effects.effects:
            if key.startswith(beginning):
                return key
        return ""

    def _acknowledged(self, link: Link, number: int) -> str | None:
        said = self._said.get((link.sender, link.worker.process.started), [])
        while said and said[0][0] <= number:
            for message in said.pop(0)[1]:
                task = self.check.tasks.get(message.task)
                if task is None or task.attempt != message.attempt or task.status not in OPEN:
                    continue
                if not isinstance(message, m.StepDone):
                    return f"the end of {message.task}.{message.attempt} is not in the log"
                if message.key not in task.recorded:
                    return f"step {message.key} of {message.task} is not in the log"
        return None

    def from_worker(self, link: Link, subject: str, payload: bytes) -> None:
        """See `wire.Ear`."""
        frame = _from_worker.decode(payload)
        if not frame.number:
            return
        key = (link.sender, link.worker.process.started)
        said = self._said.setdefault(key, [])
        if frame.number <= self._numbers.get(key, 0):
            self.counts["frames sent again"] += 1
            return
        self._numbers[key] = frame.number
        for message in frame.messages:
            if isinstance(message, m.EffectAsked | m.EffectDone):
                self._questions[message.task, message.attempt, message.number] = message
        kinds = (m.Result, m.Failed, m.StepDone)
        said.append((frame.number, [x for x in frame.messages if isinstance(x, kinds)]))

    # Agents ----------------------------------------------------------------------------------

    def began(self, process: Process, task: str, attempt: int, config: dict[str, Any]) -> None:
        """An agent of this configuration begins an attempt."""
        if not process.alive:
            return
        self.kernel.trace(f"begin {task} {attempt}")
        before = self._began.setdefault((task, attempt), process.name)
        self.counts["attempts begun"] += 1
        if before != process.name:
            self.kernel.fault(f"attempt {attempt} of {task} runs in {before} and {process.name}")
        line = self.check.tasks.get(task)
        if (task, attempt) in self.check.mesh.electorates:
            # Its peers need not wait until the log has their claim.
            self.counts["attempts begun by auction"] += 1
            if line is None or attempt not in line.assigned_at:
                self.counts["attempts begun before the log knew"] += 1
        elif line is None or attempt not in line.assigned_at:
            self.kernel.fault(f"attempt {attempt} of {task} runs and is not in the log")
        elif attempt in line.assigned_to:
            agent, since = line.assigned_to[attempt]
            held = [_unpacked(payload) for payload in agent.configs[since:]]
            self.counts["attempts of an updated agent"] += bool(config)
            if config not in held:
                self.kernel.fault(
                    f"attempt {attempt} of {task} runs in {agent.spec['id']} as {config}, and "
                    f"since it was given out held {held}"
                )

    def repeated(self, process: Process, task: str, attempt: int) -> None:
        """An agent begins an attempt that it has begun before."""
        if process.alive:
            self.kernel.fault(f"attempt {attempt} of {task} runs twice in {process.name}")

    def executed(self, process: Process, task: str, attempt: int, step: str) -> int:
        """A step really runs: the number of this execution."""
        self._serial += 1
        if not process.alive:
            return self._serial
        self.counts["steps executed"] += 1
        line = self.check.tasks.get(task)
        if (task, attempt, step) in self._executed:
            self.kernel.fault(f"step {step} of {task} runs twice in attempt {attempt}")
        self._executed[task, attempt, step] = self._serial
        if line is None or attempt not in line.assigned_at:
            return self._serial
        for key, (place, _) in line.steps.items():
            if key.startswith(f"{step}:") and place < line.assigned_at[attempt]:
                self.kernel.fault(
                    f"step {step} of {task} runs in attempt {attempt} and was finished before"
                )
        return self._serial

    # Processes and clients -------------------------------------------------------------------

    def launched(self, worker: str, incarnation: int) -> None:
        """The orchestrator starts a worker process."""
        line = self.check.workers.get(worker)
        if not any(agent.worker == worker for agent in self.check.agents.values()):
            self.kernel.fault(f"{worker} is started and no agent in the log needs it")
        elif line is not None and (line.alive or incarnation <= line.incarnation):
            self.kernel.fault(
                f"{worker}.{incarnation} is started; {line.incarnation} is in the log"
            )

    def answered(self, action: Action, answer: Answer) -> None:
        """The orchestrator answers a client."""
        name, kernel = action.command, self.kernel
        kernel.trace(f"answer {name} {answer.code}")
        if name not in self.check.commands and name not in self.check.refused:
            kernel.fault(f"{name} is answered and the log does not know it")
        if answer.code is not None and answer.code not in action.refusals:
            kernel.fault(f"{name} is refused: {answer.code}: {answer.message}")
        if isinstance(answer, Denial):
            # Nothing was done, and it is decided anew each time: until it is accepted.
            if name in self.answers:
                kernel.fault(f"{name} was answered before, and is refused now: {answer.code}")
            return
        first = self.answers.setdefault(name, answer)
        if (first.code, first.subject) != (answer.code, answer.subject):
            kernel.fault(f"{name} was answered {first.code or 'yes'}, and now {answer.code}")
        if first is not answer:
            self.counts["answers repeated"] += 1

    def told(self, ended: Ended) -> None:
        """The orchestrator tells a client how a task ended."""
        line = self.check.tasks.get(ended.task)
        if line is None or ended.status not in line.ends:
            self.kernel.fault(f"{ended.task} is told to be {ended.status}; the log does not say so")
