"""Ruff over a worktree, with the rules of our table: names, likely bugs, slow constructions.

The project's own configuration is not read, so that a repository cannot quiet its review. Each
file is checked with `noqa` and its kin ignored, and those that have any once more with them
heeded: the difference is listed as suppressed. Security is bandit's. Ruff reads UTF-8 only: other
files are named as not read.
"""

import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec

from visionflow.agents.findings import Finding, Severity, ToolRun, portable_path
from visionflow.agents.rule_rows import SELECT
from visionflow.agents.rules import rule_of
from visionflow.agents.tools.cache import ResultCache
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

SYNTAX_RULE = "invalid-syntax"
_USELESS, _UNDEFINED = "B018", "F821"
_NOT_OCTAL = "RUF064"
_LESS_IN_TESTS = (_USELESS, "B023")
"""Tests touch what they test, and call at once what they define in a loop."""
_MINOR_KNOWN = range(7, 16)
_TWICE = Path(__file__).parent.parent / "inside" / "twice.py"
_MARKERS = ("noqa", "ruff:")
_COMMENT = re.compile(r"#\s*(?:noqa|ruff\s*:|flake8\s*:).*", re.IGNORECASE)
_WHOLE_FILE = re.compile(r"#\s*(?:ruff|flake8)\s*:.*", re.IGNORECASE)
_LINES_LOOKED_AT = 5_000


class _Place(msgspec.Struct, frozen=True):
    row: int
    column: int


class _Message(msgspec.Struct, frozen=True):
    """The part of ruff's JSON that is used."""

    filename: str
    message: str
    location: _Place
    code: str | None = None
    name: str | None = None
    end_location: _Place | None = None
    noqa_row: int | None = None


class _Output(msgspec.Struct):
    all: list[_Message]
    held: list[_Message] | None
    marked: list[str]
    tried: list[tuple[str, int]]
    """Places of statements that are there to fail."""
    old: list[tuple[str, int, str]]
    """Places and names of what only Python 2 has, where only it comes to."""


async def run_ruff(
    sandbox: Sandbox,
    request: ScanRequest,
    python_minor: int | None = None,
    cache: ResultCache | None = None,
) -> ToolRun:
    """Check the files of `request`; `python_minor` is the oldest Python 3 the project runs on."""
    binary = _binary()
    if binary is None:
        return ToolRun("ruff", None, ended="not_run", reason="ruff is not installed",
                       not_read=request.skipped)  # fmt: skip
    target = f"py3{python_minor}" if python_minor in _MINOR_KNOWN else None
    command = [
        binary, "check", "--isolated", "--no-cache", "--exit-zero", "--no-fix",
        "--output-format", "json", "--output-file", "{output}", "--select", ",".join(SELECT),
        *(("--target-version", target) if target else ()),
    ]  # fmt: skip
    task = json.dumps(
        {
            "all": [*command, "--ignore-noqa", "--"],
            "held": [*command, "--"],
            "markers": _MARKERS,
            "seen": (_USELESS, _UNDEFINED),
        }
    )

    def argv(output: str, files: tuple[str, ...]) -> tuple[str, ...]:
        return (sys.executable, "-I", str(_TWICE), task, output, *files)

    config = f"{FORM} around {target} {','.join(SELECT)}"
    reader = Reader("ruff", _version(), argv, parse, (binary, str(_TWICE)), config)
    return await scan(sandbox, reader, request, cache)


def parse(content: bytes, worktree: str) -> Parsed:
    """What both passes wrote, as a value for each file with findings, and files not read.

    Raises:
        ValueError: it is not ruff's JSON.
    """
    output = msgspec.json.decode(content, type=_Output)
    not_read = {
        (relative_path(each.filename, worktree), _why(each.message))
        for each in output.all
        if each.code == "E902"
    }
    return packed(_found(output, worktree), worktree), tuple(sorted(not_read))


def _found(output: _Output, worktree: str) -> Iterator[Found]:
    marked = {relative_path(each, worktree) for each in output.marked}
    held = Counter(msgspec.structs.astuple(each) for each in output.held or ())
    lines = Lines(worktree)
    tried, old = set(output.tried), set(output.old)
    for message in output.all:
        path = relative_path(message.filename, worktree)
        rule = message.code or message.name or SYNTAX_RULE
        if rule == "E902" or (rule == "F401" and _is_offered(message.message, path)):
            continue
        at = message.filename, message.location.row
        if rule == _USELESS and at in tried:
            continue
        if rule == _NOT_OCTAL and _is_digit(message, lines.text(path, message.location.row)):
            continue
        finding = _finding(message, rule, path)
        if rule == _UNDEFINED and (*at, message.message.split("`")[1]) in old:
            finding = msgspec.structs.replace(finding, severity="info")
        key = msgspec.structs.astuple(message)
        if path not in marked or held[key] > 0:
            held[key] -= 1
            yield Found(finding)
        else:
            yield Found(finding, _comment(lines, path, message.noqa_row or finding.line))


def _finding(message: _Message, rule: str, path: str) -> Finding:
    end = message.end_location.row if message.end_location else None
    return Finding(
        "ruff", rule, _severity(rule, path), clean(message.message), portable_path(path),
        max(1, message.location.row), max(1, message.location.column), end,
        rule_of("ruff", rule).cwe,
    )  # fmt: skip


def _comment(lines: Lines, path: str, row: int) -> str:
    """The comment that hides what stands in `row`: there, or one for the whole file or a range."""
    here = _COMMENT.search(lines.text(path, row))
    if here is not None:
        return one_line(here[0], 100)
    for number in range(1, _LINES_LOOKED_AT):
        found = _WHOLE_FILE.search(lines.text(path, number))
        if found is not None:
            return f"line {number}: {one_line(found[0], 100)}"
    return "a comment"


def _why(message: str) -> str:
    not_utf8 = "did not contain valid UTF-8" in message
    return "not UTF-8, the only encoding ruff reads" if not_utf8 else clean(message)


def _is_offered(message: str, path: str) -> bool:
    """Whether an unused import is how a package offers what its own modules define."""
    *folders, name = path.split("/")
    own = ("`.", *(f"`{folder}." for folder in folders))
    return name == "__init__.py" and message.startswith(own)


def _is_digit(message: _Message, line: str) -> bool:
    """Whether the file permissions are one digit, which is the same number in octal."""
    return re.match(r"[0-7](?![\w.])", line[message.location.column - 1 :]) is not None


def _severity(rule: str, path: str) -> Severity:
    """By the table; a test's data may well be broken on purpose, so there syntax weighs little,
    and what a package's top imports it may offer."""
    if rule == SYNTAX_RULE and is_test_path(path):
        return "low"
    if rule == "F401" and path.rpartition("/")[2] == "__init__.py":
        return "info"
    if rule in _LESS_IN_TESTS and is_test_path(path):
        return "low"
    return rule_of("ruff", rule).severity


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
