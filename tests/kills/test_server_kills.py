"""`visionflow serve` killed with -9 while clients work: what they were told is there, once.

Clients are `MCPClient`s, which ask again under their keys until they are answered. Kills come at
moments that a seed draws; whatever then goes wrong is in the log, which is read at the end.
"""

import asyncio
import os
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.serve.server_process import Served, alive, free_port, serving, until
from visionflow import MCPClient
from visionflow.adapters.sqlite.log import SqliteLog
from visionflow.domain import events as e
from visionflow.domain.events import decode_record
from visionflow.domain.fleet import STREAM, MemoryStored, decode_fleet_record

SEEDS = range(4) if os.environ.get("VISIONFLOW_RELEASE") == "1" else range(1)
LIMIT_S = 150.0
CLIENTS = 4
ROUNDS = 12
ATTEMPTS = 200
"""Each waits two seconds at most, so this is longer than any test may take."""


class Work:
    """What clients asked for and were told."""

    def __init__(self, served: Served, swarm: str) -> None:
        host, _, port = served.told["tcp"].rpartition(":")
        self.address = (host, int(port))
        self.swarm = swarm
        self.agents: dict[str, str] = {}
        self.tasks: dict[str, tuple[str, Any]] = {}
        self.values: dict[str, str] = {}
        self.done = 0

    def client(self) -> MCPClient:
        """One that does not give up."""
        return MCPClient(*self.address, retry_attempts=ATTEMPTS, timeout=LIMIT_S)

    async def keep(self, name: int) -> None:
        """One client: spawns, tasks and values, each under a key of its own."""
        async with self.client() as client:
            for round_ in range(ROUNDS):
                word = f"{name}-{round_}"
                if round_ % 4 == 0:
                    given = {"type": "echo", "swarmId": self.swarm, "name": f"echo-{word}"}
                    told = await client.call("agent_spawn", given, key=f"spawn {word}")
                    self.agents[word] = told["agentId"]
                task = {"description": word, "agentType": "echo", "input": word}
                given = {"task": task, "swarmId": self.swarm, "wait": True}
                told = await client.call("task_orchestrate", given, key=f"task {word}")
                self.tasks[word] = (told["taskId"], told["result"])
                given = {"key": word, "value": word}
                await client.call("memory_store", given, key=f"store {word}")
                self.values[word] = word
                self.done += 1

    async def wait(self, tool: str, given: dict[str, Any]) -> dict[str, Any]:
        """One client that waits for what is let go on at the end."""
        async with self.client() as client:
            return await client.call(tool, given, key=f"wait {tool}", timeout=LIMIT_S)

    async def reach(self, done: float) -> None:
        """Until so much is done."""
        while self.done < done * CLIENTS * ROUNDS:
            await asyncio.sleep(0.005)


def in_log(folder: Path, swarm: str) -> tuple[list[Any], list[str]]:
    """Events of a swarm, and the keys of values in the order they were stored."""
    log = SqliteLog.open(folder / "home" / "server" / "log.db", read_only=True)
    try:
        events = [event for entry in log.read(swarm) for event in decode_record(entry.body).events]
        kept = [
            event.key
            for entry in log.read(STREAM)
            for event in decode_fleet_record(entry.body).events
            if isinstance(event, MemoryStored)
        ]
    finally:
        log.close()
    return events, kept


def nothing_twice(work: Work, events: list[Any], kept: list[str], more: set[str]) -> None:
    """What was told is in the log, and in it once. `more`: tasks of clients that waited."""
    words = {f"{name}-{round_}" for name in range(CLIENTS) for round_ in range(ROUNDS)}
    assert work.values.keys() == work.tasks.keys() == words
    assert Counter(kept) == Counter(words)
    spawned = [v.spec.id for v in events if isinstance(v, e.AgentSpawned)]
    named = [v.spec.name for v in events if isinstance(v, e.AgentSpawned)]
    assert len(named) == len(set(named))
    assert set(work.agents.values()) <= set(spawned)
    submitted = [v.spec.id for v in events if isinstance(v, e.TaskSubmitted)]
    assert Counter(submitted) == Counter([task for task, _ in work.tasks.values()] + [*more])
    completed = Counter(v.task for v in events if isinstance(v, e.TaskCompleted))
    assert completed == Counter(submitted)
    assert {word: result for word, (_, result) in work.tasks.items()} == {w: w for w in words}


