"""One run in a swarm of the server: follows the swarm's log, has its vote held, writes what it
leaves while it goes on and at its end.

What blocks (the log, the reports, git) is done in threads of the jobs' own, one call at a time for
each run; so its story is never read while it grows.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

from visionflow.agents.report.view import RunView
from visionflow.agents.tools.veiling import KnownSecrets
from visionflow.compose.job.concluding import conclude
from visionflow.compose.job.events import Follower, source_of
from visionflow.compose.job.folder import Order, RunFolder
from visionflow.compose.job.outputs import status_of, summary_of, write_outputs
from visionflow.compose.job.progress import FIRST_S
from visionflow.compose.job.secrecy import Secrecy
from visionflow.compose.job.story import Story
from visionflow.compose.job.votes import due
from visionflow.domain.errors import Refused
from visionflow.ports.blobs import Blobs
from visionflow.runtime.swarms import LiveSwarm

T = TypeVar("T")


class ServedRun:
    """A run under way. Its methods belong to the loop's thread."""

    def __init__(
        self,
        folder: RunFolder,
        order: Order,
        swarm: LiveSwarm | None,
        blobs: Blobs,
        threads: ThreadPoolExecutor,
    ) -> None:
        """`swarm`: `None` when it is over; then all that is left is to tell how the run ended."""
        assert order.served is not None
        self.folder = folder
        self.order = order
        self.served = order.served
        self.swarm = swarm
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Set once its report is written, or the server closes before that."""
        self._blobs = blobs
        self._threads = threads
        self._grown = asyncio.Event()
        self._asking: list[asyncio.Future[KnownSecrets]] = []
        self._answering: list[asyncio.Future[KnownSecrets]] = []
        """Those that asked before the log was read last."""
        self._stopping = False
        self._swarm_over = swarm is None
        self._secrecy = Secrecy(folder)
        self._view: RunView | None = None
        self._written = 0.0
        self._stale = True

    @property
    def secrets(self) -> KnownSecrets:
        """The values that must not be told, as far as they are known by now."""
        return self._secrecy.known

    async def known(self) -> KnownSecrets:
        """The same, up to all that the log holds now."""
        if self.done.done():
            return self.secrets
        asked: asyncio.Future[KnownSecrets] = asyncio.get_running_loop().create_future()
        self._asking.append(asked)
        self._grown.set()
        return await asked

    def ended(self) -> None:
        """Nobody follows it any more."""
        self._answering += self._asking
        self._tell_secrets()
        if not self.done.done():
            self.done.set_result(None)

    def _tell_secrets(self) -> None:
        answering, self._answering = self._answering, []
        for asked in answering:
            if not asked.done():
                asked.set_result(self.secrets)

    def wake(self) -> None:
        """Its log has grown."""
        self._grown.set()

    def swarm_over(self) -> None:
        """Nothing more will come in the swarm's log from this process."""
        self._swarm_over = True
        self._grown.set()

    def stop(self) -> None:
        """Leave it as it is; the next start of the server takes it up."""
        self._stopping = True
        self._grown.set()

    async def follow(self) -> bool:
        """Follow it to its end; whether it came to one and all is written."""
        follower = await self._in_thread(self._open)
        try:
            ended = await self._watch(follower)
        finally:
            await self._in_thread(follower.close)
        if not ended:
            return False
        await self._in_thread(lambda: self._conclude(follower.story))
        return True

    async def _watch(self, follower: Follower) -> bool:
        story = follower.story
        while not self._stopping:
            self._grown.clear()
            self._answering += self._asking
            self._asking = []
            over = self._swarm_over
            grown = await self._in_thread(follower.catch_up)
            if grown:
                self._stale = True
                if await self._vote(story):
                    continue
            if story.over:
                return True
            if over:
                # It was closed for good; or the server ends, and goes on with it another time.
                return story.closed or self.swarm is None
            wait_s = await self._write_when_due(story)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._grown.wait(), wait_s)
        return False

    def _open(self) -> Follower:
        self.folder.mark("running")
        source = source_of(self.folder, self.order)
        return Follower(source, self.folder.events, self.order.plan, self._secrecy)

    async def _vote(self, story: Story) -> bool:
        """Have said what is due of the vote; whether the log has more of it now."""
        swarm = self.swarm
        if swarm is None or self._swarm_over:
            return False
        now_ms, names = swarm.now_ms, self.order.names
        commands = await self._in_thread(lambda: list(due(story, self._blobs, now_ms)))
        said = False
        for command in commands:
            with suppress(Refused):  # The log has it already, or the swarm is closed.
                await swarm.ask(names.sent(command))
                said = True
        return said

    async def _write_when_due(self, story: Story) -> float | None:
        """Write what is known; returns after how many seconds to look again, if nothing comes."""
        if not self._stale or story.plan is None:
            self._tell_secrets()
            return None
        first = self._view is None or self._view.findings is None
        interval_s = FIRST_S if first else self.order.supervision_ms / 1_000
        left_s = self._written + interval_s - time.monotonic()
        if left_s > 0 and not self._answering:
            return left_s
        await self._in_thread(lambda: self._write(story))
        self._tell_secrets()
        return None

    def _write(self, story: Story) -> None:
        self._stale = False
        self._view = write_outputs(
            self.folder, self.order, story, "running", self._blobs, self._secrecy
        )
        self.folder.write_summary(summary_of(self._view))
        self._written = time.monotonic()

    def _conclude(self, story: Story) -> None:
        status = status_of(story, self._blobs) if story.ended else "cancelled"
        conclude(self.folder, self.order, story, status, self._blobs, self._secrecy)

    async def _in_thread(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)
