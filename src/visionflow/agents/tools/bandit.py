"""Bandit over a worktree: what its security checks object to.

Neither the project's `.bandit` nor its pyproject is read. The interpreter is started isolated, so
that a file of the repository named like a module of bandit's is not imported in its place.
"""

import json
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

import msgspec

from visionflow.agents.findings import SEVERITIES, Finding, Severity, ToolRun, portable_path
from visionflow.agents.tools.scan import Portion, ScanRequest, Tool, relative_path, scan
from visionflow.agents.tools.text import clean
from visionflow.agents.tools.tree import is_test_path
from visionflow.ports.sandbox import Sandbox

_Level = Literal["UNDEFINED", "LOW", "MEDIUM", "HIGH"]
_BASE: dict[_Level, Severity] = {
    "HIGH": "high", "MEDIUM": "medium", "LOW": "low", "UNDEFINED": "info",
}  # fmt: skip
_ASSERT = "B101"
_EXCLUDES_NOTHING = "/visionflow/excludes/nothing"


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


class _Error(msgspec.Struct):
    filename: str
    reason: str


class _Output(msgspec.Struct):
    errors: list[_Error]
    results: list[_Result]


async def run_bandit(sandbox: Sandbox, request: ScanRequest) -> ToolRun:
    """Check the `.py` files of `request` (type stubs hold nothing that runs)."""
    files = tuple(file for file in request.files if file.endswith(".py"))
    request = msgspec.structs.replace(request, files=files)
    scratch = Path(request.scratch)
    scratch.mkdir(parents=True, exist_ok=True)
    settings = scratch / "bandit.ini"
    # An ini file of our own, or bandit looks for the project's.
    settings.write_text("[bandit]\n", encoding="utf-8")

    def argv(output: str, files: tuple[str, ...]) -> tuple[str, ...]:
        return (
            sys.executable, "-I", "-m", "bandit", "--quiet", "--exit-zero", "--format", "json",
            "--ini", str(settings), "--exclude", _EXCLUDES_NOTHING, "--output", output, *files,
        )  # fmt: skip

    tool = Tool("bandit", _version(), argv, parse, read=(str(settings),))
    return await scan(sandbox, tool, request)


def parse(content: bytes, worktree: str) -> Portion:
    """Bandit's JSON as findings and files it could not read.

    Asserts in tests are how tests work, and are left out.

    Raises:
        ValueError: it is not bandit's JSON.
    """
    # The standard decoder: bandit writes lone surrogates, which msgspec rightly refuses.
    output = msgspec.convert(json.loads(content), type=_Output)
    found = (_finding(result, worktree) for result in output.results)
    findings = [f for f in found if not (f.rule == _ASSERT and is_test_path(f.path))]
    not_read = {(relative_path(e.filename, worktree), clean(e.reason)) for e in output.errors}
    return Portion(tuple(findings), tuple(sorted(not_read)))


def _finding(result: _Result, worktree: str) -> Finding:
    path = relative_path(result.filename, worktree)
    cwe = result.issue_cwe.id if result.issue_cwe else None
    return Finding(
        "bandit", result.test_id, _severity(result, path), clean(result.issue_text),
        portable_path(path), max(1, result.line_number), result.col_offset + 1,
        max(result.line_range, default=None), cwe or None,
    )  # fmt: skip


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
