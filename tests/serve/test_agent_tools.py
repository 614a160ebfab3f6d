"""The agent_* tools over a running core: calls that come again, lists, changes, ends, records."""

import asyncio
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.serve.served import ended, result_of, settings_in, submit, until, with_core
from tests.serve.tool_client import Client, agents_file, registry_of
from visionflow.compose.serve.opening import OpenServer
from visionflow.domain.access import Role
from visionflow.domain.errors import Forbidden
from visionflow.interfaces.tools.faults import AGENT, ARGUMENTS
from visionflow.settings.server import ServerSettings


@pytest.fixture
def settings(tmp_path: Path) -> ServerSettings:
    return settings_in(tmp_path, agents_file=agents_file(tmp_path))


# The same call again ---------------------------------------------------------------------------


def test_a_call_that_comes_again_under_its_key_is_one_call(settings: ServerSettings) -> None:
    async def use(opened: OpenServer) -> None:
        registry = registry_of(opened)
        client = Client(registry, "c1")
        first, meanwhile = await asyncio.gather(
            client.call("agent_spawn", key="k", agentType="coder", swarmId="one"),
            Client(registry, "c2").call("agent_spawn", key="k", agentType="coder", swarmId="one"),
        )
        assert first["agentId"] == meanwhile["agentId"]
        assert first["swarmCreated"] is meanwhile["swarmCreated"] is True
        await Client(registry, "c3").call("swarm_init", name="another")
        later = await Client(registry, "c3").call("agent_spawn", key="k", agentType="coder")
        assert (later["agentId"], later["swarmId"]) == (first["agentId"], "one")
        assert later["swarmCreated"] is first["swarmCreated"] is True
        other = Client(registry, "c1", name="token:other")
        theirs = await other.call("agent_spawn", key="k", agentType="coder", swarmId="one")
        assert theirs["agentId"] != first["agentId"], "keys count within a caller"
        assert len((await client.call("agent_list", swarmId="one"))["agents"]) == 2

    with_core(settings, use)


def test_a_call_whose_client_is_gone_is_done_to_the_end_and_its_retry_finds_it(
    settings: ServerSettings,
) -> None:
    async def use(opened: OpenServer) -> None:
        client = Client(registry_of(opened))
        made = await client.call("swarm_init")
        agents = opened.server.swarms.get(made["swarmId"]).state.agents
        for number in range(5):
            spawned = client.call("agent_spawn", key=f"k{number}", agentType="coder")
            cut = asyncio.ensure_future(spawned)
            while len(agents) == number:
                await asyncio.sleep(0)
            cut.cancel()
            await asyncio.gather(cut, return_exceptions=True)
        await until(lambda: not opened.server.under_way)
        rows = await opened.server.fleet.audit()
        on_record = [row.subject for row in rows if row.tool == "agent_spawn"]
        assert on_record == list(agents), "nobody asked again so far"
        for number, agent in enumerate(list(agents)):
            again = await client.call("agent_spawn", key=f"k{number}", agentType="coder")
            assert again["agentId"] == agent
        assert len(agents) == 5

    with_core(settings, use)


def test_a_key_is_known_after_a_restart_and_the_agent_is_there_under_its_id(
    settings: ServerSettings,
) -> None:
    async def before(opened: OpenServer) -> str:
        client = Client(registry_of(opened))
        found = await client.call("agent_spawn", key="k", agentType="coder", swarmId="s")
        return found["agentId"]

    async def after(opened: OpenServer) -> None:
        client = Client(registry_of(opened))
        found = await client.call("agent_spawn", key="k", agentType="coder", wait=True)
        assert (found["agentId"], found["swarmId"], found["swarmCreated"]) == (agent, "s", True)
        assert found["status"] == "ready" and psutil.pid_exists(found["pid"])
        await client.call("agent_terminate", key="t", agentId=agent)
        await until(lambda: not opened.server.swarms.get("s").state.agents)
        gone = await client.call("agent_spawn", key="k", agentType="coder")
        assert (gone["agentId"], gone["status"], gone["type"]) == (agent, "terminated", "coder")
        repeated = await client.call("agent_terminate", key="t", agentId=agent)
        assert repeated["status"] == "terminated"

    agent = with_core(settings, before)
    with_core(settings, after)


