"""One seed, from the first start to the verdict."""

from collections import Counter
from random import Random

import msgspec

from visionflow.domain import commands as c
from visionflow.testing.simulator.client import Client
from visionflow.testing.simulator.faults import Faults
from visionflow.testing.simulator.orchestrator import compare_with_replay
from visionflow.testing.simulator.verdict import Verdict
from visionflow.testing.simulator.world import World
from visionflow.testing.workload import Action, Workload, make_workload

SPAN_MS = (4_000, 16_000)
"""Over this time clients ask and faults come."""
END_MS = 900_000
CLOSE_MS = 60_000


class SeedResult(msgspec.Struct, frozen=True):
    """What one seed showed."""

    seed: int
    agents: int
    tasks: int
    faults: tuple[str, ...]
    """What must not have happened; empty is a clean bill."""
    transitions: dict[str, int]
    """By `task queued -> assigned`, how often it happened."""
    injected: dict[str, int]
    """Faults of the machine that were brought about, by kind."""
    counts: dict[str, int]
    """What else was seen: events by kind, repeated frames, callbacks."""
    digest: str
    """A hash of the whole trace: the same for the same seed and commit."""
    virtual_ms: int

    @property
    def again(self) -> str:
        """The command that runs it again."""
        return f"visionflow simulate --seed {self.seed} --agents {self.agents} --tasks {self.tasks}"


def run_seed(seed: int, agents: int = 6, tasks: int = 120) -> SeedResult:
    """Run one seed to its end. It never raises for a fault of the system: it reports it."""
    span_ms = Random(seed).randint(*SPAN_MS)
    workload = make_workload(seed, agents, tasks, span_ms, effects=True)
    world = World(seed, workload)
    faults = Faults(world, span_ms, workload.crashes)
    try:
        _live(world, workload, faults)
    finally:
        world.kernel.close()
    return _result(seed, agents, tasks, world, faults)


def _live(world: World, workload: Workload, faults: Faults) -> None:
    kernel, client, check = world.kernel, world.client, world.witness.check
    world.start()
    client.start()

    def finished() -> bool:
        if kernel.faults:
            return True
        over = kernel.now_us > faults.until_ms * 1_000 and client.done and not check.alive
        return over and not check.effects.in_doubt

    why = kernel.run(finished, END_MS)
    if why is not None:
        kernel.fault(f"{why}; open: {_open_tasks(world)}; unanswered: {client.waiting()[:5]}")
    if not kernel.faults:
        _close(world, client)
    if not kernel.faults:
        _judge(world, workload, faults)


def _open_tasks(world: World) -> list[str]:
    tasks = world.witness.check.tasks.items()
    return [f"{name} {task.status}" for name, task in tasks if not task.ends][:5]


def _close(world: World, client: Client) -> None:
    """Close the swarm, and then the orchestrator: nothing may be left over."""
    kernel, check = world.kernel, world.witness.check
    world.heal()

    def make(now: int, command: str) -> c.AnyCommand:
        return c.CloseSwarm(now_ms=now, command=command, reason="the end")

    client.ask(Action(0, "close", make))

    def emptied() -> bool:
        return "close" in client.told and not check.agents and not world.living()

    until_ms = kernel.now_us // 1_000 + CLOSE_MS
    why = kernel.run(emptied, until_ms)
    life = world.life
    if why is not None or life is None:
        left = [node.process.name for node in world.living()]
        kernel.fault(f"the swarm does not close: {why}; agents {list(check.agents)}; {left}")
        return
    over: list[bool] = []
    world.closing = True
    life.process.start(life.stop(lambda: over.append(True)))
    why = kernel.run(lambda: bool(over), until_ms)
    if why is not None or world.living():
        kernel.fault(f"the orchestrator does not stop: {why}")


def _judge(world: World, workload: Workload, faults: Faults) -> None:
    kernel = world.kernel
    accepted = [name for name, answer in world.client.told.items() if answer.code is None]
    verdict = Verdict(
        world.witness.check.tasks,
        workload,
        frozenset(accepted),
        world.disk.blobs,
        faults.blames,
    )
    for fault in verdict.faults():
        kernel.fault(fault)
    for fault in world.witness.outside.faults(workload.scripts, world.disk.blobs):
        kernel.fault(fault)
    for fault in compare_with_replay(world.witness, world.lives):
        kernel.fault(fault)


def _result(seed: int, agents: int, tasks: int, world: World, faults: Faults) -> SeedResult:
    check = world.witness.check
    counts = Counter(check.events) + world.witness.counts
    counts.update(check.trace.counts)
    counts["callbacks"] = world.kernel.steps
    counts["mailbox full"] = world.client.full
    counts["failed appends"] = world.disk.failed
    counts["records"] = check.records
    counts.update(world.witness.outside.counts())
    counts["effects resolved by a person"] = world.witness.person.said
    counts["throttled attempts"] = sum(len(task.waits) for task in check.tasks.values())
    kinds = (kind for task in check.tasks.values() for _, kind in task.failures)
    counts["attempts given back"] = sum(kind == "recalled" for kind in kinds)
    counts["sections under a lock"] = world.witness.sections.entered
    counts["orchestrators"] = len(world.lives)
    counts["workers"] = len(world.workers)
    moves = {
        f"{kind} {before or '(new)'} -> {after}": times
        for (kind, before, after), times in sorted(check.transitions.items())
    }
    return SeedResult(
        seed=seed,
        agents=agents,
        tasks=tasks,
        faults=tuple(world.kernel.faults),
        transitions=moves,
        injected=dict(sorted(faults.counts.items())),
        counts=dict(sorted(counts.items())),
        digest=world.kernel.digest(),
        virtual_ms=world.kernel.now_us // 1_000,
    )
