"""Work for a swarm, made from a seed, with its right outcome known before it is done.

Each task carries a script: how long it takes, how its attempts end, how many steps it has, and a
number. Its result is its number plus those of all that it was given, so a result that got lost,
was mixed up or came from the wrong attempt shows. Whoever runs the scripts (a simulator, or real
worker processes) is not known here.
"""

import random
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from visionflow.domain import commands as c
from visionflow.domain.agents import AgentSpec, ResourceLimits
from visionflow.domain.tasks import Backoff, Payload, Phase, RetryPolicy, TaskSpec
from visionflow.domain.votes import Choice, VoteSpec
from visionflow.testing.polling import add_polls
from visionflow.testing.scripts import Script

EVERYTHING = ("python", "review", "security", "testing")
KINDS = (("python", "review"), ("python",), ("security", "testing"), EVERYTHING)
ALONE, ALONE_MAX = 0.4, 40
"""This share of the agents has a process of its own, and of many agents no more than so many."""
LOCKS = ("x", "y", "z")
ASKING_MS = 600_000
"""The wall-clock limit of tasks that may have to wait for others."""
BALLOTS = (Choice.APPROVE, Choice.REJECT, Choice.ABSTAIN)
QUICK = "quick"
"""Offered by agents whose code is no coroutine: tasks for them take no time."""


class Action(NamedTuple):
    """One request of a client."""

    at_ms: int
    command: str
    """Its id: the same however often it is sent."""
    make: Callable[[int, str], c.AnyCommand]
    """Makes it from the time and the id."""
    tasks: tuple[str, ...] = ()
    """Tasks that it submits."""
    needs: tuple[str, ...] = ()
    """Commands that must have been answered before."""
    refusals: tuple[str, ...] = ()
    """Codes with which it may be refused."""


class Workload(NamedTuple):
    """Everything that clients of one swarm will ask for."""

    actions: list[Action]
    scripts: dict[str, Script]
    cancelled: dict[str, str]
    """Tasks that somebody asks to cancel, with the command."""
    retried: dict[str, str]
    """Tasks that are queued again after they failed, with the command."""
    agents_max: int
    crashes: int
    """Scripts that crash the process they run in."""


