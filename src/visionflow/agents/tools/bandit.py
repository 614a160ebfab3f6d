"""Bandit over a worktree: what its security checks object to.

Neither the project's `.bandit` nor its pyproject is read. The interpreter is started isolated, so
that a file of the repository named like a module of bandit's is not imported in its place. Files
with `nosec` comments are read once more with these heeded: the difference is what they hide. The
text of a password never leaves: messages tell of it by a short hash.
"""

import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

import msgspec

from visionflow.agents.findings import SEVERITIES, Finding, Severity, ToolRun, portable_path
from visionflow.agents.rules import rule_of
from visionflow.agents.tools.cache import ResultCache
from visionflow.agents.tools.hiding import short_hash
from visionflow.agents.tools.scan import (
    FORM,
    Found,
    Lines,
    Parsed,
    Reader,
    ScanRequest,
    packed,
    relative_path,
    scan,
)
from visionflow.agents.tools.text import clean, one_line
from visionflow.agents.tools.tree import is_test_path
from visionflow.ports.sandbox import Sandbox

_Level = Literal["UNDEFINED", "LOW", "MEDIUM", "HIGH"]
_BASE: dict[_Level, Severity] = {
    "HIGH": "high", "MEDIUM": "medium", "LOW": "low", "UNDEFINED": "info",
}  # fmt: skip
_ASSERT = "B101"
_OF_DJANGO = ("B610", "B611")
"""Bandit tells them by the method's name alone, and other things have an `extra` too."""
_PASSWORDS = ("B105", "B106", "B107")
_EXCLUDES_NOTHING = "/visionflow/excludes/nothing"
_TWICE = Path(__file__).parent.parent / "inside" / "twice.py"
_COMMENT = re.compile(r"#\s*nosec\b.*")
_QUOTED = re.compile(r"'(.*)'", re.DOTALL)


class _Cwe(msgspec.Struct):
    id: int | None = None


class _Result(msgspec.Struct):
    """The part of one of bandit's results that is used."""

    filename: str
    test_id: str
    issue_text: str
    issue_severity: _Level
    issue_confidence: _Level
    line_number: int
    line_range: list[int]
    col_offset: int = 0
    issue_cwe: _Cwe | None = None

    @property
    def key(self) -> tuple[object, ...]:
        """Equal for equal results of two passes."""
        place = (self.filename, self.line_number, self.col_offset, tuple(self.line_range))
        return (*place, self.test_id, self.issue_text)


class _Error(msgspec.Struct):
    filename: str
    reason: str


class _Pass(msgspec.Struct):
    errors: list[_Error]
    results: list[_Result]


class _Output(msgspec.Struct):
    all: _Pass
    held: _Pass | None
    marked: list[str]


async def run_bandit(
    sandbox: Sandbox, request: ScanRequest, cache: ResultCache | None = None
) -> ToolRun:
    """Check the `.py` files of `request` (type stubs hold nothing that runs)."""
    files = tuple(file for file in request.files if file.endswith(".py"))
    request = msgspec.structs.replace(request, files=files)
    scratch = Path(request.scratch)
    scratch.mkdir(parents=True, exist_ok=True)
    settings = scratch / "bandit.ini"
    # An ini file of our own, or bandit looks for the project's.
    settings.write_text("[bandit]\n", encoding="utf-8")
    command = [
        sys.executable, "-I", "-m", "bandit", "--quiet", "--exit-zero", "--format", "json",
        "--ini", str(settings), "--exclude", _EXCLUDES_NOTHING, "--output", "{output}",
    ]  # fmt: skip
    task = json.dumps({"all": [*command, "--ignore-nosec"], "held": command, "markers": ["nosec"]})

    def argv(output: str, files: tuple[str, ...]) -> tuple[str, ...]:
        return (sys.executable, "-I", str(_TWICE), task, output, *files)

    reader = Reader("bandit", _version(), argv, parse, (str(settings), str(_TWICE)), f"{FORM} 3")
    return await scan(sandbox, reader, request, cache)


def parse(content: bytes, worktree: str) -> Parsed:
    """What both passes wrote, as a value for each file with findings, and files not read.

    Asserts in tests are how tests work, an empty text is no password, and a file that never speaks
    of Django has none of its queries: these are left out.

    Raises:
        ValueError: it is not bandit's JSON.
    """
    # The standard decoder: bandit writes lone surrogates, which msgspec rightly refuses.
    output = msgspec.convert(json.loads(content), type=_Output)
    not_read = {(relative_path(e.filename, worktree), clean(e.reason)) for e in output.all.errors}
    return packed(_found(output, worktree), worktree), tuple(sorted(not_read))


def _found(output: _Output, worktree: str) -> Iterator[Found]:
    marked = {relative_path(each, worktree) for each in output.marked}
    held = Counter(each.key for each in (output.held.results if output.held else ()))
    lines = Lines(worktree)
    for result in output.all.results:
        finding = _finding(result, worktree)
        if finding.rule == _ASSERT and is_test_path(finding.path):
            continue
        if finding.rule in _PASSWORDS and "''" in result.issue_text:
            continue
        if finding.rule in _OF_DJANGO and not lines.hold(finding.path, b"django"):
            continue
        if finding.path not in marked or held[result.key] > 0:
            held[result.key] -= 1
            yield Found(finding)
        else:
            yield Found(finding, _comment(lines, finding.path, result))


def _finding(result: _Result, worktree: str) -> Finding:
    path = relative_path(result.filename, worktree)
    cwe = result.issue_cwe.id if result.issue_cwe else None
    return Finding(
        "bandit", result.test_id, _severity(result, path), _message(result), portable_path(path),
        max(1, result.line_number), result.col_offset + 1, max(result.line_range, default=None),
        cwe or rule_of("bandit", result.test_id).cwe,
    )  # fmt: skip


def _message(result: _Result) -> str:
    text = result.issue_text
    if result.test_id in _PASSWORDS:
        text = _QUOTED.sub(lambda found: f"(SHA-256 {short_hash(found[1])}...)", text)
    return clean(text)


def _comment(lines: Lines, path: str, result: _Result) -> str:
    """The comment on one of the lines of the statement."""
    for number in sorted({result.line_number, *result.line_range}):
        found = _COMMENT.search(lines.text(path, number))
        if found is not None:
            return one_line(found[0], 100)
    return "a nosec comment"


def _severity(result: _Result, path: str) -> Severity:
    """Bandit's own, one step lower when it is hardly sure, and one in code that only tests."""
    base = SEVERITIES.index(_BASE[result.issue_severity])
    lower = (result.issue_confidence == "LOW") + is_test_path(path)
    return SEVERITIES[min(base + lower, len(SEVERITIES) - 1)]


def _version() -> str | None:
    try:
        return version("bandit")
    except PackageNotFoundError:
        return None
