"""Takes on goals and work in the swarms of a server, and sees each run to its report.

A run is promised on disk before its plan is handed in; whatever is killed when, the next start
hands in what was promised, goes on with what is under way, and writes what was not written.
"""

import asyncio
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import TypeVar

import msgspec

from visionflow.compose.job.folder import Order as RunOrder
from visionflow.compose.job.folder import RunFolder
from visionflow.compose.job.plan import submission
from visionflow.compose.serve.core import Core
from visionflow.compose.serve.jobs_forming import formed_in
from visionflow.compose.serve.jobs_lacking import Fill, lacking
from visionflow.compose.serve.jobs_orders import Planner
from visionflow.compose.serve.jobs_pipelines import ServedPipelines
from visionflow.compose.serve.jobs_runs import ServedRun
from visionflow.compose.serve.jobs_store import RunStore
from visionflow.compose.serve.jobs_team import covered, reason_of, types_of_plan
from visionflow.compose.serve.jobs_told import Estimates, told
from visionflow.compose.serve.jobs_veil import Veils
from visionflow.domain import commands as c
from visionflow.domain import events as e
from visionflow.domain.access import Caller
from visionflow.domain.errors import Refused, UnknownTask, refusal
from visionflow.domain.events import AnyEvent
from visionflow.domain.pipelines_commands import OpenPipeline
from visionflow.domain.tasks import TaskStatus
from visionflow.interfaces.jobs import Order, Report, Started
from visionflow.runtime.node import Stopped
from visionflow.runtime.swarms import LiveSwarm

T = TypeVar("T")
_ENDINGS = (e.TaskCompleted, e.TaskFailed, e.TaskDeadLettered, e.TaskCancelled)
PLANNING, FOLLOWING = 2, 2
"""Threads: those that follow runs write reports, which must not keep a goal from being planned,
nor the loop from its turns."""


