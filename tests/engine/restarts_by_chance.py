"""What supervision meets in a world of chance: restarts, recycling, ceilings that are reached."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from visionflow.domain import commands as c
from visionflow.domain import supervision_commands as sc
from visionflow.domain.agents import AgentSpec, ResourceLimits
from visionflow.domain.supervision import (
    RecoverySpec,
    RecyclingSpec,
    RestartStrategy,
    SupervisionSpec,
)
from visionflow.domain.tasks import FailureKind

if TYPE_CHECKING:
    from tests.engine.world import World

MEMORY = 1_000_000
KINDS = (FailureKind.CRASH, FailureKind.RESOURCES, FailureKind.TIMEOUT, FailureKind.NETWORK)


def supervision(choice: Callable[[Sequence[Any]], Any]) -> SupervisionSpec:
    """Of a swarm."""
    return SupervisionSpec(
        strategy=choice(list(RestartStrategy)),
        restarts_max=choice((None, None, 1, 5)),
        period_ms=choice((1_000, 60_000)),
    )


def happen(world: "World") -> None:
    """One thing of it."""
    world.random.choice((_restart, _recycle, _die, _special, _exhaust))(world)


def _restart(world: "World") -> None:
    if world.state.agents:
        world.send(
            sc.RestartAgent(
                now_ms=world.now_ms,
                agent=world.random.choice(list(world.state.agents)),
                drain=world.random.random() < 0.5,
                command=world.random.choice((None, world.name("command"))),
            )
        )


def _recycle(world: "World") -> None:
    if world.state.workers:
        worker = world.random.choice(list(world.state.workers.values()))
        number = worker.incarnation - world.random.choice((0, 0, 0, 1))
        world.send(
            sc.RecycleWorker(
                now_ms=world.now_ms, worker=worker.id, incarnation=number, reason="it has grown"
            )
        )


def _die(world: "World") -> None:
    if world.state.workers:
        worker = world.random.choice(list(world.state.workers.values()))
        world.send(
            c.ReportWorkerLost(
                now_ms=world.now_ms,
                worker=worker.id,
                incarnation=worker.incarnation,
                kind=world.random.choice(KINDS),
                reason="gone",
                machine_bytes=world.random.choice((None, 3 * MEMORY, 100 * MEMORY)),
                last_words=world.random.choice(("", "KeyError: 'model'")),
            )
        )


def _special(world: "World") -> None:
    """An agent with wishes of its own."""
    choice = world.random.choice
    name = world.name("agent")
    spec = AgentSpec(
        id=name,
        type=choice(("coder", "tester")),
        name=name,
        class_path="m:C",
        capabilities=("python", "review"),
        tasks_max=choice((1, 2)),
        limits=ResourceLimits(memory_bytes=choice((None, MEMORY, MEMORY))),
        recovery=RecoverySpec(
            name="own",
            restarts_max=choice((0, 1, 3)),
            memory_max_bytes=choice((None, 2 * MEMORY)),
            timeout_max_ms=choice((None, 400_000)),
        ),
        recycling=RecyclingSpec(tasks_max=choice((None, 2)), age_ms=choice((None, 10_000))),
    )
    world.send(c.SpawnAgent(now_ms=world.now_ms, spec=spec))


def _exhaust(world: "World") -> None:
    running = world.running()
    if running:
        task = world.random.choice(running)
        world.send(
            c.ReportFailure(
                now_ms=world.now_ms,
                task=task,
                attempt=world.state.tasks[task].attempt,
                kind=world.random.choice((FailureKind.RESOURCES, FailureKind.TIMEOUT)),
                reason="too much",
                machine_bytes=world.random.choice((None, 100 * MEMORY)),
            )
        )
