"""`mcp-tcp-status` and `mcp-tcp-test`: is the server on the port well? Non-zero when it is not.

Both speak TCP to the port itself, as the guide's clients do, never over this user's socket.
"""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from visionflow.cli.ending import ending
from visionflow.cli.reaching import client_of
from visionflow.cli.showing import show
from visionflow.cli.terminal import Paint, colours, is_terminal, say
from visionflow.domain.errors import UsageError, VisionFlowError
from visionflow.interfaces.client.calls import MCPClient

NOT_WELL = 1
TIMEOUT_S = 10.0
TCP_EXAMPLES = """\
Examples:
  {0}
  {0} HOST:PORT
  {0} --json | jq .ok
"""


class Step(msgspec.Struct, frozen=True):
    """One thing that was tried."""

    name: str
    ok: bool
    ms: float | None
    """How long it took; `None` when it failed."""
    detail: str


def status_main() -> None:
    """The program `mcp-tcp-status`."""
    ending(lambda: status(sys.argv[1:]))


def test_main() -> None:
    """The program `mcp-tcp-test`."""
    ending(lambda: probe(sys.argv[1:]))


def status(words: list[str]) -> int:
    """Print how the server is; 1 when it does not answer or is not ready."""
    line = _read(words, "mcp-tcp-status", "Tells how the MCP server on a TCP port is.")
    if line is None:
        return 0
    found = asyncio.run(_status(client_of(line.server, line.token, tcp=True)))
    show(found, as_json=line.json)
    return 0 if found["ok"] else NOT_WELL


async def _status(client: MCPClient) -> dict[str, Any]:
    began = time.perf_counter()
    try:
        async with asyncio.timeout(TIMEOUT_S), client:
            await client.ping()
            ms = round((time.perf_counter() - began) * 1000, 3)
            info = await client.call("server_info")
    except (VisionFlowError, TimeoutError) as error:
        return {"ok": False, "server": client.address, "error": str(error) or "no answer in time"}
    return {"ok": True, "server": client.address, "connectAndPingMs": ms, **info}


def probe(words: list[str]) -> int:
    """Try the protocol step by step; 1 when a step fails."""
    line = _read(words, "mcp-tcp-test", "Tries the MCP server on a TCP port, step by step.")
    if line is None:
        return 0
    client = client_of(line.server, line.token, tcp=True)
    steps = asyncio.run(_probe(client))
    ok = all(step.ok for step in steps)
    if line.json or not is_terminal(sys.stdout):
        show(
            {"ok": ok, "server": client.address, "steps": msgspec.to_builtins(steps)},
            as_json=True,
        )
    else:
        _print(steps)
    return 0 if ok else NOT_WELL


async def _probe(client: MCPClient) -> list[Step]:
    steps: list[Step] = []

    async def tried(name: str, do: Callable[[], Awaitable[str]]) -> bool:
        began = time.perf_counter()
        try:
            async with asyncio.timeout(TIMEOUT_S):
                detail = await do()
        except (VisionFlowError, TimeoutError) as error:
            steps.append(Step(name, False, None, str(error) or "no answer in time"))
            return False
        ms = round((time.perf_counter() - began) * 1000, 3)
        steps.append(Step(name, True, ms, detail))
        return True

    async def connect() -> str:
        await client.connect()
        return str(client.address)

    async def ping() -> str:
        await client.ping()
        return "answered"

    async def tools() -> str:
        return f"{len(await client.list_tools())} tools"

    async def read() -> str:
        return f"version {(await client.call('server_info'))['version']}"

    try:
        for name, do in (
            ("connect and initialize", connect), ("ping", ping), ("tools/list", tools),
            ("tools/call server_info", read),
        ):  # fmt: skip
            if not await tried(name, do):
                break
    finally:
        await client.close()
    return steps


def _print(steps: list[Step]) -> None:
    paint = Paint(colours(sys.stdout))
    for step in steps:
        mark = paint("good", "ok  ") if step.ok else paint("bad", "FAIL")
        took = "" if step.ms is None else f"{step.ms:8.1f} ms  "
        print(f"{mark} {step.name:<24} {took}{step.detail}")


class _Line(msgspec.Struct):
    server: str | None = None
    token: str | None = None
    json: bool = False


def _read(words: list[str], program: str, what: str) -> _Line | None:
    """The options; `None` when help was asked for and printed."""
    line, rest = _Line(), list(words)
    while rest:
        word = rest.pop(0)
        name, joined, value = word.partition("=")
        if word in ("--help", "-h"):
            print(f"Usage: {program} [HOST:PORT] [--token TOKEN] [--json]\n\n{what}")
            print(f"The exit code is {NOT_WELL} when it is not well.\n")
            print(TCP_EXAMPLES.format(program).rstrip())
            return None
        if word == "--json":
            line.json = True
        elif name in ("--server", "--token"):
            if not joined and not rest:
                raise UsageError(f"{name} needs a value.", hint=f"Write {name}=VALUE.")
            setattr(line, name[2:], value if joined else rest.pop(0))
        elif word.startswith("-") or line.server is not None:
            raise UsageError(f"{word!r} was not expected.", hint=f"See `{program} --help`.")
        else:
            line.server = word
    if line.server is not None and "/" in line.server:
        say(f"{program}: {line.server} is asked over its socket, not over TCP.")
    return line