# Several at once -------------------------------------------------------------------------------


def test_of_many_at_once_each_is_told_and_a_refused_one_by_name(settings: ServerSettings) -> None:
    async def use(opened: OpenServer) -> None:
        client = Client(registry_of(opened))
        await client.call("swarm_init", maxAgents=3)
        team = [{"type": "coder", "count": 2, "name": "c"}, {"type": "reviewer", "count": 2}]
        found = await client.call("agents_spawn_parallel", key="k", agents=team, wait=True)
        assert (found["requested"], found["spawned"], len(found["refused"])) == (4, 3, 1)
        assert [agent["name"] for agent in found["agents"][:2]] == ["c-1", "c-2"]
        assert all(agent["status"] == "ready" for agent in found["agents"])
        assert found["refused"][0]["type"] == "reviewer"
        assert found["refused"][0]["code"] == "limit_reached"
        again = await client.call("agents_spawn_parallel", key="k", agents=team)
        assert [a["agentId"] for a in again["agents"]] == [a["agentId"] for a in found["agents"]]

    with_core(settings, use)


def test_a_broken_one_among_many_is_told_with_its_reason(settings: ServerSettings) -> None:
    async def use(opened: OpenServer) -> None:
        client = Client(registry_of(opened))
        found = await client.call(
            "agents_spawn_parallel", agents=[{"type": "coder"}, {"type": "broken"}], wait=True
        )
        assert found["spawned"] == 1
        (refused,) = found["refused"]
        assert refused["code"] == "agent_failed" and "no licence" in refused["message"]
        assert refused["agentId"] in refused["message"]

    with_core(settings, use)


def test_when_one_of_many_makes_no_sense_none_is_spawned(settings: ServerSettings) -> None:
    async def use(opened: OpenServer) -> None:
        client = Client(registry_of(opened))
        fault = await client.refused(
            "agents_spawn_parallel", agents=[{"type": "coder"}, {"type": "coder", "cuont": 2}]
        )
        assert fault.rpc == ARGUMENTS and fault.message.startswith("agents[1]: 'cuont'")
        for wrong in ([], [{"type": "coder", "count": 0}], [{"type": "coder", "count": 10**6}]):
            assert (await client.refused("agents_spawn_parallel", agents=wrong)).rpc == ARGUMENTS
        assert opened.server.swarms.all() == []

    with_core(settings, use)


# Looking ---------------------------------------------------------------------------------------


def test_a_name_may_stand_for_an_id_and_of_two_the_latest_is_meant(
    settings: ServerSettings,
) -> None:
    async def use(opened: OpenServer) -> None:
        client = Client(registry_of(opened))
        first = await client.call("agent_spawn", agentType="coder", name="ada")
        assert first["warnings"] == []
        second = await client.call("agent_spawn", agentType="tester", name="ada")
        assert first["agentId"] in second["warnings"][0]
        found = await client.call("agent_status", agentId="ada")
        assert found["agentId"] == second["agentId"]
        fault = await client.refused("agent_status", agentId="bob")
        assert (fault.rpc, fault.data["code"]) == (AGENT, "unknown_agent")
        assert fault.data["agentId"] == "bob"

    with_core(settings, use)


def test_who_has_just_left_is_told_as_such_at_once(settings: ServerSettings) -> None:
    async def use(opened: OpenServer) -> None:
        client = Client(registry_of(opened))
        spawned = await client.call("agent_spawn", agentType="tester", swarmId="s", wait=True)
        await client.call("agent_terminate", agentId=spawned["agentId"])
        while opened.server.swarms.get("s").state.agents:
            await asyncio.sleep(0)
        # The state has let go of it, and the disk is not asked to hurry.
        left = await client.call("agent_list", swarmId="s", status="terminated")
        assert [agent["id"] for agent in left["agents"]] == [spawned["agentId"]]

    with_core(settings, use)


