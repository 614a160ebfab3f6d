"""Writes docs/tools.md from the registry: `python -m visionflow.testing.tool_docs docs/tools.md`.

A test holds the page against the registry, so it cannot tell of a tool that is not there.
"""

import sys
from pathlib import Path
from typing import Any, cast

import msgspec

from visionflow.interfaces.tools.all import catalogue
from visionflow.interfaces.tools.arguments import fields_of
from visionflow.interfaces.tools.tool import AnyTool

HEAD = """\
# Tools

Every tool of a server, made from the registry by `python -m visionflow.testing.tool_docs`. Each is
there on every face: as an MCP tool, as `visionflow call TOOL`, as `mcp__claude-flow__TOOL`, as
`POST /api/tools/TOOL`, and as a line of JSON-RPC on port 9500. An argument that a tool does not
know is an error. Durations are `"5000ms"`, `"5s"`, `"2m"` or a number, whose unit the table says;
sizes `"512Mi"`, `"4Gi"`; lists of words may be written `"a,b"`.

A tool that changes something also takes `idempotencyKey`: the same call again is done once.
"""


def page() -> str:
    """The whole page."""
    registry = catalogue()
    parts = [HEAD]
    group = ""
    for tool in registry.tools.values():
        if tool.group != group:
            group = tool.group
            parts.append(f"## {group.capitalize()}\n")
        parts.append(_section(tool))
    parts.append("## What does not exist yet\n\nCalled, these answer that they do not exist yet.\n")
    rows = "\n".join(f"| `{name}` | {waits} |" for name, waits in registry.later.items())
    parts.append(f"| tool | waits for |\n|---|---|\n{rows}\n")
    return "\n".join(parts)


def _section(tool: AnyTool) -> str:
    lines = [f"### {tool.name}\n", f"{tool.summary}\n"]
    fields = fields_of(tool.arguments)
    aliases = {own: other for other, own in tool.arguments.ALIASES.items()}
    if fields:
        lines += ["| argument | kind | meaning |", "|---|---|---|"]
        properties = cast("dict[str, dict[str, Any]]", tool.input_schema["properties"])
        for field in fields.values():
            also = f" (also `{aliases[field.name]}`)" if field.name in aliases else ""
            needed = ", required" if field.required else ""
            kind = _kind(properties[field.name]) if field.form is None else field.form.name
            lines.append(f"| `{field.name}`{also} | {kind}{needed} | {_cell(field.description)} |")
        lines.append("")
    example = msgspec.json.format(msgspec.json.encode(tool.example), indent=0).decode()
    may = ", ".join(sorted(tool.roles))
    lines += [f"For: {may}. Example: `{' '.join(example.split())}`\n", _answers(tool)]
    return "\n".join(lines)


def _answers(tool: AnyTool) -> str:
    names = ", ".join(f"`{name}`" for name in tool.output_schema.get("properties", {}))
    return f"Answers: {names}.\n"


def _kind(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return " or ".join(f"`{word}`" for word in schema["enum"])
    if "anyOf" in schema:
        kinds = [_kind(cast("dict[str, Any]", each)) for each in schema["anyOf"]]
        return " or ".join(kind for kind in kinds if kind != "null") or "any"
    if "$ref" in schema:
        return "one of its words"
    found = schema.get("type", "any")
    if isinstance(found, list):
        return " or ".join(map(str, cast("list[object]", found)))
    return str(found)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main() -> None:
    """Write the page to the path that is named."""
    Path(sys.argv[1]).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
