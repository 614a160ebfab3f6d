"""How the cases of `log` reach their subject: opening it, appending to it, comparing."""

import asyncio
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass

from visionflow.domain.errors import LogConflict, LogCorrupt
from visionflow.ports.log import Entry, Head, Log
from visionflow.testing.conformance.case import DoesNotApply, Nonconformance, require, within


@dataclass(frozen=True)
class LogSubject:
    """An empty store for a log, and what can be done to it from outside."""

    open: Callable[[], Log]
    """Open a log on the store; again after `close`, or beside another where `shared`."""
    durable: bool = True
    """Whether a log opened later finds the records."""
    shared: bool = True
    """Whether two logs may be open on it at once."""
    tamper: Callable[[str, int, bytes], None] | None = None
    """Change the body of a stored record in place, while no log is open."""
    drop: Callable[[str, int], None] | None = None
    """Remove a stored record, while no log is open."""


@contextmanager
def opened(subject: LogSubject) -> Generator[Log, None, None]:
    """A log on the subject's store, closed in the end."""
    log = subject.open()
    try:
        yield log
    finally:
        log.close()


@contextmanager
def beside(subject: LogSubject) -> Generator[Log, None, None]:
    """A second log at the same time, where the subject can do that."""
    if not subject.shared:
        raise DoesNotApply
    with opened(subject) as log:
        yield log


async def append_all(log: Log, stream: str, bodies: list[bytes], start: int = 0) -> list[Head]:
    """Append all at once and wait for them; their heads."""
    futures = [log.append(stream, start + place, body) for place, body in enumerate(bodies)]
    return await within(asyncio.gather(*futures), f"{len(bodies)} appends to {stream}")


async def conflicts(log: Log, stream: str, expect: int) -> None:
    """Require that an append with this `expect` is refused."""
    await is_conflict(log.append(stream, expect, b"never"))


async def is_conflict(future: "asyncio.Future[Head]") -> None:
    """Require that this append is refused."""
    try:
        head = await within(future, "an append at the wrong place")
    except LogConflict:
        return
    raise Nonconformance(f"an append at the wrong place was taken as record {head.seq}")


async def collect(following: AsyncIterator[Entry], count: int) -> list[Entry]:
    """So many entries of a follower."""
    entries: list[Entry] = []
    async for entry in following:
        entries.append(entry)
        if len(entries) == count:
            break
    return entries


def same(entries: list[Entry], bodies: list[bytes], what: str, after: int = 0) -> None:
    """Require exactly these bodies, numbered on from `after`."""
    seqs = [entry.seq for entry in entries]
    require(len(seqs) == len(bodies), f"{what}: {len(seqs)} records instead of {len(bodies)}")
    expected = list(range(after + 1, after + 1 + len(seqs)))
    require(seqs == expected, f"{what}: the numbers have a gap or are out of order")
    for entry, want in zip(entries, bodies, strict=True):
        if entry.body != want:
            found = f"{entry.body[:40]!r} instead of {want[:40]!r}"
            raise Nonconformance(f"{what}: record {entry.seq} is {found}")


def is_damaged(subject: LogSubject, seq: int) -> None:
    """Require that reading stops at this record and says so."""
    with opened(subject) as log:
        good: list[int] = []
        try:
            good.extend(entry.seq for entry in log.read("a"))
        except LogCorrupt as error:
            require(str(seq) in str(error), f"the error does not name record {seq}: {error}")
            return
        raise Nonconformance(f"record {seq} is damaged and was read without a word")


def calls(log: Log) -> dict[str, Callable[[], object]]:
    """Each call of a log that a closed one must refuse."""
    return {
        "append": lambda: log.append("a", 0, b""),
        "head": lambda: log.head("a"),
        "read": lambda: list(log.read("a")),
        "follow": lambda: log.follow("a"),
        "streams": log.streams,
    }
