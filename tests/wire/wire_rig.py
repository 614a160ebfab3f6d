"""A server of nothing but the wire: a few tools of its own, the real gate, and clients by hand."""

import asyncio
import json
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

from visionflow.domain.access import OPERATORS, READERS
from visionflow.domain.errors import Refused, UnknownAgent
from visionflow.interfaces.access.gate import Gate
from visionflow.interfaces.access.lookups import Found, Lookups, Whose
from visionflow.interfaces.access.peers import Peer
from visionflow.interfaces.access.tokens import Tokens
from visionflow.interfaces.connections import Connections
from visionflow.interfaces.server import Server
from visionflow.interfaces.tools.arguments import Arguments, Result
from visionflow.interfaces.tools.tool import AnyTool, Call, Registry, Tool
from visionflow.interfaces.wire.listening import Listening, UnixListening, start, start_unix
from visionflow.settings.server import ServerSettings

T = TypeVar("T")
WAIT_S = 20.0


def bounded(work: Coroutine[Any, Any, T]) -> T:
    """Run a test's coroutine, within a time."""
    return asyncio.run(asyncio.wait_for(work, WAIT_S))


class Text(Arguments):
    text: str = ""
    size: int = 0


class Said(Result):
    text: str
    number: int | None = None


class Listed(Result):
    items: list[str]
    status: str


class Nothing(Arguments):
    pass


class Empty(Result):
    pass


class Audit:
    """What the gate put on record."""

    def __init__(self) -> None:
        self.access: list[tuple[str, str, str]] = []
        self.calls: list[tuple[str, str | None]] = []

    def offer_access(self, by: str, face: str, code: str, message: str = "") -> None:
        self.access.append((by, face, code))

    def offer_call(
        self, by: str, role: str, face: str, tool: str, code: str | None, message: str
    ) -> None:
        self.calls.append((tool, code))


class Known(Lookups):
    """Whoever connects is our own user, or whoever a test says."""

    def __init__(self) -> None:
        super().__init__()
        self.whose = Whose.OURS

    async def find(self, peer: Peer) -> Found:
        return Found(self.whose)


class Rig:
    """What a test can look at and turn."""

    def __init__(self, home: Path, settings: ServerSettings) -> None:
        self.settings = settings
        self.audit = Audit()
        self.lookups = Known()
        self.tokens = Tokens(str(home), lambda: 1_000_000)
        self.gate = Gate(settings, self.tokens, self.lookups, self.audit)
        self.connections = Connections(settings.connections_max)
        self.effects: list[str] = []
        """What `note` wrote down, in order."""
        self.by_key: dict[tuple[str, str], int] = {}
        self.gates: dict[str, asyncio.Event] = {}
        """By its text, what a call of `wait` waits for."""
        self.begun: list[str] = []
        self.gone: list[str] = []
        """Of `wait`: whose client was gone."""
        self.clients: list[str] = []
        self.durable = asyncio.Event()
        self.durable.set()
        self.registry = Registry(tools_of(self))
        self.home = home
        self.listening: Listening | None = None

    @property
    def server(self) -> Server:
        """What listening needs of a server."""
        return cast(Server, self)

    @property
    def port(self) -> int:
        assert self.listening is not None
        return self.listening.port

    def opened(self, text: str) -> asyncio.Event:
        return self.gates.setdefault(text, asyncio.Event())


