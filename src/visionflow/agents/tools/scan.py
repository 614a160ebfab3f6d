"""Run a checking tool over many files, confined, so that one bad file costs only itself.

Files are given in portions, because an argument list has a limit. A portion that the tool does not
survive (a parser's crash, the memory ceiling) is halved until the file at fault stands alone; that
one is named as not read and the others are read. What a portion's output means is the tool's own
module's job.
"""

import asyncio
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from visionflow.agents.findings import Ended, Finding, ToolRun, portable_path, with_fingerprints
from visionflow.agents.tools.text import one_line, read_plain
from visionflow.agents.tools.tree import FILE_BYTES_MAX
from visionflow.domain.errors import CommandNotStarted, ConfinementUnavailable
from visionflow.ports.sandbox import Command, Completed, Confinement, Sandbox

PORTION_FILES = 500
PORTION_BYTES = 65_536
OUTPUT_BYTES_MAX = 256 * 1024 * 1024
MEMORY_BYTES = 1024 * 1024 * 1024
WALL_MS = 300_000


class Portion(msgspec.Struct, frozen=True):
    """What a tool said about some files."""

    findings: tuple[Finding, ...] = ()
    not_read: tuple[tuple[str, str], ...] = ()


class Tool(msgspec.Struct, frozen=True):
    """How to run one tool and how to read what it wrote."""

    name: str
    version: str | None
    argv: Callable[[str, tuple[str, ...]], tuple[str, ...]]
    """(output file, files) to the command line."""
    parse: Callable[[bytes, str], Portion]
    """(output, worktree) to findings; raises ValueError on output that is not the tool's."""
    read: tuple[str, ...] = ()
    """What it reads beyond the worktree and our own installation."""


class ScanRequest(msgspec.Struct, frozen=True):
    """What to scan and within which bounds. Paths are absolute."""

    worktree: str
    files: tuple[str, ...]
    """Relative to `worktree`."""
    skipped: tuple[tuple[str, str], ...]
    """Python that nobody reads, and why; becomes part of `not_read`."""
    scratch: str
    """A folder of our own, outside the worktree."""
    wall_ms: int = WALL_MS
    """For all portions together."""
    memory_bytes: int = MEMORY_BYTES
    trusted: bool = False
    """Run also where nothing confines the tool."""
    jobs: int = 2


async def scan(sandbox: Sandbox, tool: Tool, request: ScanRequest) -> ToolRun:
    """Run `tool` over all files. Never raises for what the tool or the files do."""
    work = _Scan(sandbox, tool, request)
    return await work.run()


def own_read_paths() -> tuple[str, ...]:
    """What a tool installed beside us must be able to read."""
    return tuple(dict.fromkeys((sys.prefix, sys.base_prefix)))


def portions(files: Iterable[str]) -> list[tuple[str, ...]]:
    """`files` in order, in portions that fit on a command line."""
    done: list[tuple[str, ...]] = []
    current: list[str] = []
    size = 0
    for file in files:
        length = len(os.fsencode(file)) + 3
        if current and (len(current) == PORTION_FILES or size + length > PORTION_BYTES):
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


