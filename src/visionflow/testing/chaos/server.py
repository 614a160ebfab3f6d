"""The server of a run of chaos: started, ended and started again as a process manager does it.

The front that `visionflow serve` is keeps the server itself going, three times a minute. When it
gives up, is killed or was told to end, it is started anew here, until the run is over.
"""

import asyncio
import os
import signal
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from visionflow.adapters.os_processes import Identity, identity, is_alive, send
from visionflow.domain.errors import VisionFlowError

MARK = "VISIONFLOW_SERVER_HOME"
"""In the environment of everything that a server starts."""
STARTER_FD = "VISIONFLOW_STARTER_FD"
"""Where a front is told of a pipe whose end says that we are gone."""
END_S_MAX = 40.0
"""A front that was told to end and has not by then is a fault."""
PAUSE_S = 0.1
START_S_MAX = 90.0
STARTS_MAX = 3
"""A server that never came up is not tried more often."""
_TEMPLATES = """\
agent_templates:
  labourer: {{class: "{path}:Labourer"}}
  loner: {{class: "{path}:Labourer", resources: {{memory: 320Mi}}}}
"""


class Place(msgspec.Struct, frozen=True):
    """The folders of one run of chaos."""

    folder: Path

    @property
    def home(self) -> Path:
        """The server's VISIONFLOW_HOME."""
        return self.folder / "home"

    @property
    def log(self) -> Path:
        """Its log."""
        return self.home / "server" / "log.db"

    @property
    def blobs(self) -> Path:
        """Its blobs."""
        return self.home / "server" / "blobs"

    @property
    def socket(self) -> Path:
        """Where clients dial, whatever the ports are."""
        return self.home / "server" / "mcp.sock"

    @property
    def trace(self) -> Path:
        """What the agents write down."""
        return self.folder / "ran.jsonl"

    @property
    def said(self) -> Path:
        """What front and server say on standard error."""
        return self.folder / "said.txt"


class Server:
    """`visionflow serve`, kept going."""

    def __init__(self, place: Place, agents: int) -> None:
        self.place = place
        self.faults: list[str] = []
        """What must not have happened."""
        self.starts = 0
        """Of the server itself, whoever started it."""
        self.fronts = 0
        self.keeps_next: Callable[[], bool] = lambda: False
        """Whether the next front, once it is told to end, is to leave the workers at work."""
        self.endings_ms: list[int] = []
        """How long each end in order took."""
        self._agents = agents
        self._front: Process | None = None
        self._server: Identity | None = None
        self._up = asyncio.Event()
        self._keeps = False
        self._ending: float | None = None
        self._over = False
        self._listening: asyncio.Task[None] | None = None
        # Held open for as long as this process lives: at its end a front ends all it started.
        self._watched, self._held = os.pipe()

    @property
    def identity(self) -> Identity | None:
        """The server's own process, while one is up."""
        who = self._server
        return who if who is not None and is_alive(who) else None

    @property
    def front(self) -> Identity | None:
        """The front's process."""
        front = self._front
        return None if front is None or front.returncode is not None else identity(front.pid)

    async def start(self) -> None:
        """Start it, and keep it going from now on.

        Raises:
            VisionFlowError: it does not come up.
        """
        workspace = self.place.folder / "workspace"
        workspace.mkdir()
        templates = self.place.folder / "agents.yaml"
        templates.write_text(_TEMPLATES.format(path="visionflow.testing.chaos.agents"))
        self._listening = asyncio.create_task(self._keep())
        with suppress(TimeoutError):
            await self.up()
        if not self.starts:
            said = self.place.said.read_text(errors="replace").strip().splitlines()
            raise VisionFlowError(
                f"The server of this run of chaos does not come up: {'; '.join(said[-1:])}",
                hint="See whether `visionflow serve` does.",
            )

    async def up(self) -> None:
        """Wait until it has said where it listens, for the first time or once more.

        Raises:
            TimeoutError: it does not come up.
        """
        async with asyncio.timeout(START_S_MAX):
            await self._up.wait()

    async def _keep(self) -> None:
        while not self._over:
            code = await self._one_front()
            asked, self._ending = self._ending, None
            if asked is not None:
                self.endings_ms.append(round((time.monotonic() - asked) * 1_000))
                if code not in (0, 128 + signal.SIGTERM):
                    self.faults.append(f"the server was told to end, and ended with {code}")
            elif not self.starts and self.fronts == STARTS_MAX:
                self._over = True
                self._up.set()
            elif code in (1, 2):
                self.faults.append(f"the front ended with {code} by itself; see {self.place.said}")
                self._over = True

    async def _one_front(self) -> int:
        place = self.place
        argv = [sys.executable, "-m", "visionflow.cli", "serve", "--json"]
        argv += ["--port", "0", "--web-port", "0", "--home", str(place.home)]
        argv += ["--workspace", str(place.folder / "workspace")]
        argv += ["--agents", str(place.folder / "agents.yaml")]
        argv += ["--max-agents", str(self._agents)]
        self._keeps = self.keeps_next()
        if self._keeps:
            argv.append("--keep-workers")
        self.fronts += 1
        with place.said.open("ab") as said:
            # In a group of its own: Ctrl-C is heard here, and told in order.
            front = await asyncio.create_subprocess_exec(
                *argv,
                stdout=PIPE,
                stderr=said,
                process_group=0,
                pass_fds=(self._watched,),
                env={**os.environ, STARTER_FD: str(self._watched)},
            )
        self._front = front
        output = front.stdout
        assert output is not None
        while line := await output.readline():
            with suppress(msgspec.DecodeError):
                told: dict[str, Any] = msgspec.json.decode(line)
                self.starts += 1
                self._server = identity(told["pid"])
                self._up.set()
        self._up.clear()
        return await front.wait()

    # What is done to it ------------------------------------------------------------------------

    def kill(self) -> bool:
        """SIGKILL to the server itself."""
        return self._signal(self.identity, signal.SIGKILL)

    def kill_front(self) -> bool:
        """SIGKILL to the front."""
        return self._signal(self.front, signal.SIGKILL)

    def end(self) -> bool:
        """SIGTERM to the front: it ends in order."""
        if self._ending is not None:
            return False
        self._ending = time.monotonic()
        return self._signal(self.front, signal.SIGTERM)

    def _signal(self, who: Identity | None, number: signal.Signals) -> bool:
        if who is None:
            return False
        if number is not signal.SIGTERM:
            self._up.clear()
        send(who, number)
        return True

    async def stop(self) -> None:
        """End it in order, for good, and its workers too."""
        self.keeps_next = lambda: False
        if self._keeps and not self._over:
            self.end()
            fronts = self.fronts
            with suppress(TimeoutError):
                async with asyncio.timeout(END_S_MAX):
                    while self.fronts == fronts:
                        await asyncio.sleep(PAUSE_S)
                await self.up()
        self._over = True
        if self._listening is None or self._listening.done():
            return
        self.end()
        try:
            async with asyncio.timeout(END_S_MAX):
                await asyncio.shield(self._listening)
        except TimeoutError:
            self.faults.append(f"the server has not ended {END_S_MAX:g} s after SIGTERM")
            self.kill_front()
            self.kill()
            await self._listening
