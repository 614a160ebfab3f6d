"""The working tree as it stands on the disk, as a git tree in the private repository.

Every file is hashed the way git does, or known by its times and size from the last time; only those
that differ from the commit that is checked out are written. Untracked files count, ignored ones do
not, as the patterns in the folder say.
"""

import asyncio
import contextlib
import errno
import hashlib
import os
import stat
import time
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import asynccontextmanager
from itertools import chain
from pathlib import Path

import msgspec

from visionflow.agents.tools.text import write_whole
from visionflow.agents.workspace.git import arguments, ended, environment, failed, quoted
from visionflow.agents.workspace.scan import Found, Notes, Walk, folders_of
from visionflow.compose.gate.state import State
from visionflow.domain.errors import WorkspaceError

FILE_BYTES_MAX = 128 << 20
_IMPORT_S_MAX = 300
_SETTLED_NS = 2_000_000_000
"""A file that changed later than this before it was hashed may change again within the grain of its
times."""
HASHED = "hashed.msgpack"
_REF = "refs/visionflow/head"
_OPENING = (
    f"reset {_REF}\n\ncommit {_REF}\n"
    "committer VisionFlow <visionflow@localhost> 0 +0000\ndata 0\n\n"
).encode("ascii")
_LINK, _PLAIN, _PROGRAM, _MODULE = b"120000", b"100644", b"100755", b"160000"


class Entry(msgspec.Struct, frozen=True):
    """What git keeps of a file."""

    mode: bytes
    id: bytes


