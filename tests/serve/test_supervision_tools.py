"""The tools of supervision over a running core: health, restarts, resets, reconnecting, looks."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import psutil
import pytest
from served import ended, new_swarm, result_of, settings_in, status_of, submit, until, with_core
from toolcalls import Tools, agent_up

from visionflow.adapters.lines import LineLog
from visionflow.compose.serve.opening import OpenServer
from visionflow.domain.access import Role
from visionflow.domain.agents import AgentStatus
from visionflow.domain.errors import Forbidden, UnknownAgent, UsageError
from visionflow.domain.tasks import TaskStatus
from visionflow.runtime.swarms import LiveSwarm

FAR_S = 120.0


def said(opened: OpenServer, agent: str | None = None) -> list[tuple[str, ...]]:
    """Of each line: level, agent, code, message."""
    assert isinstance(opened.core.lines, LineLog)
    return [tuple(line.split(" ", 5)[2:]) for line in opened.core.lines.tail(agent, limit=10_000)]


def pid_of(swarm: LiveSwarm, agent: str) -> int:
    pid = swarm.state.workers[swarm.state.agents[agent].worker].pid
    assert pid is not None
    return pid


# agent_health ----------------------------------------------------------------------------------


def test_a_healthy_agent_is_told_with_all_that_signals_and_the_system_say(tmp_path: Path) -> None:
    async def use(opened: OpenServer) -> None:
        swarm, tools = await new_swarm(opened), Tools(opened)
        agent = await agent_up(swarm, "Echo")
        await result_of(swarm, await submit(swarm, "echo", 1))
        worker = swarm.state.agents[agent].worker
        await until(lambda: swarm.node.liveness.last_heard(worker) is not None)
        told = await tools("agent_health", {"agentId": agent})
        (one,) = told["agents"]
        assert told["healthy"] and one["healthy"] and one["reasons"] == []
        assert one["pid"] == pid_of(swarm, agent) and one["process"] == "running"
        assert one["probes"] == {"heartbeat": True, "ping": True, "process": True}
        assert one["circuit"] == "closed" and one["incarnation"] == 1 and one["restarts"] == 0
        assert one["lastHeartbeatAge"] >= 0 and one["errorRate"] == 0.0
        assert one["currentTask"] is None and one["currentTaskSeconds"] is None
        whole = await tools("agent_health")
        assert [each["agentId"] for each in whole["agents"]] == [agent] and whole["total"] == 1

    with_core(settings_in(tmp_path), use)


def test_an_agent_whose_process_was_stopped_is_not_healthy_and_says_what_did_not_answer(
    tmp_path: Path,
) -> None:
    async def use(opened: OpenServer) -> None:
        swarm, tools = await new_swarm(opened), Tools(opened)
        agent = await agent_up(swarm, "Echo")
        pid = pid_of(swarm, agent)
        os.kill(pid, signal.SIGSTOP)
        try:
            (one,) = (await tools("agent_health", {"agentId": agent}))["agents"]
            assert one["process"] == "stopped" and not one["healthy"]
            assert any("ping, process" in why for why in one["reasons"])
        finally:
            os.kill(pid, signal.SIGCONT)

    with_core(settings_in(tmp_path), use)


def test_one_that_has_left_is_said_to_have_left_and_an_unknown_one_is_unknown(
    tmp_path: Path,
) -> None:
    async def use(opened: OpenServer) -> None:
        swarm, tools = await new_swarm(opened), Tools(opened)
        agent = await agent_up(swarm, "Echo")
        await tools("agent_terminate", {"agentId": agent})
        await until(lambda: agent not in swarm.state.agents)
        (one,) = (await tools("agent_health", {"agentId": agent}))["agents"]
        assert one["status"] == "terminated" and one["reasons"] == ["it has left"]
        with pytest.raises(UnknownAgent):
            await tools("agent_health", {"agentId": "nobody"})

    with_core(settings_in(tmp_path), use)


# agent_restart ---------------------------------------------------------------------------------


@pytest.mark.acceptance("recover")
def test_a_restarted_agent_keeps_its_id_and_record_and_others_get_what_it_held(
    tmp_path: Path,
) -> None:
    async def use(opened: OpenServer) -> None:
        swarm, tools = await new_swarm(opened), Tools(opened)
        agent = await agent_up(swarm, "Holder", memory_bytes=256 * 1024 * 1024)
        before = pid_of(swarm, agent)
        task = await submit(swarm, "holder", str(tmp_path))
        await until(lambda: (tmp_path / f"{task}.began").exists())
        (tmp_path / "go").touch()
        told = await tools("agent_restart", {"agentId": agent, "wait": True})
        assert told["agentId"] == agent and told["openTasks"] == 1
        assert told["status"] in ("ready", "processing") and not told["restarting"]
        assert told["pid"] == pid_of(swarm, agent) != before and told["incarnation"] == 2
        assert not psutil.pid_exists(before)
        await result_of(swarm, task)
        assert swarm.state.agents[agent].completed == 1

    with_core(settings_in(tmp_path), use, FAR_S)


def test_a_restart_that_drains_waits_for_what_the_agent_holds(tmp_path: Path) -> None:
    async def use(opened: OpenServer) -> None:
        swarm, tools = await new_swarm(opened), Tools(opened)
        agent = await agent_up(swarm, "Holder")
        task = await submit(swarm, "holder", str(tmp_path))
        await until(lambda: (tmp_path / f"{task}.began").exists())
        told = await tools("agent_restart", {"agentId": agent, "drain": True})
        assert told["restarting"] and told["status"] == "processing"
        (tmp_path / "go").touch()
        await result_of(swarm, task)
        again = await tools("agent_restart", {"agentId": agent, "wait": True})
        assert not again["restarting"] and again["status"] == "ready"
        assert swarm.state.tasks[task].attempt == 1, "it was finished, not given out again"

    with_core(settings_in(tmp_path), use, FAR_S)


# Ends of processes -----------------------------------------------------------------------------


@pytest.mark.acceptance("recover")
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux shows environments")
def test_what_a_worker_started_ends_with_it_in_whatever_session(tmp_path: Path) -> None:
    async def use(opened: OpenServer) -> None:
        swarm, tools = await new_swarm(opened), Tools(opened)
        path = f"{Path(__file__).parent / 'stubborn_agents.py'}:Stubborn"
        await swarm.ask(swarm.node.intake.agent("stubborn", path, capabilities=("stubborn",)))
        trace = tmp_path / "trace"
        files = {"trace": str(trace), "go": str(tmp_path / "go")}
        await submit(swarm, "stubborn", files)

        def lives() -> list[list[int]]:
            lines = trace.read_text().splitlines() if trace.exists() else []
            return [[int(word) for word in line.split()[1:]] for line in lines]

        await until(lambda: len(lives()) == 1)
        [[worker, *children]] = lives()
        os.kill(worker, signal.SIGKILL)
        await until(lambda: len(lives()) == 2)
        assert not any(map(running, children)), "the next attempt works beside them"
        await tools("swarm_reset", {"swarmId": "swarm_1"})
        await until(lambda: not any(map(running, lives()[1])))

    with_core(settings_in(tmp_path), use)


def running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


# swarm_reset -----------------------------------------------------------------------------------


def test_a_reset_leaves_no_task_agent_or_process_and_the_swarm_takes_work_again(
    tmp_path: Path,
) -> None:
    async def use(opened: OpenServer) -> None:
        swarm, tools = await new_swarm(opened), Tools(opened)
        holder = await agent_up(swarm, "Holder")
        await agent_up(swarm, "Echo", memory_bytes=256 * 1024 * 1024)
        running = await submit(swarm, "holder", str(tmp_path))
        await until(lambda: (tmp_path / f"{running}.began").exists())
        waiting = await submit(swarm, "nobody")
        pids = swarm.node.children.pids()
        assert len(pids) == 2
        told = await tools("swarm_reset", {"swarmId": "swarm_1", "reason": "begin anew"})
        assert (told["tasksCancelled"], told["agentsEnded"], told["processesEnded"]) == (2, 2, 2)
        assert (told["tasksLeft"], told["agentsLeft"], told["processesLeft"]) == (0, 0, 0)
        assert [pid for pid in pids if psutil.pid_exists(pid)] == []
        for task in (running, waiting):
            over = await ended(swarm, task)
            assert over.status is TaskStatus.CANCELLED and over.reason == "begin anew"
        assert holder not in swarm.state.agents and told["status"] == "active"
        await agent_up(swarm, "Echo")
        assert await result_of(swarm, await submit(swarm, "echo", 5)) == 5
        listed = await tools("task_list", {"swarmId": "swarm_1"})
        assert len(listed["tasks"]) == 3, "its log stays"
        with pytest.raises(Forbidden):
            await Tools(opened, role=Role.OPERATOR)("swarm_reset", {"swarmId": "swarm_1"})

    with_core(settings_in(tmp_path), use, FAR_S)


# swarm_reconnect -------------------------------------------------------------------------------


def test_reconnecting_replaces_a_worker_that_was_stopped_and_leaves_the_others(
    tmp_path: Path,
) -> None:
    async def use(opened: OpenServer) -> None:
        swarm, tools = await new_swarm(opened), Tools(opened)
        ceiling = 256 * 1024 * 1024
        well = await agent_up(swarm, "Echo", memory_bytes=ceiling)
        hung = await agent_up(swarm, "Echo", memory_bytes=ceiling)
        pids = {agent: pid_of(swarm, agent) for agent in (well, hung)}
        os.kill(pids[hung], signal.SIGSTOP)
        told = await tools("swarm_reconnect", {"swarmId": "swarm_1", "waitTimeout": 60})
        by_agent = {each["agentId"]: each for each in told["agents"]}
        assert (told["reachableBefore"], told["reachableAfter"]) == (1, 2)
        assert by_agent[well]["action"] == "none" and by_agent[hung]["action"] == "replaced"
        assert not by_agent[hung]["reachableBefore"] and by_agent[hung]["reachableAfter"]
        assert pid_of(swarm, well) == pids[well] and pid_of(swarm, hung) != pids[hung]
        assert not psutil.pid_exists(pids[hung])

    with_core(settings_in(tmp_path), use, FAR_S)


def test_reconnecting_starts_agents_again_that_were_given_up(tmp_path: Path) -> None:
    async def use(opened: OpenServer) -> None:
        swarm, tools = await new_swarm(opened), Tools(opened)
        agent = await agent_up(swarm, "Echo")
        worker = swarm.state.agents[agent].worker
        while status_of(swarm, agent) is not AgentStatus.FAILED:
            child = swarm.node.children.child(worker)
            if child is not None:
                os.kill(child.process.pid, signal.SIGSEGV)
            await asyncio.sleep(0.05)
        told = await tools("swarm_reconnect", {"swarmId": "swarm_1", "waitTimeout": 60})
        (one,) = told["agents"]
        assert one["action"] == "restarted" and one["reachableAfter"] and one["status"] == "ready"

    with_core(settings_in(tmp_path), use, FAR_S)


# swarm_monitor ---------------------------------------------------------------------------------


def test_a_look_at_a_swarm_counts_what_the_log_and_the_workers_say(tmp_path: Path) -> None:
    async def use(opened: OpenServer) -> None:
        swarm, tools = await new_swarm(opened), Tools(opened)
        empty = await tools("swarm_monitor")
        assert empty["connectivity"] == {
            "workers": 0,
            "answered": 0,
            "share": None,
            "suspected": [],
        }
        assert empty["latency"] == {"samples": 0, "p50": None, "p99": None}
        await agent_up(swarm, "Echo")
        for number in range(3):
            await result_of(swarm, await submit(swarm, "echo", number))
        told = await tools("swarm_monitor", {"interval": 3000})
        assert told["connectivity"]["answered"] == told["connectivity"]["workers"] == 1
        assert told["connectivity"]["share"] == 1.0 and told["interval"] == 3.0
        assert told["latency"]["samples"] == 3
        assert 0 <= told["latency"]["p50"] <= told["latency"]["p99"]
        assert told["throughput"]["completed"] == 3 and told["throughput"]["perMinute"] > 0
        assert (told["agents"], told["agentsReady"], told["openTasks"]) == (1, 1, 0)
        only = await tools("swarm_monitor", {"metrics": "latency"})
        assert only["connectivity"] is None and only["throughput"] is None
        with pytest.raises(UsageError):
            await tools("swarm_monitor", {"metrics": "speed"})

    with_core(settings_in(tmp_path), use)


# debug_enable ----------------------------------------------------------------------------------


@pytest.mark.acceptance("logs")
def test_lines_of_level_debug_are_kept_of_the_agent_that_was_named_and_of_no_other(
    tmp_path: Path,
) -> None:
    async def use(opened: OpenServer) -> None:
        swarm, tools = await new_swarm(opened), Tools(opened)
        named, other = await agent_up(swarm, "Echo"), await agent_up(swarm, "Chatty")
        await result_of(swarm, await submit(swarm, "chatty", "before"))
        assert all(line[0] != "DEBUG" for line in said(opened))
        told = await tools("debug_enable", {"agentId": named, "duration": "1h"})
        assert told["agents"] == [named] and told["until"] is not None
        health = (await tools("agent_health", {"agentId": named}))["agents"][0]
        assert health["debugUntil"] == told["until"]
        await result_of(swarm, await submit(swarm, "echo", 1))
        await result_of(swarm, await submit(swarm, "chatty", "x"))
        await until(lambda: any("begins" in line[3] for line in said(opened, named)))
        debug = [line for line in said(opened) if line[0] == "DEBUG"]
        assert {line[1] for line in debug} == {named}
        assert "step_finished" not in {line[2] for line in debug}
        ended_now = await tools("debug_enable", {"agentId": named, "duration": 0})
        assert ended_now["until"] is None
        count = len(said(opened, named))
        await result_of(swarm, await submit(swarm, "echo", 2))
        await swarm.settled()
        assert all(line[0] != "DEBUG" for line in said(opened, named)[count:])
        everybody = await tools("debug_enable", {"swarmId": "swarm_1", "duration": "5m"})
        assert sorted(everybody["agents"]) == sorted([named, other])
        with pytest.raises(UsageError):
            await tools("debug_enable", {"duration": "25h"})

    with_core(settings_in(tmp_path), use)
