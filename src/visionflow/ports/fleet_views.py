"""Port: views of the fleet's stream: shared memory with full text, and the audit.

They follow the log as the views of a swarm do, and may be deleted at any time as those may.
"""

from typing import Protocol

import msgspec


class KeptRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A key of shared memory. Times are milliseconds since the epoch."""

    namespace: str
    key: str
    inline: bytes | None
    """The value as MessagePack, when it is small."""
    blob: str | None
    """Else the name of the blob that holds it."""
    size_bytes: int
    stored_ms: int
    expires_ms: int | None
    by: str


class AuditRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One entry of the audit. `seq` and `place` say where in the fleet's stream it stands."""

    seq: int
    place: int
    at_ms: int
    kind: str
    """`call` or `access`."""
    by: str
    role: str | None
    face: str
    tool: str | None
    code: str | None
    """Why it was refused; `None` when it was accepted."""
    message: str
    subject: str | None
    swarm: str | None
    call: str | None
    count: int
    """So many refusals of this kind came close together."""


class Kept(msgspec.Struct, frozen=True, gc=False):
    """A key was stored; `text` is what a search looks at."""

    row: KeptRow
    text: str


class Gone(msgspec.Struct, frozen=True, gc=False):
    """A key is no longer there."""

    namespace: str
    key: str


FleetChange = Kept | Gone | AuditRow


class FleetViews(Protocol):
    """Rows of the fleet. May be used from any thread; calls block on the disk."""

    def position(self) -> int:
        """The number of the last record that the rows reflect."""
        ...

    def apply(self, position: int, changes: list[FleetChange]) -> None:
        """Make these changes and move to this position, both or neither."""
        ...

    def clear(self) -> None:
        """Forget all rows: they are to be made anew from the first record."""
        ...

    def memory(self, namespace: str, key: str) -> KeptRow | None:
        """One key, expired or not."""
        ...

    def search(
        self, namespace: str | None, query: str, after: tuple[str, str], limit: int, now_ms: int
    ) -> list[KeptRow]:
        """Keys that have not expired, in the order of namespace and key, those after `after`.

        Each word of `query` must begin a word of the key or of the value's text; words in double
        quotes must follow each other. Without a word, every key is found.
        """
        ...

    def audit(
        self,
        after: tuple[int, int] | None,
        limit: int,
        since_ms: int = 0,
        by: str | None = None,
        newest_first: bool = False,
    ) -> list[AuditRow]:
        """Entries of the audit beyond the one at `after` (seq, place), in order."""
        ...

    def close(self) -> None:
        """Let go of the file."""
        ...
