"""Goals in words into a swarm of the server: playbooks, their teams, their reports, their ends."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from desks import Desk, agents_file, workspace_in
from served import settings_in, until, with_core

from visionflow.cli.result import resume_command
from visionflow.compose.applying import facts_in
from visionflow.compose.job import RunFolder, list_runs
from visionflow.compose.serve.jobs import ServerJobs
from visionflow.compose.serve.jobs_orders import Planner
from visionflow.compose.serve.opening import OpenServer
from visionflow.domain.errors import UsageError
from visionflow.domain.limits import Limits
from visionflow.domain.swarms import SwarmSpec
from visionflow.interfaces.jobs import Order

EXPLAIN = "Explain this repository"
ROLES = {"coordinator", "researcher", "architect"}
FIXABLE = {
    "pytest.ini": "[pytest]\naddopts = -p no:hypothesispytest\n",
    "shop.py": "import os\nimport sys\n\n\ndef twice(n):\n    return sys.intern(n) * 2\n",
    "test_shop.py": "from shop import twice\n\n\ndef test_it():\n    assert twice('a') == 'aa'\n",
}


def on_desk(folder: Path, use: Callable[[Desk], Awaitable[Any]], **more: Any) -> Any:
    if not (folder / "workspace" / ".git").exists():
        workspace_in(folder)
    settings = settings_in(folder, **more)
    return with_core(settings, lambda opened: use(Desk(opened)))


def run_folder(folder: Path, task: str) -> RunFolder:
    return RunFolder(folder / "home" / "server" / "runs" / task.replace("task_", "run_", 1))


def statuses(folder: RunFolder) -> tuple[str, str]:
    """In run.json and in the summary."""
    summary = folder.read_summary()
    assert summary is not None
    return folder.read_record().status, summary["status"]


def test_a_goal_forms_its_team_and_ends_in_a_report_that_the_command_line_finds(
    tmp_path: Path,
) -> None:
    goal = "Explain where double is"

    async def use(desk: Desk) -> dict[str, Any]:
        found = await desk.call("task_orchestrate", task=goal, wait=True, swarmId="mine")
        assert found["swarmCreated"] is True
        assert {agent["role"] for agent in found["assignedAgents"]} == ROLES
        assert found["formedAgents"] == [each["agentId"] for each in found["assignedAgents"]]
        assert [each["name"] for each in found["orchestrationPlan"]["phases"]] == [
            "survey", "examine", "conclude",
        ]  # fmt: skip
        assert found["orchestrationPlan"]["phases"][1]["dependencies"] == ["survey"]
        assert (found["playbook"], found["coordination"]) == ("explain", None)
        assert found["estimatedCompletion"] is None
        again = await desk.call("task_orchestrate", task=goal, swarmId="mine")
        assert again["status"] == "orchestrating"
        assert again["estimatedCompletion"] is not None
        # The team of the first goal left with it.
        assert (len(again["formedAgents"]), again["swarmCreated"]) == (3, False)
        assert not set(again["formedAgents"]) & set(found["formedAgents"])
        await desk.call("task_results", taskId=again["taskId"], wait=True)
        return found

    found = on_desk(tmp_path, use)
    folder = run_folder(tmp_path, found["taskId"])
    assert found["runId"] == folder.run
    assert found["result"]["status"] == "completed"
    assert json.loads(folder.summary.read_bytes()) == found["result"]
    assert "tidy.py" in folder.report.read_text()
    listed = list_runs(tmp_path / "home" / "server" / "runs")
    assert [(each.status, each.goal) for each in listed] == [("completed", goal)] * 2
    facts = facts_in(folder)
    assert (facts.status, {task.status for task in facts.tasks}) == ("completed", {"completed"})
    lines = [json.loads(line) for line in folder.events.read_text().splitlines()]
    assert lines[0]["type"] == "plan_submitted"
    assert lines[-1] == {**lines[-1], "type": "task_completed", "task": found["taskId"]}
    assert all(found["taskId"] in json.dumps(line) for line in lines)
    assert not list((tmp_path / "home" / "server" / "open_runs").iterdir())
    assert not (folder.state / "scratch").exists()


def test_runs_at_once_in_one_swarm_and_in_two_tell_each_its_own(tmp_path: Path) -> None:
    (tmp_path / "workspace").mkdir()
    workspace_in(tmp_path, {"a/one.py": "def alpha():\n    pass\n", "b/two.py": "BETA = 1\n"})

    alpha, beta = "Explain where alpha is", "Explain where BETA is"

    async def use(desk: Desk) -> list[dict[str, Any]]:
        found = await asyncio.gather(
            *(
                desk.call("task_orchestrate", task=t, wait=True, swarmId=s, workspace=w)
                for t, s, w in ((alpha, "s1", "a"), (beta, "s1", "b"), (alpha, "s2", "a"))
            )
        )
        # The second goal finds the team of the first.
        assert sorted(len(each["formedAgents"]) for each in found) == [0, 3, 3]
        return found

    found = on_desk(tmp_path, use)
    assert len({each["runId"] for each in found}) == 3
    for each, own, other in zip(found, ("one", "two", "one"), ("two", "one", "two"), strict=True):
        report = run_folder(tmp_path, each["taskId"]).report.read_text()
        assert each["status"] == "completed"
        assert f"{own}.py" in report
        assert f"{other}.py" not in report


def test_the_coders_change_is_voted_on_by_the_members_of_the_plan(tmp_path: Path) -> None:
    (tmp_path / "workspace").mkdir()
    workspace_in(tmp_path, FIXABLE)

    async def use(desk: Desk) -> None:
        for role in ("coordinator", "reviewer", "tester", "coder"):
            await desk.call("agent_spawn", agentType=role, swarmId="s1")
        found = await desk.call("task_orchestrate", task="Fix the findings", wait=True)
        members = ["reviewer-security", "reviewer-performance", "reviewer-maintainability"]
        assert found["coordination"]["members"] == members
        assert found["coordination"]["votingMechanism"] == "majority"
        assert any("1 agent of type reviewer" in warning for warning in found["warnings"])
        vote = found["result"]["vote"]
        assert vote["decision"] == "approved"
        assert sorted(each["member"] for each in vote["ballots"]) == sorted(members)
        state = desk.opened.server.swarms.get("s1").state
        assert list(state.decided) == [f"{found['taskId']}.vote"]

    on_desk(tmp_path, use)


def test_a_goal_that_needs_a_model_is_blocked_however_it_is_put(tmp_path: Path) -> None:
    goal = "Build authentication service"

    async def use(desk: Desk) -> None:
        for more in (
            {},
            {"stages": "research,architect,code,review,test", "strategy": "sequential"},
            {"wait": True},
            {"requiredCapabilities": "python"},
        ):
            found = await desk.call("task_orchestrate", task=goal, priority="high", **more)
            assert found["status"] == "blocked"
            assert found["missing"].startswith("needs_model:")
            assert found["orchestrationPlan"]["phases"] == []
            assert (found["runId"], found["formedAgents"]) == (None, [])
        standing = await desk.call("task_status", taskId=found["taskId"])
        assert (standing["status"], standing["reason"]) == ("blocked", found["missing"])
        ended = await desk.call("task_cancel", taskId=found["taskId"])
        assert ended["status"] == "cancelled"
        for unclear in ("Do something nice", "", " \n"):
            with pytest.raises(UsageError):
                await desk.call("task_orchestrate", task=unclear)
        with pytest.raises(UsageError, match="playbook: audit, test, fix, explain"):
            await desk.call("task_orchestrate", task="Have a go at it")
        with pytest.raises(UsageError, match="no playbook 'dance'"):
            await desk.call("task_orchestrate", task="x", playbook="dance")

    on_desk(tmp_path, use)


def test_capabilities_that_nobody_covers_hold_a_plan_up_until_somebody_does(
    tmp_path: Path,
) -> None:
    async def use(desk: Desk) -> None:
        for role in sorted(ROLES - {"architect"}):
            await desk.call("agent_spawn", agentType=role, swarmId="s1")
        asked = {
            "task": EXPLAIN, "requiredCapabilities": ["research", "scalability"], "formTeam": False,
        }  # fmt: skip
        found = await desk.call("task_orchestrate", **asked)
        assert (found["status"], found["unmetCapabilities"]) == ("blocked", ["scalability"])
        assert "scalability" in found["missing"]
        await desk.call("agent_spawn", agentType="architect", swarmId="s1")
        ended = await desk.call("task_results", taskId=found["taskId"], wait=True)
        assert ended["status"] == "completed"
        state = desk.opened.server.swarms.get("s1").state
        assert state.tasks[f"{found['taskId']}.research"].spec.capabilities == ("research",)
        assert state.tasks[f"{found['taskId']}.architecture"].spec.capabilities == ("scalability",)
        odd = await desk.call("task_orchestrate", task=EXPLAIN, requiredCapabilities="juggling")
        assert (odd["status"], odd["unmetCapabilities"]) == ("blocked", ["juggling"])
        await desk.call("task_cancel", taskId=odd["taskId"])
        report = await desk.call("task_results", taskId=odd["taskId"], wait=True)
        assert report["report"]["status"] == "cancelled"

    on_desk(tmp_path, use)


def test_agents_of_ones_own_are_the_team_and_get_only_the_roles_that_none_of_them_has(
    tmp_path: Path,
) -> None:
    async def use(desk: Desk) -> None:
        await desk.call("agent_spawn", agentType="coordinator", swarmId="s1")
        held = await desk.call("task_orchestrate", task=EXPLAIN, formTeam=False)
        assert (held["status"], held["formedAgents"]) == ("orchestrating", [])
        assert [w for w in held["warnings"] if "researcher" in w and "agent_spawn" in w]
        found = await desk.call("task_orchestrate", task=EXPLAIN)
        assert len(found["formedAgents"]) == 2
        for each in (held, found):
            ended = await desk.call("task_results", taskId=each["taskId"], wait=True)
            assert ended["status"] == "completed"
        lone = await desk.call("task_orchestrate", task=EXPLAIN, formTeam=False, swarmId="s2")
        assert lone["formedAgents"] == []
        assert len(lone["warnings"]) == 3

    on_desk(tmp_path, use)


def test_a_team_that_has_no_room_is_not_begun_and_comes_once_there_is(tmp_path: Path) -> None:
    async def use(desk: Desk) -> None:
        spec = SwarmSpec(id="s1", limits=Limits(agents_max=2))
        await desk.opened.server.swarms.create(spec, "tests")
        found = await desk.call("task_orchestrate", task=EXPLAIN, swarmId="s1", wait=True)
        assert (found["status"], found["formedAgents"]) == ("orchestrating", [])
        assert found["warnings"]
        assert any("room for 2 of 3" in each for each in found["warnings"]), found["warnings"]
        await desk.call("swarm_scale", swarmId="s1", targetSize=3)
        ended = await desk.call("task_results", taskId=found["taskId"], wait=True)
        assert ended["status"] == "completed"

    on_desk(tmp_path, use)


def test_stages_are_phases_in_their_order_with_a_report_of_their_own(tmp_path: Path) -> None:
    async def use(desk: Desk) -> None:
        given = {"task": EXPLAIN, "stages": "architecture,plan,research", "parallelism": 1}
        found = await desk.call("task_orchestrate", wait=True, **given)
        phases = found["orchestrationPlan"]["phases"]
        assert [each["name"] for each in phases] == ["architecture", "plan", "research"]
        assert (found["status"], found["result"]["status"]) == ("completed", "completed")
        for wrong in ("research,research", "architect,architecture"):
            with pytest.raises(UsageError, match=wrong.partition(",")[0]):
                await desk.call("task_orchestrate", task=EXPLAIN, stages=wrong)
        with pytest.raises(UsageError, match="playbook"):
            await desk.call("task_orchestrate", task="x", stages="research", playbook="test")

    on_desk(tmp_path, use)


def test_a_cancelled_run_and_one_whose_swarm_is_destroyed_say_so(tmp_path: Path) -> None:
    async def use(desk: Desk) -> list[str]:
        tasks: list[str] = []
        for name in ("s1", "s2"):
            await desk.call("agent_spawn", agentType="coordinator", swarmId=name)
            found = await desk.call("task_orchestrate", task=EXPLAIN, swarmId=name)
            tasks.append(found["taskId"])
        await desk.call("task_cancel", taskId=tasks[0], reason="enough")
        await desk.call("swarm_destroy", swarmId="s2")
        for task in tasks:
            await asyncio.wait_for(desk.opened.server.jobs.concluded(task), 30)
        return tasks

    for task in on_desk(tmp_path, use):
        folder = run_folder(tmp_path, task)
        assert statuses(folder) == ("cancelled", "cancelled")
        assert "cancelled" in folder.report.read_text()


# Ends in the middle --------------------------------------------------------------------------


def test_a_run_goes_on_after_the_server_was_gone_and_tells_the_same_of_it_again(
    tmp_path: Path,
) -> None:
    settings = settings_in(tmp_path, agents_file=agents_file(tmp_path))
    workspace_in(tmp_path)

    async def begin(opened: OpenServer) -> str:
        desk = Desk(opened)
        await desk.call("agent_spawn", agentType="coordinator", swarmId="s1")
        found = await desk.call("task_orchestrate", task=EXPLAIN, idempotencyKey="k")
        return found["taskId"]

    async def go_on(opened: OpenServer) -> None:
        desk = Desk(opened)
        again = await desk.call("task_orchestrate", task=EXPLAIN, idempotencyKey="k")
        assert again["taskId"] == task
        for role in ("researcher", "architect"):
            await desk.call("agent_spawn", agentType=role, swarmId="s1")
        ended = await desk.call("task_results", taskId=task, wait=True)
        assert ended["result"]["status"] == "completed"

    task = with_core(settings, begin)
    folder = run_folder(tmp_path, task)
    assert folder.read_record().status == "running"
    with_core(settings, go_on)
    told = {p.name: p.read_bytes() for p in folder.path.iterdir() if p.is_file()}
    # Killed just before its conclusion was on record: it is drawn once more.
    folder.write_record(folder.read_record())
    folder.mark("running")
    folder.report.unlink()
    (tmp_path / "home" / "server" / "open_runs" / folder.run).touch()

    async def conclude(opened: OpenServer) -> None:
        await asyncio.wait_for(opened.server.jobs.concluded(task), 30)

    with_core(settings, conclude)
    assert {p.name: p.read_bytes() for p in folder.path.iterdir() if p.is_file()} == told


def test_what_was_promised_and_not_handed_in_is_handed_in_once(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    workspace_in(tmp_path)
    command = "local:tests/task_orchestrate//k"

    async def promise(opened: OpenServer) -> str:
        desk = Desk(opened)
        await desk.call("swarm_init")
        (swarm,) = opened.server.swarms.all()
        jobs = opened.server.jobs
        assert isinstance(jobs, ServerJobs)
        root = swarm.node.intake.new_id("task")
        order = Order(description=EXPLAIN, key=command)
        await jobs.planner.hand(order, swarm, desk.caller, root)
        assert root not in swarm.state.tasks
        return root

    async def retry(opened: OpenServer) -> None:
        desk = Desk(opened)
        found = await desk.call("task_orchestrate", task=EXPLAIN, idempotencyKey="k", wait=True)
        assert found["taskId"] == root
        assert found["status"] == "completed"
        assert len(found["formedAgents"]) == 3
        (swarm,) = opened.server.swarms.all()
        assert [t for t, s in swarm.state.tasks.items() if s.spec.parent is None] == [root]
        assert len(opened.server.jobs.runs()) == 1

    root = with_core(settings, promise)
    half = tmp_path / "home" / "server" / "runs" / "run_1_half"
    half.mkdir()
    (tmp_path / "home" / "server" / "open_runs" / "run_1_half").touch()
    with_core(settings, retry)
    assert not half.exists()


def test_a_run_that_cannot_be_taken_up_keeps_no_server_from_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_in(tmp_path)
    workspace_in(tmp_path)

    async def promise(opened: OpenServer) -> str:
        desk = Desk(opened)
        await desk.call("swarm_init")
        (swarm,) = opened.server.swarms.all()
        jobs = opened.server.jobs
        assert isinstance(jobs, ServerJobs)
        root = swarm.node.intake.new_id("task")
        await jobs.planner.hand(Order(description=EXPLAIN), swarm, desk.caller, root)
        return root

    async def look(opened: OpenServer) -> tuple[bool, str]:
        assert len(opened.server.swarms.all()) == 1
        return opened.server.ready, "\n".join(opened.server.lines.tail(level="error"))

    async def finish(opened: OpenServer) -> str:
        desk = Desk(opened)
        return (await desk.call("task_results", taskId=root, wait=True))["status"]

    async def break_off(*_: object) -> None:
        raise OSError(5, "the disk does not answer")

    root = with_core(settings, promise)
    with monkeypatch.context() as broken:
        broken.setattr(Planner, "form_again", break_off)
        ready, lines = with_core(settings, look)
    assert ready and "run_lost" in lines and root.replace("task", "run", 1) in lines
    assert with_core(settings, finish) == "completed"


def test_a_run_whose_swarm_ended_while_nobody_followed_it_is_told_as_cancelled(
    tmp_path: Path,
) -> None:
    settings = settings_in(tmp_path)
    workspace_in(tmp_path)

    async def begin(opened: OpenServer) -> str:
        desk = Desk(opened)
        await desk.call("agent_spawn", agentType="coordinator", swarmId="s1")
        found = await desk.call("task_orchestrate", task=EXPLAIN)
        assert isinstance(opened.server.jobs, ServerJobs)
        await opened.server.jobs.close()
        await desk.call("swarm_destroy", swarmId="s1")
        return found["taskId"]

    async def look(opened: OpenServer) -> None:
        await asyncio.wait_for(opened.server.jobs.concluded(task), 30)

    task = with_core(settings, begin)
    assert run_folder(tmp_path, task).read_record().status == "running"
    assert resume_command(run_folder(tmp_path, task)) == "visionflow serve"
    with_core(settings, look)
    assert statuses(run_folder(tmp_path, task)) == ("cancelled", "cancelled")


def test_reports_are_written_while_a_run_goes_on(tmp_path: Path) -> None:
    async def use(desk: Desk) -> None:
        await desk.call("agent_spawn", agentType="coordinator", swarmId="s1")
        found = await desk.call("task_orchestrate", task=EXPLAIN)
        folder = run_folder(tmp_path, found["taskId"])

        def surveyed() -> bool:
            summary = folder.read_summary() or {}
            return summary.get("status") == "running" and "survey" in str(summary)

        await until(surveyed)
        report = desk.opened.server.jobs.report(found["taskId"])
        assert report is not None
        assert report.status == "running"
        assert found["taskId"] not in [r.run for r in desk.opened.server.jobs.runs()]
        assert desk.opened.server.jobs.report("task_1_../../x") is None
        await desk.call("task_cancel", taskId=found["taskId"])

    on_desk(tmp_path, use)


def test_what_the_repository_does_not_answer_is_said_in_the_reply(tmp_path: Path) -> None:
    async def use(desk: Desk) -> None:
        goals = ("Explain quantum mechanics", "Explain where double and quantum are", EXPLAIN)
        found = [await desk.call("task_orchestrate", task=goal, wait=True) for goal in goals]
        none, half, all_of_it = found
        assert {each["status"] for each in found} == {"completed"}
        assert none["result"]["headline"] == "Nothing in this repository answers it."
        assert none["warnings"] == [
            "Nothing in this repository answers it.",
            "The completeness of the answer is 0.0; no line has quantum, mechanics.",
        ]
        assert half["warnings"] == ["The completeness of the answer is 0.5; no line has quantum."]
        assert all_of_it["warnings"] == []
        for each in found:
            results = await desk.call("task_results", taskId=each["taskId"])
            assert results["warnings"] == each["warnings"]
        cheese = "Test whether the moon is made of cheese"
        tested = await desk.call("task_orchestrate", task=cheese, wait=True)
        (doubt,) = tested["warnings"]
        assert doubt == "Incomplete: what could be checked passed. Could not be told: tests."

    on_desk(tmp_path, use)
