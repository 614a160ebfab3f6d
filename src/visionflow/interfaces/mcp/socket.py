"""MCP on a unix socket, for the assistants of our own user: one message a line, as on stdio.

`visionflow mcp` carries lines between an assistant and this, so that whatever MCP can do goes
through: progress, cancelling, tasks, any revision. Who is at the other end, the kernel tells.
"""

import asyncio
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import msgspec
from mcp.server.runner import serve_dual_era_loop
from mcp.shared._context_streams import create_context_streams
from mcp.shared.message import SessionMessage
from mcp_types import jsonrpc_message_adapter

from visionflow.interfaces.access.gate import Gate
from visionflow.interfaces.access.peers import peer_of
from visionflow.interfaces.mcp.dialling import Nameable
from visionflow.interfaces.mcp.links import Link, Ordered
from visionflow.interfaces.mcp.server import Face
from visionflow.interfaces.server import Server
from visionflow.interfaces.tools.faults import INVALID, PARSE

FACE = "stdio"


class Listening:
    """The open socket."""

    def __init__(self, face: Face, server: Server, gate: Gate, path: Path) -> None:
        self.face = face
        self._server = server
        self._gate = gate
        self._path = path
        self._listener: asyncio.Server | None = None
        self._serving: dict[asyncio.Task[None], None] = {}
        self._names = Nameable(path)

    async def start(self) -> None:
        """Listen; whatever had this name before is gone."""
        self._path.unlink(missing_ok=True)
        before = os.umask(0o177)
        try:
            self._listener = await asyncio.start_unix_server(
                self._connected,
                self._names.name,
                limit=self._server.settings.frame_bytes_max,
            )
        finally:
            os.umask(before)

    async def aclose(self) -> None:
        """Let every client go, and stop waiting for what is under way."""
        self.face.calls.closing()
        if self._listener is not None:
            self._listener.close()
        serving = list(self._serving)
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)
        self._path.unlink(missing_ok=True)
        self._names.close()
        await self.face.aclose()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving[task] = None
        connections = self._server.connections
        number = connections.opened(FACE)
        try:
            if connections.total > connections.limit:
                writer.write(_error(INVALID, f"More than {connections.limit} connections."))
                return
            session = await self._gate.connect(peer_of(writer.transport), FACE)
            if session.caller is not None:
                connections.renamed(number, session.caller.name)
            await _Conversation(self.face, reader, writer).run(Link(self._gate, session))
        except (ConnectionError, asyncio.CancelledError):
            return  # Its client went away, or the server does; neither is anybody's fault.
        finally:
            connections.closed(number)
            self._serving.pop(task, None)
            writer.close()
            with suppress(ConnectionError, asyncio.CancelledError):
                await writer.wait_closed()


class _Conversation:
    """One connection's messages, between lines and the SDK."""

    def __init__(
        self, face: Face, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._face = face
        self._reader = reader
        self._writer = writer

    async def run(self, link: Link) -> None:
        """Serve it until its client closes."""
        into, incoming = create_context_streams[SessionMessage | Exception](0)
        outgoing, out_of = create_context_streams[SessionMessage](0)
        protocol = self._face.protocol
        async with anyio.create_task_group() as group:
            group.start_soon(self._read, into)
            group.start_soon(self._write, out_of)
            await serve_dual_era_loop(
                protocol,
                incoming,
                outgoing,
                lifespan_state=Ordered(link),
                init_options=protocol.create_initialization_options(),
            )
            group.cancel_scope.cancel()

    async def _read(self, into: Any) -> None:
        async with into:
            while True:
                try:
                    line = await self._reader.readline()
                except ValueError:
                    # The rest of a line that is too long cannot be told from a new one.
                    self._writer.write(_error(PARSE, "The line is too long."))
                    return
                if not line:
                    return
                if not line.strip():
                    continue
                try:
                    message = jsonrpc_message_adapter.validate_json(line, by_name=False)
                except ValueError:
                    self._writer.write(_error(*_wrong(line)))
                    continue
                try:
                    await into.send(SessionMessage(message))
                except (anyio.ClosedResourceError, anyio.BrokenResourceError):
                    return

    async def _write(self, out_of: Any) -> None:
        async with out_of:
            async for each in out_of:
                text = each.message.model_dump_json(by_alias=True, exclude_unset=True)
                self._writer.write(text.encode() + b"\n")
                await self._writer.drain()


def _wrong(line: bytes) -> tuple[int, str]:
    try:
        value = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return PARSE, f"The line is no JSON: {error}."
    if isinstance(value, list):
        return INVALID, "MCP has no batches: send one message a line."
    return INVALID, "The line is no JSON-RPC 2.0 message."


def _error(code: int, message: str) -> bytes:
    error = {"code": code, "message": message}
    return msgspec.json.encode({"jsonrpc": "2.0", "id": None, "error": error}) + b"\n"


async def start(face: Face, server: Server, gate: Gate, path: Path) -> Listening:
    """Listen for assistants. The face is that of `/mcp`, or one of its own."""
    listening = Listening(face, server, gate, path)
    await listening.start()
    return listening
