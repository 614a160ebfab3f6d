"""Pipelines through task_orchestrate: stages as objects, validated, with what a failure does."""

import asyncio
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from desks import Desk
from served import settings_in, until, with_core

from visionflow.compose.serve.opening import OpenServer
from visionflow.domain.errors import UsageError

AGENTS = """\
agent_templates:
  gauge:
    class: measuring_agents.py:Gauge
  slow:
    class: measuring_agents.py:Slow
"""
ONE = {"stage": "one", "agentType": "gauge", "taskType": "measure"}
TWO = {"stage": "two", "agentType": "gauge", "taskType": "measure"}


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def settings(folder: Path) -> Any:
    code = (Path(__file__).parent / "measuring_agents.py").read_text()
    (folder / "measuring_agents.py").write_text(code)
    (folder / "agents.yaml").write_text(AGENTS)
    (folder / "workspace").mkdir(exist_ok=True)
    return settings_in(folder, agents_file=str(folder / "agents.yaml"))


def rounds_of(stage: dict[str, Any]) -> list[tuple[Any, ...]]:
    """What was measured and missed each time, and what followed."""
    return [(each["measured"], each["missed"], each["action"]) for each in stage["rounds"]]


async def told(desk: Desk, *stages: Any, **given: Any) -> dict[str, Any]:
    return await desk.call(
        "task_orchestrate",
        task=given.pop("task", "measure it"),
        strategy="sequential",
        stages=list(stages),
        wait=True,
        waitTimeout=120,
        **given,
    )


@pytest.mark.acceptance("pipeline")
def test_a_stage_below_its_threshold_loops_back_as_configured_and_the_result_has_all_measures(
    tmp_path: Path,
) -> None:
    async def use(opened: OpenServer) -> None:
        desk = Desk(opened)
        second = {
            **TWO,
            "validation": {"quality": 0.8},
            "onFailure": {"loop": "one", "times": 2},
            "config": {"figures": [0.5, 0.9]},
        }
        found = await told(desk, ONE, second)
        assert found["status"] == "completed"
        assert found["result"]["result"]["path"] == ["one.2", "two.2"]
        one, two = found["result"]["stages"]
        assert [each["measured"]["quality"] for each in two["rounds"]] == [0.5, 0.9]
        assert [each["action"] for each in two["rounds"]] == ["loop", "finish"]
        assert two["rounds"][0]["missed"] == ["quality"] and two["demanded"] == {"quality": 0.8}
        assert [each["action"] for each in one["rounds"]] == ["go_on", "go_on"]
        assert [p["name"] for p in found["orchestrationPlan"]["phases"]] == ["one", "two"]
        status = await desk.call("task_status", taskId=found["taskId"])
        assert status["status"] == "completed"

    with_core(settings(tmp_path), use)


@pytest.mark.acceptance("pipeline")
def test_a_stage_below_its_threshold_stops_with_the_measured_value(tmp_path: Path) -> None:
    async def use(opened: OpenServer) -> None:
        low = {**ONE, "validation": {"quality": 0.8}, "config": {"figures": [0.25]}}
        found = await told(Desk(opened), low, TWO)
        assert found["status"] == "failed"
        assert found["reason"] == "stage one: quality is 0.25, and 0.8 is demanded"
        assert found["result"]["result"] is None
        one, two = found["result"]["stages"]
        assert rounds_of(one) == [({"quality": 0.25}, ["quality"], "stop")]
        assert one["demanded"] == {"quality": 0.8} and two["rounds"] == []

    with_core(settings(tmp_path), use)


@pytest.mark.parametrize("completes", [True, False])
def test_the_report_and_the_duration_of_a_pipeline_are_the_same_once_its_swarm_is_over(
    tmp_path: Path, completes: bool
) -> None:
    async def use(opened: OpenServer) -> None:
        desk = Desk(opened)
        policy = {"validation": {"quality": 0.5}, "onFailure": {"loop": "one", "times": 1}}
        second = {**TWO, **policy, "config": {"figures": [0.25, 0.75 if completes else 0.375]}}
        found = await told(desk, ONE, second)
        task, status = found["taskId"], "completed" if completes else "failed"
        first = await desk.call("task_results", taskId=task)
        assert first["status"] == status and first["result"] == found["result"]
        one, two = first["result"]["stages"]
        ends = ["loop", "finish" if completes else "stop"]
        assert [each[2] for each in rounds_of(two)] == ends
        assert rounds_of(two)[0][:2] == ({"quality": 0.25}, ["quality"])
        assert len(one["rounds"]) == 2
        standing = await desk.call("task_status", taskId=task)
        span = at(standing["endedAt"]) - at(standing["createdAt"])
        assert standing["duration"] == first["duration"] == pytest.approx(span.total_seconds())
        assert first["duration"] > 0
        await desk.call("swarm_destroy", swarmId=found["swarmId"])
        later = await desk.call("task_results", taskId=task, swarmId=found["swarmId"])
        assert later["result"] == first["result"] and later["duration"] == first["duration"]

    with_core(settings(tmp_path), use)


