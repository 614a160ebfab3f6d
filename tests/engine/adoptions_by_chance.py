"""Recoveries in a world of chance: processes live on, come back with what they hold, or do not."""

from typing import TYPE_CHECKING

from visionflow.domain import commands as c
from visionflow.domain import supervision_commands as sc

if TYPE_CHECKING:
    from tests.engine.world import World

SECRET_HASH = "5e"
"""Of every process in here, so that each may be kept."""


def happen(world: "World") -> None:
    """One thing of it."""
    world.random.choice((_recover, _come_back, _come_back, _begin))(world)


def _recover(world: "World") -> None:
    """With some of the workers alive, and with one that nobody knows."""
    names = [*world.state.workers, "nobody"]
    kept = tuple(world.random.sample(names, world.random.randint(0, len(names))))
    until_ms = world.now_ms + 60_000
    world.send(c.Recover(now_ms=world.now_ms, kept=kept, kept_until_ms=until_ms))


def _come_back(world: "World") -> None:
    """One of them says hello with some of what it was given, and something of its own; mostly one
    that is awaited."""
    awaited = [world.state.workers[name] for name in world.state.supervised.awaited]
    workers = awaited or list(world.state.workers.values())
    if not workers:
        return
    worker = world.random.choice(workers)
    held = [
        pair
        for agent in worker.agents
        for pair in world.state.agents[agent].open.items()
        if world.random.random() < 0.7
    ]
    if world.random.random() < 0.2:
        held.append(("elsewhere", 3))
    world.send(
        sc.ReportWorkerAdopted(
            now_ms=world.now_ms,
            worker=worker.id,
            incarnation=worker.incarnation - world.random.choice((0, 0, 0, 1)),
            attempts=tuple(held),
        )
    )


def _begin(world: "World") -> None:
    """A process is there and has not said hello: it may be kept before it ever does."""
    for worker in world.state.workers.values():
        if worker.pid is None and world.random.random() < 0.5:
            world.send(
                c.ReportWorkerStarted(
                    now_ms=world.now_ms,
                    worker=worker.id,
                    incarnation=worker.incarnation + 1,
                    pid=1,
                    started="1",
                    secret_hash=SECRET_HASH,
                )
            )
            return
