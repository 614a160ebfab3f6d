"""Teams that are formed for goals: they end with the last of them, and make room for the next."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from desks import Desk, agents_file, workspace_in
from served import new_swarm, settings_in, until, with_core

from visionflow.compose.serve.jobs import ServerJobs
from visionflow.domain import events as e
from visionflow.domain.mesh_events import AuctionSettled

EXPLAIN = "Explain this repository"
ROLES = {"coordinator", "researcher", "architect"}


def on_desk(folder: Path, use: Callable[[Desk], Awaitable[Any]], **more: Any) -> Any:
    if not (folder / "workspace" / ".git").exists():
        workspace_in(folder)
    settings = settings_in(folder, agents_file=agents_file(folder), **more)
    return with_core(settings, lambda opened: use(Desk(opened)))


def test_one_goal_after_the_other_finds_room_however_many_there_were(tmp_path: Path) -> None:
    """Each in a swarm of its own, on a server with room for one team."""

    async def use(desk: Desk) -> None:
        swarms = desk.opened.server.swarms
        for _ in range(3):
            await desk.call("swarm_init")
            found = await desk.call("task_orchestrate", task=EXPLAIN, wait=True)
            assert (found["status"], len(found["formedAgents"])) == ("completed", 3)
            assert {agent["role"] for agent in found["assignedAgents"]} <= ROLES
            assert len(found["assignedAgents"]) >= 2
        await until(lambda: swarms.agents == 0)

    on_desk(tmp_path, use, agents_max=3)


def test_goals_at_once_get_their_teams_one_after_the_other(tmp_path: Path) -> None:
    """Each in a swarm of its own, on a server with room for one team and two agents more."""

    async def use(desk: Desk) -> None:
        given = [{"task": EXPLAIN, "swarmId": f"s{n}", "wait": True} for n in range(4)]
        found = await asyncio.gather(*(desk.call("task_orchestrate", **each) for each in given))
        assert [each["status"] for each in found] == ["completed"] * 4
        assert all(len(each["assignedAgents"]) >= 2 for each in found)
        await until(lambda: desk.opened.server.swarms.agents == 0)

    on_desk(tmp_path, use, agents_max=5)


def test_formed_agents_end_with_the_last_goal_and_those_of_a_client_stay(tmp_path: Path) -> None:
    async def use(desk: Desk) -> None:
        own = await desk.call("agent_spawn", agentType="researcher", swarmId="s1", wait=True)
        swarm = desk.opened.server.swarms.get("s1")
        goals = [await desk.call("task_orchestrate", task=EXPLAIN) for _ in range(2)]
        formed = goals[0]["formedAgents"]
        assert (len(formed), goals[1]["formedAgents"]) == (2, [])
        needs_model = await desk.call("task_orchestrate", task="Write a poem about the sea")
        assert needs_model["status"] == "blocked"
        await desk.call("task_cancel", taskId=goals[0]["taskId"])
        assert set(formed) <= set(swarm.state.agents)
        assert not set(formed) & set(swarm.state.draining)
        ended = await desk.call("task_results", taskId=goals[1]["taskId"], wait=True)
        assert ended["status"] == "completed"
        await until(lambda: list(swarm.state.agents) == [own["agentId"]])
        left = await desk.call("agent_list", swarmId="s1", status="terminated")
        assert {each["id"] for each in left["agents"]} == set(formed)

    on_desk(tmp_path, use)


def do_nothing(*_: object) -> None:
    pass


def test_agents_of_a_goal_that_ended_end_after_a_crash_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def begin(desk: Desk) -> None:
        found = await desk.call("task_orchestrate", task=EXPLAIN, swarmId="s1", wait=True)
        assert found["status"] == "completed"
        assert len(desk.opened.server.swarms.get("s1").state.agents) == 3

    async def look(desk: Desk) -> None:
        swarm = desk.opened.server.swarms.get("s1")
        await until(lambda: not swarm.state.agents)

    with monkeypatch.context() as killed:
        killed.setattr(ServerJobs, "_ease", do_nothing)
        on_desk(tmp_path, begin)
    on_desk(tmp_path, look)


def test_a_goal_that_comes_while_a_team_leaves_forms_its_own(tmp_path: Path) -> None:
    async def use(desk: Desk) -> None:
        swarm = await new_swarm(desk.opened, "s1", 3)
        first = await desk.call("task_orchestrate", task=EXPLAIN, swarmId="s1")
        gone = asyncio.get_running_loop().create_future()

        def committed(_seq: int, _at_ms: int, events: list[Any]) -> None:
            if any(isinstance(each, e.AgentTerminating) for each in events) and not gone.done():
                gone.set_result(None)

        swarm.node.control.on_commit.append(committed)
        await desk.call("task_cancel", taskId=first["taskId"])
        await gone
        second = await desk.call("task_orchestrate", task=EXPLAIN, swarmId="s1", wait=True)
        assert (second["status"], len(second["formedAgents"])) == ("completed", 3)
        assert not set(first["formedAgents"]) & set(second["formedAgents"])

    on_desk(tmp_path, use)


def test_what_nobody_can_be_spawned_for_says_who_has_the_room_and_what_mends_it(
    tmp_path: Path,
) -> None:
    async def use(desk: Desk) -> None:
        task = {"description": "w", "agentType": "waiter"}
        await desk.call("swarm_init", maxAgents=1)
        await desk.call("agent_spawn", agentType="teller")
        narrow = await desk.call("task_orchestrate", task=task)
        assert "this swarm has its 1 agents, and swarm_scale" in narrow["warnings"][0]
        await desk.call("swarm_init")
        await desk.call("agent_spawn", agentType="teller")
        crowded = await desk.call("task_orchestrate", task=task, wait=True)
        assert (crowded["status"], crowded["formedAgents"]) == ("queued", [])
        stands = await desk.call("task_status", taskId=crowded["taskId"])
        swarm = await desk.call("swarm_status")
        for words in (
            *crowded["warnings"],
            crowded["reason"],
            stands["reason"],
            *swarm["warnings"],
        ):
            assert "server has its 2 agents (MAX_AGENTS)" in words
            assert "agent_terminate" in words
        await desk.call("agent_terminate", agentId=swarm["agents"][0]["id"])
        state = desk.opened.server.swarms.get(crowded["swarmId"]).state
        await until(lambda: not state.agents)
        open_now = await desk.call("task_status", taskId=crowded["taskId"])
        assert open_now["reason"] == "The swarm has no agents; agent_spawn adds one."

    on_desk(tmp_path, use, agents_max=2)


def test_where_peers_are_the_team_they_bid_for_what_a_role_would_do(tmp_path: Path) -> None:
    async def use(desk: Desk) -> None:
        swarm = (await desk.call("swarm_init", topology="mesh"))["swarmId"]
        for _ in range(2):
            await desk.call("agent_spawn", agentType="peer_agent", wait=True)
        task = {"description": "Find what doubles", "type": "research"}
        found = await desk.call("task_orchestrate", task=task, swarmId=swarm, wait=True)
        assert (found["status"], found["formedAgents"]) == ("completed", [])
        page = await desk.opened.server.swarms.get(swarm).read(lambda queries: queries.events())
        settled = [row.event.task for row in page.events if isinstance(row.event, AuctionSettled)]
        assert settled == [found["taskId"]]

    on_desk(tmp_path, use)


def test_peers_are_the_team_of_a_goal_in_words_too_and_only_what_none_can_do_is_spawned(
    tmp_path: Path,
) -> None:
    async def use(desk: Desk) -> None:
        swarm = (await desk.call("swarm_init", topology="mesh"))["swarmId"]
        peers = [
            (await desk.call("agent_spawn", agentType="peer_agent", wait=True))["agentId"]
            for _ in range(2)
        ]
        found = await desk.call("task_orchestrate", task=EXPLAIN, swarmId=swarm, wait=True)
        assert found["status"] == "completed"
        page = await desk.opened.server.swarms.get(swarm).read(lambda queries: queries.events())
        kinds = {
            row.event.spec.id: row.event.spec.type
            for row in page.events
            if isinstance(row.event, e.AgentSpawned)
        }
        assert [kinds[name] for name in found["formedAgents"]] == ["coordinator"]
        settled = [row.event for row in page.events if isinstance(row.event, AuctionSettled)]
        examined = {f"{found['taskId']}.{name}" for name in ("research", "architecture")}
        assert {each.task for each in settled} >= examined
        assert {each.agent for each in settled} <= set(peers)
        phases = {each["name"]: each["agents"] for each in found["orchestrationPlan"]["phases"]}
        assert sorted(phases["examine"]) == sorted(peers)

    on_desk(tmp_path, use)


def test_without_a_team_a_goal_says_only_what_none_of_the_peers_can_do(tmp_path: Path) -> None:
    async def use(desk: Desk) -> None:
        swarm = (await desk.call("swarm_init", topology="mesh"))["swarmId"]
        await desk.call("agent_spawn", agentType="peer_agent", wait=True)
        told = await desk.call(
            "task_orchestrate", task=EXPLAIN, swarmId=swarm, formTeam=False, stages=["research"]
        )
        assert told["warnings"] == [] and told["formedAgents"] == []
        ended = await desk.call("task_results", taskId=told["taskId"], wait=True)
        assert ended["status"] == "completed"
        whole = await desk.call("task_orchestrate", task=EXPLAIN, swarmId=swarm, formTeam=False)
        (warning,) = whole["warnings"]
        assert "no coordinator is in this swarm" in warning and "research" not in warning
        asked = await desk.call("task_orchestrate", task=EXPLAIN, swarmId=swarm, formTeam=True)
        assert len(asked["formedAgents"]) == 3, "it was asked for"

    on_desk(tmp_path, use)
