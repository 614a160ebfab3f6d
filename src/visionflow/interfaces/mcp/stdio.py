"""stdio for an assistant: lines carried to a server's socket and back, whoever the server is.

When the server goes away the next one is asked: the handshake is said again for the client, and
what was not answered is asked again. Every call of a tool gets a key of its own, so that one that
had been done is not done twice. Where servers come from is the caller's business.
"""

import asyncio
import concurrent.futures
import os
import queue
import threading
from collections.abc import Awaitable, Callable, Generator
from contextlib import suppress
from uuid import uuid4

import msgspec

from visionflow.interfaces.tools.faults import INTERNAL, PARSE

KEY_META = "visionflow/idempotencyKey"
LINE_BYTES_MAX = 5 * 1024 * 1024
CLOSED = -32000
"""The SDK's word for a connection that ends; nothing of ours uses it on this face."""
DRAIN_S = 5.0
"""How long answers are waited for when the client says nothing any more."""
_CHUNK = 65_536
OVERLONG = b"\0"
"""Stands for a line that was too long to keep."""
Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Raws = dict[str, msgspec.Raw]
_raws = msgspec.json.Decoder(Raws)


class Message(msgspec.Struct, frozen=True):
    """What has to be known of a line to carry it."""

    line: bytes
    id: bytes | None
    """As it stands there; `None` in a notification."""
    method: str | None
    """`None` in an answer."""
    closing: bool = False
    """It is what a server that ends answers to all that is open."""


class _Error(msgspec.Struct, frozen=True):
    code: int


def read(line: bytes) -> Message | None:
    """A line as a message; `None` when it is none."""
    try:
        raws = _raws.decode(line)
        method = None if "method" not in raws else msgspec.json.decode(raws["method"], type=str)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    closing = method is None and "error" in raws and _closing(raws["error"])
    return Message(line, bytes(raws["id"]) if "id" in raws else None, method, closing)


def _closing(error: msgspec.Raw) -> bool:
    with suppress(msgspec.DecodeError):
        return msgspec.json.decode(error, type=_Error).code == CLOSED
    return False


def keyed(line: bytes) -> bytes:
    """A call of a tool with a key, which it keeps when it is asked again; the rest as it was."""
    message = _raws.decode(line)
    try:
        params = _raws.decode(message.get("params", msgspec.Raw(b"{}")))
        meta = _raws.decode(params.get("_meta", msgspec.Raw(b"{}")))
        given = _raws.decode(params.get("arguments", msgspec.Raw(b"{}")))
    except msgspec.DecodeError:
        return line  # The server says what is wrong with it.
    if KEY_META in meta or "idempotencyKey" in given:
        return line
    meta[KEY_META] = msgspec.Raw(msgspec.json.encode(uuid4().hex))
    params["_meta"] = msgspec.Raw(msgspec.json.encode(meta))
    message["params"] = msgspec.Raw(msgspec.json.encode(params))
    return msgspec.json.encode(message) + b"\n"


