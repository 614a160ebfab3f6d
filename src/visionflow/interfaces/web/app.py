"""The ASGI app of port 3000: health for probes, every tool as REST, and the document of both.

It asks `routes` what is at an address, and the registry to do it. Who may come in is the gate's.
"""

import asyncio
import logging
import os
from importlib.metadata import version
from typing import Any, cast
from urllib.parse import parse_qsl

import msgspec

from visionflow.domain.access import Caller, Role
from visionflow.domain.errors import UsageError, VisionFlowError
from visionflow.interfaces.access.asgi import (
    CALLER,
    Message,
    Receive,
    Scope,
    Send,
    answer,
    answer_error,
    answer_fault,
    as_rest,
    protect,
    session_of,
)
from visionflow.interfaces.access.gate import Gate
from visionflow.interfaces.access.headers import Headers, closing
from visionflow.interfaces.server import Server
from visionflow.interfaces.tools.arguments import Result
from visionflow.interfaces.tools.faults import INVALID, METHOD, Fault, fault_of
from visionflow.interfaces.tools.tool import Call, Registry
from visionflow.interfaces.web.openapi import document
from visionflow.interfaces.web.routes import TOOLS, Match, Route, Routes
from visionflow.interfaces.wire.jsonrpc import Bad, value_of

ORPHAN_S = 30.0
"""How long a call whose client is gone may take to end before it is stopped."""
BODY_S = 60.0
"""A body's next bytes must come within this."""
ROOM_BYTES_MIN = 1 << 20
"""With less on the disk, a server says that it is not ready."""
FIELDS_MAX = 100
KEY_HEADER = "idempotency-key"
FACE = "rest"
log = logging.getLogger("visionflow.web")


def app(server: Server, registry: Registry, gate: Gate) -> "WebApp":
    """The app of a server."""
    return WebApp(server, registry, gate)