class _Maker:
    def __init__(self, seed: int, span_ms: int, staying: int, effects: bool) -> None:
        self.random = random.Random(seed)
        self.plans = random.Random(f"plans of {seed}")
        """For what plans have beside tasks, so that the tasks of a seed stay what they are."""
        self.throttles = random.Random(f"throttles of {seed}")
        self.throttled = self.throttles.choice((0.0, 0.0, 0.05, 0.2))
        """Which share of the tasks that would go well is asked for patience first. In half of the
        seeds none is, so that those stay what they are."""
        self.batches = random.Random(f"batches of {seed}")
        """For who takes several tasks at once."""
        self.asks = random.Random(f"asks of {seed}")
        self.asked = self.asks.choice((0.0, 0.0, 0.1, 0.3)) if effects else 0.0
        """Which share of the tasks that take their time ask their swarm for something."""
        self.outside = random.Random(f"effects of {seed}")
        self.outgoing = self.outside.choice((0.0, 0.0, 0.2, 0.5)) if effects else 0.0
        """Which share of the tasks does something to the world outside; in half of the seeds none,
        so that those stay what they are."""
        self.staying = staying
        """So many agents stay to the end."""
        self.span_ms = span_ms
        self.actions: list[Action] = []
        self.scripts: dict[str, Script] = {}
        self.cancelled: dict[str, str] = {}
        self.retried: dict[str, str] = {}
        self.submitted: list[tuple[str, str, int]] = []
        self.first: list[str] = []
        """Commands that spawn the agents which stay."""
        self.spawned: dict[str, tuple[str, int]] = {}
        """By agent, the command that spawns it, and when that is sent."""
        self.quick = False
        self.alone = ALONE
        self.crashes = 0
        self._names = 0

    def name(self, kind: str) -> str:
        """A fresh id."""
        self._names += 1
        return f"{kind}_{self._names}"

    def chance(self, probability: float) -> bool:
        """Whether something of this probability happens."""
        return self.random.random() < probability

    def act(
        self,
        at_ms: int,
        make: Callable[[int, str], c.AnyCommand],
        tasks: tuple[str, ...] = (),
        needs: tuple[str, ...] = (),
        refusals: tuple[str, ...] = (),
    ) -> str:
        """Add a request; its command id."""
        command = self.name("command")
        self.actions.append(Action(at_ms, command, make, tasks, needs, refusals))
        return command

    # Agents ----------------------------------------------------------------------------------

    def agent(self, number: int, at_ms: int) -> None:
        """Ask for an agent; those that stay are never ended, so that all work can be done."""
        name = f"agent_{number}"
        quick = number % 3 == 1 and self.staying > 1
        kind = "broken" if number > 2 and self.chance(0.05) else "coroutine"
        if quick and kind != "broken":
            kind = "loop" if self.chance(0.5) else "thread"
            kind = "batched" if self.batches.random() < 0.4 else kind
        self.quick = self.quick or quick
        offered = (QUICK,) if quick else KINDS[number % len(KINDS)] if number else EVERYTHING
        memory = 2**30 if number and self.chance(self.alone) else None
        spec = AgentSpec(
            id=name,
            type="scripted",
            name=name,
            class_path=f"scripted:{kind}",
            capabilities=offered,
            tasks_max=self.random.randint(1, 4),
            limits=ResourceLimits(memory_bytes=memory),
        )
        command = self.act(
            at_ms,
            lambda now, i: c.SpawnAgent(now_ms=now, command=i, spec=spec),
            needs=() if number < self.staying else tuple(self.first),
            refusals=() if number < self.staying else ("limit_reached",),
        )
        self.spawned[name] = (command, at_ms)
        if number < self.staying:
            self.first.append(command)
        if number > 2 and self.chance(0.4):
            self.act(
                at_ms + self.random.randint(100, self.span_ms),
                lambda now, i: c.TerminateAgent(
                    now_ms=now, command=i, agent=name, drain=number % 2 == 1
                ),
                needs=(command,),
                refusals=("unknown_agent",),
            )

    # Tasks -----------------------------------------------------------------------------------

    def script(self, quick: bool, attempts_max: int) -> Script:
        """What a task does."""
        chance, number = self.random, self.random.randint(1, 10**6)
        if quick:
            fails = chance.randint(1, attempts_max) if self.chance(0.15) else 0
            how = chance.choice(("error", "permanent"))
            return Script(number, fails=fails, how=how, large=self.chance(0.02))
        ms = chance.choice((0, 1, 5, 20, 20, 60, 200)) * chance.randint(1, 3)
        ms = chance.randint(500, 2_500) if self.chance(0.04) else ms
        fails, how = 0, "error"
        if self.chance(0.25):
            fails = chance.randint(1, attempts_max)
            how = chance.choice(("error", "error", "error", "permanent", "hang"))
        elif self.chance(0.01) and not self.crashes:
            self.crashes, fails, how = 1, 1, "crash"
        steps = chance.randint(1, 4) if self.chance(0.4) else 0
        return Script(
            number, ms, fails, how, steps, notes=self.chance(0.1), large=self.chance(0.03)
        )

    def patient(self, script: Script) -> Script:
        """The same, or one that is throttled at first: more often than it might fail."""
        if script.fails or self.throttles.random() >= self.throttled:
            return script
        return msgspec.structs.replace(
            script,
            fails=self.throttles.randint(1, 6),
            how="throttled",
            wait_ms=self.throttles.choice((0, 50, 400, 3_000)),
        )

    def acting(self, script: Script) -> Script:
        """The same, or one that does something to the world outside."""
        if self.outside.random() >= self.outgoing:
            return script
        kinds = ("transactional", "idempotent", "probeable", "in_doubt")
        count = self.outside.randint(1, 3)
        return msgspec.structs.replace(
            script, effects=tuple(self.outside.choice(kinds) for _ in range(count))
        )

    def asking(self, script: Script) -> Script:
        """The same, or one that asks its swarm for locks and for work. Not one that hangs: others
        would wait for it, and be blamed for the time."""
        if self.asks.random() >= self.asked or script.how == "hang":
            return script
        locks = self.asks.sample(LOCKS, self.asks.choice((0, 1, 2, 2, 3)))
        subs = (self.asks.randint(1, 10**6) for _ in range(self.asks.choice((0, 0, 1, 2))))
        return msgspec.structs.replace(script, locks=tuple(locks), subs=tuple(subs))

    def spec(self, at_ms: int, parent: str | None = None, phase: str | None = None) -> TaskSpec:
        """One task with its script."""
        chance, name = self.random, self.name("task")
        quick = self.quick and self.chance(0.3)
        backoff = chance.choice((Backoff.EXPONENTIAL, Backoff.EXPONENTIAL, Backoff.LINEAR))
        backoff = Backoff.NONE if self.chance(0.1) else backoff
        policy = RetryPolicy(backoff, chance.randint(1, 3), chance.choice((20, 100, 400)))
        script = self.patient(self.script(quick, policy.attempts_max))
        script = self.scripts[name] = script if quick else self.asking(self.acting(script))
        wanted = (QUICK,) if quick else chance.choice((("python",), ("testing",), EVERYTHING[:2]))
        if self.chance(0.2) and not quick:
            wanted = ()
        limit_ms = script.ms * max(1, script.steps) + chance.choice((700, 1_500, 3_000))
        limit_ms += 2_000 * len(script.effects)
        body = msgspec.msgpack.encode(script)
        return TaskSpec(
            id=name,
            type="scripted",
            input=Payload(inline=body),
            capabilities=wanted or ("python",),
            priority=chance.choice((0, 10, 20, 20, 30)),
            timeout_ms=self.limit_ms(script, limit_ms),
            retry=policy,
            parent=parent,
            phase=phase,
            deadline_ms=None,
        )

    def limit_ms(self, script: Script, needed_ms: int) -> int:
        """The wall-clock limit of a task that needs so long by itself."""
        short = script.how == "hang" or self.chance(0.5)
        if script.locks or script.subs:
            return ASKING_MS
        return needed_ms if short else 60_000

    def task(self, at_ms: int) -> int:
        """Ask for one task; how many that makes."""
        spec, refusals, needs = self.spec(at_ms), (), ()
        if self.submitted and self.chance(0.2):
            wanted = self.random.sample(self.submitted, min(len(self.submitted), 2))
            needs = tuple(command for _, command, _ in wanted)
            spec = msgspec.structs.replace(spec, depends_on=tuple(name for name, _, _ in wanted))
            refusals = ("dependency_failed", "unknown_task")
        lives_ms = self.random.randint(300, 8_000) if self.chance(0.03) else None

        def make(now: int, command: str) -> c.AnyCommand:
            deadline_ms = None if lives_ms is None else now + lives_ms
            asked = msgspec.structs.replace(spec, deadline_ms=deadline_ms)
            return c.SubmitTask(now_ms=now, command=command, spec=asked)

        command = self.act(at_ms, make, (spec.id,), needs, refusals)
        self.submitted.append((spec.id, command, at_ms))
        self.follow_up(spec, command, at_ms)
        return 1

    def follow_up(self, spec: TaskSpec, command: str, at_ms: int) -> None:
        """What may be asked about a task later."""
        name, later_ms = spec.id, at_ms + self.random.randint(0, 3_000)
        gone = ("unknown_task", "already_ended")
        if self.chance(0.06):
            self.cancelled[name] = self.act(
                later_ms,
                lambda now, i: c.CancelTask(now_ms=now, command=i, task=name),
                needs=(command,),
                refusals=gone,
            )
        elif self.chance(0.03):
            blocking = self.act(
                at_ms,
                lambda now, i: c.BlockTask(now_ms=now, command=i, task=name, missing="a person"),
                needs=(command,),
                refusals=("not_queued", "unknown_task"),
            )
            self.act(
                later_ms + 1_000,
                lambda now, i: c.UnblockTask(now_ms=now, command=i, task=name),
                needs=(blocking,),
                refusals=("not_blocked", "unknown_task"),
            )
        elif self.scripts[name].may_end_badly and not spec.depends_on and self.chance(0.3):
            self.retried[name] = self.act(
                later_ms + 6_000,
                lambda now, i: c.RetryTask(now_ms=now, command=i, task=name),
                needs=(command,),
                refusals=("not_failed", "unknown_task", "deadline_passed"),
            )
        elif self.chance(0.02):
            self.act(
                later_ms,
                lambda now, i: c.SubmitTask(now_ms=now, command=i, spec=spec),
                needs=(command,),
                refusals=("duplicate_id", "dependency_failed", "unknown_task"),
            )

    def plan(self, at_ms: int, most: int) -> int:
        """Ask for a plan; how many tasks that makes."""
        root, phases, made = self.name("task"), list[Phase](), 0
        for number in range(self.random.randint(1, 3)):
            title = f"phase{number}"
            count = min(self.random.randint(1, 5), max(1, most - made))
            parts = [self.spec(at_ms, root, title) for _ in range(count)]
            made += count
            sequential = self.chance(0.3)
            width = 0 if sequential else self.plans.choice((0, 0, 1, 2, 3))
            phases.append(Phase(title, tuple(parts), sequential, width=width))
        threshold_bp = self.random.choice((0, 0, 2_500, 5_000))
        names = (root, *(part.id for phase in phases for part in phase.tasks))
        found = tuple(phases)
        blocked = "a model" if self.plans.random() < 0.25 else None

        def make(now: int, command: str) -> c.AnyCommand:
            return c.SubmitPlan(
                now_ms=now,
                command=command,
                spec=TaskSpec(id=root),
                phases=found,
                failure_threshold_bp=threshold_bp,
                blocked=blocked,
            )

        command = self.act(at_ms, make, names)
        if blocked is not None:
            self.act(
                at_ms + self.plans.randint(0, 3_000),
                lambda now, i: c.UnblockTask(now_ms=now, command=i, task=root),
                needs=(command,),
                refusals=("not_blocked", "unknown_task"),
            )
        if self.chance(0.1):
            self.cancelled[root] = self.act(
                at_ms + self.random.randint(0, 2_000),
                lambda now, i: c.CancelTask(now_ms=now, command=i, task=root),
                needs=(command,),
                refusals=("already_ended",),
            )
        return 1 + made

    # Votes -----------------------------------------------------------------------------------

    def vote(self, at_ms: int, members: list[tuple[str, str]]) -> None:
        """Ask for a vote, the ballots of members (agent, its spawning) and others, and its end."""
        name = self.name("vote")
        spec = VoteSpec(id=name, question="?", electorate=tuple(member for member, _ in members))
        opened = self.act(
            at_ms,
            lambda now, i: c.OpenVote(now_ms=now, command=i, spec=spec),
            needs=tuple(command for _, command in members),
            refusals=("unknown_id",),
        )
        refusals = ("unknown_id", "late_ballot", "second_ballot")
        for member, _ in members:
            for _ in range(self.random.choice((0, 1, 1, 1, 1, 2))):
                self.ballot(at_ms, name, member, opened, refusals)
        if self.chance(0.3):
            self.ballot(at_ms, name, "nobody", opened, (*refusals[:2], "stranger"))
        self.act(
            at_ms + self.random.randint(500, 4_000),
            lambda now, i: c.CloseVote(now_ms=now, command=i, vote=name, reason="time is up"),
            needs=(opened,),
            refusals=("unknown_id", "already_ended"),
        )

    def ballot(
        self, at_ms: int, vote: str, member: str, opened: str, refusals: tuple[str, ...]
    ) -> None:
        """Ask for one ballot to be taken."""
        choice = self.random.choice(BALLOTS)

        def make(now: int, command: str) -> c.AnyCommand:
            return c.CastBallot(
                now_ms=now,
                command=command,
                vote=vote,
                member=member,
                choice=choice,
                evidence="tests",
            )

        later_ms = at_ms + self.random.randint(0, 3_000)
        self.act(later_ms, make, needs=(opened,), refusals=refusals)


