"""Replies that are too long for a client's line, and where the rest of them can be read.

The guide's Python client reads lines of at most 65,536 bytes and dies of a longer one. So a reply
to it is made to fit: first the text block becomes a reference, then, one after the other, the
largest values. `truncated` names each value that was replaced, its size, and the reference; what
stands behind a reference is read in pieces with `resources/read` by whoever made the call, for as
long as this process keeps it.
"""

from collections import OrderedDict
from collections.abc import Iterator
from itertools import islice
from typing import Any, cast

import msgspec

from visionflow.domain.errors import UnknownId, UsageError
from visionflow.interfaces.wire.dialect import encoded, laid_flat

LINE_BYTES_MAX = 65_536
"""The newline included."""
PIECE_BYTES = 24_000
"""Of a value in one reply: escaped as a text in JSON it may take twice that and more."""
KEPT_BYTES_MAX = 32 * 1024 * 1024
KEPT_MAX = 1_000
SCHEME = "visionflow://reply/"
TRUNCATED = "truncated"
CUTS_MAX = 64
"""Values that are replaced one by one, before the whole result is."""
_SMALL = 128
"""A value of fewer bytes is not worth a reference."""
Path = tuple[str | int, ...]


class Kept(msgspec.Struct, frozen=True):
    """A value that did not fit, as JSON."""

    caller: str
    value: bytes


class Leftovers:
    """What was left out of replies, bounded in bytes: the oldest goes first."""

    def __init__(self, bytes_max: int = KEPT_BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._kept: OrderedDict[str, Kept] = OrderedDict()
        self._bytes = 0
        self._number = 0

    def keep(self, caller: str, value: bytes) -> str:
        """Keep a value for its caller; returns the reference."""
        self._number += 1
        uri = f"{SCHEME}{self._number}"
        self._kept[uri] = Kept(caller, value)
        self._bytes += len(value)
        while len(self._kept) > 1 and (self._bytes > self._bytes_max or len(self._kept) > KEPT_MAX):
            self._bytes -= len(self._kept.popitem(last=False)[1].value)
        return uri

    def read(self, uri: str, caller: str, cursor: object) -> dict[str, Any]:
        """A piece of a value, as the result of `resources/read`; `nextCursor` leads to the next.

        Raises:
            UnknownId: it is not kept any more, or was never this caller's.
            UsageError: the cursor is none of this value.
        """
        kept = self._kept.get(uri)
        if kept is None or kept.caller != caller:
            raise UnknownId(
                f"Nothing is kept as {uri[:200]!r}.",
                hint="Make the call again; over HTTP (POST /) a reply may have any length.",
            )
        text = kept.value
        begin = _offset(cursor, len(text))
        end = begin + PIECE_BYTES
        while end < len(text) and text[end] & 0xC0 == 0x80:
            end -= 1  # not in the middle of a character
        piece = {"uri": uri, "mimeType": "application/json", "text": text[begin:end].decode()}
        found: dict[str, Any] = {"contents": [piece]}
        if end < len(text):
            found["nextCursor"] = str(end)
        return found


def _offset(cursor: object, length: int) -> int:
    if cursor is None:
        return 0
    if isinstance(cursor, str) and cursor.isascii() and cursor.isdigit() and len(cursor) < 12:
        offset = int(cursor)
        if offset < length:
            return offset
    raise UsageError("The cursor is none of this value's.", hint="Take nextCursor as it came.")


def fitting(identity: bytes, body: bytes, limit: int, leftovers: Leftovers, caller: str) -> bytes:
    """A reply of at most `limit` bytes to a call whose result is `body`, which is too long."""
    whole = leftovers.keep(caller, body)
    text = encoded(
        encoded({TRUNCATED: [{"path": "content", "bytes": len(body), "reference": whole}]}).decode()
    )
    reply = laid_flat(identity, body, text)
    if len(reply) <= limit:
        return reply
    result: dict[str, Any] = msgspec.json.decode(body)
    cut: list[dict[str, Any]] = []
    for path, value in islice(_largest(result), CUTS_MAX):
        reference = leftovers.keep(caller, value)
        _put(result, path, reference)
        cut.append({"path": _shown(path), "bytes": len(value), "reference": reference})
        shorter = encoded({**result, TRUNCATED: cut})
        reply = laid_flat(identity, shorter, encoded(shorter.decode()))
        if len(reply) <= limit:
            return reply
        reply = laid_flat(identity, shorter, text)
        if len(reply) <= limit:
            return reply
    return laid_flat(
        identity,
        encoded({TRUNCATED: [{"path": "", "bytes": len(body), "reference": whole}]}),
    )


def _largest(result: dict[str, Any]) -> Iterator[tuple[Path, bytes]]:
    """The largest values that are worth a reference, each found after the one before was replaced.

    One goes into an object whose largest value is more than half of it, so that a report loses its
    findings and keeps its status.
    """
    while True:
        found = _largest_of(result, ())
        if found is None:
            return
        path, value = found
        while True:
            inner = _largest_of(_at(result, path), path)
            if inner is None or len(inner[1]) * 2 < len(value):
                break
            path, value = inner
        yield path, value


def _largest_of(value: object, path: Path) -> tuple[Path, bytes] | None:
    if not isinstance(value, dict):
        return None
    best: tuple[Path, bytes] | None = None
    for key, each in cast("dict[str, object]", value).items():
        size = encoded(each)
        if len(size) >= _SMALL and (best is None or len(size) > len(best[1])):
            best = ((*path, key), size)
    return best


def _at(value: Any, path: Path) -> object:
    for step in path:
        value = value[step]
    return value


def _put(value: Any, path: Path, new: object) -> None:
    for step in path[:-1]:
        value = value[step]
    value[path[-1]] = new


def _shown(path: Path) -> str:
    return ".".join(str(step) for step in path)
