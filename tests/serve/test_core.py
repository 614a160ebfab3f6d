"""The core of the server: opened, closed and opened again, with workers of several swarms."""

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest
from served import ended, new_swarm, result_of, settings_in, spawn, submit, until, with_core

from visionflow.compose.serve.opening import OpenServer, open_server
from visionflow.domain.agents import AgentStatus
from visionflow.domain.errors import LogUnavailable, Refused, StoreInUse, UnknownSwarm
from visionflow.domain.tasks import TaskStatus
from visionflow.ports.log import Head


def test_workers_of_two_swarms_have_one_name_and_hear_nothing_of_each_other(tmp_path: Path) -> None:
    async def use(opened: OpenServer) -> tuple[dict[str, Any], dict[str, Any]]:
        one, two = await new_swarm(opened, "swarm_1"), await new_swarm(opened, "Swarm.1:b")
        await spawn(one, "Where")
        await spawn(two, "Where")
        assert list(one.state.workers) == list(two.state.workers) == ["w1"]
        told = [await result_of(each, await submit(each, "where")) for each in (one, two)]
        assert told[0]["pid"] == one.state.workers["w1"].pid
        assert told[1]["pid"] == two.state.workers["w1"].pid
        return told[0], told[1]

    one, two = with_core(settings_in(tmp_path), use)
    assert one["pid"] != two["pid"]
    assert Path(one["folder"]).parent != Path(two["folder"]).parent
    for told in (one, two):
        assert Path(told["folder"]).is_relative_to(tmp_path / "home" / "server" / "agents")


@pytest.mark.acceptance("durable")
def test_after_a_restart_agents_are_back_under_their_ids_and_open_tasks_run_on(
    tmp_path: Path,
) -> None:
    trace, go = tmp_path / "trace", tmp_path / "go"
    settings = settings_in(tmp_path)

    async def begin(opened: OpenServer) -> tuple[str, str, int | None, str]:
        swarm = await new_swarm(opened)
        agent = await spawn(swarm, "Waiter")
        task = await submit(swarm, "waiter", {"trace": str(trace), "go": str(go)})
        await until(trace.exists)
        pid = swarm.state.workers["w1"].pid
        await opened.close(kill=True)
        return agent, task, pid, swarm.id

    agent, task, pid, name = with_core(settings, begin)

    async def go_on(opened: OpenServer) -> None:
        swarm = opened.server.swarms.get(name)
        assert list(swarm.state.agents) == [agent]
        go.touch()
        assert (await ended(swarm, task)).status is TaskStatus.COMPLETED
        assert swarm.state.workers["w1"].pid != pid
        await until(lambda: swarm.state.agents[agent].status is AgentStatus.READY)

    with_core(settings, go_on)
    assert [line.split()[0] for line in trace.read_text().splitlines()] == ["1", "2"]


def test_a_store_in_use_is_refused_with_who_uses_it_and_what_to_do(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)

    async def again(opened: OpenServer) -> None:
        del opened
        with pytest.raises(StoreInUse, match=f"process {os.getpid()}.*kill {os.getpid()}.*--home"):
            await open_server(settings)

    with_core(settings, again)
    with_core(settings, lambda opened: opened.core.fleet.settled())


def test_a_destroyed_swarm_leaves_nothing_that_runs_and_its_tasks_are_cancelled(
    tmp_path: Path,
) -> None:
    trace = tmp_path / "trace"
    settings = settings_in(tmp_path)

    async def use(opened: OpenServer) -> str:
        swarms = opened.server.swarms
        swarm = await new_swarm(opened)
        await spawn(swarm, "Waiter")
        running = await submit(swarm, "waiter", {"trace": str(trace), "go": "/nowhere"})
        queued = await submit(swarm, "nobody has this")
        await until(trace.exists)
        pid = int(trace.read_text().split()[1])
        await swarms.destroy(swarm.id, "not needed", "tests", "call-1")
        for task in (running, queued):
            assert swarm.state.tasks[task].status is TaskStatus.CANCELLED
        assert not Path(f"/proc/{pid}").exists()
        await swarms.destroy(swarm.id, "not needed", "tests", "call-1")
        with pytest.raises(UnknownSwarm):
            swarms.get(swarm.id)
        with pytest.raises(Refused):
            await swarms.destroy(swarm.id, "again", "tests", "call-2")
        assert swarms.agents == 0
        return swarm.id

    with_core(settings, use)

    async def gone(opened: OpenServer) -> None:
        assert opened.server.swarms.all() == []

    with_core(settings, gone)


def test_when_the_log_cannot_be_written_nothing_is_answered_any_more_and_the_owner_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def use(opened: OpenServer) -> None:
        swarm = await new_swarm(opened)
        await spawn(swarm, "Echo")

        def full(stream: str, expect: int, body: bytes) -> "asyncio.Future[Head]":
            del stream, expect, body
            done: asyncio.Future[Head] = asyncio.get_running_loop().create_future()
            done.set_exception(LogUnavailable("The disk is full."))
            return done

        monkeypatch.setattr(opened.core.log, "append", full)
        with pytest.raises(LogUnavailable, match="disk is full"):
            await submit(swarm, "echo")
        assert isinstance(await opened.failed(), LogUnavailable)
        with pytest.raises(LogUnavailable, match="disk is full"):
            await submit(swarm, "echo")
        with pytest.raises(LogUnavailable):
            await swarm.settled()
        assert "failed" in opened.core.lines.tail(level="error")[-1]

    with_core(settings_in(tmp_path), use)


def test_the_clock_of_a_server_does_not_go_back_over_a_restart(tmp_path: Path) -> None:
    settings, ahead_ms = settings_in(tmp_path), 3_600_000

    async def ahead(opened: OpenServer) -> int:
        swarm = await new_swarm(opened)
        now_ms = opened.core.host.now_ms() + ahead_ms
        opened.core.host.now_ms = lambda: now_ms  # type: ignore[method-assign]
        await submit(swarm, "nobody has this")
        return now_ms

    latest_ms = with_core(settings, ahead)

    async def later(opened: OpenServer) -> None:
        assert opened.server.now_ms() >= latest_ms
        assert opened.server.started_ms >= latest_ms

    with_core(settings, later)
