"""Values: what a checking tool found, and how far it got.

The same tree must give the same bytes, so everything here is sorted by content and nothing holds
a time. Running tools, SARIF and the report are elsewhere (`agents.tools`).
"""

import hashlib
from collections.abc import Iterable
from typing import Literal

import msgspec

Severity = Literal["critical", "high", "medium", "low", "info"]
SEVERITIES: tuple[Severity, ...] = ("critical", "high", "medium", "low", "info")
Ended = Literal["completed", "failed", "not_run"]


class Finding(msgspec.Struct, frozen=True):
    """One thing a tool objects to. Lines and columns count from 1."""

    tool: str
    rule: str
    severity: Severity
    message: str
    path: str
    """Relative to the workspace, with `/`; see `portable_path` for names that are not UTF-8."""
    line: int
    column: int | None = None
    end_line: int | None = None
    cwe: int | None = None
    fingerprint: str = ""
    """Stays the same when lines above are added or removed; unique within one run of a tool."""
    snippet: str = ""
    """The line as it stands, cleaned and cut; what a secret's line holds is hidden."""


class Suppressed(msgspec.Struct, frozen=True):
    """A finding that the project's own comment or configuration hides. It counts in no gate."""

    finding: Finding
    by: Literal["comment", "configuration"]
    where: str
    """The comment itself, or the file and key that hide it."""


class ToolRun(msgspec.Struct, frozen=True):
    """One tool over one workspace."""

    tool: str
    version: str | None
    """`None` when the tool could not be asked."""
    findings: tuple[Finding, ...] = ()
    files_read: int = 0
    not_read: tuple[tuple[str, str], ...] = ()
    """(path, why) of each file that the tool should have read and could not."""
    ended: Ended = "completed"
    reason: str | None = None
    """Why it failed or was not run, one sentence."""
    enforced: tuple[str, ...] = ()
    """What held the tool while it read foreign files, such as `filesystem: landlock`."""
    suppressed: tuple[Suppressed, ...] = ()
    cached: int = 0
    """How many of `files_read` were taken from earlier readings of the same content."""
    part: str | None = None
    """The part of the workspace that was read, by its name; `None`: all of it."""


def order_of(finding: Finding) -> tuple[str, int, int, str, str, str]:
    """The one sort key: by place, then rule."""
    place = (finding.path, finding.line, finding.column or 0)
    return (*place, finding.tool, finding.rule, finding.message)


def count_by_severity(findings: Iterable[Finding]) -> dict[str, int]:
    """How many findings of each severity; every severity is a key."""
    counts: dict[str, int] = dict.fromkeys(SEVERITIES, 0)
    for finding in findings:
        counts[finding.severity] += 1
    return counts


def portable_path(path: str) -> str:
    """`path` as text that any encoder takes: bytes that are not UTF-8 become `%XX`.

    Python holds such bytes as lone surrogates, which neither msgpack nor JSON can carry.
    """
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        return "".join(_percent(character) for character in path)
    return path


def _percent(character: str) -> str:
    """One character of a name that is not UTF-8; `%` too, so that two names stay two."""
    if "\ud800" <= character <= "\udfff":
        return f"%{ord(character) & 0xFF:02X}"
    return "%25" if character == "%" else character


def with_fingerprints(
    findings: Iterable[Finding], line_text: dict[tuple[str, int], str]
) -> tuple[Finding, ...]:
    """Sort `findings` and give each its fingerprint.

    `line_text` maps (path, line) to that line; a missing one counts as empty. Equal findings on
    equal lines are told apart by their order in the file.
    """
    seen: dict[str, int] = {}
    done: list[Finding] = []
    for finding in sorted(findings, key=order_of):
        text = line_text.get((finding.path, finding.line), "").strip()
        parts = (finding.tool, finding.rule, finding.path, text)
        base = "\x00".join(parts)
        seen[base] = seen.get(base, 0) + 1
        digest = hashlib.sha256(f"{base}\x00{seen[base]}".encode("utf-8", "surrogateescape"))
        done.append(msgspec.structs.replace(finding, fingerprint=digest.hexdigest()[:32]))
    return tuple(done)
