"""A small world around the engine: random but legal reports, so that any order of things is met."""

import random
from typing import TypeVar

from visionflow.domain import commands as c
from visionflow.domain.agents import AgentSpec, ResourceLimits
from visionflow.domain.events import AnyEvent, Event, Record, decode_record, encode_record
from visionflow.domain.limits import Limits
from visionflow.domain.swarms import SwarmSpec
from visionflow.domain.tasks import (
    Backoff,
    FailureKind,
    Payload,
    Phase,
    RetryPolicy,
    TaskSpec,
    TaskStatus,
)
from visionflow.domain.votes import Choice, VoteSpec
from visionflow.engine.audit import audit
from visionflow.engine.decide import handle, next_assignment
from visionflow.engine.effects import Deliver, Drop, Host, StartWorker, StopWorker, outstanding
from visionflow.engine.evolve import evolve, fold, open_record
from visionflow.engine.state import Answer, SwarmState

E = TypeVar("E", bound=Event)
CAPABILITIES = ("python", "review", "security", "testing")


class World:
    """An engine, a log, and the commands that its surroundings might send next."""

    def __init__(self, seed: int = 0, limits: Limits | None = None) -> None:
        self.random = random.Random(seed)
        self.now_ms = 1_000_000
        self.state = SwarmState()
        self.log: list[bytes] = []
        self.names = 0
        self.sent: list[c.AnyCommand] = []
        """Commands with an id, for repeating."""
        self.send(
            c.CreateSwarm(
                now_ms=self.now_ms, spec=SwarmSpec(id="swarm_1", limits=limits or Limits())
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
            assigned = next_assignment(self.state)
            if assigned is None:
                break
            open_record(self.state, command.now_ms)
            evolve(self.state, assigned)
            done.append(assigned)
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
            self.send(c.ReportWorkerStarted(now_ms=now, pid=1, started="1", **who))
            self.send(c.ReportWorkerJoined(now_ms=now, **who))
        elif isinstance(effect, Host):
            self.send(
                c.ReportAgentUp(
                    now_ms=now,
                    agent=effect.agent,
                    worker=effect.worker,
                    incarnation=effect.incarnation,
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

    def fail(self, task: str, kind: FailureKind = FailureKind.ERROR, entropy: int = 0) -> Answer:
        """Report that the open attempt of a task failed."""
        return self.send(
            c.ReportFailure(
                now_ms=self.now_ms,
                task=task,
                attempt=self.state.tasks[task].attempt,
                kind=kind,
                reason="it broke",
                entropy=entropy,
            )
        )

    def plan(
        self,
        *phases: list[dict[str, object]],
        sequential: tuple[int, ...] = (),
        uses: dict[int, tuple[str, ...]] | None = None,
        threshold_bp: int = 0,
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
            built.append(Phase(phase, tuple(specs), number in sequential, used))
        command = c.SubmitPlan(
            now_ms=self.now_ms,
            spec=TaskSpec(id=name, **root),
            phases=tuple(built),
            failure_threshold_bp=threshold_bp,
        )
        self.answer = self.send(command)
        return name, [[part.id for part in phase.tasks] for phase in built]

    def ask(self, *electorate: str, id: str | None = None, command: str | None = None) -> str:
        """Open a vote; the answer stands in `answer`."""
        spec = VoteSpec(id=id or self.name("vote"), question="good?", electorate=electorate)
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

    # Chance --------------------------------------------------------------------------------

    def step(self) -> None:
        """One thing that may happen, by chance."""
        self.now_ms += self.random.choice((0, 1, 40, 900))
        chances = [
            self._submit,
            self._submit,
            self._plan,
            self._spawn,
            self._effect,
            self._effect,
            self._effect,
            self._report,
            self._report,
            self._report,
            self._report,
            self._late,
            self._cancel,
            self._lose,
            self._terminate,
            lambda: self.tick(self.random.choice((0, 1_000, 20_000))),
            self._recover,
            self._sleep,
            self._block,
            self._agent_down,
            self._expire,
            self._repeat,
            self._stop_worker,
            self._vote,
            self._ballot,
            self._ballot,
        ]
        self.random.choice(chances)()

    def _policy(self) -> RetryPolicy:
        return RetryPolicy(
            backoff=self.random.choice(list(Backoff)), attempts_max=self.random.randint(1, 3)
        )

    def _spec(self, **fields: object) -> TaskSpec:
        chosen = self.random.sample(CAPABILITIES, self.random.choice((0, 1, 1, 2)))
        deadline = self.now_ms + 30_000 if self.random.random() < 0.1 else None
        return TaskSpec(
            id=self.name("task"),
            capabilities=tuple(chosen),
            priority=self.random.choice((0, 10, 20, 30)),
            retry=self._policy(),
            deadline_ms=deadline,
            agent=self._pin(),
            agent_type=self.random.choice((None, None, None, "coder", "tester")),
            **fields,
        )

    def _pin(self) -> str | None:
        agents = list(self.state.agents)
        return self.random.choice(agents) if agents and self.random.random() < 0.1 else None

    def _submit(self) -> None:
        known = list(self.state.tasks)
        depends = tuple(
            self.random.sample(known, min(len(known), self.random.choice((0, 0, 1, 2))))
        )
        spec = self._spec(depends_on=depends)
        self.send(c.SubmitTask(now_ms=self.now_ms, spec=spec, command=self.name("command")))

    def _plan(self) -> None:
        root, phases = self.name("task"), []
        for number in range(self.random.randint(1, 3)):
            name = f"phase{number}"
            parts = [self._spec(parent=root, phase=name) for _ in range(self.random.randint(1, 4))]
            phases.append(Phase(name, tuple(parts), self.random.random() < 0.3))
        self.send(
            c.SubmitPlan(
                now_ms=self.now_ms,
                spec=TaskSpec(id=root),
                phases=tuple(phases),
                failure_threshold_bp=self.random.choice((0, 2_500, 5_000)),
            )
        )

    def _vote(self) -> None:
        """Open one, mostly for agents that are there, or close one."""
        votes = [*self.state.votes, *list(self.state.decided)[-2:]]
        if votes and self.random.random() < 0.3:
            self.close_vote(self.random.choice(votes), self.random.choice((None, self.name("c"))))
            return
        agents = list(self.state.agents)
        members = self.random.sample(agents, min(len(agents), self.random.randint(0, 4)))
        self.ask(*members, *self.random.choice(((), (), (), ("nobody",))), command=self.name("c"))

    def _ballot(self) -> None:
        """Of a member or a stranger, in time or late."""
        votes = [*self.state.votes, *self.state.votes, *list(self.state.decided)[-1:]]
        if not votes:
            return
        vote = self.random.choice(votes)
        found = self.state.votes.get(vote)
        members = ["nobody"] if found is None else [*found.ballots, *found.ballots, "nobody"]
        self.cast(
            vote,
            self.random.choice(members),
            self.random.choice(list(Choice)),
            self.random.choice(("tests", "findings", "behaviour")),
            reason=self.random.choice(("", "it holds")),
            command=self.random.choice((None, self.name("c"))),
        )

    def _spawn(self) -> None:
        chosen = self.random.sample(CAPABILITIES, self.random.randint(1, 4))
        self.spawn(
            *chosen,
            tasks_max=self.random.randint(1, 3),
            type=self.random.choice(("coder", "tester")),
            memory_bytes=self.random.choice((None, None, None, 1_000_000)),
        )

    def _effect(self) -> None:
        found = [x for x in outstanding(self.state) if not isinstance(x, Deliver)]
        if found:
            self.carry_out(self.random.choice(found))

    def running(self) -> list[str]:
        """Tasks with an open attempt."""
        return [
            name
            for name, task in self.state.tasks.items()
            if task.status in (TaskStatus.ASSIGNED, TaskStatus.RUNNING)
        ]

    def _report(self) -> None:
        running = self.running()
        if not running:
            return
        name = self.random.choice(running)
        attempt = self.state.tasks[name].attempt
        chance = self.random.random()
        if chance < 0.2:
            self.send(c.ReportStarted(now_ms=self.now_ms, task=name, attempt=attempt))
        elif chance < 0.35:
            self.send(
                c.ReportStep(
                    now_ms=self.now_ms, task=name, attempt=attempt, key=self.name("k"), name="s"
                )
            )
        elif chance < 0.7:
            self.complete(name)
        else:
            kinds = (*[FailureKind.ERROR] * 8, *FailureKind)
            self.fail(name, self.random.choice(kinds), self.random.getrandbits(64))

    def _late(self) -> None:
        if self.state.tasks:
            name = self.random.choice(list(self.state.tasks))
            self.complete(name, max(0, self.state.tasks[name].attempt - 1))

    def _cancel(self) -> None:
        if self.state.tasks:
            name = self.random.choice(list(self.state.tasks))
            kind = self.random.choice((c.CancelTask, c.CancelTask, c.RetryTask))
            command = self.random.choice((None, self.name("command")))
            self.send(kind(now_ms=self.now_ms, task=name, command=command))

    def _lose(self) -> None:
        if self.state.workers:
            name = self.random.choice(list(self.state.workers))
            self.lose(name, self.random.choice((FailureKind.CRASH, FailureKind.KILLED)))

    def _terminate(self) -> None:
        if len(self.state.agents) > 3:
            name = self.random.choice(list(self.state.agents))
            drain = self.random.random() < 0.5
            self.send(c.TerminateAgent(now_ms=self.now_ms, agent=name, drain=drain))

    def _sleep(self) -> None:
        self.now_ms += 30_000
        self.send(c.Tick(now_ms=self.now_ms, gap_ms=30_000))

    def _recover(self) -> None:
        if self.random.random() < 0.3:
            self.send(c.Recover(now_ms=self.now_ms))

    def _block(self) -> None:
        status = self.random.choice((TaskStatus.QUEUED, TaskStatus.BLOCKED))
        found = [name for name, task in self.state.tasks.items() if task.status is status]
        if not found:
            return
        name = self.random.choice(found)
        if status is TaskStatus.QUEUED:
            self.send(c.BlockTask(now_ms=self.now_ms, task=name, missing="a budget"))
        else:
            self.send(c.UnblockTask(now_ms=self.now_ms, task=name))

    def _agent_down(self) -> None:
        hosted = [agent for agent in self.state.agents.values() if self.random.random() < 0.3]
        for agent in hosted[:1]:
            incarnation = self.state.workers[agent.worker].incarnation
            self.send(
                c.ReportAgentDown(
                    now_ms=self.now_ms,
                    agent=agent.spec.id,
                    worker=agent.worker,
                    incarnation=incarnation,
                    reason="it could not be built",
                )
            )

    def _stop_worker(self) -> None:
        """A process that was told to end ends, whatever was placed on it since."""
        if self.state.workers and self.random.random() < 0.3:
            worker = self.random.choice(list(self.state.workers.values()))
            self.carry_out(StopWorker(worker.id, worker.incarnation))

    def _expire(self) -> None:
        running = self.running()
        if running:
            name = self.random.choice(running)
            attempt = self.state.tasks[name].attempt
            self.send(
                c.ExpireLease(now_ms=self.now_ms, task=name, attempt=attempt, evidence="silence")
            )

    def _repeat(self) -> None:
        if self.sent:
            self.send(self.random.choice(self.sent))

    def audit(self) -> list[str]:
        return audit(self.state)
