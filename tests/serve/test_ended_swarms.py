"""A swarm that is over can be read as before; what would change something there is refused."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from served import new_swarm, settings_in, with_core
from toolcalls import Tools, agent_up

from visionflow.compose.serve.opening import OpenServer
from visionflow.domain.errors import UnknownAgent, UnknownSwarm, UnknownTask, VisionFlowError
from visionflow.interfaces.tools.faults import SWARM, fault_of
from visionflow.runtime.ended import OPEN_MAX

LARGE = "x" * 100_000
READS: dict[str, dict[str, Any]] = {
    "swarm_status": {},
    "events": {"types": ["task_completed", "swarm_closed"]},
    "task_list": {},
    "agent_list": {},
    "performance_report": {},
}
WRITES: dict[str, dict[str, Any]] = {
    "agent_spawn": {"type": "coder"},
    "agents_spawn_parallel": {"agents": [{"type": "coder"}]},
    "agent_scale": {"agentType": "coder", "count": 2},
    "task_orchestrate": {"task": {"description": "x", "type": "review_code"}},
    "task_queue_clear": {"filter": "status:queued"},
    "swarm_scale": {"maxAgents": 3},
    "load_balance": {},
    "coordination_sync": {},
    "topology_optimize": {"apply": True},
    "swarm_destroy": {},
}


async def made(opened: OpenServer, name: str = "s") -> tuple[str, str]:
    """A swarm that did a task and has another open, and is over; the task and its agent."""
    swarm, tools = await new_swarm(opened, name), Tools(opened)
    agent = await agent_up(swarm, "Echo", name="Ada")
    task = {"description": "say it", "input": {"text": LARGE}, "agentId": agent}
    done = await tools("task_orchestrate", {"task": task, "swarmId": name, "wait": True})
    assert done["status"] == "completed"
    await tools(
        "task_orchestrate",
        {"task": "later", "swarmId": name, "requiredCapabilities": ["none"], "stages": ["tester"],
         "formTeam": False},
    )  # fmt: skip
    await tools("swarm_destroy", {"swarmId": name, "reason": "enough"})
    return done["taskId"], agent


def on_server(folder: Path, use: Callable[[OpenServer], Awaitable[None]]) -> None:
    with_core(settings_in(folder), use)


async def looked_at(opened: OpenServer, task: str, agent: str) -> dict[str, Any]:
    tools = Tools(opened)
    found = {name: await tools(name, {**given, "swarmId": "s"}) for name, given in READS.items()}
    found["left"] = await tools("agent_list", {"swarmId": "s", "status": "terminated"})
    where = {"swarmId": "s"}
    found["status"] = await tools("task_status", {"taskId": task, **where})
    found["results"] = await tools("task_results", {"taskId": task, "wait": True, **where})
    found["agent"] = await tools("agent_status", {"agentId": agent, **where})
    for tool in ("task_status", "task_results"):
        assert (await tools(tool, {"taskId": task}))["swarmId"] == "s", "found without its swarm"
    assert (await tools("agent_status", {"agentId": agent}))["swarmId"] == "s"
    of = await tools("task_list", {"swarmId": "s", "agentId": "Ada"})
    assert [each["taskId"] for each in of["tasks"]] == [task]
    return found


def test_a_swarm_that_is_over_tells_what_it_told_also_after_a_restart(tmp_path: Path) -> None:
    kept: list[Any] = []

    async def before(opened: OpenServer) -> None:
        task, agent = await made(opened)
        found = await looked_at(opened, task, agent)
        status = found["swarm_status"]
        assert (status["status"], status["reason"]) == ("ended", "enough")
        assert (status["endedBy"], status["agents"]) == ("local:tests", [])
        assert status["endedAt"] is not None
        assert status["taskQueue"]["completed"] == status["metrics"]["tasksCompleted"] == 1
        assert status["metrics"]["successRate"] == 1.0
        assert status["metrics"]["avgCompletionTime"] > 0
        assert status["taskQueue"]["queued"] == status["taskQueue"]["running"] == 0
        kinds = [each["type"] for each in found["events"]["events"]]
        assert kinds == ["task_completed", "swarm_closed"]
        assert task in [each["taskId"] for each in found["task_list"]["tasks"]]
        assert (found["status"]["status"], found["results"]["status"]) == ("completed",) * 2
        assert found["results"]["result"] == {"text": LARGE}
        assert found["agent_list"]["agents"] == []
        assert [each["id"] for each in found["left"]["agents"]] == [agent]
        assert found["agent"]["agentId"] == agent
        report = found["performance_report"]
        assert (report["tasks"]["completed"], report["tasks"]["open"]) == (1, {})
        assert report["timeframe"]["until"] == status["endedAt"]
        kept.extend([task, agent, found])

    async def after(opened: OpenServer) -> None:
        assert await looked_at(opened, *kept[:2]) == kept[2]
        views = tmp_path / "home" / "server" / "views"
        assert [each.name for each in views.glob("s.db")] == ["s.db"]

    async def without_views(opened: OpenServer) -> None:
        assert await looked_at(opened, *kept[:2]) == kept[2]

    on_server(tmp_path, before)
    on_server(tmp_path, after)
    for each in (tmp_path / "home" / "server" / "views").iterdir():
        each.unlink()
    on_server(tmp_path, without_views)


def test_what_would_change_a_swarm_that_is_over_is_refused_with_when_and_by_whom(
    tmp_path: Path,
) -> None:
    async def use(opened: OpenServer) -> None:
        task, agent = await made(opened)
        tools = Tools(opened)
        at = (await tools("swarm_status", {"swarmId": "s"}))["endedAt"]
        calls = {name: {**given, "swarmId": "s"} for name, given in WRITES.items()}
        calls |= {name: {"taskId": task, "swarmId": "s"} for name in ("task_cancel", "task_retry")}
        calls["agent_terminate"] = {"agentId": agent, "swarmId": "s"}
        for name, given in calls.items():
            with pytest.raises(VisionFlowError) as refused:
                await tools(name, given)
            fault = fault_of(refused.value, tools.registry.get(name).group)
            assert (fault.rpc, fault.data["code"]) == (SWARM, "unknown_swarm"), name
            assert at in fault.message and "local:tests" in fault.message, name
            assert "enough" in fault.message and "swarm_init" in fault.data["hint"], name
        with pytest.raises(UnknownSwarm, match="over"):
            await tools("task_retry", {"taskId": task})
        for name, given in READS.items():
            with pytest.raises(UnknownSwarm, match="There is no swarm"):
                await tools(name, {**given, "swarmId": "never"})
        for each in ("task_1_x", "task_99999999999999999999_x", "nonsense"):
            with pytest.raises(UnknownTask):
                await tools("task_status", {"taskId": each})
        with pytest.raises(UnknownAgent):
            await tools("agent_status", {"agentId": "agent_1_x"})

    on_server(tmp_path, use)


def test_few_files_of_swarms_that_are_over_are_open_however_many_are_read(tmp_path: Path) -> None:
    def is_open() -> int:
        names = [each.readlink().name for each in Path("/proc/self/fd").iterdir() if each.exists()]
        return sum(name.endswith(".db") and name.startswith("over") for name in names)

    async def use(opened: OpenServer) -> None:
        names = [f"over{number}" for number in range(3 * OPEN_MAX)]
        for name in names:
            await new_swarm(opened, name)
            await opened.server.swarms.destroy(name, "over", "tests")
        tools = Tools(opened)
        assert is_open() == 0
        for _ in range(2):
            reads = [tools("swarm_status", {"swarmId": name}) for name in names * 2]
            found = await asyncio.gather(*reads)
            assert [each["swarmId"] for each in found] == names * 2
        await tools("swarm_status", {"swarmId": names[0]})
        for _ in range(200):
            if is_open() <= OPEN_MAX:
                break
            await asyncio.sleep(0.01)
        assert 0 < is_open() <= OPEN_MAX

    on_server(tmp_path, use)


def test_who_reads_a_swarm_while_it_is_being_ended_gets_all_of_it(tmp_path: Path) -> None:
    async def use(opened: OpenServer) -> None:
        swarm, tools = await new_swarm(opened, "s"), Tools(opened)
        agent = await agent_up(swarm, "Echo")
        ending = asyncio.ensure_future(tools("swarm_destroy", {"swarmId": "s"}))
        while opened.server.swarms.find("s") is not None:
            await asyncio.sleep(0)
        assert not ending.done()
        left = await tools("agent_list", {"swarmId": "s", "status": "terminated"})
        assert [each["id"] for each in left["agents"]] == [agent]
        assert (await tools("swarm_status", {"swarmId": "s"}))["status"] == "ended"
        await ending

    on_server(tmp_path, use)