def prepared(served: Served) -> str:
    """A swarm with two agents that wait."""
    swarm: str = served.call("swarm_init", maxAgents=30)["swarmId"]
    for name in ("one", "two"):
        served.call("agent_spawn", type="waiter", swarmId=swarm, name=name, wait=True)
    return swarm


def held(folder: Path, name: str, swarm: str) -> dict[str, Any]:
    """A task that goes on once its file is there."""
    files = {"trace": str(folder / f"{name}.trace"), "go": str(folder / "go")}
    task = {"description": name, "agentId": name, "input": files, "timeout": 120}
    return {"task": task, "swarmId": swarm}


@pytest.mark.acceptance("durable")
@pytest.mark.parametrize("seed", SEEDS)
def test_clients_of_a_server_that_is_killed_lose_nothing_and_their_waits_go_on(
    tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    moments = sorted(chance.uniform(0.02, 0.95) for _ in range(3))

    async def run(served: Served, work: Work) -> list[dict[str, Any]]:
        waits = [
            asyncio.ensure_future(
                work.wait("task_orchestrate", {**held(tmp_path, "one", work.swarm), "wait": True})
            )
        ]
        async with work.client() as client:
            begun = await client.call("task_orchestrate", held(tmp_path, "two", work.swarm))
        given = {"taskId": begun["taskId"], "wait": True}
        waits.append(asyncio.ensure_future(work.wait("task_results", given)))
        await asyncio.to_thread(until, lambda: (tmp_path / "one.trace").exists())
        working = asyncio.gather(*(work.keep(name) for name in range(CLIENTS)))
        try:
            for moment in moments:
                await work.reach(moment)
                await asyncio.to_thread(served.kill_server)
                await asyncio.to_thread(served.started)
            await working
            assert not any(each.done() for each in waits)
            (tmp_path / "go").touch()
            return list(await asyncio.gather(*waits))
        finally:
            working.cancel()
            for each in waits:
                each.cancel()
            await asyncio.gather(working, *waits, return_exceptions=True)

    with serving(tmp_path, "--port", str(free_port()), "--max-agents", "40") as served:
        swarm = prepared(served)
        work = Work(served, swarm)
        began = served.call("agent_list", swarmId=swarm)["agents"]
        waited = asyncio.run(asyncio.wait_for(run(served, work), LIMIT_S))
        ended = {each["id"]: each["name"] for each in served.call("agent_list")["agents"]}
    assert {each["id"]: each["name"] for each in began}.items() <= ended.items()
    assert set(work.agents.values()) <= ended.keys()
    assert [each["status"] for each in waited] == ["completed"] * 2
    attempts = [
        len((tmp_path / f"{name}.trace").read_text().splitlines()) for name in ("one", "two")
    ]
    # Their worker lived through it all, and they went on in it.
    assert [each["result"] for each in waited] == attempts == [1, 1]
    events, kept = in_log(tmp_path, swarm)
    nothing_twice(work, events, kept, {each["taskId"] for each in waited})
    assert sum(isinstance(event, e.Recovered) for event in events) == 3


@pytest.mark.acceptance("durable")
def test_clients_outlive_a_front_that_is_killed_and_the_next_server_goes_on(tmp_path: Path) -> None:
    port = str(free_port())

    async def run(served: Served, work: Work) -> None:
        working = asyncio.gather(*(work.keep(name) for name in range(CLIENTS)))
        try:
            await work.reach(0.3)
            pid = served.pid
            await asyncio.to_thread(served.kill_front)
            await asyncio.to_thread(until, lambda: not alive(pid))
            with serving(tmp_path, "--port", port, "--max-agents", "40") as again:
                await working
                listed = await asyncio.to_thread(again.call, "agent_list", swarmId=work.swarm)
                assert {each["id"] for each in listed["agents"]} >= set(work.agents.values())
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)

    with serving(tmp_path, "--port", port, "--max-agents", "40") as served:
        work = Work(served, prepared(served))
        asyncio.run(asyncio.wait_for(run(served, work), LIMIT_S))
    nothing_twice(work, *in_log(tmp_path, work.swarm), set())
