"""An MCP server made with the plain SDK, or with FastMCP: `python -m bench.peers.mcp_peer
sdk|fastmcp http|stdio`. It has one tool, which answers from memory with as much as swarm_status
does. Over HTTP it prints its port and serves `/mcp`, without sessions and with JSON replies, which
is what it does fastest.
"""

import asyncio
import json
import socket
import sys
from typing import Any

TOOL = "swarm_status"
SCHEMA: dict[str, Any] = {"type": "object", "properties": {}}
ANSWER: dict[str, Any] = {
    "swarmId": "swarm_1784900000000_0123456789abcdef",
    "name": "",
    "goal": "",
    "topology": "hierarchical",
    "strategy": "centralized",
    "status": "active",
    "maxAgents": 100,
    "workspace": "/tmp/bench-0123456789/space",
    "agents": [
        {
            "id": f"agent_1784900000000_0123456789abcde{number}",
            "type": "researcher",
            "name": f"researcher-{number}",
            "status": "ready",
            "currentTask": None,
            "pid": 10_000 + number,
        }
        for number in range(3)
    ],
    "taskQueue": {
        **dict.fromkeys(("pending", "queued", "assigned", "running", "blocked"), 0),
        **dict.fromkeys(("orchestrating", "completed", "failed", "cancelled", "deadLetter"), 0),
        "oldestWaitSeconds": None,
        "byPriority": {},
    },
    "metrics": {"tasksCompleted": 0, "avgCompletionTime": None, "successRate": None},
    "warnings": [],
}


def _sdk() -> Any:
    from mcp.server.lowlevel import Server
    from mcp_types import CallToolRequestParams, CallToolResult, TextContent

    async def call(context: Any, params: CallToolRequestParams) -> CallToolResult:
        text = json.dumps(ANSWER)
        return CallToolResult(
            content=[TextContent(type="text", text=text)], structured_content=ANSWER
        )

    return Server("bench", on_call_tool=call, get_tool_input_schema=lambda name: SCHEMA)


def _fastmcp() -> Any:
    from fastmcp import FastMCP

    made = FastMCP("bench")

    def answer() -> dict[str, Any]:
        """The answer."""
        return ANSWER

    made.tool(answer, name=TOOL)
    return made


def serve_http(which: str) -> None:
    """Serve `/mcp` on a free port of loopback, which is printed."""
    import uvicorn

    if which == "sdk":
        app = _sdk().streamable_http_app(json_response=True, stateless_http=True)
    else:
        app = _fastmcp().http_app(json_response=True, stateless_http=True)
    listening = socket.create_server(("127.0.0.1", 0))
    listening = socket.socket(
        listening.family, listening.type, socket.IPPROTO_TCP, listening.detach()
    )
    print(listening.getsockname()[1], flush=True)
    # As our own server is: with neither httptools nor uvloop, wherever they are installed.
    config = uvicorn.Config(app, http="h11", loop="asyncio", log_level="error", access_log=False)
    asyncio.run(uvicorn.Server(config).serve([listening]))


def serve_stdio(which: str) -> None:
    """Serve standard input and output."""
    if which == "fastmcp":
        _fastmcp().run(transport="stdio", show_banner=False)
        return
    from mcp.server.stdio import stdio_server

    async def serve() -> None:
        made = _sdk()
        async with stdio_server() as (reading, writing):
            await made.run(reading, writing, made.create_initialization_options())

    asyncio.run(serve())


if __name__ == "__main__":
    (serve_http if sys.argv[2] == "http" else serve_stdio)(sys.argv[1])
