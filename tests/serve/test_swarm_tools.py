"""The swarm_* tools over a running core."""

import asyncio
import os
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.serve.served import ended, result_of, settings_in, submit, until, with_core
from tests.serve.tool_client import Client, agents_file, registry_of
from visionflow.compose.serve.opening import OpenServer
from visionflow.domain import commands as c
from visionflow.domain.access import Role
from visionflow.domain.errors import Forbidden, Refused, UsageError
from visionflow.domain.supervision import RestartStrategy, SupervisionSpec
from visionflow.domain.swarms import Strategy, Topology
from visionflow.domain.tasks import Backoff, Priority, RetryPolicy, TaskStatus
from visionflow.engine.state import SwarmState
from visionflow.interfaces.jobs import Order, Started
from visionflow.interfaces.tools.faults import AGENT, ARGUMENTS, LIMIT, SWARM
from visionflow.interfaces.tools.orchestrating import orchestration_tools
from visionflow.interfaces.tools.swarms import swarm_tools
from visionflow.interfaces.tools.tool import Registry
from visionflow.interfaces.tools.workspaces import workspace_for
from visionflow.settings.server import ServerSettings

ONCE = RetryPolicy(backoff=Backoff.NONE)


@pytest.fixture
def settings(tmp_path: Path) -> ServerSettings:
    return settings_in(tmp_path, agents_file=agents_file(tmp_path))


# Making ----------------------------------------------------------------------------------------


@pytest.mark.acceptance("swarm-topology")
def test_every_topology_and_strategy_holds_and_a_strategy_without_a_say_is_told(
    settings: ServerSettings,
) -> None:
    async def use(opened: OpenServer) -> None:
        client = Client(registry_of(opened))
        for topology in Topology:
            for strategy in Strategy:
                made = await client.call("swarm_init", topology=topology, strategy=strategy)
                spec = opened.server.fleet.state.swarms[made["swarmId"]]
                assert (spec.topology, spec.strategy) == (topology, strategy)
                assert (made["topology"], made["strategy"]) == (topology, strategy)
                deaf = {"mesh": {"centralized", "distributed"}, "ring": {"centralized"}}
                idle = strategy not in deaf.get(topology, Strategy)
                assert [f"{strategy} has no say" in each for each in made["warnings"]] == [
                    True
                ] * idle
                shown = await client.call("swarm_status", swarmId=made["swarmId"])
                assert shown["warnings"] == made["warnings"]

    with_core(settings, use)


def test_a_swarm_is_supervised_as_it_was_asked_for_and_what_cannot_be_is_refused(
    settings: ServerSettings,
) -> None:
    async def use(opened: OpenServer) -> None:
        client = Client(registry_of(opened))
        usual = await client.call("swarm_init")
        assert usual["supervision"] == {"strategy": "one_for_one", "restarts": None, "period": 60}
        asked = {"strategy": "rest_for_one", "restarts": 7, "period": "2m"}
        made = await client.call("swarm_init", supervision=asked)
        assert made["supervision"] == {**asked, "period": 120}
        spec = opened.server.swarms.get(made["swarmId"]).spec.supervision
        assert spec == SupervisionSpec(RestartStrategy.REST_FOR_ONE, 7, 120_000)
        for wrong in ({"strategy": "all"}, {"restarts": -1}, {"period": 0}, {"stratgy": "x"}):
            with pytest.raises(UsageError, match="supervision"):
                await client.call("swarm_init", supervision=wrong)

    with_core(settings, use)


def test_a_swarm_has_the_servers_limits_where_it_names_none(settings: ServerSettings) -> None:
    async def use(opened: OpenServer) -> None:
        client = Client(registry_of(opened))
        made = await client.call("swarm_init")
        limits = opened.server.swarms.get(made["swarmId"]).spec.limits
        assert (made["maxAgents"], limits.agents_max) == (20, 20)
        assert limits.attempt_timeout_ms == settings.agent_timeout_ms
        fault = await client.refused("swarm_init", maxAgents=21)
        assert fault.rpc == LIMIT and "at most 20" in fault.message
        assert "MAX_AGENTS" in fault.data["hint"]
        for wrong in ({"maxAgents": 0}, {"topology": "flat"}, {"strategy": "luck"}, {"max": 3}):
            fault = await client.refused("swarm_init", **wrong)
            assert fault.rpc == ARGUMENTS
        assert "hierarchical" in (await client.refused("swarm_init", topology="flat")).message

    with_core(settings, use)