class Carrier:
    """One assistant's conversation, over as many servers as it takes."""

    def __init__(self, servers: Callable[[], Awaitable[Stream]], write: "Writer") -> None:
        """`servers` gives a connection to one, or raises what ends the conversation."""
        self._servers = servers
        self._write = write
        self._stream: Stream | None = None
        self._handshake: list[tuple[bytes | None, bytes]] = []
        self._open: dict[bytes, bytes] = {}
        """Requests without an answer, by id, in the order sent."""
        self._swallowed: dict[bytes, None] = {}
        self._settled = asyncio.Event()
        self._settled.set()

    async def run(self, lines: "asyncio.Queue[bytes | None]") -> None:
        """Carry until the client says nothing any more and its answers are there."""
        self._stream = await self._servers()
        back = asyncio.ensure_future(self._back())
        forth = asyncio.ensure_future(self._forth(lines))
        try:
            await asyncio.wait({back, forth}, return_when=asyncio.FIRST_COMPLETED)
            if back.done():
                await back
            await forth
            with suppress(TimeoutError):
                await asyncio.wait_for(self._settled.wait(), DRAIN_S)
        finally:
            for task in (back, forth):
                task.cancel()
            await asyncio.gather(back, forth, return_exceptions=True)
            self._hang_up()

    async def _forth(self, lines: "asyncio.Queue[bytes | None]") -> None:
        while (line := await lines.get()) is not None:
            message = read(line)
            if message is None or line is OVERLONG:
                await self._write.line(_refusal(line))
                continue
            await self._send(self._noted(message))

    def _noted(self, message: Message) -> bytes:
        line = message.line
        if message.method == "tools/call" and message.id is not None:
            line = keyed(line)
        if message.method in ("initialize", "notifications/initialized"):
            self._handshake.append((message.id, line))
        if message.method == "notifications/cancelled":
            self._forget(_cancelled(line))
        elif message.id is not None and message.method is not None:
            self._open[message.id] = line
            self._settled.clear()
        return line

    def _forget(self, request: bytes | None) -> None:
        if request is not None:
            self._open.pop(request, None)
        if not self._open:
            self._settled.set()

    async def _send(self, line: bytes) -> None:
        if self._stream is None:
            return  # It is among those that are asked again, or is of no use to another server.
        writer = self._stream[1]
        with suppress(ConnectionError):
            writer.write(line)
            await writer.drain()

    async def _back(self) -> None:
        while True:
            assert self._stream is not None
            reader = self._stream[0]
            try:
                line = await reader.readline()
            except (ConnectionError, ValueError):
                line = b""
            if line.endswith(b"\n"):
                await self._answered(line)
                continue
            self._hang_up()
            try:
                stream = await self._servers()
            except Exception as error:
                for request in self._open:
                    told = f"The server went away, and no other could be had: {error}"
                    await self._write.line(refusal(INTERNAL, told, request))
                raise
            self._again(stream[1])
            self._stream = stream

    def _again(self, writer: asyncio.StreamWriter) -> None:
        """Tell a new server what it has to know. The order sent is the order asked again."""
        for request, line in self._handshake:
            if request in self._open:
                continue
            if request is not None:
                self._swallowed[request] = None
            writer.write(line)
        for line in self._open.values():
            writer.write(line)

    async def _answered(self, line: bytes) -> None:
        message = read(line)
        if message is not None and message.method is None and message.id is not None:
            if message.id in self._swallowed and message.id not in self._open:
                del self._swallowed[message.id]
                return
            if message.closing:
                return  # The next server is asked.
            self._forget(message.id)
        await self._write.line(line)

    def _hang_up(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            stream[1].close()


def _cancelled(line: bytes) -> bytes | None:
    try:
        params = _raws.decode(_raws.decode(line).get("params", msgspec.Raw(b"{}")))
    except msgspec.DecodeError:
        return None
    return bytes(params["requestId"]) if "requestId" in params else None


def _refusal(line: bytes) -> bytes:
    if line is OVERLONG:
        return refusal(PARSE, f"The line has more than {LINE_BYTES_MAX} bytes.")
    try:
        msgspec.json.decode(line)
        code, why = -32600, "The line is no JSON-RPC 2.0 message; MCP has no batches."
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        code, why = PARSE, f"The line is no JSON: {error}."
    return refusal(code, why)


def refusal(code: int, message: str, request: bytes = b"null") -> bytes:
    """An error as a line."""
    error = msgspec.Raw(msgspec.json.encode({"code": code, "message": message}))
    told = {"jsonrpc": "2.0", "id": msgspec.Raw(request), "error": error}
    return msgspec.json.encode(told) + b"\n"


class Writer:
    """Lines to a descriptor. Writing blocks, and whoever reads may never do so: it has a thread
    of its own, which does not keep the process."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._jobs: queue.SimpleQueue[tuple[bytes, asyncio.Future[None]]] = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        threading.Thread(target=self._run, name="stdout", daemon=True).start()

    async def line(self, line: bytes) -> None:
        """Write one, whole.

        Raises:
            OSError: nobody can read it any more.
        """
        written: asyncio.Future[None] = self._loop.create_future()
        self._jobs.put((line, written))
        await asyncio.shield(written)

    def _run(self) -> None:
        while True:
            line, written = self._jobs.get()
            failure: OSError | None = None
            try:
                rest = memoryview(line)
                while rest:
                    rest = rest[os.write(self._descriptor, rest) :]
            except OSError as error:
                failure = error
            with suppress(RuntimeError):  # The loop is closed: nobody waits any more.
                self._loop.call_soon_threadsafe(_settle, written, failure)


def _settle(written: "asyncio.Future[None]", failure: OSError | None) -> None:
    if written.done():
        return
    if failure is None:
        written.set_result(None)
    else:
        written.set_exception(failure)


def lines_of(descriptor: int) -> "asyncio.Queue[bytes | None]":
    """The lines that come from a descriptor, and `None` at its end. A thread reads it, which does
    not keep the process, and not faster than lines are taken."""
    loop = asyncio.get_running_loop()
    lines: asyncio.Queue[bytes | None] = asyncio.Queue(100)

    def put(line: bytes | None) -> None:
        asyncio.run_coroutine_threadsafe(lines.put(line), loop).result()

    def run() -> None:
        # The loop may be closed while this waits: then nobody takes lines any more.
        with suppress(RuntimeError, concurrent.futures.CancelledError):
            for line in _split(descriptor):
                put(line)
            put(None)

    threading.Thread(target=run, name="stdin", daemon=True).start()
    return lines


def _split(descriptor: int) -> Generator[bytes]:
    kept = bytearray()
    overlong = False
    while True:
        try:
            chunk = os.read(descriptor, _CHUNK)
        except OSError:
            chunk = b""
        *whole, rest = chunk.split(b"\n")
        for part in whole:
            kept += part
            if overlong or len(kept) > LINE_BYTES_MAX:
                yield OVERLONG
            elif kept.strip():
                yield bytes(kept) + b"\n"
            kept.clear()
            overlong = False
        kept += rest
        if len(kept) > LINE_BYTES_MAX:
            kept.clear()
            overlong = True
        if not chunk:
            if kept.strip():
                yield bytes(kept) + b"\n"
            return
