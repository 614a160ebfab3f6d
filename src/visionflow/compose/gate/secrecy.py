"""What a gate must not tell: the values that tools called secrets, in a failing test's message.

Changed files are read by the tools anyway. Only where a test has something to say is the whole
working tree looked through as well: what it quotes may stand in any file. What was looked at
before is known by its content.
"""

import os
from collections.abc import Iterable
from pathlib import Path

from visionflow.agents.findings import ToolRun
from visionflow.agents.gate.results import Tests
from visionflow.agents.tools.cache import ResultCache
from visionflow.agents.tools.portions import FILE_BYTES_MAX, ScanRequest
from visionflow.agents.tools.secrets import run_secrets
from visionflow.agents.tools.text import read_plain
from visionflow.agents.tools.tree import texts
from visionflow.agents.tools.veiling import KnownSecrets, secret_findings, values_of
from visionflow.compose.gate.reviewing import Side
from visionflow.ports.sandbox import Sandbox

WALL_MS = 60_000


def speak(tests: Tests | None) -> bool:
    """Whether any test has a message that will be shown."""
    return tests is not None and any(
        each.message
        for some in (
            tests.broken,
            tests.lost,
            tests.allowed,
            tests.flaky,
            tests.known,
            tests.untold,
        )
        for each in some
    )


async def secrets_in(
    sandbox: Sandbox, head: Side, scratch: Path, trusted: bool, results: ResultCache
) -> ToolRun:
    """Where secrets stand in the whole working tree."""
    every = texts(str(head.folder))
    request = ScanRequest(
        str(head.folder), every.files, every.skipped, str(scratch / "veil"), WALL_MS,
        trusted=trusted, digests=head.digests,
    )  # fmt: skip
    return await run_secrets(sandbox, request, results)


def known_in(found: Iterable[tuple[Side, Iterable[ToolRun]]]) -> KnownSecrets:
    """The values that these runs are about, each read from its own side. A file whose name is
    not UTF-8 has another spelling in a finding, and none of its values is known."""
    values: set[str] = set()
    for side, runs in found:
        lines: dict[str, list[str]] = {}
        for finding in secret_findings(runs):
            if finding.path not in lines:
                lines[finding.path] = _lines(side, finding.path)
            values |= values_of(finding, lines[finding.path])
    return KnownSecrets(values)


def _lines(side: Side, path: str) -> list[str]:
    content = read_plain(os.path.join(side.folder, path), FILE_BYTES_MAX) or b""
    return content.decode("utf-8", "replace").splitlines()
