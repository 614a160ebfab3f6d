"""What every `Blobs` must do. Run `BLOB_CASES` over a `BlobSubject` of yours."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256

from visionflow.domain.errors import BlobMissing
from visionflow.ports.blobs import Blobs
from visionflow.testing.conformance.case import (
    Case,
    DoesNotApply,
    Nonconformance,
    require,
    within,
)


@dataclass(frozen=True)
class BlobSubject:
    """An empty store for blobs, and what can be done to it from outside."""

    open: Callable[[], Blobs]
    """Open it; a second opening finds what the first one stored."""
    threads: bool = True
    """Whether several threads may use it at once."""
    tamper: Callable[[str, bytes], None] | None = None
    """Replace the stored content of this name."""


async def content_comes_back_under_its_hash(subject: BlobSubject) -> None:
    """The name is the SHA-256 in hex, for no bytes and for many."""
    blobs = subject.open()
    for content in (b"", b"x", bytes(range(256)) * 20_000):
        name = blobs.put(content)
        require(name == sha256(content).hexdigest(), f"a blob was named {name!r}")
        require(blobs.has(name), "a stored blob is not there")
        require(blobs.get(name) == content, "a blob came back with other content")


async def an_unknown_name_is_missing(subject: BlobSubject) -> None:
    """Whatever the name looks like, also one that leads out of the store."""
    blobs = subject.open()
    inside = blobs.put(b"content")
    names = ["0" * 64, inside[:-1], inside.upper(), "", "../" + inside, "/etc/passwd", "tmp", "\0"]
    for name in names:
        require(not blobs.has(name), f"has({name!r}) is true")
        _is_missing(blobs, name)


async def storing_twice_is_harmless(subject: BlobSubject) -> None:
    """Same name, same content, in one life or in two."""
    blobs = subject.open()
    name = blobs.put(b"content")
    require(blobs.put(b"content") == name, "the second put gave another name")
    again = subject.open()
    require(again.get(name) == b"content", "a blob did not outlive its store")
    require(again.put(b"content") == name, "a put in a second life gave another name")
    require(again.get(name) == b"content", "storing twice changed the content")


async def changed_content_is_refused_and_mended(subject: BlobSubject) -> None:
    """A blob whose bytes changed is missing, until the same content is stored anew."""
    if subject.tamper is None:
        raise DoesNotApply
    name = subject.open().put(b"content")
    for damage in (b"Content", b"", b"content and more"):
        subject.tamper(name, damage)
        blobs = subject.open()
        _is_missing(blobs, name)
        require(blobs.put(b"content") == name, "a put gave another name")
        require(blobs.get(name) == b"content", "storing it again did not mend a damaged blob")


async def threads_may_store_at_once(subject: BlobSubject) -> None:
    """The same and different contents from four threads: each is whole."""
    if not subject.threads:
        raise DoesNotApply
    blobs = subject.open()
    contents = [b"%d" % (number % 25) * 1_000 for number in range(100)]
    storing = (asyncio.to_thread(blobs.put, content) for content in contents)
    names = await within(asyncio.gather(*storing), "puts from threads")
    for name, content in zip(names, contents, strict=True):
        require(blobs.get(name) == content, "a blob stored from a thread is not whole")


BLOB_CASES: tuple[Case[BlobSubject], ...] = (
    content_comes_back_under_its_hash,
    an_unknown_name_is_missing,
    storing_twice_is_harmless,
    changed_content_is_refused_and_mended,
    threads_may_store_at_once,
)
"""The whole suite."""


def _is_missing(blobs: Blobs, name: str) -> None:
    try:
        content = blobs.get(name)
    except BlobMissing:
        return
    raise Nonconformance(f"get({name!r}) gave {content[:40]!r}")
