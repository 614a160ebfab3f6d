"""A hierarchy on a server: seats asked for with agents, told by swarm_status, and busy teams."""

from pathlib import Path
from typing import Any

import pytest

from tests.serve.served import ended, settings_in, until, with_core
from tests.serve.test_balancing import BULK, events_of, order
from tests.serve.tool_client import Client
from visionflow.compose.serve.opening import OpenServer
from visionflow.domain import teams_events as t
from visionflow.domain.errors import LimitReached, Refused, UsageError
from visionflow.domain.tasks import TaskStatus
from visionflow.interfaces.tools.all import all_tools
from visionflow.runtime import team_loads
from visionflow.settings.server import ServerSettings

pytestmark = pytest.mark.acceptance("hierarchy")
PATIENCE_S = 90
MANAGER = {"hierarchy": {"rank": "manager"}}
LEAD = {"hierarchy": {"rank": "lead", "team": "all", "domain": "bulk"}, "max_workers": 2}
WORKER = {"hierarchy": {"rank": "worker", "team": "all"}}


@pytest.fixture
def settings(tmp_path: Path) -> ServerSettings:
    path = tmp_path / "agents.yaml"
    path.write_text(
        f'agent_templates: {{bulk: {{class: "{BULK}:Bulk"}}}}\nmax_agents_per_type: {{bulk: 3}}\n',
        encoding="utf-8",
    )
    return settings_in(tmp_path, agents_file=str(path))


async def built(client: Client, **swarm: Any) -> tuple[str, list[str]]:
    """A swarm with a manager, a lead and a worker."""
    name = (await client.call("swarm_init", **swarm))["swarmId"]
    people: list[str] = []
    for kind, config in (("coordinator", MANAGER), ("bulk", LEAD), ("bulk", WORKER)):
        spawned = await client.call("agent_spawn", agentType=kind, config=config, wait=True)
        people.append(spawned["agentId"])
    return name, people


def test_seats_are_asked_for_with_agents_and_told_and_work_goes_through_them(
    settings: ServerSettings, tmp_path: Path
) -> None:
    async def use(opened: OpenServer) -> None:
        client = Client(all_tools(opened.server))
        name, (manager, lead, worker) = await built(client)
        swarm = opened.server.swarms.get(name)
        shown = await client.call("swarm_status")
        assert shown["manager"] == manager
        (team,) = shown["teams"]
        assert (team["name"], team["lead"], team["members"]) == ("all", lead, [worker])
        assert (team["tasks"], team["successRate"], team["escalated"]) == (0, None, None)

        (tmp_path / "go").touch()
        for task in await order(client, tmp_path, 3):
            assert (await ended(swarm, task)).status is TaskStatus.COMPLETED
        shown = await client.call("swarm_status")
        assert shown["teams"][0]["successRate"] == 1.0 and shown["warnings"] == []
        given = [x for x in events_of(opened, swarm) if isinstance(x, t.TaskDelegated)]
        assert [(each.by, each.team) for each in given] == [(manager, "all")] * 3

        whole = {
            "type": "hierarchy.delegate",
            "description": "all of it",
            "requiredCapabilities": ["rank:manager"],
            "input": {"type": "bulk", "input": {"go": str(tmp_path / "go")}},
        }
        made = await client.call("task_orchestrate", task=whole, formTeam=False, wait=True)
        assert made["status"] == "completed"
        result = (await client.call("task_results", taskId=made["taskId"]))["result"]
        assert result["accepted"] and result["team"] == "all" and len(result["parts"]) == 1

    with_core(settings, use)


