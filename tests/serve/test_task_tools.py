"""The tools about tasks on a running core: what they tell is so, what they change is durable."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from served import (
    PATIENCE_S,
    ended,
    new_swarm,
    settings_in,
    submit,
    until,
    with_core,
)
from toolcalls import Tools, agent_up

from visionflow.compose.serve.opening import OpenServer
from visionflow.domain import commands as c
from visionflow.domain.access import Role
from visionflow.domain.errors import Forbidden, Refused, UnknownSwarm, UnknownTask, UsageError
from visionflow.domain.tasks import Phase, RetryPolicy, TaskSpec
from visionflow.engine.evolve import tasks as folds
from visionflow.interfaces.tools.tool import Call
from visionflow.interfaces.tools.waiting import progress_of
from visionflow.runtime.intake import pack
from visionflow.runtime.swarms import LiveSwarm


async def plan(
    swarm: LiveSwarm, *phases: tuple[str, list[tuple[str, Any]]], threshold_bp: int = 0
) -> tuple[str, list[str]]:
    """A plan: of each phase its name and (capability, input) of its tasks."""
    intake = swarm.node.intake
    root = TaskSpec(id=intake.new_id("task"), type="plan", description="a plan")
    made: list[Phase] = []
    parts: list[str] = []
    for name, tasks in phases:
        specs = [
            TaskSpec(
                id=f"{root.id}.{name}{number}",
                parent=root.id,
                phase=name,
                capabilities=(capability,),
                input=pack(given, "the input", intake.blobs),
                retry=RetryPolicy(base_ms=1, jitter_bp=0),
            )
            for number, (capability, given) in enumerate(tasks)
        ]
        made.append(Phase(name, tuple(specs)))
        parts += [spec.id for spec in specs]
    await swarm.ask(
        c.SubmitPlan(
            now_ms=swarm.now_ms,
            spec=root,
            phases=tuple(made),
            failure_threshold_bp=threshold_bp,
        )
    )
    return root.id, parts


# Where a task stands ---------------------------------------------------------------------------


def test_a_queued_task_says_what_is_missing_for_it(tmp_path: Path) -> None:
    async def use(opened: OpenServer) -> None:
        tools, swarm = Tools(opened), await new_swarm(opened)
        lone = await submit(swarm, "echo")
        assert "has no agents" in (await tools("task_status", {"taskId": lone}))["reason"]
        agent = await agent_up(swarm, "Echo")
        await ended(swarm, lone)
        cases: list[tuple[dict[str, Any], str]] = [
            ({"capabilities": ("painting", "echo")}, "No agent has the capability painting;"),
            ({"agent_type": "painter"}, "There is no agent of type painter;"),
            ({"agent": agent, "capabilities": ("painting",)}, "only, which lacks painting."),
            ({"agent": "agent_of_nobody"}, "which is not there (any more)."),
        ]
        for number, (fields, said) in enumerate(cases):
            spec = TaskSpec(id=f"task_{number}", **fields)
            await swarm.ask(c.SubmitTask(now_ms=swarm.now_ms, spec=spec))
            told = await tools("task_status", {"taskId": spec.id})
            assert told["status"] == "queued"
            assert said in told["reason"]
        await agent_up(swarm, "Holder")
        both = TaskSpec(id="task_both", capabilities=("echo", "holder"))
        await swarm.ask(c.SubmitTask(now_ms=swarm.now_ms, spec=both))
        told = await tools("task_status", {"taskId": both.id})
        assert told["reason"] == "No one agent has all of echo, holder; agent_spawn adds one."

    with_core(settings_in(tmp_path), use)


def test_an_agent_that_is_about_to_leave_is_nobody_to_wait_for(tmp_path: Path) -> None:
    async def use(opened: OpenServer) -> None:
        tools, swarm = Tools(opened), await new_swarm(opened)
        agent = await agent_up(swarm, "Holder")
        task = await submit(swarm, "holder", str(tmp_path))
        await until((tmp_path / f"{task}.began").exists)
        waiting = await submit(swarm, "holder", str(tmp_path))
        pinned = await submit(swarm, "holder", str(tmp_path), agent=agent)
        assert (await tools("task_status", {"taskId": waiting}))["reason"] is None
        await swarm.ask(c.TerminateAgent(now_ms=swarm.now_ms, agent=agent, drain=True))
        told = await tools("task_status", {"taskId": waiting})
        assert (told["status"], told["reason"]) == (
            "queued",
            "The swarm has no agents; agent_spawn adds one.",
        )
        told = await tools("task_status", {"taskId": pinned})
        assert "which ends or has ended (processing)" in told["reason"]
        (tmp_path / "go").touch()

    with_core(settings_in(tmp_path), use)


def test_a_running_task_tells_who_has_it_in_which_process_and_how_far_it_is(
    tmp_path: Path,
) -> None:
    async def use(opened: OpenServer) -> None:
        tools, swarm = Tools(opened), await new_swarm(opened)
        agent = await agent_up(swarm, "Holder")
        task = await submit(swarm, "holder", str(tmp_path))
        await until(lambda: task in swarm.signals)
        told = await tools("task_status", {"taskId": task})
        worker = swarm.state.workers[swarm.state.agents[agent].worker]
        assert (told["agentId"], told["pid"]) == (agent, worker.pid)
        assert told["progress"]["fraction"] == 0.5
        assert told["progress"]["note"] == "half of it"
        assert [(each["attempt"], each["outcome"]) for each in told["attempts"]] == [(1, None)]
        (tmp_path / "go").touch()
        await ended(swarm, task)
        told = await tools("task_status", {"taskId": task})
        assert (told["status"], told["pid"], told["progress"]) == ("completed", None, None)
        attempt = told["attempts"][0]
        assert attempt["outcome"] == "completed"
        assert told["duration"] == attempt["duration"] > 0

    with_core(settings_in(tmp_path), use)


def test_each_failed_attempt_is_told_with_its_reason_and_the_next_one_with_its_time(
    tmp_path: Path,
) -> None:
    async def use(opened: OpenServer) -> None:
        tools, swarm = Tools(opened), await new_swarm(opened)
        await agent_up(swarm, "Failing")
        soon = RetryPolicy(base_ms=1, jitter_bp=0)
        task = await submit(swarm, "failing", 1, retry=soon)
        await ended(swarm, task)
        told = await tools("task_status", {"taskId": task})
        assert [each["outcome"] for each in told["attempts"]] == ["error", "completed"]
        assert "attempt 1 fails" in told["attempts"][0]["reason"]
        late = RetryPolicy(base_ms=3_600_000, wait_max_ms=3_600_000, jitter_bp=0)
        task = await submit(swarm, "failing", 1, retry=late)
        await until(lambda: swarm.state.tasks[task].retry_at_ms is not None)
        told = await tools("task_status", {"taskId": task})
        assert told["status"] == "pending"
        assert "attempt 1 fails" in told["reason"]
        assert told["retryAt"] > told["updatedAt"]

    with_core(settings_in(tmp_path), use)


@pytest.mark.acceptance("governor")
def test_a_throttled_task_says_why_it_waits_and_until_when_and_is_no_error(tmp_path: Path) -> None:
    async def use(opened: OpenServer) -> None:
        tools, swarm = Tools(opened), await new_swarm(opened)
        agent = await agent_up(swarm, "Throttled")
        task = await submit(swarm, "throttled", 1)
        await until(lambda: swarm.state.tasks[task].retry_at_ms is not None)
        told = await tools("task_status", {"taskId": task})
        why = "somewhere: 429 too many requests"
        assert (told["status"], told["reason"], told["progress"]) == ("pending", why, None)
        assert [each["outcome"] for each in told["attempts"]] == ["throttled"]
        at = told["retryAt"]
        assert at > told["updatedAt"]
        (listed,) = (await tools("task_list", {}))["tasks"]
        assert (listed["reason"], listed["retryAt"]) == (why, at)
        swarm_told = await tools("swarm_status", {})
        assert swarm_told["warnings"] == [f"{task} waits until {at}: {why}"]
        assert progress_of(swarm, task) == (None, f"waits until {at}: {why}")
        metrics = await tools("agent_status", {"agentId": agent})
        assert (metrics["tasksFailed"], metrics["successRate"]) == (0, None)
        report = await tools("performance_report", {"format": "summary"})
        assert report["errorMetrics"] == {"total": 0, "rate": None, "byType": [], "recent": []}
        assert (report["tasks"]["attempts"], report["tasks"]["attemptsThrottled"]) == (1, 1)
        assert "0 of them failed; 1 were throttled" in report["text"]

    with_core(settings_in(tmp_path), use)


def test_parts_of_a_plan_say_what_they_wait_for_and_the_plan_counts_them(tmp_path: Path) -> None:
    async def use(opened: OpenServer) -> None:
        tools, swarm = Tools(opened), await new_swarm(opened)
        root, parts = await plan(
            swarm, ("first", [("nobody", 1), ("nobody", 2)]), ("second", [("nobody", 3)])
        )
        told = await tools("task_status", {"taskId": root})
        assert told["status"] == "orchestrating"
        assert told["phases"] == [
            {"name": "first", "tasks": 2, "open": 2, "failed": 0},
            {"name": "second", "tasks": 1, "open": 1, "failed": 0},
        ]
        assert told["progress"]["fraction"] == 0
        waiting = await tools("task_status", {"taskId": parts[2]})
        assert (waiting["status"], waiting["waitsFor"]) == ("pending", parts[:2])
        blocked = TaskSpec(id="task_blocked", capabilities=("nobody",))
        await swarm.ask(c.SubmitTask(now_ms=swarm.now_ms, spec=blocked))
        await swarm.ask(
            c.BlockTask(now_ms=swarm.now_ms, task=blocked.id, missing="needs_model: for text")
        )
        told = await tools("task_status", {"taskId": blocked.id})
        assert (told["status"], told["reason"]) == ("blocked", "needs_model: for text")

    with_core(settings_in(tmp_path), use)


def test_a_task_is_found_in_whatever_swarm_has_it_also_when_it_left_the_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folds, "TERMINAL_TASKS_MAX", 3)
    monkeypatch.setattr(folds, "FINISHED_IDS_MAX", 3)

    async def use(opened: OpenServer) -> None:
        tools, swarm = Tools(opened), await new_swarm(opened)
        root, parts = await plan(swarm, ("one", [("nobody", 1)]), ("two", [("nobody", 2)]))
        await tools("task_cancel", {"taskId": root, "reason": "over"})
        for _ in range(12):
            await tools("task_cancel", {"taskId": await submit(swarm, "nobody")})
        await new_swarm(opened, "swarm_2")
        for name in (root, *parts):
            assert name not in swarm.state.tasks
            assert name not in swarm.state.finished
        told = await tools("task_status", {"taskId": root})
        assert (told["swarmId"], told["status"], told["reason"]) == ("swarm_1", "cancelled", "over")
        assert told["phases"] == [
            {"name": "one", "tasks": 1, "open": 0, "failed": 1},
            {"name": "two", "tasks": 1, "open": 0, "failed": 1},
        ]
        with pytest.raises(UnknownTask):
            await tools("task_status", {"taskId": root, "swarmId": "swarm_2"})
        with pytest.raises(UnknownTask) as missed:
            await tools("task_status", {"taskId": "task_of_nobody"})
        assert missed.value.ids == {"taskId": "task_of_nobody"}
        with pytest.raises(UnknownSwarm):
            await tools("task_status", {"taskId": root, "swarmId": "swarm_of_nobody"})
        with pytest.raises(Refused, match="so long ago") as refused:
            await tools("task_cancel", {"taskId": root})
        assert refused.value.reason == "already_ended"

    with_core(settings_in(tmp_path), use)


# Lists -----------------------------------------------------------------------------------------


def test_pages_of_a_list_have_every_task_once_and_filters_hold(tmp_path: Path) -> None:
    async def use(opened: OpenServer) -> None:
        tools, swarm = Tools(opened), await new_swarm(opened)
        agent = await agent_up(swarm, "Echo", name="ann")
        done = [await submit(swarm, "echo", number) for number in range(4)]
        for task in done:
            await ended(swarm, task)
        root, parts = await plan(swarm, ("only", [("nobody", 1), ("nobody", 2)]))
        found: list[str] = []
        given: dict[str, Any] = {"limit": 3}
        while True:
            page = await tools("task_list", given)
            found += [each["taskId"] for each in page["tasks"]]
            if page["nextCursor"] is None:
                break
            given = {"limit": 3, "cursor": page["nextCursor"]}
        assert sorted(found) == sorted([*done, root, *parts])

        async def ids(**given: Any) -> list[str]:
            return sorted(each["taskId"] for each in (await tools("task_list", given))["tasks"])

        assert await ids(status="queued") == sorted(parts)
        assert await ids(parent=root) == sorted(parts)
        assert await ids(agentId="ann") == await ids(agentId=agent) == sorted(done)
        assert await ids(status=["completed", "orchestrating"]) == sorted([*done, root])
        with pytest.raises(UsageError, match="'stale' is no status"):
            await ids(status="stale")
        with pytest.raises(UsageError, match="cursor"):
            await ids(cursor="yesterday")

    with_core(settings_in(tmp_path), use)


# Changes ---------------------------------------------------------------------------------------


def test_a_cancelled_task_is_stopped_in_its_worker_and_can_be_queued_again(tmp_path: Path) -> None:
    async def use(opened: OpenServer) -> None:
        tools, swarm = Tools(opened), await new_swarm(opened)
        await agent_up(swarm, "Holder")
        task = await submit(swarm, "holder", str(tmp_path))
        await until((tmp_path / f"{task}.began").exists)
        told = await tools("task_cancel", {"taskId": task, "reason": "changed my mind"})
        assert told["status"] == "cancelled" or told["cancelling"]
        await until((tmp_path / f"{task}.stopped").exists)
        await ended(swarm, task)
        told = await tools("task_status", {"taskId": task})
        assert (told["status"], told["reason"]) == ("cancelled", "changed my mind")
        assert told["attempts"][0]["cancelled"]
        with pytest.raises(Refused, match="cancelled already"):
            await tools("task_cancel", {"taskId": task})
        (tmp_path / "go").touch()
        told = await tools("task_retry", {"taskId": task})
        assert told["status"] in ("queued", "assigned", "running", "completed")
        told = await tools("task_results", {"taskId": task, "wait": True})
        assert (told["status"], told["result"]) == ("completed", "done")
        with pytest.raises(Refused, match="is completed"):
            await tools("task_retry", {"taskId": task})

    with_core(settings_in(tmp_path), use)


def test_a_cancel_that_is_sent_again_under_its_key_is_one_and_the_audit_has_it(
    tmp_path: Path,
) -> None:
    async def use(opened: OpenServer) -> None:
        tools, swarm = Tools(opened), await new_swarm(opened)
        task = await submit(swarm, "nobody")
        first = await tools("task_cancel", {"taskId": task}, key="k1")
        again = await tools("task_cancel", {"taskId": task}, key="k1")
        assert first == again
        with pytest.raises(Refused):
            await tools("task_cancel", {"taskId": task}, key="k2")
        rows = [row for row in await opened.server.fleet.audit() if row.tool == "task_cancel"]
        assert [(row.subject, row.code) for row in rows] == [
            (task, None),
            (task, "already_ended"),
        ]
        viewer = Tools(opened, role=Role.VIEWER)
        with pytest.raises(Forbidden, match="operator, admin"):
            await viewer("task_cancel", {"taskId": task})

    with_core(settings_in(tmp_path), use)


def test_a_goal_that_needs_a_model_is_done_by_nobody_also_when_it_is_queued_again(
    tmp_path: Path,
) -> None:
    async def use(opened: OpenServer) -> None:
        tools, swarm = Tools(opened), await new_swarm(opened)
        await agent_up(swarm, "Echo")
        goal = "Write a poem about clouds"
        task = (await tools("task_orchestrate", {"task": goal}))["taskId"]
        blocked = await tools("task_status", {"taskId": task})
        assert (blocked["status"], blocked["description"]) == ("blocked", goal)
        assert blocked["reason"].startswith("needs_model: ")
        cleared = await tools("task_queue_clear", {"filter": "status:blocked"})
        await tools("task_queue_clear", {"undo": cleared["clearId"]})
        assert (await tools("task_status", {"taskId": task}))["reason"] == blocked["reason"]
        await tools("task_cancel", {"taskId": task})
        await tools("task_retry", {"taskId": task})
        told = await tools("task_status", {"taskId": task})
        assert told["status"] == "queued"
        assert "No agent has the capability needs_model" in told["reason"]

    with_core(settings_in(tmp_path), use)


# Results ---------------------------------------------------------------------------------------


def test_results_of_a_plan_come_by_phase_and_one_part_by_itself(tmp_path: Path) -> None:
    async def use(opened: OpenServer) -> None:
        tools, swarm = Tools(opened), await new_swarm(opened)
        await agent_up(swarm, "Echo")
        await agent_up(swarm, "Failing")
        root, parts = await plan(
            swarm,
            ("zebra", [("echo", {"n": 1}), ("echo", b"\x00\xff")]),
            ("ant", [("echo", "three"), ("failing", "not a number")]),
            threshold_bp=5_000,
        )
        told = await tools("task_results", {"taskId": root, "wait": True, "waitTimeout": 50})
        assert told["status"] == "completed"
        assert told["result"] == {"zebra": [{"n": 1}, "AP8="], "ant": ["three", None]}
        assert list(told["result"]) == ["zebra", "ant"]
        assert [each["status"] for each in told["parts"]][:3] == ["completed"] * 3
        assert told["parts"][3]["reason"] is not None
        assert told["partsTotal"] == 4
        only = await tools("task_results", {"taskId": root, "part": parts[0]})
        assert only["result"] == {"n": 1}
        phase = await tools("task_results", {"taskId": root, "part": "ant"})
        assert phase["result"] == {"ant": ["three", None]}
        with pytest.raises(UsageError, match="Its phases are zebra, ant"):
            await tools("task_results", {"taskId": root, "part": "bee"})

    with_core(settings_in(tmp_path), use)


def test_a_wait_ends_at_its_time_and_when_it_is_taken_back_and_the_task_goes_on(
    tmp_path: Path,
) -> None:
    async def use(opened: OpenServer) -> None:
        tools, swarm = Tools(opened), await new_swarm(opened)
        task = await submit(swarm, "echo", 7)
        waited = {"taskId": task, "wait": True, "waitTimeout": "10ms"}
        assert (await tools("task_results", waited))["status"] == "queued"
        effects: list[str] = []
        call = Call(tools.caller, took_effect=lambda: effects.append("now"))
        call.cancelled.set()
        told = await tools("task_results", {"taskId": task, "wait": True}, call=call)
        assert (told["status"], told["result"], effects) == ("queued", None, ["now"])
        at_once = await tools("task_results", {"taskId": task, "wait": True})
        assert at_once["reason"] == "The swarm has no agents; agent_spawn adds one."
        waiting = asyncio.ensure_future(tools("task_results", {**waited, "waitTimeout": 60}))
        await agent_up(swarm, "Echo")
        told = await asyncio.wait_for(waiting, PATIENCE_S)
        assert (told["status"], told["result"]) == ("completed", 7)

    with_core(settings_in(tmp_path), use)


def test_a_result_too_large_for_a_reply_is_named_and_read_piece_by_piece(tmp_path: Path) -> None:
    async def use(opened: OpenServer) -> None:
        tools, swarm = Tools(opened), await new_swarm(opened)
        await agent_up(swarm, "Echo")
        given = ["é" * 100 + str(number) for number in range(12_000)]
        task = await submit(swarm, "echo", given)
        told = await tools("task_results", {"taskId": task, "wait": True})
        assert (told["result"], told["leftOut"]) == (None, ["result"])
        text = ""
        while told["nextCursor"] is not None:
            told = await tools("task_results", {"taskId": task, "cursor": told["nextCursor"]})
            text += told["text"]
        assert json.loads(text) == given

    with_core(settings_in(tmp_path), use)
