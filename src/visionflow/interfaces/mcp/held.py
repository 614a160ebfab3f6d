"""Calls that are held in memory as MCP tasks: they end with the process.

A call is made in rounds: one that ends by asking its client for something is made again with the
answers, once all of them are there.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR, INVALID_REQUEST

from visionflow.interfaces.mcp.links import Context, caller_of
from visionflow.interfaces.mcp.tasks import POLL_MS
from visionflow.interfaces.tools.moments import iso

KEPT_MS = 3_600_000
"""How long a task can be asked for, from its beginning on."""
HELD_MAX = 1_000
Round = Callable[[dict[str, Any] | None, str | None], Awaitable[dict[str, Any]]]
"""Makes the call with these answers and this state of the round before; gives a wire result."""


class HeldTask:
    """One call."""

    def __init__(self, owner: str, make: Round, now_ms: Callable[[], int]) -> None:
        self.id = uuid4().hex
        self.owner = owner
        self.created_ms = self.updated_ms = now_ms()
        self.status = "working"
        self._now_ms = now_ms
        self._make = make
        self._outcome: dict[str, Any] = {}
        self._asked: dict[str, Any] = {}
        self._answers: dict[str, Any] = {}
        self._answered = asyncio.Event()
        self._running = asyncio.ensure_future(self._run())

    def told(self) -> dict[str, Any]:
        """The task's own fields."""
        return {
            "taskId": self.id,
            "status": self.status,
            "createdAt": iso(self.created_ms),
            "lastUpdatedAt": iso(self.updated_ms),
            "ttlMs": KEPT_MS,
            "pollIntervalMs": POLL_MS,
        }

    def detailed(self) -> dict[str, Any]:
        """The same with what it asks for or has come to."""
        asked = {"inputRequests": dict(self._asked)} if self.status == "input_required" else {}
        return {**self.told(), **self._outcome, **asked}

    def answer(self, answers: dict[str, Any]) -> None:
        """Take what was asked for; the rest is ignored."""
        for key, value in answers.items():
            if self._asked.pop(key, None) is not None:
                self._answers[key] = value
        if not self._asked:
            self._answered.set()

    async def end(self) -> None:
        """Cancel it, unless it is over."""
        if self._running.done():
            return
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)

    async def _run(self) -> None:
        try:
            self._settle("completed", {"result": await self._rounds()})
        except MCPError as error:
            told = error.error.model_dump(mode="json", exclude_none=True)
            self._settle("failed", {"error": told})
        except asyncio.CancelledError:
            self._settle("cancelled", {})
            raise
        except Exception as error:
            message = f"The server failed: {type(error).__name__}."
            self._settle("failed", {"error": {"code": INTERNAL_ERROR, "message": message}})

    async def _rounds(self) -> dict[str, Any]:
        result = await self._make(None, None)
        while result.get("resultType") == "input_required":
            self._asked = dict(result.get("inputRequests") or {})
            self._answers = {}
            self._answered.clear()
            self._settle("input_required", {})
            if self._asked:
                await self._answered.wait()
            self._settle("working", {})
            result = await self._make(self._answers, result.get("requestState"))
        return result

    def _settle(self, status: str, outcome: dict[str, Any]) -> None:
        self.status = status
        self._outcome = outcome
        self.updated_ms = self._now_ms()


class Held:
    """All of them. A caller sees none of another's."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._tasks: dict[str, HeldTask] = {}

    def begin(self, ctx: Context, make: Round) -> dict[str, Any]:
        """Begin a call; what to answer its request with.

        Raises:
            MCPError: too many are held.
        """
        self._forget()
        if len(self._tasks) >= HELD_MAX:
            raise MCPError(INVALID_REQUEST, f"There are {HELD_MAX} tasks already. Wait for some.")
        task = HeldTask(caller_of(ctx).name, make, self._now_ms)
        self._tasks[task.id] = task
        return {"resultType": "task", **task.told()}

    async def get(self, ctx: Context, task: str) -> dict[str, Any] | None:
        """See `Source`."""
        found = self._find(ctx, task)
        return None if found is None else found.detailed()

    async def cancel(self, ctx: Context, task: str) -> bool:
        """See `Source`."""
        found = self._find(ctx, task)
        if found is not None:
            await found.end()
        return found is not None

    async def update(self, ctx: Context, task: str, answers: dict[str, Any]) -> bool:
        """See `Source`."""
        found = self._find(ctx, task)
        if found is not None:
            found.answer(answers)
        return found is not None

    async def aclose(self) -> None:
        """End all of them."""
        for task in list(self._tasks.values()):
            await task.end()

    def _find(self, ctx: Context, task: str) -> HeldTask | None:
        self._forget()
        found = self._tasks.get(task)
        return found if found is not None and found.owner == caller_of(ctx).name else None

    def _forget(self) -> None:
        old = self._now_ms() - KEPT_MS
        for task in [each for each in self._tasks.values() if each.created_ms < old]:
            if task.status in ("completed", "failed", "cancelled"):
                self._tasks.pop(task.id)