class _Scan:
    """One tool's pass over one worktree."""

    def __init__(self, sandbox: Sandbox, tool: Tool, request: ScanRequest) -> None:
        self.sandbox = sandbox
        self.tool = tool
        self.request = request
        self.turn = asyncio.Semaphore(max(1, request.jobs))
        self.deadline = time.monotonic() + request.wall_ms / 1000
        self.outputs = 0
        self.portions: list[Portion] = []
        self.enforced: set[str] = set()

    async def run(self) -> ToolRun:
        request = self.request
        # Output of an attempt that was killed here must not be taken for this one's.
        shutil.rmtree(Path(request.scratch, self.tool.name), ignore_errors=True)
        ended: Ended = "completed"
        reason: str | None = None
        work = [asyncio.ensure_future(self._portion(files)) for files in portions(request.files)]
        try:
            await asyncio.gather(*work)
        except (ConfinementUnavailable, CommandNotStarted) as error:
            ended, reason = "not_run", str(error)
        finally:
            for task in work:
                task.cancel()
            await asyncio.gather(*work, return_exceptions=True)
        not_read = {pair for portion in self.portions for pair in portion.not_read}
        if ended == "completed" and request.files and len(not_read) >= len(request.files):
            ended, reason = "failed", f"no file could be read: {min(why for _, why in not_read)}"
        findings = () if ended == "not_run" else self._findings()
        read = 0 if ended == "not_run" else len(request.files) - len({p for p, _ in not_read})
        named = {(portable_path(path), why) for path, why in (*not_read, *request.skipped)}
        return ToolRun(
            self.tool.name, self.tool.version, findings, read, tuple(sorted(named)), ended,
            reason, tuple(sorted(self.enforced)),
        )  # fmt: skip

    async def _portion(self, files: tuple[str, ...]) -> None:
        async with self.turn:
            done = await self._once(files)
        if isinstance(done, Portion):
            self.portions.append(done)
        elif len(files) == 1 or time.monotonic() >= self.deadline:
            self.portions.append(Portion((), tuple((file, done) for file in files)))
        else:
            middle = len(files) // 2
            await self._portion(files[:middle])
            await self._portion(files[middle:])

    async def _once(self, files: tuple[str, ...]) -> Portion | str:
        """What the tool said, or one sentence on why it did not."""
        left_ms = int((self.deadline - time.monotonic()) * 1000)
        if left_ms <= 0:
            return f"{self.tool.name} reached its {self.request.wall_ms // 1000} s"
        self.outputs += 1
        folder = Path(self.request.scratch, self.tool.name, str(self.outputs))
        folder.mkdir(parents=True, exist_ok=True)
        output = str(folder / "output.json")
        done = await self.sandbox.run(self._command(output, files, str(folder), left_ms))
        self.enforced.update(enforced_by(done.enforced))
        why = self._failure(done)
        if why is not None:
            return why
        content = read_plain(output, OUTPUT_BYTES_MAX, linked=False)
        try:
            return self.tool.parse(content or b"", os.path.realpath(self.request.worktree))
        except ValueError as error:
            return f"{self.tool.name} wrote no result: {one_line(str(error), 120)}"

    def _command(self, output: str, files: tuple[str, ...], folder: str, left_ms: int) -> Command:
        env = {
            "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": folder, "TMPDIR": folder,
            "PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0", "RAYON_NUM_THREADS": "2",
        }  # fmt: skip
        return Command(
            argv=self.tool.argv(output, tuple(f"./{file}" for file in files)),
            cwd=self.request.worktree,
            env=env,
            read=(self.request.worktree, *own_read_paths(), *self.tool.read),
            write=(folder,),
            wall_ms=left_ms,
            memory_bytes=self.request.memory_bytes,
            trusted=self.request.trusted,
        )

    def _failure(self, done: Completed) -> str | None:
        if done.exit_code == 0:
            return None
        if done.ended_by is not None:
            return f"{self.tool.name} was ended by {done.ended_by} while reading it"
        said = one_line(done.stderr, 120)
        return f"{self.tool.name} ended with exit code {done.exit_code}: {said}"

    def _findings(self) -> tuple[Finding, ...]:
        found = [finding for portion in self.portions for finding in portion.findings]
        return with_fingerprints(found, _lines(self.request.worktree, found))


def relative_path(filename: str, worktree: str) -> str:
    """A file name in a tool's output, relative to the worktree with `/`."""
    return os.path.relpath(os.path.join(worktree, filename), worktree).replace(os.sep, "/")


def _lines(worktree: str, findings: Iterable[Finding]) -> dict[tuple[str, int], str]:
    """The source line of each finding."""
    wanted: dict[str, set[int]] = {}
    for finding in findings:
        wanted.setdefault(finding.path, set()).add(finding.line)
    texts: dict[tuple[str, int], str] = {}
    for path, numbers in wanted.items():
        content = read_plain(os.path.join(worktree, path), FILE_BYTES_MAX) or b""
        lines = content.split(b"\n")
        for number in numbers:
            if number <= len(lines):
                texts[path, number] = lines[number - 1].decode("utf-8", "replace")
    return texts
