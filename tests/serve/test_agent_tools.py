"""The agent_* tools over a running core: real workers, real limits, true replies."""

import asyncio
import os
import signal
from pathlib import Path

import psutil
import pytest

from tests.serve.served import ended, result_of, settings_in, submit, until, with_core
from tests.serve.tool_client import Client, agents_file, registry_of
from visionflow.compose.serve.opening import OpenServer
from visionflow.domain.access import Role
from visionflow.domain.errors import Forbidden, LimitReached
from visionflow.domain.events import AnyEvent, AttemptFailed, WorkerLost
from visionflow.domain.tasks import FailureKind
from visionflow.interfaces.tools.faults import AGENT, ARGUMENTS, LIMIT
from visionflow.settings.server import ServerSettings


@pytest.fixture
def settings(tmp_path: Path) -> ServerSettings:
    return settings_in(tmp_path, agents_file=agents_file(tmp_path))


# Spawning --------------------------------------------------------------------------------------


@pytest.mark.acceptance("agent-spawn")
def test_the_guides_spawn_is_answered_with_its_fields_and_each_wish_is_in_effect_or_told(
    settings: ServerSettings,
) -> None:
    async def use(opened: OpenServer) -> None:
        client = Client(registry_of(opened))
        swarm = "swarm_1757880683494_yl81sece5"
        found = await client.call(
            "agent_spawn",
            agentType="coder",
            swarmId=swarm,
            config={
                "model": "claude-3-opus",
                "temperature": 0.7,
                "capabilities": ["python", "rust", "typescript"],
                "maxTokens": 4096,
                "timeout": 300,
                "retryAttempts": 3,
            },
            resources={"cpuLimit": "2000m", "memoryLimit": "4Gi", "gpuAccess": True},
        )
        assert found["swarmId"] == swarm and found["swarmCreated"] is True
        assert (found["status"], found["pid"], found["estimatedReadyTime"]) == (
            "spawning", None, None,
        )  # fmt: skip
        assert found["capabilities"] == ["python"]
        assert found["resources"]["memory"] == "4Gi" and found["resources"]["allocated"] is True
        assert found["resources"]["cpu"] is found["resources"]["gpuDevice"] is None
        told = " ".join(found["warnings"])
        for word in ("rust, typescript", "model", "temperature", "maxTokens", "retryAttempts"):
            assert word in told
        assert "cpuLimit" in told and "gpuAccess" in told and "timeout" not in told
        shown = await client.call("agent_status", agentId=found["agentId"])
        assert shown["config"]["timeout"] == 300

    with_core(settings, use)


@pytest.mark.acceptance("agent-spawn")
def test_an_agent_is_a_live_process_and_when_it_is_killed_the_status_changes(
    settings: ServerSettings,
) -> None:
    async def use(opened: OpenServer) -> None:
        client = Client(registry_of(opened))
        found = await client.call("agent_spawn", agentType="tester", wait=True)
        agent, pid = found["agentId"], found["pid"]
        assert found["status"] == "ready"
        assert found["initialisationMetrics"]["spawnTime"] >= 0
        assert (await client.call("agent_status", agentId=agent))["pid"] == pid
        process = psutil.Process(pid)
        assert process.name().startswith("visionflow")
        assert process.parents()[0].pid == os.getpid()
        swarm = opened.server.swarms.get(found["swarmId"])
        seen: list[str] = []
        swarm.node.control.on_commit.append(
            lambda *_: seen.append(str(swarm.state.agents[agent].status))
        )
        os.kill(pid, signal.SIGKILL)
        await until(lambda: "recovering" in seen and seen[-1] == "ready")
        again = await client.call("agent_status", agentId=agent)
        assert again["pid"] not in (None, pid) and psutil.pid_exists(again["pid"])

    with_core(settings, use)


