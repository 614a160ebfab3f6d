"""A server's core that is killed with -9 while a worker of the life before comes back to it.

    killed_adoption.py FOLDER AT BEFORE|AFTER adopts|ends|leaves

Its first life has an agent begin a task, and kills itself. The second adopts the worker, lets the
task end, and goes on (`adopts`), `ends` in order meanwhile, or `leaves` the worker to whoever comes
next; at write number AT it kills itself, just before the record is handed to the log or just after
it is durable. The third waits for the task's end, and writes down what the log has by then.
"""

import asyncio
import json
import os
import signal
import sys
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
from killed_core import AGENTS, CALLER, events_of, strike

from visionflow.compose.serve.opening import OpenServer, open_server
from visionflow.domain.agents import AgentStatus
from visionflow.interfaces.tools.all import all_tools
from visionflow.interfaces.tools.tool import Call
from visionflow.settings.server import ServerSettings

LIFE_S = 90.0


async def opened_in(folder: Path) -> OpenServer:
    return await open_server(
        ServerSettings(
            home=str(folder / "home"),
            workspaces=(str(folder),),
            agents_file=str(folder / "agents.yaml"),
            tcp_port=0,
            web_port=0,
            workers_max=1,
            orphan_grace_ms=30_000,
        )
    )


async def call(opened: OpenServer, tool: str, **given: Any) -> dict[str, Any]:
    registry = all_tools(opened.server)
    prepared = registry.prepare(tool, given, CALLER)
    return json.loads(msgspec.json.encode(await registry.finish(prepared, Call(CALLER))))


async def until(true: Callable[[], bool]) -> None:
    while not true():
        await asyncio.sleep(0.01)


async def first(folder: Path) -> None:
    """Has a task under way, and dies."""
    opened = await opened_in(folder)
    swarm = (await call(opened, "swarm_init"))["swarmId"]
    await call(opened, "agent_spawn", type="waiter", swarmId=swarm, wait=True)
    files = {"trace": str(folder / "trace"), "go": str(folder / "go")}
    task = {"description": "wait", "agentType": "waiter", "input": files, "timeout": 120}
    await call(opened, "task_orchestrate", task=task, swarmId=swarm)
    await until(lambda: (folder / "trace").exists())
    os.kill(os.getpid(), signal.SIGKILL)


async def second(folder: Path, how: str) -> None:
    """Adopts its worker, and dies at a write or at the end."""
    opened = await opened_in(folder)
    [swarm] = opened.core.swarms.all()
    await until(lambda: not swarm.state.supervised.awaited)
    # That it is back is in memory before it is durable, and the end must not overtake it.
    await swarm.settled()
    (folder / "go").touch()
    if how == "ends":
        await opened.close()
    elif how == "leaves":
        await opened.leave()
    else:
        await until(lambda: swarm.state.live == 0)
        await swarm.settled()
        await call(opened, "swarm_scale", swarmId=swarm.id, targetSize=2)
    os.kill(os.getpid(), signal.SIGKILL)


async def third(folder: Path, how: str) -> None:
    """Goes on to the end of the task."""
    (folder / "go").touch()
    opened = await opened_in(folder)
    [swarm] = opened.core.swarms.all()
    await until(lambda: swarm.state.live == 0)
    await until(lambda: {a.status for a in swarm.state.agents.values()} == {AgentStatus.READY})
    await swarm.settled()
    found = {"events": events_of(opened)[swarm.id], "attempts": (folder / "trace").read_text()}
    (folder / "found").write_text(json.dumps(found))
    await opened.close(kill=True)


def fork(life: Callable[[], Awaitable[None]]) -> int:
    """A life in a process of its own; how it ended, as `waitpid` tells it."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    code = 1
    try:
        asyncio.run(asyncio.wait_for(life(), LIFE_S))
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def main() -> None:
    """See the module."""
    folder, at, after, how = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
    folder.mkdir(exist_ok=True)
    template = f"agent_templates:\n  waiter: {{class: {AGENTS}:Waiter}}\n"
    (folder / "agents.yaml").write_text(template)

    async def struck() -> None:
        strike(at, after == "AFTER")
        await second(folder, how)

    for number, life in enumerate((lambda: first(folder), struck), 1):
        if fork(life) != signal.SIGKILL:
            raise SystemExit(f"life {number} was not killed")
    if fork(lambda: third(folder, how)):
        raise SystemExit("the third life failed")


if __name__ == "__main__":
    main()
