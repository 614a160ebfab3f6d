"""Many agents, some of which fail all the time, and storms in which many die at once.

The same orchestrator and workers as in every seed, on one machine that is large: here the
questions are whether tasks flow while restarts go on, and whether restarts stay within their
intensity. Some agents are doomed: their process dies whenever it has come up, and has to be given
up after so many times.
"""

import random
from collections.abc import Callable, Iterator, Mapping
from statistics import median

import msgspec

from visionflow.domain import commands as c
from visionflow.domain.agents import AgentSpec, ResourceLimits
from visionflow.domain.limits import Limits
from visionflow.domain.swarms import SwarmSpec
from visionflow.domain.tasks import Payload, RetryPolicy, TaskSpec
from visionflow.ports.host import Exit
from visionflow.testing.checkers import ENDED, TaskLine
from visionflow.testing.simulator.host import Child, SimHost
from visionflow.testing.simulator.verdict import Verdict
from visionflow.testing.simulator.worker import WorkerNode
from visionflow.testing.simulator.world import World
from visionflow.testing.workload import Action, Script, Workload

ALONE_EVERY = 5
"""Every so-many-th agent has a process of its own."""
SHARED_PER_WORKER = 80
DOOMED_BP = 200
"""Of those with a process of their own."""
CRASHES_BP = 2_500
"""Of the attempts that fail on such an agent: they take their process with them."""
STORMS = 3
STRUCK_BP = 2_000
"""Of all worker processes, killed at one moment."""
TASK_MS = (5_000, 15_000)
SPAWN_MS = 5_000
SPAN_MS = 60_000
END_MS = 900_000
FAILS_MAX = 2
"""Of attempts that are a task's own doing; one more and it is given up."""


class StormOrder(msgspec.Struct, frozen=True):
    """What is to be simulated."""

    seed: int = 0
    agents: int = 10_000
    tasks: int = 50_000
    failing_bp: int = 200
    """Of all attempts."""

    @property
    def again(self) -> str:
        """The command that simulates it again."""
        return (
            f"visionflow simulate --storm --seed {self.seed} --agents {self.agents} "
            f"--tasks {self.tasks}"
        )


class StormFigures(msgspec.Struct, frozen=True):
    """What came of it."""

    order: StormOrder
    faults: tuple[str, ...]
    """What must not have happened."""
    completed: int
    other_ends: int
    attempts: int
    failed_attempts: dict[str, int]
    """By kind."""
    workers: int
    """Places of worker processes."""
    worker_starts: int
    own_deaths: int
    """Of workers, with nothing under way."""
    given_up: int
    """Workers that died by themselves too often."""
    doomed: int
    restarts_most: int
    """Of one worker after deaths by itself, within a minute."""
    restarts_peak: int
    """Starts of workers within one second, after the first."""
    waited_ms: int
    """From its submission to its first attempt, in the median."""
    again_ms: int | None
    """From a storm to the next attempt at a task that it struck down, in the median."""
    again_worst_ms: int | None
    flow_median: int
    """Tasks completed in each second of the second half, in the median."""
    flow_least: int
    """The least of those."""
    virtual_ms: int