class WebApp:
    """An ASGI app. Belongs to the server's loop."""

    def __init__(self, server: Server, registry: Registry, gate: Gate) -> None:
        self.routes = Routes(registry)
        self._server = server
        self._registry = registry
        self._gate = gate
        self._version = version("visionflow")
        self._document = msgspec.json.encode(document(self.routes, self._version))
        self._guarded = protect(self._serve, gate, FACE, "", as_rest)
        self._public = {"/health": self._health, "/ready": self._ready}
        self._told = {
            "/": msgspec.json.encode(self._index()),
            "/openapi.json": self._document,
            TOOLS: msgspec.json.encode(_listed(registry)),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "http":
            path = scope["path"]
            if path in self._public:
                await self._probe(scope, send)
            else:
                await self._guarded(scope, receive, send)

    # What is no tool -----------------------------------------------------------------------

    async def _probe(self, scope: Scope, send: Send) -> None:
        """Probes bring no token and learn next to nothing; pages are kept out all the same."""
        fault = self._gate.headers.fault(Headers(scope["headers"]), False)
        if fault is not None:
            session = await session_of(scope, self._gate, FACE)
            self._gate.turned_away(session, fault)
            await answer_fault(send, fault, as_rest, closing(fault))
        elif not await _only_read(scope, send):
            status, body = self._public[scope["path"]]()
            await answer(send, status, msgspec.json.encode(body), head=_is_head(scope))

    def _health(self) -> tuple[int, object]:
        return 200, {"status": "ok", "version": self._version}

    def _ready(self) -> tuple[int, object]:
        why = None if self._server.ready else "It is starting, and takes up what it left, or ends."
        if why is None and not _has_room(self._server.settings.home):
            why = "The disk of its home is full: nothing can be recorded, so nothing is changed."
        return (200 if why is None else 503), {"ready": why is None, "why": why}

    def _index(self) -> object:
        return {
            "name": "VisionFlow",
            "version": self._version,
            "tools": TOOLS,
            "openapi": "/openapi.json",
            "health": "/health",
            "ready": "/ready",
        }

    # Tools ---------------------------------------------------------------------------------

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, raw = scope["path"], _raw_path(scope)
        told = self._told.get(path)
        if told is not None:
            if not await _only_read(scope, send):
                await answer(send, 200, told, head=_is_head(scope))
            return
        match = self.routes.find(raw)
        if match is None:
            await self._nothing(raw, scope, send)
            return
        method = "GET" if _is_head(scope) else scope["method"]
        route = match.routes.get(method)
        if route is None:
            await _wrong_method(scope, send, list(match.routes))
            return
        try:
            await self._call(route, match, scope, receive, send)
        except VisionFlowError as error:
            self._gate.refused(scope[CALLER], route.tool.name, error)
            await answer_error(send, error, as_rest)

    async def _nothing(self, raw: str, scope: Scope, send: Send) -> None:
        """Under the name of a tool that does not exist, say so as the registry does."""
        name = raw.removeprefix(f"{TOOLS}/")
        if name != raw and "/" not in name:
            try:
                self._registry.get(name)
            except VisionFlowError as error:
                await answer_error(send, error, as_rest)
                return
        fault = Fault(
            METHOD,
            404,
            f"There is nothing at {raw[:200]}.",
            {"code": "unknown_path", "hint": "/openapi.json has all addresses."},
        )
        await answer_fault(send, fault, as_rest, [])

    async def _call(
        self, route: Route, match: Match, scope: Scope, receive: Receive, send: Send
    ) -> None:
        caller: Caller = scope[CALLER]
        headers = Headers(scope["headers"])
        given: dict[str, object] = dict(match.arguments)
        if route.takes_body:
            if scope["query_string"]:
                raise UsageError(
                    f"A {route.method} has no query here.", hint="Put the arguments into the body."
                )
            body = await _body(receive, headers, self._server.settings.frame_bytes_max)
            more = body if isinstance(body, Fault) else self._mapping(body)
            if isinstance(more, Fault):
                await answer_fault(send, more, as_rest, [(b"connection", b"close")])
                return
        else:
            if headers.get("content-length") not in (None, "0") or headers.get("transfer-encoding"):
                raise UsageError(
                    f"A {route.method} has no body here.", hint="Put the arguments into the query."
                )
            more = _query(scope)
        for name, value in more.items():
            if name in given:
                raise UsageError(f"{name} is given twice.", hint="It stands in the address.")
            given[name] = value
        self._gate.enter(caller)
        try:
            prepared = self._registry.prepare(
                route.tool.name,
                given,
                caller,
                key=headers.get(KEY_HEADER),
                texts=not route.takes_body,
            )
            call = Call(caller, key=prepared.key)
            result = await _unless_gone(self._registry.finish(prepared, call), call, receive)
        except VisionFlowError:
            raise
        except Exception as error:
            log.exception("the tool %s failed", route.tool.name)
            await answer_fault(send, fault_of(error), as_rest, [])
            return
        finally:
            self._gate.leave(caller)
        await answer(send, 200, msgspec.json.encode(result), head=_is_head(scope))

    def _mapping(self, body: bytes) -> "dict[str, object] | Fault":
        if not body.strip():
            return {}
        value = value_of(body, self._server.settings.depth_max)
        if isinstance(value, Bad):
            return Fault(value.code, 400, value.message, {"code": value.word})
        if not isinstance(value, dict):
            hint = "Send the arguments as an object."
            return Fault(
                INVALID, 400, "The body is no JSON object.", {"code": "body", "hint": hint}
            )
        return cast("dict[str, object]", value)


async def _unless_gone(work: Any, call: Call, receive: Receive) -> Result:
    """The result of a call. When its client goes away what it waits for should end; what it
    changes is done to the end."""
    running: asyncio.Future[Result] = asyncio.ensure_future(work)
    # Most calls are over at once; only a longer one has its client watched.
    await asyncio.sleep(0)
    if running.done():
        return running.result()
    watching = asyncio.ensure_future(_gone(receive))
    try:
        await asyncio.wait((running, watching), return_when=asyncio.FIRST_COMPLETED)
        if not running.done():
            call.taken_back = False
            call.cancelled.set()
            await asyncio.wait((running,), timeout=ORPHAN_S)
        if not running.done():
            raise UsageError("The client went away while it waited.")
        return running.result()
    finally:
        watching.cancel()
        running.cancel()
        await asyncio.gather(watching, running, return_exceptions=True)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _body(receive: Receive, headers: Headers, bytes_max: int) -> "bytes | Fault":
    """The whole body, unless it is too large."""
    fault = Fault(
        INVALID,
        413,
        f"The body is larger than {bytes_max} bytes.",
        {"code": "too_large", "hint": "Store large values as files of the workspace."},
    )
    length = headers.get("content-length")
    if length is not None and length.isdigit() and int(length) > bytes_max:
        return fault
    parts = bytearray()
    while True:
        try:
            message: Message = await asyncio.wait_for(receive(), BODY_S)
        except TimeoutError:
            return Fault(INVALID, 408, "The body did not come in time.", {"code": "too_slow"})
        if message["type"] == "http.disconnect":
            raise UsageError("The client went away before its request was complete.")
        parts += message.get("body", b"")
        if len(parts) > bytes_max:
            return fault
        if not message.get("more_body", False):
            return bytes(parts)


def _query(scope: Scope) -> dict[str, object]:
    """The arguments in the query, as texts.

    Raises:
        UsageError: one stands there twice, or it cannot be read.
    """
    try:
        pairs = parse_qsl(
            scope["query_string"].decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=FIELDS_MAX,
        )
    except ValueError as error:
        raise UsageError(f"The query cannot be read: {error}.") from error
    given: dict[str, object] = {}
    for name, value in pairs:
        if name in given:
            raise UsageError(f"{name} is given twice.", hint="Write a list as a,b.")
        given[name] = value
    return given


def _has_room(home: str) -> bool:
    """Whether the disk that state lives on takes a record more; true where that is not known."""
    try:
        found = os.statvfs(home)
    except OSError:
        return True
    return found.f_bavail * found.f_frsize >= ROOM_BYTES_MIN


def _listed(registry: Registry) -> object:
    tools = [
        {
            "name": tool.name,
            "group": tool.group,
            "summary": tool.summary,
            "roles": [role for role in Role if role in tool.roles],
            "reads": tool.reads,
            "inputSchema": tool.input_schema,
            "outputSchema": tool.output_schema,
            "example": tool.example,
        }
        for tool in registry.tools.values()
    ]
    return {"tools": tools, "later": registry.later}


def _raw_path(scope: Scope) -> str:
    raw = scope.get("raw_path")
    return scope["path"] if raw is None else raw.partition(b"?")[0].decode("ascii", "replace")


def _is_head(scope: Scope) -> bool:
    return scope["method"] == "HEAD"


async def _only_read(scope: Scope, send: Send) -> bool:
    """Answer what is no reading of an address that can only be read."""
    if scope["method"] in ("GET", "HEAD"):
        return False
    await _wrong_method(scope, send, ["GET"])
    return True


async def _wrong_method(scope: Scope, send: Send, methods: list[str]) -> None:
    """405, or what there is to whoever asks with OPTIONS. No page is told that it may call."""
    allowed = [*methods, *(["HEAD"] if "GET" in methods else []), "OPTIONS"]
    allow = (b"allow", ", ".join(allowed).encode())
    if scope["method"] == "OPTIONS":
        await send({"type": "http.response.start", "status": 204, "headers": [allow]})
        await send({"type": "http.response.body", "body": b""})
        return
    fault = Fault(
        METHOD,
        405,
        f"{scope['method'][:20]} is not for this address.",
        {"code": "method", "hint": f"Use {' or '.join(methods)}."},
    )
    await answer_fault(send, fault, as_rest, [allow])


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            await send({"type": "lifespan.shutdown.complete"})
            return
