"""A publisher for a thread that has no loop: the heartbeat of a worker.

It sends and never listens, so that it goes on while the loop of its process is busy.
"""

import socket

import msgspec

from visionflow.adapters.hub.frames import FrameFault, FrameReader, Item, item_bytes, pack
from visionflow.adapters.hub.guard import Claim
from visionflow.domain.errors import BusClosed, Refused


class BlockingPublisher:
    """A connection to a hub that only publishes."""

    def __init__(self, path: str, claim: Claim, timeout_ms: int = 2_000) -> None:
        """Dial and introduce oneself.

        Raises:
            BusClosed: nobody answers there.
            Refused: the claim is not believed (`not_authorised`).
        """
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(timeout_ms / 1000)
        try:
            self._socket.connect(path)
            self._send(("$auth", None, msgspec.msgpack.encode(claim)))
            subject, _, payload = self._answer()
        except (OSError, FrameFault) as error:
            self.close()
            raise BusClosed(f"No hub answers at {path}: {error}.") from error
        if subject != "$ok":
            self.close()
            raise Refused(
                f"The hub refused this connection: {payload.decode()}.", code="not_authorised"
            )

    def publish(self, subject: str, payload: bytes) -> None:
        """Send at once.

        Raises:
            BusClosed: the connection is gone, or the hub does not read.
        """
        try:
            self._send((subject, None, payload))
        except OSError as error:
            self.close()
            raise BusClosed(f"The connection to the hub is gone: {error}.") from error

    def close(self) -> None:
        """End the connection."""
        self._socket.close()

    def _send(self, item: Item) -> None:
        self._socket.sendall(pack([item], item_bytes(item)))

    def _answer(self) -> Item:
        reader = FrameReader()
        while True:
            data = self._socket.recv(4096)
            if not data:
                raise FrameFault("it closed the connection")
            items = reader.feed(data)
            if items:
                return items[0]