def _add_changes(maker: _Maker, seed: int) -> None:
    """Agents become something else, and there may be more or fewer of them."""
    maker.random = chance = random.Random(f"changes of {seed}")
    for name, (spawning, at_ms) in maker.spawned.items():
        for _ in range(chance.choice((0, 0, 1, 2))):
            _update(maker, name, spawning, at_ms + chance.randint(0, maker.span_ms))
    for _ in range(chance.choice((0, 1, 2))):
        agents_max = chance.randint(maker.staying, len(maker.spawned) + 1)

        def make(now: int, command: str, agents_max: int = agents_max) -> c.AnyCommand:
            return c.ChangeLimits(now_ms=now, command=command, agents_max=agents_max)

        maker.act(chance.randint(0, maker.span_ms), make, needs=tuple(maker.first))


def _update(maker: _Maker, agent: str, spawning: str, at_ms: int) -> None:
    chance, version = maker.random, maker.name("version")
    tasks_max = chance.choice((None, 1, 3))
    memory_bytes = chance.choice((None, None, 2**29, 2**31))
    if maker.alone < ALONE and chance.random() >= maker.alone:
        memory_bytes = None
    config = Payload(inline=msgspec.msgpack.encode({"version": version}))

    def make(now: int, command: str) -> c.AnyCommand:
        return c.UpdateAgent(
            now_ms=now,
            command=command,
            agent=agent,
            config=config,
            tasks_max=tasks_max,
            memory_bytes=memory_bytes,
        )

    maker.act(
        at_ms,
        make,
        needs=(spawning,),
        refusals=("unknown_agent", "already_ended", "agent_failed"),
    )


