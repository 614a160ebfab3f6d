"""One run of chaos, from the first start of the server to the verdict."""

import asyncio
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import msgspec

from visionflow.adapters.files import FileBlobs
from visionflow.adapters.os_processes import is_alive
from visionflow.domain.errors import VisionFlowError
from visionflow.testing.chaos import judging, leftovers
from visionflow.testing.chaos.clients import Clients
from visionflow.testing.chaos.figures import FaultFigures, Spread, recoveries, spread
from visionflow.testing.chaos.plan import SPARE, Order, Plan, make_plan
from visionflow.testing.chaos.server import MARK, Place, Server
from visionflow.testing.chaos.striking import Striker
from visionflow.testing.chaos.watching import Watcher

STALLED_S_MAX = 150.0
"""When no task has come to its end for so long, and some have to, none will."""
GONE_S_MAX = 10.0
POLL_S = 0.05
TOLD_EVERY_S = 1.0


class Progress(msgspec.Struct, frozen=True):
    """How far a run is."""

    seconds: float
    handed_in: int
    ended: int
    tasks: int
    faults: int
    planned: int


OnProgress = Callable[[Progress], None]


class ChaosReport(msgspec.Struct, frozen=True):
    """What a run of chaos showed."""

    order: Order
    again: str
    """The command that makes the same choices."""
    violations: tuple[str, ...]
    """What must not have happened; empty is a clean bill."""
    acknowledged: int
    """Tasks that the server said it had taken."""
    by_status: dict[str, int]
    lost: int
    """Acknowledged tasks that did not come to an end."""
    turned_away: int
    """Calls that the server put off, as it was about to end; they were asked again."""
    completed_twice: int
    attempts: int
    """Given out, of all tasks."""
    results_refused: int
    """Results of attempts that were fenced off by then."""
    faults: dict[str, FaultFigures]
    missed: tuple[str, ...]
    """Faults that could not be brought about, and why."""
    again_ms: Spread | None
    """From each fault to the next attempt at a task that it struck down; all kinds together."""
    server_starts: int
    worker_starts: int
    ending_ms: Spread | None
    """Of the ends in order."""
    left_over: tuple[str, ...]
    """Processes that were there when the server had ended."""
    seconds: float
    folder: str | None
    """Where log, blobs and words of the server were kept."""


