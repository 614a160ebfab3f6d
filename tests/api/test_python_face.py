"""The Python face, with real worker processes: threads and loops, refusals, and bad luck."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.api.agents import Counter, Doubler, Quick, Sleeper, shout
from visionflow import AgentOrchestrator, Limits, RetryPolicy, Task, TaskFailed, VisionFlowError
from visionflow.domain.errors import LimitReached, NotPersistable, StoreInUse, UsageError

ROOT = Path(__file__).parents[2]
WAIT_S = 60.0


@pytest.mark.acceptance("python-api")
def test_the_example_of_the_readme_runs_as_a_script() -> None:
    done = subprocess.run(
        [sys.executable, "examples/double.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=True,
    )
    assert done.stdout == "[0, 2, 4, 6, 8]\n"


@pytest.mark.acceptance("python-api")
def test_a_program_with_a_loop_awaits_results() -> None:
    async def main() -> list[int]:
        async with AgentOrchestrator() as fleet:
            await fleet.spawn(Doubler, count=2)
            first = await fleet.submit(Task(input=20, required_capabilities=["maths"]))
            return [first, *[each async for each in fleet.map(Task(input=n) for n in range(3))]]

    assert asyncio.run(main()) == [40, 0, 2, 4]


@pytest.mark.acceptance("python-api")
def test_plain_functions_and_plans_work_and_hand_results_on() -> None:
    with AgentOrchestrator() as fleet:
        fleet.spawn(shout, capabilities=["voice"])
        plan = fleet.submit_plan(
            "say it twice",
            {"first": [Task(description="a"), Task(description="b")], "then": [Task()]},
        )
        assert plan.result(WAIT_S) == {"first": ["A", "B"], "then": ["A B"]}


def test_what_cannot_be_written_down_is_refused_before_anything_is_submitted() -> None:
    with AgentOrchestrator() as fleet:
        with pytest.raises(NotPersistable, match="cannot be written to the log"):
            fleet.submit(Task(input=object()))
        assert fleet.queries.tasks() == []


def test_a_result_that_cannot_be_written_down_fails_its_task_and_says_so() -> None:
    with AgentOrchestrator() as fleet:
        fleet.spawn("tests.api.agents:unwritable")
        handle = fleet.submit(Task(), retry=RetryPolicy(attempts_max=1))
        with pytest.raises(TaskFailed, match="cannot be"):
            handle.result(WAIT_S)


@pytest.mark.acceptance("swarm-limit")
def test_one_agent_too_many_is_refused_by_name() -> None:
    with AgentOrchestrator(limits=Limits(agents_max=3)) as fleet:
        with pytest.raises(LimitReached, match="limit is 3"):
            fleet.spawn(Doubler, count=50)
        assert len(fleet.queries.agents()) == 3


def test_a_class_that_a_worker_could_not_import_is_refused() -> None:
    def local(task: Task) -> None: ...

    with AgentOrchestrator() as fleet, pytest.raises(UsageError, match="cannot be imported"):
        fleet.spawn(local)


@pytest.mark.acceptance("durable")
def test_a_task_whose_worker_is_killed_runs_again_and_completes_once(tmp_path: Path) -> None:
    with AgentOrchestrator(tmp_path / "store") as fleet:
        fleet.spawn(Sleeper)
        handle = fleet.submit(Task(input=str(tmp_path / "pids")))
        first = wait_for_line(tmp_path / "pids", 1)
        os.kill(first, signal.SIGKILL)
        assert handle.result(WAIT_S) != first
        outcomes = [row.outcome for row in fleet.queries.attempts(handle.id)]
        assert outcomes == ["killed", "completed"]


@pytest.mark.acceptance("durable")
def test_finished_steps_do_not_run_again_when_the_worker_is_killed(tmp_path: Path) -> None:
    with AgentOrchestrator(tmp_path / "store") as fleet:
        fleet.spawn(Counter)
        handle = fleet.submit(Task(input=str(tmp_path)))
        os.kill(wait_for_line(tmp_path / "pids", 1), signal.SIGKILL)
        assert handle.result(WAIT_S) == ["one", "two"]
        assert (tmp_path / "steps").read_text().split() == ["one", "two"]


@pytest.mark.acceptance("durable")
def test_a_store_is_taken_up_again_where_an_earlier_program_stopped(tmp_path: Path) -> None:
    with AgentOrchestrator(tmp_path) as fleet:
        handle = fleet.submit(Task(input=21, required_capabilities=["maths"]))
        fleet.queries.counts()
        task = handle.id
    with AgentOrchestrator(tmp_path) as fleet:
        fleet.spawn(Doubler)
        fleet.submit(Task(input=1, required_capabilities=["maths"])).result(WAIT_S)
        assert fleet.queries.task(task).status == "completed"


def test_handles_of_unfinished_tasks_say_that_the_orchestrator_was_closed() -> None:
    with AgentOrchestrator() as fleet:
        handle = fleet.submit(Task(required_capabilities=["nobody has this"]))
        fleet.queries.counts()
    with pytest.raises(VisionFlowError, match="closed before the task ended"):
        handle.result(WAIT_S)


def test_a_second_program_cannot_open_the_same_store(tmp_path: Path) -> None:
    with AgentOrchestrator(tmp_path):
        with pytest.raises(StoreInUse, match=str(os.getpid())):
            AgentOrchestrator(tmp_path).open()


@pytest.mark.acceptance("concurrent")
def test_threads_submit_side_by_side_and_nothing_is_lost_or_doubled() -> None:
    from concurrent.futures import ThreadPoolExecutor

    with AgentOrchestrator() as fleet:
        fleet.spawn(Doubler, count=4)

        def submit(base: int) -> list[int]:
            handles = [fleet.submit(Task(input=base + n)) for n in range(100)]
            return [handle.result(WAIT_S) for handle in handles]

        with ThreadPoolExecutor(8) as pool:
            results = list(pool.map(submit, range(0, 800, 100)))
        assert [n for part in results for n in part] == [2 * n for n in range(800)]
        assert fleet.queries.counts() == {"completed": 800}


@pytest.mark.acceptance("concurrent")
def test_three_clients_spawn_twenty_each_and_fifty_hand_in_two_hundred_tasks_each() -> None:
    from concurrent.futures import ThreadPoolExecutor

    with AgentOrchestrator(limits=Limits(agents_max=60)) as fleet:
        with ThreadPoolExecutor(3) as pool:
            spawned = list(pool.map(lambda _: fleet.spawn(Quick, count=20), range(3)))
        names = [agent.id for part in spawned for agent in part]
        assert len(set(names)) == 60
        assert sorted(names) == sorted(row.id for row in fleet.queries.agents())

        def submit(client: int) -> list[int]:
            handles = [fleet.submit(Task(input=1_000 * client + n)) for n in range(200)]
            return [handle.result(WAIT_S) for handle in handles]

        with ThreadPoolExecutor(50) as pool:
            results = list(pool.map(submit, range(50)))
        assert results == [[1_000 * client + n for n in range(200)] for client in range(50)]
        assert fleet.queries.counts() == {"completed": 10_000}


def wait_for_line(path: Path, number: int) -> int:
    """The pid on this line of a file that an agent writes, once it is there."""
    import time

    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        lines = path.read_text().split() if path.exists() else []
        if len(lines) >= number:
            return int(lines[number - 1])
        time.sleep(0.01)
    raise AssertionError(f"no line {number} in {path}")