class ServerJobs:
    """Satisfies `Jobs`. One for each server."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._store = RunStore(core.store.runs, core.store.folder / "open_runs")
        self._threads = ThreadPoolExecutor(PLANNING, "visionflow-jobs")
        self._followers = ThreadPoolExecutor(FOLLOWING, "visionflow-runs")
        self.planner = Planner(core, self._store, self._threads)
        self._pipelines = ServedPipelines(core, self._threads)
        self._estimates = Estimates()
        self._runs: dict[str, ServedRun] = {}
        """Those under way, by their root task."""
        self._fill = Fill(self._runs, core.swarms, self.planner)
        self._veils = Veils(self._store, core.blobs, self._threads, self._runs)
        self._following: dict[str, asyncio.Task[None]] = {}
        self._starting: dict[str, asyncio.Future[Started]] = {}
        """Orders that are being taken on, by the id of their command."""
        self._watched: dict[str, LiveSwarm] = {}
        self._releasing: dict[str, asyncio.Task[None]] = {}
        """By swarm: its formed agents are being ended."""
        self._lost: set[str] = set()
        """Swarms with a run that is taken up at the next start only, with the agents it formed."""
        self._closed = False

    # From start to end of the server ---------------------------------------------------------

    async def recover(self) -> None:
        """Go on with what was under way. Called once the swarms are open."""
        for folder, order in await self._in_thread(self._store.unfinished):
            try:
                await self._recover(folder, order)
            except Exception as error:
                # One run must not keep the server from starting; its promise stays.
                text = f"{folder.run} cannot be taken up, until the next start: {error!r}"
                self._core.lines.log("error", None, "run_lost", text)
                if order.served is not None:
                    self._lost.add(order.served.swarm)
        for swarm in self._core.swarms.all():
            await self._let_go_on(swarm)
            self._ease(swarm)
        self._fill.look()
        self._pipelines.recover()

    async def _recover(self, folder: RunFolder, order: RunOrder) -> None:
        served = order.served
        if served is None:
            return
        swarm = self._core.swarms.find(served.swarm)
        if swarm is None or await self._is_known(swarm, served.root):
            self._take_up(folder, order, swarm)
            return
        try:
            await self.planner.form_again(order, swarm)
            await self._hand_in(folder, order, swarm)
        except Refused:
            await self._in_thread(partial(self._store.drop, folder))

    async def close(self) -> None:
        """Follow nothing more; what is not finished is taken up again. Again is harmless."""
        self._closed = True
        for run in self._runs.values():
            run.stop()
        await self._fill.close()
        await self._pipelines.close()
        await asyncio.gather(*self._starting.values(), return_exceptions=True)
        await asyncio.gather(*self._releasing.values(), return_exceptions=True)
        await asyncio.gather(*self._following.values(), return_exceptions=True)
        for threads in (self._threads, self._followers):
            await asyncio.to_thread(threads.shutdown)

    # Jobs ------------------------------------------------------------------------------------

    async def start(self, order: Order, swarm: LiveSwarm, caller: Caller) -> Started:
        """See `Jobs.start`. What has begun is done to its end, whoever waits for it."""
        root = swarm.node.intake.new_id("task")
        word = order.key or root
        found = self._starting.get(word)
        if found is None:
            found = asyncio.ensure_future(self._begin(order, swarm, caller, root))
            self._starting[word] = found
            found.add_done_callback(partial(self._started, word))
        return await asyncio.shield(found)

    def _started(self, word: str, done: "asyncio.Future[Started]") -> None:
        self._starting.pop(word, None)
        if not done.cancelled():
            done.exception()  # Whoever still waits is told.

    async def _begin(self, order: Order, swarm: LiveSwarm, caller: Caller, root: str) -> Started:
        try:
            with self.planner.teams.coming(swarm):
                return await self._start(order, swarm, caller, root)
        finally:
            self._ease(swarm)  # It may have been refused once its agents were there, or be over.
            self._fill.look()

    async def _start(self, order: Order, swarm: LiveSwarm, caller: Caller, root: str) -> Started:
        answer = None if order.key is None else swarm.state.answers.get(order.key)
        if answer is not None:
            await swarm.settled()
            if answer.code is not None:
                raise refusal(answer.code, answer.message or answer.code)
            root = answer.subject or root
            return await self._told(swarm, root, Started(task=root, status=""))
        for run in self._runs.values() if order.key is not None else ():
            if run.swarm is swarm and run.served.command == order.key:
                root = run.served.root  # It goes on for longer than the engine knows the command.
                return await self._told(swarm, root, Started(task=root, status=""))
        hand = await self.planner.hand(order, swarm, caller, root)
        if hand.order is None:
            assert hand.command is not None
            answer = await swarm.ask(hand.command)
            if isinstance(hand.command, OpenPipeline):
                self._pipelines.take_up(swarm, answer.subject or root)
            if answer.subject not in (None, root):
                return await self._told(swarm, answer.subject, hand.known)
            return await told(
                swarm, root, hand.known, self._estimates, self.planner.teams.full(swarm)
            )
        folder = self._store.place(root)
        try:
            await self._hand_in(folder, hand.order, swarm)
        except Refused:
            await self._in_thread(lambda: self._store.drop(folder))
            raise
        return await self._told(swarm, root, hand.known)

    async def _told(self, swarm: LiveSwarm, root: str, known: Started) -> Started:
        folder = await self._in_thread(lambda: self._store.folder(root))
        order = None if folder is None else await self._in_thread(folder.read_order)
        if folder is not None and order is not None:
            known = self.planner.known(folder, order, swarm, known)
        run = self._runs.get(root)
        count = 1 if run is None else max(1, len(lacking(run, swarm.state)))
        full = self.planner.teams.full(swarm, count)
        return await told(swarm, root, known, self._estimates, full)

    def report(self, task: str) -> Report | None:
        """See `Jobs.report`."""
        return self._store.report(task)

    async def concluded(self, task: str) -> None:
        """See `Jobs.concluded`."""
        run = self._runs.get(task)
        if run is not None:
            await asyncio.shield(run.done)

    def expects(self, task: str) -> bool:
        """See `Jobs.expects`."""
        return self._fill.expects(task)

    def covered(self, task: str, value: T) -> T:
        """See `Jobs.covered`."""
        return self._veils.covered(task, value)

    async def veiled(self, tasks: Iterable[str], value: T, *, at_once: bool = False) -> T:
        """See `Jobs.veiled`."""
        return await self._veils.veiled(tasks, value, at_once)

    def runs(self) -> list[Report]:
        """See `Jobs.runs`."""
        return self._store.all()

    # Into the swarm --------------------------------------------------------------------------

    async def _hand_in(self, folder: RunFolder, order: RunOrder, swarm: LiveSwarm) -> None:
        """Hand the plan of a run in, and follow it from then on.

        Raises:
            Refused: the swarm does not take it.
        """
        served, plan = order.served, order.plan
        assert served is not None and plan is not None
        blobs, now_ms = self._core.blobs, swarm.now_ms
        command = await self._in_thread(lambda: submission(folder, order, plan, now_ms, blobs))
        types = types_of_plan(plan, served.doers)
        if not covered(served.capabilities, types, swarm.state):
            command = msgspec.structs.replace(command, blocked=reason_of(served, plan, swarm.state))
        run, following = self._take_up(folder, order, swarm)
        try:
            await swarm.ask(command)
        except Refused:
            run.stop()
            await following
            raise

    async def _is_known(self, swarm: LiveSwarm, root: str) -> bool:
        if root in swarm.state.tasks or root in swarm.state.finished:
            return True
        try:
            await swarm.read(lambda queries: queries.task(root))
        except UnknownTask:
            return False
        return True

    # Following -------------------------------------------------------------------------------

    def _take_up(
        self, folder: RunFolder, order: RunOrder, swarm: LiveSwarm | None
    ) -> "tuple[ServedRun, asyncio.Task[None]]":
        run = ServedRun(folder, order, swarm, self._core.blobs, self._followers)
        root = run.served.root
        self._runs[root] = run
        if swarm is not None:
            self._watch(swarm)
        following = asyncio.ensure_future(self._follow(root, run))
        self._following[root] = following
        following.add_done_callback(lambda _: self._following.pop(root, None))
        return run, following

    async def _follow(self, root: str, run: ServedRun) -> None:
        log, name = self._core.lines.log, run.folder.run
        try:
            if await run.follow():
                await self._in_thread(lambda: self._store.concluded(run.folder))
                status = (await self._in_thread(run.folder.read_record)).status
                log("info", None, "run_ended", f"{name} of task {root}: {status}")
        except Stopped:
            pass  # The server ends; it is taken up again.
        except Exception as error:
            text = f"{name} of task {root} cannot be followed, until the next start: {error!r}"
            log("error", None, "run_lost", text)
        finally:
            self._runs.pop(root, None)
            self._veils.ended(root, run.secrets)
            run.ended()

    def _ease(self, swarm: LiveSwarm) -> None:
        """Have the agents that were formed for jobs end with the last job of their swarm."""
        if formed_in(swarm.state):
            self._watch(swarm)
        if self._closed or swarm.id in {*self._releasing, *self._lost}:
            return
        if not self.planner.teams.is_free(swarm):
            return
        releasing = asyncio.ensure_future(self.planner.teams.release(swarm))
        self._releasing[swarm.id] = releasing
        releasing.add_done_callback(partial(self._eased, swarm))

    def _eased(self, swarm: LiveSwarm, done: "asyncio.Task[None]") -> None:
        self._releasing.pop(swarm.id, None)
        _hear(done)
        if not done.cancelled() and done.exception() is None:
            self._ease(swarm)  # A job may have come and gone meanwhile.

    def _watch(self, swarm: LiveSwarm) -> None:
        if self._watched.get(swarm.id) is swarm:
            return
        self._watched[swarm.id] = swarm

        def committed(_seq: int, _at_ms: int, events: list[AnyEvent]) -> None:
            self._committed(swarm, events)

        swarm.node.control.on_commit.append(committed)
        swarm.node.on_over.append(lambda _: self._over(swarm))

    def _committed(self, swarm: LiveSwarm, events: list[AnyEvent]) -> None:
        runs = self._runs
        if any(isinstance(event, _ENDINGS) for event in events):
            self._ease(swarm)
        if not runs:
            return
        for event in events:
            name = getattr(event, "task", None) or getattr(event, "vote", None)
            if name is not None:
                run = runs.get(name.partition(".")[0])
                if run is not None:
                    run.wake()
            elif isinstance(event, e.SwarmClosed):
                for run in runs.values():
                    if run.swarm is swarm:
                        run.wake()
            elif isinstance(event, (e.AgentFailed, e.AgentTerminated)):
                self._fill.look()
            elif isinstance(event, e.AgentReady) and any(
                each.swarm is swarm and each.served.capabilities for each in runs.values()
            ):
                asyncio.ensure_future(self._let_go_on(swarm)).add_done_callback(_hear)

    def _over(self, swarm: LiveSwarm) -> None:
        self._watched.pop(swarm.id, None)
        for run in self._runs.values():
            if run.swarm is swarm:
                run.swarm_over()

    async def _let_go_on(self, swarm: LiveSwarm) -> None:
        """Have plans go on that waited for capabilities which agents have by now."""
        for run in list(self._runs.values()):
            plan = run.order.plan
            if run.swarm is not swarm or plan is None or not run.served.capabilities:
                continue
            task = swarm.state.tasks.get(run.served.root)
            if task is None or task.status is not TaskStatus.BLOCKED:
                continue
            types = types_of_plan(plan, run.served.doers)
            if covered(run.served.capabilities, types, swarm.state):
                with suppress(Refused):  # Somebody else was quicker.
                    await swarm.ask(c.UnblockTask(now_ms=swarm.now_ms, task=run.served.root))

    async def _in_thread(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)


def _hear(done: "asyncio.Future[None]") -> None:
    if not done.cancelled():
        done.exception()  # The swarm is over: its own failure is told elsewhere.