def test_agents_are_listed_in_pages_and_by_what_they_are(settings: ServerSettings) -> None:
    async def use(opened: OpenServer) -> None:
        client = Client(registry_of(opened))
        empty = await client.call("agent_list")
        assert (empty["agents"], empty["swarmId"]) == ([], None)
        team = [{"type": "coder", "count": 3}, {"type": "reviewer", "count": 2}]
        await client.call("agents_spawn_parallel", agents=team, swarmId="s", wait=True)
        other = await client.call("agent_spawn", agentType="tester", swarmId="t")
        pages: list[str] = []
        cursor = None
        while True:
            page = await client.call("agent_list", swarmId="s", limit=2, cursor=cursor)
            pages += [agent["id"] for agent in page["agents"]]
            cursor = page["nextCursor"]
            if cursor is None:
                break
        assert len(pages) == len(set(pages)) == 5 and page["total"] == 5
        latest = await client.call("agent_list")
        assert latest["swarmId"] == "s", "the one that was named last"
        reviewers = await client.call("agent_list", capability="security")
        assert {agent["type"] for agent in reviewers["agents"]} == {"reviewer"}
        assert (await client.call("agent_list", swarmId="all"))["total"] == 6
        ready = await client.call("agent_list", swarmId="s", agentType="coder", status="ready")
        assert ready["total"] == 3
        await client.call("agent_terminate", agentId=other["agentId"])
        await until(lambda: not opened.server.swarms.get("t").state.agents)
        left = await client.call("agent_list", swarmId="t", status="terminated")
        assert [agent["id"] for agent in left["agents"]] == [other["agentId"]]
        shown = await client.call("agent_status", agentId=other["agentId"])
        assert (shown["status"], shown["pid"]) == ("terminated", None)

    with_core(settings, use)


def test_what_an_agent_logs_can_be_read_also_when_it_has_left(settings: ServerSettings) -> None:
    async def use(opened: OpenServer) -> None:
        client = Client(registry_of(opened))
        found = await client.call("agent_spawn", type="teller", name="t", capabilities="telling")
        swarm = opened.server.swarms.get(found["swarmId"])
        await result_of(swarm, await submit(swarm, "telling", "one"))

        async def lines(agent: str, level: str | None = None) -> list[str]:
            told = await client.call("agent_logs", agentId=agent, level=level)
            return told["lines"]

        while not any("task one" in line for line in await lines("t")):
            await asyncio.sleep(0.02)
        (line,) = [line for line in await lines("t", "warning") if "task one" in line]
        assert found["agentId"] in line
        assert not any("task one" in line for line in await lines("t", "error"))
        await client.call("agent_terminate", agentId="t")
        await until(lambda: not swarm.state.agents)
        assert line in await lines("t")

    with_core(settings, use)


# Changing --------------------------------------------------------------------------------------


def test_an_update_holds_from_the_next_task_on(settings: ServerSettings) -> None:
    async def use(opened: OpenServer) -> None:
        client = Client(registry_of(opened))
        found = await client.call(
            "agent_spawn", agentType="teller", name="t", capabilities="telling", wait=True
        )
        swarm = opened.server.swarms.get(found["swarmId"])
        before = await result_of(swarm, await submit(swarm, "telling"))
        assert before == {"word": "Hello", "loud": False}
        told = await client.call(
            "agent_update", key="u", agentId="t", config={"word": "Moin", "max_concurrent_tasks": 2}
        )
        assert told["config"]["word"] == "Moin" and told["tasksMax"] == 2
        after = await result_of(swarm, await submit(swarm, "telling"))
        assert after == {"word": "Moin", "loud": False, "max_concurrent_tasks": 2}
        moved = await client.call("agent_update", agentId="t", resources={"memoryLimit": "256Mi"})
        assert moved["memoryLimit"] == "256Mi" and moved["enforcedBy"] is not None
        assert (await result_of(swarm, await submit(swarm, "telling")))["word"] == "Moin"
        again = await client.call("agent_status", agentId="t")
        assert again["pid"] != found["pid"] and again["resources"]["allocated"] is True

    with_core(settings, use)


