"""Agents seen and mended from Python, as the guide writes it: embedded and of a server."""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.serve.server_process import serving
from visionflow import (
    AgentOrchestrator,
    AgentRecycler,
    FailureDetector,
    RecoveryManager,
    RetryPolicy,
    Task,
    TaskFailed,
)
from visionflow.domain.errors import UnknownAgent, UsageError
from visionflow.domain.tasks import Backoff

HERE = Path(__file__).parent / "mended_agents.py"
GUIDE = Path(__file__).parents[3] / "shared" / "guide" / "orchestrating-agents.md"
ONCE = RetryPolicy(backoff=Backoff.NONE)
MB = 1 << 20
PATIENCE_S = 120


def with_fleet(use: Callable[[Any, Any], Awaitable[None]]) -> None:
    """An orchestrator and its fleet, embedded in this program."""

    async def run() -> None:
        orchestrator = AgentOrchestrator()
        async with asyncio.timeout(PATIENCE_S), orchestrator as fleet:
            await use(orchestrator, fleet)

    asyncio.run(run())


async def failed(fleet: Any, kind: str, given: object, **more: Any) -> None:
    with pytest.raises(TaskFailed):
        await fleet.submit(
            Task(type=kind, input=given, required_capabilities=[kind]), retry=ONCE, **more
        )


def snippet() -> str:
    """The guide's block "Implement error recovery"."""
    text = GUIDE.read_text(encoding="utf-8")
    return next(each for each in text.split("```python\n") if "# Implement error recovery" in each
                ).partition("```")[0]  # fmt: skip


@pytest.mark.skipif(not GUIDE.exists(), reason="the guide is not beside the project")
@pytest.mark.acceptance("recover", "python-api")
def test_the_guides_error_recovery_runs_as_written_and_does_what_it_says() -> None:
    async def use(orchestrator: Any, fleet: Any) -> None:
        names = {
            name: getattr(orchestrator, name)
            for name in ("get_agent_errors", "update_agent_config", "scale_agent_resources",
                         "restart_agent")
        }  # fmt: skip
        scope: dict[str, Any] = {"Counter": Counter, **names}
        exec(compile(snippet(), "guide", "exec"), scope)
        handle = scope["handle_high_error_rate"]
        state = fleet.sync._runtime.node.control.state
        (slow,) = await fleet.spawn(f"{HERE}:Sloth", capabilities=["slow"])
        (hungry,) = await fleet.spawn(f"{HERE}:Hungry", capabilities=["hungry"])
        (clumsy,) = await fleet.spawn(f"{HERE}:Clumsy", capabilities=["clumsy"])
        await failed(fleet, "slow", 60, timeout_ms=200)
        await failed(fleet, "hungry", 9)
        await failed(fleet, "clumsy", "a cup")
        (error,) = await orchestrator.get_agent_errors(clumsy.id)
        assert error["type"] == "error" and "a cup broke" in error["message"]
        assert state.tasks[error["task"]].status == "failed" and error["at"].startswith("20")
        await handle(slow.id)
        assert (await (await orchestrator.mending()).config(slow.id)) == {"timeout": 600}
        await handle(hungry.id)
        assert state.agents[hungry.id].spec.limits.memory_bytes == 8 << 30
        before = state.revisions.get(clumsy.id, 0)
        await handle(clumsy.id)
        assert state.revisions[clumsy.id] == before + 1
        assert state.agents[clumsy.id].status == "ready"

    with_fleet(use)


@pytest.mark.acceptance("recover", "python-api")
def test_the_guides_recovery_manager_does_the_real_thing_by_the_type_of_failure() -> None:
    async def use(orchestrator: Any, fleet: Any) -> None:
        state = fleet.sync._runtime.node.control.state
        (agent,) = await fleet.spawn(
            f"{HERE}:Sloth", capabilities=["slow"], config={"timeout": 100},
            memory_bytes=200 * MB,
        )  # fmt: skip
        manager, mending = RecoveryManager(orchestrator), await orchestrator.mending()
        seen = await manager.recover_agent(agent.id, "timeout")
        assert seen.status == "ready" and await mending.config(agent.id) == {"timeout": 150.0}
        seen = await manager.recover_agent(agent.id, "resource_exhaustion")
        assert state.agents[agent.id].spec.limits.memory_bytes == 300 * MB
        assert seen.memory_limit_bytes == 300 * MB and seen.status == "ready"
        child = fleet.sync._runtime.node.children.child(state.agents[agent.id].worker)
        assert (await manager.recover_agent(agent.id, "network_failure")).probes["ping"]
        same = fleet.sync._runtime.node.children.child(state.agents[agent.id].worker)
        assert same is child, "one that answers is left alone"
        seen = await manager.recover_agent(agent.id, "crash")
        assert seen.status == "ready"
        other = fleet.sync._runtime.node.children.child(state.agents[agent.id].worker)
        assert other is not child
        with pytest.raises(UnknownAgent):
            await manager.recover_agent("nobody", "deadlock")

    with_fleet(use)