class _Run:
    """The parts of one run."""

    def __init__(self, order: Order, place: Place, plan: Plan) -> None:
        self.order = order
        self.plan = plan
        self.place = place
        self.server = Server(place, order.agents + SPARE)
        self.clients = Clients(place, order, plan)
        self.watcher: Watcher | None = None
        self.striker: Striker | None = None
        self.faults: list[str] = []
        self.left: list[str] = []
        self._began = time.monotonic()

    def progress(self) -> Progress:
        ended = 0 if self.watcher is None else self.watcher.ended
        struck = 0 if self.striker is None else len(self.striker.struck)
        return Progress(
            round(time.monotonic() - self._began, 1),
            len(self.clients.tasks),
            ended,
            self.order.tasks,
            struck,
            len(self.plan.strokes),
        )

    async def live(self) -> None:
        """From the start to the end in order, whatever comes."""
        following: asyncio.Task[None] | None = None
        try:
            async with self.clients.connected():
                await self.server.start()
                swarm = await self.clients.prepare()
                blobs = FileBlobs(self.place.blobs)
                self.watcher = watcher = Watcher(self.place.log, swarm, blobs.has)
                following = asyncio.create_task(watcher.follow())
                self.striker = Striker(self.plan.strokes, self.server, watcher)
                await self._work(swarm, watcher, self.striker, following)
        finally:
            if following is not None:
                following.cancel()
                await asyncio.gather(following, return_exceptions=True)
            if self.striker is not None:
                await self.striker.heal()
            await self.server.stop()
            await self._sweep()

    async def _work(
        self, swarm: str, watcher: Watcher, striker: Striker, following: "asyncio.Task[None]"
    ) -> None:
        striking = asyncio.create_task(striker.run())
        handing = asyncio.create_task(self.clients.hand_in(swarm))
        settled = asyncio.create_task(self._settle(watcher, handing, striking))
        all_of_it = (striking, handing, settled)
        try:
            # Whoever fails first ends it: nothing is waited for in vain.
            while not (settled.done() or following.done()):
                ended = watcher.ended
                await asyncio.wait(
                    (settled, following),
                    timeout=STALLED_S_MAX,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if watcher.ended == ended and not (settled.done() or following.done()):
                    self.faults.append(self._stalled(watcher))
                    return
            if following.done():
                following.result()
            await settled
        except VisionFlowError as error:
            self.faults.append(f"the log cannot be followed: {error}")
        finally:
            for each in all_of_it:
                each.cancel()
            await asyncio.gather(*all_of_it, return_exceptions=True)

    def _stalled(self, watcher: Watcher) -> str:
        tasks = watcher.check.tasks
        still = [f"{name} is {line.status}" for name, line in tasks.items() if not line.ends]
        return (
            f"no task has come to its end for {STALLED_S_MAX:g} s: {len(self.clients.tasks)} were "
            f"taken, {len(still)} have not ended: {', '.join(still[:3])}"
        )

    async def _settle(
        self, watcher: Watcher, handing: "asyncio.Task[None]", striking: "asyncio.Task[None]"
    ) -> None:
        """Until everything was handed in, struck, ended and told."""
        await handing
        tasks = self.clients.tasks
        await watcher.until(
            lambda: len(watcher.check.tasks) >= len(tasks) and not watcher.check.alive
        )
        await striking
        await watcher.until(lambda: not watcher.check.alive)
        await self.clients.answered()

    async def _sweep(self) -> None:
        """Nothing of the server may be left; what is gets killed."""
        deadline = time.monotonic() + GONE_S_MAX
        while True:
            found = leftovers.marked(MARK, str(self.place.home))
            known = {who for who in self._recorded() if is_alive(who)}
            found = sorted({*found, *known})
            if not found or time.monotonic() > deadline:
                break
            await asyncio.sleep(POLL_S)
        self.left = leftovers.names(found)
        leftovers.end(found)

    def _recorded(self) -> set[leftovers.Identity]:
        return set() if self.watcher is None else self.watcher.everyone

    def report(self, folder: str | None) -> ChaosReport:
        """The verdict, and the figures."""
        found = [*self.faults, *self.server.faults, *self.clients.faults]
        found += [f"process {each} is left over" for each in self.left]
        watcher, striker, tasks = self.watcher, self.striker, self.clients.tasks
        if watcher is None or striker is None:
            raise VisionFlowError("The server of this run of chaos never had a swarm.")
        try:
            watcher.catch_up()
        except VisionFlowError as error:
            found.append(f"the log is damaged: {error}")
        found += judging.violations(self.place, watcher, tasks, self.clients.told)
        check = watcher.check
        acknowledged = self.clients.acknowledged_ms
        faults = recoveries(watcher.history, striker.struck, acknowledged)
        return ChaosReport(
            order=self.order,
            again=self.order.again,
            violations=tuple(judging.shown(found)),
            acknowledged=len(tasks),
            by_status=dict(sorted(Counter(t.status for t in check.tasks.values()).items())),
            lost=judging.lost(check, tasks),
            turned_away=self.clients.turned_away,
            completed_twice=judging.twice(check),
            attempts=sum(line.attempt for line in check.tasks.values()),
            results_refused=len(check.late),
            faults=faults.by_kind,
            missed=tuple(f"{each.fault}: {why}" for each, why in striker.missed),
            again_ms=faults.again,
            server_starts=self.server.starts,
            worker_starts=watcher.starts,
            ending_ms=spread(self.server.endings_ms),
            left_over=tuple(self.left),
            seconds=self.progress().seconds,
            folder=folder,
        )


def chaos(
    order: Order, *, keep: bool = False, on_progress: OnProgress | None = None
) -> ChaosReport:
    """Run it in a temporary folder, and judge it. With `keep`, and after a violation, the folder
    stays.

    Raises:
        VisionFlowError: the server could not even be started.
        KeyboardInterrupt: somebody ended it; nothing is left over.
    """
    folder = Path(tempfile.mkdtemp(prefix="vf-chaos-"))
    run = _Run(order, Place(folder), make_plan(order))
    kept = keep
    try:
        asyncio.run(_live(run, on_progress))
        report = run.report(None)
        kept = keep or bool(report.violations)
        return msgspec.structs.replace(report, folder=str(folder) if kept else None)
    finally:
        if not kept:
            shutil.rmtree(folder, ignore_errors=True)


async def _live(run: _Run, on_progress: OnProgress | None) -> None:
    async def tell() -> None:
        while on_progress is not None:
            on_progress(run.progress())
            await asyncio.sleep(TOLD_EVERY_S)

    telling = asyncio.create_task(tell())
    try:
        await run.live()
    finally:
        telling.cancel()
        await asyncio.gather(telling, return_exceptions=True)
