"""What an attempt asks of its swarm, with the test as the orchestrator at the other end."""

import asyncio
from pathlib import Path
from typing import Any, ClassVar

import pytest
from orchestra import Bench, Orchestrator, packed, run, task, unpacked

from visionflow.agents.base import BaseAgent, TryLater
from visionflow.agents.task import Task
from visionflow.domain import messages as m
from visionflow.domain.errors import AwaitedTaskFailed, CircuitOpenError, UsageError
from visionflow.domain.limits import INLINE_BYTES_MAX
from visionflow.domain.tasks import FailureKind, Payload


def locker(*, nested: bool = False) -> type[BaseAgent]:
    class Locker(BaseAgent):
        """Holds a lock twice, one after the other, and says when."""

        held: ClassVar[list[str]] = []

        async def process_task(self, task: Task) -> Any:
            for number in (1, 2):
                async with self.lock("deploy"):
                    self.held.append(f"{task.id} {number}")
                    if nested:
                        async with self.lock("deploy"):
                            pass
            return "done"

    return Locker


def granting(orchestrator: Orchestrator, asked: m.LockAsked) -> None:
    orchestrator.tell(m.LockAnswer(asked.task, asked.attempt, asked.lock, asked.number, True))


async def asked_for(orchestrator: Orchestrator, count: int = 1) -> m.LockAsked:
    return (await orchestrator.wait_for(m.LockAsked, count))[-1]


def test_a_lock_is_held_from_its_grant_on_and_given_back_by_its_number(tmp_path: Path) -> None:
    async def body() -> None:
        agent = locker()
        bench = Bench(tmp_path, {})
        orchestrator = await bench.start_one(agent)
        orchestrator.tell(task("t"))
        first = await asked_for(orchestrator)
        assert agent.held == []
        granting(orchestrator, first)
        second = await asked_for(orchestrator, 2)
        assert agent.held == ["t 1"] and second.number > first.number
        dropped = (await orchestrator.wait_for(m.LockDropped))[0]
        assert dropped == m.LockDropped("t", 1, "deploy", first.number)
        granting(orchestrator, first)  # It comes again, late, and grants nothing.
        for _ in range(20):
            await asyncio.sleep(0)
        assert agent.held == ["t 1"]
        granting(orchestrator, second)
        assert unpacked((await orchestrator.end_of("t")).value) == "done"
        await bench.stop()

    run(body())


def test_what_is_not_answered_is_asked_again_over_the_next_connection(tmp_path: Path) -> None:
    async def body() -> None:
        bench = Bench(tmp_path, {})
        orchestrator = await bench.start_one(locker())
        orchestrator.tell(task("t"))
        first = await asked_for(orchestrator)
        await bench.cut()
        await orchestrator.wait_for(m.Hello, 2)
        assert await asked_for(orchestrator, 2) == first
        granting(orchestrator, first)
        granting(orchestrator, (await orchestrator.until(lambda: _second(orchestrator, first))))
        await orchestrator.end_of("t")
        await bench.stop()

    run(body())


def _second(orchestrator: Orchestrator, first: m.LockAsked) -> m.LockAsked | None:
    found = [each for each in orchestrator.all(m.LockAsked) if each.number > first.number]
    return found[0] if found else None


def test_a_stale_attempt_and_one_that_is_stopped_get_no_lock_and_leave_the_queue(
    tmp_path: Path,
) -> None:
    async def body() -> None:
        bench = Bench(tmp_path, {})
        orchestrator = await bench.start_one(locker(), tasks_max=2)
        orchestrator.tell(task("t"), task("u"))
        await asked_for(orchestrator, 2)
        stale = next(each for each in orchestrator.all(m.LockAsked) if each.task == "t")
        answer = m.LockAnswer("t", 1, "deploy", stale.number, False, "stale_attempt", "so it is")
        orchestrator.tell(answer)
        assert (await orchestrator.end_of("t")).kind is FailureKind.KILLED
        orchestrator.tell(m.CancelAttempt("u", 1, "enough"))
        assert (await orchestrator.end_of("u")).kind is FailureKind.KILLED
        dropped = await orchestrator.wait_for(m.LockDropped, 2)
        assert {each.task for each in dropped} == {"t", "u"}
        await bench.stop()

    run(body())


