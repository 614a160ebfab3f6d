"""A small calm world around the engine: what its surroundings report when one asks them to."""

import random
from typing import TypeVar

from visionflow.domain import commands as c
from visionflow.domain.agents import AgentSpec, ResourceLimits
from visionflow.domain.events import AnyEvent, Event, Record, decode_record, encode_record
from visionflow.domain.limits import Limits
from visionflow.domain.supervision import SupervisionSpec
from visionflow.domain.swarms import SwarmSpec
from visionflow.domain.tasks import (
    FailureKind,
    Payload,
    Phase,
    TaskSpec,
    TaskStatus,
)
from visionflow.domain.votes import Choice, Mechanism, VoteSpec
from visionflow.engine.audit import audit
from visionflow.engine.decide import handle, next_event
from visionflow.engine.effects import Drop, Host, StartWorker, StopWorker, outstanding
from visionflow.engine.evolve import evolve, fold, open_record
from visionflow.engine.state import Answer, SwarmState

E = TypeVar("E", bound=Event)


class Calm:
    """An engine, a log, and the commands that its surroundings might send next."""

    secret_hash = ""
    """Of processes that may outlive their orchestrator."""

    def __init__(
        self,
        seed: int = 0,
        limits: Limits | None = None,
        supervision: SupervisionSpec | None = None,
    ) -> None:
        self.random = random.Random(seed)
        self.now_ms = 1_000_000
        self.state = SwarmState()
        self.log: list[bytes] = []
        self.names = 0
        self.sent: list[c.AnyCommand] = []
        """Commands with an id, for repeating."""
        self.send(
            c.CreateSwarm(
                now_ms=self.now_ms,
                spec=SwarmSpec(
                    id="swarm_1",
                    limits=limits or Limits(),
                    supervision=supervision or SupervisionSpec(),
                ),
            )
        )

    def name(self, kind: str) -> str:
        self.names += 1
        return f"{kind}_{self.names}"

    def send(self, command: c.AnyCommand) -> Answer:
        """Decide, fold, assign, and write the record."""
        if command.command is not None:
            self.sent.append(command)
        events, answer = handle(self.state, command)
        done: list[AnyEvent] = []
        if events:
            open_record(self.state, command.now_ms)
        for event in events:
            evolve(self.state, event)
            done.append(event)
        while True:
            event = next_event(self.state)
            if event is None:
                break
            open_record(self.state, command.now_ms)
            evolve(self.state, event)
            done.append(event)
        if done:
            self.log.append(encode_record(command.now_ms, done))
        return answer

    def records(self) -> list[Record]:
        return [decode_record(body) for body in self.log]

    def events(self) -> list[AnyEvent]:
        return [event for record in self.records() for event in record.events]

    def replay(self, records: int | None = None) -> SwarmState:
        state = SwarmState()
        for body in self.log[:records]:
            fold(state, decode_record(body))
        return state

    # The surroundings ----------------------------------------------------------------------

    def settle(self, rounds: int = 10) -> None:
        """Carry out effects about workers and agents as a calm machine would."""
        for _ in range(rounds):
            for effect in list(outstanding(self.state)):
                self.carry_out(effect)

    def carry_out(self, effect: object) -> None:
        now = self.now_ms
        if isinstance(effect, StartWorker) and effect.at_ms <= now:
            who = {"worker": effect.worker, "incarnation": effect.incarnation}
            process = {"pid": 1, "started": "1", "secret_hash": self.secret_hash}
            self.send(c.ReportWorkerStarted(now_ms=now, **process, **who))
            self.send(c.ReportWorkerJoined(now_ms=now, **who))
        elif isinstance(effect, Host):
            self.send(
                c.ReportAgentUp(
                    now_ms=now,
                    agent=effect.agent,
                    worker=effect.worker,
                    incarnation=effect.incarnation,
                    revision=effect.revision,
                )
            )
        elif isinstance(effect, Drop):
            self.send(
                c.ReportAgentDown(
                    now_ms=now,
                    agent=effect.agent,
                    worker=effect.worker,
                    incarnation=effect.incarnation,
                    reason="asked",
                    ended=True,
                )
            )
        elif isinstance(effect, StopWorker):
            self.send(
                c.ReportWorkerStopped(
                    now_ms=now, worker=effect.worker, incarnation=effect.incarnation
                )
            )

    def spawn(
        self,
        *capabilities: str,
        tasks_max: int = 1,
        type: str = "coder",
        memory_bytes: int | None = None,
    ) -> str:
        name = self.name("agent")
        spec = AgentSpec(
            id=name,
            type=type,
            name=name,
            class_path="m:C",
            capabilities=capabilities,
            tasks_max=tasks_max,
            limits=ResourceLimits(memory_bytes=memory_bytes),
        )
        self.send(c.SpawnAgent(now_ms=self.now_ms, spec=spec))
        return name

    def team(self, count: int, *capabilities: str, **fields: object) -> list[str]:
        """Agents of one kind that are ready."""
        names = [self.spawn(*capabilities, **fields) for _ in range(count)]
        self.settle()
        return names

    def submit(self, **fields: object) -> str:
        name = str(fields.pop("id", None) or self.name("task"))
        self.send(c.SubmitTask(now_ms=self.now_ms, spec=TaskSpec(id=name, **fields)))
        return name

    def complete(self, task: str, attempt: int | None = None, result: bytes = b"\x01") -> Answer:
        number = self.state.tasks[task].attempt if attempt is None else attempt
        return self.send(
            c.ReportResult(
                now_ms=self.now_ms,
                task=task,
                attempt=number,
                result=Payload(inline=result),
                duration_us=50_000,
            )
        )

    def fail(
        self,
        task: str,
        kind: FailureKind = FailureKind.ERROR,
        entropy: int = 0,
        wait_ms: int = 0,
        reason: str = "it broke",
    ) -> Answer:
        """Report that the open attempt of a task failed."""
        return self.send(
            c.ReportFailure(
                now_ms=self.now_ms,
                task=task,
                attempt=self.state.tasks[task].attempt,
                kind=kind,
                reason=reason,
                entropy=entropy,
                wait_ms=wait_ms,
            )
        )

    def plan(
        self,
        *phases: list[dict[str, object]],
        sequential: tuple[int, ...] = (),
        uses: dict[int, tuple[str, ...]] | None = None,
        widths: dict[int, int] | None = None,
        blocked: str | None = None,
        threshold_bp: int = 0,
        consensus: VoteSpec | None = None,
        **root: object,
    ) -> tuple[str, list[list[str]]]:
        """Submit a plan; of each phase the fields of its parts. Gives the root and the parts."""
        name = str(root.pop("id", None) or self.name("plan"))
        built: list[Phase] = []
        for number, parts in enumerate(phases):
            phase = f"phase{number}"
            specs = [
                TaskSpec(
                    id=str(fields.get("id") or self.name("part")),
                    parent=name,
                    phase=phase,
                    **{key: value for key, value in fields.items() if key != "id"},
                )
                for fields in parts
            ]
            used = (uses or {}).get(number, ())
            width = (widths or {}).get(number, 0)
            built.append(Phase(phase, tuple(specs), number in sequential, used, width))
        command = c.SubmitPlan(
            now_ms=self.now_ms,
            spec=TaskSpec(id=name, **root),
            phases=tuple(built),
            failure_threshold_bp=threshold_bp,
            consensus=consensus,
            blocked=blocked,
        )
        self.answer = self.send(command)
        return name, [[part.id for part in phase.tasks] for phase in built]

    def update(self, agent: str, command: str | None = None, **fields: object) -> Answer:
        return self.send(c.UpdateAgent(now_ms=self.now_ms, agent=agent, command=command, **fields))

    def ask(
        self,
        *electorate: str,
        id: str | None = None,
        command: str | None = None,
        mechanism: Mechanism = Mechanism.MAJORITY,
        **fields: object,
    ) -> str:
        """Open a vote; the answer stands in `answer`."""
        spec = VoteSpec(id or self.name("vote"), "good?", electorate, mechanism, **fields)
        self.answer = self.send(c.OpenVote(now_ms=self.now_ms, spec=spec, command=command))
        return spec.id

    def cast(
        self, vote: str, member: str, choice: Choice, evidence: str = "tests", **fields: object
    ) -> Answer:
        return self.send(
            c.CastBallot(
                now_ms=self.now_ms,
                vote=vote,
                member=member,
                choice=choice,
                evidence=evidence,
                **fields,
            )
        )

    def close_vote(self, vote: str, command: str | None = None) -> Answer:
        return self.send(
            c.CloseVote(now_ms=self.now_ms, vote=vote, reason="time is up", command=command)
        )

    def lose(self, worker: str, kind: FailureKind = FailureKind.CRASH) -> None:
        """The present process of a worker dies."""
        self.send(
            c.ReportWorkerLost(
                now_ms=self.now_ms,
                worker=worker,
                incarnation=self.state.workers[worker].incarnation,
                kind=kind,
                reason="gone",
            )
        )

    def last(self, kind: type[E]) -> E:
        """The latest event of a kind."""
        return next(event for event in reversed(self.events()) if isinstance(event, kind))

    def of(self, kind: type[E]) -> list[E]:
        """All events of a kind."""
        return [event for event in self.events() if isinstance(event, kind)]

    def tick(self, advance_ms: int = 0) -> None:
        self.now_ms += advance_ms
        self.send(c.Tick(now_ms=self.now_ms, entropy=7))

    def status(self, task: str) -> TaskStatus:
        return self.state.tasks[task].status

    def audit(self) -> list[str]:
        return audit(self.state)
