"""What differs between two states of a project: findings by fingerprint, lines by a git diff.

Pure. Running the tools and git is done elsewhere; what a difference means is the gate's and the
coder's.
"""

import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec

from visionflow.agents.findings import Finding, ToolRun, order_of

DIFF_OPTIONS = (
    "-r", "-p", "-U0", "-M", "--no-rename-empty", "--full-index", "--no-color",
    "--no-ext-diff", "--no-textconv", "--no-prefix", "--submodule=short",
    "--diff-algorithm=histogram",
)  # fmt: skip
"""Of `git diff-tree`, for what `diff_of` reads. Names must be quoted, so without `-z`."""
_HEADER = b"diff --git "
_MODES = (b"index ", b"new file mode ", b"deleted file mode ", b"old mode ", b"new mode ")
_NAMED = re.compile(rb"(?:---|\+\+\+|(?:rename|copy) (?:from|to)) (.*?)\t?\Z", re.DOTALL)
_HUNK = re.compile(rb"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")
_ESCAPES = {b"a": 7, b"b": 8, b"t": 9, b"n": 10, b"v": 11, b"f": 12, b"r": 13, b'"': 34, b"\\": 92}
_ESCAPE = re.compile(rb'\\([abtnvfr"\\]|[0-7]{3})')


class Delta(msgspec.Struct, frozen=True):
    """Findings of one state that the other has not, each sorted by place."""

    new: tuple[Finding, ...]
    gone: tuple[Finding, ...]


def findings_delta(before: Sequence[ToolRun], after: Sequence[ToolRun]) -> Delta:
    """What `after` has and `before` has not, and the other way round, tool by tool.

    A finding is the same where its fingerprint is; equal ones count. Suppressed findings are no
    findings here: one whose suppression went away is new.
    """
    return Delta(_beyond(after, before), _beyond(before, after))


def _beyond(these: Sequence[ToolRun], those: Sequence[ToolRun]) -> tuple[Finding, ...]:
    known = Counter((each.tool, each.fingerprint) for run in those for each in run.findings)
    left: list[Finding] = []
    for finding in sorted((each for run in these for each in run.findings), key=order_of):
        key = (finding.tool, finding.fingerprint)
        if known[key]:
            known[key] -= 1
        else:
            left.append(finding)
    return tuple(left)


class Span(msgspec.Struct, frozen=True, order=True):
    """Lines from `first` on, `count` of them; none lie between `first` and the next."""

    first: int
    count: int

    def __contains__(self, line: int) -> bool:
        return self.first <= line < self.first + self.count

    @property
    def end(self) -> int:
        """The first line behind it."""
        return self.first + self.count


class Hunk(msgspec.Struct, frozen=True, order=True):
    """Lines that stood there, and those that stand in their place."""

    old: Span
    new: Span


class FileDiff(msgspec.Struct, frozen=True):
    """How one file changed. Names are bytes as text with surrogates, as `os.fsdecode` gives."""

    old: str | None
    """`None` for a file that is new."""
    new: str | None
    """`None` for a file that is gone."""
    hunks: tuple[Hunk, ...] = ()
    """Sorted; empty where only name or mode changed, or where the content is binary."""
    binary: bool = False
    module: bool = False
    """It names a commit of another repository; its hunks are no lines of a file."""

    @property
    def added(self) -> tuple[Span, ...]:
        """The lines of the new file that were not there."""
        return tuple(hunk.new for hunk in self.hunks if hunk.new.count)

    def is_added(self, line: int) -> bool:
        """Whether this line of the new file was not there."""
        return any(line in span for span in self.added)


def diff_of(patch: bytes) -> tuple[FileDiff, ...]:
    """The files of a patch that `git diff-tree` wrote with `DIFF_OPTIONS`, sorted by name.

    Raises:
        ValueError: it is no such patch.
    """
    files: list[FileDiff] = []
    section: _Section | None = None
    left = 0
    """Lines of the present hunk that are still to come: whatever they look like, they are
    content."""
    for line in patch.split(b"\n"):
        if left and line[:1] in (b"+", b"-"):
            left -= 1
        elif line.startswith(_HEADER):
            if section is not None:
                files.append(section.done())
            section = _Section(line.removeprefix(_HEADER))
        elif section is not None:
            left += section.take(line)
        elif line:
            raise ValueError("it does not begin with the header of a file")
    if left:
        raise ValueError("its last hunk is cut off")
    if section is not None:
        files.append(section.done())
    # A file that became a link, or the other way round, has two sections of one name.
    return tuple(sorted(files, key=lambda each: (each.new or each.old or "", each.new is not None)))


class _Section:
    """The lines about one file, between two `diff --git`."""

    def __init__(self, names: bytes) -> None:
        same = _halved(names)
        self.old = same
        self.new = same
        self.hunks: list[Hunk] = []
        self.binary = False
        self.module = False

    def take(self, line: bytes) -> int:
        """One header line; how many lines of content it announces."""
        hunk = _HUNK.match(line)
        if hunk is not None:
            old, new = _span(hunk[1], hunk[2]), _span(hunk[3], hunk[4])
            self.hunks.append(Hunk(old, new))
            return old.count + new.count
        if line.startswith((b"--- ", b"rename from ", b"copy from ")):
            self.old = _name(line)
        elif line.startswith((b"+++ ", b"rename to ", b"copy to ")):
            self.new = _name(line)
        elif line.startswith(b"new file mode "):
            self.old = None
        elif line.startswith(b"deleted file mode "):
            self.new = None
        self.binary = self.binary or line.startswith(b"Binary files ")
        self.module = self.module or (line.startswith(_MODES) and line.endswith(b" 160000"))
        return 0

    def done(self) -> FileDiff:
        hunks = () if self.module else tuple(sorted(self.hunks))
        return FileDiff(self.old, self.new, hunks, self.binary, self.module)


def _span(first: bytes, count: bytes | None) -> Span:
    return Span(int(first), 1 if count is None else int(count))


def _halved(names: bytes) -> str:
    """The name in `NAME NAME`; where a file got another, lines that follow say both."""
    return _plain(names[: len(names) // 2])


def _name(line: bytes) -> str | None:
    """The name in a header line; one with a space in it has a tab behind it."""
    found = _NAMED.match(line)
    text = found[1] if found is not None else b""
    return None if text == b"/dev/null" else _plain(text)


def _plain(text: bytes) -> str:
    """A name as git writes it, in quotes or not."""
    if len(text) > 1 and text[:1] == text[-1:] == b'"':
        text = _ESCAPE.sub(_byte, text[1:-1])
    return os.fsdecode(text)


def _byte(found: "re.Match[bytes]") -> bytes:
    code = found[1]
    return bytes([_ESCAPES[code] if code in _ESCAPES else int(code, 8) & 0xFF])


def spans_of(diff: Iterable[FileDiff]) -> dict[str, tuple[Span, ...]]:
    """The added lines of each file that there is now."""
    return {each.new: each.added for each in diff if each.new is not None}
