"""Pipelines from Python: transforms, measures, loops, what is refused, and going on by their id."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.api.staged_agents import Counter, Waiter
from tests.serve.server_process import serving
from visionflow import AgentOrchestrator, PipelineCoordinator, PipelineFailed, Task, UsageError
from visionflow.interfaces.aggregating import run_parallel
from visionflow.interfaces.piping import StageRejected

pytestmark = pytest.mark.acceptance("pipeline")
ONE: dict[str, Any] = {"stage": "one", "agent_type": "counter", "task_type": "count"}
TWO: dict[str, Any] = {"stage": "two", "agent_type": "counter", "task_type": "count"}
HIGH = {"quality": 0.8}
Use = Callable[[AgentOrchestrator[Any, Any]], Awaitable[Any]]


def in_store(folder: Path, use: Use) -> Any:
    """Use an orchestrator that is kept in a folder."""

    async def main() -> Any:
        orchestrator: AgentOrchestrator[Any, Any] = AgentOrchestrator(folder / "store")
        try:
            return await asyncio.wait_for(use(orchestrator), 120)
        finally:
            await orchestrator.aclose()

    return asyncio.run(main())


def piped(orchestrator: Any, *stages: Any) -> PipelineCoordinator:
    return PipelineCoordinator(stages, orchestrator, agents={"counter": Counter})


def test_transforms_run_between_stages_and_all_that_was_measured_is_told(tmp_path: Path) -> None:
    first = {**ONE, "transform": lambda found: {"n": found["n"] * 10}}
    second = {**TWO, "validation": HIGH, "on_failure": {"retry": 1}}

    async def use(orchestrator: Any) -> None:
        pipeline = piped(orchestrator, first, second)
        assert (await pipeline.execute_pipeline({"n": 1}))["n"] == 21
        assert pipeline.report is not None and pipeline.report.status == "completed"
        rounds = pipeline.report.stage("two").rounds
        assert [each.measured for each in rounds] == [{"quality": 0.5}, {"quality": 0.9}]
        assert [each.missed for each in rounds] == [("quality",), ()]
        assert rounds[0].reason == "quality is 0.5, and 0.8 is demanded"

    in_store(tmp_path, use)


def test_a_failed_pipeline_says_what_was_measured_and_goes_on_at_a_stage_by_its_id(
    tmp_path: Path,
) -> None:
    low = {**TWO, "validation": {"quality": 5}}

    async def use(orchestrator: Any) -> None:
        pipeline = piped(orchestrator, ONE, low)
        with pytest.raises(PipelineFailed, match=r"stage two: quality is 0\.5, and 5 is") as caught:
            await pipeline.execute_pipeline({"n": 1}, resume="mine")
        assert caught.value.report.stage("two").measured == {"quality": 0.5}
        with pytest.raises(PipelineFailed):
            await pipeline.execute_pipeline(resume="mine")
        assert pipeline.report is not None
        assert [len(each.rounds) for each in pipeline.report.stages] == [1, 2]
        with pytest.raises(PipelineFailed):
            await pipeline.execute_pipeline({"n": 7}, resume="mine", start_at="one")
        assert [len(each.rounds) for each in pipeline.report.stages] == [2, 3]
        with pytest.raises(UsageError, match="opened with another input"):
            await pipeline.execute_pipeline({"n": 2}, resume="mine")
        for bad in ("", "..", "a/../mine", str(tmp_path / "escaped")):
            with pytest.raises(UsageError, match="no id of a pipeline"):
                await pipeline.execute_pipeline({"n": 1}, resume=bad)
        with pytest.raises(UsageError, match="opened with other stages"):
            await piped(orchestrator, ONE).execute_pipeline(resume="mine")

    in_store(tmp_path, use)


def test_a_completed_pipeline_gives_its_result_again_and_does_nothing_twice(tmp_path: Path) -> None:
    async def use(orchestrator: Any) -> int:
        pipeline = piped(orchestrator, ONE, TWO)
        assert (await pipeline.execute_pipeline({"n": 1}, resume="mine"))["n"] == 3
        assert pipeline.report is not None
        return sum(len(each.rounds) for each in pipeline.report.stages)

    assert in_store(tmp_path, use) == in_store(tmp_path, use) == 2


def test_a_transform_that_raises_leaves_the_pipeline_where_it_is(tmp_path: Path) -> None:
    broken: list[bool] = [True]

    def transform(found: dict[str, Any]) -> dict[str, Any]:
        if broken[0]:
            raise LookupError("not today")
        return found

    async def use(orchestrator: Any) -> None:
        pipeline = piped(orchestrator, {**ONE, "transform": transform}, TWO)
        with pytest.raises(LookupError) as raised:
            await pipeline.execute_pipeline({"n": 1}, resume="mine")
        (note,) = raised.value.__notes__
        assert "mine stopped at stage one." in note and "resume='mine' goes on at one." in note
        assert pipeline.report is not None and pipeline.report.status == "interrupted"
        assert pipeline.report.reason == "stage one: LookupError: not today"
        broken[0] = False
        assert (await pipeline.execute_pipeline(resume="mine"))["n"] == 3
        assert pipeline.report is not None
        assert [len(each.rounds) for each in pipeline.report.stages] == [1, 1]

    in_store(tmp_path, use)


def test_a_resume_is_promised_only_where_what_was_done_is_kept(tmp_path: Path) -> None:
    stages = ({**ONE, "validation": {"quality": 2}},)

    async def said(orchestrator: Any, folder: Path | None = None) -> str:
        pipeline = PipelineCoordinator(
            stages, orchestrator, agents={"counter": Counter}, folder=folder
        )
        with pytest.raises(PipelineFailed) as raised:
            await pipeline.execute_pipeline({"n": 1}, resume="mine")
        return str(raised.value.hint)

    async def use(orchestrator: Any) -> None:
        assert (await said(orchestrator)).endswith("resume='mine' goes on at one.")
        assert "as long as this fleet is open" in await said(await orchestrator.fleet())

    in_store(tmp_path, use)
    assert asyncio.run(said(None, tmp_path / "own")).endswith("resume='mine' goes on at one.")
    alone = asyncio.run(said(None))
    assert "begins anew" in alone and "resume" not in alone and "go on at one" in alone


def test_a_pipeline_can_be_cancelled_by_its_id_and_gone_on_with(tmp_path: Path) -> None:
    slow = {**TWO, "agent_type": "waiter", "config": {"folder": str(tmp_path)}}
    stages = (ONE, slow)

    async def use(orchestrator: Any) -> None:
        pipeline = PipelineCoordinator(
            stages, orchestrator, agents={"counter": Counter, "waiter": Waiter}
        )
        running = asyncio.ensure_future(pipeline.execute_pipeline({"n": 1}, resume="mine"))
        while not (tmp_path / "began").exists():
            await asyncio.sleep(0.02)
        await pipeline.cancel_pipeline("mine", "enough")
        with pytest.raises(PipelineFailed, match="mine ended as cancelled: enough"):
            await running
        (tmp_path / "go").touch()
        assert (await pipeline.execute_pipeline(resume="mine"))["n"] == 3

    in_store(tmp_path, use)


@pytest.mark.parametrize(
    ("stages", "words"),
    [
        ([{**ONE, "validation": {"beauty": 1}}], "'beauty', which nothing measures.*quality"),
        ([{**ONE, "validation": {"coverage": 1}}], "counter does not measure.*measures quality"),
        ([{"stage": "x", "agent_type": "poet", "task_type": "y"}], "no type of agents 'poet'"),
        ([{"stage": "research", "validation": {"coverage": 1}}], "researcher does not measure"),
        ([{**ONE, "capabilities": ["fly"]}], "fly, which no agent of type counter has.*counting"),
        ([{**ONE, "capabilities": "fly,counting"}], "asks for fly, which no agent"),
    ],
)
def test_what_could_never_pass_is_refused_before_anything_begins(
    tmp_path: Path, stages: list[Any], words: str
) -> None:
    async def use(orchestrator: Any) -> None:
        with pytest.raises(UsageError, match=f"(?s){words}"):
            await piped(orchestrator, *stages).execute_pipeline({"n": 1})
        fleet = await orchestrator.fleet()
        assert not await fleet.agents() and not fleet.sync.queries.counts()

    in_store(tmp_path, use)


@pytest.mark.parametrize(
    ("stages", "words"),
    [
        ([{**ONE, "on_failure": {"loop": "two"}}, TWO], "no stage before it"),
        ([ONE, ONE], "Two stages are called 'one'"),
        ([{**ONE, "colour": 1}], "no 'colour'"),
        ([{**ONE, "transform": 3}], "no function"),
        ([{**ONE, "transform": asyncio.sleep}], "is async"),
        ([{**ONE, "timeout": 10**15}], "in seconds"),
        ([], "at least one stage"),
    ],
)
def test_stages_that_are_no_pipeline_are_refused_at_once(stages: list[Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        PipelineCoordinator(stages)


def test_a_class_of_its_own_chooses_agents_and_has_a_say_in_what_passes(tmp_path: Path) -> None:
    chosen: list[str] = []

    class Own(PipelineCoordinator):
        async def get_agent_for_stage(self, stage: Any) -> Any:
            found = await super().get_agent_for_stage(stage)
            chosen.append(found.id)
            return found

        async def validate_stage_output(self, result: Any, validation: Any) -> None:
            await super().validate_stage_output(result, validation)
            if result["n"] > 2:
                raise ValueError("too many")

    async def use(orchestrator: Any) -> None:
        own = Own([{**ONE, "validation": {"quality": 0.1}}, {**TWO, "validation": {"quality": 0}}],
                  orchestrator, agents={"counter": Counter})  # fmt: skip
        with pytest.raises(PipelineFailed, match="stage two: too many"):
            await own.execute_pipeline({"n": 1})
        fleet = await orchestrator.fleet()
        rows = [fleet.sync.queries.task(r.task) for s in own.report.stages for r in s.rounds]
        assert [row.agent for row in rows] == chosen and len(chosen) == 2
        with pytest.raises(StageRejected, match="quality is not measured"):
            await PipelineCoordinator.validate_stage_output(own, {}, HIGH)

    in_store(tmp_path, use)


def test_copies_of_a_task_are_made_into_one_result(tmp_path: Path) -> None:
    async def use(orchestrator: Any) -> None:
        fleet = await orchestrator.fleet()
        await fleet.spawn(Counter, count=2)
        made = await run_parallel(fleet, Task(type="count", input={"n": 1}), copies=3)
        assert (made.outcome, made.value["n"], len(made.said)) == ("agreed", 2, 3)
        tasks = [Task(type="count", input={"n": n}) for n in (1, 1, 5)]
        best = await run_parallel(fleet, tasks, by={"method": "best", "score": "n"})
        assert (best.outcome, best.value["n"], len(best.dissent)) == ("chosen", 6, 2)
        with pytest.raises(UsageError, match="copies is None"):
            await run_parallel(fleet, Task(type="count"))

    in_store(tmp_path, use)


def test_a_servers_pipeline_is_handed_in_the_same_way_and_has_no_transform(tmp_path: Path) -> None:
    templates = tmp_path / "own.yaml"
    path = Path(__file__).with_name("staged_agents.py")
    templates.write_text(f"agent_templates:\n  counter: {{class: {path}:Counter}}\n")
    second = {**TWO, "validation": HIGH, "on_failure": {"retry": 1}}

    async def use(host: str, port: int) -> None:
        orchestrator: Any = AgentOrchestrator(mcp_host=host, mcp_port=port)
        try:
            pipeline = piped(orchestrator, ONE, second)
            assert (await pipeline.execute_pipeline({"n": 1}))["n"] == 3
            assert pipeline.report is not None
            rounds = pipeline.report.stage("two").rounds
            assert [each.measured["quality"] for each in rounds] == [0.5, 0.9]
            low = piped(orchestrator, {**ONE, "validation": {"quality": 2}})
            with pytest.raises(PipelineFailed, match=r"quality is 0\.5, and 2 is demanded"):
                await low.execute_pipeline({"n": 1})
            assert low.report is not None
            (missed,) = low.report.stage("one").rounds
            assert missed.measured == {"quality": 0.5} and missed.missed == ("quality",)
            with pytest.raises(UsageError, match="runs no code of yours"):
                await piped(orchestrator, {**ONE, "transform": str}).execute_pipeline({"n": 1})
            async with orchestrator as fleet:
                entered = piped(fleet, ONE)
                assert (await entered.execute_pipeline({"n": 1}))["n"] == 2
                with pytest.raises(UsageError, match="task_cancel"):
                    await entered.cancel_pipeline("x")
        finally:
            await orchestrator.aclose()

    with serving(tmp_path, "--agents", str(templates)) as served:
        host, _, port = served.told["tcp"].rpartition(":")
        asyncio.run(asyncio.wait_for(use(host, int(port)), 120))
