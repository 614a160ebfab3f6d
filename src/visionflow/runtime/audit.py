"""Whether a log is what it was: every record of every stream, and heads that were noted before.

Each record is stored with a hash over what came before it, so an edit shows at the first record
that it touched. A tail that was cut off does not show in its own stream. Two things show it: the
fleet's stream notes, now and then, where the others ended (`StreamsAnchored`), and a head that
somebody wrote down elsewhere is missing when what it named was cut.

It reads only: also beside a running server, and when there is none.
"""

from collections.abc import Collection, Iterable

import msgspec

from visionflow.domain import fleet as f
from visionflow.domain.errors import LogCorrupt, UsageError
from visionflow.ports.log import Log

HASH_CHARS = 64


class StreamHead(msgspec.Struct, frozen=True, kw_only=True):
    """Where a stream ends."""

    stream: str
    seq: int
    """The number of its last record."""
    hash: str
    """That record's, in hex."""


class FoundHead(msgspec.Struct, frozen=True, kw_only=True):
    """A record whose hash is the one that was asked for."""

    stream: str
    seq: int
    behind: int
    """So many records of the stream came after it."""


class AuditVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """What was found, when every chain holds."""

    streams: tuple[StreamHead, ...]
    """All of them, sorted by name."""
    records: int
    head: str | None
    """What to write down: the hash of the last record of the fleet's stream, in hex; of the one
    stream where there is no other. `None` when the log is empty, or has several and none is the
    fleet's."""
    anchored: int
    """So many records of other streams are covered by `head`."""
    asked: str | None
    """The earlier head that was asked for."""
    found: FoundHead | None
    """Where that one stands; `None` when it is nowhere: something was cut off or replaced."""

    @property
    def holds(self) -> bool:
        """Whether nothing is amiss as far as can be told."""
        return self.asked is None or self.found is not None


class _Note(msgspec.Struct, frozen=True, gc=False):
    """What the fleet's record `by` says of another record's hash."""

    by: int
    hash: str


class _Notes:
    """All that the fleet's stream notes of the others."""

    def __init__(self) -> None:
        self.by_stream: dict[str, dict[int, _Note]] = {}
        self.promised: set[str] = set()
        """Swarms."""

    def take(self, by: int, body: bytes) -> None:
        """Read them off a record of the fleet's stream."""
        try:
            record = f.decode_fleet_record(body)
        except msgspec.DecodeError as error:
            raise LogCorrupt(
                f"Record {by} of {f.STREAM} cannot be read: {error}.",
                hint="It may come from a newer version of VisionFlow.",
            ) from error
        for event in record.events:
            if isinstance(event, f.SwarmReserved):
                self.promised.add(event.spec.id)
            if isinstance(event, f.StreamsAnchored):
                for stream, seq, digest in event.heads:
                    self.by_stream.setdefault(stream, {}).setdefault(seq, _Note(by, digest))

    def covered(self) -> int:
        """How many records of other streams a hash of the fleet's stream vouches for."""
        return sum(max(notes, default=0) for notes in self.by_stream.values())


def verify(log: Log, head: str | None = None, *, served: bool = False) -> AuditVerdict:
    """Read every record and check all that was noted of it. Blocks; takes as long as the log.

    `head` is one that was noted before: the hash of any record, in hex. `served`: the log is a
    server's, so the fleet's stream promised every other.

    Raises:
        LogCorrupt: a chain does not hold, a stream is shorter than the fleet's says, or there is
            one that the fleet's should have promised; the message names the record.
        UsageError: `head` is no hash.
    """
    asked = None if head is None else _hash(head)
    notes, heads, places = _Notes(), list[StreamHead](), dict[str, int]()
    # The fleet's first: what it notes of another is known when that one is read.
    for name in sorted(log.streams(), key=lambda name: (name != f.STREAM, name)):
        heads.append(_read(log, name, asked, notes, places))
    there = {each.stream for each in heads}
    for name, noted in notes.by_stream.items():
        if name not in there:
            seq, note = next(iter(noted.items()))
            raise _at_odds(name, seq, note, "the whole stream is missing")
    if served:
        check_promised(there, notes.promised)
    return _verdict(heads, asked, places, notes.covered())


def check_promised(streams: Iterable[str], promised: Collection[str]) -> None:
    """See that the fleet's stream of a server's log promised every other.

    Raises:
        LogCorrupt: it did not: it was taken away, or another was put in its place.
    """
    for name in sorted(streams):
        if name != f.STREAM and name not in promised:
            raise LogCorrupt(
                f"The log is damaged: stream {name!r} is there, and {f.STREAM!r}, which begins "
                "before every other, does not know it.",
                hint="Somebody removed or replaced the audit. Restore the file from a copy.",
            )


def _read(
    log: Log, name: str, asked: str | None, notes: _Notes, places: dict[str, int]
) -> StreamHead:
    """Check one stream; where it ends. `places` gets where the hash that was asked for stands."""
    seq, found, noted = 0, "", dict(notes.by_stream.get(name, {}))
    for entry in log.read(name):
        seq, found = entry.seq, entry.hash.hex()
        if found == asked:
            places[name] = seq
        note = noted.pop(seq, None)
        if note is not None and note.hash != found:
            raise _at_odds(name, seq, note, "it has another hash")
        if name == f.STREAM:
            notes.take(seq, entry.body)
    for missing, note in noted.items():
        raise _at_odds(name, missing, note, f"it is missing, the stream ends at {seq}")
    return StreamHead(stream=name, seq=seq, hash=found)


def _verdict(
    heads: list[StreamHead], asked: str | None, places: dict[str, int], anchored: int
) -> AuditVerdict:
    by_name = {each.stream: each for each in heads}
    top = by_name.get(f.STREAM, heads[0] if len(heads) == 1 else None)
    found = None
    for name, seq in places.items():
        found = FoundHead(stream=name, seq=seq, behind=by_name[name].seq - seq)
    return AuditVerdict(
        streams=tuple(sorted(heads, key=lambda each: each.stream)),
        records=sum(each.seq for each in heads),
        head=None if top is None else top.hash,
        anchored=anchored,
        asked=asked,
        found=found,
    )


def _hash(text: str) -> str:
    found = text.strip().lower()
    if len(found) != HASH_CHARS or any(letter not in "0123456789abcdef" for letter in found):
        raise UsageError(
            f"{text[:80]!r} is no head: it has {HASH_CHARS} hexadecimal digits.",
            hint="`visionflow audit verify` prints the present one.",
        )
    return found


def _at_odds(stream: str, seq: int, note: _Note, what: str) -> LogCorrupt:
    return LogCorrupt(
        f"The log is damaged at record {seq} of stream {stream!r}: {what}, and record {note.by} "
        f"of {f.STREAM!r} had noted it.",
        hint="Somebody cut or replaced records. Restore the file from a copy.",
    )
