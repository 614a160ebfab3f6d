"""A checking tool over many files: what it found in each, what comments hide, what was not read.

`portions` has the files read; here the findings of each file get fingerprint and snippet, are
kept as one value, and become the `ToolRun`. What a tool's output means is its own module's job;
what the project's configuration would hide is `suppressed`'s.
"""

import os
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from visionflow.agents.findings import (
    Finding,
    Suppressed,
    ToolRun,
    order_of,
    portable_path,
    with_fingerprints,
)
from visionflow.agents.tools.cache import ResultCache
from visionflow.agents.tools.hiding import shown_line
from visionflow.agents.tools.portions import (
    WALL_MS,
    Parsed,
    Reader,
    Reading,
    ScanRequest,
    read_files,
    relative_path,
)
from visionflow.agents.tools.text import read_plain
from visionflow.agents.tools.tree import FILE_BYTES_MAX
from visionflow.ports.sandbox import Sandbox

FORM = "1"
"""Of what is kept of a file; another one is read anew."""


class FileFindings(msgspec.Struct, frozen=True, array_like=True):
    """What one tool found in one file."""

    findings: tuple[Finding, ...] = ()
    suppressed: tuple[Suppressed, ...] = ()
    """By comments."""


class Found(NamedTuple):
    """One finding of a tool's output, before it has its fingerprint."""

    finding: Finding
    comment: str | None = None
    """The comment that hides it."""


_DECODER = msgspec.msgpack.Decoder(FileFindings)
_NOTHING = FileFindings()


def packed(found: Iterable[Found], worktree: str) -> dict[str, bytes]:
    """The values of files from all that a tool found in them; files without findings have none."""
    by_file: dict[str, list[Found]] = {}
    for each in found:
        by_file.setdefault(each.finding.path, []).append(each)
    values: dict[str, bytes] = {}
    for path, some in by_file.items():
        comments = {id(each.finding): each.comment for each in some}
        ordered = sorted((each.finding for each in some), key=order_of)
        lines = Lines(worktree)
        texts = {(path, one.line): lines.text(path, one.line) for one in ordered}
        done = with_fingerprints(ordered, texts)
        kept: list[Finding] = []
        hidden: list[Suppressed] = []
        for before, after in zip(ordered, done, strict=True):
            text = texts[path, after.line]
            whole = after if after.snippet else _with_snippet(after, shown_line(text))
            comment = comments[id(before)]
            if comment is None:
                kept.append(whole)
            else:
                hidden.append(Suppressed(whole, "comment", comment))
        values[path] = msgspec.msgpack.encode(FileFindings(tuple(kept), tuple(hidden)))
    return values


def unpacked(value: bytes) -> FileFindings:
    """What `packed` made, again."""
    return _DECODER.decode(value) if value else _NOTHING


async def scan(
    sandbox: Sandbox, reader: Reader, request: ScanRequest, cache: ResultCache | None = None
) -> ToolRun:
    """Run a tool over all files. Never raises for what the tool or the files do."""
    reading = await read_files(sandbox, reader, request, cache or ResultCache(None))
    every = [unpacked(value) for value in reading.values.values() if value]
    return tool_run(
        reader,
        request,
        reading,
        [finding for one in every for finding in one.findings],
        [hidden for one in every for hidden in one.suppressed],
    )


def tool_run(
    reader: Reader,
    request: ScanRequest,
    reading: Reading,
    findings: Iterable[Finding],
    suppressed: Iterable[Suppressed] = (),
) -> ToolRun:
    """The run of a tool whose findings are known."""
    named = {(portable_path(path), why) for path, why in (*reading.not_read, *request.skipped)}
    return ToolRun(
        reader.name, reader.version, tuple(sorted(findings, key=order_of)), len(reading.values),
        tuple(sorted(named)), reading.ended, reading.reason, reading.enforced,
        tuple(sorted(suppressed, key=order_of_suppressed)), reading.cached,
    )  # fmt: skip


def order_of_suppressed(hidden: Suppressed) -> tuple[object, ...]:
    """By place, then rule, then what hides it."""
    return (*order_of(hidden.finding), hidden.by, hidden.where)


class Lines:
    """The lines of a worktree's files, read when they are first asked for; one file is held."""

    def __init__(self, worktree: str) -> None:
        self._worktree = worktree
        self._path: str | None = None
        self._lines: Sequence[bytes] = ()

    def text(self, path: str, line: int) -> str:
        """Line `line` of a file; empty where there is none."""
        lines = self._of(path)
        if not 0 < line <= len(lines):
            return ""
        return lines[line - 1].decode("utf-8", "replace").rstrip("\r")

    def hold(self, path: str, word: bytes) -> bool:
        """Whether a file has the word, which is in lower case, somewhere in a line."""
        return any(word in line.lower() for line in self._of(path))

    def _of(self, path: str) -> Sequence[bytes]:
        if path != self._path:
            content = read_plain(os.path.join(self._worktree, path), FILE_BYTES_MAX) or b""
            self._path, self._lines = path, content.split(b"\n")
        return self._lines


def _with_snippet(finding: Finding, snippet: str) -> Finding:
    return msgspec.structs.replace(finding, snippet=snippet)


__all__ = [
    "WALL_MS", "FileFindings", "Found", "Lines", "Parsed", "Reader", "ScanRequest", "packed",
    "relative_path", "scan", "tool_run", "unpacked",
]  # fmt: skip
