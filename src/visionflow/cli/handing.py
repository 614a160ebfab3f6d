"""A run that a server does: the goal goes there, progress comes back, and the report is its own."""

import asyncio
import sys
from pathlib import Path
from typing import Any, cast

from visionflow.cli.coding import CodingFlags, wish_of
from visionflow.cli.reaching import client_of
from visionflow.cli.result import is_finished, show_result
from visionflow.cli.showing import show
from visionflow.cli.terminal import is_terminal, say
from visionflow.compose.job import ExitCode, RunFolder, outcome_of
from visionflow.domain.errors import UsageError
from visionflow.interfaces.client.connection import OnProgress

HERE = "here"
"""In the place of an address: this user's server."""
_CODES = {
    "blocked": ExitCode.BLOCKED,
    "cancelled": ExitCode.CANCELLED,
    "completed": ExitCode.DONE,
}


def run_on_server(
    goal: str,
    workspace: Path | None,
    playbook: str | None,
    server: str,
    coding: CodingFlags,
    *,
    as_json: bool,
    progress: bool,
) -> int:
    """Hand the goal in, wait for its end, and print its result; returns the exit code.

    Ctrl-C stops the waiting; the run goes on at the server.

    Raises:
        ServerUnreachable: no server answers there.
        VisionFlowError: what the server refused.
    """
    if goal.endswith((".yaml", ".yml")) and Path(goal).is_file():
        raise UsageError(
            "A plan.yaml is run here, not by a server.", hint="Leave --server out, or give a goal."
        )
    place = str((workspace or Path()).resolve())
    asked: dict[str, Any] = {"task": goal, "workspace": place, "wait": True}
    if playbook is not None:
        asked["playbook"] = playbook
    asked |= _of_coding(coding)
    reply = asyncio.run(_hand_in(asked, None if server == HERE else server, progress))
    return _tell(reply, as_json)


def _of_coding(flags: CodingFlags) -> dict[str, Any]:
    """What a server is asked for of coding agents.

    Raises:
        UsageError: it says who they are, or a value cannot be understood.
    """
    if flags.agent:
        raise UsageError(
            "Coding agents of a server are those that its owner allowed.",
            hint="Leave --agent out and say how many with --candidates, or leave --server out.",
        )
    wish_of(flags)
    limits = {
        "agentTimeout": flags.agent_timeout,
        "timeLimit": flags.time_limit,
        "agentMemory": flags.agent_memory,
        "maxTokens": flags.max_tokens,
        "maxCost": flags.max_cost,
    }
    asked = {
        "candidates": flags.candidates,
        "accept": flags.accept,
        "parallelism": flags.max_agents,
        "limits": {key: value for key, value in limits.items() if value is not None},
    }
    return {key: value for key, value in asked.items() if value not in (None, {}, [])}


async def _hand_in(asked: dict[str, Any], server: str | None, progress: bool) -> dict[str, Any]:
    client = client_of(server)
    said: list[str] = []

    def hear(fraction: float | None, note: str) -> None:
        share = "" if fraction is None else f"{fraction:4.0%}  "
        line = f"{share}{note}"
        if line not in said[-1:]:
            said.append(line)
            say(line)

    heard: OnProgress | None = hear if progress and is_terminal(sys.stderr) else None
    async with client:
        return await client.call("task_orchestrate", asked, timeout=None, on_progress=heard)


def _tell(reply: dict[str, Any], as_json: bool) -> int:
    # What task_results gives of a playbook is the view of its run, and that says where it lies.
    result = reply.get("result")
    view = cast("dict[str, Any]", result) if isinstance(result, dict) else {}
    named = view.get("out")
    folder = RunFolder(named) if isinstance(named, str) and Path(named).is_dir() else None
    if folder is not None and is_finished(folder):
        show_result(folder, as_json)
        return outcome_of(folder.read_summary() or {}).exit_code
    show(reply, as_json=as_json)
    if reply.get("missing"):
        say(f"visionflow: it is blocked: {reply['missing']}")
    return int(_CODES.get(str(reply.get("status")), ExitCode.FAILED))
