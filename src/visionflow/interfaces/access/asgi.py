"""The gate before an ASGI app: headers, who calls, and how a refusal looks over HTTP.

`protect` lets through what may go on, with its session and caller in the scope, and answers
everything else itself. It also serves the metadata of RFC 9728, which tell a client of MCP that a
bearer token is needed; there is no authorization server, since tokens are made by command.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import msgspec

from visionflow.domain.errors import Unauthenticated, VisionFlowError
from visionflow.interfaces.access.gate import Gate, Session
from visionflow.interfaces.access.headers import Headers, closing
from visionflow.interfaces.access.peers import Peer, plain_host
from visionflow.interfaces.tools.faults import Fault, fault_of

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Render = Callable[[Fault], object]
"""What a body says of a refusal."""

SESSION = "visionflow.session"
"""Where a scope carries the gate's session of its connection."""
CALLER = "visionflow.caller"
"""Where a scope carries who calls, once the gate let the request through."""
METADATA = "/.well-known/oauth-protected-resource"
QUIET = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
"""Headers of every answer of ours: no page may read, frame or keep it."""


def as_rest(fault: Fault) -> object:
    """A refusal as REST tells it."""
    return {"error": {**fault.data, "message": fault.message}}


def as_rpc(fault: Fault) -> object:
    """A refusal as JSON-RPC tells it, where no request of it was looked at."""
    error = {"code": fault.rpc, "message": fault.message, "data": fault.data}
    return {"jsonrpc": "2.0", "id": None, "error": error}


def protect(
    app: App, gate: Gate, face: str = "mcp", path: str = "/mcp", render: Render = as_rpc
) -> App:
    """`app` behind the gate. `path` is where clients find it, for the metadata."""

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        headers = Headers(scope["headers"])
        session = await session_of(scope, gate, face)
        fault = gate.headers.fault(headers, _has_body(headers))
        if fault is not None:
            gate.turned_away(session, fault)
            await answer_fault(send, fault, render, closing(fault))
        elif scope["path"] in (METADATA, METADATA + path):
            await _answer_metadata(scope, headers, path, send)
        else:
            try:
                bearer = bearer_of(headers)
                scope[CALLER] = session.for_request(bearer)
            except VisionFlowError as error:
                await answer_error(send, error, render, challenge(scope, headers, path))
                return
            await app(scope, receive, send)

    return guarded


async def session_of(scope: Scope, gate: Gate, face: str) -> Session:
    """The session of the connection that a request came over, and who it is with is known."""
    found: Session | None = scope.get(SESSION)
    if found is None:
        # Served by something that does not hand connections over: the two addresses must do.
        client, server = scope.get("client"), scope.get("server")
        peer = Peer(
            remote=None if client is None else (plain_host(client[0]), client[1]),
            local=None if server is None else (plain_host(server[0]), server[1] or 0),
        )
        found = scope[SESSION] = gate.arrive(peer, face)
    return await found.known()


def bearer_of(headers: Headers) -> str | None:
    """The token of the Authorization header.

    Raises:
        Unauthenticated: there is such a header, and it is of another kind.
    """
    given = headers.get("authorization")
    if given is None:
        return None
    scheme, _, token = given.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthenticated(
            "The Authorization header is not `Bearer TOKEN`.", hint="Send it in this form."
        )
    return token.strip()


def challenge(scope: Scope, headers: Headers, path: str) -> str:
    """The WWW-Authenticate header of a 401, with where the metadata are."""
    parts = ['Bearer realm="visionflow"']
    if headers.get("authorization") is not None:
        parts.append('error="invalid_token"')
    parts.append(f'resource_metadata="{_base(scope, headers)}{METADATA}{path}"')
    return ", ".join(parts)


async def answer_error(
    send: Send, error: VisionFlowError, render: Render = as_rest, challenged: str = ""
) -> None:
    """Answer with an error of ours. `challenged` goes with a 401."""
    fault, extra = fault_of(error), list[tuple[bytes, bytes]]()
    if fault.http == 401 and challenged:
        extra.append((b"www-authenticate", challenged.encode("latin-1")))
    await answer_fault(send, fault, render, extra)


async def answer_fault(
    send: Send, fault: Fault, render: Render, extra: list[tuple[bytes, bytes]]
) -> None:
    """Answer with a fault; a `Retry-After` is told in whole seconds, rounded up."""
    await answer(send, fault.http, msgspec.json.encode(render(fault)), [*extra, *retry(fault)])


def retry(fault: Fault) -> list[tuple[bytes, bytes]]:
    """The header that says when to ask again, if that is known."""
    wait_ms = fault.data.get("retryAfterMs")
    if not isinstance(wait_ms, int):
        return []
    return [(b"retry-after", str(max(1, -(-wait_ms // 1_000))).encode())]


async def answer(
    send: Send,
    status: int,
    body: bytes,
    extra: list[tuple[bytes, bytes]] | None = None,
    kind: bytes = b"application/json",
    head: bool = False,
) -> None:
    """Send a whole answer. `head`: to a HEAD request, which gets no body."""
    headers = [
        (b"content-type", kind),
        (b"content-length", str(len(body)).encode()),
        *QUIET,
        *(extra or ()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if head else body})


async def _answer_metadata(scope: Scope, headers: Headers, path: str, send: Send) -> None:
    if scope["method"] not in ("GET", "HEAD"):
        await answer(send, 405, b'{"error":{"code":"method"}}', [(b"allow", b"GET, HEAD")])
        return
    body = {
        "resource": f"{_base(scope, headers)}{path}",
        "resource_name": "VisionFlow",
        "bearer_methods_supported": ["header"],
    }
    head = scope["method"] == "HEAD"
    await answer(send, 200, msgspec.json.encode(body), head=head)


def _base(scope: Scope, headers: Headers) -> str:
    """Where the client sees this server; the Host header was checked before."""
    return f"{scope.get('scheme', 'http')}://{headers.get('host')}"


def _has_body(headers: Headers) -> bool:
    length = headers.get("content-length")
    chunked = headers.get("transfer-encoding") is not None
    return chunked or (length is not None and length.strip() != "0")
