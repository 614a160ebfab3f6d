"""Follows the log of a run: each committed record goes to the story and, as lines, to events.jsonl.

The file is made anew from the log whenever a run is taken up, so it is complete at its end
whatever was killed in between; and whenever a secret becomes known that it may hold already.
"""

from pathlib import Path
from typing import IO, Any, cast

import msgspec

from visionflow.adapters.sqlite.log import SqliteLog
from visionflow.agents.plans import Plan
from visionflow.agents.tools.veiling import KnownSecrets
from visionflow.compose.job.folder import iso
from visionflow.compose.job.secrecy import Secrecy
from visionflow.compose.job.story import Story
from visionflow.domain.events import Record, decode_record
from visionflow.domain.tasks import Payload


class Follower:
    """Reads what the log grew by, from the caller's thread."""

    def __init__(
        self, log: Path, stream: str, file: Path, plan: Plan, secrecy: Secrecy | None = None
    ) -> None:
        self.story = Story(plan)
        self._secrecy = secrecy
        self._known = KnownSecrets() if secrecy is None else secrecy.known
        self._path = file
        self._log = SqliteLog.open(log, read_only=True)
        self._stream = stream
        self._file: IO[bytes] = file.open("wb")

    def catch_up(self) -> bool:
        """Take all that is durable by now; whether there was anything."""
        if self._secrecy is not None and self._secrecy.known is not self._known:
            self._begin_again(self._secrecy.known)
        before = self.story.seq
        for entry in self._log.read(self._stream, before):
            record = decode_record(entry.body)
            self.story.take(entry.seq, record)
            self._file.write(_lines(entry.seq, record, self._known))
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
        for entry in self._log.read(self._stream, 0):
            if entry.seq <= self.story.seq:
                self._file.write(_lines(entry.seq, decode_record(entry.body), known))
        self._file.flush()
        partial.replace(self._path)

    def close(self) -> None:
        """Let go of both files."""
        self._file.close()
        self._log.close()


def write_events(log: Path, stream: str, file: Path, known: KnownSecrets) -> None:
    """Write the lines of a log that nobody adds to once more, without the values that are known."""
    if not known:
        return
    reading = SqliteLog.open(log, read_only=True)
    try:
        partial = file.with_name(file.name + ".partial")
        with partial.open("wb") as out:
            for entry in reading.read(stream, 0):
                out.write(_lines(entry.seq, decode_record(entry.body), known))
        partial.replace(file)
    finally:
        reading.close()


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
