"""What all conversations of a server share: its tools, its gate, and what outlives a connection.

A call that was begun is never cut off in the middle because its client went away: it goes on here
and its result is told to nobody. What only waits ends then.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from visionflow.domain.errors import UsageError
from visionflow.interfaces.access.gate import Gate
from visionflow.interfaces.mcp.wording import tool_entry
from visionflow.interfaces.tools.tool import Registry
from visionflow.interfaces.wire.cutting import Leftovers
from visionflow.interfaces.wire.dialect import encoded

ORPHAN_S = 30.0
"""How long a call whose client is gone, or took it back, may take to end before it is stopped."""
LISTING_SPARE = 256
"""Bytes of a reply to tools/list beside the tools."""
log = logging.getLogger("visionflow.wire")
Running = asyncio.Task[None]


class Desk:
    """Belongs to the loop's thread; `aclose` it."""

    def __init__(self, registry: Registry, gate: Gate, *, depth_max: int, version: str) -> None:
        self.registry = registry
        self.gate = gate
        self.depth_max = depth_max
        self.version = version
        self.leftovers = Leftovers()
        self._running: dict[Running, None] = {}
        self._listed: list[tuple[dict[str, Any], int]] | None = None

    @property
    def running(self) -> int:
        """Calls under way that could not be answered at once."""
        return len(self._running)

    def begin(self, work: Any) -> Running:
        """Let a coroutine run until it ends."""
        task: Running = asyncio.ensure_future(work)
        self._running[task] = None
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: Running) -> None:
        self._running.pop(task, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a call ended in an unforeseen way", exc_info=error)

    def orphan(self, task: Running) -> None:
        """Nobody waits for this any more; it gets a while to end by itself."""
        timer = asyncio.get_running_loop().call_later(ORPHAN_S, task.cancel)
        task.add_done_callback(_cancelling(timer))

    def listing(self, cursor: object, room: int | None) -> dict[str, Any]:
        """The result of tools/list, the same as over MCP, of at most `room` bytes or one tool.

        Raises:
            UsageError: the cursor is none of ours.
        """
        if self._listed is None:
            entries = [tool_entry(each) for each in self.registry.tools.values()]
            self._listed = [(each, len(encoded(each))) for each in entries]
        begin = _index(cursor, len(self._listed))
        left = room
        fitting: list[dict[str, Any]] = []
        for entry, size in self._listed[begin:]:
            if left is not None:
                left -= size + 1
                if left < LISTING_SPARE and fitting:
                    return {"tools": fitting, "nextCursor": str(begin + len(fitting))}
            fitting.append(entry)
        return {"tools": fitting}

    async def aclose(self, grace_s: float = 2.0) -> None:
        """Wait a while for what is under way, then end it."""
        running = list(self._running)
        if running:
            await asyncio.wait(running, timeout=grace_s)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


def _cancelling(timer: asyncio.TimerHandle) -> Callable[[Running], None]:
    def cancel(_: Running) -> None:
        timer.cancel()

    return cancel


def _index(cursor: object, count: int) -> int:
    if cursor is None:
        return 0
    if isinstance(cursor, str) and cursor.isascii() and cursor.isdigit() and len(cursor) < 9:
        index = int(cursor)
        if index < count:
            return index
    raise UsageError("The cursor is none of this list's.", hint="Take nextCursor as it came.")