def test_a_ceiling_that_holds_nothing_yet_or_at_all_is_told_as_that(
    settings: ServerSettings, tmp_path: Path
) -> None:
    go = tmp_path / "go"

    async def use(opened: OpenServer) -> None:
        client = Client(registry_of(opened))
        vast: dict[str, Any] = {"resources": {"memoryLimit": "4000Ti"}}
        great = await client.call("agent_spawn", agentType="waiter", name="g", **vast)
        assert any("4000Ti and holds nothing: this machine has" in w for w in great["warnings"])
        (held, by) = (great["resources"]["allocated"], great["resources"]["enforcedBy"])
        assert (held, by, great["resources"]["memory"]) == (False, None, "4000Ti")
        shown = await client.call("agent_status", agentId="g")
        assert shown["resources"] == great["resources"]
        busy = await client.call(
            "agent_spawn", agentType="waiter", name="b", capabilities="waiting", wait=True
        )
        swarm = opened.server.swarms.get(busy["swarmId"])
        task = await submit(swarm, "waiting", str(go), agent=busy["agentId"])
        await until(lambda: swarm.state.tasks[task].status == "running")
        told = await client.call("agent_update", agentId="b", resources={"memoryLimit": "512Mi"})
        assert (told["memoryLimit"], told["enforcedBy"]) == ("512Mi", None)
        assert any("holds from when the agent, idle, has moved" in w for w in told["warnings"])
        shown = await client.call("agent_status", agentId="b")
        assert (shown["resources"]["allocated"], shown["pid"]) == (False, busy["pid"])
        go.touch()
        assert await result_of(swarm, task) == busy["agentId"]
        await until(lambda: not swarm.state.moving)
        shown = await client.call("agent_status", agentId="b")
        assert shown["resources"]["allocated"] and shown["pid"] != busy["pid"]

    with_core(settings, use)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "Nothing is to be changed"),
        ({"config": {"capabilities": "a"}}, "capabilities stay"),
        ({"config": {"linting": 3}}, "linting is 3; it is true or false"),
        ({"resources": {"memoryLimit": "1Mi"}}, "64Mi"),
    ],
)
def test_an_update_that_makes_no_sense_is_refused(
    settings: ServerSettings, given: dict[str, object], told: str
) -> None:
    async def use(opened: OpenServer) -> None:
        client = Client(registry_of(opened))
        await client.call("agent_spawn", agentType="coder", name="c")
        fault = await client.refused("agent_update", agentId="c", **given)
        assert fault.rpc == ARGUMENTS and told in fault.message

    with_core(settings, use)


def test_a_terminated_agents_task_goes_to_another_and_a_draining_one_finishes_its_own(
    settings: ServerSettings, tmp_path: Path
) -> None:
    async def use(opened: OpenServer) -> None:
        client = Client(registry_of(opened))
        team = [{"type": "waiter", "count": 2, "capabilities": "waiting"}]
        await client.call("agents_spawn_parallel", agents=team, wait=True, swarmId="s")
        swarm, go = opened.server.swarms.get("s"), tmp_path / "go"
        first = await submit(swarm, "waiting", str(go))
        await until(lambda: swarm.state.tasks[first].status == "running")
        holder = swarm.state.tasks[first].agent
        assert holder is not None
        told = await client.call("agent_terminate", agentId=holder, drain=True)
        assert (told["status"], told["openTasks"]) == ("draining", 1)
        assert (await client.call("agent_status", agentId=holder))["draining"] is True
        second = await submit(swarm, "waiting", str(go))
        await until(lambda: swarm.state.tasks[second].status == "running")
        other = swarm.state.tasks[second].agent
        assert other not in (None, holder)
        go.touch()
        assert await result_of(swarm, first) == holder
        assert await result_of(swarm, second) == other
        await until(lambda: list(swarm.state.agents) == [other])
        go.unlink()
        third = await submit(swarm, "waiting", str(go))
        await until(lambda: swarm.state.tasks[third].status == "running")
        found = await client.call("agent_spawn", agentType="waiter", capabilities="waiting")
        assert (await client.call("agent_terminate", agentId=str(other)))["openTasks"] == 1
        go.touch()
        assert await result_of(swarm, third) == found["agentId"]
        assert (await ended(swarm, third)).attempt == 2

    with_core(settings, use)


