"""The job of `testing/summing` under a topology, on the simulated machine."""

from collections import Counter
from random import Random
from typing import Any

import msgspec

from visionflow.domain import commands as c
from visionflow.domain.agents import AgentSpec
from visionflow.domain.swarms import Strategy, Topology
from visionflow.domain.tasks import TaskSpec
from visionflow.testing.simulator.faults import Faults
from visionflow.testing.simulator.mesh import MeshWorld
from visionflow.testing.simulator.orchestrator import compare_with_replay
from visionflow.testing.summing import SUM, TEAM, job
from visionflow.testing.traces import Trace, read_trace
from visionflow.testing.workload import Action, Workload

ROOT = "sum"
AGENTS = tuple(f"agent_{number}" for number in range(len(TEAM)))
END_MS = 900_000
FAULTS_MS = 2_000
"""Faults come within this time."""


class JobResult(msgspec.Struct, frozen=True):
    """What became of the job."""

    faults: tuple[str, ...]
    """What must not have happened; empty is a clean bill."""
    trace: Trace
    answer: int
    """The right sum."""
    results: dict[str, Any]
    """By task, without the name of its plan."""
    bodies: tuple[bytes, ...]
    """The records of the log."""
    injected: dict[str, int]
    """Faults of the machine, by kind."""
    digest: str


def run_job(
    seed: int,
    topology: Topology,
    strategy: Strategy = Strategy.CENTRALIZED,
    *,
    faults: bool = False,
) -> JobResult:
    """Run the job to its end; with `faults` on a machine that has some."""
    source = Random(f"numbers of {seed}")
    numbers = [source.randint(1, 10**6) for _ in range(40)]
    workload = _workload(numbers, FAULTS_MS // 4 if faults else 20)
    world = MeshWorld(seed, workload, calm=not faults)
    world.spec = msgspec.structs.replace(world.spec, topology=topology, strategy=strategy)
    befall = Faults(world, FAULTS_MS, 0) if faults else None
    kernel, check = world.kernel, world.witness.check
    try:
        world.start()
        world.client.start()

        def finished() -> bool:
            over = befall is None or kernel.now_us > FAULTS_MS * 1_000
            return bool(kernel.faults) or (over and world.client.done and not check.alive)

        why = kernel.run(finished, END_MS)
        if why is not None:
            left = [f"{name} {task.status}" for name, task in check.tasks.items() if not task.ends]
            kernel.fault(f"{why}; open: {left}; unanswered: {world.client.waiting()[:5]}")
        elif not kernel.faults:
            for fault in compare_with_replay(world.witness, world.lives):
                kernel.fault(fault)
    finally:
        kernel.close()
    return JobResult(
        faults=tuple(kernel.faults),
        trace=read_trace(world.witness.bodies),
        answer=sum(numbers),
        results={
            name.removeprefix(f"{ROOT}_"): msgspec.msgpack.decode(task.result[0])
            for name, task in check.tasks.items()
            if task.status == "completed" and task.result and task.result[0]
        },
        bodies=tuple(world.witness.bodies),
        injected=dict(Counter() if befall is None else befall.counts),
        digest=kernel.digest(),
    )


def _workload(numbers: list[int], work_ms: int) -> Workload:
    def spawned(number: int) -> Action:
        spec = AgentSpec(
            id=AGENTS[number],
            type=TEAM[number],
            name=AGENTS[number],
            class_path="scripted:summing",
            capabilities=(SUM,),
        )

        def make(now: int, command: str) -> c.AnyCommand:
            return c.SpawnAgent(now_ms=now, command=command, spec=spec)

        needs = (f"spawn_{number - 1}",) if number else ()
        return Action(number, f"spawn_{number}", make, needs=needs)

    phases = job(ROOT, AGENTS, numbers, work_ms)

    def planned(now: int, command: str) -> c.AnyCommand:
        root = TaskSpec(id=ROOT, type="plan")
        return c.SubmitPlan(now_ms=now, command=command, spec=root, phases=phases)

    names = (ROOT, *(task.id for phase in phases for task in phase.tasks))
    plan = Action(
        len(TEAM), "plan", planned, tasks=names, needs=tuple(f"spawn_{n}" for n in range(len(TEAM)))
    )
    return Workload([*map(spawned, range(len(TEAM))), plan], {}, {}, {}, len(TEAM), 0)
