"""What a task that is of no run does not quote: secrets that its workspace holds.

Of a run the server hides what its tools found wherever it is told. Nobody looks beside a task on
its own, so it looks itself, and covers what it hands over before anything of it is recorded.
"""

import asyncio
from pathlib import Path
from typing import TypeVar

from visionflow.agents.findings import Finding, ToolRun
from visionflow.agents.roles.job import JobInput
from visionflow.agents.tools.cache import ResultCache
from visionflow.agents.tools.portions import ScanRequest
from visionflow.agents.tools.secrets import run_secrets
from visionflow.agents.tools.text import read_plain
from visionflow.agents.tools.tree import texts
from visionflow.agents.tools.veiling import KnownSecrets, secret_findings, values_of
from visionflow.ports.sandbox import Sandbox

T = TypeVar("T")
_BYTES_MAX = 64 * 1024 * 1024


async def find_secrets(sandbox: Sandbox, job: JobInput, worktree: str) -> ToolRun:
    """Secrets in all text files of a worktree."""
    every = texts(worktree)
    scan = ScanRequest(
        worktree, every.files, every.skipped, str(Path(job.scratch, "secrets")), trusted=job.trusted
    )
    with ResultCache(job.cache) as cache:
        return await run_secrets(sandbox, scan, cache)


async def covered(sandbox: Sandbox, job: JobInput, worktree: str, value: T) -> T:
    """`value` as it may be handed over. Where nobody could look for secrets, those are covered
    that show by their form."""
    if not job.alone:
        return value
    found = secret_findings((await find_secrets(sandbox, job, worktree),))
    known = KnownSecrets(await asyncio.to_thread(_values, worktree, found))
    return await asyncio.to_thread(known.cover, value)


def _values(worktree: str, findings: tuple[Finding, ...]) -> set[str]:
    by_path: dict[str, list[Finding]] = {}
    for finding in findings:
        by_path.setdefault(finding.path, []).append(finding)
    values: set[str] = set()
    for path, some in by_path.items():
        content = read_plain(Path(worktree, path), _BYTES_MAX) or b""
        lines = content.decode("utf-8", "replace").splitlines()
        for finding in some:
            values |= values_of(finding, lines)
    return values
