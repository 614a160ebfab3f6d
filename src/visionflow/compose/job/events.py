"""Follows the log of a run: each committed record goes to the story and, as lines, to events.jsonl.

Where the log has others too, only what concerns the run is taken, from the record that hands its
plan in to the one that ends it: so whoever reads later, and however much, reads the same.

The file is made anew from the log whenever a run is taken up, so it is complete at its end
whatever was killed in between; and whenever a secret becomes known that it may hold already.
"""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import IO, Any, cast

import msgspec

from visionflow.adapters.sqlite.log import SqliteLog
from visionflow.agents.plans import Plan
from visionflow.agents.tools.veiling import KnownSecrets
from visionflow.compose.job.folder import Order, RunFolder, iso
from visionflow.compose.job.naming import ALONE, Names
from visionflow.compose.job.secrecy import Secrecy
from visionflow.compose.job.story import Story
from visionflow.domain.events import PlanSubmitted, Record, decode_record
from visionflow.domain.tasks import Payload


class Source(msgspec.Struct, frozen=True):
    """Where the events of a run stand."""

    log: Path
    stream: str
    after: int = 0
    names: Names = ALONE

    def records(self, log: SqliteLog, after: int) -> Iterator[tuple[int, Record]]:
        """Number and content of each record after this one."""
        for entry in log.read(self.stream, max(after, self.after)):
            yield entry.seq, decode_record(entry.body)


def source_of(folder: RunFolder, order: Order) -> Source:
    """Where the events of this run stand."""
    return Source(*folder.log_of(order), order.names)


class Reading:
    """The story of a run as it is read from the log."""

    def __init__(self, source: Source, plan: Plan | None) -> None:
        self.story = Story(plan)
        self._source = source
        self._begun = source.names is ALONE

    def take(self, seq: int, record: Record) -> Record | None:
        """The next record; returns what of it is the run's, as the log has it."""
        names = self._source.names
        if names is ALONE:
            self.story.take(seq, record)
            return record
        own = [found for each in record.events if (found := names.own(each)) is not None]
        self._begun = self._begun or any(isinstance(each, PlanSubmitted) for each in own)
        if not self._begun or self.story.over:
            self.story.seq = seq
            return None
        self.story.take(seq, Record(record.at_ms, own))
        return names.told(record)


def story_in(folder: RunFolder, order: Order) -> Story:
    """The story of a run as far as its log goes.

    Raises:
        LogUnavailable: there is no log.
    """
    source = source_of(folder, order)
    reading = Reading(source, order.plan)
    with closing(SqliteLog.open(source.log, read_only=True)) as log:
        for seq, record in source.records(log, 0):
            reading.take(seq, record)
    return reading.story


class Follower:
    """Reads what the log grew by, from the caller's thread."""

    def __init__(
        self, source: Source, file: Path, plan: Plan | None, secrecy: Secrecy | None = None
    ) -> None:
        self._reading = Reading(source, plan)
        self.story = self._reading.story
        self._plan = plan
        self._secrecy = secrecy
        self._known = KnownSecrets() if secrecy is None else secrecy.known
        self._path = file
        self._log = SqliteLog.open(source.log, read_only=True)
        self._source = source
        self._file: IO[bytes] = file.open("wb")

    def catch_up(self) -> bool:
        """Take all that is durable by now; whether there was anything."""
        if self._secrecy is not None and self._secrecy.known is not self._known:
            self._begin_again(self._secrecy.known)
        before = self.story.seq
        for seq, record in self._source.records(self._log, before):
            told = self._reading.take(seq, record)
            if told is not None:
                self._file.write(_lines(seq, told, self._known))
        if self.story.seq == before:
            return False
        self._file.flush()
        return True

    def _begin_again(self, known: KnownSecrets) -> None:
        """Write what was written so far once more, without the values that are known now."""
        self._known = known
        self._file.close()
        partial = self._path.with_name(self._path.name + ".partial")
        self._file = partial.open("wb")
        _write_lines(self._file, self._log, self._source, self._plan, known, self.story.seq)
        self._file.flush()
        partial.replace(self._path)

    def close(self) -> None:
        """Let go of both files."""
        self._file.close()
        self._log.close()


def write_events(source: Source, plan: Plan | None, file: Path, known: KnownSecrets) -> None:
    """Write the lines of a run that is over once more, without the values that are known."""
    if not known:
        return
    with closing(SqliteLog.open(source.log, read_only=True)) as reading:
        partial = file.with_name(file.name + ".partial")
        with partial.open("wb") as out:
            _write_lines(out, reading, source, plan, known, None)
        partial.replace(file)


def _write_lines(
    out: IO[bytes],
    log: SqliteLog,
    source: Source,
    plan: Plan | None,
    known: KnownSecrets,
    until: int | None,
) -> None:
    reading = Reading(source, plan)
    for seq, record in source.records(log, 0):
        if until is not None and seq > until:
            return
        told = reading.take(seq, record)
        if told is not None:
            out.write(_lines(seq, told, known))


def _lines(seq: int, record: Record, known: KnownSecrets) -> bytes:
    at = iso(record.at_ms)
    made: list[bytes] = []
    for event in record.events:
        fields = known.cover(_plain(event))
        kind = fields.pop("t")
        made.append(msgspec.json.encode({"seq": seq, "at": at, "type": kind, **fields}) + b"\n")
    return b"".join(made)


def _plain(value: object) -> Any:
    """An event as JSON can carry it: payloads are shown as the values they hold."""
    if isinstance(value, Payload):
        if value.blob is not None:
            return {"blob": value.blob}
        return None if value.inline is None else msgspec.msgpack.decode(value.inline)
    if isinstance(value, msgspec.Struct):
        config = value.__struct_config__
        names = zip(value.__struct_fields__, value.__struct_encode_fields__, strict=True)
        made = {encoded: _plain(getattr(value, field)) for field, encoded in names}
        return ({config.tag_field: config.tag} if config.tag_field else {}) | made
    if isinstance(value, tuple | list):
        return [_plain(each) for each in cast("list[object]", value)]
    return value
