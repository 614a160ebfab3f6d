"""What a worker makes of attempts: results, failures, limits, cancellations."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest
from orchestra import Bench, packed, run, spec, task, unpacked

import visionflow.worker.executor as executor_module
from visionflow.adapters.host_os import OsHost
from visionflow.agents.base import BaseAgent, PermanentFailure, TryLater
from visionflow.agents.task import Task
from visionflow.domain.limits import THROTTLE_MS_MAX
from visionflow.domain.messages import (
    AgentDown,
    AgentUp,
    CancelAttempt,
    DropAgent,
    Failed,
    Heartbeat,
    HostAgent,
    LogLine,
    Progress,
    Result,
    Started,
)
from visionflow.domain.tasks import FailureKind, Payload


async def async_echo(task: Task) -> Any:
    await asyncio.sleep(0)
    return {"echo": task.input}


def thread_echo(task: Task) -> Any:
    return {"echo": task.input}


def quick_echo(task: Task) -> Any:
    return {"echo": task.input}


quick_echo.blocking = False  # type: ignore[attr-defined]

KINDS = [async_echo, thread_echo, quick_echo]


@pytest.mark.parametrize("agent", KINDS)
def test_every_kind_of_agent_gives_back_its_results(agent: object, tmp_path: Path) -> None:
    async def body() -> None:
        bench = Bench(tmp_path, {})
        orchestrator = await bench.start_one(agent, tasks_max=2)
        orchestrator.tell(*[task(f"t{n}", value=n) for n in range(50)])
        results = await orchestrator.wait_for(Result, 50)
        assert sorted(unpacked(r.value)["echo"] for r in results) == list(range(50))
        assert all(r.duration_us >= 0 and r.attempt == 1 for r in results)
        await bench.stop()

    run(body())


@pytest.mark.parametrize("agent", KINDS)
def test_large_values_come_and_go_by_blob(agent: object, tmp_path: Path) -> None:
    async def body() -> None:
        bench = Bench(tmp_path, {})
        orchestrator = await bench.start_one(agent)
        big = "x" * 100_000
        name = bench.blobs.put(msgspec.msgpack.encode(big))
        orchestrator.tell(msgspec.structs.replace(task("t"), input=Payload(blob=name)))
        result = await orchestrator.end_of("t")
        assert isinstance(result, Result) and result.value.inline is None
        stored = bench.blobs.get(result.value.blob or "")
        assert msgspec.msgpack.decode(stored) == {"echo": big}
        await bench.stop()

    run(body())


@pytest.mark.parametrize("agent", KINDS)
def test_a_repeated_dispatch_runs_once_also_after_it_ended(agent: Any, tmp_path: Path) -> None:
    async def body() -> None:
        bench = Bench(tmp_path, {})
        orchestrator = await bench.start_one(agent)
        orchestrator.tell(task("t"), task("t"))
        await orchestrator.end_of("t")
        orchestrator.tell(task("t"), task("u"))
        await orchestrator.end_of("u")
        orchestrator.tell(task("t", attempt=2))
        await orchestrator.wait_for(Result, 3)
        assert [(r.task, r.attempt) for r in orchestrator.all(Result)] == [
            ("t", 1),
            ("u", 1),
            ("t", 2),
        ]
        await bench.stop()

    run(body())


def raising(kind: str, mode: str) -> object:
    errors: dict[str, BaseException] = {
        "error": ValueError("bad luck"),
        "permanent": PermanentFailure("there is no such file"),
        "resource_exhaustion": MemoryError(),
        "throttled": TryLater("429 too many requests", wait_ms=42_000),
        "exit": SystemExit(3),
    }

    async def coroutine(task: Task) -> None:
        raise errors[kind]

    def function(task: Task) -> None:
        raise errors[kind]

    function.blocking = mode == "thread"  # type: ignore[attr-defined]
    return coroutine if mode == "async" else function


@pytest.mark.parametrize("mode", ["async", "thread", "quick"])
@pytest.mark.parametrize("kind", ["error", "permanent", "resource_exhaustion", "throttled", "exit"])
def test_what_an_agent_raises_is_reported_by_kind(kind: str, mode: str, tmp_path: Path) -> None:
    async def body() -> None:
        bench = Bench(tmp_path, {})
        orchestrator = await bench.start_one(raising(kind, mode))
        orchestrator.tell(task("t"))
        failed = await orchestrator.end_of("t")
        assert isinstance(failed, Failed)
        assert failed.kind.value == ("error" if kind == "exit" else kind)
        if kind == "error":
            assert failed.reason.startswith("ValueError: bad luck (at ")
            assert "test_executor.py" in failed.reason and "worker/lanes" not in failed.reason
        if kind == "throttled":
            assert (failed.reason, failed.wait_ms) == ("429 too many requests", 42_000)
        await bench.stop()

    run(body())


@pytest.mark.parametrize(
    ("asked", "sent"),
    [(2.7, 2), (-5, 0), (10**30, THROTTLE_MS_MAX), (float("nan"), 0), ("soon", 0), (None, 0)],
)
def test_whatever_wait_an_agent_asks_for_can_be_sent(asked: Any, sent: int, tmp_path: Path) -> None:
    async def turned_away(task: Task) -> None:
        raise TryLater("429", wait_ms=asked)

    async def body() -> None:
        bench = Bench(tmp_path, {})
        orchestrator = await bench.start_one(turned_away)
        orchestrator.tell(task("t"))
        failed = await orchestrator.end_of("t")
        assert isinstance(failed, Failed)
        assert (failed.kind, failed.wait_ms) == (FailureKind.THROTTLED, sent)
        await bench.stop()

    run(body())


def test_a_result_that_cannot_be_stored_fails_for_good_and_says_what_it_was(
    tmp_path: Path,
) -> None:
    async def body() -> None:
        bench = Bench(tmp_path, {})
        orchestrator = await bench.start_one(lambda task: {"lock": threading.Lock()})
        orchestrator.tell(task("t"))
        failed = await orchestrator.end_of("t")
        assert failed.kind is FailureKind.PERMANENT and "lock" in failed.reason
        await bench.stop()

    run(body())


class Waiting(BaseAgent):
    """Waits for ever, unless the input says how it takes being stopped."""

    async def process_task(self, task: Task) -> str:
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if task.input == "obeys" or Blocking.release.is_set():
                    raise
                if task.input == "answers":
                    return "too late"
        return ""


class Blocking(BaseAgent):
    """The same in a thread."""

    release = threading.Event()

    def process_task(self, task: Task) -> str:
        if task.input == "ignores":
            self.release.wait(20)
        else:
            self.cancelled.wait(20)
        return "too late"


@pytest.mark.parametrize("agent", [Waiting, Blocking])
@pytest.mark.parametrize("how", ["obeys", "answers", "ignores"])
@pytest.mark.parametrize("why", ["cancel", "timeout"])
def test_a_stopped_attempt_is_reported_and_the_agent_goes_on(
    agent: type[BaseAgent],
    how: str,
    why: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(executor_module, "STOP_GRACE_MS", 50)
    Blocking.release.clear()

    async def body() -> None:
        bench = Bench(tmp_path, {})
        orchestrator = await bench.start_one(agent)
        limit = {"timeout_ms": 60} if why == "timeout" else {}
        orchestrator.tell(task("t", value=how, announce=True, **limit), task("next", value="obeys"))
        await orchestrator.wait_for(Started)
        if why == "cancel":
            orchestrator.tell(CancelAttempt("t", 1, "the user said so"))
        failed = await orchestrator.end_of("t")
        assert isinstance(failed, Failed)
        assert failed.kind is (FailureKind.KILLED if why == "cancel" else FailureKind.TIMEOUT)
        assert ("60 ms" if limit else "the user said so") in failed.reason
        assert ("given up" in failed.reason) == (how == "ignores")
        assert bench.executor.given_up == (how == "ignores")
        await orchestrator.until(lambda: orchestrator.all(Started)[1:], "the next to start")
        orchestrator.tell(CancelAttempt("next", 1, "enough"))
        await orchestrator.end_of("next")
        assert orchestrator.all(Result) == []
        Blocking.release.set()
        await bench.stop()

    run(body())


def test_what_waits_for_its_turn_is_cancelled_at_once(tmp_path: Path) -> None:
    async def body() -> None:
        bench = Bench(tmp_path, {})
        orchestrator = await bench.start_one(Waiting)
        orchestrator.tell(task("t", value="obeys"), task("u"), CancelAttempt("u", 1, "no"))
        failed = await orchestrator.end_of("u")
        assert failed.kind is FailureKind.KILLED and "given up" not in failed.reason
        assert bench.session.held() == (("t", 1),)
        orchestrator.tell(CancelAttempt("nowhere", 3, "no"))
        assert (await orchestrator.end_of("nowhere")).attempt == 3
        await bench.stop()

    run(body())


def test_too_many_attempts_given_up_wear_the_process_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executor_module, "STOP_GRACE_MS", 10)
    Blocking.release.clear()

    async def body() -> None:
        bench = Bench(tmp_path, {})
        orchestrator = await bench.start_one(Blocking, tasks_max=20)
        names = [f"t{n}" for n in range(executor_module.GIVEN_UP_MAX)]
        orchestrator.tell(*[task(name, value="ignores", timeout_ms=20) for name in names])
        await orchestrator.wait_for(Failed, len(names))
        assert bench.worn_out
        Blocking.release.set()
        await bench.stop()

    run(body())


async def comes_to(count: int, bench: Bench) -> None:
    """Wait until so many attempts run on."""
    async with asyncio.timeout(60):
        while bench.executor.overrunning != count:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("how", ["timeout", "its agent ends"])
def test_code_that_runs_on_after_it_was_given_up_is_told_of_until_it_ends(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executor_module, "STOP_GRACE_MS", 10)
    monkeypatch.setattr(executor_module, "OVERRUN_MS", 10)
    Blocking.release.clear()

    async def body() -> None:
        bench = Bench(tmp_path, {})
        orchestrator = await bench.start_one(Blocking)
        limit = {"timeout_ms": 20} if how == "timeout" else {}
        orchestrator.tell(task("t", value="ignores", announce=True, **limit))
        await orchestrator.wait_for(Started)
        if how != "timeout":
            orchestrator.tell(DropAgent("a1"))
        await comes_to(1, bench)
        bench.session.beat()
        assert (await orchestrator.wait_for(Heartbeat))[-1].overrunning == 1
        Blocking.release.set()
        await comes_to(0, bench)
        await bench.stop()

    run(body())


def test_a_higher_attempt_replaces_a_lower_one_of_which_nothing_is_heard(tmp_path: Path) -> None:
    async def body() -> None:
        bench = Bench(tmp_path, {})
        orchestrator = await bench.start_one(Waiting, tasks_max=2)
        orchestrator.tell(task("t", value="obeys", announce=True))
        await orchestrator.wait_for(Started)
        orchestrator.tell(task("t", attempt=2, value="obeys", announce=True))
        await orchestrator.wait_for(Started, 2)
        assert bench.session.held() == (("t", 2),)
        orchestrator.tell(task("t", attempt=1), CancelAttempt("t", 2, "no"))
        await orchestrator.end_of("t")
        assert [f.attempt for f in orchestrator.all(Failed)] == [2]
        await bench.stop()

    run(body())


@pytest.mark.parametrize("agent", [Waiting, Blocking])
def test_only_what_takes_a_moment_is_announced(agent: object, tmp_path: Path) -> None:
    async def body() -> None:
        bench = Bench(tmp_path, {})
        bench.agents["quick"] = async_echo
        orchestrator = await bench.start_one(agent)
        orchestrator.tell(HostAgent(spec("a2", "quick")))
        await orchestrator.wait_for(AgentUp, 2)
        orchestrator.tell(task("slow", value="obeys"))
        orchestrator.tell(msgspec.structs.replace(task("quick"), agent="a2"))
        (started,) = await orchestrator.wait_for(Started)
        assert started.task == "slow"
        orchestrator.tell(CancelAttempt("slow", 1, "enough"))
        await orchestrator.end_of("slow")
        await bench.stop()

    run(body())


def test_an_agent_works_on_no_more_at_once_than_it_said(tmp_path: Path) -> None:
    most: list[int] = []
    now: list[str] = []

    async def counting(task: Task) -> None:
        now.append(task.id)
        most.append(len(now))
        await asyncio.sleep(0)
        now.remove(task.id)

    async def body() -> None:
        bench = Bench(tmp_path, {})
        orchestrator = await bench.start_one(counting, tasks_max=3)
        orchestrator.tell(*[task(f"t{n}") for n in range(20)])
        await orchestrator.wait_for(Result, 20)
        assert max(most) == 3
        await bench.stop()

    run(body())


class Careful(BaseAgent):
    """Starts and stops, or does not."""

    async def start(self) -> None:
        if self.config.get("fails"):
            raise RuntimeError("no key")
        self.log("I am here")

    async def stop(self) -> None:
        self.context.folder.joinpath("stopped").write_text("yes")

    async def process_task(self, task: Task) -> Any:
        self.progress(0.25, "a quarter")
        self.progress(0.5, "half")
        return [self.id, self.name, self.config, task.to_dict()]


def test_an_agent_that_cannot_start_is_reported_with_why(tmp_path: Path) -> None:
    async def body() -> None:
        bench = Bench(tmp_path, {"careful": Careful, "nonsense": 3})
        orchestrator = await bench.start()
        broken = msgspec.structs.replace(spec("a1", "careful"), config=packed({"fails": True}))
        orchestrator.tell(HostAgent(broken), HostAgent(spec("a2", "nonsense")))
        down = {d.agent: d.reason for d in await orchestrator.wait_for(AgentDown, 2)}
        assert "no key" in down["a1"] and "neither a class nor a function" in down["a2"]
        orchestrator.tell(task("t"))
        assert (await orchestrator.end_of("t")).kind is FailureKind.AGENT_GONE
        await bench.stop()

    run(body())


def test_hosting_twice_says_up_twice_and_dropping_ends_the_agent_and_its_work(
    tmp_path: Path,
) -> None:
    async def body() -> None:
        bench = Bench(tmp_path, {"careful": Careful, "waiting": Waiting})
        orchestrator = await bench.start(spec("a1", "careful"), spec("a2", "waiting"))
        orchestrator.tell(HostAgent(spec("a1", "careful")))
        await orchestrator.wait_for(AgentUp, 3)
        slow = msgspec.structs.replace(task("slow", value="obeys", announce=True), agent="a2")
        orchestrator.tell(slow)
        await orchestrator.wait_for(Started)
        orchestrator.tell(DropAgent("a1"), DropAgent("a2"), DropAgent("a2"))
        await orchestrator.wait_for(AgentDown, 2)
        assert all(down.ended for down in orchestrator.all(AgentDown))
        assert (tmp_path / "a1" / "stopped").read_text() == "yes"
        assert orchestrator.all(Failed) == [] and bench.session.held() == ()
        await bench.stop()

    run(body())


def test_what_is_left_of_an_attempt_does_not_shrink_while_the_machine_sleeps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hours_ms = 8 * 3_600_000
    wall = OsHost.now_ms

    async def looking(task: Task) -> list[float | None]:
        before = task.remaining_time
        # The clock on the wall goes on during suspend; the one that measures attempts does not.
        monkeypatch.setattr(OsHost, "now_ms", lambda host: wall(host) + hours_ms)
        return [before, task.remaining_time]

    async def body() -> None:
        bench = Bench(tmp_path, {})
        orchestrator = await bench.start_one(looking)
        orchestrator.tell(task("t", timeout_ms=3_600_000))
        result = await orchestrator.end_of("t")
        assert isinstance(result, Result)
        before, after = unpacked(result.value)
        assert 0 < after <= before <= 3_600
        await bench.stop()

    run(body())


def test_an_agent_sees_its_task_and_shows_its_progress(tmp_path: Path) -> None:
    async def body() -> None:
        bench = Bench(tmp_path, {"careful": Careful})
        orchestrator = await bench.start(
            msgspec.structs.replace(spec("a1", "careful"), config=packed({"k": 1}))
        )
        config = {"acceptance_criteria": ["green"], "estimated_duration": 2, "requirements": "r"}
        orchestrator.tell(
            task("t", value=[1], config=packed(config), deadline_ms=0, capabilities=("x",))
        )
        result = await orchestrator.end_of("t")
        agent, name, own, seen = unpacked(result.value)
        assert (agent, name, own) == ("a1", "a1", {"k": 1})
        assert seen["input"] == [1] and seen["acceptance_criteria"] == ["green"]
        assert seen["estimated_duration"] == 2.0 and seen["deadline"].startswith("1970-01-01")
        await orchestrator.wait_for(Progress)
        assert [(p.fraction, p.note) for p in orchestrator.all(Progress)] == [(0.5, "half")]
        assert [line.text for line in orchestrator.all(LogLine)] == ["I am here"]
        await bench.stop()

    run(body())