def test_that_the_load_may_change_a_number_again_is_said_of_types_that_follow_it(
    settings: ServerSettings,
) -> None:
    async def use(opened: OpenServer) -> None:
        client = Client(registry_of(opened))
        await client.call("swarm_init", maxAgents=4, autoscale=True)
        bounded = await client.call("agent_scale", agentType="tester", count=1)
        assert any("scaled by its load" in each for each in bounded["warnings"])
        never = await client.call("agent_scale", agentType="waiter", count=1)
        assert not any("scaled by its load" in each for each in never["warnings"])

    with_core(settings, use)


def test_a_type_is_scaled_to_a_count_and_the_reply_says_what_was_done(
    settings: ServerSettings,
) -> None:
    async def use(opened: OpenServer) -> None:
        client = Client(registry_of(opened))
        await client.call("swarm_init", maxAgents=4)
        up = await client.call(
            "agent_scale", key="up", agentType="waiter", count=3, config={"note": "n"}
        )
        assert (up["before"], up["now"], len(up["spawned"]), up["refused"]) == (0, 3, 3, 0)
        again = await client.call(
            "agent_scale", key="up", agentType="waiter", count=3, config={"note": "n"}
        )
        assert again == up, "it tells what the same call did when it came first"
        known = await client.call("agent_scale", agentType="waiter", count=3)
        assert (known["before"], known["spawned"], known["now"]) == (3, [], 3)
        over = await client.call("agent_scale", agentType="waiter", count=9)
        assert (over["now"], over["refused"]) == (4, 5)
        assert "limit is 4" in over["reason"]
        swarm, newest = opened.server.swarms.get(up["swarmId"]), over["spawned"][0]
        down = await client.call("agent_scale", agentType="waiter", count=1)
        assert down["now"] == 1
        assert [each["action"] for each in down["ended"]] == ["terminated"] * 3
        assert down["ended"][0]["agentId"] == newest, "the newest goes first"
        await until(lambda: len(swarm.state.agents) == 1)
        assert list(swarm.state.agents) == [up["spawned"][0]]

    with_core(settings, use)


# Who may, and what is on record ----------------------------------------------------------------


def test_a_viewer_looks_and_changes_nothing(settings: ServerSettings) -> None:
    async def use(opened: OpenServer) -> None:
        registry = registry_of(opened)
        viewer = Client(registry, role=Role.VIEWER, name="token:eve")
        await viewer.call("agent_list")
        for name, tool in registry.tools.items():
            if not tool.reads:
                with pytest.raises(Forbidden, match=r"is for (operator, )?admin\b"):
                    await viewer.call(name, **tool.example)
        assert opened.server.swarms.all() == []

    with_core(settings, use)


@pytest.mark.acceptance("auth")
def test_what_was_changed_and_what_a_tool_refused_is_in_the_audit(
    settings: ServerSettings,
) -> None:
    async def use(opened: OpenServer) -> None:
        client = Client(registry_of(opened), name="token:ada", role=Role.OPERATOR)
        await client.call("swarm_init", maxAgents=1)
        await client.refused("swarm_init", maxAgents=99)
        await client.refused("swarm_scale", targetSize=99)
        found = await client.call("agent_spawn", key="k", agentType="coder")
        await client.refused("agent_spawn", agentType="tester")
        await client.call("agent_terminate", agentId=found["agentId"])
        rows = await opened.server.fleet.audit()
        told = [(row.tool, row.code, row.subject) for row in rows if row.by == "token:ada"]
        agent, swarm = found["agentId"], found["swarmId"]
        assert told == [
            ("swarm_init", None, swarm),
            ("swarm_init", "limit_reached", None),
            ("swarm_scale", "limit_reached", swarm),
            ("agent_spawn", None, agent),
            ("agent_spawn", "limit_reached", None),
            ("agent_terminate", None, agent),
        ]
        assert rows[3].swarm == swarm and rows[3].call == "token:ada/agent_spawn//k"

    with_core(settings, use)
