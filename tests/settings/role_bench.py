"""One task of one role, with settings, on a small workspace: for the tests of what settings do."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.agents.unconfined import UnconfinedSandbox
from visionflow import Task
from visionflow.compose.local import local_agent
from visionflow.testing.role_docs import role_facts

COVERED: set[tuple[str, str]] = set()
"""(role, key) of each setting whose effect some test sees."""


def changes(role: str, *keys: str) -> Callable[[Any], Any]:
    """Says that a test sees the effect of these settings."""

    def register(test: Any) -> Any:
        COVERED.update((role, key) for key in keys)
        return test

    return register


def written(root: Path, files: dict[str, str]) -> Path:
    """Write `files` (relative name to text) under `root`."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


class Bench:
    """Runs roles on one workspace."""

    def __init__(self, tmp_path: Path, files: dict[str, str]) -> None:
        self.workspace = written(tmp_path / "ws", files)
        self.sandbox = UnconfinedSandbox()
        self._own = tmp_path / "own"
        self._turn = 0

    def run(
        self,
        role: str,
        kind: str,
        config: dict[str, Any] | None = None,
        dependencies: dict[str, Any] | None = None,
        **given: Any,
    ) -> dict[str, Any]:
        """The result of a task of this type; what tools found before is reused."""
        self._turn += 1
        folder = self._own / str(self._turn)
        task = Task(
            id="t",
            type=kind,
            input={"workspace": str(self.workspace), "cache": str(self._own / "cache"), **given},
            dependencies=dependencies or {},
        )

        async def work() -> Any:
            async with local_agent(
                role_facts(role).kind, config, folder=folder, open_sandbox=lambda: self.sandbox
            ) as agent:
                return await agent.process_task(task)

        return asyncio.run(work())
