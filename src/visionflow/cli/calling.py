"""`visionflow call`, and the commands named `mcp__claude-flow__TOOL`: any tool of a server.

Both are made from the registry. A tool that does not exist yet ends with 69 and says what it
waits for; an unknown one is a slip of the caller's, 2.
"""

import asyncio
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from visionflow.cli import monitoring
from visionflow.cli.ending import ending
from visionflow.cli.reaching import client_of
from visionflow.cli.showing import show
from visionflow.cli.terminal import is_terminal, say
from visionflow.cli.toolwords import Spoken, help_of, understand
from visionflow.domain.errors import ServerUnreachable, UnknownTool, UsageError
from visionflow.interfaces.client.calls import MCPClient
from visionflow.interfaces.tools.tool import AnyTool

PREFIX = "mcp__claude-flow__"
CALL_EXAMPLES = """\
Examples:
  visionflow call
  visionflow call swarm_init hierarchical --maxAgents=10
  visionflow call agent_spawn researcher --capabilities="research,analysis" --wait
  visionflow call task_orchestrate "Review this repository" --wait --json | jq .result
  visionflow call swarm_status --help
"""
FAILED = 1
"""What was waited for ended without a result."""
WITHOUT_RESULT = ("failed", "dead_letter", "cancelled", "blocked")
NOT_ENDED = ("pending", "queued", "orchestrating")
"""What a wait without a limit is answered with only where nobody can do the task."""
TIMEOUT_S = 60.0
PROGRESS_S = 0.2
ATTEMPTS_LONG = 45
"""So often is a server asked again that went away while something was waited for: for about a
minute, under one key. One that is not there at the beginning is not waited for."""


def call(words: Sequence[str]) -> int:
    """`visionflow call TOOL ...`; without a tool it lists them."""
    from visionflow.interfaces.tools.all import catalogue

    registry = catalogue()
    if not words or words[0] in ("--help", "-h"):
        _list(registry.tools)
        return 0
    if words[0].startswith("-"):
        raise UsageError(
            f"{words[0]!r} comes before a tool's name.", hint="visionflow call TOOL --NAME=VALUE"
        )
    name = words[0].removeprefix(PREFIX)
    return _call(_tool(name), words[1:], f"visionflow call {name}")


def main() -> None:
    """The program behind each `mcp__claude-flow__TOOL`: the tool's name is that of the program."""
    program = Path(sys.argv[0]).name
    name = program.removeprefix(PREFIX).removesuffix(".exe")
    ending(lambda: _call(_tool(name), sys.argv[1:], program))


def _tool(name: str) -> AnyTool:
    from visionflow.interfaces.tools.all import catalogue

    try:
        return catalogue().get(name)
    except UnknownTool as error:
        raise UsageError(error.message, hint="`visionflow call` lists them.") from error


def _list(tools: dict[str, AnyTool]) -> None:
    width = max(len(name) for name in tools)
    lines = ["Usage: visionflow call TOOL [WORDS] [--NAME=VALUE ...]", ""]
    group = ""
    for tool in tools.values():
        if tool.group != group:
            group = tool.group
            lines.append(f"{group}:")
        lines.append(f"  {tool.name:<{width}}  {tool.summary}")
    print("\n".join([*lines, "", CALL_EXAMPLES.rstrip()]))


def _call(tool: AnyTool, words: Sequence[str], program: str) -> int:
    if tool.name == monitoring.NAME:
        return monitoring.monitor(tool, words, program)
    spoken = understand(tool, words)
    if spoken.help:
        print(help_of(tool, program))
        return 0
    try:
        result = asyncio.run(_ask(tool, spoken))
    except TimeoutError as error:
        raise ServerUnreachable(
            f"The server did not answer within {TIMEOUT_S:g} s; what was begun may go on.",
            hint="`mcp-tcp-status` tells whether it is well.",
        ) from error
    except KeyboardInterrupt:
        if tool.long:
            say("What was begun goes on at the server; `visionflow call task_list` has it.")
        raise
    _warn(result, spoken)
    show(result, as_json=spoken.json)
    return FAILED if _in_vain(result, spoken) else 0


def _in_vain(result: dict[str, Any], spoken: Spoken) -> bool:
    """Whether a task was waited for and gave nothing."""
    given, status = spoken.arguments, result.get("status")
    if not given.get("wait"):
        return False
    return status in WITHOUT_RESULT or ("waitTimeout" not in given and status in NOT_ENDED)


def _warn(result: dict[str, Any], spoken: Spoken) -> None:
    """Tell a person what their program, which gets the result as JSON, may not show them."""
    if is_terminal(sys.stderr) and (spoken.json or not is_terminal(sys.stdout)):
        warnings: list[str] = list(result.get("warnings") or ())
        reason: str | None = result.get("reason") if spoken.arguments.get("wait") else None
        if reason is not None and reason not in warnings:
            warnings.append(f"it is {result.get('status')}: {reason}")
        for warning in warnings:
            say(f"warning: {warning}")


async def _ask(tool: AnyTool, spoken: Spoken) -> dict[str, Any]:
    client = client_of(spoken.server, spoken.token)
    async with client:
        # What waits has a limit of its own, which the server keeps.
        limit = None if tool.long else TIMEOUT_S
        watching = tool.long and is_terminal(sys.stderr)
        return await asked(client, tool, spoken, limit, _Progress() if watching else None)


async def asked(
    client: MCPClient,
    tool: AnyTool,
    spoken: Spoken,
    limit_s: float | None,
    progress: "_Progress | None" = None,
) -> dict[str, Any]:
    """The answer of a server that was reached, also where it is started again meanwhile."""
    return await client.call(
        tool.name,
        spoken.arguments,
        key=spoken.key,
        timeout=limit_s,
        on_progress=None if progress is None else progress.hear,
        attempts=ATTEMPTS_LONG if tool.long else None,
    )


class _Progress:
    """A line on standard error now and then, for a person who waits."""

    def __init__(self) -> None:
        self._last = 0.0
        self._said = ""

    def hear(self, fraction: float | None, note: str) -> None:
        """How far it is."""
        share = "" if fraction is None else f"{fraction:4.0%} "
        line, now = f"{share}{note}", time.monotonic()
        if line != self._said and now - self._last >= PROGRESS_S:
            self._last, self._said = now, line
            say(line)
