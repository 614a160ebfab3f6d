"""Every face of one running server, asked the same way: a tool, its arguments, a key.

What comes back is what the face said, read by nothing but that face's own rules: a result, or the
code word and the message of a refusal.
"""

import asyncio
import json
import os
import shlex
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from mcp.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.shared.exceptions import MCPError

from tests.serve.server_process import PATIENCE_S, Served
from tests.web.webbed import ask
from visionflow import MCPClient
from visionflow.cli.toolwords import example_of
from visionflow.domain.errors import Refused, VisionFlowError
from visionflow.interfaces.tools.arguments import KEY
from visionflow.interfaces.tools.tool import Registry

BIN = Path(sys.executable).parent
KEY_META = "visionflow/idempotencyKey"
PROGRAMS_AT_ONCE = 2
MODERN, HANDSHAKE = "2026-07-28", "legacy"


class Said(NamedTuple):
    """What a face answered."""

    result: dict[str, Any] | None = None
    code: str | None = None
    """The word of a refusal; a command line tells it by its exit code alone."""
    message: str = ""
    form: str = ""
    """How this face tells a refusal: its own number or word."""


class Face(Protocol):
    """One way in."""

    name: str

    async def call(self, tool: str, given: Mapping[str, Any], key: str | None) -> Said:
        """Call a tool and tell what came back."""
        ...


