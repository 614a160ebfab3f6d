"""The extension `io.modelcontextprotocol/tasks`: a long call is answered with a task.

This file is the protocol and who may use it. What stands behind a task is a `Source`: VisionFlow's
own tasks (`durable.py`), or calls that are held in memory (`held.py`).
"""

from typing import Any, Protocol

from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError
from mcp_types import (
    HEADER_MISMATCH,
    INVALID_PARAMS,
    METHOD_NOT_FOUND,
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    RequestParams,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import Field

from visionflow.interfaces.mcp.links import Context, told_as_errors
from visionflow.interfaces.mcp.wording import COMPLETE

EXTENSION = "io.modelcontextprotocol/tasks"
POLL_MS = 500


class TaskParams(RequestParams):
    """Parameters of `tasks/get` and `tasks/cancel`."""

    task_id: str


class TaskUpdateParams(TaskParams):
    """Parameters of `tasks/update`."""

    input_responses: dict[str, Any] = Field(default_factory=dict[str, Any])


class Source(Protocol):
    """Tasks of one kind."""

    async def get(self, ctx: Context, task: str) -> dict[str, Any] | None:
        """The task as `tasks/get` tells it; `None` when it is not of this kind."""
        ...

    async def cancel(self, ctx: Context, task: str) -> bool:
        """Cancel it, unless it is over; false when it is not of this kind."""
        ...

    async def update(self, ctx: Context, task: str, answers: dict[str, Any]) -> bool:
        """Hand in what it waits for; false when it is not of this kind."""
        ...


def declared(ctx: Context) -> bool:
    """Whether this request's client can do with a task for an answer."""
    capabilities = ctx.session.client_capabilities
    extensions = None if capabilities is None else capabilities.extensions
    return (
        ctx.protocol_version in MODERN_PROTOCOL_VERSIONS
        and extensions is not None
        and EXTENSION in extensions
    )


def require(ctx: Context, task: str) -> None:
    """Refuse a client that did not declare the extension, or whose headers name another task.

    Raises:
        MCPError: so it is, or its protocol has no tasks.
    """
    if ctx.protocol_version not in MODERN_PROTOCOL_VERSIONS:
        raise MCPError(METHOD_NOT_FOUND, "Method not found", ctx.method)
    if not declared(ctx):
        raise MCPError(
            MISSING_REQUIRED_CLIENT_CAPABILITY,
            f"{ctx.method} needs the client's capability {EXTENSION}.",
            {"requiredCapabilities": {"extensions": {EXTENSION: {}}}},
        )
    named = None if ctx.request is None else ctx.request.headers.get("mcp-name")
    if named is not None and named != task:
        raise MCPError(HEADER_MISMATCH, "The header Mcp-Name names another task than the body.")


def install(server: Server[Any], sources: list[Source]) -> None:
    """Serve the extension's methods and say so."""

    async def get(ctx: Context, params: TaskParams) -> dict[str, Any]:
        require(ctx, params.task_id)
        with told_as_errors():
            for source in sources:
                found = await source.get(ctx, params.task_id)
                if found is not None:
                    return {**COMPLETE, **found}
        raise _unknown(params.task_id)

    async def cancel(ctx: Context, params: TaskParams) -> dict[str, Any]:
        require(ctx, params.task_id)
        with told_as_errors():
            for source in sources:
                if await source.cancel(ctx, params.task_id):
                    return dict(COMPLETE)
        raise _unknown(params.task_id)

    async def update(ctx: Context, params: TaskUpdateParams) -> dict[str, Any]:
        require(ctx, params.task_id)
        with told_as_errors():
            for source in sources:
                if await source.update(ctx, params.task_id, params.input_responses):
                    return dict(COMPLETE)
        raise _unknown(params.task_id)

    server.add_request_handler("tasks/get", TaskParams, get)
    server.add_request_handler("tasks/cancel", TaskParams, cancel)
    server.add_request_handler("tasks/update", TaskUpdateParams, update)
    server.extensions[EXTENSION] = {}


def _unknown(task: str) -> MCPError:
    return MCPError(
        INVALID_PARAMS,
        f"There is no task {task[:80]!r}. It may have been forgotten.",
        {"code": "unknown_task"},
    )
