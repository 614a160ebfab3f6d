"""Spawning by tool over a running core: real workers, real limits, true replies."""

import asyncio
import os
import signal
from pathlib import Path

import msgspec
import psutil
import pytest

from tests.serve.served import settings_in, submit, until, with_core
from tests.serve.tool_client import Client, agents_file, registry_of
from visionflow.compose.serve.opening import OpenServer
from visionflow.domain.errors import LimitReached
from visionflow.domain.events import AnyEvent, AttemptFailed, WorkerLost
from visionflow.domain.tasks import FailureKind
from visionflow.interfaces.tools.faults import AGENT, ARGUMENTS, LIMIT
from visionflow.interfaces.tools.tool import Call
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


def test_a_client_that_takes_its_wait_back_is_answered_and_the_agent_stays(
    settings: ServerSettings, tmp_path: Path
) -> None:
    async def use(opened: OpenServer) -> None:
        registry, go = registry_of(opened), tmp_path / "go"
        client = Client(registry)
        looked_at: list[str] = []
        call = Call(client.caller, took_effect=lambda: looked_at.append("later requests"))
        given = {"agentType": "slow", "config": {"go": str(go)}, "wait": True}
        prepared = registry.prepare("agent_spawn", given, client.caller)
        waiting = asyncio.ensure_future(registry.finish(prepared, call))
        await until(lambda: looked_at == ["later requests"])
        assert not waiting.done()
        call.cancelled.set()
        found = msgspec.to_builtins(await waiting)
        assert found["status"] == "spawning"
        go.touch()
        swarm = opened.server.swarms.get(found["swarmId"])
        await until(lambda: swarm.state.agents[found["agentId"]].status == "ready")

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
        ({"agentType": "wizard"}, "Templates: analyst"),
        ({}, "agentType is missing"),
        ({"agentType": "coder", "swarmID": "x"}, "Did you mean 'swarmId'"),
        ({"agentType": "coder", "config": {"linting": "perhaps"}}, "it is true or false"),
        ({"agentType": "researcher", "config": {"timeout": "soon"}}, "config.timeout"),
        ({"agentType": "coder", "config": {"max_concurrent_tasks": 0}}, "from 1 to 1000"),
        ({"agentType": "coder", "config": {"max_concurrent_tasks": 10**9}}, "from 1 to 1000"),
        ({"agentType": "coder", "config": {"max_concurrent_tasks": "2"}}, 'is "2"; it is an int'),
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
