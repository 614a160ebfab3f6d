"""No effect is ever forgotten: for every prefix of a log, what is not confirmed is outstanding."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from tests.engine.model import Ledger, Wanted
from tests.engine.world import World
from visionflow.domain import commands as c
from visionflow.domain.events import decode_record
from visionflow.engine.effects import (
    Cancel,
    Deliver,
    Effect,
    Host,
    StartWorker,
    StopWorker,
    of_worker,
    outstanding,
)
from visionflow.engine.evolve import fold
from visionflow.engine.state import SwarmState


def said(effect: Effect) -> Wanted:
    return (type(effect).__name__, *map(str, msgspec.structs.astuple(effect)))


def hold_against_the_model(world: World) -> set[str]:
    """Compare after each record; the kinds of effect that were met."""
    state, ledger, met = SwarmState(), Ledger(), set[str]()
    for body in world.log:
        record = decode_record(body)
        fold(state, record)
        for event in record.events:
            ledger.see(event)
        found = [said(effect) for effect in outstanding(state)]
        assert len(found) == len(set(found)), "an effect is named twice"
        assert set(found) == ledger.wanted()
        met.update(name for name, *_ in found)
    return met


@given(st.integers(0, 2**32), st.integers(50, 250), st.booleans())
def test_for_every_prefix_of_a_log_each_effect_not_yet_confirmed_is_outstanding(
    seed: int, steps: int, closes: bool
) -> None:
    world = World(seed)
    for number in range(steps):
        if closes and number == steps - 20:
            world.send(c.CloseSwarm(now_ms=world.now_ms, reason="over"))
        world.step()
    hold_against_the_model(world)


def test_every_kind_of_effect_is_met_and_none_is_forgotten_at_any_prefix() -> None:
    met: set[str] = set()
    for seed in range(16):
        world = World(seed)
        for _ in range(200):
            world.step()
        met |= hold_against_the_model(world)
    kinds = {"StartWorker", "StopWorker", "Host", "Drop", "Deliver", "Cancel", "Recall", "Debug"}
    assert met - {"Bid"} == {*kinds, "Hand"}


def test_a_restart_finds_the_start_the_hosting_and_the_delivery_it_was_about_to_make() -> None:
    """Each kind by hand: fold what is written, as a process that knows nothing else would."""
    world = World()
    agent = world.spawn()
    assert list(outstanding(world.replay())) == [StartWorker("w1", 1, 0, None)]
    who = {"now_ms": world.now_ms, "worker": "w1", "incarnation": 1}
    world.send(c.ReportWorkerStarted(pid=1, started="1", **who))
    assert list(outstanding(world.replay())) == []
    world.send(c.ReportWorkerJoined(**who))
    assert list(outstanding(world.replay())) == [Host("w1", 1, agent, 0)]
    world.send(c.ReportAgentUp(agent=agent, **who))
    task = world.submit()
    assert list(outstanding(world.replay())) == [Deliver("w1", 1, task, 1)]
    world.send(c.ReportStarted(now_ms=world.now_ms, task=task, attempt=1))
    assert list(outstanding(world.replay())) == []
    world.send(c.CancelTask(now_ms=world.now_ms, task=task, reason="no"))
    assert list(outstanding(world.replay())) == [Cancel("w1", 1, task, 1, "no")]
    world.fail(task)
    world.send(c.TerminateAgent(now_ms=world.now_ms, agent=agent))
    assert [type(x) for x in outstanding(world.replay())] == [StopWorker, type(drop(world))]


def drop(world: World) -> Effect:
    return list(outstanding(world.state))[-1]


def test_the_effects_of_one_worker_are_those_of_the_whole_that_name_it() -> None:
    world = World(5)
    for _ in range(300):
        world.step()
    whole = list(outstanding(world.state))
    for worker in world.state.workers.values():
        assert list(of_worker(world.state, worker)) == [x for x in whole if x.worker == worker.id]
