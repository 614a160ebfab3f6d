"""The conversation with the orchestrator: numbers, acknowledgements, and a wire that breaks."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest
from orchestra import Bench, Refused, run, task

import visionflow.worker.session as session_module
from visionflow.agents.base import BaseAgent
from visionflow.agents.task import Task
from visionflow.domain.messages import (
    PROTOCOL,
    Failed,
    FrameAck,
    Heartbeat,
    Hello,
    LogLine,
    Rejected,
    Result,
    StepAnswer,
    StepDone,
    Stop,
    Welcome,
    WorkerFrame,
)
from visionflow.worker import exits


def echo(task: Task) -> Any:
    return task.input


echo.blocking = False  # type: ignore[attr-defined]


class Gate(BaseAgent):
    """Ends when the test says so."""

    opened: asyncio.Event

    async def process_task(self, task: Task) -> Any:
        self.log(f"{task.id} waits")
        await Gate.opened.wait()
        return task.input

    async def stop(self) -> None:
        self.context.folder.joinpath("stopped").touch()


def test_the_first_words_are_a_hello_with_the_secret(tmp_path: Path) -> None:
    async def body() -> None:
        bench = Bench(tmp_path, {})
        orchestrator = await bench.start()
        assert orchestrator.frames[0] == (0, (Hello("w1", 1, "secret", 4711, (), PROTOCOL),))
        await bench.stop()

    run(body())


def test_what_is_ready_in_one_turn_is_one_frame_and_frames_are_numbered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A turn that takes long is cut, and on a busy machine any may.
    monkeypatch.setattr("visionflow.worker.lanes.TURN_S", 60.0)

    async def body() -> None:
        bench = Bench(tmp_path, {})
        orchestrator = await bench.start_one(echo)
        before = len(orchestrator.frames)
        orchestrator.tell(*[task(f"t{n}") for n in range(80)])
        await orchestrator.wait_for(Result, 80)
        frames = orchestrator.frames[before:]
        assert [len(messages) for _, messages in frames] == [80]
        orchestrator.tell(*[task(f"u{n}") for n in range(250)])
        await orchestrator.wait_for(Result, 330)
        numbers = [number for number, _ in orchestrator.frames if number]
        assert numbers == list(range(1, len(numbers) + 1))
        assert max(len(messages) for _, messages in orchestrator.frames) <= 100
        await bench.stop()

    run(body())


def test_what_was_not_acknowledged_is_sent_again_in_order_after_a_cut(tmp_path: Path) -> None:
    async def body() -> None:
        bench = Bench(tmp_path, {})
        orchestrator = await bench.start_one(echo)
        orchestrator.acks = False
        for name in ("t1", "t2", "t3"):
            orchestrator.tell(task(name))
            await orchestrator.end_of(name)
        first = [frame for frame in orchestrator.frames if frame[0]][-3:]
        orchestrator.last = first[0][0]
        await bench.cut()
        await orchestrator.wait_for(Hello, 2)
        assert orchestrator.all(Hello)[1].attempts == (("t1", 1), ("t2", 1), ("t3", 1))
        await orchestrator.wait_for(Result, 5)
        assert [f for f in orchestrator.frames if f[0]][-2:] == first[1:]
        orchestrator.tell(FrameAck(first[2][0]))
        while bench.session.held():
            await asyncio.sleep(0)
        await bench.cut()
        await orchestrator.wait_for(Hello, 3)
        assert orchestrator.all(Hello)[2].attempts == () and len(orchestrator.all(Result)) == 5
        await bench.stop()

    run(body())


def test_what_ends_while_nobody_is_there_is_reported_at_the_next_welcome(tmp_path: Path) -> None:
    async def body() -> None:
        Gate.opened = asyncio.Event()
        bench = Bench(tmp_path, {})
        orchestrator = await bench.start_one(Gate)
        orchestrator.tell(task("t", announce=True))
        await orchestrator.wait_for(LogLine)
        bench.answers_dial = False
        await bench.cut()
        Gate.opened.set()
        await asyncio.sleep(0.02)
        assert orchestrator.all(Result) == [] and bench.done and not bench.done.done()
        bench.answers_dial = True
        assert isinstance(await orchestrator.end_of("t"), Result)
        # Until then it is said to be held, or it would be given out again.
        assert orchestrator.all(Hello)[1].attempts == (("t", 1),)
        await bench.stop()

    run(body())


class Stepping(BaseAgent):
    """One step."""

    async def process_task(self, task: Task) -> Any:
        return await self.step("one", str.upper, "x")


def test_a_step_whose_answer_was_lost_with_the_wire_is_reported_again(tmp_path: Path) -> None:
    async def body() -> None:
        bench = Bench(tmp_path, {})
        orchestrator = await bench.start_one(Stepping)
        orchestrator.accept = lambda done: None
        orchestrator.tell(task("t"))
        (done,) = await orchestrator.wait_for(StepDone)
        await bench.cut()
        await orchestrator.wait_for(StepDone, 2)
        orchestrator.tell(StepAnswer("t", 1, done.key, True))
        assert isinstance(await orchestrator.end_of("t"), Result)
        await bench.stop()

    run(body())


def test_a_hello_that_nobody_answers_is_said_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_module, "HELLO_AGAIN_MS", 10)

    async def body() -> None:
        bench = Bench(tmp_path, {})
        welcome, bench.orchestrator.tell = bench.orchestrator.tell, lambda *m: None  # type: ignore[method-assign]
        orchestrator = await bench.start()
        await orchestrator.wait_for(Hello, 3)
        orchestrator.tell = welcome  # type: ignore[method-assign]
        orchestrator.tell(Welcome(0), Welcome(0), Stop("enough"))
        assert await asyncio.wait_for(bench.done, 5) == exits.DONE  # type: ignore[arg-type]

    run(body())


@pytest.mark.parametrize("grace_ms", [0, 150])
def test_a_worker_outlives_its_orchestrator_for_its_grace_and_no_longer(
    grace_ms: int, tmp_path: Path
) -> None:
    async def body() -> None:
        bench = Bench(tmp_path, {}, grace_ms=grace_ms)
        await bench.start()
        bench.answers_dial = False
        await bench.cut()
        assert await asyncio.wait_for(bench.done, 5) == exits.ORPHANED  # type: ignore[arg-type]

    run(body())


@pytest.mark.parametrize("by", ["hub", "orchestrator"])
def test_a_worker_that_is_not_believed_ends(by: str, tmp_path: Path) -> None:
    async def body() -> None:
        bench = Bench(tmp_path, {})
        orchestrator = await bench.start()
        if by == "hub":
            bench.answers_dial = Refused("go away", code="not_authorised")
            await bench.cut()
        else:
            orchestrator.tell(Rejected("incarnation 1 is lost"))
        assert await asyncio.wait_for(bench.done, 5) == exits.REFUSED  # type: ignore[arg-type]

    run(body())


def test_stop_ends_agents_and_attempts_and_the_process_with_0(tmp_path: Path) -> None:
    async def body() -> None:
        Gate.opened = asyncio.Event()
        bench = Bench(tmp_path, {})
        orchestrator = await bench.start_one(Gate)
        orchestrator.tell(task("t", announce=True))
        await orchestrator.wait_for(LogLine)
        orchestrator.tell(Stop("the swarm is closed"))
        assert await asyncio.wait_for(bench.done, 5) == exits.DONE  # type: ignore[arg-type]
        assert (tmp_path / "a1" / "stopped").exists()
        assert orchestrator.all(Result) == orchestrator.all(Failed) == []

    run(body())


def test_drain_lets_what_runs_end_and_gives_back_what_waits(tmp_path: Path) -> None:
    async def body() -> None:
        Gate.opened = asyncio.Event()
        bench = Bench(tmp_path, {})
        orchestrator = await bench.start_one(Gate)
        orchestrator.tell(task("runs", value=7, announce=True), task("waits"))
        await orchestrator.wait_for(LogLine)
        bench.session.drain("told to end")
        assert "told to end" in (await orchestrator.end_of("waits")).reason
        orchestrator.tell(task("late"))
        Gate.opened.set()
        assert isinstance(await orchestrator.end_of("runs"), Result)
        assert await asyncio.wait_for(bench.done, 5) == exits.DONE  # type: ignore[arg-type]
        # Refused, it would come again at once, and again: the end of the process gives it back.
        assert [end.task for end in orchestrator.all(Failed)] == ["waits"]

    run(body())


def test_a_heartbeat_names_what_runs_and_what_is_not_acknowledged(tmp_path: Path) -> None:
    async def body() -> None:
        Gate.opened = asyncio.Event()
        bench = Bench(tmp_path, {"gate": Gate})
        orchestrator = await bench.start_one(Gate, tasks_max=2)
        orchestrator.acks = False
        orchestrator.tell(task("runs", announce=True))
        await orchestrator.wait_for(LogLine)
        bench.executor.send(Result("ended", 2))
        await orchestrator.wait_for(Result)
        bench.session.beat()
        (beat,) = await orchestrator.wait_for(Heartbeat)
        assert beat == Heartbeat("w1", 1, (("runs", 1), ("ended", 2)))
        frame = msgspec.msgpack.decode(bench.session.heartbeat(), type=WorkerFrame)
        assert frame.number == 0 and frame.messages == [beat]
        await bench.stop()

    run(body())


def test_lines_that_are_too_many_to_send_are_counted_for_each_who_said_them(tmp_path: Path) -> None:
    async def body() -> None:
        bench = Bench(tmp_path, {})
        orchestrator = await bench.start()
        for number in range(3 * session_module.SIGNALS_MAX):
            who = "a1" if number % 2 else "a2"
            bench.session.signal(LogLine(who, "info", f"line {number}"))
        await orchestrator.until(lambda: any(line.left_out for line in orchestrator.all(LogLine)))
        lines = orchestrator.all(LogLine)
        assert sum(not line.left_out for line in lines) == session_module.SIGNALS_MAX
        left_out = {(line.agent, line.level): line.left_out for line in lines if line.left_out}
        each = session_module.SIGNALS_MAX
        assert left_out == {("a1", "info"): each, ("a2", "info"): each}
        await bench.stop()

    run(body())
