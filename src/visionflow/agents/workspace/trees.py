"""Writes files of a folder into the private repository as one commit, byte for byte.

It feeds `git fast-import`, which reads nothing but this stream: no attributes, no filters, no
index, and no working tree.
"""

import asyncio
import contextlib
import os
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from visionflow.domain.errors import WorkspaceError

from .git import COMMAND_SECONDS_MAX, ended, environment, failed, git, quoted
from .git import arguments as command_line
from .scan import Found, Notes

FILE_BYTES_MAX = 512 << 20
_CHUNK_BYTES = 1 << 20
_Write = Callable[[bytes], Awaitable[None]]
_MESSAGE = b"The workspace as it was found\n"
_NAME = b"VisionFlow <visionflow@localhost>"
_WHO = _NAME + b" 0 +0000"


class Written(msgspec.Struct, frozen=True):
    """A commit that holds the files, and how many there are."""

    commit: str
    files: int


class Change(msgspec.Struct, frozen=True):
    """What is other than in a commit: files as they stand now, and paths that are no more."""

    put: list[Found]
    gone: list[bytes]


async def write_commit(
    repository: Path, root: bytes, files: list[Found], parent: str | None, notes: Notes
) -> Written:
    """A commit of exactly these files; the same files and parent give the same id.

    Files that cannot be read, or change while they are, are noted.
    """
    ref = f"refs/visionflow/building/{os.getpid()}"
    lines = [f"reset {ref}".encode("ascii"), b"", *_opening(ref, _WHO, _MESSAGE)]
    lines += [b"from " + parent.encode("ascii")] if parent else []
    opening = b"\n".join([*lines, b"deleteall", b""])
    return await _written(repository, ref, _Stream(root, opening, notes), files)


async def write_change(
    repository: Path,
    root: bytes,
    ref: str,
    base: str,
    change: Change,
    message: bytes,
    when: bytes,
    notes: Notes,
) -> str:
    """Make `ref` name a commit on `base` with the change taken from the files below `root`.

    Author, committer and time (`when`, seconds since the epoch) are the same every time, so that
    the same change gives the same id. Killed in the middle, the ref is as it was.

    Raises:
        WorkspaceError: git failed, as on a full disk.
    """
    # Who makes a change holds the only right to its ref: a lock there is of a git that was killed.
    (repository / f"{ref}.lock").unlink(missing_ok=True)
    who = _NAME + b" " + when + b" +0000"
    lines = [*_opening(ref, who, message, author=True), b"from " + base.encode("ascii")]
    lines += [b"D " + quoted(path) for path in change.gone]
    stream = _Stream(root, b"\n".join([*lines, b""]), notes)
    return (await _written(repository, ref, stream, change.put)).commit


async def _written(repository: Path, ref: str, stream: "_Stream", files: list[Found]) -> Written:
    process = await asyncio.create_subprocess_exec(
        *command_line("fast-import", "--quiet", "--done", "--force"),
        env=environment(repository),
        cwd=repository,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(COMMAND_SECONDS_MAX):
            count = await _fed(process, stream, files)
    except TimeoutError:
        raise WorkspaceError("Writing the snapshot took too long and was ended.") from None
    finally:
        await ended(process)
    commit = (await git(repository, "rev-parse", "--verify", ref)).decode("ascii").strip()
    return Written(commit, count)


async def drop_building(repository: Path) -> None:
    """Forget the name under which this process builds."""
    await git(repository, "update-ref", "-d", f"refs/visionflow/building/{os.getpid()}")


async def _fed(process: asyncio.subprocess.Process, stream: "_Stream", files: list[Found]) -> int:
    feed, complaints = process.stdin, process.stderr
    assert feed is not None
    assert complaints is not None
    complaint = asyncio.ensure_future(complaints.read())
    try:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            feed.write(stream.opening)

            async def send(data: bytes) -> None:
                feed.write(data)
                await feed.drain()

            for each in files:
                await stream.put(each, send)
                await asyncio.sleep(0)  # a drain with room to spare does not let others run
            feed.write(b"done\n")
            await feed.drain()
        feed.close()
        said = await complaint
        if await process.wait() != 0:
            raise failed("fast-import", process.returncode, said)
    finally:
        complaint.cancel()
    return stream.count


def _opening(ref: str, who: bytes, message: bytes, author: bool = False) -> list[bytes]:
    lines = [b"commit " + ref.encode("ascii")]
    lines += [b"author " + who] if author else []
    return [*lines, b"committer " + who, b"data %d" % len(message), message]


class _Stream:
    """Makes the words of fast-import from files on disk."""

    def __init__(self, root: bytes, opening: bytes, notes: Notes) -> None:
        self._root = root
        self._notes = notes
        self.opening = opening
        self.count = 0

    async def put(self, found: Found, write: _Write) -> None:
        path = os.path.join(self._root, found.path)
        try:
            if found.link:
                target = os.readlink(path)
                await self._begin(b"120000", found.path, len(target), write)
                await write(target + b"\n")
                return
            place = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            self._notes.add(found.path, f"not read ({error.strerror})")
            return
        with open(place, "rb", buffering=0) as content:
            await self._put_content(found.path, content.read, os.fstat(place), write)

    async def _put_content(
        self,
        path: bytes,
        read: Callable[[int], bytes],
        about: os.stat_result,
        write: _Write,
    ) -> None:
        if not stat.S_ISREG(about.st_mode) or about.st_size > FILE_BYTES_MAX:
            self._notes.add(path, f"not a plain file of at most {FILE_BYTES_MAX >> 20} MiB")
            return
        try:
            part = read(min(about.st_size, _CHUNK_BYTES)) if about.st_size else b""
        except OSError as error:
            self._notes.add(path, f"not read ({error.strerror})")
            return
        mode = b"100755" if about.st_mode & stat.S_IXUSR else b"100644"
        await self._begin(mode, path, about.st_size, write)
        left = about.st_size
        while left and part:
            await write(part)
            left -= len(part)
            try:
                part = read(min(left, _CHUNK_BYTES)) if left else b""
            except OSError:
                part = b""
        if left:
            self._notes.add(path, "became shorter while it was read; filled up with zeros")
            await write(bytes(left))
        await write(b"\n")

    async def _begin(self, mode: bytes, path: bytes, size: int, write: _Write) -> None:
        self.count += 1
        await write(b"M " + mode + b" inline " + quoted(path) + b"\ndata %d\n" % size)
