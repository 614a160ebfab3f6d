"""Whose an idempotency key is: one call, as it was understood, and only once it is done."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from served import settings_in, until, with_core
from toolcalls import Tools

from visionflow.compose.serve.opening import OpenServer
from visionflow.domain.access import Caller, Role
from visionflow.domain.errors import (
    Forbidden,
    KeyReused,
    LimitReached,
    Refused,
    UnknownSwarm,
    UsageError,
)
from visionflow.interfaces.tools.faults import fault_of
from visionflow.interfaces.tools.recording import command_id, key_of
from visionflow.interfaces.tools.repeating import digest_of
from visionflow.interfaces.tools.tool import Call


def test_a_key_that_comes_again_with_other_arguments_is_refused_and_nothing_is_done(
    tmp_path: Path,
) -> None:
    async def use(opened: OpenServer) -> None:
        tools = Tools(opened)
        made = await tools("swarm_init", {"name": "a"}, key="K1")
        with pytest.raises(
            KeyReused, match="idempotencyKey was used before, with other argum"
        ) as e:
            await tools("swarm_init", {"name": "b"}, key="K1")
        fault = fault_of(e.value, "swarm")
        assert (fault.rpc, fault.http, fault.data["code"]) == (-32602, 409, "key_reused")
        assert "key of its own" in fault.data["hint"]
        with pytest.raises(KeyReused, match="for swarm_init"):
            await tools("memory_store", {"key": "k", "value": 1}, key="K1")
        assert len(opened.server.swarms.all()) == 1
        assert not (await tools("memory_retrieve", {"key": "k"}))["found"]
        assert await tools("swarm_init", {"name": "a"}, key="K1") == made
        await opened.server.fleet.quiet()
        codes = [row.code for row in await opened.server.fleet.audit() if row.code]
        assert codes == ["key_reused", "key_reused"]

    with_core(settings_in(tmp_path), use)


def test_the_same_call_in_other_words_is_the_same_call(tmp_path: Path) -> None:
    async def use(opened: OpenServer) -> None:
        tools = Tools(opened)
        first = await tools("agent_spawn", {"agentType": "coder", "swarmId": "new"}, key="k")
        assert first["swarmCreated"]
        given: dict[str, Any] = {
            "type": "coder",
            "swarmId": "new",
            "capabilities": "",
            "name": None,
        }
        assert await tools("agent_spawn", given, key="k") == first
        stored = await tools("memory_store", {"key": "a", "value": 1, "ttl": "1m"}, key="m")
        again = {"ttl": 60, "namespace": "default", "value": 1, "key": "a"}
        assert await tools("memory_store", again, key="m") == stored
        with pytest.raises(KeyReused):
            await tools("memory_store", {"key": "a", "value": 1, "ttl": "2m"}, key="m")

    with_core(settings_in(tmp_path), use)


def test_how_long_to_wait_for_the_answer_is_no_part_of_what_is_asked_for(tmp_path: Path) -> None:
    async def use(opened: OpenServer) -> None:
        tools = Tools(opened)
        at_once = await tools("agent_spawn", {"agentType": "coder"}, key="k")
        waited = await tools("agent_spawn", {"agentType": "coder", "wait": True}, key="k")
        assert (at_once["agentId"], waited["status"]) == (waited["agentId"], "ready")
        assert len((await tools("agent_list"))["agents"]) == 1

    with_core(settings_in(tmp_path), use)


def test_a_key_is_its_callers_own(tmp_path: Path) -> None:
    async def use(opened: OpenServer) -> None:
        tools, other = Tools(opened), Tools(opened)
        other.registry = tools.registry
        other.caller = Caller(name="token:ada", role=Role.ADMIN, face="tcp", client="c")
        await tools("swarm_init", {"name": "a"}, key="k")
        assert (await other("swarm_init", {"name": "b"}, key="k"))["name"] == "b"

    with_core(settings_in(tmp_path), use)


def test_whose_a_key_is_holds_across_a_restart_and_the_first_answer_comes_again(
    tmp_path: Path,
) -> None:
    research = {"description": "x", "type": "research"}
    calls: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
        ("swarm_init", {"name": "a"}, {"name": "b"}),
        ("memory_store", {"key": "k", "value": {"b": 1, "a": 2}}, {"key": "k", "value": 2}),
        ("agent_spawn", {"agentType": "coder"}, {"agentType": "tester"}),
        ("task_orchestrate", {"task": research, "formTeam": False}, {"task": research}),
    ]
    ids = ("swarmId", "storedAt", "agentId", "taskId")

    async def before(opened: OpenServer) -> list[Any]:
        tools = Tools(opened)
        made = [await tools(tool, given, key=f"key/{tool}%") for tool, given, _ in calls]
        found = [each[word] for each, word in zip(made, ids, strict=True)]
        await opened.close(kill=True)
        return found

    async def after(opened: OpenServer) -> None:
        tools = Tools(opened)
        for (tool, given, other), word, first in zip(calls, ids, firsts, strict=True):
            with pytest.raises(KeyReused):
                await tools(tool, other, key=f"key/{tool}%")
            with pytest.raises(KeyReused, match=f"for {tool}"):
                await tools("swarm_scale", {"targetSize": 3}, key=f"key/{tool}%")
            assert (await tools(tool, given, key=f"key/{tool}%"))[word] == first

    firsts = with_core(settings_in(tmp_path), before)
    with_core(settings_in(tmp_path), after)


def test_of_two_calls_at_once_under_one_key_that_ask_for_different_things_one_is_done(
    tmp_path: Path,
) -> None:
    async def use(opened: OpenServer) -> None:
        tools = Tools(opened)
        asked = [tools("swarm_init", {"name": name}, key="k") for name in "aabb"]
        told = await asyncio.gather(*asked, return_exceptions=True)
        assert [type(each) for each in told[2:]] == [KeyReused, KeyReused]
        assert told[0] == told[1] and len(opened.server.swarms.all()) == 1

    with_core(settings_in(tmp_path), use)


def test_what_a_limit_refused_is_done_under_the_same_key_once_there_is_room(
    tmp_path: Path,
) -> None:
    async def use(opened: OpenServer) -> None:
        tools = Tools(opened)
        await tools("swarm_init", {"maxAgents": 1})
        first = await tools("agent_spawn", {"agentType": "coder"})
        for _ in range(2):
            with pytest.raises(LimitReached, match="its limit is 1") as refused:
                await tools("agent_spawn", {"agentType": "coder"}, key="KM")
        told = fault_of(refused.value, "agents")
        assert "maxAgents" in told.data["hint"] and "swarm_scale" in told.data["hint"]
        assert "agents_max" not in told.message and "1 agent;" in told.message
        await tools("agent_terminate", {"agentId": first["agentId"]})
        swarm = opened.server.swarms.all()[0]
        await until(lambda: not swarm.state.agents)
        later = await tools("agent_spawn", {"agentType": "coder"}, key="KM")
        assert list(swarm.state.agents) == [later["agentId"]]
        again = await tools("agent_spawn", {"agentType": "coder"}, key="KM")
        assert again == later and len(swarm.state.agents) == 1

    with_core(settings_in(tmp_path), use)


def test_of_many_those_that_were_refused_are_tried_again_and_the_others_are_not(
    tmp_path: Path,
) -> None:
    team = {"agents": [{"type": "coder", "count": 3}]}

    async def use(opened: OpenServer) -> None:
        tools = Tools(opened)
        await tools("swarm_init", {"maxAgents": 2})
        swarm = opened.server.swarms.all()[0]
        some = await tools("agents_spawn_parallel", team, key="k")
        assert (some["spawned"], len(some["refused"])) == (2, 1)
        await tools("swarm_scale", {"targetSize": 9})
        all_ = await tools("agents_spawn_parallel", team, key="k")
        assert (all_["spawned"], all_["refused"], len(swarm.state.agents)) == (3, [], 3)
        assert {a["agentId"] for a in some["agents"]} < {a["agentId"] for a in all_["agents"]}
        await tools("swarm_scale", {"targetSize": 4})
        given = {"agentType": "tester", "count": 2}
        short = await tools("agent_scale", given, key="s")
        assert (short["now"], short["refused"]) == (1, 1)
        await tools("swarm_scale", {"targetSize": 5})
        full = await tools("agent_scale", given, key="s")
        assert (full["before"], full["now"], full["refused"]) == (0, 2, 0)
        assert full["spawned"][0] == short["spawned"][0] and len(full["spawned"]) == 2
        assert await tools("agent_scale", given, key="s") == full

    with_core(settings_in(tmp_path), use)


def test_a_key_under_which_nothing_was_done_is_free(tmp_path: Path) -> None:
    async def use(opened: OpenServer) -> None:
        tools = Tools(opened)
        with pytest.raises(UnknownSwarm):
            await tools("swarm_scale", {"swarmId": "s", "targetSize": 2}, key="k")
        with pytest.raises(UsageError):
            await tools("agent_spawn", {"agentType": "nonsense"}, key="k")
        with pytest.raises(Refused):
            await tools("task_cancel", {"taskId": "t"}, key="k")
        made = await tools("agent_spawn", {"agentType": "coder"}, key="k")
        assert (await tools("agent_spawn", {"agentType": "coder"}, key="k")) == made

    with_core(settings_in(tmp_path), use)


def test_the_parts_of_a_commands_id_cannot_be_taken_for_one_another() -> None:
    def made(name: str, key: str, part: str = "") -> str:
        caller = Caller(name=name, role=Role.ADMIN, face="tcp", client="c")
        call = Call(caller, key=key)
        call.digest = "d" * 16
        return command_id(call, "agent_spawn", part) or ""

    ids = [made("a/b", "k"), made("a", "b/k"), made("a", "b", "k"), made("a", "b%2Fk")]
    assert len(dict.fromkeys(ids)) == 4
    assert len(dict.fromkeys(key_of(each) for each in ids)) == 4
    assert (
        key_of(made("a", "k", "0")) == key_of(made("a", "k")) == ("a/k", "agent_spawn/" + "d" * 16)
    )
    assert key_of("something else") is None


def test_arguments_that_cannot_be_written_down_have_a_digest_too(tmp_path: Path) -> None:
    async def use(opened: OpenServer) -> None:
        registry = Tools(opened).registry
        kind = registry.get("memory_store").arguments
        odd = [kind(key="k", value=each) for each in ("\ud800", "\ud801", 2**70, float("nan"))]
        assert len({digest_of(each) for each in odd}) == 4

    with_core(settings_in(tmp_path), use)


def test_who_may_not_is_told_of_a_role_that_may(tmp_path: Path) -> None:
    async def use(opened: OpenServer) -> None:
        viewer = Tools(opened, role=Role.VIEWER)
        for tool, role in (("swarm_destroy", "admin"), ("swarm_init", "operator")):
            with pytest.raises(Forbidden) as refused:
                await viewer(tool, {"swarmId": "s"})
            assert f"--role {role}." in (refused.value.hint or "")

    with_core(settings_in(tmp_path), use)
