"""The swarms of a server: how many agents, which is whose, and their ends, crashes in between."""

import asyncio
from collections.abc import Awaitable
from pathlib import Path

import pytest
from served import new_swarm, settings_in, spawn, submit, with_core
from toolcalls import Tools

from visionflow.compose.serve.opening import OpenServer
from visionflow.domain import commands as c
from visionflow.domain.errors import LimitReached, UnknownAgent, UnknownSwarm, UnknownTask
from visionflow.domain.swarms import SwarmSpec
from visionflow.domain.tasks import TaskStatus
from visionflow.runtime.swarms import LiveSwarm, Swarms


def spawning(swarms: Swarms, swarm: LiveSwarm, count: int = 1) -> Awaitable[None]:
    """Spawn so many agents within what all swarms together may have."""

    async def now() -> None:
        for _ in range(count):
            await spawn(swarm, "Echo", ready=False)

    return swarms.spawning(count, now)


@pytest.mark.acceptance("swarm-limit")
def test_of_fifty_spawns_at_once_exactly_the_limit_gets_in(tmp_path: Path) -> None:
    async def use(opened: OpenServer) -> None:
        swarms = opened.server.swarms
        both = [await new_swarm(opened, name) for name in ("swarm_1", "swarm_2")]
        told = await asyncio.gather(
            *(spawning(swarms, both[number % 2]) for number in range(50)), return_exceptions=True
        )
        assert [type(each) for each in told].count(type(None)) == 10
        assert sum(isinstance(each, LimitReached) for each in told) == 40
        assert swarms.agents == 10
        with pytest.raises(LimitReached, match=r"has 10 agents of at most 10.*MAX_AGENTS"):
            await spawning(swarms, both[0])

    with_core(settings_in(tmp_path, agents_max=10), use)


def test_nobody_is_refused_for_an_agent_that_is_counted_twice_while_it_is_spawned(
    tmp_path: Path,
) -> None:
    async def use(opened: OpenServer) -> None:
        swarms, swarm = opened.server.swarms, await new_swarm(opened)
        for _ in range(6):
            # Each pair stays within the limit by one, whichever is decided first.
            await asyncio.gather(spawning(swarms, swarm), spawning(swarms, swarm))
        assert swarms.agents == 12

    with_core(settings_in(tmp_path, agents_max=12), use)


def test_a_spawn_that_fails_leaves_its_place_to_the_next(tmp_path: Path) -> None:
    async def use(opened: OpenServer) -> None:
        swarms, swarm = opened.server.swarms, await new_swarm(opened)
        held = asyncio.Event()

        async def fail() -> None:
            await held.wait()
            raise UnknownAgent("it cannot be")

        failing = asyncio.ensure_future(swarms.spawning(2, fail))
        waiting = asyncio.ensure_future(spawning(swarms, swarm, 2))
        await asyncio.sleep(0)
        assert not waiting.done()
        held.set()
        with pytest.raises(UnknownAgent):
            await failing
        await waiting
        assert swarms.agents == 2

    with_core(settings_in(tmp_path, agents_max=2), use)


def test_a_swarm_that_is_asked_for_twice_under_one_command_is_one(tmp_path: Path) -> None:
    async def use(opened: OpenServer) -> None:
        swarms = opened.server.swarms
        specs = [SwarmSpec(id=f"swarm_{number}") for number in range(5)]
        found = await asyncio.gather(*(swarms.create(spec, "me", "call-1") for spec in specs))
        assert [each.id for each in found] == [found[0].id] * 5
        assert swarms.all() == [found[0]]
        await swarms.destroy(found[0].id, "over", "me")
        with pytest.raises(UnknownSwarm):
            await swarms.create(specs[0], "me", "call-1")

    with_core(settings_in(tmp_path), use)


def test_the_latest_swarm_is_the_clients_own_and_none_that_is_closed(tmp_path: Path) -> None:
    async def use(opened: OpenServer) -> None:
        swarms = opened.server.swarms
        assert swarms.latest("a") is None
        one, two = await new_swarm(opened, "swarm_1"), await new_swarm(opened, "swarm_2")
        swarms.latest_of["a"] = one.id
        assert (swarms.latest("a"), swarms.latest("b")) == (one, two)
        await two.end("closed")
        assert swarms.latest("b") is one
        await one.end("closed")
        assert swarms.latest("a") is None

    with_core(settings_in(tmp_path), use)


