"""Port: the append-only log.

A log holds named streams; a stream is a sequence of records numbered from 1 without a gap. A
record is bytes and is stored with the hash of what came before it, so that a change to any
record shows. Acknowledged means durable: after the awaited append returns, the record survives
a power cut.
"""

from asyncio import Future
from collections.abc import AsyncIterator, Iterator
from typing import NamedTuple, Protocol

GENESIS = bytes(32)
"""The hash before the first record of a stream."""


class Entry(NamedTuple):
    """A stored record. `hash` is SHA-256 over the previous hash, the number (8 bytes, big-endian)
    and the body."""

    seq: int
    body: bytes
    hash: bytes


class Head(NamedTuple):
    """The end of a stream; `seq` is 0 when it is empty."""

    seq: int
    hash: bytes


class Log(Protocol):
    """Appends and reads. One writer per stream; any number of readers."""

    def append(self, stream: str, expect: int, body: bytes) -> "Future[Head]":
        """Add a record as number `expect + 1`, and resolve once it is durable.

        Appends of one stream take effect in call order. The future fails with `LogConflict`
        when the stream does not end at `expect`; then nothing of this record is in the log. It
        fails with `LogUnavailable` when the disk did not take it; then the record was not
        acknowledged, and only opening the log again tells whether it is there.
        """
        ...

    def head(self, stream: str) -> Head:
        """The last durable record of a stream."""
        ...

    def read(self, stream: str, after: int = 0) -> Iterator[Entry]:
        """All durable records with a number above `after`, in order, in bounded pages.

        Raises:
            LogCorrupt: a number is missing or a hash does not match.
        """
        ...

    def follow(self, stream: str, after: int = 0) -> AsyncIterator[Entry]:
        """The same, and then each further record once it is durable, without end."""
        ...

    def streams(self) -> tuple[str, ...]:
        """Names of all streams that have a record, sorted."""
        ...

    def close(self) -> None:
        """Finish the append under way and let go of the files. Later calls raise."""
        ...
