"""MCP served for tests: a registry of a few tools of their own behind our app and our socket."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any, TypeVar, cast

import uvicorn

from visionflow.domain.access import ADMINS, OPERATORS, READERS
from visionflow.domain.errors import LimitReached
from visionflow.interfaces.access.gate import Gate
from visionflow.interfaces.access.lookups import Lookups
from visionflow.interfaces.access.tokens import Tokens
from visionflow.interfaces.connections import Connections
from visionflow.interfaces.mcp.http import App
from visionflow.interfaces.mcp.server import Face
from visionflow.interfaces.mcp.socket import Listening, start
from visionflow.interfaces.server import Server
from visionflow.interfaces.tools.arguments import Arguments, Result
from visionflow.interfaces.tools.forms import about
from visionflow.interfaces.tools.tool import AnyTool, Call, Registry, Tool
from visionflow.settings.server import ServerSettings

T = TypeVar("T")
PATIENCE_S = 30.0


class Nothing(Arguments, frozen=True, kw_only=True):
    """No arguments."""


class Text(Arguments, frozen=True, kw_only=True):
    text: Annotated[str, about("Any text.")]


class Told(Result, frozen=True, kw_only=True):
    text: str
    unknown: int | None = None


class Who(Result, frozen=True, kw_only=True):
    name: str
    client: str
    program: str | None
    key: str | None


@dataclass
class Watched:
    """What the tools of a test did."""

    began: asyncio.Event = field(default_factory=asyncio.Event)
    go: asyncio.Event = field(default_factory=asyncio.Event)
    calls: list[Call] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    ended: asyncio.Event = field(default_factory=asyncio.Event)


def tools(watched: Watched) -> list[AnyTool]:
    """A few tools of every kind."""

    def tool(name: str, arguments: Any, result: Any, run: Any, **more: Any) -> AnyTool:
        given = {
            "group": "test",
            "roles": OPERATORS,
            "example": {},
            "summary": f"{name} it.",
            **more,
        }
        return Tool(name=name, arguments=arguments, result=result, run=run, **given)

    def echo(call: Call, given: Text) -> Told:
        return Told(text=given.text)

    def who(call: Call, given: Nothing) -> Who:
        caller = call.caller
        return Who(name=caller.name, client=caller.client, program=caller.program, key=call.key)

    def refuse(call: Call, given: Nothing) -> Told:
        raise LimitReached("There are 2 agents of at most 2.", hint="End one.")

    def break_(call: Call, given: Nothing) -> Told:
        raise RuntimeError("a secret of ours")

    async def wait(call: Call, given: Text) -> Told:
        watched.calls.append(call)
        watched.began.set()
        waits = [asyncio.ensure_future(each.wait()) for each in (watched.go, call.cancelled)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waits:
                each.cancel()
            watched.ended.set()
        watched.done.append("taken back" if call.cancelled.is_set() else given.text)
        return Told(text=given.text)

    async def write(call: Call, given: Text) -> Told:
        await asyncio.sleep(0.05 if given.text == "slow" else 0)
        watched.done.append(given.text)
        return Told(text=",".join(watched.done))

    async def tell(call: Call, given: Nothing) -> Told:
        assert call.on_progress is not None
        for fraction, note in (
            (0.25, "a quarter"),
            (0.25, "still"),
            (None, "who knows"),
            (1, "all"),
        ):
            call.on_progress(fraction, note)
            await asyncio.sleep(0.02)
        return Told(text="told")

    return [
        tool("echo", Text, Told, echo, reads=True, roles=READERS),
        tool("who", Nothing, Who, who),
        tool("refuse", Nothing, Told, refuse),
        tool("break", Nothing, Told, break_),
        tool("wait", Text, Told, wait, long=True),
        tool("write", Text, Told, write),
        tool("tell", Nothing, Told, tell, long=True, reads=True),
        tool("rule", Nothing, Who, who, roles=ADMINS),
    ]


class Audited:
    """An audit that a test can read."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []

    def offer_access(self, **told: Any) -> None:
        self.told.append(told)

    def offer_call(self, **told: Any) -> None:
        self.told.append(told)


@dataclass
class Serving:
    """What is served."""

    url: str
    server: Any
    socket: Path
    app: App
    listening: Listening
    tokens: Tokens
    audit: Audited
    watched: Watched


@asynccontextmanager
async def serving(home: Path, later: dict[str, str] | None = None) -> AsyncIterator[Serving]:
    """Serve the tools above over HTTP and the socket."""
    watched, audit = Watched(), Audited()
    settings = ServerSettings(home=str(home))
    tokens = Tokens(str(home))
    server = SimpleNamespace(
        settings=settings,
        ready=True,
        now_ms=lambda: time.time_ns() // 1_000_000,
        swarms=SimpleNamespace(all=list),
        jobs=SimpleNamespace(runs=list),
        connections=Connections(settings.connections_max),
    )
    gate = Gate(settings, tokens, Lookups(), cast(Any, audit))
    registry = Registry(tools(watched), later or {"to_come": "It comes later."})
    face = Face(cast(Server, server), registry)
    app = App(face, gate, settings.frame_bytes_max)
    async with AsyncExitStack() as held:
        held.callback(gate.close)
        held.push_async_callback(app.aclose)
        url = await held.enter_async_context(over_http(app))
        path = home / "assistants.sock"
        listening = await start(face, cast(Server, server), gate, path)
        held.push_async_callback(listening.aclose)
        yield Serving(url, server, path, app, listening, tokens, audit, watched)


@asynccontextmanager
async def over_http(app: Any) -> AsyncIterator[str]:
    """An ASGI app on a free port."""
    web = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, lifespan="off"))
    running = asyncio.ensure_future(web._serve())
    while not web.started and not running.done():
        await asyncio.sleep(0.005)
    try:
        yield f"http://127.0.0.1:{web.servers[0].sockets[0].getsockname()[1]}/mcp"
    finally:
        web.should_exit = True
        await app.aclose()
        await running


def run(test: Callable[[], Awaitable[T]]) -> T:
    """Run a test's coroutine, within bounds of time."""

    async def bounded() -> T:
        return await asyncio.wait_for(test(), PATIENCE_S)

    return asyncio.run(bounded())
