"""Bytes on a unix socket: a length of four bytes, then a MessagePack list of items.

An item is (subject, reply, payload). Subjects that begin with `$` are between the hub and one
client: `$auth` (the first item of a connection), `$ok`, `$no`, `$sub`, `$unsub`. A reply that
begins with `?` is a token that only means something on its own connection. What the items are
for is the business of the two ends.
"""

import struct
from typing import TypeAlias

import msgspec

from visionflow.domain.errors import FrameTooLarge
from visionflow.domain.limits import FRAME_BYTES_MAX

Item: TypeAlias = tuple[str, str | None, bytes]

ITEM_OVERHEAD_BYTES = 32
"""More than the marks of one item and of the list around it take."""

_HEADER = struct.Struct("!I")
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[Item])


class FrameFault(Exception):
    """The other end does not keep to the format; the connection must end."""


def item_bytes(item: Item) -> int:
    """An upper bound of an item's size in a frame.

    Raises:
        FrameTooLarge: it would not fit into a frame of its own.
    """
    subject, reply, payload = item
    size = len(payload) + 4 * len(subject) + 4 * len(reply or "") + ITEM_OVERHEAD_BYTES
    if size > FRAME_BYTES_MAX:
        raise FrameTooLarge(
            f"A message of {len(payload)} bytes on {subject} exceeds the frame limit of "
            f"{FRAME_BYTES_MAX} bytes.",
            hint="Store the value as a blob and send its name.",
        )
    return size


def pack(items: list[Item], size: int) -> bytearray:
    """One frame, or as many as the limit makes necessary. `size` bounds that of all items."""
    out = bytearray()
    if size <= FRAME_BYTES_MAX:
        _pack_one(out, items)
        return out
    part: list[Item] = []
    part_size = 0
    for item in items:
        more = item_bytes(item)
        if part and part_size + more > FRAME_BYTES_MAX:
            _pack_one(out, part)
            part, part_size = [], 0
        part.append(item)
        part_size += more
    _pack_one(out, part)
    return out


def _pack_one(out: bytearray, items: list[Item]) -> None:
    start = len(out)
    out += b"\0\0\0\0"
    _encoder.encode_into(items, out, start + 4)
    _HEADER.pack_into(out, start, len(out) - start - 4)


class FrameReader:
    """Cuts a stream of bytes into items."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[Item]:
        """The items of all frames that are complete with `data`.

        Raises:
            FrameFault: a frame is over the limit or is not a list of items.
        """
        if not self._rest and len(data) >= 4:
            (size,) = _HEADER.unpack_from(data)
            if size == len(data) - 4 and size <= FRAME_BYTES_MAX:
                return self._items(memoryview(data)[4:])
        self._rest += data
        return self._cut()

    def _cut(self) -> list[Item]:
        items: list[Item] = []
        at, end = 0, len(self._rest)
        with memoryview(self._rest) as view:
            while end - at >= 4:
                (size,) = _HEADER.unpack_from(view, at)
                if size > FRAME_BYTES_MAX:
                    raise FrameFault(f"a frame of {size} bytes is over the limit")
                if end - at - 4 < size:
                    break
                items += self._items(view[at + 4 : at + 4 + size])
                at += 4 + size
        del self._rest[:at]
        return items

    @staticmethod
    def _items(body: memoryview) -> list[Item]:
        try:
            return _decoder.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as fault:
            raise FrameFault(f"a frame is not a list of items: {fault}") from fault
        finally:
            body.release()
