"""An agent that is to be another version is built anew once it works on nothing, and says so."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from orchestra import Bench, packed, run, spec, task, unpacked

from visionflow.agents.base import BaseAgent
from visionflow.agents.task import Task
from visionflow.domain.agents import AgentSpec
from visionflow.domain.messages import AgentDown, AgentUp, DropAgent, HostAgent, Result


class Versions:
    """What was built, ended and asked of agents that answer with their version."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.gates: dict[str, asyncio.Event] = {}

    def gate(self, name: str) -> asyncio.Event:
        return self.gates.setdefault(name, asyncio.Event())

    def agent(self) -> type[BaseAgent]:
        versions = self

        class Versioned(BaseAgent):
            async def start(self) -> None:
                if self.config.get("broken"):
                    raise RuntimeError("cannot be built like this")
                if self.config.get("waits"):
                    await versions.gate("start").wait()
                versions.seen.append(f"start {self.config.get('version', 0)}")

            async def stop(self) -> None:
                versions.seen.append(f"stop {self.config.get('version', 0)}")

            async def process_task(self, task: Task) -> Any:
                if task.input is not None:
                    await versions.gate(task.input).wait()
                return self.config.get("version", 0)

        return Versioned


def version(number: int, **config: object) -> HostAgent:
    settings = packed({"version": number, **config})
    return HostAgent(msgspec.structs.replace(spec("a1", "one"), config=settings), number)


async def began(bench: Bench, name: str) -> None:
    await bench.orchestrator.until(lambda: (name, 1) in bench.executor.held(), f"begin of {name}")


def told(bench: Bench) -> list[tuple[str, int]]:
    """Ends of tasks with their version, and versions that came up or did not, in order."""
    found: list[tuple[str, int]] = []
    for message in bench.orchestrator.heard:
        if isinstance(message, Result):
            found.append((message.task, unpacked(message.value)))
        elif isinstance(message, AgentUp):
            found.append(("up", message.revision))
        elif isinstance(message, AgentDown):
            found.append(("ended" if message.ended else "down", message.revision))
    return found


def on_bench(body: Callable[[Bench, Versions], Any], tmp_path: Path) -> None:
    async def whole() -> None:
        bench, versions = Bench(tmp_path, {}), Versions()
        await bench.start_one(versions.agent(), tasks_max=1)
        await body(bench, versions)
        await bench.stop()

    run(whole())


def test_an_idle_agent_is_built_anew_at_once_and_a_repeat_only_says_so(tmp_path: Path) -> None:
    async def body(bench: Bench, versions: Versions) -> None:
        bench.orchestrator.tell(version(1))
        await bench.orchestrator.wait_for(AgentUp, 2)
        bench.orchestrator.tell(version(1), task("t"))
        await bench.orchestrator.end_of("t")
        assert told(bench) == [("up", 0), ("up", 1), ("up", 1), ("t", 1)]
        assert versions.seen == ["start 0", "stop 0", "start 1"]

    on_bench(body, tmp_path)


def test_what_runs_and_waits_in_it_ends_first_in_the_version_before(tmp_path: Path) -> None:
    async def body(bench: Bench, versions: Versions) -> None:
        bench.orchestrator.tell(task("t1", value="g"), task("t2"), version(1))
        await began(bench, "t1")
        bench.orchestrator.tell(version(2))
        await began(bench, "t2")
        assert versions.seen == ["start 0"]
        versions.gate("g").set()
        await bench.orchestrator.wait_for(AgentUp, 2)
        bench.orchestrator.tell(task("t3"))
        await bench.orchestrator.end_of("t3")
        assert told(bench) == [("up", 0), ("t1", 0), ("t2", 0), ("up", 2), ("t3", 2)]
        assert versions.seen == ["start 0", "stop 0", "start 2"]

    on_bench(body, tmp_path)


def test_a_version_that_comes_while_another_is_built_follows_it(tmp_path: Path) -> None:
    async def body(bench: Bench, versions: Versions) -> None:
        bench.orchestrator.tell(version(1, waits=True), version(2), version(3))
        versions.gate("start").set()
        await bench.orchestrator.wait_for(AgentUp, 3)
        assert told(bench) == [("up", 0), ("up", 1), ("up", 3)]

    on_bench(body, tmp_path)


def test_a_version_that_cannot_be_built_is_told_and_the_next_one_may_be(tmp_path: Path) -> None:
    async def body(bench: Bench, versions: Versions) -> None:
        bench.orchestrator.tell(version(1, broken=True))
        (down,) = await bench.orchestrator.wait_for(AgentDown)
        assert (down.agent, down.revision, down.ended) == ("a1", 1, False)
        assert "cannot be built like this" in down.reason
        bench.orchestrator.tell(version(2))
        await bench.orchestrator.wait_for(AgentUp, 2)
        bench.orchestrator.tell(task("u"))
        await bench.orchestrator.end_of("u")
        assert ("u", 2) in told(bench) and versions.seen == ["start 0", "stop 0", "start 2"]

    on_bench(body, tmp_path)


def test_an_agent_that_is_ended_meanwhile_is_not_built_again(tmp_path: Path) -> None:
    async def body(bench: Bench, versions: Versions) -> None:
        bench.orchestrator.tell(task("t", value="g"), version(1))
        await began(bench, "t")
        bench.orchestrator.tell(DropAgent("a1"))
        await bench.orchestrator.wait_for(AgentDown)
        versions.gate("g").set()
        bench.orchestrator.tell(HostAgent(_plain()))
        await bench.orchestrator.wait_for(AgentUp, 2)
        assert told(bench) == [("up", 0), ("ended", 0), ("up", 0)]

    def _plain() -> AgentSpec:
        return spec("a1", "one")

    on_bench(body, tmp_path)
