"""How requests travel on each face, and where a reply ends. No I/O."""

import re
from typing import Protocol

_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
_CHUNKED = re.compile(rb"(?i)\r\ntransfer-encoding: *chunked")


class Framing(Protocol):
    """Of one connection."""

    pipelined: bool
    """Whether more than one request may be under way."""

    def request(self, body: bytes) -> bytes:
        """A JSON text as it is sent."""
        ...

    def replies(self, data: bytes) -> list[bytes]:
        """The replies that these bytes complete, as they came."""
        ...


class Lines:
    """Newline-delimited JSON: TCP, a unix socket, or pipes."""

    pipelined = True

    def __init__(self) -> None:
        self._rest = b""

    def request(self, body: bytes) -> bytes:
        """See `Framing`."""
        return body + b"\n"

    def replies(self, data: bytes) -> list[bytes]:
        """See `Framing`."""
        *whole, self._rest = (self._rest + data).split(b"\n")
        return whole


class Http:
    """HTTP/1.1 with keep-alive, one request at a time; bodies with a length, or in chunks."""

    pipelined = False

    def __init__(self, path: str, headers: dict[str, str]) -> None:
        given = {
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
        } | headers
        lines = "".join(f"{name}: {value}\r\n" for name, value in given.items())
        self._head = f"POST {path} HTTP/1.1\r\n{lines}".encode()
        self._buffer = b""

    def request(self, body: bytes) -> bytes:
        """See `Framing`."""
        return self._head + b"Content-Length: %d\r\n\r\n" % len(body) + body

    def replies(self, data: bytes) -> list[bytes]:
        """See `Framing`. A reply that is no JSON comes with its head, so that it can be shown."""
        self._buffer += data
        head, mark, rest = self._buffer.partition(b"\r\n\r\n")
        if not mark:
            return []
        found = _LENGTH.search(head)
        if found is not None:
            size = int(found.group(1))
            if len(rest) < size:
                return []
            body, self._buffer = rest[:size], rest[size:]
        elif _CHUNKED.search(head):
            if not rest.endswith(b"0\r\n\r\n"):
                return []
            body, self._buffer = _joined(rest), b""
        else:
            body, self._buffer = b"", rest
        return [body if head.startswith(b"HTTP/1.1 200") else head + b"\n" + body]


def _joined(chunks: bytes) -> bytes:
    """The body without the sizes of its chunks."""
    parts: list[bytes] = []
    while chunks:
        size, _, chunks = chunks.partition(b"\r\n")
        count = int(size.split(b";")[0], 16)
        parts.append(chunks[:count])
        chunks = chunks[count + 2 :]
        if not count:
            break
    return b"".join(parts)
