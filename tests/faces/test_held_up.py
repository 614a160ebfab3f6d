"""Why a task waits that somebody could take or is at: in words, for every face."""

from tests.engine.world import World
from visionflow.domain.limits import CIRCUIT_FAILURES, CIRCUIT_OPEN_MS
from visionflow.domain.tasks import Backoff, RetryPolicy
from visionflow.interfaces.tools.standing import waits_for, why

ONCE = RetryPolicy(backoff=Backoff.NONE)


def reason(world: World, task: str) -> str | None:
    return why(world.state, world.state.tasks[task])


def test_a_queued_task_says_whose_circuits_are_open_and_until_when() -> None:
    world = World()
    agent = world.team(1, "python")[0]
    for _ in range(CIRCUIT_FAILURES):
        world.fail(world.submit(retry=ONCE))
    task = world.submit(capabilities=("python",))
    assert reason(world, task) == (
        f"Who could take it fails too often: the circuit of agent {agent} is open until "
        "1970-01-01T00:17:40.000Z, after 5 failures in a row (it broke)."
    )
    first = world.submit(capabilities=("python",), priority=0)
    world.tick(CIRCUIT_OPEN_MS)
    assert world.state.tasks[first].agent == agent
    assert "half open, and one task tries it" in (reason(world, task) or "")
    world.complete(first)
    assert reason(world, task) is None


def test_while_another_could_take_it_or_nobody_at_all_circuits_are_not_blamed() -> None:
    world = World()
    bad = world.team(1, "python")[0]
    for _ in range(CIRCUIT_FAILURES):
        world.fail(world.submit(retry=ONCE))
    other = world.team(1, "python")[0]
    busy = world.submit()
    assert world.state.tasks[busy].agent == other != bad
    assert reason(world, world.submit(capabilities=("python",))) is None
    assert "No agent has the capability rust" in (
        reason(world, world.submit(capabilities=("rust",))) or ""
    )


def test_a_task_at_work_says_which_lock_and_whose_result_it_waits_for() -> None:
    world = World()
    world.team(3)
    one, two = world.submit(), world.submit()
    world.lock(one, "deploy")
    assert reason(world, one) is None
    world.lock(two, "deploy")
    sub = world.delegate(two)
    world.wait(two, sub)
    assert reason(world, two) == (f"It waits for lock deploy. It waits for the result of {sub}.")
    assert waits_for(world.state, world.state.tasks[two]) == [sub, one]
    world.complete(sub)
    world.complete(one)
    assert reason(world, two) is None and waits_for(world.state, world.state.tasks[two]) == []
