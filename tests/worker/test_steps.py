"""Steps: finished ones are not run again, changed ones are, and trees come back once."""

import asyncio
import functools
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from orchestra import Bench, Orchestrator, packed, run, task, unpacked

from visionflow.agents.base import BaseAgent
from visionflow.agents.task import Task
from visionflow.domain.errors import StaleAttempt
from visionflow.domain.messages import (
    CancelAttempt,
    Dispatch,
    Failed,
    RecordedStep,
    Result,
    StepAnswer,
    StepDone,
)
from visionflow.domain.tasks import FailureKind, Payload
from visionflow.worker.steps import code_version

RAN: list[str] = []


@pytest.fixture(autouse=True)
def _forget() -> None:
    RAN.clear()


def plain(name: str) -> tuple[str, int]:
    RAN.append(name)
    return (name, len(name))


async def awaited(name: str) -> dict[str, str]:
    RAN.append(name)
    return {"name": name}


class Stepping(BaseAgent):
    """Two steps of one name, one of another, and one that is large."""

    async def process_task(self, task: Task) -> Any:
        first = await self.step("plain", plain, "a")
        second = await self.step("plain", plain, "bb")
        third = await self.step("awaited", awaited, task.input)
        large = await self.step("large", functools.partial(str.ljust, "x"), 100_000)
        nothing = await self.step("nothing", RAN.append, "nothing")
        return [first, second, third, len(large), nothing]


def again(dispatch: Dispatch, orchestrator: Orchestrator, upto: int | None = None) -> Dispatch:
    """The next attempt, with what was recorded so far."""
    steps = [RecordedStep(d.key, d.value, d.tree) for d in orchestrator.recorded[:upto]]
    return msgspec.structs.replace(dispatch, attempt=dispatch.attempt + 1, steps=tuple(steps))


EXPECTED = [["a", 1], ["bb", 2], {"name": "c"}, 100_000, None]


@pytest.mark.parametrize("finished", range(6))
def test_a_later_attempt_runs_only_what_no_earlier_one_finished(
    finished: int, tmp_path: Path
) -> None:
    async def body() -> None:
        bench = Bench(tmp_path, {})
        orchestrator = await bench.start_one(Stepping)
        orchestrator.tell(task("t", value="c"))
        first = await orchestrator.end_of("t")
        assert unpacked(first.value) == EXPECTED
        assert RAN == ["a", "bb", "c", "nothing"] and len(orchestrator.recorded) == 5
        RAN.clear()
        orchestrator.tell(again(task("t", value="c"), orchestrator, finished))
        await orchestrator.until(lambda: len(orchestrator.all(Result)) == 2)
        assert unpacked(orchestrator.all(Result)[1].value) == EXPECTED
        assert RAN == ["a", "bb", "c", "nothing"][min(finished, 3) :][: None if finished < 5 else 0]
        assert len(orchestrator.recorded) == 10 - finished
        await bench.stop()

    run(body())


def test_a_large_value_is_in_its_blob_before_the_step_is_reported(tmp_path: Path) -> None:
    async def body() -> None:
        bench = Bench(tmp_path, {})
        orchestrator = await bench.start_one(Stepping)
        stored: list[bool] = []

        def look(done: StepDone) -> bool:
            if done.name == "large":
                stored.append(bench.blobs.has(done.value.blob or ""))
            return True

        orchestrator.accept = look
        orchestrator.tell(task("t", value="c"))
        await orchestrator.end_of("t")
        assert stored == [True]
        await bench.stop()

    run(body())


def test_changed_input_runs_anew_and_says_so(tmp_path: Path) -> None:
    async def body() -> None:
        bench = Bench(tmp_path, {})
        orchestrator = await bench.start_one(Stepping)
        orchestrator.tell(task("t", value="c"))
        await orchestrator.end_of("t")
        RAN.clear()
        orchestrator.tell(again(task("t", value="other"), orchestrator))
        await orchestrator.until(lambda: len(orchestrator.all(Result)) == 2)
        assert RAN == ["other"]
        assert unpacked(orchestrator.all(Result)[1].value)[2] == {"name": "other"}
        ((level, line),) = bench.logs
        assert level == "warning" and "'awaited' (number 1)" in line and "runs anew" in line
        await bench.stop()

    run(body())


def test_a_step_waits_until_it_is_in_the_log(tmp_path: Path) -> None:
    async def body() -> None:
        bench = Bench(tmp_path, {})
        orchestrator = await bench.start_one(Stepping)
        orchestrator.accept = lambda done: None
        orchestrator.tell(task("t", value="c"))
        (done,) = await orchestrator.wait_for(StepDone)
        for _ in range(20):
            await asyncio.sleep(0)
        assert RAN == ["a"] and done.name == "plain"
        orchestrator.accept = lambda done: True
        orchestrator.tell(StepAnswer("t", 1, done.key, True))
        assert isinstance(await orchestrator.end_of("t"), Result)
        await bench.stop()

    run(body())


def test_a_refused_step_ends_the_attempt(tmp_path: Path) -> None:
    async def body() -> None:
        bench = Bench(tmp_path, {})
        orchestrator = await bench.start_one(Stepping)
        orchestrator.accept = lambda done: False
        orchestrator.tell(task("t", value="c"))
        failed = await orchestrator.end_of("t")
        assert isinstance(failed, Failed) and "no longer the current one" in failed.reason
        assert RAN == ["a"]
        await bench.stop()

    run(body())


class Unstorable(BaseAgent):
    """A step whose input or value cannot be stored."""

    async def process_task(self, task: Task) -> Any:
        if task.input == "input":
            return await self.step("bad", plain, object())
        return await self.step("bad", object)


