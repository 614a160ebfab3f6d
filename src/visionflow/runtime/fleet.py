"""The fleet's stream at work: promises of swarms, shared memory, and the audit.

It is a machine of its own behind the same mailbox, batching and fail-stop as a swarm's. Values
and rows are read from views that follow the log: a read first brings them up to the last record
that was acknowledged when it began. Everything here belongs to one loop; what blocks on the disk
runs in a thread.
"""

from collections.abc import Callable
from typing import NotRequired, TypedDict, TypeVar, Unpack

import msgspec

from visionflow.domain import fleet as f
from visionflow.domain.errors import NotPersistable, Refused
from visionflow.domain.limits import (
    INLINE_BYTES_MAX,
    MEMORY_VALUE_BYTES_MAX,
    WORD_CHARS_MAX,
)
from visionflow.domain.swarms import SwarmSpec
from visionflow.domain.tasks import NOTHING, Payload
from visionflow.ports.fleet_views import AuditRow, KeptRow
from visionflow.runtime.fleet_stream import FleetStream, in_thread
from visionflow.runtime.fleet_text import encodable, plain, text_of
from visionflow.runtime.intake import sound, unpack

T = TypeVar("T")


class StoredMemory(msgspec.Struct, frozen=True, kw_only=True):
    """What was stored. Times are milliseconds since the epoch."""

    namespace: str
    key: str
    size_bytes: int
    stored_ms: int
    expires_ms: int | None


class MemoryRow(msgspec.Struct, frozen=True, kw_only=True):
    """A key of shared memory with its value. Times are milliseconds since the epoch."""

    namespace: str
    key: str
    value: object
    size_bytes: int
    stored_ms: int
    expires_ms: int | None
    by: str
    is_large: bool = False
    """In a list: the value is above 64 kB and left out; `memory` gives it."""


class Told(TypedDict):
    """What is recorded of a call; see `RecordCall`."""

    by: str
    role: str
    face: str
    tool: str
    code: NotRequired[str | None]
    message: NotRequired[str]
    subject: NotRequired[str | None]
    swarm: NotRequired[str | None]
    call: NotRequired[str | None]


