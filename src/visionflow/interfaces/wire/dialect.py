"""Replies in the guide's dialect, as bytes. No I/O.

The result of a tool stands flat in `result`, with `content` and `structuredContent` beside it; all
three are made from one encoding of it. A tool that fails is a JSON-RPC error.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from visionflow.interfaces.tools.faults import Fault
from visionflow.interfaces.wire.jsonrpc import Bad

CONTENT, STRUCTURED = "content", "structuredContent"
"""What stands beside a result's own fields, which therefore never have these names."""
HANDSHAKES = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
MESSAGE_CHARS_MAX = 2_000
DATA_BYTES_MAX = 16_384
SPACIOUS = 32_768
"""Bytes of room in which every error fits as it is."""
_encode = msgspec.json.Encoder().encode
_HEAD = b'{"jsonrpc":"2.0","id":'


def encoded(value: object) -> bytes:
    """A value as JSON, the same as in every reply."""
    return _encode(value)


def laid_flat(identity: bytes, body: bytes, text: bytes | None = None) -> bytes:
    """The reply to a tool's call. `body`: its result, encoded: an object. `text`: what stands in
    the text block, as a JSON string, when that is not the whole body."""
    if text is None:
        text = _encode(body.decode())
    between = b"," if len(body) > 2 else b""
    return b"".join(
        (
            _HEAD,
            identity,
            b',"result":',
            body[:-1],
            between,
            b'"content":[{"type":"text","text":',
            text,
            b'}],"structuredContent":',
            body,
            b"}}",
        )
    )


def answered(identity: bytes, result: object) -> bytes:
    """The reply to a method of the protocol itself."""
    return b"".join((_HEAD, identity, b',"result":', _encode(result), b"}"))


def failed(
    identity: bytes, code: int, message: str, data: Mapping[str, Any], room: int | None = None
) -> bytes:
    """The reply that is an error. What is too long in it, as a client's own words quoted back may
    be, is cut; more of it where the reply may have only `room` bytes."""
    chars, size = MESSAGE_CHARS_MAX, DATA_BYTES_MAX
    if room is not None and room < SPACIOUS:
        chars, size = 80, 256
    if len(message) > chars:
        message = message[: chars - 3] + "..."
    try:
        words = _encode(message)
        told = _encode(data)
    except (TypeError, ValueError, OverflowError, RecursionError):
        # Words that are no text, as half of a surrogate pair in a file's name.
        words = _encode(message.encode("utf-8", "replace").decode())
        told = b""
    if not 0 < len(told) <= size:
        told = _encode({"code": data.get("code")})
    return b"".join(
        (_HEAD, identity, b',"error":{"code":%d,"message":' % code, words, b',"data":', told, b"}}")
    )


def fault(identity: bytes, told: Fault, room: int | None = None) -> bytes:
    """The reply for a fault."""
    return failed(identity, told.rpc, told.message, told.data, room)


def refused(bad: Bad) -> bytes:
    """The reply to what is no request."""
    return failed(bad.id, bad.code, bad.message, {"code": bad.word})


def progressed(token: str | int, done: float, total: float | None, note: str) -> bytes:
    """A notification of how far a call is."""
    params: dict[str, object] = {"progressToken": token, "progress": done}
    if total is not None:
        params["total"] = total
    if note:
        params["message"] = note
    message = {"jsonrpc": "2.0", "method": "notifications/progress", "params": params}
    return _encode(message)


def handshake(asked: object) -> str:
    """The protocol version that answers the one asked for."""
    return asked if isinstance(asked, str) and asked in HANDSHAKES else HANDSHAKES[0]