@pytest.mark.acceptance("agent-spawn")
@pytest.mark.parametrize("how", ["little by little", "at once"])
def test_a_memory_hog_is_stopped_at_its_limit_and_told_as_such(
    settings: ServerSettings, how: str
) -> None:
    async def use(opened: OpenServer) -> None:
        client = Client(registry_of(opened))
        found = await client.call(
            "agent_spawn",
            agentType="hog",
            capabilities="hogging",
            resources={"memoryLimit": "128Mi"},
            wait=True,
        )
        assert found["resources"]["enforcedBy"] is not None
        assert found["initialisationMetrics"]["memoryAllocated"].endswith(" MB")
        swarm = opened.server.swarms.get(found["swarmId"])
        told: list[AnyEvent] = []
        swarm.node.control.on_commit.append(lambda _seq, _at, events: told.extend(events))
        await submit(swarm, "hogging", how, timeout_ms=50_000)
        await until(lambda: any(isinstance(event, WorkerLost) for event in told))
        (lost,) = [event for event in told if isinstance(event, WorkerLost)]
        failed = next(event for event in told if isinstance(event, AttemptFailed))
        assert lost.kind is FailureKind.RESOURCES
        assert "memory ceiling" in lost.reason and "ceiling" in failed.reason

    with_core(settings, use)


def test_waiting_tells_why_an_agent_will_never_be_ready(settings: ServerSettings) -> None:
    async def use(opened: OpenServer) -> None:
        client = Client(registry_of(opened))
        fault = await client.refused("agent_spawn", agentType="broken", wait=True)
        assert (fault.rpc, fault.data["code"]) == (AGENT, "agent_failed")
        assert "no licence found" in fault.message
        shown = await client.call("agent_status", agentId=fault.data["agentId"])
        assert shown["status"] == "failed" and "no licence found" in shown["reason"]

    with_core(settings, use)


def test_waiting_is_over_when_its_time_is_and_the_agent_is_told_to_be_on_its_way(
    settings: ServerSettings,
) -> None:
    async def use(opened: OpenServer) -> None:
        client = Client(registry_of(opened))
        found = await client.call("agent_spawn", agentType="coder", wait=True, waitTimeout="1ms")
        assert found["status"] == "spawning"
        assert "not ready within 0.001 s" in found["warnings"][0]

    with_core(settings, use)


