"""A server of lines that a test scripts: what it answers, when it hangs up, what it was sent."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

Answer = dict[str, Any] | None
"""The reply's `result` or `error` as a map with one of those keys; `None` hangs up."""
Script = Callable[[dict[str, Any]], Answer | Awaitable[Answer]]
HELLO = {"result": {"serverInfo": {"name": "fake", "version": "0"}, "protocolVersion": "x"}}


def refused(code: str, number: int = -32000, **data: Any) -> Answer:
    """An error as a server gives it."""
    return {"error": {"code": number, "message": f"No: {code}.", "data": {"code": code, **data}}}


class FakeServer:
    """Answers `initialize` and `authenticate` by itself, and calls by the script."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self.requests: list[dict[str, Any]] = []
        """All but hellos, in the order in which they came."""
        self.hellos: list[dict[str, Any]] = []
        self.open = 0
        self.port = 0
        self._writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> "FakeServer":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=1 << 20)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in self._writers:
            writer.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        self._writers.append(writer)
        try:
            while line := await reader.readline():
                asked = json.loads(line)
                if asked["method"] in ("initialize", "authenticate"):
                    self.hellos.append(asked)
                    answer: Answer = HELLO
                else:
                    self.requests.append(asked)
                    found = self._script(asked)
                    answer = await found if isinstance(found, Awaitable) else found
                if answer is None:
                    return
                await self.say(writer, {"jsonrpc": "2.0", "id": asked["id"], **answer})
        except (ConnectionError, asyncio.CancelledError):
            return
        finally:
            self.open -= 1
            writer.close()

    async def say(self, writer: asyncio.StreamWriter, message: dict[str, Any]) -> None:
        writer.write(json.dumps(message).encode() + b"\n")
        await writer.drain()


def result(**fields: Any) -> Answer:
    """A tool's result, flat, with `content` and `structuredContent` beside it."""
    text = json.dumps(fields)
    content = [{"type": "text", "text": text}]
    return {"result": {**fields, "content": content, "structuredContent": fields}}
