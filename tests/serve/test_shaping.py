"""The topology of a live swarm, proposed with figures and switched; and members made equal."""

import asyncio
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.serve.served import new_swarm, result_of, settings_in, spawn, submit, with_core
from tests.serve.tool_client import Client
from visionflow.compose.serve.opening import OpenServer
from visionflow.domain import shape_events as h
from visionflow.domain.events import decode_record
from visionflow.engine.effects import Host
from visionflow.interfaces.tools.all import all_tools
from visionflow.testing.checkers import LogCheck

NAMES = ("hierarchical", "star", "mesh", "ring", "sequential")


@pytest.mark.acceptance("swarm-topology")
@pytest.mark.acceptance("cli")
def test_a_topology_is_proposed_with_what_it_rests_on_and_switched_when_asked(
    tmp_path: Path,
) -> None:
    async def use(opened: OpenServer) -> None:
        swarm = await new_swarm(opened)
        client = Client(all_tools(opened.server))
        await spawn(swarm, "Echo")
        nothing = await client.call("topology_optimize", swarmId="swarm_1")
        assert (nothing["topology"], nothing["proposed"], nothing["gain"]) == (
            "hierarchical",
            None,
            None,
        )
        assert [each["topology"] for each in nothing["topologies"]] == list(NAMES)
        assert all(each["makespanSeconds"] is None for each in nothing["topologies"])
        assert all(each["errorRate"] is None for each in nothing["topologies"])
        for number in range(12):
            await result_of(swarm, await submit(swarm, "echo", {"text": str(number)}))
        told = await client.call("topology_optimize", swarmId="swarm_1")
        here = told["topologies"][0]
        assert here["tasksMeasured"] == 12 and here["errorRate"] == 0
        assert here["tasksPerSecond"] > 0
        assert told["plan"]["tasks"] == 0
        fault = await client.refused("topology_optimize", swarmId="swarm_1", apply=True)
        assert fault.data["code"] == "no_gain"
        done = await client.call(
            "topology_optimize", key="k", swarmId="swarm_1", apply=True, topology="star"
        )
        assert (done["topology"], done["applied"], done["onTrial"]) == ("star", True, True)
        again = await client.call(
            "topology_optimize", key="k", swarmId="swarm_1", apply=True, topology="star"
        )
        assert again["switches"] == 1, "the same key switches once"
        assert (await result_of(swarm, await submit(swarm, "echo", {"text": "on"}))) is not None
        entries = opened.core.log.read(swarm.id)
        events = [each for entry in entries for each in decode_record(entry.body).events]
        (switched,) = [each for each in events if isinstance(each, h.TopologySwitched)]
        assert switched.measured is not None and switched.measured.done == 12
        assert "local:me" in switched.reason

    with_core(settings_in(tmp_path), use)


@pytest.mark.acceptance("swarm-topology")
def test_a_live_swarm_goes_through_topologies_and_finishes_what_it_holds(tmp_path: Path) -> None:
    async def use(opened: OpenServer) -> None:
        swarm = await new_swarm(opened)
        client = Client(all_tools(opened.server))
        agents = [await spawn(swarm, "Echo") for _ in range(3)]
        tasks: list[str] = []
        for topology in ("mesh", "ring", "sequential", "mesh", "star", "hierarchical"):
            tasks += [await submit(swarm, "echo", {"text": topology}) for _ in range(4)]
            told = await client.call(
                "topology_optimize", swarmId="swarm_1", apply=True, topology=topology
            )
            status = await client.call("swarm_status", swarmId="swarm_1")
            assert told["topology"] == status["topology"] == topology
            tasks += [await submit(swarm, "echo", {"text": topology}) for _ in range(4)]
        for task in tasks:
            assert await result_of(swarm, task) is not None
        assert list(swarm.state.agents) == agents
        assert swarm.state.shape.switches == 6
        check = LogCheck()
        for entry in opened.core.log.read(swarm.id):
            check.record(entry.body)
        assert check.faults == []

    with_core(settings_in(tmp_path), use, 120)


@pytest.mark.acceptance("cli")
def test_what_a_worker_has_beside_the_log_is_ended(tmp_path: Path) -> None:
    async def use(opened: OpenServer) -> None:
        swarm = await new_swarm(opened)
        client = Client(all_tools(opened.server))
        first, second = await spawn(swarm, "Echo"), await spawn(swarm, "Echo")
        calm = await client.call("coordination_sync", swarmId="swarm_1")
        assert calm["equal"] is True
        assert sorted(each["agentId"] for each in calm["members"]) == sorted([first, second])
        assert all(e["expected"] == e["before"] == e["after"] for e in calm["members"])
        assert (calm["resent"], calm["silent"]) == ([], [])
        sessions, state = swarm.node.sessions, swarm.state
        worker = state.workers[state.agents[first].worker]
        # Behind the back of the log: one that nobody knows is built.
        stranger = replace(state.agents[first].spec, id="agent_x", name="x")
        sessions.host(Host(worker.id, worker.incarnation, "agent_x", 0), stranger)
        sessions.send(sessions.pack())
        until = asyncio.get_running_loop().time() + 60
        while not (found := await swarm.node.syncing.differing()):
            assert asyncio.get_running_loop().time() < until, "it did not come to differ"
        assert [(each.agent, each.difference) for _, each in found] == [("agent_x", "unknown")]
        mended = await client.call("coordination_sync", swarmId="swarm_1")
        assert mended["equal"] is True
        (told,) = mended["resent"]
        assert (told["agentId"], told["difference"]) == ("agent_x", "unknown")
        assert await swarm.node.syncing.differing() == []
        task = await submit(swarm, "echo", {"text": "here"}, agent=first)
        assert await result_of(swarm, task) is not None

    with_core(settings_in(tmp_path), use, 120)
