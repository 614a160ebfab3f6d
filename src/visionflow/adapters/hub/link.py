"""One end of a socket that carries items. What they mean is for its owner.

What is sent in one turn of the loop leaves as one write. The bytes that wait for the other end
are bounded: an end that does not read is cut off, because whatever mattered is numbered and is
sent again on the next connection.
"""

import asyncio
from collections.abc import Callable
from typing import cast

from visionflow.adapters.hub.frames import FrameFault, FrameReader, Item, item_bytes, pack

SEND_BYTES_MAX = 33_554_432
"""Bytes that may wait for a reader before its connection is dropped: four full frames."""


class Link(asyncio.Protocol):
    """Sends and receives items over one transport.

    `on_items` gets each batch in order, `on_lost` is called once with why the connection ended
    (`None` for an orderly end).
    """

    def __init__(
        self,
        on_items: Callable[[list[Item]], None],
        on_lost: Callable[[str | None], None],
        on_open: Callable[[asyncio.Transport], None] | None = None,
        send_bytes_max: int = SEND_BYTES_MAX,
    ) -> None:
        self.on_items = on_items
        """May be replaced while the connection goes on."""
        self._on_lost = on_lost
        self._on_open = on_open
        self._send_bytes_max = send_bytes_max
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._reader = FrameReader()
        self._out: list[Item] = []
        self._out_bytes = 0
        self._why: str | None = None
        self.open = True
        self.overrun = False
        """The other end was dropped because it did not read."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self._transport = cast(asyncio.Transport, transport)
        if self._on_open is not None:
            self._on_open(self._transport)

    def data_received(self, data: bytes) -> None:
        """Called by the loop."""
        if not self.open:
            return
        try:
            items = self._reader.feed(data)
        except FrameFault as fault:
            self.drop(str(fault))
            return
        if items:
            self.on_items(items)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop."""
        self.open = False
        self._out.clear()
        self._on_lost(self._why if self._why is not None or exc is None else str(exc))

    def send(self, item: Item) -> None:
        """Send with whatever else is sent in this turn.

        Raises:
            FrameTooLarge: the item exceeds the frame limit.
        """
        size = item_bytes(item)
        if not self.open:
            return
        if not self._out:
            self._loop.call_soon(self.flush)
        self._out.append(item)
        self._out_bytes += size
        if self._out_bytes > self._send_bytes_max:
            self.flush()

    def flush(self) -> None:
        """Write what is waiting now."""
        if not self._out or not self.open or self._transport is None:
            return
        items, size = self._out, self._out_bytes
        self._out, self._out_bytes = [], 0
        self._transport.write(pack(items, size))
        if self._transport.get_write_buffer_size() > self._send_bytes_max:
            self.overrun = True
            self.drop("the other end does not read what it is sent")

    def close(self) -> None:
        """Write what is waiting, then end the connection."""
        self.flush()
        if self.open and self._transport is not None:
            self.open = False
            self._transport.close()

    def drop(self, why: str) -> None:
        """End the connection now; what waits is lost."""
        if self.open and self._transport is not None:
            self.open = False
            self._why = why
            self._transport.abort()
