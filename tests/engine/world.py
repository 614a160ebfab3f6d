"""A small world around the engine: random but legal reports, so that any order of things is met."""

from tests.engine import (
    adoptions_by_chance,
    mail_by_chance,
    pipelines_by_chance,
    restarts_by_chance,
    shape_by_chance,
    teams_by_chance,
    votes_by_chance,
)
from tests.engine.asking import Asking
from tests.engine.effects_world import something_outside
from visionflow.domain import commands as c
from visionflow.domain import supervision_commands as sc
from visionflow.domain.tasks import (
    Backoff,
    FailureKind,
    Payload,
    Phase,
    RetryPolicy,
    TaskSpec,
    TaskStatus,
)
from visionflow.domain.votes import Choice
from visionflow.engine.effects import Deliver, StopWorker, outstanding
from visionflow.engine.liveness import CUT_OFF

CAPABILITIES = ("python", "review", "security", "testing")


class World(Asking):
    """A world in which one thing after the other happens by chance."""

    secret_hash = adoptions_by_chance.SECRET_HASH

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
            self._doubt,
            self._stall,
            self._repeat,
            self._stop_worker,
            self._vote,
            self._ballot,
            self._ballot,
            self._update,
            self._update,
            self._debug,
            self._limits,
            self._outside,
            self._outside,
            lambda: restarts_by_chance.happen(self),
            lambda: shape_by_chance.happen(self),
            *[lambda: pipelines_by_chance.happen(self)] * 3,
            lambda: teams_by_chance.happen(self),
            lambda: teams_by_chance.happen(self),
            *[lambda: votes_by_chance.happen(self)] * 4,
            lambda: adoptions_by_chance.happen(self),
            *[lambda: mail_by_chance.happen(self)] * 8,
            self._recall,
            self._recall,
            self._batches,
            self._scale,
        ]
        chances += [*[self.ask_for_lock] * 5, *[self.ask_for_result] * 3]
        chances += [*[self._report] * 6, *[self._effect] * 4, self._submit, self._spawn]
        chances += [self.ask_circuit, self.ask_circuit, self.close_circuit, self.look_at_waits]
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
        blocked = self.random.choice((None, None, None, None, None, "a model"))
        command = self.name("command")
        self.send(c.SubmitTask(now_ms=self.now_ms, spec=spec, command=command, blocked=blocked))

    def _plan(self) -> None:
        root, phases = self.name("task"), []
        for number in range(self.random.randint(1, 3)):
            name = f"phase{number}"
            parts = [self._spec(parent=root, phase=name) for _ in range(self.random.randint(1, 4))]
            sequential = self.random.random() < 0.3
            width = 0 if sequential else self.random.choice((0, 0, 1, 2))
            phases.append(Phase(name, tuple(parts), sequential, width=width))
        self.send(
            c.SubmitPlan(
                now_ms=self.now_ms,
                spec=TaskSpec(id=root),
                phases=tuple(phases),
                failure_threshold_bp=self.random.choice((0, 2_500, 5_000, 10_000)),
                blocked=self.random.choice((None, None, None, "a model")),
            )
        )

    def _update(self) -> None:
        """Of an agent that is there; what its worker says of it may be of a version before."""
        agents = list(self.state.agents)
        if not agents:
            return
        name = self.random.choice(agents)
        if self.random.random() < 0.6:
            self.update(
                name,
                self.random.choice((None, self.name("command"))),
                tasks_max=self.random.choice((None, 1, 2, 3)),
                memory_bytes=self.random.choice((None, None, 1_000_000, 2_000_000)),
                config=self.random.choice((None, Payload(inline=b"\x80"))),
            )
            return
        places = [self.state.agents[name].worker, *self.state.departing.values()]
        worker = self.state.workers[self.random.choice(places)]
        self.send(
            c.ReportAgentUp(
                now_ms=self.now_ms,
                agent=name,
                worker=worker.id,
                incarnation=worker.incarnation,
                revision=max(0, self.state.revisions.get(name, 0) - self.random.choice((0, 1))),
            )
        )

    def _limits(self) -> None:
        if self.random.random() < 0.3:
            now = 0 if self.state.spec is None else self.state.spec.limits.agents_max
            agents_max = self.random.choice([n for n in (0, 5, 20, 21) if n != now])
            self.send(c.ChangeLimits(now_ms=self.now_ms, agents_max=agents_max))

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
            self.random.choice((Choice.APPROVE, Choice.REJECT, Choice.ABSTAIN)),
            self.random.choice(("tests", "findings", "behaviour")),
            reason=self.random.choice(("", "it holds")),
            command=self.random.choice((None, self.name("c"))),
        )

    def _spawn(self) -> None:
        chosen = self.random.sample(CAPABILITIES, self.random.randint(1, 4))
        self.spawn(
            *chosen,
            tasks_max=self.random.randint(1, 3),
            type=self.random.choice(("coder", "tester", "tester", "coordinator")),
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
            kinds = (*[FailureKind.ERROR] * 8, *[FailureKind.THROTTLED] * 2, *FailureKind)
            wait_ms = self.random.choice((-1, 0, 1, 1_000, 20_000, 2**40))
            self.fail(name, self.random.choice(kinds), self.random.getrandbits(64), wait_ms)

    def _outside(self) -> None:
        something_outside(self, self.running())

    def _late(self) -> None:
        if self.state.tasks:
            name = self.random.choice(list(self.state.tasks))
            self.complete(name, max(0, self.state.tasks[name].attempt - 1))

    def _recall(self) -> None:
        """Ask an attempt back, mostly one that has not begun; or its worker answers."""
        asked = list(self.state.supervised.recalling.items())
        if asked and self.random.random() < 0.6:
            task, attempt = self.random.choice(asked)
            if self.random.random() < 0.5:
                self.send(c.ReportStarted(now_ms=self.now_ms, task=task, attempt=attempt))
            else:
                self.fail(task, FailureKind.RECALLED)
        elif self.running():
            task = self.random.choice(self.running())
            attempt = self.state.tasks[task].attempt - self.random.choice((0, 0, 0, 1))
            self.send(
                sc.RecallAttempt(now_ms=self.now_ms, task=task, attempt=attempt, reason="idle ones")
            )

    def _batches(self) -> None:
        """A worker says what an agent takes several of; all tasks here are of one type."""
        if not self.state.agents:
            return
        agent = self.random.choice(list(self.state.agents.values()))
        worker = self.state.workers[agent.worker]
        self.send(
            sc.ReportBatches(
                now_ms=self.now_ms,
                agent=agent.spec.id,
                worker=worker.id,
                incarnation=worker.incarnation,
                types=self.random.choice(((), ("task",), ("task", "other"))),
            )
        )

    def _scale(self) -> None:
        """The autoscaler, which stands outside, decides."""
        if self.random.random() < 0.2:
            self.send(
                sc.RecordScale(
                    now_ms=self.now_ms, agent_type="coder", before=1, after=2, evidence="a backlog"
                )
            )

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

    def _debug(self) -> None:
        known = [*self.state.agents, "nobody"]
        until_ms = self.now_ms + self.random.choice((-1_000, 0, 5_000, 600_000))
        self.send(
            sc.EnableDebug(
                now_ms=self.now_ms,
                agent=self.random.choice(known),
                until_ms=until_ms,
                command=self.random.choice((None, self.name("command"))),
            )
        )

    def _sleep(self) -> None:
        self.now_ms += 30_000
        self.send(c.Tick(now_ms=self.now_ms, gap_ms=30_000))

    def _recover(self) -> None:
        if self.random.random() < 0.3:
            if self.random.random() < 0.5:
                there = [(each.id, each.incarnation) for each in self.state.workers.values()]
                self.send(c.ReportStopped(now_ms=self.now_ms, workers=tuple(there)))
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

    def _doubt(self) -> None:
        """The detector comes to an opinion on a worker, in time or late."""
        if self.state.workers:
            worker = self.random.choice(list(self.state.workers.values()))
            kind = self.random.choice((sc.ReportSuspicion, sc.ReportTrust))
            evidence = self.random.choice((f"{CUT_OFF}: so", "silence"))
            incarnation = max(0, worker.incarnation - self.random.choice((0, 0, 0, 1)))
            self.send(
                kind(
                    now_ms=self.now_ms,
                    worker=worker.id,
                    incarnation=incarnation,
                    evidence=evidence,
                )
            )

    def _stall(self) -> None:
        """An attempt makes no progress, or makes some again."""
        running = self.running()
        if running:
            name = self.random.choice([*running, *self.state.supervised.stalled])
            kind = self.random.choice((sc.ReportStall, sc.ReportStall, sc.ReportProgress))
            attempt = self.state.tasks[name].attempt - self.random.choice((0, 0, 0, 1))
            self.send(kind(now_ms=self.now_ms, task=name, attempt=attempt, evidence="as told"))

    def _repeat(self) -> None:
        if self.sent:
            self.send(self.random.choice(self.sent))
