"""Contests with large changes through a server: each reply is as long as its reader bears."""

import json
import socket
import sys
from pathlib import Path
from typing import Any

from tests.coding.sample import make_sample
from tests.serve.server_process import PATIENCE_S, Served, serving
from tests.web.webbed import ask

LINE_BYTES_MAX = 65_536
AGENT = """
import pathlib
text = "".join(f"VALUE_{n} = {n}  # one of many values of a table\\n" for n in range(6000))
pathlib.Path("shop/table.py").write_text(text)
print("x" * 200_000)
"""


def line_of(served: Served, tool: str, **given: Any) -> bytes:
    """What comes back on a line, as it is."""
    host, _, port = served.told["tcp"].rpartition(":")
    with socket.create_connection((host, int(port)), 4 * PATIENCE_S) as connection:
        asked = {"jsonrpc": "2.0", "id": 1, "method": "tools/call",
                 "params": {"name": tool, "arguments": given}}  # fmt: skip
        connection.sendall(json.dumps(asked).encode() + b"\n")
        with connection.makefile("rb") as replies:
            return replies.readline()


def posted(served: Served, tool: str, **given: Any) -> Any:
    host, _, port = served.told["tcp"].rpartition(":")
    asked = {"jsonrpc": "2.0", "id": 1, "method": "tools/call",
             "params": {"name": tool, "arguments": given}}  # fmt: skip
    headers = {"Content-Type": "application/json"}
    found = ask(host, int(port), "POST", "/", json.dumps(asked).encode(), headers)
    return found.json["result"]["structuredContent"]


def test_a_contest_of_large_changes_fits_lines_and_is_there_as_a_whole(tmp_path: Path) -> None:
    make_sample(tmp_path / "workspace")
    agent = tmp_path / "agent.py"
    agent.write_text(AGENT)
    with serving(tmp_path, "--coding-agent", f"{sys.executable} {agent} {{goal}}") as served:
        line = line_of(served, "task_orchestrate", task="Make the table", candidates=3, wait=True)
        assert len(line) <= LINE_BYTES_MAX
        told = json.loads(line)["result"]
        assert told["status"] == "completed"
        task = told["taskId"]
        for tool in ("task_results", "task_status"):
            assert len(line_of(served, tool, taskId=task)) <= LINE_BYTES_MAX
        whole = posted(served, "task_results", taskId=task)
        contest = whole["result"]["contest"]
        assert contest["winner"] == "candidate-1"
        assert [each["insertions"] for each in contest["candidates"]] == [6_000] * 3
        assert whole["leftOut"] == [] and len(json.dumps(whole)) < 1_048_576
