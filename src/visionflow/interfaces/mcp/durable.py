"""VisionFlow's own tasks as MCP tasks, under their own ids.

Such a task stands in the log: nothing of it is held here, and it can be asked for after a restart,
by any caller whose role may read it. A client that declares the extension and calls a long tool
with `wait: true` gets the task to ask for in place of a response that is open for minutes. Its
result is what the call would have answered; once this process is another one, the plan that stood
beside it is not known any more, and the result is that of task_results.
"""

from typing import Any, cast

import msgspec
from mcp_types import CallToolRequestParams

from visionflow.domain.errors import Refused, UnknownTask, VisionFlowError
from visionflow.interfaces.mcp.calls import Calls
from visionflow.interfaces.mcp.links import Context
from visionflow.interfaces.mcp.tasks import POLL_MS, declared
from visionflow.interfaces.mcp.wording import failure, success
from visionflow.interfaces.tools.faults import fault_of

ORCHESTRATE, STATUS, RESULTS, CANCEL = (
    "task_orchestrate",
    "task_status",
    "task_results",
    "task_cancel",
)
BEGUN_MAX = 1_000
WAITING = ("wait", "waitTimeout")
"""Arguments of a long tool that say to wait, which the task is in place of."""
_WORDS = {
    "completed": "completed",
    "failed": "completed",
    "dead_letter": "completed",
    "cancelled": "cancelled",
}
"""Status words; any other is of a task under way. A task that failed has a result that says so:
MCP's own word `failed` is for errors of the protocol."""


class Durable:
    """A source of MCP tasks."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._begun: dict[str, dict[str, Any]] = {}
        """By task, what the call that began it would have answered without waiting."""

    def fits(self, ctx: Context, params: CallToolRequestParams) -> bool:
        """Whether to answer this call with a task."""
        tool = self._calls.registry.tools.get(params.name)
        wanted = (params.arguments or {}).get("wait") in (True, "true")
        return tool is not None and tool.long and wanted and declared(ctx)

    async def begin(self, ctx: Context, params: CallToolRequestParams) -> dict[str, Any]:
        """Do what the call asks for but the waiting; what to answer its request with."""
        given = params.arguments or {}
        plain = {name: value for name, value in given.items() if name not in WAITING}
        first = await self._calls.call(ctx, params.model_copy(update={"arguments": plain}))
        told = cast("dict[str, Any]", first.get("structuredContent") or {})
        task = cast("str | None", told.get("taskId"))
        # What is blocked may be so for days: whoever waits is told at once.
        if task is None or told.get("status") == "blocked":
            return first
        found = await self._told(ctx, task)
        if found is None:
            return first
        if params.name == ORCHESTRATE:
            if len(self._begun) >= BEGUN_MAX:
                self._begun.pop(next(iter(self._begun)))
            self._begun[task] = told
        return {"resultType": "task", **found}

    async def get(self, ctx: Context, task: str) -> dict[str, Any] | None:
        """See `Source`."""
        found = await self._told(ctx, task)
        if found is None or found["status"] != "completed":
            return found
        try:
            # It has ended; waiting is for its report, which is written then.
            given = {"taskId": task, "wait": True}
            results = msgspec.to_builtins(await self._calls.ask(ctx, RESULTS, given))
        except VisionFlowError as error:
            return {**found, "result": failure(fault_of(error, "tasks"))}
        begun = self._begun.get(task)
        if begun is not None:
            ends = {name: results[name] for name in ("status", "reason", "result")}
            results = {**begun, **ends}
        return {**found, "result": success(results)}

    async def cancel(self, ctx: Context, task: str) -> bool:
        """See `Source`."""
        found = await self._told(ctx, task)
        if found is not None and found["status"] == "working":
            given = {"taskId": task, "reason": "taken back by its client"}
            try:
                await self._calls.ask(ctx, CANCEL, given)
            except Refused as error:
                if error.reason != "already_ended":  # It ended meanwhile.
                    raise
        return found is not None

    async def update(self, ctx: Context, task: str, answers: dict[str, Any]) -> bool:
        """See `Source`. No task of ours asks its client for anything."""
        return await self._told(ctx, task) is not None

    async def _told(self, ctx: Context, task: str) -> dict[str, Any] | None:
        if STATUS not in self._calls.registry.tools:
            return None
        try:
            result = await self._calls.ask(ctx, STATUS, {"taskId": task})
        except UnknownTask:
            return None
        status: dict[str, Any] = msgspec.to_builtins(result)
        word = _WORDS.get(status["status"], "working")
        progress = cast("dict[str, Any]", status["progress"] or {})
        more = status["reason"] or progress.get("note")
        return {
            "taskId": task,
            "status": word,
            "statusMessage": status["status"] + (f": {more}" if more else ""),
            "createdAt": status["createdAt"],
            "lastUpdatedAt": status["updatedAt"],
            "ttlMs": None,
            "pollIntervalMs": POLL_MS,
        }
