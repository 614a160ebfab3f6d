"""Tools, results and faults in MCP's form.

The JSON stands in the text block too, because assistants show the model nothing else. A fault has
no structured content: it would have to satisfy the tool's output schema, and some clients check.
"""

from typing import Any

import msgspec

from visionflow.interfaces.tools.arguments import Result
from visionflow.interfaces.tools.faults import Fault
from visionflow.interfaces.tools.tool import AnyTool

FAULT = "visionflow/error"
"""Where a fault stands for programs, in `_meta`."""
COMPLETE: dict[str, Any] = {"resultType": "complete"}
"""What 2026-07-28 wants in every result; earlier revisions do without."""
DESTRUCTIVE = frozenset(
    {
        "swarm_destroy",
        "swarm_reset",
        "agent_terminate",
        "agent_restart",
        "task_cancel",
        "task_queue_clear",
    }
)
"""Tools that end or throw away what is there."""
SAID_ONCE = (
    "Absent: your latest swarm.",
    "nextCursor of the page before.",
    "At most so many.",
    "1 to 1000.",
    "Id or name.",
    "Where to look; absent: everywhere.",
    "Where to look; all swarms otherwise.",
    "For the log.",
    "Seconds to wait; 60.",
)
"""Words of arguments that the list of tools does without: the server's instructions say them for
all. Help and pages have them at each."""
REPEATABLE = frozenset(
    {
        "swarm_destroy",
        "swarm_scale",
        "swarm_reset",
        "swarm_reconnect",
        "agent_scale",
        "agent_terminate",
        "agent_update",
        "task_cancel",
        "memory_store",
    }
)
"""Tools that change nothing more when they are called again with the same arguments."""


def tool_entry(tool: AnyTool) -> dict[str, Any]:
    """A tool as `tools/list` has it."""
    return {
        "name": tool.name,
        "description": tool.summary,
        "inputSchema": _listed_input_schema(tool),
        "outputSchema": tool.listed_output_schema,
        "annotations": _hints(tool),
    }


def _listed_input_schema(tool: AnyTool) -> dict[str, Any]:
    schema = tool.input_schema
    properties = {
        name: {key: each for key, each in found.items() if each not in SAID_ONCE}
        for name, found in schema["properties"].items()
    }
    return {**schema, "properties": properties}


def _hints(tool: AnyTool) -> dict[str, bool]:
    """Only what is not the default of MCP's `ToolAnnotations`: every assistant reads all of them,
    and of a tool that only reads the other two say nothing."""
    if tool.reads:
        return {"readOnlyHint": True}
    hints: dict[str, bool] = {}
    if tool.name not in DESTRUCTIVE:
        hints["destructiveHint"] = False
    if tool.name in REPEATABLE:
        hints["idempotentHint"] = True
    return hints


def success(result: Result | dict[str, Any]) -> dict[str, Any]:
    """What a tool gave."""
    raw = msgspec.json.encode(result)
    return {
        "content": [{"type": "text", "text": raw.decode()}],
        "structuredContent": msgspec.json.decode(raw),
        "isError": False,
        **COMPLETE,
    }


def failure(fault: Fault) -> dict[str, Any]:
    """Why a tool gave nothing."""
    error = {"message": fault.message, **fault.data}
    return {
        "content": [{"type": "text", "text": msgspec.json.encode({"error": error}).decode()}],
        "isError": True,
        **COMPLETE,
        "_meta": {FAULT: error},
    }
