"""`swarm_monitor` on a command line: a look an interval, one line each, until there were enough.

On a terminal it goes on until Ctrl-C; in a pipe it is one look, so that a script goes on.
"""

import asyncio
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, cast

import msgspec

from visionflow.cli.reaching import client_of
from visionflow.cli.showing import show
from visionflow.cli.terminal import is_terminal, plain
from visionflow.cli.toolwords import Spoken, help_of, understand
from visionflow.domain.errors import UsageError
from visionflow.interfaces.tools.tool import AnyTool

NAME = "swarm_monitor"
COUNT_HELP = """
Lines:
  --count N        so many, an interval apart; else on a terminal until Ctrl-C, in a pipe one"""
TIMEOUT_S = 60.0


def monitor(tool: AnyTool, words: Sequence[str], program: str) -> int:
    """Look, print, wait, and look again."""
    rest, count = _counted(words)
    spoken = understand(tool, rest)
    if spoken.help:
        print(help_of(tool, program) + COUNT_HELP)
        return 0
    if count is None and not is_terminal(sys.stdout):
        count = 1
    try:
        asyncio.run(_look(tool, spoken, count))
    except KeyboardInterrupt:
        if count is not None:
            raise
    return 0


def _counted(words: Sequence[str]) -> tuple[list[str], int | None]:
    """The words without `--count`, and how many lines it wants."""
    rest, count, left = list[str](), None, list(words)
    while left:
        word = left.pop(0)
        name, joined, value = word.partition("=")
        if name != "--count":
            rest.append(word)
            continue
        text = value if joined else left.pop(0) if left else ""
        if not text.isdigit() or int(text) < 1:
            raise UsageError(f"--count is {text!r}; it is a whole number, 1 at least.")
        count = int(text)
    return rest, count


async def _look(tool: AnyTool, spoken: Spoken, count: int | None) -> None:
    client = client_of(spoken.server, spoken.token)
    seen = 0
    async with client:
        due = time.monotonic()
        while count is None or seen < count:
            wait_s = due - time.monotonic()
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            result = await client.call(tool.name, spoken.arguments, timeout=TIMEOUT_S)
            seen += 1
            due = max(due + result["interval"], time.monotonic())
            _print(result, spoken, count)


def _print(result: dict[str, Any], spoken: Spoken, count: int | None) -> None:
    if is_terminal(sys.stdout) and not spoken.json:
        print(plain(line_of(result)), flush=True)
    elif count == 1:
        show(result, as_json=True)
    else:
        print(msgspec.json.encode(result).decode("utf-8", "replace"), flush=True)


def line_of(result: Mapping[str, Any]) -> str:
    """A look as one line for a person."""
    parts = [str(result["at"])[11:19], str(result["swarmId"])]
    agents = f"agents {result['agentsReady']}/{result['agents']}"
    parts += [agents, f"tasks {result['openTasks']}"]
    reached = cast("Mapping[str, Any] | None", result["connectivity"])
    if reached is not None:
        parts.append(f"connectivity {reached['answered']}/{reached['workers']}")
    took = cast("Mapping[str, Any] | None", result["latency"])
    if took is not None:
        known = f"p50 {_ms(took['p50'])} p99 {_ms(took['p99'])}" if took["samples"] else "unknown"
        parts.append(f"latency {known}")
    done = cast("Mapping[str, Any] | None", result["throughput"])
    if done is not None:
        rate = "unknown" if done["perMinute"] is None else f"{done['perMinute']:.0f}/min"
        parts.append(f"throughput {rate}")
    if result["degraded"] is not None:
        parts.append(f"degraded: {result['degraded']}")
    return "  ".join(parts)


def _ms(seconds: float) -> str:
    return f"{seconds * 1_000:.0f} ms"
