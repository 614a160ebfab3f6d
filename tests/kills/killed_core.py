"""A server's core that is killed with -9 at a durable write of its choice, life after life.

    killed_core.py FOLDER AT BEFORE|AFTER

Its first life carries out a scenario as a client would, each call under a key, and notes what it
was told; at write number AT it kills itself, just before the record is handed to the log or just
after it is durable and nobody knows. The second life asks everything again from the beginning and
prints what it finds at the end. AT 0: nobody is killed. A life is a fork, since to import all
takes longer than to live.
"""

import asyncio
import json
import os
import signal
import sys
import traceback
from asyncio import Future
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from visionflow.adapters.sqlite.log import SqliteLog
from visionflow.compose.serve.opening import OpenServer, open_server
from visionflow.domain.access import Caller, Role
from visionflow.domain.errors import Refused
from visionflow.domain.events import decode_record
from visionflow.domain.fleet import STREAM, decode_fleet_record
from visionflow.interfaces.tools.all import all_tools
from visionflow.interfaces.tools.tool import Call
from visionflow.ports.log import Head
from visionflow.settings.server import ServerSettings

LIFE_S = 60.0
AGENTS = Path(__file__).parents[1] / "serve" / "serve_agents.py"
CALLER = Caller(name="local:kills", role=Role.ADMIN, face="python", client="kills")
Told = dict[str, Any]


def strike(at: int, after: bool) -> Callable[[], int]:
    """Have the log's append number `at` kill this process; gives how many there were."""
    append, count = SqliteLog.append, 0

    def struck(log: SqliteLog, stream: str, expect: int, body: bytes) -> "Future[Head]":
        nonlocal count
        count += 1
        mine = count == at
        if mine and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        done = append(log, stream, expect, body)
        if mine:
            done.add_done_callback(lambda _: os.kill(os.getpid(), signal.SIGKILL))
        return done

    SqliteLog.append = struck  # type: ignore[method-assign]
    return lambda: count


async def carry_out(opened: OpenServer, known: Told, tell: Callable[[str, Told], None]) -> Told:
    """The scenario; each answer is told as a client would have it. The answers by step. `known`:
    what was told in an earlier life; everything is asked once more all the same."""
    registry, answers = all_tools(opened.server), dict[str, Told]()

    async def ask(step: str, tool: str, **given: Any) -> Told:
        prepared = registry.prepare(tool, given, CALLER, key=step)
        try:
            made = await registry.finish(prepared, Call(CALLER, key=prepared.key))
            told = json.loads(msgspec.json.encode(made))
        except Refused as error:
            told = {"refused": error.reason}
        answers[step] = told
        tell(step, told)
        return known.get(step, told)

    swarm = (await ask("init", "swarm_init", maxAgents=4))["swarmId"]
    agent = (await ask("spawn", "agent_spawn", type="echo", swarmId=swarm, wait=True))["agentId"]
    await ask("store", "memory_store", key="k", value={"n": [1, "ü"]})
    task = {"description": "say", "agentType": "echo", "input": {"x": 1}}
    await ask("say", "task_orchestrate", task=task, swarmId=swarm, wait=True)
    await ask("update", "agent_update", agentId=agent, config={"colour": "blue"})
    await ask("scale", "swarm_scale", swarmId=swarm, targetSize=3)
    waits = {"description": "waits for nobody", "agentType": "where"}
    left = await ask("left", "task_orchestrate", task=waits, swarmId=swarm, formTeam=False)
    await ask("cancel", "task_cancel", taskId=left["taskId"], reason="enough")
    more = (await ask("more", "agent_spawn", type="where", swarmId=swarm))["agentId"]
    await ask("terminate", "agent_terminate", agentId=more)
    other = (await ask("other", "swarm_init", name="other"))["swarmId"]
    await ask("destroy", "swarm_destroy", swarmId=other)
    return answers


async def live(folder: Path, known: Told, tell: Callable[[str, Told], None]) -> Told:
    """One life, to its end: the answers, and how things are then."""
    settings = ServerSettings(
        home=str(folder / "home"),
        workspaces=(str(folder),),
        agents_file=str(folder / "agents.yaml"),
        tcp_port=0,
        web_port=0,
        workers_max=1,
        # A worker that no life knows waits no longer than these tests take.
        orphan_grace_ms=20_000,
    )
    opened = await open_server(settings)
    answers = await carry_out(opened, known, tell)
    registry = all_tools(opened.server)

    async def look(tool: str, **given: Any) -> Told:
        prepared = registry.prepare(tool, given, CALLER)
        return json.loads(msgspec.json.encode(await registry.finish(prepared, Call(CALLER))))

    swarm = answers["init"]["swarmId"]

    async def statuses() -> list[str]:
        agents = (await look("agent_list", swarmId=swarm))["agents"]
        return [each["status"] for each in agents]

    while await statuses() != ["ready"]:
        await asyncio.sleep(0.02)
    found = {
        "events": events_of(opened),
        "answers": answers,
        "swarms": await look("swarm_list"),
        "swarm": await look("swarm_status", swarmId=swarm),
        "agent": await look("agent_status", agentId=answers["spawn"]["agentId"]),
        "tasks": await look("task_list", swarmId=swarm, limit=100),
        "said": await look("task_results", taskId=answers["say"]["taskId"]),
        "memory": await look("memory_retrieve", key="k"),
    }
    await opened.close(kill=True)
    return found


def events_of(opened: OpenServer) -> dict[str, list[str]]:
    """What happened, by stream, from the log itself; what a start adds is left out."""
    log, found = opened.core.log, dict[str, list[str]]()
    for stream in log.streams():
        decode = decode_fleet_record if stream == STREAM else decode_record
        for entry in log.read(stream):
            for event in decode(entry.body).events:
                found.setdefault(stream, []).append(type(event).__name__)
    return found


def fork(folder: Path, at: int, after: bool, life: str) -> int:
    """A life in a process of its own; how it ended, as `waitpid` tells it."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    before = folder / "told-1"
    known = dict(map(json.loads, before.read_text().splitlines())) if before.exists() else {}
    told = os.open(folder / f"told-{life}", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def tell(step: str, answer: Told) -> None:
        os.write(told, json.dumps([step, answer]).encode() + b"\n")

    code = 1
    try:
        count = strike(at, after)
        found = asyncio.run(asyncio.wait_for(live(folder, known, tell), LIFE_S))
        (folder / f"found-{life}").write_text(json.dumps({**found, "writes": count()}))
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def main() -> None:
    """See the module."""
    folder, at, after = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "AFTER"
    folder.mkdir(exist_ok=True)
    (folder / "agents.yaml").write_text(
        f"agent_templates:\n  echo: {{class: {AGENTS}:Echo}}\n  where: {{class: {AGENTS}:Where}}\n"
    )
    first = fork(folder, at, after, "1")
    if at and first != signal.SIGKILL:
        raise SystemExit(f"the first life was not killed but ended with {first}")
    if fork(folder, 0, False, "2"):
        raise SystemExit("the second life failed")


if __name__ == "__main__":
    main()