def test_an_agent_is_found_by_id_and_by_name_in_any_swarm(tmp_path: Path) -> None:
    async def use(opened: OpenServer) -> None:
        swarms = opened.server.swarms
        one, two = await new_swarm(opened, "swarm_1"), await new_swarm(opened, "swarm_2")
        command = one.node.intake.agent("echo", "x:Y", name="Ada")
        await one.ask(command)
        assert swarms.agent("Ada")[0] is one
        assert swarms.agent(command.spec.id, within=one)[1].spec.name == "Ada"
        with pytest.raises(UnknownAgent):
            swarms.agent("Ada", within=two)

    with_core(settings_in(tmp_path), use)


def test_a_swarm_whose_end_a_crash_broke_off_is_there_closed_and_the_retry_ends_it(
    tmp_path: Path,
) -> None:
    settings = settings_in(tmp_path)

    async def break_off(opened: OpenServer) -> tuple[str, str]:
        swarm = await new_swarm(opened)
        task = await submit(swarm, "nobody has this")
        await swarm.end("not needed", "call-1")
        await opened.close(kill=True)
        return swarm.id, task

    name, task = with_core(settings, break_off)

    async def again(opened: OpenServer) -> None:
        swarms = opened.server.swarms
        found = swarms.get(name)
        assert found.state.closed == "not needed"
        assert found.state.tasks[task].status is TaskStatus.CANCELLED
        await swarms.destroy(name, "not needed", "me", "call-1")
        await swarms.destroy(name, "not needed", "me", "call-1")
        assert swarms.find(name) is None

    with_core(settings, again)


def test_what_a_state_shows_is_told_only_when_it_is_durable(tmp_path: Path) -> None:
    async def use(opened: OpenServer) -> None:
        swarm = await new_swarm(opened)
        await swarm.settled()
        assert swarm.is_settled
        command = swarm.node.intake.agent("echo", "x:Y")
        swarm.node.control.offer(command)
        while command.spec.id not in swarm.state.agents:
            await asyncio.sleep(0)
        before = swarm.node.control.head.seq
        assert not swarm.is_settled
        await swarm.settled()
        assert swarm.node.control.head.seq == before + 1

    with_core(settings_in(tmp_path), use)


def test_who_waits_for_a_swarm_that_ends_is_told_so(tmp_path: Path) -> None:
    async def use(opened: OpenServer) -> None:
        swarm = await new_swarm(opened)
        tick = c.Tick(now_ms=swarm.now_ms)
        closing = asyncio.ensure_future(opened.close(kill=True))
        await closing
        with pytest.raises(Exception, match="closed"):
            await swarm.ask(tick)

    with_core(settings_in(tmp_path), use)


def test_who_looks_through_all_swarms_while_one_ends_hears_of_the_others(tmp_path: Path) -> None:
    async def use(opened: OpenServer) -> None:
        swarms = opened.server.swarms
        ending, staying = [await new_swarm(opened, name) for name in ("ending", "staying")]
        tools = Tools(opened)
        left = (await tools("agent_spawn", {"type": "coder", "swarmId": "staying"}))["agentId"]
        await tools("agent_terminate", {"agentId": left})
        await swarms.destroy("ending", "over", "tests")
        with pytest.raises(UnknownSwarm, match="ending is over"):
            await ending.read(lambda queries: queries.agents())
        swarms.all = lambda: [staying, ending]
        with pytest.raises(UnknownTask):
            await tools("task_status", {"taskId": "task_1_none"})
        swarms.all = lambda: [ending, staying]
        assert (await tools("agent_status", {"agentId": left}))["swarmId"] == "staying"
        gone = {"swarmId": "all", "status": "terminated"}
        assert [each["id"] for each in (await tools("agent_list", gone))["agents"]] == [left]

    with_core(settings_in(tmp_path), use)