def test_who_cannot_have_the_seat_that_was_asked_for_is_not_kept(settings: ServerSettings) -> None:
    async def use(opened: OpenServer) -> None:
        client = Client(all_tools(opened.server))
        name, people = await built(client)
        await client.call("agent_spawn", agentType="bulk", config=WORKER, wait=True)
        swarm = opened.server.swarms.get(name)
        with pytest.raises(LimitReached, match="span"):
            await client.call("agent_spawn", agentType="bulk", config=WORKER)
        await until(lambda: len(swarm.state.agents) == len(people) + 1)
        no_seats: list[dict[str, Any]] = [
            {"hierarchy": {"rank": "king"}},
            {"hierarchy": {"rank": "lead"}},
            {"hierarchy": {"rank": "lead", "team": "x", "size": 3}},
            {**MANAGER, "max_workers": 0},
        ]
        for config in no_seats:
            with pytest.raises(UsageError):
                await client.call("agent_spawn", agentType="bulk", config=config)
        other = {"hierarchy": {"rank": "worker", "team": "none"}}
        with pytest.raises(Refused, match="no team none"):
            await client.call("agent_spawn", agentType="bulk", config=other)
        with pytest.raises(UsageError, match="seat"):
            await client.call("agent_update", agentId=people[1], config=WORKER)
        await until(lambda: len(swarm.state.agents) == len(people) + 1)

    with_core(settings, use)


def test_work_that_no_team_can_be_chosen_for_is_refused_at_submission_with_what_to_do(
    settings: ServerSettings, tmp_path: Path
) -> None:
    (tmp_path / "go").touch()
    whole = {
        "type": "hierarchy.delegate",
        "description": "all of it",
        "requiredCapabilities": ["rank:manager"],
        "input": {"type": "bulk", "input": {"go": str(tmp_path / "go")}},
    }

    async def use(opened: OpenServer) -> None:
        client = Client(all_tools(opened.server))
        name = (await client.call("swarm_init"))["swarmId"]
        await client.call("agent_spawn", agentType="coordinator", wait=True)
        state = opened.server.swarms.get(name).state
        with pytest.raises(Refused, match=r"has no teams\..*agent_spawn with config\.hierarchy"):
            await client.call("task_orchestrate", task=whole)
        with pytest.raises(Refused, match="has no teams"):
            parts = {"description": "both", "subtasks": [whole, whole]}
            await client.call("task_orchestrate", task=parts)
        assert not state.tasks

        name, _ = await built(client)
        state = opened.server.swarms.get(name).state
        await client.call("topology_optimize", apply=True, topology="mesh")
        with pytest.raises(Refused, match=r"topology is mesh\..*topology_optimize"):
            await client.call("task_orchestrate", task=whole)
        await client.call("topology_optimize", apply=True, topology="hierarchical")
        with pytest.raises(Refused, match=r"is for the manager"):
            anybody = {**whole, "requiredCapabilities": []}
            await client.call("task_orchestrate", task=anybody)
        assert not state.tasks
        made = await client.call("task_orchestrate", task=whole, wait=True, waitTimeout=60)
        assert made["status"] == "completed" and made["result"]["team"] == "all"

    with_core(settings, use)


@pytest.mark.parametrize("autoscale", [True, False])
def test_a_team_that_is_busy_gets_a_worker_within_the_maximum_of_its_type(
    settings: ServerSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autoscale: bool
) -> None:
    monkeypatch.setattr(team_loads, "BUSY_MS", 0)
    monkeypatch.setattr(team_loads, "COOL_DOWN_MS", 2_000)

    async def use(opened: OpenServer) -> None:
        client = Client(all_tools(opened.server))
        name, _ = await built(client, autoscale=autoscale)
        swarm = opened.server.swarms.get(name)
        tasks = await order(client, tmp_path, 6)

        def told() -> list[str]:
            found = [x for x in events_of(opened, swarm) if isinstance(x, t.Escalated)]
            return [each.action for each in found if each.cause == "utilisation"]

        if autoscale:
            team = swarm.state.teams.teams["all"]
            await until(lambda: len(team.members) == 2, PATIENCE_S)
            assert any("a worker of type bulk is made" in action for action in told())
            await until(lambda: any("2 may report" in action for action in told()), PATIENCE_S)
            assert len(team.members) == 2
        else:
            await until(lambda: len(told()) > 1, PATIENCE_S)
            assert all("a worker more would help" in action for action in told())
        (tmp_path / "go").touch()
        for task in tasks:
            assert (await ended(swarm, task)).status is TaskStatus.COMPLETED

    with_core(settings, use)
