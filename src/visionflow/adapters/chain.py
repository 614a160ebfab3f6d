"""The hash chain of a stream: what a record's hash covers, and the check while reading.

A record's hash is SHA-256 over the hash before it (32 bytes), its number (8 bytes, big-endian)
and its body. Whoever changes, drops, doubles or reorders a record breaks the chain at that
place. A tail that was cut off does not show here: compare the head with one noted elsewhere.
"""

from hashlib import sha256

from visionflow.domain.errors import LogCorrupt
from visionflow.ports.log import Entry, Head


def chained(before: bytes, seq: int, body: bytes) -> bytes:
    """The 32-byte hash of record `seq` with this body after a record with hash `before`."""
    return sha256(before + seq.to_bytes(8, "big") + body).digest()


def verify(stream: str, after: Head, entries: list[Entry]) -> tuple[Head, LogCorrupt | None]:
    """The last entry up to which all follow on from `after`, and the fault of the next one."""
    last, before = after
    for seq, body, digest in entries:
        if seq != last + 1:
            fault = f"it is missing, the next one stored is {seq}"
            return Head(last, before), broken(stream, last + 1, fault)
        found = sha256(before + seq.to_bytes(8, "big") + body).digest()
        if found != digest:
            fault = "its hash does not match its content and the record before"
            return Head(last, before), broken(stream, seq, fault)
        last, before = seq, digest
    return Head(last, before), None


def broken(stream: str, seq: int, why: str) -> LogCorrupt:
    """The error that names this record as the first bad one."""
    return LogCorrupt(
        f"The log is damaged at record {seq} of stream {stream!r}: {why}.",
        hint="Restore the file from a copy, or read the records before this one only.",
    )
