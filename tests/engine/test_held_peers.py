"""Agents of a mesh that get nothing now bid for nothing: their circuit is open, their process is to
be replaced, they are on their way out.
"""

from collections.abc import Callable

import pytest

from tests.engine.calm import Calm
from tests.engine.test_auctions import mesh, settle
from visionflow.domain import commands as c
from visionflow.domain import events as e
from visionflow.domain import mesh_events as me
from visionflow.domain import supervision_commands as sc
from visionflow.domain.limits import CIRCUIT_FAILURES, CIRCUIT_OPEN_MS, Limits
from visionflow.domain.tasks import RetryPolicy

pytestmark = [pytest.mark.acceptance("mesh"), pytest.mark.acceptance("circuit")]
ONCE = RetryPolicy(attempts_max=1)


def fails(world: Calm, agent: str, times: int = CIRCUIT_FAILURES) -> None:
    for _ in range(times):
        world.fail(world.submit(agent=agent, retry=ONCE))


def drains(world: Calm, agent: str) -> None:
    world.submit(agent=agent, capabilities=("python",))
    world.send(c.TerminateAgent(now_ms=world.now_ms, agent=agent, drain=True))


def is_recycled(world: Calm, agent: str) -> None:
    worker = world.state.workers[world.state.agents[agent].worker]
    world.submit(agent=agent, capabilities=("python",))
    who = {"worker": worker.id, "incarnation": worker.incarnation}
    world.send(sc.RecycleWorker(now_ms=world.now_ms, reason="it has grown", **who))


def is_updated(world: Calm, agent: str) -> None:
    world.submit(agent=agent, capabilities=("python",))
    world.update(agent, tasks_max=2)


HELD = [fails, drains, is_recycled, is_updated]


@pytest.mark.parametrize("hold", HELD)
def test_who_gets_nothing_now_is_asked_for_no_bid(hold: Callable[[Calm, str], None]) -> None:
    world = mesh(3, limits=Limits(workers_max=3))
    held, *others = world.state.agents
    hold(world, held)
    world.submit(capabilities=("python",))
    opened = world.last(me.AuctionOpened)
    assert sorted(seat.agent for seat in opened.seats) == sorted(others)
    assert world.audit() == []


@pytest.mark.parametrize("hold", HELD)
def test_where_all_others_get_nothing_now_the_one_that_is_left_is_given_it(
    hold: Callable[[Calm, str], None],
) -> None:
    world = mesh(2, limits=Limits(workers_max=2))
    held, other = world.state.agents
    hold(world, held)
    task = world.submit(capabilities=("python",))
    assert world.state.tasks[task].agent == other and not world.of(me.AuctionOpened)


def test_while_its_circuit_is_half_open_a_peer_bids_for_one_task_at_a_time() -> None:
    world = mesh(3)
    held = next(iter(world.state.agents))
    world.update(held, tasks_max=3)
    world.settle()
    fails(world, held)
    world.tick(CIRCUIT_OPEN_MS)
    tasks = [world.submit(capabilities=("python",)) for _ in range(3)]
    bids = [
        opened.task
        for opened in world.of(me.AuctionOpened)
        for seat in opened.seats
        if seat.agent == held
    ]
    assert bids == tasks[:1]
    settle(world, tasks[0], held)
    world.submit(capabilities=("python",))
    assert held not in [seat.agent for seat in world.last(me.AuctionOpened).seats]
    world.complete(tasks[0])
    assert f"agent:{held}" not in world.state.supervised.circuits
    world.submit(capabilities=("python",))
    assert held in [seat.agent for seat in world.last(me.AuctionOpened).seats]


def test_a_peer_whose_circuit_is_half_open_is_not_the_reason_that_others_wait() -> None:
    world = mesh(2)
    held, other = world.state.agents
    fails(world, held)
    world.tick(CIRCUIT_OPEN_MS)
    tasks = [world.submit(capabilities=("python",)) for _ in range(2)]
    assert [opened.task for opened in world.of(me.AuctionOpened)] == tasks[:1]
    assert world.state.tasks[tasks[1]].agent == other
    settle(world, tasks[0], held)
    assert {task.agent for task in world.state.tasks.values()} >= {held, other}
    assert world.audit() == []


def test_a_drain_in_a_mesh_ends_however_much_waits() -> None:
    world = mesh(3)
    leaving, *others = world.state.agents
    drains(world, leaving)
    for _ in range(12):
        task = world.submit(capabilities=("python",))
        if task in world.state.mesh.auctions:
            settle(world, task, others[0])
    held = list(world.state.agents[leaving].open)
    assert len(held) == 1
    world.complete(held[0])
    world.tick(100)
    world.settle()
    assert leaving not in world.state.agents
    assert world.last(e.AgentTerminated).agent == leaving
