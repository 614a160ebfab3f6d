"""What crosses swarms: which there are, shared memory, and the audit. Kept in the stream `fleet`.

A swarm is reserved here before its own stream begins, so that a crash in between leaves a promise
that recovery keeps. Values of memory are in the log and the views, never in the state.
"""

import msgspec

from visionflow.domain.commands import Command
from visionflow.domain.events import Event
from visionflow.domain.swarms import SwarmSpec
from visionflow.domain.tasks import NOTHING, Payload

STREAM = "fleet"
STORE = "memory_store"
"""The tool that stores memory."""


# Commands ------------------------------------------------------------------------------------


class ReserveSwarm(Command, frozen=True, tag="reserve_swarm"):
    """There shall be this swarm."""

    spec: SwarmSpec
    by: str
    """The caller's name."""


class EndSwarm(Command, frozen=True, tag="end_swarm"):
    """A swarm is not to be opened any more; its log stays."""

    swarm: str
    reason: str
    by: str


class StoreMemory(Command, frozen=True, tag="store_memory"):
    """Keep a value under a key, in the place of an earlier one."""

    namespace: str
    key: str
    value: Payload
    size_bytes: int
    text: str = ""
    """What a search looks at."""
    ttl_ms: int | None = None
    by: str = ""
    role: str = ""
    face: str = ""
    """Of the call that stores it; empty when it was not a call."""


class RecordCall(Command, frozen=True, tag="record_call"):
    """A call that changes something, or was refused; for the audit."""

    by: str
    role: str
    face: str
    tool: str
    code: str | None = None
    """Why it was refused; `None` when it was accepted."""
    message: str = ""
    subject: str | None = None
    """The id of what it made or changed."""
    swarm: str | None = None
    call: str | None = None
    """The id of the command in the swarm's own log."""
    count: int = 1
    """Refusals of one kind that came close together are one record."""


class RecordAccess(Command, frozen=True, tag="record_access"):
    """Somebody was turned away, or a token was used, made or revoked; for the audit."""

    by: str
    face: str
    code: str
    message: str = ""
    count: int = 1


class AnchorStreams(Command, frozen=True, tag="anchor_streams"):
    """Note where the other streams of this log end."""

    heads: tuple[tuple[str, int, str], ...]
    """Of each: its name, the number of its last record, and that one's hash in hex."""


class TickFleet(Command, frozen=True, tag="tick_fleet"):
    """Time has passed: memory may have expired."""


FleetCommand = (
    ReserveSwarm | EndSwarm | StoreMemory | RecordCall | RecordAccess | AnchorStreams | TickFleet
)


# Events --------------------------------------------------------------------------------------


class SwarmReserved(Event, frozen=True, tag="swarm_reserved"):
    """A swarm of this specification is promised."""

    spec: SwarmSpec
    by: str
    command: str | None = None


class SwarmEnded(Event, frozen=True, tag="swarm_ended"):
    """A swarm is over."""

    swarm: str
    reason: str
    by: str
    command: str | None = None


class MemoryStored(Event, frozen=True, tag="memory_stored"):
    """A value under a key, in the place of an earlier one. With a face it is the record of the
    call too: one append says both, so neither is ever there without the other."""

    namespace: str
    key: str
    value: Payload = NOTHING
    size_bytes: int = 0
    text: str = ""
    stored_ms: int = 0
    expires_ms: int | None = None
    by: str = ""
    command: str | None = None
    role: str = ""
    face: str = ""


class MemoryExpired(Event, frozen=True, tag="memory_expired"):
    """Keys whose time is over, as (namespace, key)."""

    keys: tuple[tuple[str, str], ...]


class CallRecorded(Event, frozen=True, tag="call_recorded"):
    """Who called which tool, and what came of it."""

    by: str
    role: str
    face: str
    tool: str
    code: str | None = None
    message: str = ""
    subject: str | None = None
    swarm: str | None = None
    call: str | None = None
    count: int = 1


class AccessRecorded(Event, frozen=True, tag="access_recorded"):
    """Somebody was turned away, or a token was used, made or revoked."""

    by: str
    face: str
    code: str
    message: str = ""
    count: int = 1


class StreamsAnchored(Event, frozen=True, tag="streams_anchored"):
    """Where other streams of this log ended: whoever knows this record's hash knows theirs."""

    heads: tuple[tuple[str, int, str], ...]


class FleetRefused(Event, frozen=True, tag="fleet_refused"):
    """A command was understood and not accepted; it is decided anew when it comes again."""

    code: str
    message: str
    command: str | None = None
    """In logs of before: its id, under which it was refused again whatever had changed."""
    asked: str | None = None
    """Its id."""


FleetEvent = (
    SwarmReserved
    | SwarmEnded
    | MemoryStored
    | MemoryExpired
    | CallRecorded
    | AccessRecorded
    | StreamsAnchored
    | FleetRefused
)


class FleetRecord(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One append to the stream."""

    at_ms: int
    events: list[FleetEvent]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(FleetRecord)


def encode_fleet_record(at_ms: int, events: list[FleetEvent]) -> bytes:
    """The bytes that the log keeps."""
    return _encoder.encode((at_ms, events))


def decode_fleet_record(body: bytes) -> FleetRecord:
    """The record in these bytes.

    Raises:
        msgspec.ValidationError: an event of this log is unknown to this version.
    """
    return _decoder.decode(body)