def tools_of(rig: Rig) -> list[AnyTool]:
    """A tool for each way in which a tool can behave."""

    def echo(call: Call, asked: Text) -> Said:
        rig.clients.append(call.caller.client)
        return Said(text=asked.text + "x" * asked.size, number=len(asked.text))

    async def note(call: Call, asked: Text) -> Said:
        await asyncio.sleep(0)
        if call.key is not None:
            known = rig.by_key.get((call.caller.name, call.key))
            if known is not None:
                return Said(text=rig.effects[known], number=known)
            rig.by_key[call.caller.name, call.key] = len(rig.effects)
        rig.effects.append(asked.text)
        number = len(rig.effects) - 1
        await asyncio.sleep(0)
        return Said(text=asked.text, number=number)

    async def wait(call: Call, asked: Text) -> Said:
        rig.begun.append(asked.text)
        call.took_effect()
        if call.on_progress is not None:
            call.on_progress(0.5, "half")
            call.on_progress(None, "no idea")
        opened = asyncio.ensure_future(rig.opened(asked.text).wait())
        back = asyncio.ensure_future(call.cancelled.wait())
        try:
            await asyncio.wait((opened, back), return_when=asyncio.FIRST_COMPLETED)
        finally:
            opened.cancel()
            back.cancel()
        if not call.cancelled.is_set():
            return Said(text=asked.text)
        if not call.taken_back:
            rig.gone.append(asked.text)
        return Said(text="taken back" if call.taken_back else "gone")

    async def forever(call: Call, asked: Text) -> Said:
        rig.begun.append(asked.text)
        call.took_effect()
        await asyncio.Event().wait()
        return Said(text=asked.text)

    async def hold(call: Call, asked: Text) -> Said:
        rig.begun.append(asked.text)
        await rig.opened(asked.text).wait()
        return Said(text=asked.text)

    def unsettled(call: Call, asked: Text) -> Said:
        async def settled() -> None:
            await rig.durable.wait()

        call.after(settled)
        return Said(text=asked.text, number=len(rig.effects))

    def refuse(call: Call, asked: Text) -> Said:
        raise UnknownAgent(f"There is no agent {asked.text!r}.", hint="agent_list has them.")

    def limit(call: Call, asked: Text) -> Said:
        raise Refused("This one is not to be had.", code="not_to_be_had")

    def fail(call: Call, asked: Text) -> Said:
        raise ZeroDivisionError("secret words")

    def listing(call: Call, asked: Text) -> Listed:
        items = [f"{asked.text}{number}" for number in range(asked.size)]
        return Listed(items=items, status="fine")

    def nothing(call: Call, asked: Nothing) -> Empty:
        return Empty()

    def tool(name: str, run: Callable[..., Any], **more: Any) -> AnyTool:
        given: dict[str, Any] = {
            "group": "test",
            "summary": "For tests.",
            "arguments": Text,
            "result": Said,
            "roles": READERS,
            "example": {},
            **more,
        }
        return Tool(name=name, run=run, **given)

    return [
        tool("echo", echo, reads=True),
        tool("note", note, roles=OPERATORS),
        tool("wait", wait, long=True, reads=True),
        tool("hold", hold),
        tool("forever", forever),
        tool("unsettled", unsettled, reads=True),
        tool("refuse", refuse, group="agents"),
        tool("limit", limit, group="swarm"),
        tool("fail", fail),
        tool("listing", listing, result=Listed, reads=True),
        tool("nothing", nothing, arguments=Nothing, result=Empty, reads=True),
    ]


@asynccontextmanager
async def served(mounted: Any = None, **settings: Any) -> AsyncIterator[Rig]:
    """A server on a free port."""
    home = Path(tempfile.mkdtemp(prefix="vf-wire-"))
    given = ServerSettings(tcp_port=0, home=str(home), **settings)
    rig = Rig(home, given)
    try:
        rig.listening = await start(rig.server, rig.registry, rig.gate, given, mounted)
        try:
            yield rig
        finally:
            await rig.listening.aclose()
            rig.gate.close()
    finally:
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def serving() -> Iterator[tuple[Rig, Callable[[Coroutine[Any, Any, None]], None]]]:
    """A server that lasts for several runs of its loop, and what makes a run."""
    with asyncio.Runner() as runner:
        held = AsyncExitStack()
        rig = runner.run(held.enter_async_context(served()))
        try:
            yield rig, lambda work: runner.run(asyncio.wait_for(work, WAIT_S))
        finally:
            runner.run(held.aclose())


@asynccontextmanager
async def served_unix(rig: Rig) -> AsyncIterator[UnixListening]:
    """The same server on a unix socket beside its port."""
    path = rig.home / "mcp.sock"
    listening = await start_unix(path, rig.server, rig.registry, rig.gate, rig.settings)
    try:
        yield listening
    finally:
        await listening.aclose()


class Client:
    """A client that sends what it is told to, and reads lines."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def line(self) -> Any:
        return json.loads(await asyncio.wait_for(self.reader.readline(), WAIT_S))

    async def rest(self) -> bytes:
        """What comes until the connection ends."""
        return await asyncio.wait_for(self.reader.read(), WAIT_S)

    async def ask(self, message: Any) -> Any:
        await self.send(json.dumps(message).encode() + b"\n")
        return await self.line()

    async def call(self, tool: str, number: int = 1, **arguments: Any) -> Any:
        return await self.ask(called(tool, number, **arguments))


def called(tool: str, number: Any = 1, **arguments: Any) -> dict[str, Any]:
    """A call of a tool, as a message."""
    params = {"name": tool, "arguments": arguments}
    return {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params}


@asynccontextmanager
async def connected(
    rig: Rig, limit: int = 2**16, unix: Path | None = None
) -> AsyncIterator[Client]:
    """A connection to it; `limit`: of a line that the client reads."""
    if unix is None:
        streams = await asyncio.open_connection("127.0.0.1", rig.port, limit=limit)
    else:
        streams = await asyncio.open_unix_connection(str(unix), limit=limit)
    try:
        yield Client(*streams)
    finally:
        streams[1].close()
        try:
            await streams[1].wait_closed()
        except OSError:
            pass


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop run until it holds; the test's own bound ends it otherwise."""
    while not condition():
        await asyncio.sleep(0.001)