@pytest.mark.parametrize("what", ["input", "value"])
def test_what_cannot_be_stored_fails_the_attempt_and_nothing_is_recorded(
    what: str, tmp_path: Path
) -> None:
    async def body() -> None:
        bench = Bench(tmp_path, {})
        orchestrator = await bench.start_one(Unstorable)
        orchestrator.tell(task("t", value=what))
        failed = await orchestrator.end_of("t")
        assert failed.kind is FailureKind.PERMANENT and f"The {what} of step 'bad'" in failed.reason
        assert orchestrator.all(StepDone) == [] and RAN == []
        await bench.stop()

    run(body())


class Threaded(BaseAgent):
    """Steps from a thread, one of which stays inside until it is stopped."""

    def process_task(self, task: Task) -> Any:
        value = self.step_sync("plain", plain, "a")
        try:
            self.step_sync("waits", self.wait)
            self.step_sync("after", plain, "after")
        except StaleAttempt:
            RAN.append("stale")
            raise
        return value

    def wait(self) -> bool:
        return self.cancelled.wait(20)


def test_a_cancellation_reaches_a_step_that_runs_in_a_thread(tmp_path: Path) -> None:
    async def body() -> None:
        bench = Bench(tmp_path, {})
        orchestrator = await bench.start_one(Threaded)
        orchestrator.tell(task("t"))
        await orchestrator.wait_for(StepDone)
        orchestrator.tell(CancelAttempt("t", 1, "no more"))
        failed = await orchestrator.end_of("t")
        assert failed.reason == "no more"
        assert RAN == ["a", "stale"]
        await bench.stop()

    run(body())


class Trees:
    """A workspace is one file; a tree is its text."""

    def __init__(self) -> None:
        self.restored: list[str] = []

    async def tree_of(self, path: Path) -> str:
        return path.read_text()

    async def restore(self, path: Path, tree: str) -> None:
        self.restored.append(tree)
        path.write_text(tree)


def write(path: Path, text: str) -> str:
    RAN.append(text)
    path.write_text(path.read_text() + text)
    return text


class Working(BaseAgent):
    """Three steps on one file."""

    async def process_task(self, task: Task) -> str:
        file = self.context.folder / "file"
        if not file.exists():
            file.write_text("")
        for text in task.input:
            await self.step(f"write {text[0]}", write, file, text, workspace=file)
        return await self.step("read", file.read_text)


def test_only_the_last_tree_is_restored_and_only_before_something_runs(tmp_path: Path) -> None:
    async def body() -> None:
        bench = Bench(tmp_path, {})
        bench.trees = trees = Trees()
        orchestrator = await bench.start_one(Working)
        orchestrator.tell(task("t", value=["a", "b", "c"]))
        await orchestrator.end_of("t")
        assert trees.restored == []
        (tmp_path / "a1" / "file").write_text("torn")
        RAN.clear()
        orchestrator.tell(again(task("t", value=["a", "b", "c"]), orchestrator, 2))
        await orchestrator.until(lambda: len(orchestrator.all(Result)) == 2)
        assert (trees.restored, RAN) == (["ab"], ["c"])
        assert unpacked(orchestrator.all(Result)[1].value) == "abc"
        orchestrator.tell(
            msgspec.structs.replace(
                again(task("t", value=["a", "b", "c"]), orchestrator, 4), attempt=3
            )
        )
        await orchestrator.until(lambda: len(orchestrator.all(Result)) == 3)
        assert trees.restored == ["ab"]
        await bench.stop()

    run(body())


def test_a_tree_that_came_after_a_changed_step_is_not_used(tmp_path: Path) -> None:
    async def body() -> None:
        bench = Bench(tmp_path, {})
        bench.trees = trees = Trees()
        orchestrator = await bench.start_one(Working)
        orchestrator.tell(task("t", value=["a", "b", "c"]))
        await orchestrator.end_of("t")
        RAN.clear()
        orchestrator.tell(again(task("t", value=["a", "bbb", "c"]), orchestrator))
        await orchestrator.until(lambda: len(orchestrator.all(Result)) == 2)
        assert (trees.restored, RAN) == (["a"], ["bbb", "c"])
        assert (tmp_path / "a1" / "file").read_text() == "abbbc"
        await bench.stop()

    run(body())


SAME = "def f(x={default}):\n    {blank}y = {{'a', 'b', x}}\n    return y in {{1, 2, {number}}}\n"


def made(default: int = 1, blank: str = "", number: int = 3) -> Any:
    space: dict[str, Any] = {}
    exec(SAME.format(default=default, blank=blank, number=number), space)
    return space["f"]


def test_the_code_version_follows_what_the_code_does_and_not_where_it_stands() -> None:
    same = code_version(made())
    assert same == code_version(made(blank="\n    "))
    assert same == code_version(functools.wraps(made())(lambda *a: None))
    assert len({same, code_version(made(number=4)), code_version(made(default=2))}) == 3
    assert code_version(len) == "builtins.len"


def test_the_code_version_is_the_same_in_every_process() -> None:
    code = (
        "from visionflow.worker.steps import code_version\n"
        "def f(x):\n    return [z in {'a', 'b', 'c'} for z in x], (lambda: {'q', 'r'})\n"
        "print(code_version(f))"
    )
    found = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    ]
    assert len(set(found)) == 1


def test_nothing_at_all_is_no_payload() -> None:
    assert unpacked(Payload()) is None and unpacked(packed(None)) is None
