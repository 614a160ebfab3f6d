"""Ruff over a worktree, with our rules: names, likely bugs, pylint errors, complexity.

The project's own configuration is not read, so that a repository cannot quiet its review; `noqa`
comments hold. Security is bandit's. Ruff reads UTF-8 only: other files are named as not read.
"""

import fnmatch
from importlib.metadata import PackageNotFoundError, version

import msgspec

from visionflow.agents.findings import Finding, Severity, ToolRun, portable_path
from visionflow.agents.tools.scan import Portion, ScanRequest, Tool, relative_path, scan
from visionflow.agents.tools.text import clean
from visionflow.agents.tools.tree import is_test_path
from visionflow.ports.sandbox import Sandbox

SYNTAX_RULE = "invalid-syntax"
SELECT = ("E9", "F", "B", "PLE", "C901")
COMPLEXITY_MAX = 15
_MINOR_KNOWN = range(7, 16)
_SEVERITY: tuple[tuple[str, Severity], ...] = (
    (SYNTAX_RULE, "high"),
    ("F50?", "medium"), ("F52?", "medium"), ("F6??", "medium"), ("F7??", "medium"),
    ("F82?", "medium"), ("PLE*", "medium"),
    ("B006", "medium"), ("B012", "medium"), ("B015", "medium"), ("B018", "medium"),
    ("B023", "medium"),
    ("C901", "info"),
)  # fmt: skip


class _Place(msgspec.Struct):
    row: int
    column: int


class _Message(msgspec.Struct):
    """The part of ruff's JSON that is used."""

    filename: str
    message: str
    location: _Place
    code: str | None = None
    name: str | None = None
    end_location: _Place | None = None


async def run_ruff(
    sandbox: Sandbox, request: ScanRequest, python_minor: int | None = None
) -> ToolRun:
    """Check the files of `request`; `python_minor` is the oldest Python 3 the project runs on."""
    binary = _binary()
    if binary is None:
        return ToolRun("ruff", None, ended="not_run", reason="ruff is not installed",
                       not_read=request.skipped)  # fmt: skip
    target = f"py3{python_minor}" if python_minor in _MINOR_KNOWN else None

    def argv(output: str, files: tuple[str, ...]) -> tuple[str, ...]:
        chosen = ("--target-version", target) if target else ()
        return (
            binary, "check", "--isolated", "--no-cache", "--exit-zero", "--no-fix",
            "--output-format", "json", "--output-file", output, "--select", ",".join(SELECT),
            "--config", f"lint.mccabe.max-complexity={COMPLEXITY_MAX}", *chosen, "--", *files,
        )  # fmt: skip

    tool = Tool("ruff", _version(), argv, parse, read=(binary,))
    return await scan(sandbox, tool, request)


def parse(content: bytes, worktree: str) -> Portion:
    """Ruff's JSON as findings and files it could not read.

    Raises:
        ValueError: it is not ruff's JSON.
    """
    findings: list[Finding] = []
    not_read: set[tuple[str, str]] = set()
    for message in msgspec.json.decode(content, type=list[_Message]):
        path = relative_path(message.filename, worktree)
        rule = message.code or message.name or SYNTAX_RULE
        if rule == "E902":
            not_read.add((path, _why(message.message)))
            continue
        end = message.end_location.row if message.end_location else None
        findings.append(
            Finding(
                "ruff", rule, _severity(rule, path), clean(message.message), portable_path(path),
                max(1, message.location.row), max(1, message.location.column), end,
            )
        )  # fmt: skip
    return Portion(tuple(findings), tuple(sorted(not_read)))


def _why(message: str) -> str:
    not_utf8 = "did not contain valid UTF-8" in message
    return "not UTF-8, the only encoding ruff reads" if not_utf8 else clean(message)


def _severity(rule: str, path: str) -> Severity:
    """By rule; a test's data may well be broken on purpose, so there syntax weighs little."""
    if rule == SYNTAX_RULE and is_test_path(path):
        return "low"
    for pattern, level in _SEVERITY:
        if fnmatch.fnmatchcase(rule, pattern):
            return level
    return "low"


def _binary() -> str | None:
    """The program that was installed with us."""
    from ruff import find_ruff_bin  # pyright: ignore[reportMissingTypeStubs]

    try:
        return find_ruff_bin()
    except FileNotFoundError:
        return None


def _version() -> str | None:
    try:
        return version("ruff")
    except PackageNotFoundError:
        return None