def test_a_lock_within_itself_is_a_fault_of_the_agent_and_says_so(tmp_path: Path) -> None:
    async def body() -> None:
        bench = Bench(tmp_path, {})
        orchestrator = await bench.start_one(locker(nested=True))
        orchestrator.tell(task("t"))
        granting(orchestrator, await asked_for(orchestrator))
        end = await orchestrator.end_of("t")
        assert end.kind is FailureKind.ERROR and "asyncio.Lock" in end.reason
        await bench.stop()

    run(body())


# Results ---------------------------------------------------------------------------------------


class Boss(BaseAgent):
    """Has two tasks done and adds up what comes of them."""

    async def process_task(self, task: Task) -> Any:
        names = [await self.delegate("add", input=number) for number in task.input]
        return sum(await asyncio.gather(*(self.result_of(name) for name in names)))


async def delegated(orchestrator: Orchestrator, count: int, start: int = 1) -> list[m.Delegated]:
    """Each is accepted as it comes."""
    for number in range(start, count + 1):
        found = (await orchestrator.wait_for(m.Delegated, number))[-1]
        orchestrator.tell(m.DelegateAnswer(found.task, found.attempt, found.spec.id))
    return orchestrator.all(m.Delegated)


def test_tasks_are_delegated_under_ids_that_a_later_attempt_makes_again(tmp_path: Path) -> None:
    async def body() -> None:
        bench = Bench(tmp_path, {})
        orchestrator = await bench.start_one(Boss, tasks_max=3)
        orchestrator.tell(task("t", value=[1, 1, 2], priority=10))
        first = await delegated(orchestrator, 3)
        ids = [each.spec.id for each in first]
        assert len(set(ids)) == 3 and [unpacked(each.spec.input) for each in first] == [1, 1, 2]
        assert {each.spec.priority for each in first} == {10}
        orchestrator.tell(task("t", attempt=2, value=[1, 1, 2]))
        again = [each.spec.id for each in (await delegated(orchestrator, 6, 4))[3:]]
        assert again == ids
        for number, name in enumerate(ids):
            await orchestrator.until(
                lambda name=name: [
                    w for w in orchestrator.all(m.WaitAsked) if w == m.WaitAsked("t", 2, name)
                ]
            )
            value = packed(number * 10)
            orchestrator.tell(m.WaitAnswer("t", 2, name, "completed", value))
        assert unpacked((await orchestrator.end_of("t")).value) == 30
        dropped = [each for each in orchestrator.all(m.WaitDropped) if each.attempt == 2]
        assert [each.on for each in dropped] == ids
        orchestrator.tell(task("other", value=[1]))
        await orchestrator.wait_for(m.Delegated, 7)
        assert orchestrator.all(m.Delegated)[-1].spec.id not in ids
        await bench.stop()

    run(body())


def test_a_large_input_travels_by_blob_and_so_does_a_large_result(tmp_path: Path) -> None:
    large = "x" * (INLINE_BYTES_MAX + 1)

    class Large(BaseAgent):
        async def process_task(self, task: Task) -> Any:
            return len(await self.result_of(await self.delegate("store", input=large)))

    async def body() -> None:
        bench = Bench(tmp_path, {})
        orchestrator = await bench.start_one(Large)
        orchestrator.tell(task("t"))
        spec = (await delegated(orchestrator, 1))[0].spec
        assert spec.input.blob is not None and spec.input.inline is None
        await orchestrator.wait_for(m.WaitAsked)
        result = Payload(blob=spec.input.blob)
        orchestrator.tell(m.WaitAnswer("t", 1, spec.id, "completed", result))
        assert unpacked((await orchestrator.end_of("t")).value) == len(large)
        await bench.stop()

    run(body())