class _Seen(msgspec.Struct, frozen=True, array_like=True):
    """A file at the time it was hashed."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    id: bytes


class Disk(msgspec.Struct, frozen=True):
    """The tree of the files on the disk."""

    tree: str
    dirty: bool
    """Whether it differs from the commit."""
    notes: tuple[str, ...]


async def read_disk(
    state: State,
    source: Path,
    below: bytes,
    root: str | None,
    exclude: Iterable[Path],
    memory: str = HASHED,
) -> Disk:
    """The tree of `source`, the folder `below` of the working tree.

    `root`: the tree id that the checked-out commit has there; `None` where it has none. `memory`:
    the file that remembers times and sizes, which are those of one folder.

    Raises:
        WorkspaceError: git failed.
    """
    tracked = await _tracked(state, root)
    modules = [path for path, entry in tracked.items() if entry.mode == _MODULE]
    notes = Notes()
    files = await _walked(state, source, below, tracked, modules, exclude, notes)
    work = _Work(os.fsencode(source), state, tracked, notes, memory)
    missing = sorted(set(tracked) - {each.path for each in files} - set(modules))
    tree = await work.tree(root, files, missing)
    return Disk(tree, tree != root, notes.lines())


async def _tracked(state: State, root: str | None) -> dict[bytes, Entry]:
    if root is None:
        return {}
    listed = await state.git("ls-tree", "-r", "-z", "--full-tree", root)
    found: dict[bytes, Entry] = {}
    for line in listed.split(b"\0"):
        about, _, path = line.partition(b"\t")
        if path:
            mode, _, name = about.split(b" ")
            found[path] = Entry(mode, name)
    return found


async def _walked(
    state: State,
    source: Path,
    below: bytes,
    tracked: dict[bytes, Entry],
    modules: list[bytes],
    exclude: Iterable[Path],
    notes: Notes,
) -> list[Found]:
    known = frozenset(tracked) | folders_of(tracked)
    prefix = b"./" + below + b"/" if below else b"./"  # a leading colon would be a pattern
    extra = {"GIT_WORK_TREE": str(state.foreign.top)}
    root = os.fsencode(source)

    async def ignored(paths: list[bytes]) -> set[bytes]:
        asked = [path for path in paths if path not in known]
        if not asked:
            return set()
        said = await state.git(
            "check-ignore", "-z", "--stdin", "--no-index",
            given=b"".join(prefix + path + b"\0" for path in asked),
            extra=extra, cwd=state.foreign.top, statuses=(0, 1),
        )  # fmt: skip
        return {each.removeprefix(prefix) for each in said.split(b"\0") if each} | {
            path for path in asked if os.path.lexists(os.path.join(root, path, b".git"))
        }

    walk = Walk(
        root,
        notes,
        exclude=[*modules, *_within(source, exclude)],
        tracked=frozenset(tracked),
        ignored=ignored,
    )
    return await walk.files()


def _within(source: Path, exclude: Iterable[Path]) -> list[bytes]:
    real = [Path(os.path.realpath(each)) for each in exclude]
    return [os.fsencode(each.relative_to(source)) for each in real if source in each.parents]


class _Work:
    """One reading of all files."""

    def __init__(
        self,
        root: bytes,
        state: State,
        tracked: dict[bytes, Entry],
        notes: Notes,
        memory: str,
    ) -> None:
        self._root = root
        self._state = state
        self._tracked = tracked
        self._notes = notes
        self._place = state.folder / memory
        self._before = self._hashed()
        self._now: dict[bytes, _Seen] = {}

    async def tree(self, root: str | None, files: list[Found], missing: list[bytes]) -> str:
        """The tree id of what is there."""
        changes = self._changes(files, missing)
        first = next(changes, None)
        tree = root
        if first is not None or root is None:
            async with _importing(self._state) as feed:
                begin = f'M 040000 {root} ""\n' if root else "deleteall\n"
                for words in chain((begin.encode("ascii"), first or b"\n"), changes):
                    feed.write(words)
                    await feed.drain()
            found = await self._state.git("rev-parse", "--verify", f"{_REF}^{{tree}}")
            tree = found.decode("ascii").strip()
        if self._now != self._before:
            kept = msgspec.msgpack.encode((self._root, self._now))
            write_whole(self._place, kept)
        assert tree is not None
        return tree

    def _changes(self, files: list[Found], missing: list[bytes]) -> Iterator[bytes]:
        """Words of fast-import: what went, then what is new or other."""
        for path in missing:
            yield b"D " + quoted(path) + b"\n"
        for each in files:
            try:
                found = self._link(each.path) if each.link else self._file(each.path)
            except OSError as error:
                self._notes.add(each.path, f"not read ({error.strerror})")
                continue
            if found is not None:
                mode, content = found
                head = b"M " + mode + b" inline " + quoted(each.path)
                yield b"%s\ndata %d\n%s\n" % (head, len(content), content)

    def _link(self, path: bytes) -> tuple[bytes, bytes] | None:
        """Mode and content of a link that is not as it was."""
        target = os.readlink(os.path.join(self._root, path))
        same = Entry(_LINK, self._id(target)) == self._tracked.get(path)
        return None if same else (_LINK, target)

    def _file(self, path: bytes) -> tuple[bytes, bytes] | None:
        """Mode and content of a file that is not as it was."""
        place = os.path.join(self._root, path)
        about = os.lstat(place)
        mode = _PROGRAM if about.st_mode & stat.S_IXUSR else _PLAIN
        known, seen = self._tracked.get(path), self._before.get(path)
        if known is not None and seen is not None and known == Entry(mode, seen.id):
            if seen == _seen(about, seen.id):
                self._now[path] = seen
                return None
        if about.st_size > FILE_BYTES_MAX:
            self._notes.add(path, f"larger than {FILE_BYTES_MAX >> 20} MiB, taken as unchanged")
            return None
        content, about = _content(place)
        name = self._id(content)
        if known is not None and name != known.id and b"\r\n" in content:
            # Git may have been told to write lines so on the disk.
            plain = self._id(content.replace(b"\r\n", b"\n"))
            name = known.id if plain == known.id else name
        if max(about.st_mtime_ns, about.st_ctime_ns) < time.time_ns() - _SETTLED_NS:
            self._now[path] = _seen(about, name)
        return None if known == Entry(mode, name) else (mode, content)

    def _id(self, content: bytes) -> bytes:
        made = hashlib.sha1 if self._state.form == "sha1" else hashlib.sha256
        return made(b"blob %d\0" % len(content) + content).hexdigest().encode("ascii")

    def _hashed(self) -> dict[bytes, _Seen]:
        """What was hashed before; nothing where that cannot be read or is of another folder."""
        try:
            kept = self._place.read_bytes()
            root, found = msgspec.msgpack.decode(kept, type=tuple[bytes, dict[bytes, _Seen]])
        except (OSError, msgspec.DecodeError):
            return {}
        return found if root == self._root else {}


def _seen(about: os.stat_result, name: bytes) -> _Seen:
    return _Seen(about.st_size, about.st_mtime_ns, about.st_ctime_ns, about.st_ino, name)


def _content(place: bytes) -> tuple[bytes, os.stat_result]:
    """A plain file's content, and what it was like when it was read."""
    descriptor = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode):
            raise OSError(errno.EINVAL, "no plain file any more")
        return file.read(FILE_BYTES_MAX), about


@asynccontextmanager
async def _importing(state: State) -> AsyncGenerator[asyncio.StreamWriter, None]:
    """A commit being written: the words of its changes go to what this yields."""
    process = await asyncio.create_subprocess_exec(
        *arguments("fast-import", "--quiet", "--done", "--force"),
        env=environment(state.repository, state.objects),
        cwd=state.repository,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    feed, complaints = process.stdin, process.stderr
    assert feed is not None
    assert complaints is not None
    complaint = asyncio.ensure_future(complaints.read())
    try:
        async with asyncio.timeout(_IMPORT_S_MAX):
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                feed.write(_OPENING)
                yield feed
                feed.write(b"done\n")
                await feed.drain()
            feed.close()
            said = await complaint
            if await process.wait() != 0:
                raise failed("fast-import", process.returncode, said)
    except TimeoutError:
        raise WorkspaceError("Writing the changed files took too long and was ended.") from None
    finally:
        complaint.cancel()
        await ended(process)
