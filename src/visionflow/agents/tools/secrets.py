"""Secrets in the text files of a worktree, by detect-secrets. The secret itself stays there.

A finding tells its kind, its place and the beginning of its SHA-256, so that one can see whether
two are the same; its snippet is masked. Nothing is verified with anybody. Detectors that only
measure how random a text looks are not used: they find more hashes than secrets.
"""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import msgspec

from visionflow.agents.findings import SEVERITIES, Finding, Severity, Suppressed, ToolRun
from visionflow.agents.rules import rows_of, rule_of
from visionflow.agents.tools.answers import answers, version_of
from visionflow.agents.tools.cache import ResultCache
from visionflow.agents.tools.hiding import shown_line
from visionflow.agents.tools.portions import Parsed, Reader, ScanRequest, read_files
from visionflow.agents.tools.scan import FORM, Found, packed, tool_run, unpacked
from visionflow.agents.tools.text import one_line, read_plain
from visionflow.agents.tools.tree import is_test_path
from visionflow.ports.sandbox import Sandbox

TOOL = "detect-secrets"
BASELINE = ".secrets.baseline"
_BASELINE_BYTES_MAX = 4_000_000
_PROGRAM = Path(__file__).parent.parent / "inside" / "secrets.py"
_DOCUMENT = (".md", ".rst", ".txt", ".adoc")
_Secret = tuple[str, int, str, str, str, str | None]


class _FileSecrets(msgspec.Struct, frozen=True, array_like=True):
    """What is kept of a file: the findings, and for each fingerprint the beginning of the SHA-1
    by which a baseline knows the secret."""

    findings: bytes
    known_as: dict[str, str]


_DECODER = msgspec.msgpack.Decoder(_FileSecrets)


def detectors() -> tuple[str, ...]:
    """The names of the detectors that are used, sorted: those that the rule table has."""
    return tuple(sorted(row[0] for row in rows_of(TOOL)))


async def run_secrets(
    sandbox: Sandbox, request: ScanRequest, cache: ResultCache | None = None
) -> ToolRun:
    """Look for secrets in the files of `request`, whatever kind of text they hold."""
    task = json.dumps(detectors())

    def argv(output: str, files: tuple[str, ...]) -> tuple[str, ...]:
        return (sys.executable, "-I", str(_PROGRAM), task, output, *files)

    reader = Reader(TOOL, version_of(TOOL), argv, parse, (str(_PROGRAM),), f"{FORM} 5 {task}")
    reading = await read_files(sandbox, reader, request, cache or ResultCache(None))
    accepted = _baseline(request.worktree)
    findings: list[Finding] = []
    hidden: list[Suppressed] = []
    for path, value in reading.values.items():
        if not value:
            continue
        kept = _DECODER.decode(value)
        found = unpacked(kept.findings)
        hidden += found.suppressed
        for finding in found.findings:
            if (path, kept.known_as.get(finding.fingerprint)) in accepted:
                hidden.append(Suppressed(finding, "configuration", f"{BASELINE}: results"))
            else:
                findings.append(finding)
    return tool_run(reader, request, reading, findings, hidden)


def parse(content: bytes, worktree: str) -> Parsed:
    """The program's answer as a value for each file.

    Raises:
        ValueError: it is not the program's answer.
    """
    found, not_read = answers(json.loads(content), list[_Secret])
    values: dict[str, bytes] = {}
    for path, secrets in found.items():
        if secrets:
            known_as = {(one[0], one[1], one[2]): one[3] for one in secrets}
            made = packed(_found(path, secrets), worktree)[path]
            every = unpacked(made)
            whole = [*every.findings, *(each.finding for each in every.suppressed)]
            marks = {
                finding.fingerprint: sha1
                for finding in whole
                for (kind, line, sha256), sha1 in known_as.items()
                if (kind, line) == (finding.rule, finding.line) and sha256 in finding.message
            }
            values[path] = msgspec.msgpack.encode(_FileSecrets(made, marks))
    return values, not_read


def _found(path: str, secrets: list[_Secret]) -> Iterator[Found]:
    for kind, line, sha256, _, shown, comment in secrets:
        row = rule_of(TOOL, kind)
        message = f"{row.title} (SHA-256 {one_line(sha256, 8)}...)"
        finding = Finding(
            TOOL, kind, _severity(row.severity, path), message, path, max(1, line), None, None,
            row.cwe, snippet=shown_line(shown) or "****",
        )  # fmt: skip
        yield Found(finding, None if comment is None else one_line(comment, 100))


def _severity(base: Severity, path: str) -> Severity:
    """One step lower in tests and in documents, where most are made up."""
    lower = is_test_path(path) or path.endswith(_DOCUMENT)
    return SEVERITIES[min(SEVERITIES.index(base) + lower, len(SEVERITIES) - 1)]


def _baseline(worktree: str) -> set[tuple[str, str | None]]:
    """(path, beginning of the SHA-1) of each secret that the project has accepted."""
    content = read_plain(os.path.join(worktree, BASELINE), _BASELINE_BYTES_MAX)
    try:
        told: object = json.loads(content or b"{}")
    except (ValueError, RecursionError):
        return set()
    results: object = cast("dict[str, object]", told).get("results") if _is_map(told) else None
    found: set[tuple[str, str | None]] = set()
    for path, entries in cast("dict[str, object]", results if _is_map(results) else {}).items():
        for entry in cast("list[object]", entries if isinstance(entries, list) else []):
            if not _is_map(entry):
                continue
            whole = cast("dict[str, object]", entry).get("hashed_secret")
            if isinstance(whole, str):
                found.add((path.removeprefix("./"), whole[:10]))
    return found


def _is_map(value: object) -> bool:
    return isinstance(value, dict)