def differences(one: Any, other: Any, where: str = "") -> Iterator[str]:
    """Where two results are not the same."""
    if isinstance(one, dict) and isinstance(other, dict):
        for name in {**one, **other}:
            absent = object()
            pair = (one.get(name, absent), other.get(name, absent))
            yield from differences(*pair, f"{where}.{name}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for number, pair in enumerate(zip(one, other, strict=True)):
            yield from differences(*pair, f"{where}[{number}]")
    elif one != other:
        yield f"{where or 'all of it'}: {one!r:.200} and {other!r:.200}"


def refused(error: Mapping[str, Any], form: str) -> Said:
    """A refusal as JSON-RPC and REST carry it."""
    data = error.get("data", error)
    return Said(None, data["code"], error["message"], form)


def guide(reply: Mapping[str, Any]) -> Said:
    """A reply in the guide's dialect: the fields stand flat, and once more beside `content`."""
    if "error" in reply:
        return refused(reply["error"], str(reply["error"]["code"]))
    flat = dict(reply["result"])
    content, structured = flat.pop("content"), flat.pop("structuredContent")
    assert flat == structured
    assert json.loads(content[0]["text"]) == structured
    return Said(structured)


def request(number: int, tool: str, given: Mapping[str, Any], key: str | None) -> bytes:
    """A call, the key beside its arguments."""
    params: dict[str, Any] = {"name": tool, "arguments": dict(given)}
    if key is not None:
        params["_meta"] = {KEY_META: key}
    return json.dumps(
        {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params}
    ).encode()


class Line:
    """JSON-RPC lines over TCP or a unix socket."""

    def __init__(
        self, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.name = name
        self._reader = reader
        self._writer = writer
        self._number = 0
        self._turn = asyncio.Lock()

    async def ask(self, message: bytes) -> dict[str, Any]:
        """A line out, a line in."""
        self._writer.write(message + b"\n")
        line = await asyncio.wait_for(self._reader.readline(), PATIENCE_S)
        return json.loads(line)

    async def call(self, tool: str, given: Mapping[str, Any], key: str | None) -> Said:
        async with self._turn:
            self._number += 1
            reply = await self.ask(request(self._number, tool, given, key))
        assert reply["id"] == self._number
        return guide(reply)

    async def authenticate(self, token: str) -> None:
        """Say who we are."""
        params = {"token": token}
        message = {"jsonrpc": "2.0", "id": 0, "method": "authenticate", "params": params}
        assert (await self.ask(json.dumps(message).encode()))["result"]["authenticated"]

    async def close(self) -> None:
        """Hang up."""
        self._writer.close()
        await self._writer.wait_closed()


def place(endpoint: str) -> tuple[str, int]:
    host, _, port = endpoint.rpartition(":")
    return host, int(port)


class Post:
    """`POST /` on the port for clients."""

    name = "POST /"

    def __init__(self, endpoint: str, token: str | None) -> None:
        self._place = place(endpoint)
        self._headers = headers(token)

    async def call(self, tool: str, given: Mapping[str, Any], key: str | None) -> Said:
        body = request(1, tool, given, key)
        reply = await asyncio.to_thread(ask, *self._place, "POST", "/", body, self._headers)
        return guide(reply.json)


class Rest:
    """`POST /api/tools/NAME` on port 3000, the key in a header."""

    name = "REST"

    def __init__(self, endpoint: str, token: str | None) -> None:
        self._place = place(endpoint)
        self._headers = headers(token)

    async def call(self, tool: str, given: Mapping[str, Any], key: str | None) -> Said:
        sent = {**self._headers, **({} if key is None else {"Idempotency-Key": key})}
        body, path = json.dumps(given).encode(), f"/api/tools/{tool}"
        reply = await asyncio.to_thread(ask, *self._place, "POST", path, body, sent)
        if reply.status != 200:
            return refused(reply.json["error"], str(reply.status))
        return Said(reply.json)


def headers(token: str | None) -> dict[str, str]:
    found = {"Content-Type": "application/json"}
    return found if token is None else {**found, "Authorization": f"Bearer {token}"}


class Mcp:
    """The official client, over HTTP or stdio."""

    def __init__(self, name: str, client: Client) -> None:
        self.name = name
        self._client = client

    async def call(self, tool: str, given: Mapping[str, Any], key: str | None) -> Said:
        sent = {**given, **({} if key is None else {KEY: key})}
        try:
            told = await self._client.call_tool(tool, sent)
        except MCPError as error:
            return Said(None, error.error.data["code"], error.error.message, str(error.error.code))
        text = json.loads(told.content[0].text)
        if told.is_error:
            assert told.structured_content is None
            return Said(None, text["error"]["code"], text["error"]["message"], "isError")
        assert text == told.structured_content
        return Said(text)


class Python:
    """`MCPClient`, in a loop or blocking."""

    def __init__(self, name: str, client: Any, blocking: bool) -> None:
        self.name = name
        self._client = client
        self._blocking = blocking

    async def call(self, tool: str, given: Mapping[str, Any], key: str | None) -> Said:
        try:
            if self._blocking:
                return Said(await asyncio.to_thread(self._client.call, tool, given, key=key))
            return Said(await self._client.call(tool, given, key=key))
        except VisionFlowError as error:
            code = error.reason if isinstance(error, Refused) else error.code
            return Said(None, code, str(error), type(error).__name__)


class Program:
    """A command line, a process for each call. It prints JSON, since nobody looks on."""

    def __init__(
        self, name: str, registry: Registry, served: Served, token: str | None, turn: Any
    ) -> None:
        self.name = name
        self._registry = registry
        self._more = [f"--server={served.told['tcp']}"]
        self._more += [] if token is None else [f"--token={token}"]
        self._turn = turn

    def _command(self, tool: str) -> str:
        if self.name == "visionflow call":
            return f"{BIN / 'visionflow'} call {tool}"
        return str(BIN / f"mcp__claude-flow__{tool}")

    async def call(self, tool: str, given: Mapping[str, Any], key: str | None) -> Said:
        command = self._command(tool)
        known = self._registry.tools.get(tool)
        if known is not None and known.example == given:
            words = shlex.split(example_of(known, command))  # As its help has it.
        else:
            words = [*shlex.split(command), f"--args={json.dumps(given)}"]
        words += self._more + ([] if key is None else [f"--{KEY}={key}"])
        async with self._turn:
            process = await asyncio.create_subprocess_exec(
                *words,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            said, told = await asyncio.wait_for(process.communicate(), PATIENCE_S)
        if process.returncode:
            assert not said
            return Said(None, None, told.decode(), str(process.returncode))
        return Said(json.loads(said))


@asynccontextmanager
async def every_face(
    served: Served, registry: Registry, token: str | None = None
) -> AsyncIterator[list[Face]]:
    """All faces of a server, with a token or as its own user. Over stdio an assistant is always
    its own user's."""
    tcp, web = served.told["tcp"], served.told["web"]
    turn = asyncio.Semaphore(PROGRAMS_AT_ONCE)
    async with AsyncExitStack() as held:
        faces: list[Face] = []
        for name, opening in (
            ("TCP line", asyncio.open_connection(*place(tcp))),
            ("unix line", asyncio.open_unix_connection(served.told["socket"])),
        ):
            line = Line(name, *await opening)
            held.push_async_callback(line.close)
            if token is not None:
                await line.authenticate(token)
            faces.append(line)
        faces += [Post(tcp, token), Rest(web, token)]
        for era in (HANDSHAKE, MODERN):
            client = await held.enter_async_context(mcp_client(f"http://{tcp}/mcp", era, token))
            faces.append(Mcp(f"/mcp {era}", client))
        if token is None:
            stdio = StdioServerParameters(
                command=str(BIN / "visionflow"),
                args=["mcp"],
                env={**os.environ, "VISIONFLOW_HOME": served.told["home"]},
            )
            client = await held.enter_async_context(Client(stdio_client(stdio), mode=MODERN))
            faces.append(Mcp("stdio", client))
        host, port = place(tcp)
        faces.append(
            Python(
                "MCPClient",
                await held.enter_async_context(MCPClient(host, port, token=token)),
                False,
            )
        )
        blocking = MCPClient(host, port, token=token)
        faces.append(
            Python("blocking MCPClient", await asyncio.to_thread(blocking.__enter__), True)
        )
        held.push_async_callback(asyncio.to_thread, blocking.__exit__, None, None, None)
        for name in ("visionflow call", "mcp__claude-flow__"):
            faces.append(Program(name, registry, served, token, turn))
        yield faces


@asynccontextmanager
async def mcp_client(url: str, era: str, token: str | None) -> AsyncIterator[Client]:
    """The official client over HTTP, with a token where one is given."""
    import httpx2
    from mcp.client.streamable_http import streamable_http_client

    sent = {} if token is None else {"Authorization": f"Bearer {token}"}
    async with (
        httpx2.AsyncClient(headers=sent, timeout=PATIENCE_S) as web,
        Client(streamable_http_client(url, http_client=web), mode=era) as client,
    ):
        yield client
