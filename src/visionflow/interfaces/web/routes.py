"""The routes of REST, all made from the registry: one for each tool, and reads by resource.

A route of a resource is a tool by another address; there is no second way to do anything. What a
route looks like on the wire, `openapi` tells; how it is served, `app`.
"""

from typing import NamedTuple
from urllib.parse import unquote

import msgspec

from visionflow.interfaces.tools.arguments import fields_of
from visionflow.interfaces.tools.tool import AnyTool, Registry

TOOLS = "/api/tools"
RESOURCES = (
    ("GET", "/api/swarms", "swarm_list"),
    ("POST", "/api/swarms", "swarm_init"),
    ("GET", "/api/swarms/{swarmId}", "swarm_status"),
    ("DELETE", "/api/swarms/{swarmId}", "swarm_destroy"),
    ("GET", "/api/agents", "agent_list"),
    ("POST", "/api/agents", "agent_spawn"),
    ("GET", "/api/agents/metrics", "performance_report"),
    ("GET", "/api/agents/{agentId}", "agent_status"),
    ("PATCH", "/api/agents/{agentId}", "agent_update"),
    ("DELETE", "/api/agents/{agentId}", "agent_terminate"),
    ("GET", "/api/agents/{agentId}/logs", "agent_logs"),
    ("GET", "/api/tasks", "task_list"),
    ("POST", "/api/tasks", "task_orchestrate"),
    ("GET", "/api/tasks/{taskId}", "task_status"),
    ("DELETE", "/api/tasks/{taskId}", "task_cancel"),
    ("GET", "/api/tasks/{taskId}/results", "task_results"),
    ("POST", "/api/tasks/{taskId}/retry", "task_retry"),
    ("GET", "/api/effects", "effects"),
    ("POST", "/api/effects/{key}/resolution", "effect_resolve"),
    ("GET", "/api/memory", "memory_search"),
    ("GET", "/api/memory/{namespace}/{key}", "memory_retrieve"),
    ("PUT", "/api/memory/{namespace}/{key}", "memory_store"),
    ("GET", "/api/events", "events"),
    ("GET", "/api/server", "server_info"),
)


class Route(msgspec.Struct, frozen=True):
    """One method at one address."""

    method: str
    path: str
    """Names in braces are arguments of the tool."""
    tool: AnyTool

    @property
    def names(self) -> tuple[str, ...]:
        """The arguments that stand in the address."""
        return tuple(part[1:-1] for part in self.path.split("/") if part.startswith("{"))

    @property
    def takes_body(self) -> bool:
        """Whether the other arguments come in a JSON body; else they are the query's."""
        return self.method in ("POST", "PUT", "PATCH")


class Match(NamedTuple):
    """What an address leads to."""

    routes: dict[str, Route]
    """By method."""
    arguments: dict[str, str]


class Routes:
    """All of them. A fixed address wins over one with names in it."""

    def __init__(self, registry: Registry) -> None:
        self.all = [Route("POST", f"{TOOLS}/{tool.name}", tool) for tool in registry.tools.values()]
        for method, path, name in RESOURCES:
            tool = registry.tools.get(name)
            if tool is not None:
                self.all.append(Route(method, path, tool))
        self._fixed: dict[str, dict[str, Route]] = {}
        self._named: dict[tuple[str, ...], dict[str, Route]] = {}
        for route in self.all:
            unknown = [name for name in route.names if name not in fields_of(route.tool.arguments)]
            assert not unknown, f"{route.path} names {unknown}, which {route.tool.name} lacks"
            if route.names:
                shape = tuple(route.path.split("/"))
                self._named.setdefault(shape, {})[route.method] = route
            else:
                self._fixed.setdefault(route.path, {})[route.method] = route

    def find(self, raw: str) -> Match | None:
        """What is at an address. `raw` is still percent-encoded: a key may have a slash in it."""
        parts = [unquote(part, errors="replace") for part in raw.split("/")]
        fixed = self._fixed.get("/".join(parts)) if "/" not in "".join(parts) else None
        if fixed is not None:
            return Match(fixed, {})
        for shape, routes in self._named.items():
            arguments = _fit(shape, parts)
            if arguments is not None:
                return Match(routes, arguments)
        return None


def _fit(shape: tuple[str, ...], parts: list[str]) -> dict[str, str] | None:
    if len(shape) != len(parts):
        return None
    arguments: dict[str, str] = {}
    for want, part in zip(shape, parts, strict=True):
        if want.startswith("{") and part:
            arguments[want[1:-1]] = part
        elif want != part:
            return None
    return arguments
