"""Opens an image of a disk after a power cut, and says what is wrong with it."""

from pathlib import Path

import apsw

from visionflow.adapters.files import FileBlobs
from visionflow.adapters.sqlite.log import SqliteLog
from visionflow.domain import fleet
from visionflow.domain.errors import BlobMissing, VisionFlowError
from visionflow.ports.blobs import Blobs

LOG = "log.db"
BLOBS = "blobs"
BLOB_MARK = b"see blob "
"""A body that begins so ends with the name of a blob."""


def write_image(place: Path, image: dict[str, bytes | None]) -> None:
    """Lay out the files of an image in a new folder."""
    place.mkdir()
    for path, content in image.items():
        target = place / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            target.mkdir(exist_ok=True)
        else:
            target.write_bytes(content)


def check_image(place: Path, submitted: dict[str, list[bytes]]) -> tuple[dict[str, int], list[str]]:
    """How many records each stream holds, and what must not be."""
    if not (place / LOG).exists():
        return {}, []
    found: dict[str, int] = {}
    wrong: list[str] = []
    try:
        log = SqliteLog.open(place / LOG, create=False)
    except VisionFlowError as error:
        return found, [f"the log does not open: {error}"]
    try:
        blobs = FileBlobs(place / BLOBS)
        for stream in log.streams():
            bodies = [entry.body for entry in log.read(stream)]
            found[stream] = len(bodies)
            if bodies != submitted.get(stream, [])[: len(bodies)]:
                wrong.append(f"stream {stream} holds what was never given to it")
            wrong += _missing_blobs(blobs, stream, bodies)
    except VisionFlowError as error:
        wrong.append(str(error))
    finally:
        log.close()
    return found, wrong + _unsound(place)


def _missing_blobs(blobs: Blobs, stream: str, bodies: list[bytes]) -> list[str]:
    wrong: list[str] = []
    for seq, body in enumerate(bodies, 1):
        for name in _named(stream, body):
            try:
                blobs.get(name)
            except BlobMissing as error:
                wrong.append(f"record {seq} of stream {stream} names a blob: {error}")
    return wrong


def _named(stream: str, body: bytes) -> list[str]:
    """Blobs that a record names."""
    if stream == fleet.STREAM:
        events = fleet.decode_fleet_record(body).events
        stored = [event.value for event in events if isinstance(event, fleet.MemoryStored)]
        return [value.blob for value in stored if value.blob is not None]
    return [body.removeprefix(BLOB_MARK).decode()] if body.startswith(BLOB_MARK) else []


def _unsound(place: Path) -> list[str]:
    """What SQLite itself finds wrong with its file."""
    connection = apsw.Connection(str(place / LOG))
    try:
        verdict: object = connection.pragma("quick_check")
    except apsw.Error as error:
        verdict = error
    finally:
        connection.close()
    return [] if verdict == "ok" else [f"SQLite's own check says: {verdict}"]
