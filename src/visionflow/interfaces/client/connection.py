"""One connection to a server: requests out, replies in, told apart by their ids.

It neither connects again nor asks again: when it is lost, every request under way is told so.
"""

import asyncio
import itertools
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import msgspec

from visionflow.domain.errors import (
    RateLimited,
    Refused,
    ServerUnreachable,
    UsageError,
    VisionFlowError,
    refusal,
)
from visionflow.interfaces.mcp.dialling import dial

PROTOCOL = "2024-11-05"
LINE_BYTES_MAX = 64 * 1024 * 1024
OnProgress = Callable[[float | None, str], None]
"""Called with how far a call is, 0 to 1 or unknown, and a note."""
_ARGUMENTS, _INTERNAL = -32602, -32603


class Address(msgspec.Struct, frozen=True):
    """Where a server listens: a port, or the path of a unix socket."""

    host: str = "127.0.0.1"
    port: int = 9500
    path: Path | None = None

    def __str__(self) -> str:
        return f"{self.host}:{self.port}" if self.path is None else str(self.path)


class ConnectionLost(ServerUnreachable):
    """The connection ended before the reply came; whether the call was done is not known."""

    code = "connection_lost"


class ServerFault(VisionFlowError):
    """The server failed; what it said is the message."""

    code = "server_fault"


class LineConnection:
    """An open connection. Belongs to one loop."""

    def __init__(
        self, address: Address, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.address = address
        self.server: dict[str, Any] = {}
        """What the server said of itself."""
        self._reader = reader
        self._writer = writer
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._progress: dict[int, OnProgress] = {}
        self._lost: VisionFlowError | None = None
        self._listening = asyncio.ensure_future(self._listen())

    @classmethod
    async def open(
        cls, address: Address, *, token: str | None, client: str, name: str, version: str
    ) -> "LineConnection":
        """Connect and introduce oneself. `client`: connections with the same word are one client
        to the server. Bound it in time yourself.

        Raises:
            ServerUnreachable: nobody listens there.
            Unauthenticated: the token is not good.
        """
        try:
            if address.path is None:
                streams = await asyncio.open_connection(
                    address.host, address.port, limit=LINE_BYTES_MAX
                )
            else:
                streams = await dial(address.path)
        except OSError as error:
            raise ServerUnreachable(
                f"No server answers at {address}: {_why(error)}.",
                hint="Start one with `visionflow serve`.",
            ) from error
        made = cls(address, *streams)
        try:
            if token is not None:
                await made.request("authenticate", {"token": token})
            made.server = await made.request(
                "initialize",
                {
                    "protocolVersion": PROTOCOL,
                    "clientInfo": {"name": name, "version": version},
                    "_meta": {
                        "visionflow/client": client,
                        "visionflow/lineBytesMax": LINE_BYTES_MAX,
                    },
                },
            )
        except BaseException:
            await made.close()
            raise
        return made

    @property
    def lost(self) -> bool:
        """Whether nothing can be asked here any more."""
        return self._lost is not None

    @property
    def under_way(self) -> int:
        """Requests that wait for their replies."""
        return len(self._waiting)

    async def request(
        self, method: str, params: dict[str, Any], on_progress: OnProgress | None = None
    ) -> Any:
        """Ask, and wait for the result.

        Raises:
            ConnectionLost: the connection ended before the reply.
            VisionFlowError: what the server answered, as the error that it stands for.
        """
        if self._lost is not None:
            raise self._lost
        number = next(self._ids)
        if on_progress is not None:
            meta = cast("dict[str, Any]", params.get("_meta", {}))
            params = {**params, "_meta": {**meta, "progressToken": number}}
            self._progress[number] = on_progress
        message = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        reply: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[number] = reply
        try:
            try:
                self._write(message)
                await self._writer.drain()
            except (OSError, RuntimeError) as error:
                lost = self._end(error)
                if not reply.cancelled():
                    reply.exception()  # It is told here, so nobody else has to hear of it.
                raise lost from error
            return await reply
        finally:
            self._waiting.pop(number, None)
            self._progress.pop(number, None)

    def _write(self, message: dict[str, Any]) -> None:
        try:
            line = msgspec.json.encode(message) + b"\n"
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise UsageError(f"The arguments cannot be sent as JSON: {error}.") from error
        self._writer.write(line)

    async def close(self) -> None:
        """End it. Harmless the second time."""
        self._end(None)
        self._listening.cancel()
        with suppress(asyncio.CancelledError):
            await self._listening
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()

    async def _listen(self) -> None:
        try:
            while line := await self._reader.readline():
                self._hear(line)
            self._end(None)
        except Exception as error:
            # Whatever it was: who waits must hear of it.
            self._end(error)
        finally:
            # Also when the loop ends with nobody having closed this.
            self._writer.close()

    def _hear(self, line: bytes) -> None:
        message: Any = msgspec.json.decode(line)
        if not isinstance(message, dict):
            return
        found = cast("dict[str, Any]", message)
        if found.get("method") == "notifications/progress":
            self._hear_progress(found.get("params"))
            return
        reply = self._waiting.get(cast(int, found.get("id")))
        if reply is None or reply.done():
            return
        if "error" in found:
            reply.set_exception(error_of(found["error"]))
        else:
            reply.set_result(found.get("result"))

    def _hear_progress(self, params: Any) -> None:
        if not isinstance(params, dict):
            return
        said = cast("dict[str, Any]", params)
        number = cast(int, said.get("progressToken"))
        call, reply = self._progress.get(number), self._waiting.get(number)
        if call is None or reply is None or reply.done():
            return
        try:
            call(_share(said.get("progress"), said.get("total")), str(said.get("message") or ""))
        except Exception as error:
            # It is the caller's own, and the caller's to hear of; the others' calls go on.
            reply.set_exception(error)

    def _end(self, error: BaseException | None) -> VisionFlowError:
        if self._lost is None:
            why = "it was closed" if error is None else str(error) or type(error).__name__
            self._lost = ConnectionLost(f"The connection to {self.address} ended: {why}.")
        for reply in self._waiting.values():
            if not reply.done():
                reply.set_exception(self._lost)
        return self._lost


def _why(error: OSError) -> str:
    """The system's word for it: asyncio puts its own in the place of it."""
    return os.strerror(error.errno).lower() if error.errno else str(error)


def _share(done: object, total: object) -> float | None:
    """How much of a whole is done; `None` where either is not known."""
    if not isinstance(done, (int, float)) or not isinstance(total, (int, float)) or not total:
        return None
    return done / total


def error_of(told: Any) -> VisionFlowError:
    """The error that a JSON-RPC error object stands for."""
    found = cast("dict[str, Any]", told if isinstance(told, dict) else {})
    message = str(found.get("message") or "The server answered with an error.")
    data = cast("dict[str, Any]", found.get("data") if isinstance(found.get("data"), dict) else {})
    code, number = str(data.get("code") or ""), found.get("code")
    if code == "rate_limited":
        after = data.get("retryAfterMs")
        return RateLimited(message, retry_after_ms=after if isinstance(after, int) else None)
    if number == _ARGUMENTS and code in ("", UsageError.code, "config", "workspace"):
        return UsageError(message)
    if number == _INTERNAL:
        return ServerFault(message)
    return refusal(code, message) if code else Refused(message)
