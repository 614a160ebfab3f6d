"""The SDK's low-level server over the registry: what it lists, and who answers what.

One server serves every era and both transports. How a request comes here is `http.py`'s and
`socket.py`'s business, who sends it `links.py`'s.
"""

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from mcp.server.caching import CacheableMethod, CacheHint
from mcp.server.lowlevel import Server as Protocol
from mcp.server.subscriptions import ListenHandler
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INVALID_PARAMS,
    CallToolRequestParams,
    CompleteRequestParams,
    GetPromptRequestParams,
    PaginatedRequestParams,
    ReadResourceRequestParams,
    SubscriptionsListenRequestParams,
    SubscriptionsListenResult,
)

from visionflow.interfaces.mcp import guest as guests
from visionflow.interfaces.mcp import tasks
from visionflow.interfaces.mcp.calls import Calls
from visionflow.interfaces.mcp.durable import Durable
from visionflow.interfaces.mcp.guest import Guest
from visionflow.interfaces.mcp.held import Held
from visionflow.interfaces.mcp.links import Context, known_caller
from visionflow.interfaces.mcp.pages import page
from visionflow.interfaces.mcp.prompts import Prompts
from visionflow.interfaces.mcp.resources import Resources
from visionflow.interfaces.mcp.watching import Watching
from visionflow.interfaces.mcp.wording import COMPLETE, tool_entry
from visionflow.interfaces.server import Server
from visionflow.interfaces.tools.tool import Registry

PAGE = 100
INSTRUCTIONS = (
    "VisionFlow runs swarms of agents that do real work in a workspace. swarm_init makes a swarm, "
    "agent_spawn adds agents, task_orchestrate hands it a goal in words and task_results gives "
    "what came of it; swarm_status and events tell what happens. Without a swarmId your latest "
    "swarm is meant, or wherever the id is found. A task that waits for something that is not "
    "there is blocked and says for what; what is not known is null. An agentId may be its name; "
    "limit and cursor (nextCursor of the page before) page through lists; waitTimeout is in "
    "seconds."
)
_FIXED: tuple[CacheableMethod, ...] = (
    "tools/list",
    "prompts/list",
    "resources/templates/list",
    "server/discover",
)
"""What changes only when another version of the server starts."""
_LIVE: tuple[CacheableMethod, ...] = ("resources/list", "resources/read")
FRESH_MS = 60_000