def test_a_task_whose_awaited_task_failed_has_failed_for_good(tmp_path: Path) -> None:
    class Waiting(BaseAgent):
        async def process_task(self, task: Task) -> Any:
            try:
                await self.result_of("a")
            except AwaitedTaskFailed as error:
                assert (error.task, error.reason) == ("a", "it broke")
                raise

    async def body() -> None:
        bench = Bench(tmp_path, {})
        orchestrator = await bench.start_one(Waiting)
        orchestrator.tell(task("t"))
        await orchestrator.wait_for(m.WaitAsked)
        orchestrator.tell(m.WaitAnswer("t", 1, "a", "failed", reason="it broke"))
        end = await orchestrator.end_of("t")
        assert end.kind is FailureKind.PERMANENT and "Task a" in end.reason
        orchestrator.tell(task("u"))
        await orchestrator.wait_for(m.WaitAsked, 2)
        orchestrator.tell(m.WaitAnswer("u", 1, "a", "", reason="no such task", code="unknown_task"))
        assert "no such task" in (await orchestrator.end_of("u")).reason
        await bench.stop()

    run(body())


def test_a_wait_that_is_given_up_is_taken_back_and_two_for_one_task_are_one(tmp_path: Path) -> None:
    class Patient(BaseAgent):
        async def process_task(self, task: Task) -> Any:
            both = asyncio.gather(self.result_of("a"), self.result_of("a"))
            first = await both
            given_up = asyncio.ensure_future(self.result_of("b"))
            await asyncio.sleep(0)
            given_up.cancel()
            await asyncio.sleep(0)
            return first

    async def body() -> None:
        bench = Bench(tmp_path, {})
        orchestrator = await bench.start_one(Patient)
        orchestrator.tell(task("t"))
        await orchestrator.wait_for(m.WaitAsked)
        orchestrator.tell(m.WaitAnswer("t", 1, "a", "completed", packed(7)))
        assert unpacked((await orchestrator.end_of("t")).value) == [7, 7]
        assert [each.on for each in orchestrator.all(m.WaitAsked)] in (["a", "b"], ["a"])
        assert "a" in [each.on for each in orchestrator.all(m.WaitDropped)]
        await bench.stop()

    run(body())


# Circuits --------------------------------------------------------------------------------------


def caller(error: Exception | None, failures: tuple[type[Exception], ...] = (Exception,)) -> Any:
    class Caller(BaseAgent):
        async def process_task(self, task: Task) -> Any:
            async with self.circuit("provider:acme", failures=failures):
                if error is not None:
                    raise error
            return "called"

    return Caller


@pytest.mark.parametrize(
    ("error", "succeeded"),
    [
        (None, True),
        (ValueError("503"), False),
        (KeyError("mine"), None),
        (TryLater("429", wait_ms=5), None),
    ],
)
def test_how_a_call_went_is_told_and_what_is_no_failure_of_it_is_not_called_one(
    tmp_path: Path, error: Exception | None, succeeded: bool | None
) -> None:
    async def body() -> None:
        bench = Bench(tmp_path, {})
        orchestrator = await bench.start_one(caller(error, (ValueError, TryLater)))
        orchestrator.tell(task("t"))
        asked = (await orchestrator.wait_for(m.CircuitAsked))[0]
        orchestrator.tell(m.CircuitAnswer("t", 1, asked.number, True))
        end = await orchestrator.end_of("t")
        blamed = end.circuit if isinstance(end, m.Failed) else ""
        assert blamed == ("provider:acme" if succeeded is False else "")
        reason = "ValueError: 503" if succeeded is False else ""
        assert orchestrator.all(m.Outcome) == [m.Outcome("provider:acme", succeeded, reason)]
        await bench.stop()

    run(body())


def test_an_open_circuit_ends_the_attempt_as_one_that_waits_and_nothing_is_called(
    tmp_path: Path,
) -> None:
    async def body() -> None:
        bench = Bench(tmp_path, {})
        orchestrator = await bench.start_one(caller(ValueError("called all the same")))
        orchestrator.tell(task("t"))
        asked = (await orchestrator.wait_for(m.CircuitAsked))[0]
        orchestrator.tell(m.CircuitAnswer("t", 1, asked.number, False, 4_321, "it is open"))
        end = await orchestrator.end_of("t")
        assert (end.kind, end.wait_ms, end.reason) == (FailureKind.THROTTLED, 4_321, "it is open")
        assert orchestrator.all(m.Outcome) == []
        assert issubclass(CircuitOpenError, TryLater)
        await bench.stop()

    run(body())


