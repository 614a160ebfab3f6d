"""The load of a server's agents: shared on request and by itself, and followed by their number."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.serve.served import ended, result_of, settings_in, until, with_core
from tests.serve.tool_client import Client
from visionflow.compose.serve.opening import OpenServer
from visionflow.domain import events as e
from visionflow.domain import supervision_events as s
from visionflow.domain.events import decode_record
from visionflow.domain.tasks import TaskStatus
from visionflow.interfaces.tools.all import all_tools
from visionflow.runtime.swarms import LiveSwarm
from visionflow.settings.server import ServerSettings

BULK = Path(__file__).with_name("bulk_agents.py")
PATIENCE_S = 90


@pytest.fixture
def settings(tmp_path: Path) -> ServerSettings:
    path = tmp_path / "agents.yaml"
    path.write_text(
        f'agent_templates: {{bulk: {{class: "{BULK}:Bulk"}}}}\n'
        "autoscaling: {cool_down: 1, queue_wait: 0}\n"
        "max_agents_per_type: {bulk: 3}\n"
        "min_agents_per_type: {bulk: 1}\n",
        encoding="utf-8",
    )
    return settings_in(tmp_path, agents_file=str(path))


def events_of(opened: OpenServer, swarm: LiveSwarm) -> list[Any]:
    entries = opened.core.log.read(swarm.id)
    return [event for entry in entries for event in decode_record(entry.body).events]


async def order(client: Client, folder: Path, count: int, kind: str = "bulk") -> list[str]:
    task = {
        "description": "all of it", "agentType": "bulk", "type": kind,
        "input": {"go": str(folder / "go")},
    }  # fmt: skip
    made = [await client.call("task_orchestrate", task=task, formTeam=False) for _ in range(count)]
    return [each["taskId"] for each in made]


@pytest.mark.acceptance("scale")
def test_what_has_not_begun_is_moved_and_each_task_is_done_once(
    settings: ServerSettings, tmp_path: Path
) -> None:
    async def use(opened: OpenServer) -> None:
        client = Client(all_tools(opened.server))
        made = await client.call("swarm_init")
        swarm = opened.server.swarms.get(made["swarmId"])
        first = (await client.call("agent_spawn", agentType="bulk", wait=True))["agentId"]
        tasks = await order(client, tmp_path, 5)
        await until(lambda: len(swarm.state.agents[first].open) == 5, PATIENCE_S)
        alone = await client.call("load_balance")
        assert (alone["asked"], alone["moved"], alone["tasks"]) == (0, 0, [])
        assert sum(each["count"] for each in alone["stayed"]) == 5
        second = (await client.call("agent_spawn", agentType="bulk", wait=True))["agentId"]
        # What can be begun at once is given to it without anybody's asking.
        await until(lambda: len(swarm.state.agents[second].open) == 1, PATIENCE_S)
        await until(lambda: second in swarm.state.supervised.batches, PATIENCE_S)
        found = await client.call("load_balance", strategy="even_distribution", wait=True)
        assert (found["asked"], found["moved"]) == (1, 1)
        (moved,) = found["tasks"]
        assert (moved["fromAgent"], moved["toAgent"]) == (first, second)
        assert moved["outcome"] == "moved"
        loads = {each["agentId"]: (each["before"], each["now"]) for each in found["agents"]}
        assert loads == {first: (4, 3), second: (1, 2)}
        again = await client.call("load_balance", strategy="capability", wait=True)
        assert again["asked"] == 0, "one is no better specialist than the other"
        (tmp_path / "go").touch()
        results = {task: await result_of(swarm, task) for task in tasks}
        assert all(task in result for task, result in results.items())
        completed = [e_ for e_ in events_of(opened, swarm) if isinstance(e_, e.TaskCompleted)]
        assert sorted(event.task for event in completed) == sorted(tasks)
        done_by = {result[0] for result in results.values()}
        assert done_by == {first, second}
        together = max(len(result) - 1 for result in results.values())
        assert together > 1, "what waited for an agent was handed to it at once"

    with_core(settings, use)


def test_an_unknown_strategy_is_told_with_those_that_there_are(settings: ServerSettings) -> None:
    async def use(opened: OpenServer) -> None:
        client = Client(all_tools(opened.server))
        await client.call("swarm_init")
        fault = await client.refused("load_balance", strategy="round_robin")
        assert "even_distribution" in str(fault.data) + fault.message
        assert "capability" in str(fault.data) + fault.message

    with_core(settings, use)


def test_scaling_down_tells_those_that_finish_what_they_hold(
    settings: ServerSettings, tmp_path: Path
) -> None:
    async def use(opened: OpenServer) -> None:
        client = Client(all_tools(opened.server))
        await client.call("swarm_init")
        up = await client.call("agent_scale", agentType="bulk", count=2)
        swarm = opened.server.swarms.get(up["swarmId"])
        assert up["draining"] == 0
        tasks = await order(client, tmp_path, 2, "other")
        await until(lambda: all(a.open for a in swarm.state.agents.values()), PATIENCE_S)
        down = await client.call("agent_scale", agentType="bulk", count=0)
        assert (down["now"], down["draining"]) == (0, 2)
        known = await client.call("agent_scale", agentType="bulk", count=0)
        assert (known["before"], known["now"], known["draining"], known["ended"]) == (0, 0, 2, [])
        (tmp_path / "go").touch()
        await asyncio.gather(*(ended(swarm, task) for task in tasks))
        await until(lambda: not swarm.state.agents, PATIENCE_S)
        after = await client.call("agent_scale", agentType="bulk", count=0)
        assert after["draining"] == 0

    with_core(settings, use)


@pytest.mark.parametrize("autoscale", [True, False])
def test_a_number_asked_for_by_hand_begins_the_cool_down_of_a_swarm_that_is_scaled_by_its_load(
    settings: ServerSettings, autoscale: bool
) -> None:
    async def use(opened: OpenServer) -> None:
        client = Client(all_tools(opened.server))
        await client.call("swarm_init", autoscale=autoscale)
        up = await client.call("agent_scale", agentType="bulk", count=3)
        swarm = opened.server.swarms.get(up["swarmId"])
        kinds = (s.ScaleDecided, e.AgentSpawned)
        found = [each for each in events_of(opened, swarm) if isinstance(each, kinds)]
        assert sum(isinstance(each, e.AgentSpawned) for each in found) == 3
        if not autoscale:
            assert len(found) == 3 and up["warnings"] == []
            return
        first = found[0]
        assert isinstance(first, s.ScaleDecided), "before there is anything that could be undone"
        assert (first.agent_type, first.before, first.after) == ("bulk", 0, 3)
        assert "agent_scale asked for 3" in first.evidence
        (warning,) = up["warnings"]
        assert "after 1 s the number of bulk agents may change" in warning

    with_core(settings, use)


@pytest.mark.acceptance("scale")
def test_agents_follow_the_load_between_the_minimum_and_the_maximum_of_their_type(
    settings: ServerSettings, tmp_path: Path
) -> None:
    async def use(opened: OpenServer) -> None:
        client = Client(all_tools(opened.server))
        made = await client.call("swarm_init", autoscale=True)
        assert made["autoscale"] is True
        swarm = opened.server.swarms.get(made["swarmId"])
        named = (await client.call("agent_spawn", agentType="bulk", wait=True))["agentId"]
        tasks = await order(client, tmp_path, 12, "other")
        await until(lambda: len(swarm.state.agents) == 3, PATIENCE_S)
        (tmp_path / "go").touch()
        for task in tasks:
            assert (await ended(swarm, task)).status is TaskStatus.COMPLETED
        await until(lambda: list(swarm.state.agents) == [named], PATIENCE_S)
        decided = [x for x in events_of(opened, swarm) if isinstance(x, s.ScaleDecided)]
        steps = [(event.before, event.after) for event in decided]
        assert steps[0] == (1, 2) and steps[-1][1] == 1
        assert max(after for _, after in steps) == 3
        assert all("wait" in event.evidence for event in decided)

    with_core(settings, use)
