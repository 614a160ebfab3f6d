"""What of a run may be told beside its report: the same without the secrets that its tools found.

The log keeps what agents reported; whoever reads results of parts, events or progress gets them
through here. The values are held in memory only, and found again from the run's own snapshot.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from visionflow.agents.tools.veiling import KnownSecrets
from visionflow.compose.job.events import story_in
from visionflow.compose.job.folder import RunFolder
from visionflow.compose.job.outputs import facts_of
from visionflow.compose.job.secrecy import Secrecy
from visionflow.compose.serve.jobs_runs import ServedRun
from visionflow.compose.serve.jobs_store import RunStore
from visionflow.ports.blobs import Blobs

T = TypeVar("T")
RUNS_KNOWN_MAX = 1_000
"""Ended runs, and tasks without one, of which is remembered what must be hidden."""
NOTHING = KnownSecrets()


def root_of(task: str) -> str:
    """The root task that a task of a run is a part of."""
    return task.partition(".")[0]


class Veils:
    """Of all runs of a server. Belongs to the loop's thread."""

    def __init__(
        self,
        store: RunStore,
        blobs: Blobs,
        threads: ThreadPoolExecutor,
        runs: Mapping[str, ServedRun],
    ) -> None:
        """`runs`: those under way, by their root task."""
        self._store = store
        self._blobs = blobs
        self._threads = threads
        self._runs = runs
        self._ended: dict[str, KnownSecrets] = {}

    def covered(self, task: str, value: T) -> T:
        """`value`, which a task of a run under way said, by what is known by now."""
        run = self._runs.get(root_of(task))
        return value if run is None else run.secrets.cover(value)

    async def veiled(self, tasks: Iterable[str], value: T, at_once: bool) -> T:
        """`value`, which tells of these tasks, without all that their runs found; with `at_once`,
        of those under way without what is known by now."""
        known = NOTHING
        runs = False
        for root in dict.fromkeys(map(root_of, tasks)):
            found = await self._known(root, at_once)
            if found is not NOTHING:
                known, runs = known.with_values(found.values), True
        if not runs:
            return value
        return await self._in_thread(lambda: known.cover(value))

    def ended(self, root: str, known: KnownSecrets) -> None:
        """A run is over; nothing more becomes known of it."""
        self._ended[root] = known
        if len(self._ended) > RUNS_KNOWN_MAX:
            del self._ended[next(iter(self._ended))]

    async def _known(self, root: str, at_once: bool) -> KnownSecrets:
        run = self._runs.get(root)
        if run is not None:
            return run.secrets if at_once else await run.known()
        if root not in self._ended:
            self.ended(root, await self._in_thread(lambda: self._found(root)))
        return self._ended[root]

    def _found(self, root: str) -> KnownSecrets:
        folder = self._store.folder(root)
        return NOTHING if folder is None else self._of(folder)

    def _of(self, folder: RunFolder) -> KnownSecrets:
        order, secrecy = folder.read_order(), Secrecy(folder)
        story = story_in(folder, order)
        secrecy.covered(facts_of(folder, order, story, folder.read_record().status, self._blobs))
        return secrecy.known.with_values(())

    async def _in_thread(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)
