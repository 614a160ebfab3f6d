"""The lid is closed for hours: what runs goes on afterwards, and what waited runs once."""

import msgspec
import pytest

from visionflow.domain import commands as c
from visionflow.domain.agents import AgentSpec
from visionflow.domain.tasks import Payload, RetryPolicy, TaskSpec
from visionflow.testing.simulator.world import World
from visionflow.testing.workload import Action, Script, Workload

HOURS_MS = 9 * 3_600_000
ONCE = RetryPolicy(attempts_max=1)


def workload(script: Script, timeout_ms: int) -> Workload:
    """One agent and one task, which may fail not even once."""
    agent = AgentSpec(id="a", type="scripted", name="a", class_path="scripted:coroutine")
    spec = TaskSpec(
        id="t",
        input=Payload(inline=msgspec.msgpack.encode(script)),
        timeout_ms=timeout_ms,
        retry=ONCE,
    )
    actions = [
        Action(0, "spawn", lambda now, i: c.SpawnAgent(now_ms=now, command=i, spec=agent)),
        Action(0, "submit", lambda now, i: c.SubmitTask(now_ms=now, command=i, spec=spec), ("t",)),
    ]
    return Workload(actions, {"t": script}, {}, {}, 1, 0)


def slept_through(seed: int, script: Script, timeout_ms: int, counted: bool) -> World:
    """A world whose machine sleeps for hours in the midst of it; `counted`: by its clocks that
    only measure, too."""
    world = World(seed, workload(script, timeout_ms))
    kernel = world.kernel

    def close_lid() -> None:
        kernel.set_clock(HOURS_MS)
        if counted:
            kernel.slept_ms += HOURS_MS

    kernel.at_ms(30_000, close_lid)
    world.start()
    world.client.start()
    check = world.witness.check
    why = kernel.run(
        lambda: (
            bool(kernel.faults) or (world.client.done and "t" in check.tasks and not check.alive)
        ),
        300_000,
    )
    kernel.close()
    assert why is None, why
    return world


@pytest.mark.parametrize("counted", [True, False])
@pytest.mark.parametrize("seed", range(6))
def test_a_long_attempt_that_runs_while_the_lid_is_closed_is_neither_lost_nor_out_of_time(
    seed: int, counted: bool
) -> None:
    world = slept_through(seed, Script(7, ms=60_000), 90_000, counted)
    task = world.witness.check.tasks["t"]
    assert world.kernel.faults == []
    assert (task.status, task.attempt, task.failures) == ("completed", 1, [])
    assert world.witness.check.events["time_skipped"] == 1


@pytest.mark.parametrize("counted", [True, False])
def test_a_wait_that_ends_while_the_lid_is_closed_leads_to_one_attempt(counted: bool) -> None:
    script = Script(7, ms=100, fails=1, how="throttled", wait_ms=600_000)
    world = slept_through(3, script, 90_000, counted)
    task = world.witness.check.tasks["t"]
    assert world.kernel.faults == []
    assert (task.status, task.attempt, task.failures) == ("completed", 2, [(1, "throttled")])