class Face:
    """MCP's face of a server."""

    def __init__(self, server: Server, registry: Registry, guest: Guest | None = None) -> None:
        self.registry = registry
        self.calls = Calls(registry, lambda: server.ready, server.settings.depth_max)
        self.held = Held(server.now_ms)
        self._durable = Durable(self.calls)
        self._resources = Resources(server, self.calls)
        self._prompts = Prompts()
        self._listening = ListenHandler(Watching(server))
        self._guest = guest
        self._tools = [(tool.name, tool_entry(tool)) for tool in registry.tools.values()]
        self.protocol = self._protocol()

    async def aclose(self) -> None:
        """Stop waiting for everything."""
        self._listening.close()
        await self.calls.aclose()
        await self.held.aclose()

    def _protocol(self) -> Protocol[Any]:
        protocol: Protocol[Any] = Protocol(
            "visionflow",
            version=version("visionflow"),
            title="VisionFlow",
            instructions=INSTRUCTIONS,
            cache_hints={
                **{method: CacheHint(ttl_ms=FRESH_MS) for method in _FIXED},
                **{method: CacheHint(ttl_ms=0) for method in _LIVE},
            },
            get_tool_input_schema=self._input_schema,
        )
        add = protocol.add_request_handler
        add("tools/list", PaginatedRequestParams, self._list_tools)
        add("tools/call", CallToolRequestParams, self._call_tool)
        add("resources/list", PaginatedRequestParams, self._list_resources)
        add("resources/templates/list", PaginatedRequestParams, self._list_templates)
        add("resources/read", ReadResourceRequestParams, self._read_resource)
        add("prompts/list", PaginatedRequestParams, self._list_prompts)
        add("prompts/get", GetPromptRequestParams, self._get_prompt)
        add("completion/complete", CompleteRequestParams, self._complete)
        add("subscriptions/listen", SubscriptionsListenRequestParams, self._listen)
        tasks.install(protocol, [self._durable, self.held])
        return protocol

    def _input_schema(self, name: str) -> Mapping[str, Any] | None:
        tool = self.registry.tools.get(name)
        if tool is None:
            return None if self._guest is None else self._guest.input_schema(name)
        return tool.input_schema

    async def _listen(
        self, ctx: Context, params: SubscriptionsListenRequestParams
    ) -> SubscriptionsListenResult:
        known_caller(ctx)
        return await self._listening(ctx, params)

    async def _list_tools(self, ctx: Context, params: PaginatedRequestParams) -> dict[str, Any]:
        extra = await guests.listed(self._guest, ctx, "tools/list", "tools")
        entries = self._tools + [(tool["name"], tool) for tool in extra]
        return _page("tools", entries, params)

    async def _call_tool(self, ctx: Context, params: CallToolRequestParams) -> dict[str, Any]:
        if self._guest is not None and params.name not in self.registry.tools:
            return await guests.call(self._guest, self.held, ctx, params)
        if self._durable.fits(ctx, params):
            return await self._durable.begin(ctx, params)
        return await self.calls.call(ctx, params)

    async def _list_resources(self, ctx: Context, params: PaginatedRequestParams) -> dict[str, Any]:
        known_caller(ctx)
        extra = await guests.listed(self._guest, ctx, "resources/list", "resources")
        entries = await self._resources.entries() + [(each["uri"], each) for each in extra]
        return _page("resources", entries, params)

    async def _list_templates(self, ctx: Context, params: PaginatedRequestParams) -> dict[str, Any]:
        key = "resourceTemplates"
        extra = await guests.listed(self._guest, ctx, "resources/templates/list", key)
        entries = self._resources.templates() + [(each["uriTemplate"], each) for each in extra]
        return _page(key, entries, params)

    async def _read_resource(
        self, ctx: Context, params: ReadResourceRequestParams
    ) -> dict[str, Any]:
        found = await self._resources.read(ctx, str(params.uri))
        if found is None and self._guest is not None:
            found = await guests.ask(self._guest, ctx, "resources/read", params)
        if found is None:
            raise MCPError(
                INVALID_PARAMS,
                f"There is no resource {str(params.uri)[:200]!r}.",
                {"code": "unknown_resource", "uri": str(params.uri)},
            )
        return {**COMPLETE, **found}

    async def _list_prompts(self, ctx: Context, params: PaginatedRequestParams) -> dict[str, Any]:
        extra = await guests.listed(self._guest, ctx, "prompts/list", "prompts")
        entries = self._prompts.entries() + [(each["name"], each) for each in extra]
        return _page("prompts", entries, params)

    async def _get_prompt(self, ctx: Context, params: GetPromptRequestParams) -> dict[str, Any]:
        found = self._prompts.get(params.name, params.arguments or {})
        if found is None and self._guest is not None:
            found = await guests.ask(self._guest, ctx, "prompts/get", params)
        if found is None:
            raise MCPError(
                INVALID_PARAMS,
                f"There is no prompt {params.name[:80]!r}. prompts/list has them all.",
                {"code": "unknown_prompt"},
            )
        return {**COMPLETE, **found}

    async def _complete(self, ctx: Context, params: CompleteRequestParams) -> dict[str, Any]:
        known_caller(ctx)
        argument = params.argument
        if params.ref.type == "ref/prompt":
            values = self._prompts.complete(params.ref.name, argument.name, argument.value)
        else:
            values = self._resources.complete(params.ref.uri, argument.name, argument.value)
        if values is None and self._guest is not None:
            found = await guests.ask(self._guest, ctx, "completion/complete", params)
            if found is not None:
                return found
        told = (values or [])[:100]
        total = len(values or [])
        more = {"values": told, "total": total, "hasMore": total > len(told)}
        return {**COMPLETE, "completion": more}


def _page(
    key: str, entries: list[tuple[str, dict[str, Any]]], params: PaginatedRequestParams
) -> dict[str, Any]:
    part, following = page(entries, params.cursor, PAGE)
    more = {} if following is None else {"nextCursor": following}
    return {**COMPLETE, key: part, **more}
