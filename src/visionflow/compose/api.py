"""`AgentOrchestrator`: the public entry, wired to the embedded runtime."""

import os
import sys
import tempfile
from pathlib import Path
from types import TracebackType

from visionflow.compose.embedded import Embedded, Store
from visionflow.domain.limits import Limits
from visionflow.domain.swarms import Strategy, SwarmSpec, Topology
from visionflow.interfaces.orchestrator import AsyncFleet, Fleet, in_thread


class AgentOrchestrator:
    """A fleet of agents, embedded in this program.

    `with AgentOrchestrator() as fleet:` gives a `Fleet` for plain threads, `async with` an
    `AsyncFleet` for a loop. With a `folder` everything is kept there, and the same folder takes
    up again where an earlier program stopped; without one it goes when the program ends.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str] | None = None,
        *,
        limits: Limits | None = None,
        topology: str = "hierarchical",
        strategy: str = "centralized",
        goal: str = "",
    ) -> None:
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        if folder is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="visionflow-")
            folder = self._temporary.name
        spec = SwarmSpec(
            id="swarm",
            goal=goal,
            topology=Topology(topology),
            strategy=Strategy(strategy),
            limits=limits or Limits(),
        )
        self._embedded = Embedded(Store(Path(folder).resolve()), spec, import_paths=_import_paths())

    def open(self) -> Fleet:
        """Start, and return once the store is recovered.

        Raises:
            StoreInUse: another process owns this folder.
            LogCorrupt: the log was changed by somebody else.
        """
        self._embedded.open()
        return Fleet(self._embedded)

    def close(self) -> None:
        """End all workers. What is not finished stays in the folder."""
        self._embedded.close()
        if self._temporary is not None:
            self._temporary.cleanup()

    def __enter__(self) -> Fleet:
        return self.open()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> AsyncFleet:
        return AsyncFleet(await in_thread(self.open))

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await in_thread(self.close)


def _import_paths() -> tuple[str, ...]:
    """Where this program finds its modules, so that its workers find them too."""
    return tuple(str(Path(entry or ".").resolve()) for entry in sys.path)