@pytest.mark.acceptance("detect", "python-api")
def test_the_guides_failure_detector_verifies_by_a_majority_and_handles_one_that_is_gone() -> None:
    async def use(orchestrator: Any, fleet: Any) -> None:
        state = fleet.sync._runtime.node.control.state
        (agent,) = await fleet.spawn(f"{HERE}:Sloth", capabilities=["slow"])
        while state.agents[agent.id].status != "ready":
            await asyncio.sleep(0.01)
        detector = FailureDetector(orchestrator, heartbeat_interval=3_600)
        assert not await detector.verify_failure(agent.id)
        while agent.id not in detector.last_heartbeat:
            await detector.look()
        assert detector.failure_history == {}
        handled: list[str] = []

        async def handler(agent_id: str) -> None:
            handled.append(agent_id)

        detector.failure_handlers[agent.id] = handler
        pid = state.workers[state.agents[agent.id].worker].pid
        os.kill(pid, signal.SIGSTOP)
        assert await detector.verify_failure(agent.id)
        await detector.handle_potential_failure(agent.id)
        assert handled == [agent.id]
        (failure,) = detector.failure_history[agent.id]
        assert failure["type"] == "heartbeat_timeout" and failure["timestamp"] > 0
        os.kill(pid, signal.SIGCONT)

    with_fleet(use)


@pytest.mark.acceptance("recycle", "python-api")
def test_the_guides_recycler_replaces_the_process_of_one_that_holds_too_much() -> None:
    async def use(orchestrator: Any, fleet: Any) -> None:
        state = fleet.sync._runtime.node.control.state
        (full,) = await fleet.spawn(
            f"{HERE}:Keeper", capabilities=["keeping"], config={"megabytes": 100},
            memory_bytes=400 * MB,
        )  # fmt: skip
        (small,) = await fleet.spawn(f"{HERE}:Sloth", capabilities=["slow"])
        mending = await orchestrator.mending()
        while (await mending.seen(full.id)).memory_bytes is None:
            await asyncio.sleep(0.1)
        assert await AgentRecycler(orchestrator, memory_share=0.99).recycle_once() == []
        pid = state.workers[state.agents[full.id].worker].pid
        assert await AgentRecycler(orchestrator, memory_share=0.05).recycle_once() == [full.id]
        assert state.workers[state.agents[full.id].worker].pid != pid
        assert state.agents[small.id].status == "ready"

    with_fleet(use)


@pytest.mark.acceptance("python-api")
def test_a_servers_agents_are_seen_and_mended_the_same_way(tmp_path: Path) -> None:
    async def use(host: str, port: int) -> None:
        orchestrator: Any = AgentOrchestrator(mcp_host=host, mcp_port=port)
        try:
            agent = await orchestrator.spawn_agent("clumsy")
            mending = await orchestrator.mending()
            assert await mending.agents() == [agent.id]
            with pytest.raises(TaskFailed):
                await orchestrator._remote.run(Task(type="clumsy", input="a cup"), agent=agent)
            errors = await orchestrator.get_agent_errors(agent.id)
            assert {each["type"] for each in errors} == {"error"} and errors[0]["message"]
            await orchestrator.update_agent_config(agent.id, {"colour": "blue"})
            assert (await mending.config(agent.id))["colour"] == "blue"
            seen = await orchestrator.restart_agent(agent.id)
            assert seen.status == "ready" and seen.probes["ping"]
            await orchestrator.scale_agent_resources(agent.id, {"memory": "512Mi"})
            seen = await RecoveryManager(orchestrator).recover_agent(
                agent.id, "resource_exhaustion"
            )
            assert seen.memory_limit_bytes == 768 * MB
            with pytest.raises(UsageError):
                await orchestrator.scale_agent_resources(agent.id, {"cpu": "2"})
        finally:
            await orchestrator.aclose()

    templates = tmp_path / "own.yaml"
    templates.write_text(f"agent_templates:\n  clumsy: {{class: {HERE}:Clumsy}}\n")
    with serving(tmp_path, "--agents", str(templates)) as served:
        host, _, port = served.told["tcp"].rpartition(":")
        asyncio.run(asyncio.wait_for(use(host, int(port)), PATIENCE_S))
