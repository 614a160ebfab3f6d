"""Several tasks of a type at once: each has its own attempt, and its own result."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest
from orchestra import Bench, run, task, unpacked

from visionflow.agents.base import BaseAgent, PermanentFailure
from visionflow.agents.task import Task
from visionflow.domain.limits import BATCH_TYPES_MAX
from visionflow.domain.messages import (
    Batches,
    CancelAttempt,
    Dispatch,
    Failed,
    RecallAttempt,
    Result,
    Started,
)
from visionflow.domain.tasks import FailureKind


class Embedding(BaseAgent):
    """Takes several of the type `embed`; remembers how many came together."""

    groups: list[list[str]]
    hold: asyncio.Event

    async def start(self) -> None:
        self.groups = []
        self.hold = asyncio.Event()
        self.hold.set()

    def supports_batch(self, task_type: str) -> bool:
        return task_type == "embed"

    async def process_task(self, task: Task) -> Any:
        self.groups.append([task.id])
        return {"of": task.id, "with": 1}

    async def batch_process(self, tasks: list[Task]) -> list[Any]:
        self.groups.append([task.id for task in tasks])
        await self.hold.wait()
        return [{"of": task.id, "with": len(tasks)} for task in tasks]


class Threaded(Embedding):
    """The same with plain functions."""

    def process_task(self, task: Task) -> Any:  # type: ignore[override]
        return {"of": task.id, "with": 1, "thread": threading.current_thread().name}

    def batch_process(self, tasks: list[Task]) -> list[Any]:  # type: ignore[override]
        here = threading.current_thread().name
        return [{"of": task.id, "with": len(tasks), "thread": here} for task in tasks]


def embed(name: str, **fields: Any) -> Dispatch:
    return msgspec.structs.replace(task(name), type="embed", **fields)


def agent_of(bench: Bench) -> Any:
    found = bench.executor._hosting.find("a1")
    assert found is not None
    return found[0]


@pytest.mark.acceptance("scale")
@pytest.mark.parametrize("agent", [Embedding, Threaded])
def test_what_waits_of_a_type_goes_together_five_at_most_and_each_has_its_own_result(
    agent: type[BaseAgent], tmp_path: Path
) -> None:
    async def body() -> None:
        bench = Bench(tmp_path, {})
        orchestrator = await bench.start_one(agent)
        orchestrator.tell(*[embed(f"t{number}") for number in range(7)])
        results = await orchestrator.wait_for(Result, 7)
        got = {result.task: unpacked(result.value) for result in results}
        assert {name: value["of"] for name, value in got.items()} == {n: n for n in got}
        assert [got[f"t{number}"]["with"] for number in range(7)] == [5] * 5 + [2] * 2
        assert orchestrator.all(Batches) == [Batches("a1", ("embed",))]
        if agent is Threaded:
            main = threading.main_thread().name
            assert main not in {value["thread"] for value in got.values()}
        await bench.stop()

    run(body())


def test_other_types_and_what_is_to_stand_alone_go_one_by_one(tmp_path: Path) -> None:
    async def body() -> None:
        bench = Bench(tmp_path, {})
        orchestrator = await bench.start_one(Embedding)
        orchestrator.tell(
            task("other"), embed("t1"), task("another"), embed("t2", alone=True), embed("t3")
        )
        await orchestrator.wait_for(Result, 5)
        groups = agent_of(bench).groups
        assert groups == [["other"], ["t1", "t3"], ["another"], ["t2"]]
        await bench.stop()

    run(body())


def too_few(tasks: list[Task]) -> list[Any]:
    return [1] * (len(tasks) - 1)


def no_list(tasks: list[Task]) -> Any:
    return {task.id: 1 for task in tasks}


def broken(tasks: list[Task]) -> Any:
    raise ValueError("the third is bad")


def hopeless(tasks: list[Task]) -> Any:
    raise PermanentFailure("one of these cannot be done")


@pytest.mark.parametrize(
    ("batch", "reason"),
    [
        (too_few, "batch_process gave 2 results for 3 tasks"),
        (no_list, "batch_process gave dict for 3 tasks"),
        (broken, "the third is bad"),
        (hopeless, "one of these cannot be done"),
    ],
)
def test_a_batch_that_goes_wrong_fails_each_of_its_tasks_so_that_each_is_tried_alone(
    batch: Any, reason: str, tmp_path: Path
) -> None:
    class Faulty(Embedding):
        def batch_process(self, tasks: list[Task]) -> Any:  # type: ignore[override]
            return batch(tasks)

    async def body() -> None:
        bench = Bench(tmp_path, {})
        orchestrator = await bench.start_one(Faulty)
        orchestrator.tell(*[embed(f"t{number}") for number in range(3)])
        failed = await orchestrator.wait_for(Failed, 3)
        assert sorted(f.task for f in failed) == ["t0", "t1", "t2"]
        assert {f.kind for f in failed} == {FailureKind.ERROR}
        assert all(f.reason.startswith("In a batch of 3: ") and reason in f.reason for f in failed)
        assert [f.shared for f in failed].count(False) == 1, "one call that failed is one failure"
        orchestrator.tell(*[embed(f"t{number}", attempt=2, alone=True) for number in range(3)])
        results = await orchestrator.wait_for(Result, 3)
        assert {unpacked(result.value)["with"] for result in results} == {1}
        await bench.stop()

    run(body())


def test_a_value_that_cannot_be_stored_is_the_failure_of_its_own_task_alone(
    tmp_path: Path,
) -> None:
    class Odd(Embedding):
        async def batch_process(self, tasks: list[Task]) -> list[Any]:
            return [object() if task.id == "t1" else task.id for task in tasks]

    async def body() -> None:
        bench = Bench(tmp_path, {})
        orchestrator = await bench.start_one(Odd)
        orchestrator.tell(*[embed(f"t{number}") for number in range(3)])
        await orchestrator.wait_for(Result, 2)
        failed = await orchestrator.end_of("t1")
        assert isinstance(failed, Failed) and failed.kind is FailureKind.PERMANENT
        assert sorted(r.task for r in orchestrator.all(Result)) == ["t0", "t2"]
        await bench.stop()

    run(body())


def test_steps_are_not_to_be_had_in_a_batch_and_the_refusal_says_why(tmp_path: Path) -> None:
    class Stepping(Embedding):
        async def batch_process(self, tasks: list[Task]) -> list[Any]:
            return await self.step("all", lambda: [1] * len(tasks))

    async def body() -> None:
        bench = Bench(tmp_path, {})
        orchestrator = await bench.start_one(Stepping)
        orchestrator.tell(embed("t0"), embed("t1"))
        for failed in await orchestrator.wait_for(Failed, 2):
            assert "step belongs to one task, and batch_process works on 2" in failed.reason
        await bench.stop()

    run(body())


def test_one_that_is_cancelled_leaves_the_others_of_its_batch_alone(tmp_path: Path) -> None:
    async def body() -> None:
        bench = Bench(tmp_path, {})
        orchestrator = await bench.start_one(Embedding)
        agent_of(bench).hold.clear()
        orchestrator.tell(*[embed(f"t{number}") for number in range(3)])
        await orchestrator.wait_for(Started, 3)
        orchestrator.tell(CancelAttempt("t1", 1, "not needed"))
        failed = await orchestrator.end_of("t1")
        assert isinstance(failed, Failed) and failed.kind is FailureKind.KILLED
        assert orchestrator.all(Result) == []
        agent_of(bench).hold.set()
        results = await orchestrator.wait_for(Result, 2)
        assert sorted(result.task for result in results) == ["t0", "t2"]
        orchestrator.tell(embed("t9"))
        assert isinstance(await orchestrator.end_of("t9"), Result), "the agent goes on"
        await bench.stop()

    run(body())


def test_a_batch_that_nobody_wants_any_more_is_ended(tmp_path: Path) -> None:
    async def body() -> None:
        bench = Bench(tmp_path, {})
        orchestrator = await bench.start_one(Embedding)
        agent_of(bench).hold.clear()
        orchestrator.tell(embed("t0"), embed("t1"))
        await orchestrator.wait_for(Started, 2)
        orchestrator.tell(CancelAttempt("t0", 1, "no"), CancelAttempt("t1", 1, "no"))
        await orchestrator.wait_for(Failed, 2)
        orchestrator.tell(task("next"))
        assert isinstance(await orchestrator.end_of("next"), Result), "its place is free"
        await bench.stop()

    run(body())


def test_the_limit_of_one_ends_its_batch_and_the_others_are_told_why(tmp_path: Path) -> None:
    async def body() -> None:
        bench = Bench(tmp_path, {})
        orchestrator = await bench.start_one(Embedding)
        agent_of(bench).hold.clear()
        orchestrator.tell(embed("t0", timeout_ms=80), embed("t1"))
        first, second = sorted(await orchestrator.wait_for(Failed, 2), key=lambda f: f.task)
        assert first.kind is FailureKind.TIMEOUT
        assert second.kind is FailureKind.ERROR
        assert "it was stopped with the others" in second.reason
        assert (first.shared, second.shared) == (False, True)
        await bench.stop()

    run(body())


def test_types_without_end_are_asked_for_and_forgotten(tmp_path: Path) -> None:
    async def body() -> None:
        bench = Bench(tmp_path, {})
        orchestrator = await bench.start_one(Embedding)
        names = [f"t{number}" for number in range(BATCH_TYPES_MAX + 10)]
        orchestrator.tell(*[msgspec.structs.replace(task(name), type=name) for name in names])
        await orchestrator.wait_for(Result, len(names))
        orchestrator.tell(embed("e1"), embed("e2"))
        results = await orchestrator.wait_for(Result, len(names) + 2)
        assert [unpacked(result.value)["with"] for result in results[-2:]] == [2, 2]
        found = bench.executor._hosting.find("a1")
        assert found is not None
        lane: Any = found[1]
        while hasattr(lane, "_tasks"):  # Ballots and leading go beside it.
            lane = lane._tasks
        assert len(lane._types) <= BATCH_TYPES_MAX
        await bench.stop()

    run(body())


# Recalls ---------------------------------------------------------------------------------------


async def slow(task: Task) -> Any:
    await asyncio.sleep(0 if task.input is None else 30)
    return task.id


def slow_thread(task: Task) -> Any:
    if task.input is not None:
        threading.Event().wait(3)
    return task.id


@pytest.mark.acceptance("scale")
@pytest.mark.parametrize("agent", [slow, slow_thread, Embedding])
def test_what_waits_is_given_back_and_what_has_begun_says_so(agent: Any, tmp_path: Path) -> None:
    async def body() -> None:
        bench = Bench(tmp_path, {})
        orchestrator = await bench.start_one(agent)
        kind = "embed" if agent is Embedding else "task"
        if agent is Embedding:
            agent_of(bench).hold.clear()
        first = [msgspec.structs.replace(task(f"r{n}", value=1), type=kind) for n in range(2)]
        first = first if agent is Embedding else first[:1]
        orchestrator.tell(*first)
        await orchestrator.wait_for(Started, len(first))
        orchestrator.tell(msgspec.structs.replace(task("w", value=1), type=kind))
        orchestrator.tell(RecallAttempt("w", 1, "balance"), RecallAttempt("r0", 1, "balance"))
        back = await orchestrator.end_of("w")
        assert isinstance(back, Failed) and back.kind is FailureKind.RECALLED
        assert [m for m in orchestrator.all(Failed) if m.task != "w"] == []
        orchestrator.tell(msgspec.structs.replace(task("w", value=1), type=kind))
        await asyncio.sleep(0.1)
        ends = [m for m in orchestrator.heard if isinstance(m, Failed | Result) and m.task == "w"]
        assert ends == [back], "given out again under its old number it runs no more"
        await bench.stop()

    run(body())


def test_one_that_never_came_is_given_back_and_does_not_run_when_it_comes(tmp_path: Path) -> None:
    async def body() -> None:
        bench = Bench(tmp_path, {})
        orchestrator = await bench.start_one(slow)
        orchestrator.tell(RecallAttempt("t", 1, "balance"), task("t"), task("u"))
        await orchestrator.end_of("u")
        back = await orchestrator.end_of("t")
        assert isinstance(back, Failed) and back.kind is FailureKind.RECALLED
        orchestrator.tell(task("t", attempt=2))
        results = await orchestrator.wait_for(Result, 2)
        assert results[-1].task == "t", "the next attempt runs"
        orchestrator.tell(RecallAttempt("t", 2, "balance"), task("v"))
        await orchestrator.end_of("v")
        assert len(orchestrator.all(Failed)) == 1, "one that has ended says nothing more"
        await bench.stop()

    run(body())
