"""Tools, resources and prompts that are no part of VisionFlow, served beside its own.

The product has none. Tests serve the fixtures that conformance suites ask for this way, so that
they go through the same app as everything else.
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal, cast

import msgspec
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError
from mcp_types import (
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    CallToolRequestParams,
    PaginatedRequestParams,
)
from pydantic import BaseModel

from visionflow.interfaces.mcp.held import Held
from visionflow.interfaces.mcp.links import Context
from visionflow.interfaces.mcp.tasks import EXTENSION, declared

AsTask = Literal["no", "may", "must"]


class Guest(msgspec.Struct, frozen=True):
    """A server of the SDK whose handlers are asked for what is not ours."""

    server: Server[Any]
    as_task: Callable[[CallToolRequestParams], AsTask]
    """Whether this call of one of its tools is offered as a task."""
    input_schema: Callable[[str], Mapping[str, Any] | None]
    """Of one of its tools, by name."""


async def ask(guest: Guest, ctx: Context, method: str, params: BaseModel) -> dict[str, Any] | None:
    """What the guest answers, in its wire form; `None` when it does not serve the method."""
    entry = guest.server.get_request_handler(method)
    if entry is None:
        return None
    found = await entry.handler(ctx, params)
    if isinstance(found, BaseModel):
        return found.model_dump(by_alias=True, mode="json", exclude_none=True)
    return dict(cast("Mapping[str, Any]", found or {}))


async def listed(guest: Guest | None, ctx: Context, method: str, key: str) -> list[dict[str, Any]]:
    """All entries of one of the guest's lists."""
    if guest is None:
        return []
    found = await ask(guest, ctx, method, PaginatedRequestParams())
    return [] if found is None else cast("list[dict[str, Any]]", found[key])


async def call(
    guest: Guest, held: Held, ctx: Context, params: CallToolRequestParams
) -> dict[str, Any]:
    """Call one of the guest's tools, as a task where both sides want that."""
    wanted = guest.as_task(params)
    if wanted == "must" and not declared(ctx):
        raise MCPError(
            MISSING_REQUIRED_CLIENT_CAPABILITY,
            f"{params.name} can only be called by clients with the capability {EXTENSION}.",
            {"requiredCapabilities": {"extensions": {EXTENSION: {}}}},
        )
    if wanted == "no" or not declared(ctx):
        return await ask(guest, ctx, "tools/call", params) or {}

    async def make(answers: dict[str, Any] | None, state: str | None) -> dict[str, Any]:
        again = params
        if answers is not None:
            raw = params.model_dump(by_alias=True, exclude_none=True)
            raw |= {"inputResponses": answers, "requestState": state}
            again = CallToolRequestParams.model_validate(raw, by_name=False)
        return await ask(guest, ctx, "tools/call", again) or {}

    return held.begin(ctx, make)
