"""Workers that stop in virtual time: how soon they are found out, and what they change when they
wake up again."""

from collections import Counter
from random import Random

import pytest

from visionflow.domain import events as e
from visionflow.domain import supervision_events as s
from visionflow.domain.events import AnyEvent, decode_record
from visionflow.domain.tasks import FailureKind
from visionflow.testing.simulator.run import run_seed
from visionflow.testing.simulator.world import World
from visionflow.testing.workload import make_workload

START_MS, PATIENCE_MS = 10_000, 60_000
TICK_MS = 100

pytestmark = pytest.mark.acceptance("detect")


def log_of(world: World) -> list[tuple[int, AnyEvent]]:
    """Every event so far, with when it was recorded, in ms of the simulated clock."""
    found: list[tuple[int, AnyEvent]] = []
    for body in world.witness.bodies:
        record = decode_record(body)
        found += [(record.at_ms - world.kernel.wall_ms, event) for event in record.events]
    return found


def of_worker(world: World, worker: str) -> list[tuple[int, AnyEvent]]:
    """The opinions on a worker in the log, with their times."""
    kinds = (s.WorkerSuspected, s.WorkerTrusted, e.WorkerLost)
    return [(at, x) for at, x in log_of(world) if isinstance(x, kinds) and x.worker == worker]


@pytest.mark.parametrize("seed", range(8))
def test_one_that_stops_is_suspected_then_lost_and_replaced_within_three_heartbeats(
    seed: int,
) -> None:
    world = World(seed, make_workload(seed, 4, 20, 4_000))
    kernel, beat_ms = world.kernel, world.spec.limits.heartbeat_ms
    try:
        world.start()
        world.client.start()
        kernel.run(lambda: kernel.now_us > START_MS * 1_000, 2 * START_MS)
        node = Random(seed).choice(world.living())
        worker, stopped_ms = node.order.worker, kernel.now_us // 1_000
        node.process.stop()
        before = len(of_worker(world, worker))

        def lost() -> bool:
            return any(isinstance(x, e.WorkerLost) for _, x in of_worker(world, worker)[before:])

        assert kernel.run(lost, START_MS + PATIENCE_MS) is None
        told = of_worker(world, worker)[before:]
        assert [type(x) for _, x in told] == [s.WorkerSuspected, e.WorkerLost]
        at_ms, event = told[-1]
        # Its last heartbeat may have come just before it stopped.
        assert beat_ms < at_ms - stopped_ms <= 3 * beat_ms + TICK_MS
        assert isinstance(event, e.WorkerLost) and event.kind is FailureKind.KILLED
        assert dict(event.probes)["process"] is False
        assert kernel.faults == []
    finally:
        kernel.close()


@pytest.mark.parametrize("seed", range(4))
def test_one_that_stands_still_for_a_heartbeat_is_not_lost_and_trusted_again(seed: int) -> None:
    world = World(seed, make_workload(seed, 4, 20, 4_000))
    kernel, beat_ms = world.kernel, world.spec.limits.heartbeat_ms
    try:
        world.start()
        world.client.start()
        kernel.run(lambda: kernel.now_us > START_MS * 1_000, 2 * START_MS)
        nodes = world.living()
        before = [worker for _, worker in log_of(world) if isinstance(worker, e.WorkerLost)]
        for node in nodes:
            node.process.stop()
            kernel.after(beat_ms * 1_000, node.process.resume)
        until_us = kernel.now_us + 6 * beat_ms * 1_000
        kernel.run(lambda: kernel.now_us > until_us, START_MS + PATIENCE_MS)
        after = [worker for _, worker in log_of(world) if isinstance(worker, e.WorkerLost)]
        assert after == before
        assert all(node.process.alive for node in nodes)
        assert world.life is not None and world.life.node is not None
        assert world.life.node.control.state.supervised.suspects == {}
    finally:
        kernel.close()


def test_those_that_wake_up_after_their_work_was_given_to_others_change_nothing() -> None:
    injected: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    for seed in range(16):
        result = run_seed(seed, 4, 60)
        assert result.faults == (), result.again
        injected += Counter(result.injected)
        counts += Counter(result.counts)
    assert injected["worker_wakes_late"] > 5
    assert counts["late_result_refused"] > 0