class FleetLog(FleetStream):
    """The fleet's stream. Satisfies `Reservations` of `runtime.swarms`."""

    # Swarms --------------------------------------------------------------------------------

    async def reserve(self, spec: SwarmSpec, by: str, command: str | None = None) -> str:
        """Promise a swarm; returns its id, which is an earlier one when the command is known.

        Raises:
            Refused: there are too many, or there is or was one of this id.
            UsageError: the log cannot hold the specification.
        """
        answer = await self.ask(
            f.ReserveSwarm(
                now_ms=self._host.now_ms(),
                command=_command(command),
                spec=sound(spec),
                by=plain(by),
            )
        )
        return answer.subject or spec.id

    async def end(self, swarm: str, reason: str, by: str, command: str | None = None) -> None:
        """Record that a swarm is over.

        Raises:
            UnknownSwarm: there is none of this id.
            Refused: it is over already.
        """
        await self.ask(
            f.EndSwarm(
                now_ms=self._host.now_ms(),
                command=_command(command),
                swarm=encodable(swarm, "A swarm's id"),
                reason=plain(reason),
                by=plain(by),
            )
        )

    def promised(self) -> list[SwarmSpec]:
        """Swarms that are not over, oldest first."""
        return list(self.state.swarms.values())

    # Memory --------------------------------------------------------------------------------

    async def store_memory(
        self,
        namespace: str,
        key: str,
        value: object,
        ttl_ms: int | None = None,
        by: str = "",
        command: str | None = None,
        *,
        role: str = "",
        face: str = "",
        offered: Callable[[], None] | None = None,
    ) -> StoredMemory:
        """Keep a value under a key, in the place of an earlier one; returns once it is durable.
        With a `face` it is a call of memory_store, and stands in the audit as such. `offered` is
        called when what is stored later can no longer overtake it; `quiet` waits for it then.

        Raises:
            NotPersistable: the value cannot be written down.
            Refused: a name, the value or the ttl is out of bounds, or memory is full.
        """
        content = _encoded(value, key)
        size = len(content)
        payload, text = NOTHING, ""
        if size <= MEMORY_VALUE_BYTES_MAX:
            # A larger one is refused on record; nothing of it is kept.
            payload, text = await self._payload(content), text_of(value)
        answer = await self.ask(
            f.StoreMemory(
                now_ms=self._host.now_ms(),
                command=_command(command),
                namespace=encodable(namespace, "A namespace"),
                key=encodable(key, "A key"),
                value=payload,
                size_bytes=size,
                text=text,
                ttl_ms=ttl_ms,
                by=plain(by),
                role=plain(role),
                face=plain(face),
            ),
            offered,
        )
        return StoredMemory(
            namespace=namespace,
            key=key,
            size_bytes=size,
            stored_ms=answer.at_ms,
            expires_ms=None if ttl_ms is None else answer.at_ms + ttl_ms,
        )

    async def _payload(self, content: bytes) -> Payload:
        if len(content) <= INLINE_BYTES_MAX:
            return Payload(inline=content)
        return Payload(blob=await in_thread(lambda: self._blobs.put(content)))

    async def memory(self, namespace: str, key: str) -> MemoryRow | None:
        """What is kept under a key; `None` when there is nothing, or its time is over.

        Raises:
            BlobMissing: the value is in a blob that is not there (any more).
        """
        encodable(namespace, "A namespace")
        encodable(key, "A key")

        def read() -> MemoryRow | None:
            row = self._reads.memory(namespace, key, self._host.now_ms())
            if row is None:
                return None
            return _row(row, unpack(Payload(row.inline, row.blob), self._blobs))

        return await in_thread(read)

    async def search_memory(
        self,
        namespace: str | None,
        query: str = "",
        limit: int = 100,
        after: tuple[str, str] | None = None,
    ) -> list[MemoryRow]:
        """A page of what is kept, in the order of namespace and key; `after` is the last of these
        two of the page before.

        Each word of `query` must begin a word of the key or of a text in the value; words in
        double quotes must follow each other. Without a word, every key is found. Values above
        64 kB are left out (`is_large`).
        """
        for text in (namespace or "", *(after or ())):
            encodable(text, "A namespace or key")

        def read() -> list[MemoryRow]:
            now_ms = self._host.now_ms()
            words = query.encode(errors="replace").decode()
            rows = self._reads.search(namespace, words, after or ("", ""), limit, now_ms)
            return [
                _row(row, unpack(Payload(row.inline), self._blobs), row.blob is not None)
                for row in rows
            ]

        return await in_thread(read)

    # Audit ---------------------------------------------------------------------------------

    async def record_call(self, **told: Unpack[Told]) -> None:
        """Record a call that changes something (`code` is `None`) or was refused.

        Durable when this returns; but of refusals of one kind (caller, face, tool, code) that
        come within a second, only the first: those after it are counted into one record that is
        written when the second is over.
        """
        made = self._call(told)
        if made.code is None or self._refusals.admit(made):
            await self.ask(made)

    def offer_call(self, **told: Unpack[Told]) -> None:
        """The same without waiting; nothing is raised, and it is durable a moment later."""
        made = self._call(told)
        if made.code is None or self._refusals.admit(made):
            self.offer(made)

    async def record_access(self, *, by: str, face: str, code: str, message: str = "") -> None:
        """Record that somebody was turned away, or that a token was used, made or revoked.

        Counted as `record_call` counts refusals: one record a second for each caller, face and
        code.
        """
        made = self._access(by, face, code, message)
        if self._refusals.admit(made):
            await self.ask(made)

    def offer_access(self, *, by: str, face: str, code: str, message: str = "") -> None:
        """The same without waiting; nothing is raised, and it is durable a moment later."""
        made = self._access(by, face, code, message)
        if self._refusals.admit(made):
            self.offer(made)

    async def audit(
        self,
        after: tuple[int, int] | None = None,
        limit: int = 100,
        since_ms: int = 0,
        by: str | None = None,
        newest_first: bool = False,
    ) -> list[AuditRow]:
        """A page of the audit; `after` is (seq, place) of the last row of the page before."""
        return await in_thread(lambda: self._reads.audit(after, limit, since_ms, by, newest_first))

    def _call(self, told: Told) -> f.RecordCall:
        code, subject = told.get("code"), told.get("subject")
        swarm, call = told.get("swarm"), told.get("call")
        return f.RecordCall(
            now_ms=self._host.now_ms(),
            by=plain(told["by"]),
            role=plain(told["role"]),
            face=plain(told["face"]),
            tool=plain(told["tool"]),
            code=None if code is None else plain(code),
            message=plain(told.get("message", "")),
            subject=None if subject is None else plain(subject),
            swarm=None if swarm is None else plain(swarm),
            call=None if call is None else plain(call),
        )

    def _access(self, by: str, face: str, code: str, message: str) -> f.RecordAccess:
        return f.RecordAccess(
            now_ms=self._host.now_ms(),
            by=plain(by),
            face=plain(face),
            code=plain(code),
            message=plain(message),
        )


def _command(command: str | None) -> str | None:
    if command is None:
        return None
    if len(command) > WORD_CHARS_MAX:
        raise Refused(f"An idempotency key has at most {WORD_CHARS_MAX} characters.", code="usage")
    return encodable(command, "An idempotency key")


def _encoded(value: object, key: str) -> bytes:
    try:
        return msgspec.msgpack.encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise NotPersistable(
            f"The value of {plain(key)!r} cannot be written to the log: {error}.",
            hint="Use plain values: text, numbers, lists, dicts.",
        ) from error


def _row(row: KeptRow, value: object, is_large: bool = False) -> MemoryRow:
    return MemoryRow(
        namespace=row.namespace,
        key=row.key,
        value=value,
        size_bytes=row.size_bytes,
        stored_ms=row.stored_ms,
        expires_ms=row.expires_ms,
        by=row.by,
        is_large=is_large,
    )