class _StormWorld(World):
    def __init__(self, order: StormOrder, workload: Workload, doomed: frozenset[str]) -> None:
        super().__init__(order.seed, workload)
        shared = order.agents - order.agents // ALONE_EVERY
        limits = Limits(
            agents_max=order.agents,
            workers_max=max(1, shared // SHARED_PER_WORKER),
            mailbox_max=1_000_000,
        )
        self.grace_ms = 0
        self.spec = SwarmSpec(id="swarm", goal="simulated", limits=limits)
        self.doomed = doomed
        self.launched_ms: list[int] = []

    def launch(self, parent: SimHost, env: Mapping[str, str], secret: str) -> Child | None:
        """See `host.Machine`."""
        made = super().launch(parent, env, secret)
        self.launched_ms.append(self.kernel.now_us // 1_000)
        node = self.workers[-1]
        if made is not None and node.order.worker in self.doomed:
            self.kernel.after(self.kernel.between(100_000, 400_000), _dies(node))
        return made


def _dies(node: WorkerNode) -> Callable[[], None]:
    return lambda: node.ended(Exit(1, None))


def run_storm(order: StormOrder) -> StormFigures:
    """Simulate it to its end. It never raises for a fault of the system: it reports it."""
    chance = random.Random(f"storm {order.seed}")
    workload = _workload(order, chance)
    alone = [f"own-agent_{number}" for number in range(0, order.agents, ALONE_EVERY)]
    doomed = frozenset(chance.sample(alone[1:], -(-len(alone[1:]) * DOOMED_BP // 10_000)))
    world = _StormWorld(order, workload, doomed)
    struck: list[tuple[int, dict[str, int]]] = []
    for number in range(STORMS):
        at_ms = SPAWN_MS + (number + 1) * (SPAN_MS - SPAWN_MS) // (STORMS + 1)
        world.kernel.at_ms(at_ms, _storm(world, chance, struck))
    try:
        _live(world, workload)
        return _figures(order, world, struck)
    finally:
        world.kernel.close()


def _live(world: _StormWorld, workload: Workload) -> None:
    kernel, check = world.kernel, world.witness.check
    world.start()
    world.client.start()

    def finished() -> bool:
        if kernel.faults:
            return True
        return kernel.now_us > SPAN_MS * 1_000 and not check.alive and world.client.done

    why = kernel.run(finished, END_MS)
    if why is not None:
        open_ = [name for name, task in check.tasks.items() if task.status not in ENDED]
        kernel.fault(f"{why}; open: {len(open_)} tasks, such as {open_[:5]}")
        return
    accepted = frozenset(name for name, answer in world.client.told.items() if not answer.code)
    verdict = Verdict(check.tasks, workload, accepted, world.disk.blobs, blames=False)
    for fault in verdict.faults():
        kernel.fault(fault)
    if world.life is not None:
        world.life.look()


def _storm(
    world: _StormWorld, chance: random.Random, struck: list[tuple[int, dict[str, int]]]
) -> Callable[[], None]:
    def storm() -> None:
        living = world.living()
        hit = chance.sample(living, len(living) * STRUCK_BP // 10_000)
        names = {node.order.worker for node in hit}
        check = world.witness.check
        under_way = {
            task: attempt
            for agent in check.agents.values()
            if agent.worker in names
            for task, attempt in agent.open.items()
        }
        struck.append((world.kernel.shown_ms(), under_way))
        for node in hit:
            node.ended(Exit(None, "SIGKILL"))

    return storm


def _workload(order: StormOrder, chance: random.Random) -> Workload:
    agents = order.agents
    actions = [_spawning(number, SPAWN_MS * number // agents) for number in range(agents)]
    scripts: dict[str, Script] = {}
    for number in range(order.tasks):
        name = f"task_{number}"
        at_ms = SPAN_MS * number // order.tasks
        alone = number % ALONE_EVERY == 0
        fails = 0
        while fails < FAILS_MAX and chance.randrange(10_000) < order.failing_bp:
            fails += 1
        crashes = alone and chance.randrange(10_000) < CRASHES_BP
        script = Script(
            chance.randint(1, 10**6),
            chance.randint(*TASK_MS),
            fails,
            "crash" if crashes else "error",
        )
        scripts[name] = script
        actions.append(_submitting(name, at_ms, script, "alone" if alone else "shared"))
    actions.sort(key=lambda action: action.at_ms)
    return Workload(actions, scripts, {}, {}, order.agents, 0)


def _spawning(number: int, at_ms: int) -> Action:
    alone = number % ALONE_EVERY == 0
    spec = AgentSpec(
        id=f"agent_{number}",
        type="scripted",
        name=f"agent_{number}",
        class_path="scripted:coroutine",
        capabilities=("alone",) if alone else ("shared",),
        limits=ResourceLimits(memory_bytes=2**30 if alone else None),
    )

    def make(now: int, command: str) -> c.AnyCommand:
        return c.SpawnAgent(now_ms=now, command=command, spec=spec)

    return Action(at_ms, f"spawn_{number}", make)


def _submitting(name: str, at_ms: int, script: Script, needs: str) -> Action:
    spec = TaskSpec(
        id=name,
        type="scripted",
        input=Payload(inline=msgspec.msgpack.encode(script)),
        capabilities=(needs,),
        retry=RetryPolicy(attempts_max=FAILS_MAX + 1, base_ms=500),
    )

    def make(now: int, command: str) -> c.AnyCommand:
        return c.SubmitTask(now_ms=now, command=command, spec=spec)

    return Action(at_ms, f"submit_{name}", make, (name,))


# Figures -----------------------------------------------------------------------------------------


def _figures(
    order: StormOrder, world: _StormWorld, struck: list[tuple[int, dict[str, int]]]
) -> StormFigures:
    check, restarts = world.witness.check, world.witness.restarts
    times = _Times(world.witness.bodies)
    again = sorted(times.again(struck))
    tasks = list(check.tasks.values())
    completed = sum(task.status == "completed" for task in tasks)
    flow = times.flow()
    return StormFigures(
        order=order,
        faults=tuple(world.kernel.faults),
        completed=completed,
        other_ends=len(tasks) - completed,
        attempts=sum(task.attempt for task in tasks),
        failed_attempts=_kinds(tasks),
        workers=len(restarts.starts),
        worker_starts=sum(restarts.starts.values()),
        own_deaths=restarts.own_deaths,
        given_up=restarts.given_up,
        doomed=len(world.doomed),
        restarts_most=restarts.most_in_a_period,
        restarts_peak=_peak([ms for ms in world.launched_ms if ms > 2 * SPAWN_MS]),
        waited_ms=round(median(times.waited() or [0])),
        again_ms=round(median(again)) if again else None,
        again_worst_ms=again[-1] if again else None,
        flow_median=round(median(flow or [0])),
        flow_least=min(flow or [0]),
        virtual_ms=world.kernel.now_us // 1_000,
    )


def _kinds(tasks: list[TaskLine]) -> dict[str, int]:
    found: dict[str, int] = {}
    for task in tasks:
        for _, kind in task.failures:
            found[kind] = found.get(kind, 0) + 1
    return dict(sorted(found.items()))


def _peak(times_ms: list[int]) -> int:
    """The most within one second."""
    most, first = 0, 0
    for last, at_ms in enumerate(times_ms):
        while times_ms[first] <= at_ms - 1_000:
            first += 1
        most = max(most, last - first + 1)
    return most


class _Times:
    """When what happened, by the log."""

    def __init__(self, bodies: list[bytes]) -> None:
        self._submitted: dict[str, int] = {}
        self._assigned: dict[tuple[str, int], int] = {}
        self._completed: list[int] = []
        self._first_ms: int | None = None
        for body in bodies:
            at_ms, events = msgspec.msgpack.decode(body)
            if self._first_ms is None:
                self._first_ms = at_ms
            for event in events:
                if event["t"] == "task_submitted":
                    self._submitted[event["spec"]["id"]] = at_ms
                elif event["t"] == "task_assigned":
                    self._assigned[event["task"], event["attempt"]] = at_ms
                elif event["t"] == "task_completed":
                    self._completed.append(at_ms)

    def waited(self) -> list[int]:
        return [
            self._assigned[name, 1] - at_ms
            for name, at_ms in self._submitted.items()
            if (name, 1) in self._assigned
        ]

    def again(self, struck: list[tuple[int, dict[str, int]]]) -> Iterator[int]:
        for at_ms, tasks in struck:
            for name, attempt in tasks.items():
                next_ms = self._assigned.get((name, attempt + 1))
                if next_ms is not None:
                    yield next_ms - at_ms

    def flow(self) -> list[int]:
        """Tasks completed in each second of the second half of the span."""
        first_ms = (self._first_ms or 0) + SPAN_MS // 2
        seconds = [0] * (SPAN_MS // 2_000)
        for at_ms in self._completed:
            place = (at_ms - first_ms) // 1_000
            if 0 <= place < len(seconds):
                seconds[place] += 1
        return seconds
