"""Have many files read by a confined program, so that one bad file costs only itself.

Files are given in portions, because an argument list has a limit. A portion that the program does
not survive (a parser's crash, the memory ceiling) is halved until the file at fault stands alone;
that one is named as not read and the others are read. What was read of a file is kept by its
content, so that a file that did not change is not read again, and a program with nothing to read
is not started. What the values mean is the caller's job.
"""

import asyncio
import hashlib
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import msgspec

from visionflow.agents.findings import Ended
from visionflow.agents.tools.cache import ResultCache, key_of
from visionflow.agents.tools.text import one_line, read_plain
from visionflow.agents.tools.tree import FILE_BYTES_MAX
from visionflow.domain.errors import CommandNotStarted, ConfinementUnavailable
from visionflow.ports.sandbox import Command, Completed, Confinement, Sandbox

PORTION_FILES = 500
SHARE_FILES = 40
PORTION_BYTES = 65_536
OUTPUT_BYTES_MAX = 256 * 1024 * 1024
MEMORY_BYTES = 1024 * 1024 * 1024
WALL_MS = 300_000
_VALUE, _NOT_READ = b"v", b"n"

Parsed = tuple[dict[str, bytes], tuple[tuple[str, str], ...]]


class Reader(msgspec.Struct, frozen=True):
    """How to run one program and how to read what it wrote."""

    name: str
    version: str | None
    argv: Callable[[str, tuple[str, ...]], tuple[str, ...]]
    """(output file, files) to the command line; files begin with `./`."""
    parse: Callable[[bytes, str], Parsed]
    """(output, real path of the worktree) to a value for each file, and (file, why) of those that
    it could not read. Files are relative to the worktree; one that it says nothing of has the
    value `b""`. Raises ValueError on output that is not the program's."""
    read: tuple[str, ...] = ()
    """What it reads beyond the worktree and our own installation."""
    config: str = ""
    """Everything else that the values depend on: settings, and the version of their form."""


class ScanRequest(msgspec.Struct, frozen=True):
    """What to scan and within which bounds. Paths are absolute."""

    worktree: str
    files: tuple[str, ...]
    """Relative to `worktree`."""
    skipped: tuple[tuple[str, str], ...]
    """Files that nobody reads, and why; for the caller to name."""
    scratch: str
    """A folder of our own, outside the worktree."""
    wall_ms: int = WALL_MS
    """For all portions together."""
    memory_bytes: int = MEMORY_BYTES
    trusted: bool = False
    """Run also where nothing confines the program."""
    jobs: int = 2
    digests: dict[str, str] = {}
    """`digest_of` of files whose content the caller knows already."""


class Reading(msgspec.Struct, frozen=True):
    """What was read. Every file of the request is in `values` or in `not_read`, but where nothing
    ran."""

    values: dict[str, bytes]
    not_read: tuple[tuple[str, str], ...]
    ended: Ended
    reason: str | None
    enforced: tuple[str, ...]
    cached: int
    """How many of the values were known before."""


def digest_of(content: bytes) -> str:
    """What stands for a file's content in keys of the cache."""
    return hashlib.sha256(content).hexdigest()


def digests_of(
    worktree: str, files: Iterable[str], known: Mapping[str, str] | None = None
) -> dict[str, str]:
    """`digest_of` each of the files that can be read; for several readers of the same files."""
    found: dict[str, str] = dict(known or {})
    for file in files:
        if file not in found:
            content = read_plain(os.path.join(worktree, file), FILE_BYTES_MAX + 1)
            if content is not None and len(content) <= FILE_BYTES_MAX:
                found[file] = digest_of(content)
    return found


async def read_files(
    sandbox: Sandbox, reader: Reader, request: ScanRequest, cache: ResultCache
) -> Reading:
    """Have all files read. Never raises for what the program or the files do."""
    keys = _keys(reader, request)
    known = cache.get_many(keys.values())
    work = _Work(sandbox, reader, request)
    cached = 0
    for file in request.files:
        held = known.get(keys.get(file, ""))
        if held is None:
            work.left.append(file)
        elif held[:1] == _VALUE:
            work.values[file] = held[1:]
            cached += 1
        else:
            work.not_read[file] = held[1:].decode("utf-8", "replace")
    ended, reason = await work.run()
    if ended == "not_run":
        return Reading({}, (), ended, reason, tuple(sorted(work.enforced)), 0)
    cache.put_many({keys[file]: value for file, value in work.to_keep.items() if file in keys})
    not_read = tuple(sorted(work.not_read.items()))
    if request.files and len(not_read) >= len(request.files):
        ended, reason = "failed", f"no file could be read: {min(why for _, why in not_read)}"
    return Reading(work.values, not_read, ended, reason, tuple(sorted(work.enforced)), cached)


def own_read_paths() -> tuple[str, ...]:
    """What a program installed beside us must be able to read."""
    return tuple(dict.fromkeys((sys.prefix, sys.base_prefix)))


def portions(files: Iterable[str], most: int | None = None) -> list[tuple[str, ...]]:
    """`files` in order, in portions of at most `most` that fit on a command line."""
    limit = min(PORTION_FILES, most or PORTION_FILES)
    done: list[tuple[str, ...]] = []
    current: list[str] = []
    size = 0
    for file in files:
        length = len(os.fsencode(file)) + 3
        if current and (len(current) == limit or size + length > PORTION_BYTES):
            done.append(tuple(current))
            current, size = [], 0
        current.append(file)
        size += length
    return [*done, tuple(current)] if current else done


