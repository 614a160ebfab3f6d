"""Agent objects in one's own program: what works without a fleet, and what is told."""

import asyncio
from pathlib import Path
from typing import Any, ClassVar

import pytest

from visionflow import BaseAgent, PermanentFailure, Task
from visionflow.agents.leading import TeamResult
from visionflow.agents.led import lead
from visionflow.compose.hierarchy import HierarchicalCoordinator, order_of
from visionflow.compose.local import local_agent
from visionflow.domain.errors import ConfigError, NotPersistable, UsageError
from visionflow.domain.teams import DELEGATE, DISTRIBUTE, REVIEW


class Counting(BaseAgent):
    """Counts its steps, its start and its stop."""

    type = "counting"
    seen: ClassVar[list[str]] = []

    async def start(self) -> None:
        self.seen.append("start")

    async def stop(self) -> None:
        self.seen.append("stop")

    async def process_task(self, task: Task) -> Any:
        self.progress(0.5, "half")
        self.log("at work", "warning")
        first = await self.step("first", lambda: (1, 2))
        second = await self.step("second", self.twice, task.input)
        return {"first": first, "second": second, "config": self.config}

    async def twice(self, number: int) -> int:
        return number * 2

    async def bad(self) -> Any:
        return await self.step("bad", object)


class InThread(BaseAgent):
    """Takes its steps in a thread."""

    def process_task(self, task: Task) -> Any:
        return [self.step_sync("plain", abs, -3), self.cancelled.is_set()]


def test_an_agent_is_started_used_and_stopped_and_its_steps_run(tmp_path: Path) -> None:
    Counting.seen = []
    told: list[object] = []

    async def use() -> Any:
        async with local_agent(
            Counting,
            {"word": "x"},
            folder=tmp_path / "own",
            on_progress=lambda *now: told.append(now),
            on_log=lambda *line: told.append(line),
        ) as agent:
            assert agent.context.folder == tmp_path / "own"
            return await agent.process_task(Task(input=4))

    # A step's value is what MessagePack gives back, here as in a fleet.
    assert asyncio.run(use()) == {"first": [1, 2], "second": 8, "config": {"word": "x"}}
    assert told == [(0.5, "half"), ("warning", "at work")]
    assert Counting.seen == ["start", "stop"]
    assert (tmp_path / "own").is_dir()


def test_an_agent_without_a_folder_has_one_that_goes_with_it() -> None:
    async def use() -> Path:
        async with local_agent(Counting) as agent:
            (agent.context.folder / "file").write_text("x", encoding="utf-8")
            return agent.context.folder

    assert not asyncio.run(use()).exists()


def test_an_agent_is_stopped_when_its_user_fails() -> None:
    Counting.seen = []

    async def use() -> None:
        async with local_agent(Counting):
            raise KeyError("mine")

    with pytest.raises(KeyError):
        asyncio.run(use())
    assert Counting.seen == ["start", "stop"]


def test_what_a_fleet_could_not_keep_is_refused_here_too() -> None:
    async def use() -> None:
        async with local_agent(Counting) as agent:
            await agent.bad()

    with pytest.raises(NotPersistable, match="the value of step 'bad'"):
        asyncio.run(use())


def test_a_plain_agent_takes_its_steps_in_the_callers_thread() -> None:
    async def use() -> Any:
        async with local_agent(InThread) as agent:
            return await asyncio.to_thread(agent.process_task, Task())

    assert asyncio.run(use()) == [3, False]


def test_an_agent_without_a_swarm_leads_nobody_but_itself() -> None:
    async def use() -> Any:
        async with local_agent(Counting) as agent:
            return agent.id, await lead(agent, Task(type=DISTRIBUTE, input={"input": [1, 2]}))

    own, shares = asyncio.run(use())
    assert {each["agent"] for each in shares} == {own}


