"""The inspector's command line against a running server."""

import json
from pathlib import Path
from typing import Any

import pytest
from real_clients import node, program, ran

CLI = "@modelcontextprotocol/inspector/package.json"


def inspect(server: dict[str, Any], home: Path, *words: str) -> str:
    entry = json.loads(program("suites", CLI).read_text())["bin"]["mcp-inspector"]
    script = program("suites", CLI).parent / entry
    url = f"http://{server['tcp']}/mcp"
    done = ran([node(), script, "--cli", url, "--transport", "http", *words], home)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("era", ["legacy", "modern", "auto"])
def test_it_lists_the_tools_and_finds_no_error_in_their_schemas(
    era: str, server: dict[str, Any], tmp_path: Path
) -> None:
    said = inspect(server, tmp_path, "--protocol-era", era, "--method", "tools/list", "--strict")
    assert "0 errors" in said
    assert '"name": "task_orchestrate"' in said


def test_it_calls_a_tool(server: dict[str, Any], tmp_path: Path) -> None:
    words = ["--method", "tools/call", "--tool-name", "memory_store"]
    given = ["--tool-arg", "key=inspected", "--tool-arg", "value=yes"]
    result = json.loads(inspect(server, tmp_path, *words, *given))
    assert result["structuredContent"]["key"] == "inspected" and not result["isError"]