def enforced_by(confinement: Confinement) -> tuple[str, ...]:
    """What held a command, as `what: mechanism` lines."""
    held = (
        ("filesystem", confinement.filesystem),
        ("network", confinement.network),
        ("processes", confinement.processes),
        ("memory", confinement.memory),
    )
    return tuple(f"{what}: {how}" for what, how in held if how is not None)


def relative_path(filename: str, worktree: str) -> str:
    """A file name in a program's output, relative to the worktree with `/`."""
    plain = filename
    while plain.startswith("./"):
        plain = plain[2:]
    if plain != filename and not any(odd in f"/{plain}/" for odd in ("//", "/./", "/../")):
        return plain
    return os.path.relpath(os.path.join(worktree, filename), worktree).replace(os.sep, "/")


def _keys(reader: Reader, request: ScanRequest) -> dict[str, str]:
    """Of each file that can be read, what its value is kept under."""
    if reader.version is None:
        return {}
    digests = digests_of(request.worktree, request.files, request.digests)
    return {
        file: key_of(reader.name, reader.version, reader.config, file, digests[file])
        for file in request.files
        if file in digests
    }


class _Work:
    """One program's pass over the files of one worktree that are not known."""

    def __init__(self, sandbox: Sandbox, reader: Reader, request: ScanRequest) -> None:
        self.sandbox = sandbox
        self.reader = reader
        self.request = request
        self.turn = asyncio.Semaphore(max(1, request.jobs))
        self.deadline = time.monotonic() + request.wall_ms / 1000
        self.outputs = 0
        self.left: list[str] = []
        self.values: dict[str, bytes] = {}
        self.not_read: dict[str, str] = {}
        self.to_keep: dict[str, bytes] = {}
        self.enforced: set[str] = set()

    async def run(self) -> tuple[Ended, str | None]:
        # Output of an attempt that was killed here must not be taken for this one's.
        shutil.rmtree(Path(self.request.scratch, self.reader.name), ignore_errors=True)
        # Every job gets a share, but a start for few files costs more than it saves.
        share = max(SHARE_FILES, -(-len(self.left) // max(1, self.request.jobs)))
        work = [asyncio.ensure_future(self._portion(each)) for each in portions(self.left, share)]
        try:
            await asyncio.gather(*work)
        except (ConfinementUnavailable, CommandNotStarted) as error:
            return "not_run", str(error)
        finally:
            for task in work:
                task.cancel()
            await asyncio.gather(*work, return_exceptions=True)
        return "completed", None

    async def _portion(self, files: tuple[str, ...]) -> None:
        async with self.turn:
            done = await self._once(files)
        if not isinstance(done, str):
            self._take(files, done)
        elif len(files) == 1 or time.monotonic() >= self.deadline:
            # Not kept: what ended it may have been this machine.
            self.not_read.update(dict.fromkeys(files, done))
        else:
            middle = len(files) // 2
            await self._portion(files[:middle])
            await self._portion(files[middle:])

    def _take(self, files: tuple[str, ...], parsed: Parsed) -> None:
        values, refused = parsed
        why_not = dict(refused)
        for file in files:
            why = why_not.get(file)
            if why is None:
                value = values.get(file, b"")
                self.values[file] = value
                self.to_keep[file] = _VALUE + value
            else:
                self.not_read[file] = why
                self.to_keep[file] = _NOT_READ + why.encode("utf-8", "replace")

    async def _once(self, files: tuple[str, ...]) -> Parsed | str:
        """What the program said, or one sentence on why it did not."""
        name = self.reader.name
        left_ms = int((self.deadline - time.monotonic()) * 1000)
        if left_ms <= 0:
            return f"{name} reached its {self.request.wall_ms // 1000} s"
        self.outputs += 1
        folder = Path(self.request.scratch, name, str(self.outputs))
        folder.mkdir(parents=True, exist_ok=True)
        output = str(folder / "output.json")
        try:
            done = await self.sandbox.run(self._command(output, files, str(folder), left_ms))
            content = read_plain(output, OUTPUT_BYTES_MAX, linked=False)
        finally:
            # Tools quote what they read, secrets too.
            shutil.rmtree(folder, ignore_errors=True)
        self.enforced.update(enforced_by(done.enforced))
        why = self._failure(done)
        if why is not None:
            return why
        try:
            return self.reader.parse(content or b"", os.path.realpath(self.request.worktree))
        except ValueError as error:
            return f"{name} wrote no result: {one_line(str(error), 120)}"

    def _command(self, output: str, files: tuple[str, ...], folder: str, left_ms: int) -> Command:
        env = {
            "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": folder, "TMPDIR": folder,
            "PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0", "RAYON_NUM_THREADS": "2",
        }  # fmt: skip
        return Command(
            argv=self.reader.argv(output, tuple(f"./{file}" for file in files)),
            cwd=self.request.worktree,
            env=env,
            read=(self.request.worktree, *own_read_paths(), *self.reader.read),
            write=(folder,),
            wall_ms=left_ms,
            memory_bytes=self.request.memory_bytes,
            trusted=self.request.trusted,
        )

    def _failure(self, done: Completed) -> str | None:
        if done.exit_code == 0:
            return None
        name = self.reader.name
        if done.ended_by is not None:
            return f"{name} was ended by {done.ended_by} while reading it"
        said = one_line(done.stderr, 120)
        return f"{name} ended with exit code {done.exit_code}: {said}"