@pytest.mark.parametrize(
    ("stages", "words"),
    [
        ([{**ONE, "validation": {"beauty": 1}}], "'beauty', which nothing measures.*coverage"),
        ([{**ONE, "validation": {"coverage": 1}}], "gauge does not measure.*quality"),
        ([{"stage": "x", "agentType": "poet"}], "no type of agents 'poet'.*gauge"),
        ([{**ONE, "onFailure": {"loop": "two"}}, TWO], "no stage before it"),
        ([{**ONE, "onFailure": "shrug"}], "on_failure of stage one.*retry"),
        ([{**ONE, "colour": "red"}], "no 'colour'.*validation"),
        ([{**ONE, "transform": "x"}], "no 'transform'"),
        ([{"stage": "t", "agentType": "tester", "taskType": "sing"}], "do no tasks of type 'sing'"),
        ([ONE, ONE], "Two stages are called 'one'"),
    ],
)
def test_what_could_never_pass_is_refused_at_submission(
    tmp_path: Path, stages: list[Any], words: str
) -> None:
    async def use(opened: OpenServer) -> None:
        with pytest.raises(UsageError, match=f"(?s){words}"):
            await told(Desk(opened), *stages)
        assert all(not swarm.state.tasks for swarm in opened.server.swarms.all())

    with_core(settings(tmp_path), use)


def test_what_has_no_meaning_beside_stages_is_refused(tmp_path: Path) -> None:
    async def use(opened: OpenServer) -> None:
        with pytest.raises(UsageError, match="parallelism has no meaning"):
            await told(Desk(opened), ONE, parallelism=2)

    with_core(settings(tmp_path), use)


def test_a_pipeline_that_is_cancelled_ends_with_its_stage(tmp_path: Path) -> None:
    here, go = tmp_path / "here", tmp_path / "go"

    async def use(opened: OpenServer) -> None:
        desk = Desk(opened)
        slow = {"stage": "slow", "agentType": "slow", "config": {"here": str(here), "go": str(go)}}
        found = await desk.call("task_orchestrate", task="measure it", stages=[slow])
        await until(here.exists)
        assert found["status"] == "orchestrating"
        await desk.call("task_cancel", taskId=found["taskId"])
        ended = await desk.call("task_results", taskId=found["taskId"], wait=True)
        assert ended["status"] == "cancelled" and ended["duration"] > 0
        (begun,) = ended["result"]["stages"]
        assert rounds_of(begun) == [({}, [], None)]
        stage = f"{found['taskId']}.slow.1"
        ended = await desk.call("task_results", taskId=stage, wait=True)
        assert ended["status"] == "cancelled"

    with_core(settings(tmp_path), use)


@pytest.mark.acceptance("pipeline")
def test_a_server_that_starts_again_goes_on_with_the_stage_that_was_under_way(
    tmp_path: Path,
) -> None:
    here, go = tmp_path / "here", tmp_path / "go"
    slow = {"stage": "slow", "agentType": "slow", "config": {"here": str(here), "go": str(go)}}
    begun: list[str] = []

    async def first(opened: OpenServer) -> None:
        desk = Desk(opened)
        found = await desk.call(
            "task_orchestrate", task="measure it", stages=[ONE, slow, TWO], swarmId="s1"
        )
        begun.append(found["taskId"])
        await until(here.exists)

    async def second(opened: OpenServer) -> None:
        go.touch()
        desk = Desk(opened)
        found = await desk.call("task_results", taskId=begun[0], wait=True, waitTimeout=120)
        assert found["status"] == "completed"
        assert found["result"]["result"]["path"] == ["one.1", "slow.1", "two.1"]
        await asyncio.sleep(0)

    with_core(settings(tmp_path), first)
    with_core(settings(tmp_path), second)
