"""Small projects for the tools' tests, written into a temporary folder."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from unconfined import UnconfinedSandbox

from visionflow.agents.findings import ToolRun
from visionflow.agents.tools.bandit import run_bandit
from visionflow.agents.tools.project import look
from visionflow.agents.tools.results import Progress, TestRun
from visionflow.agents.tools.ruff import run_ruff
from visionflow.agents.tools.scan import ScanRequest
from visionflow.agents.tools.testing import SuiteRequest, run_tests
from visionflow.ports.sandbox import Sandbox

QUICK = "[pytest]\naddopts = -p no:hypothesispytest\n"
"""Settings for projects that need none of their own: our development plugin costs a second."""


def write(root: Path, files: dict[str, str | bytes]) -> Path:
    """Write `files` (relative name to content) under `root`."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return root


def request_for(
    root: Path, out: Path, wall_ms: int = 60_000, workspace: Path | None = None
) -> SuiteRequest:
    """Test `root` in place, results under `out`."""
    return SuiteRequest(
        str(root), str(workspace or root), str(out / "scratch"), str(out / "junit.xml"),
        str(out / "coverage.xml"), wall_ms=wall_ms,
    )  # fmt: skip


def suite_of(
    root: Path,
    out: Path,
    *,
    wall_ms: int = 60_000,
    sandbox: Sandbox | None = None,
    workspace: Path | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> TestRun:
    """The tests of `root`, run."""
    request = request_for(root, out, wall_ms, workspace)
    chosen = sandbox or UnconfinedSandbox()
    return asyncio.run(run_tests(chosen, look(str(root)), request, on_progress))


def reviewed(root: Path, out: Path, sandbox: Sandbox | None = None) -> tuple[ToolRun, ToolRun]:
    """Ruff's and bandit's runs over `root`."""
    tree = look(str(root)).tree
    request = ScanRequest(str(root), tree.python, tree.skipped, str(out / "scratch"))
    chosen = sandbox or UnconfinedSandbox()

    async def both() -> tuple[ToolRun, ToolRun]:
        return await run_ruff(chosen, request), await run_bandit(chosen, request)

    return asyncio.run(both())