def test_a_workspace_lies_under_one_of_the_servers_roots(
    settings: ServerSettings, tmp_path: Path
) -> None:
    root = Path(settings.workspaces[0])
    (root / "inside").mkdir()
    (root / "file").touch()
    (tmp_path / "workspace-2").mkdir()
    os.symlink(tmp_path, root / "out")
    os.symlink(root / "inside", root / "in")

    async def use(opened: OpenServer) -> None:
        client = Client(registry_of(opened))
        made = await client.call("swarm_init")
        assert made["workspace"] == str(root)
        assert opened.server.swarms.get(made["swarmId"]).spec.workspace == "", "roots may change"
        for given in ("inside", "in", str(root / "inside")):
            made = await client.call("swarm_init", workspace=given)
            assert made["workspace"] == str(root / "inside")
            assert opened.server.swarms.get(made["swarmId"]).spec.workspace == made["workspace"]
        for given in ("out", "..", str(tmp_path), "/", "in/../../..", "file", "missing", "a\0b",
                      str(tmp_path / "workspace-2")):  # fmt: skip
            fault = await client.refused("swarm_init", workspace=given)
            assert fault.rpc == ARGUMENTS and str(root) in fault.data["hint"], given

    with_core(settings, use)


def test_a_swarms_workspace_is_that_of_its_tasks_that_name_none(
    settings: ServerSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = Path(settings.workspaces[0]) / "inside"
    inside.mkdir()

    async def use(opened: OpenServer) -> None:
        orders: list[Order] = []

        async def start(order: Order, *_: object) -> Started:
            orders.append(order)
            raise Refused("Enough.")

        monkeypatch.setattr(opened.server.jobs, "start", start)
        client = Client(
            Registry([*swarm_tools(opened.server), *orchestration_tools(opened.server)])
        )
        await client.call("swarm_init", workspace="inside")
        await client.refused("task_orchestrate", task="Explain")
        await client.refused("task_orchestrate", task="Explain", workspace=".")
        assert [order.workspace for order in orders] == [str(inside), "."]

    with_core(settings, use)


def test_where_a_server_has_no_workspace_a_call_that_names_one_is_told_how_to_get_it() -> None:
    with pytest.raises(UsageError, match="--workspace"):
        asyncio.run(workspace_for((), "x"))


def test_a_swarm_that_is_made_again_under_its_key_is_the_first_also_after_a_restart(
    settings: ServerSettings,
) -> None:
    async def make(opened: OpenServer) -> list[str]:
        registry = registry_of(opened)
        made = await asyncio.gather(
            *(Client(registry, f"c{n}").call("swarm_init", key="k", name="n") for n in range(5))
        )
        return [each["swarmId"] for each in made]

    first, again = with_core(settings, make), with_core(settings, make)
    assert len(set(first + again)) == 1


# Which one is meant ----------------------------------------------------------------------------


def test_a_call_that_names_no_swarm_means_the_latest_of_its_client(
    settings: ServerSettings,
) -> None:
    async def use(opened: OpenServer) -> None:
        registry = registry_of(opened)
        ada, bob, eve = (Client(registry, name) for name in ("a", "b", "e"))
        fault = await ada.refused("swarm_status")
        assert (fault.rpc, fault.data["code"]) == (SWARM, "unknown_swarm")

        async def meant(client: Client) -> str:
            return (await client.call("swarm_status"))["swarmId"]

        first = (await ada.call("swarm_init"))["swarmId"]
        second = (await bob.call("swarm_init"))["swarmId"]
        assert (await meant(ada), await meant(bob), await meant(eve)) == (first, second, second)
        await eve.call("swarm_status", swarmId=first)
        assert await meant(eve) == first
        fault = await ada.refused("swarm_status", swarmId="swarm_of_nobody")
        assert (fault.rpc, fault.data["swarmId"]) == (SWARM, "swarm_of_nobody")
        assert "swarm_list" in fault.data["hint"]

    with_core(settings, use)


# Looking ---------------------------------------------------------------------------------------


def brute_force(state: SwarmState, status: TaskStatus) -> int:
    return sum(1 for task in state.tasks.values() if task.status is status)


@pytest.mark.acceptance("report")
def test_the_counts_of_a_status_are_those_of_all_tasks_looked_at_one_by_one(
    settings: ServerSettings, tmp_path: Path
) -> None:
    go = tmp_path / "go"

    async def use(opened: OpenServer) -> None:
        client = Client(registry_of(opened))
        made = await client.call("swarm_init")
        swarm = opened.server.swarms.get(made["swarmId"])
        empty = await client.call("swarm_status")
        assert empty["taskQueue"]["oldestWaitSeconds"] is None
        assert empty["metrics"] == {
            "tasksCompleted": 0, "avgCompletionTime": None, "successRate": None,
        }  # fmt: skip
        await client.call("agent_spawn", agentType="teller", capabilities="telling", wait=True)
        await client.call("agent_spawn", agentType="waiter", capabilities="waiting", wait=True)
        urgent = [
            await submit(swarm, "nothing", priority=Priority.CRITICAL),
            await submit(swarm, "nothing", priority=7),
            await submit(swarm, "nothing"),
        ]
        for number in range(5):
            await ended(swarm, await submit(swarm, "telling", number))
        running = await submit(swarm, "waiting", str(go))
        await until(lambda: swarm.state.tasks[running].status is TaskStatus.RUNNING)
        for task in urgent[:2]:
            await swarm.ask(c.CancelTask(now_ms=swarm.now_ms, task=task))
        await swarm.ask(c.RetryTask(now_ms=swarm.now_ms, task=urgent[0]))
        await swarm.ask(c.BlockTask(now_ms=swarm.now_ms, task=urgent[2], missing="a person"))
        broken = await submit(swarm, "waiting", 3, retry=ONCE)
        go.touch()
        await ended(swarm, broken)
        shown = await client.call("swarm_status")
        queue = shown["taskQueue"]
        for status in TaskStatus:
            name = {"dead_letter": "deadLetter"}.get(status, str(status))
            assert queue[name] == brute_force(swarm.state, status), status
        assert (queue["completed"], queue["failed"], queue["cancelled"]) == (6, 1, 1)
        assert queue["byPriority"] == {"critical": 1}
        now_ms = swarm.now_ms
        waited = (now_ms - swarm.state.tasks[urgent[0]].changed_ms) / 1_000
        assert 0 <= queue["oldestWaitSeconds"] <= waited
        done = [t for t in swarm.state.tasks.values() if t.status is TaskStatus.COMPLETED]
        took = [task.changed_ms - task.since_ms for task in done]
        metrics = shown["metrics"]
        assert metrics["tasksCompleted"] == 6
        assert metrics["avgCompletionTime"] == pytest.approx(sum(took) / 6_000)
        assert metrics["successRate"] == pytest.approx(6 / 7)

    async def again(opened: OpenServer) -> dict[str, Any]:
        return await Client(registry_of(opened)).call("swarm_status")

    with_core(settings, use)
    shown = with_core(settings, again)
    assert shown["metrics"]["tasksCompleted"] == 6
    assert (shown["taskQueue"]["failed"], shown["taskQueue"]["cancelled"]) == (1, 1)


def test_the_members_of_a_status_have_what_they_work_on_and_the_process_that_hosts_them(
    settings: ServerSettings, tmp_path: Path
) -> None:
    async def use(opened: OpenServer) -> None:
        client = Client(registry_of(opened))
        found = await client.call(
            "agent_spawn", agentType="waiter", name="w", capabilities="waiting", wait=True
        )
        swarm, go = opened.server.swarms.get(found["swarmId"]), tmp_path / "go"
        task = await submit(swarm, "waiting", str(go))
        await until(lambda: swarm.state.tasks[task].status is TaskStatus.RUNNING)
        shown = await client.call("swarm_status")
        assert shown["agents"] == [
            {
                "id": found["agentId"],
                "type": "waiter",
                "name": "w",
                "status": "processing",
                "currentTask": task,
                "pid": found["pid"],
            }
        ]
        assert (await client.call("agent_list"))["agents"][0]["currentTask"] == task
        go.touch()
        await ended(swarm, task)

    with_core(settings, use)


def test_swarms_are_listed_in_pages_and_those_that_are_over_stay_in_the_list(
    settings: ServerSettings,
) -> None:
    async def use(opened: OpenServer) -> None:
        client = Client(registry_of(opened))
        made = [(await client.call("swarm_init", name=f"n{n}"))["swarmId"] for n in range(5)]
        await client.call("swarm_destroy", swarmId=made[1], reason="no more use")
        page = await client.call("swarm_list", limit=2)
        assert page["total"] == 5
        assert [each["swarmId"] for each in page["swarms"]] == [made[4], made[3]]
        rest = await client.call("swarm_list", cursor=page["nextCursor"])
        assert [(s["swarmId"], s["status"], s["reason"], s["name"]) for s in rest["swarms"]] == [
            (made[2], "active", None, "n2"),
            (made[0], "active", None, "n0"),
            (made[1], "ended", "no more use", "n1"),
        ]
        assert rest["nextCursor"] is None
        fault = await client.refused("swarm_list", cursor="nowhere")
        assert fault.rpc == ARGUMENTS

    with_core(settings, use)


# Size and end ----------------------------------------------------------------------------------


def test_a_smaller_swarm_ends_idle_agents_at_once_and_busy_ones_when_they_are_done(
    settings: ServerSettings, tmp_path: Path
) -> None:
    async def use(opened: OpenServer) -> None:
        client = Client(registry_of(opened))
        team = [{"type": "waiter", "count": 4, "capabilities": "waiting"}]
        made = await client.call("agents_spawn_parallel", agents=team, wait=True)
        swarm, go = opened.server.swarms.get(made["swarmId"]), tmp_path / "go"
        tasks = [await submit(swarm, "waiting", str(go)) for _ in range(2)]
        await until(lambda: all(swarm.state.tasks[t].status == "running" for t in tasks))
        busy = [str(swarm.state.tasks[task].agent) for task in tasks]
        order = list(swarm.state.agents)
        oldest, newest = sorted(busy, key=order.index)
        found = await client.call("swarm_scale", targetSize=1)
        assert (found["before"], found["maxAgents"], found["agents"]) == (20, 1, 1)
        actions = {each["agentId"]: each["action"] for each in found["ended"]}
        idle = [agent for agent in reversed(order) if agent not in busy]
        assert [each["agentId"] for each in found["ended"][:2]] == idle
        assert actions == {**dict.fromkeys(idle, "terminated"), newest: "draining"}
        fault = await client.refused("agent_spawn", agentType="coder")
        assert fault.rpc == LIMIT
        go.touch()
        assert [await result_of(swarm, task) for task in tasks] == busy
        await until(lambda: list(swarm.state.agents) == [oldest])
        assert (await client.refused("swarm_scale", targetSize=0)).rpc == ARGUMENTS
        assert (await client.refused("swarm_scale", targetSize=99)).rpc == LIMIT
        assert (await client.call("swarm_scale", maxAgents=2))["ended"] == []
        await client.call("agent_spawn", agentType="coder")

    with_core(settings, use)


def test_the_size_and_what_drains_outlive_a_restart(
    settings: ServerSettings, tmp_path: Path
) -> None:
    async def before(opened: OpenServer) -> tuple[str, str]:
        client = Client(registry_of(opened))
        team = [{"type": "waiter", "count": 2, "capabilities": "waiting"}]
        made = await client.call("agents_spawn_parallel", agents=team, wait=True, swarmId="s")
        swarm = opened.server.swarms.get("s")
        tasks = [await submit(swarm, "waiting", str(tmp_path / "go")) for _ in range(2)]
        await until(lambda: all(swarm.state.tasks[t].status == "running" for t in tasks))
        found = await client.call("swarm_scale", targetSize=1)
        assert [each["action"] for each in found["ended"]] == ["draining"]
        await opened.close(kill=True)
        ending = found["ended"][0]["agentId"]
        staying = [each["agentId"] for each in made["agents"] if each["agentId"] != ending]
        return staying[0], ending

    async def after(opened: OpenServer) -> None:
        swarm = opened.server.swarms.get("s")
        assert swarm.spec.limits.agents_max == 1
        await until(lambda: ending not in swarm.state.agents)
        assert swarm.state.live == 2, "nothing it held is lost"
        (tmp_path / "go").touch()
        for task in list(swarm.state.tasks):
            assert await result_of(swarm, task) == staying

    staying, ending = with_core(settings, before)
    assert staying != ending
    with_core(settings, after)


def test_only_an_admin_ends_a_swarm_and_then_no_process_of_it_is_left(
    settings: ServerSettings,
) -> None:
    async def use(opened: OpenServer) -> None:
        registry = registry_of(opened)
        admin, operator = Client(registry), Client(registry, role=Role.OPERATOR, name="token:o")
        found = await operator.call("agent_spawn", agentType="coder", swarmId="s", wait=True)
        await submit(opened.server.swarms.get("s"), "nothing")
        with pytest.raises(Forbidden, match="is for admin"):
            await operator.call("swarm_destroy", swarmId="s")
        fault = await admin.refused("swarm_destroy")
        assert fault.rpc == ARGUMENTS, "there is no default"
        told = await admin.call("swarm_destroy", key="d", swarmId="s")
        assert (told["status"], told["agentsEnded"], told["tasksCancelled"]) == ("ended", 1, 1)
        assert not psutil.pid_exists(found["pid"])
        again = await admin.call("swarm_destroy", key="d", swarmId="s")
        assert (again["status"], again["reason"]) == ("ended", told["reason"])
        assert (await admin.refused("swarm_destroy", swarmId="s")).rpc == SWARM
        fault = await operator.refused("agent_spawn", agentType="coder", swarmId="s")
        assert fault.data["code"] == "unknown_swarm" and "is over" in fault.message
        assert fault.rpc in (SWARM, AGENT)
        await operator.call("agent_spawn", agentType="coder", swarmId="t")

    with_core(settings, use)