def test_the_time_to_ready_is_estimated_from_the_record_of_like_spawns_alone(
    settings: ServerSettings, tmp_path: Path
) -> None:
    async def use(opened: OpenServer) -> None:
        client, go = Client(registry_of(opened)), tmp_path / "go"

        async def estimate(**given: object) -> str | None:
            found = await client.call("agent_spawn", agentType="slow", config=config, **given)
            assert found["status"] == "spawning"
            return found["estimatedReadyTime"]

        config = {"go": str(go)}
        assert await estimate() is None, "there is no record yet"
        go.touch()
        first = await client.call("agent_spawn", agentType="slow", config=config, wait=True)
        assert first["estimatedReadyTime"] is None, "it is ready"
        go.unlink()
        assert await estimate() is not None
        assert await estimate(resources={"memoryLimit": "512Mi"}) is None, "none of its own"
        assert await estimate(swarmId="another") is not None, "the record is the server's"

    with_core(settings, use)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"agentType": "codr"}, "Did you mean 'coder'"),
        ({"agentType": "wizard"}, "Templates: architect"),
        ({}, "agentType is missing"),
        ({"agentType": "coder", "swarmID": "x"}, "Did you mean 'swarmId'"),
        ({"agentType": "coder", "config": {"linting": "perhaps"}}, "Expected `bool`"),
        ({"agentType": "researcher", "config": {"timeout": "soon"}}, "config.timeout"),
        ({"agentType": "coder", "config": {"max_concurrent_tasks": 0}}, "max_concurrent_tasks"),
        ({"agentType": "coder", "resources": {"memoryLimt": "4Gi"}}, "memoryLimit"),
        ({"agentType": "coder", "resources": {"memoryLimit": "lots"}}, "memoryLimit"),
        ({"agentType": "coder", "resources": {"memoryLimit": "1Mi"}}, "64Mi"),
        ({"agentType": "coder", "swarmId": "no spaces"}, "letters, digits"),
        ({"agentType": "coder", "name": ""}, "name has 1 to"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name_before_anything_happens(
    settings: ServerSettings, given: dict[str, object], told: str
) -> None:
    async def use(opened: OpenServer) -> None:
        client = Client(registry_of(opened))
        fault = await client.refused("agent_spawn", **given)
        assert fault.rpc == ARGUMENTS
        assert told in fault.message
        assert opened.server.swarms.all() == []

    with_core(settings, use)


def test_capabilities_are_those_that_were_asked_for_and_that_the_class_backs(
    settings: ServerSettings,
) -> None:
    async def use(opened: OpenServer) -> None:
        client = Client(registry_of(opened))

        async def offered(kind: str, words: object) -> tuple[list[str], list[str]]:
            found = await client.call("agent_spawn", type=kind, capabilities=words)
            return found["capabilities"], found["warnings"]

        assert await offered("reviewer", "security, review") == (["review", "security"], [])
        everything, told = await offered("coder", ["implementation"])
        assert "python" in everything and "implementation" not in everything
        assert "nothing here backs implementation" in told[0]
        assert await offered("teller", "anything,else") == (["anything", "else"], [])
        kept, told = await offered("specialist", "maths,magic")
        assert kept == ["maths"] and "magic" in told[0]
        assert (await offered("specialist", []))[0] == ["maths", "physics"]

    with_core(settings, use)


def test_settings_are_typed_and_a_near_miss_is_warned_about(settings: ServerSettings) -> None:
    async def use(opened: OpenServer) -> None:
        client = Client(registry_of(opened))
        found = await client.call(
            "agent_spawn",
            agentType="coordinator",
            config={"supervision_interval": "5s", "max_worker": 3, "note": "mine"},
        )
        assert len(found["warnings"]) == 2
        assert "did you mean 'max_workers'" in found["warnings"][0]
        shown = await client.call("agent_status", agentId=found["agentId"])
        assert shown["config"]["supervision_interval"] == 5_000
        assert shown["config"]["note"] == "mine"
        two = await client.call(
            "agent_spawn", agentType="teller", config={"max_concurrent_tasks": 2, "loud": True}
        )
        shown = await client.call("agent_status", agentId=two["agentId"])
        assert shown["tasksMax"] == 2 and two["warnings"] == []
        assert shown["config"] == {"word": "Hello", "loud": True, "max_concurrent_tasks": 2}

    with_core(settings, use)


# Limits and crowds -----------------------------------------------------------------------------


@pytest.mark.acceptance("swarm-limit")
def test_of_fifty_spawns_at_once_exactly_as_many_as_the_limit_get_in(
    settings: ServerSettings,
) -> None:
    async def use(opened: OpenServer) -> None:
        registry = registry_of(opened)
        clients = [Client(registry, f"c{number}") for number in range(50)]
        made = await clients[0].call("swarm_init", maxAgents=10)

        async def spawn(client: Client) -> bool:
            try:
                await client.call("agent_spawn", agentType="coder", swarmId=made["swarmId"])
            except LimitReached:
                return False
            return True

        got = await asyncio.gather(*(spawn(client) for client in clients))
        assert sum(got) == 10
        fault = await clients[1].refused("agent_spawn", agentType="coder")
        assert (fault.rpc, fault.data["code"]) == (LIMIT, "limit_reached")
        assert len((await clients[2].call("agent_list"))["agents"]) == 10

    with_core(settings, use)


@pytest.mark.acceptance("swarm-limit")
def test_the_servers_limit_holds_over_all_swarms(tmp_path: Path) -> None:
    async def use(opened: OpenServer) -> None:
        client = Client(registry_of(opened))
        outcomes = await asyncio.gather(
            *(
                client.call("agent_spawn", agentType="coder", swarmId=f"s{number % 3}")
                for number in range(12)
            ),
            return_exceptions=True,
        )
        assert sum(isinstance(each, LimitReached) for each in outcomes) == 7
        fault = await client.refused("agent_spawn", agentType="coder", swarmId="s0")
        assert fault.rpc == LIMIT and "at most 5" in fault.message
        assert "MAX_AGENTS" in fault.data["hint"]

    with_core(settings_in(tmp_path, agents_max=5), use)


@pytest.mark.acceptance("concurrent")
def test_three_clients_spawn_twenty_each_and_all_are_there_and_none_twice(
    tmp_path: Path,
) -> None:
    async def use(opened: OpenServer) -> None:
        registry = registry_of(opened)
        clients = [Client(registry, f"c{n}", name=f"token:t{n}") for n in range(3)]
        calls = [
            client.call("agent_spawn", key=f"k{number}", agentType="coder", swarmId="shared")
            for client in clients
            for number in range(20)
        ]
        spawned = [each["agentId"] for each in await asyncio.gather(*calls)]
        assert len(set(spawned)) == 60
        listed = await clients[0].call("agent_list", swarmId="shared")
        assert sorted(agent["id"] for agent in listed["agents"]) == sorted(spawned)
        assert len(opened.server.swarms.all()) == 1

    with_core(settings_in(tmp_path, agents_max=60), use)


def test_an_unknown_swarm_is_made_once_however_many_ask_for_it(settings: ServerSettings) -> None:
    async def use(opened: OpenServer) -> None:
        registry = registry_of(opened)
        clients = [Client(registry, f"c{number}") for number in range(8)]
        found = await asyncio.gather(
            *(each.call("agent_spawn", agentType="coder", swarmId="theirs") for each in clients)
        )
        assert [each["swarmCreated"] for each in found].count(True) == 1
        unnamed = await Client(registry, "late").call("agent_spawn", agentType="coder")
        assert (unnamed["swarmId"], unnamed["swarmCreated"]) == ("theirs", False)

    with_core(settings, use)


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
        await client.call("swarm_init")
        for turns in (1, 2, 3, 5, 8):
            key = f"cut-{turns}"
            cut = asyncio.ensure_future(client.call("agent_spawn", key=key, agentType="coder"))
            for _ in range(turns):
                await asyncio.sleep(0)
            cut.cancel()
            await asyncio.gather(cut, return_exceptions=True)
            again = await client.call("agent_spawn", key=key, agentType="coder")
            assert again["status"] in ("spawning", "ready")
        assert len((await client.call("agent_list"))["agents"]) == 5
        await until(lambda: not opened.server.under_way)

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


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "Nothing is to be changed"),
        ({"config": {"capabilities": "a"}}, "capabilities stay"),
        ({"config": {"linting": 3}}, "Expected `bool`"),
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
        again = await client.call("agent_scale", key="up", agentType="waiter", count=3)
        assert again["spawned"] == [] and again["now"] == 3
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
        found = await client.call("agent_spawn", key="k", agentType="coder")
        await client.refused("agent_spawn", agentType="tester")
        await client.call("agent_terminate", agentId=found["agentId"])
        rows = await opened.server.fleet.audit()
        told = [(row.tool, row.code, row.subject) for row in rows if row.by == "token:ada"]
        agent, swarm = found["agentId"], found["swarmId"]
        assert told == [
            ("swarm_init", None, swarm),
            ("agent_spawn", None, agent),
            ("agent_spawn", "limit_reached", None),
            ("agent_terminate", None, agent),
        ]
        assert rows[1].swarm == swarm and rows[1].call == "token:ada/agent_spawn/k"

    with_core(settings, use)