def test_a_lead_may_leave_out_what_it_does_not_look_at_and_is_told_what_it_may_take() -> None:
    class Halving(Counting):
        def distribute_work(self, task: Task) -> list[Any]:  # pyright: ignore
            return [task.input[:1], task.input[1:]]

        def review_result(self, result: TeamResult) -> list[str]:  # pyright: ignore
            return ["too short"]

    class Odd(Counting):
        def distribute_work(self) -> list[Any]:  # pyright: ignore
            return []

    async def use(kind: type[BaseAgent], task: Task) -> Any:
        async with local_agent(kind) as agent:
            return await lead(agent, task)

    order = {"input": [1, 2, 3]}
    shares = asyncio.run(use(Halving, Task(type=DISTRIBUTE, input=order)))
    assert [each["input"] for each in shares] == [[1], [2, 3]]
    done = {"team": "", "lead": "", "parts": [], "result": 1}
    judged = asyncio.run(use(Halving, Task(type=REVIEW, input={"result": done, "order": order})))
    assert judged["reasons"] == ["too short"]
    with pytest.raises(PermanentFailure, match=r"distribute_work\(\).*cannot be called"):
        asyncio.run(use(Odd, Task(type=DISTRIBUTE, input=order)))


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"validation": {"quality": "high"}}, 'demands "high" of quality; a demand is a number'),
        ({"validation": {"quality": float("nan")}}, "demands nan of quality"),
        ({"validation": "high"}, 'validation of the task is "high", not a map'),
        ({"parts": []}, "parts in the config of the task is an empty list"),
    ],
)
def test_what_a_review_could_not_read_is_refused_before_anything_is_handed_down(
    config: dict[str, Any], words: str
) -> None:
    async def use(kind: str, given: Any) -> Any:
        # An attempt without a swarm: what was handed down would fail with another error.
        async with local_agent(Counting) as agent:
            return await lead(agent, Task(type=kind, input=given))

    order = {"input": [1, 2], "config": config}
    done = {"team": "", "lead": "", "parts": [], "result": 1}
    for kind, given in ((DELEGATE, order), (REVIEW, {"result": done, "order": order})):
        with pytest.raises(PermanentFailure, match=words):
            asyncio.run(use(kind, given))
    with pytest.raises(UsageError, match=words):
        order_of(Task(input=[1, 2], config=config))
    coordinator = HierarchicalCoordinator()
    with pytest.raises(UsageError, match=words):
        asyncio.run(coordinator.delegate_task(Task(input=[1, 2], config=config)))


def test_parts_that_are_no_list_are_for_a_class_that_reads_them() -> None:
    class Cutting(Counting):
        def distribute_work(self, task: Task) -> list[Any]:  # pyright: ignore
            return [task.input] * task.config["parts"]

    async def use(kind: type[BaseAgent]) -> Any:
        async with local_agent(kind) as agent:
            order = {"input": 1, "config": {"parts": 3}}
            return await lead(agent, Task(type=DISTRIBUTE, input=order))

    assert len(asyncio.run(use(Cutting))) == 3
    with pytest.raises(PermanentFailure, match="parts in the config of the task is 3, not a list"):
        asyncio.run(use(Counting))


def test_outside_there_is_no_attempt() -> None:
    async def use() -> None:
        async with local_agent(Counting) as agent:
            pass
        agent.progress(1.0)

    with pytest.raises(UsageError, match="There is no attempt here"):
        asyncio.run(use())


def test_a_role_is_found_by_the_name_of_its_template() -> None:
    async def use() -> tuple[str, dict[str, Any]]:
        async with local_agent("reviewer", {"review_depth": "quick"}) as agent:
            return type(agent).__name__, agent.config

    name, config = asyncio.run(use())
    assert name == "ReviewerAgent"
    assert (config["review_depth"], config["automated_fixes"]) == ("quick", False)


def test_what_is_no_agent_is_refused() -> None:
    with pytest.raises(UsageError, match="Did you mean 'tester'"):
        local_agent("testr")
    with pytest.raises(ConfigError, match="does not derive from"):
        local_agent(dict)  # pyright: ignore[reportArgumentType, reportCallIssue]
