"""A server's core on recorded files: a client's calls, and after each that the client was told."""

import asyncio
import json
from asyncio import Future
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from visionflow.adapters.files import FileBlobs
from visionflow.adapters.sqlite.log import SqliteLog
from visionflow.compose.serve import opening
from visionflow.compose.serve.opening import OpenServer, open_server
from visionflow.domain.access import Caller, Role
from visionflow.domain.errors import VisionFlowError
from visionflow.interfaces.tools.all import all_tools
from visionflow.interfaces.tools.tool import Call
from visionflow.ports.log import Head
from visionflow.settings.server import ServerSettings
from visionflow.testing.powercut.journal import (
    Journal,
    Operation,
    RecordingDisk,
    RecordingVfs,
    Witness,
)
from visionflow.testing.powercut.sweep import CHECKPOINT_PAGES

AGENTS = Path(__file__).parents[1] / "serve" / "serve_agents.py"
CALLER = Caller(name="local:cuts", role=Role.ADMIN, face="python", client="cuts")
LIMIT_S = 60.0
LARGE = "x" * 70_000
"""Too large for the log: it goes by a blob."""
Answer = dict[str, Any]


class Told(Operation, frozen=True):
    """A client had this answer."""

    step: str
    answer: Answer


class Asking:
    """A client of a core."""

    def __init__(self, opened: OpenServer) -> None:
        self._registry = all_tools(opened.server)

    async def __call__(self, tool: str, /, **given: Any) -> Answer:
        prepared = self._registry.prepare(tool, given, CALLER)
        made = await self._registry.finish(prepared, Call(CALLER, key=prepared.key))
        return json.loads(msgspec.json.encode(made))


def settings_in(folder: Path) -> ServerSettings:
    """A core that keeps everything below this folder."""
    place = folder / "agents.yaml"
    place.write_text(
        f"agent_templates:\n  echo: {{class: {AGENTS}:Echo}}\n  where: {{class: {AGENTS}:Where}}\n"
    )
    return ServerSettings(
        home=str(folder),
        workspaces=(str(folder),),
        agents_file=str(place),
        tcp_port=0,
        web_port=0,
        workers_max=1,
    )


def recorded(folder: Path, *, early: bool = False) -> tuple[Journal, Witness]:
    """Carry out the scenario on recorded files. `early`: answers are told before they are
    durable, which is a fault."""
    journal = Journal((folder / "server").resolve())
    witness = Witness(journal)
    vfs = RecordingVfs(journal)

    def open_log(path: Path) -> "Witnessed":
        log = SqliteLog.open(path, vfs=vfs.name, checkpoint_pages=CHECKPOINT_PAGES)
        return Witnessed(log, witness)

    def open_blobs(root: Path) -> FileBlobs:
        return FileBlobs(root, RecordingDisk(journal))

    async def run() -> None:
        opened = await open_server(settings_in(folder))
        try:
            # With the fault, a read may not find yet what was told: then the scenario ends there.
            with suppress(*((VisionFlowError,) if early else ())):
                await scenario(Asking(opened), lambda step, told: journal.add(Told(step, told)))
        finally:
            await opened.close(kill=True)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(opening, "SqliteLog", Opens(open_log))
        patch.setattr(opening, "FileBlobs", open_blobs)
        if early:
            patch.setattr(Witnessed, "append", Witnessed.append_early)
        asyncio.run(asyncio.wait_for(run(), LIMIT_S))
    vfs.unregister()
    return journal, witness


class Opens:
    """In the place of the class of the log, for whoever opens one."""

    def __init__(self, open_log: Callable[[Path], "Witnessed"]) -> None:
        self.open = open_log


class Witnessed:
    """The real log; what is appended is noted, and what is acknowledged."""

    def __init__(self, log: SqliteLog, witness: Witness) -> None:
        self._log = log
        self._witness = witness

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    def append(self, stream: str, expect: int, body: bytes) -> "Future[Head]":
        assert len(self._witness.submitted.get(stream, [])) == expect
        return self._witness.append(self._log, stream, body)

    def append_early(self, stream: str, expect: int, body: bytes) -> "Future[Head]":
        """Says that it is durable while it is on its way."""
        self._witness.submitted.setdefault(stream, []).append(body)
        self._log.append(stream, expect, body)
        early: Future[Head] = asyncio.get_running_loop().create_future()
        early.set_result(Head(expect + 1, b"not yet known"))
        return early


async def scenario(ask: Asking, told: Callable[[str, Answer], None]) -> None:
    """Swarms, an agent, values and tasks, small and large; each told once it is answered."""

    async def step(name: str, tool: str, /, **given: Any) -> Answer:
        answer = await ask(tool, **given)
        told(name, answer)
        return answer

    swarm = (await step("init", "swarm_init", name="one", maxAgents=3))["swarmId"]
    agent = (await step("spawn", "agent_spawn", type="echo", swarmId=swarm, wait=True))["agentId"]
    await step("store", "memory_store", key="small", value={"n": 1})
    await step("store large", "memory_store", key="large", value=LARGE)
    say = {"description": "say", "agentType": "echo", "input": {"n": 7}}
    await step("say", "task_orchestrate", task=say, swarmId=swarm, wait=True)
    # For nobody: what an agent gives back in a blob is written where nobody records.
    left = {"description": "left", "agentType": "where", "input": LARGE}
    await step("left", "task_orchestrate", task=left, swarmId=swarm, formTeam=False)
    await step("other", "swarm_init", name="two")
    await step("update", "agent_update", agentId=agent, config={"colour": "blue"})
    other = (await step("third", "swarm_init", name="three"))["swarmId"]
    await step("destroy", "swarm_destroy", swarmId=other)
    await step("terminate", "agent_terminate", agentId=agent)