def _add_votes(maker: _Maker, seed: int, agents: int) -> None:
    # With chance of its own: the tasks of a seed stay what they are.
    maker.random = random.Random(f"votes of {seed}")
    spawned = [(f"agent_{number}", command) for number, command in enumerate(maker.first)]
    for _ in range(maker.random.choice((0, 1, 2, 3))):
        at_ms = maker.random.randint(0, maker.span_ms)
        members = spawned if maker.chance(0.7) else maker.random.sample(spawned, 1)
        # Others may be gone by then, or not there yet.
        others = [(f"agent_{number}", spawned[0][1]) for number in range(len(spawned), agents)]
        members = [
            *members,
            *maker.random.sample(others, min(len(others), maker.random.choice((0, 1, 2)))),
        ]
        maker.vote(at_ms, members)


def make_workload(
    seed: int, agents: int, tasks: int, span_ms: int = 12_000, *, effects: bool = False
) -> Workload:
    """About `tasks` tasks for `agents` agents, asked for over `span_ms`; with `effects` some of
    them do things to the world outside, and some ask their swarm for locks and for work.

    Every task can be done by the first two agents, which stay. Ids are fresh within the
    workload, and the same for the same arguments.
    """
    maker = _Maker(seed, span_ms, min(2, agents), effects)
    maker.alone = min(ALONE, ALONE_MAX / agents)
    for number in range(agents):
        early = number < 2 or maker.chance(0.7)
        maker.agent(number, 0 if early else maker.random.randint(0, span_ms))
    for number in range(maker.random.choice((0, 0, 1, 2))):
        maker.agent(agents + number, maker.random.randint(0, span_ms))
    made = 0
    while made < tasks:
        at_ms = int(span_ms * maker.random.random() ** 1.5)
        plan = maker.chance(0.03)
        made += maker.plan(at_ms, tasks - made) if plan else maker.task(at_ms)
    _add_votes(maker, seed, agents)
    if effects:
        add_polls(maker, seed)
    _add_changes(maker, seed)
    maker.actions.sort(key=lambda action: action.at_ms)
    return Workload(
        maker.actions, maker.scripts, maker.cancelled, maker.retried, agents, maker.crashes
    )
