"""Fifty connections to a real server, two hundred calls on each, with the same ids on all of them.

Half of the connections are cut off several times in the middle of their calls, and ask again for
what they have no answer to, under the same keys. Nothing may be crossed, done twice or left behind.
"""

import asyncio
import json
import random
import time
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest

from tests.faces.every_face import place, request
from tests.serve.server_process import Served, serving
from visionflow.adapters.sqlite.log import SqliteLog
from visionflow.domain import events as e
from visionflow.domain.events import decode_record
from visionflow.domain.fleet import STREAM, MemoryStored, decode_fleet_record

CONNECTIONS, CALLS, CUTS = 50, 200, 5
LIMIT_S = 150.0
RSS_BYTES_MAX = 96 * 2**20
"""What the server may take more after ten thousand calls; the logs' own state is in it."""


class Client:
    """One that speaks over as many connections as it takes."""

    def __init__(self, storm: "Storm", name: int) -> None:
        self.storm = storm
        self.name = name
        self.chance = random.Random(name)
        self.answers: dict[int, dict[str, Any]] = {}

    def call(self, number: int) -> tuple[str, dict[str, Any]]:
        """The call of this number: what it is about tells whose it is."""
        mine = f"{self.storm.word}-{self.name}-{number}"
        swarm = self.storm.swarm
        if number == 1:
            return "agent_spawn", {"type": "echo", "swarmId": swarm, "name": mine}
        if number == CALLS:
            return "agent_terminate", {"agentId": f"{self.storm.word}-{self.name}-1"}
        if number % 25 == 2:
            task = {"description": mine, "agentType": "echo", "input": mine}
            return "task_orchestrate", {"task": task, "swarmId": swarm}
        if number % 5 == 3:
            return "memory_store", {"key": mine, "value": {"of": mine}, "namespace": "storm"}
        if number % 50 == 4:
            return "swarm_status", {"swarmId": swarm}
        return "memory_retrieve", {"key": mine, "namespace": "nothing"}

    def check(self, number: int, reply: dict[str, Any]) -> None:
        """The answer is to this call and none other."""
        tool, given = self.call(number)
        assert "error" not in reply, (tool, given, reply)
        result = reply["result"]["structuredContent"]
        if tool == "agent_spawn":
            assert result["name"] == given["name"]
        elif tool == "agent_terminate":
            assert result["name"] == given["agentId"]
        elif tool == "swarm_status":
            assert result["swarmId"] == self.storm.swarm
        elif tool != "task_orchestrate":
            assert result["key"] == given["key"]
        assert number not in self.answers
        self.answers[number] = result

    async def run(self) -> None:
        """All calls, until each is answered."""
        left = list(range(1, CALLS + 1))
        for cuts_left in range(CUTS if self.name % 2 else 0, -1, -1):
            heard = self.chance.randrange(len(left)) if cuts_left else len(left)
            reader, writer = await asyncio.open_connection(*self.storm.place, limit=1 << 22)
            for number in left:
                tool, given = self.call(number)
                key = f"{self.storm.word} {self.name} {number}"
                writer.write(request(number, tool, given, key) + b"\n")
            for _ in range(heard):
                line = await asyncio.wait_for(reader.readline(), LIMIT_S)
                reply = json.loads(line)
                self.check(reply["id"], reply)
            if cuts_left:
                writer.transport.abort()
            else:
                writer.close()
                await writer.wait_closed()
            left = [number for number in left if number not in self.answers]
        assert not left


class Storm:
    """All of them at once."""

    def __init__(self, served: Served, swarm: str, word: str) -> None:
        self.place = place(served.told["tcp"])
        self.swarm = swarm
        self.word = word

    def run(self, clients: int) -> list[Client]:
        """Let it pass."""
        made = [Client(self, name) for name in range(clients)]

        async def all_of_them() -> None:
            await asyncio.gather(*(each.run() for each in made))

        asyncio.run(asyncio.wait_for(all_of_them(), LIMIT_S))
        return made

    def numbers(self, clients: int, tool: str) -> list[str]:
        """The words of all calls of a tool."""
        return [
            f"{self.word}-{name}-{number}"
            for name in range(clients)
            for number in range(1, CALLS + 1)
            if Client(self, name).call(number)[0] == tool
        ]


class Held(NamedTuple):
    """What a process holds."""

    others: int
    """Descriptors that are no files: sockets, pipes and their kind."""
    files: set[str]
    """Files, each however often: who reads the log at the same time opens it once more."""
    rss: int


def held_by(process: psutil.Process) -> Held:
    found = process.open_files()
    return Held(
        process.num_fds() - len(found), {each.path for each in found}, process.memory_info().rss
    )


def at_rest(served: Served, process: psutil.Process, others: int | None) -> Held:
    """What it holds, once only this question is a connection."""
    for _ in range(600):
        used = served.call("server_info")["usage"]["connections"]
        if used == 1 and (others is None or held_by(process).others <= others):
            break
        time.sleep(0.05)
    assert used == 1
    return held_by(process)


def done_once(storm: Storm, clients: list[Client], folder: Path) -> None:
    """By the log: each spawn, task and value once, and those are what clients were told."""
    count = len(clients)
    log = SqliteLog.open(folder / "home" / "server" / "log.db", read_only=True)
    try:
        events = [v for entry in log.read(storm.swarm) for v in decode_record(entry.body).events]
        fleet = [v for entry in log.read(STREAM) for v in decode_fleet_record(entry.body).events]
    finally:
        log.close()
    begins = f"{storm.word}-"
    kept = [v.key for v in fleet if isinstance(v, MemoryStored) and v.key.startswith(begins)]
    assert Counter(kept) == Counter(storm.numbers(count, "memory_store"))
    spawned = {v.spec.id: v.spec.name for v in events if isinstance(v, e.AgentSpawned)}
    names = [name for name in spawned.values() if name.startswith(begins)]
    assert Counter(names) == Counter(storm.numbers(count, "agent_spawn"))
    submitted = {v.spec.id: v.spec.description for v in events if isinstance(v, e.TaskSubmitted)}
    about = [text for text in submitted.values() if text.startswith(begins)]
    assert Counter(about) == Counter(storm.numbers(count, "task_orchestrate"))
    for client in clients:
        for number, told in client.answers.items():
            mine = f"{storm.word}-{client.name}-{number}"
            tool, _ = client.call(number)
            if tool == "task_orchestrate":
                assert submitted[told["taskId"]] == mine
            elif tool == "agent_spawn":
                assert spawned[told["agentId"]] == mine


@pytest.mark.acceptance("concurrent", "durable")
def test_no_reply_is_crossed_nothing_is_done_twice_and_nothing_is_left_behind(
    tmp_path: Path,
) -> None:
    with serving(tmp_path, "--max-agents", str(2 * CONNECTIONS)) as served:
        process = psutil.Process(served.pid)
        swarm: str = served.call("swarm_init")["swarmId"]
        served.call("agent_spawn", type="echo", swarmId=swarm, wait=True)
        first = Storm(served, swarm, "first")
        done_once(first, first.run(8), tmp_path)
        calm = at_rest(served, process, None)
        storm = Storm(served, swarm, "storm")
        clients = storm.run(CONNECTIONS)
        after = at_rest(served, process, calm.others)
        assert after.others <= calm.others
        assert after.files <= calm.files
        assert after.rss - calm.rss <= RSS_BYTES_MAX
        done_once(storm, clients, tmp_path)
        told = served.call("agent_list", swarmId=swarm)
        assert [each["name"] for each in told["agents"] if "-" in each["name"]] == []