def test_all_of_it_can_be_done_in_a_thread(tmp_path: Path) -> None:
    class Threaded(BaseAgent):
        def process_task(self, task: Task) -> Any:
            with self.lock_sync("x"), self.circuit_sync("tool:lint"):
                return self.result_of_sync(self.delegate_sync("add", input=1))

    async def body() -> None:
        bench = Bench(tmp_path, {})
        orchestrator = await bench.start_one(Threaded)
        orchestrator.tell(task("t"))
        granting(orchestrator, await asked_for(orchestrator))
        asked = (await orchestrator.wait_for(m.CircuitAsked))[0]
        orchestrator.tell(m.CircuitAnswer("t", 1, asked.number, True))
        spec = (await delegated(orchestrator, 1))[0].spec
        await orchestrator.wait_for(m.WaitAsked)
        orchestrator.tell(m.WaitAnswer("t", 1, spec.id, "completed", packed(8)))
        assert unpacked((await orchestrator.end_of("t")).value) == 8
        assert orchestrator.all(m.Outcome) == [m.Outcome("tool:lint", True)]
        assert orchestrator.all(m.LockDropped)[0].lock == "x"
        await bench.stop()

    run(body())


def test_what_blocks_is_refused_in_the_loop_and_bad_names_are_too(tmp_path: Path) -> None:
    class Wrong(BaseAgent):
        async def process_task(self, task: Task) -> Any:
            told: list[str] = []
            for call in (lambda: self.delegate_sync("x"), self.lock_sync("x").__enter__):
                with pytest.raises(UsageError) as refused:
                    call()
                told.append(str(refused.value))
            for manager in (self.lock(""), self.circuit("acme"), self.circuit("")):
                with pytest.raises(UsageError) as refused:
                    await manager.__aenter__()
                told.append(str(refused.value))
            return told

    async def body() -> None:
        bench = Bench(tmp_path, {})
        orchestrator = await bench.start_one(Wrong)
        orchestrator.tell(task("t"))
        told = unpacked((await orchestrator.end_of("t")).value)
        assert len(told) == 5 and "without _sync" in told[0] and "provider:NAME" in told[3]
        await bench.stop()

    run(body())


class Careless(BaseAgent):
    """Asks for what cannot be sent, in each of these ways, and says what it was told."""

    async def process_task(self, task: Task) -> Any:
        high: Any = "high"
        ways = {
            "text": lambda: self.send_message("all", 1, priority=high),
            "nothing": lambda: self.send_message("all", 1, priority=None),  # pyright: ignore
            "huge": lambda: self.send_message("all", 1, priority=10**30),
            "surrogate": lambda: self.send_message("\udc80", 1),
            "number": lambda: self.send_message(5, 1),  # pyright: ignore
            "endless": lambda: self.send_message("all", 1, ttl=float("inf")),
            "no time": lambda: self.request("all", 1, timeout=high),
            "pattern": lambda: self.subscribe(5),  # pyright: ignore
            "limit": lambda: self.delegate("work", timeout_ms=high),
        }
        told: dict[str, str] = {}
        for way, ask in ways.items():
            try:
                await ask()
            except UsageError as error:
                told[way] = str(error)
        return told


def test_what_cannot_be_sent_is_refused_at_once_and_holds_up_nobody(tmp_path: Path) -> None:
    async def body() -> None:
        bench = Bench(tmp_path, {})
        orchestrator = await bench.start_one(Careless)
        orchestrator.tell(task("t"))
        told = unpacked((await orchestrator.end_of("t")).value)
        assert list(told) == [
            "text", "nothing", "huge", "surrogate", "number", "endless", "no time", "pattern",
            "limit",
        ]  # fmt: skip
        assert "priority" in told["text"] and "timeout_ms" in told["limit"]
        assert not orchestrator.all(m.MailAsked)
        await bench.stop()

    run(body())
