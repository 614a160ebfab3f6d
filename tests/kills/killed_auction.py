"""A server's core that is killed with -9 in the middle of an auction of a mesh of live processes.

    killed_auction.py FOLDER opened|claimed|settled

Its first life has three peers, in processes of their own, and a task. It kills itself once the log
holds that the auction began and nobody was told (`opened`), when the winner's claim came, has begun
and is not in the log (`claimed`), or once that is in the log (`settled`). The second adopts the
workers, has the task end, and writes down what the log has by then.
"""

import asyncio
import json
import os
import signal
import sys
from asyncio import Future
from pathlib import Path

from killed_adoption import call, fork, opened_in, until
from killed_core import AGENTS, events_of

from visionflow.adapters.sqlite.log import SqliteLog
from visionflow.domain.events import decode_record
from visionflow.domain.fleet import STREAM
from visionflow.domain.mesh_events import AuctionOpened, AuctionSettled
from visionflow.ports.log import Head

PEERS = 3


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def strike(when: str) -> None:
    """Have the append of a record with such an event kill this process."""
    append = SqliteLog.append
    fatal = AuctionOpened if when == "opened" else AuctionSettled

    def struck(log: SqliteLog, stream: str, expect: int, body: bytes) -> "Future[Head]":
        events = () if stream == STREAM else decode_record(body).events
        mine = any(isinstance(event, fatal) for event in events)
        if mine and when == "claimed":
            die()
        done = append(log, stream, expect, body)
        if mine:
            done.add_done_callback(lambda _: die())
        return done

    SqliteLog.append = struck  # type: ignore[method-assign]


async def first(folder: Path, when: str) -> None:
    """Has peers and a task, and dies."""
    strike(when)
    opened = await opened_in(folder)
    swarm = (await call(opened, "swarm_init", topology="mesh"))["swarmId"]
    for _ in range(PEERS):
        limits = {"memoryLimit": "1Gi"}
        await call(opened, "agent_spawn", type="waiter", swarmId=swarm, wait=True, resources=limits)
    files = {"trace": str(folder / "trace"), "go": str(folder / "go")}
    task = {"description": "wait", "agentType": "waiter", "input": files, "timeout": 120}
    await call(opened, "task_orchestrate", task=task, swarmId=swarm)
    await asyncio.sleep(60)


async def second(folder: Path) -> None:
    """Goes on to the end of the task."""
    (folder / "go").touch()
    opened = await opened_in(folder)
    [swarm] = opened.core.swarms.all()
    await until(lambda: swarm.state.live == 0)
    await swarm.settled()
    found = {"events": events_of(opened)[swarm.id], "attempts": (folder / "trace").read_text()}
    (folder / "found").write_text(json.dumps(found))
    await opened.close(kill=True)


def main() -> None:
    """See the module."""
    folder, when = Path(sys.argv[1]), sys.argv[2]
    folder.mkdir(exist_ok=True)
    template = f"agent_templates:\n  waiter: {{class: {AGENTS}:Waiter}}\n"
    (folder / "agents.yaml").write_text(template)
    if fork(lambda: first(folder, when)) != signal.SIGKILL:
        raise SystemExit("the first life was not killed")
    if fork(lambda: second(folder)):
        raise SystemExit("the second life failed")


if __name__ == "__main__":
    main()
