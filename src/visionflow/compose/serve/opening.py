"""Opens the server's core in the running loop: the store, the fleet, every swarm, the jobs.

No port is opened here; `ports` does that once this is done. Nothing goes on when one part can
answer nothing more: `OpenServer.failure` tells, and whoever opened it closes it.
"""

import asyncio
import os
import sys
from contextlib import AsyncExitStack, closing
from pathlib import Path
from typing import TextIO

from visionflow.adapters.files import FileBlobs, make_folders
from visionflow.adapters.host_os import OsHost
from visionflow.adapters.hub.guard import make_private
from visionflow.adapters.lines import LineLog
from visionflow.adapters.lock import Lock, acquire, owner
from visionflow.adapters.sqlite.fleet_views import SqliteFleetViews
from visionflow.adapters.sqlite.log import SqliteLog
from visionflow.adapters.sqlite.views import SqliteViews
from visionflow.agents.workspace.files import remove_tree
from visionflow.compose.ground import Ground, Places, last_ms
from visionflow.compose.outputs import keep_within_bounds
from visionflow.compose.serve.core import Core
from visionflow.compose.serve.jobs import ServerJobs
from visionflow.compose.serve.scaling import scaling_of
from visionflow.compose.store import ServerStore
from visionflow.domain.errors import LogUnavailable, StoreInUse, VisionFlowError
from visionflow.domain.ids import one_word
from visionflow.domain.swarms import SwarmSpec
from visionflow.interfaces.server import Server
from visionflow.runtime.chronicle import Chronicle, FleetChronicle
from visionflow.runtime.debugging import Debugged
from visionflow.runtime.ended import EndedSwarms, Reads
from visionflow.runtime.fleet import FleetLog
from visionflow.runtime.node import Node
from visionflow.runtime.queries import Queries
from visionflow.runtime.swarms import LiveSwarm, Swarms
from visionflow.settings.agents import AgentSettings, load_agents
from visionflow.settings.origins import completed
from visionflow.settings.server import ServerSettings
from visionflow.worker.hiding import HIDDEN


class OpenServer:
    """A running core. Every method belongs to its loop."""

    def __init__(
        self,
        server: Server,
        core: Core,
        jobs: ServerJobs,
        held: AsyncExitStack,
        failure: "asyncio.Future[BaseException]",
    ) -> None:
        self.server = server
        self.core = core
        self._jobs = jobs
        self._held = held
        self._failure = failure
        self._ending: asyncio.Future[None] | None = None
        self._closing: asyncio.Future[None] | None = None

    async def failed(self) -> BaseException:
        """Wait until it can answer nothing more, and say why."""
        return await asyncio.shield(self._failure)

    async def end_workers(self, kill: bool = False) -> None:
        """Take on nothing more and end the workers: they are asked, and killed after eight
        seconds; with `kill` at once. Again is harmless, and waits for the first."""
        if self._ending is None:
            self._ending = asyncio.ensure_future(self._end_workers(kill))
        await asyncio.shield(self._ending)

    async def _end_workers(self, kill: bool) -> None:
        self.server.ready = False
        await self._jobs.close()
        await self.core.swarms.close(kill)

    async def leave(self, kill: bool = False) -> None:
        """End everything but the workers, which wait for the next server as long as they have
        grace; those that have none are ended as by `close`."""
        ground, core = self.core.ground, self.core
        ground.leave_workers()
        left, grace_s = len(ground.worker_pids()), core.settings.orphan_grace_ms / 1_000
        if left and grace_s:
            many = "1 process goes" if left == 1 else f"{left} processes go"
            told = f"{many} on for {grace_s:g} s, and the next server takes over"
            core.lines.log("info", None, "workers_left", told)
        await self.close(kill)

    async def close(self, kill: bool = False) -> None:
        """End the workers, then everything; what is not finished stays in the log.

        Again is harmless, and waits for the first.
        """
        if self._closing is None:
            self._closing = asyncio.ensure_future(self._close(kill))
        await asyncio.shield(self._closing)

    async def _close(self, kill: bool) -> None:
        try:
            await self.end_workers(kill)
        finally:
            await self._held.aclose()


async def open_server(
    settings: ServerSettings | None = None, *, echo: TextIO | None = None
) -> OpenServer:
    """Recover what the store of `settings.home` holds, or create it; returns once that is durable.

    Log lines go to `echo` too. `server.ready` is true from then on.

    Raises:
        StoreInUse: another process owns the store; the message has its pid.
        ConfigError: the agents.yaml has a fault.
        VisionFlowError: the store is corrupt, or cannot be written.
    """
    settings = completed(settings or ServerSettings(), os.environ)
    templates = load_agents(Path(settings.agents_file) if settings.agents_file else None)
    failure: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()
    async with AsyncExitStack() as opening:
        cover = _Cover()
        core = await _core(settings, templates, opening, failure, echo, cover)
        jobs = cover.jobs = ServerJobs(core)
        opening.push_async_callback(jobs.close)
        server = Server(
            settings=settings,
            templates=templates,
            swarms=core.swarms,
            fleet=core.fleet,
            jobs=jobs,
            lines=core.lines,
            now_ms=core.host.now_ms,
            ended=core.ended,
        )
        try:
            opening.push_async_callback(scaling_of(server, core).close)
            await core.swarms.recover()
            core.ground.complete()
            await jobs.recover()
            if failure.done():
                raise failure.result()
        except BaseException:
            # Whoever comes next may be able to go on with what they do.
            core.ground.leave_workers()
            raise
        server.ready = True
        told = f"{len(core.swarms.all())} swarms with {core.swarms.agents} agents"
        core.lines.log("info", None, "recovered", told)
        return OpenServer(server, core, jobs, opening.pop_all(), failure)


async def _core(
    settings: ServerSettings,
    templates: AgentSettings,
    opening: AsyncExitStack,
    failure: "asyncio.Future[BaseException]",
    echo: TextIO | None,
    cover: "_Cover",
) -> Core:
    """All but the jobs; what has to be closed again is on the stack, swarms on top."""
    store = ServerStore.of(settings.home)
    opening.enter_context(_owned(store))
    form, level = settings.log_format, settings.log_level
    # By the swarms' own clock, which is below: nothing is debugged before there is one.
    debugged = Debugged(lambda: host.now_ms())
    lines = opening.enter_context(
        closing(
            LineLog(
                store.lines,
                level=level,
                form=form,
                echo=echo,
                debugged=debugged.is_on,
                mask=HIDDEN.text,
            )
        )
    )

    def failed(error: BaseException) -> None:
        lines.log("error", None, "failed", f"nothing more is answered: {error}")
        if not failure.done():
            failure.set_result(error)

    log = opening.enter_context(closing(SqliteLog.open(store.log)))
    blobs = FileBlobs(store.blobs)
    host = OsHost(asyncio.get_running_loop(), floor_ms=last_ms(log, log.streams()))
    places = Places(store.folder, store.blobs, store.workers, socket_inside=True)

    def chronicle(spec: SwarmSpec, node: Node) -> None:
        Chronicle(spec, node, host, lines, level, cover, debugged)

    paths = _import_paths(settings)
    grace_ms = settings.orphan_grace_ms
    ground = Ground(places, log, blobs, host, lines, failed, paths, chronicle, grace_ms)
    opening.push_async_callback(ground.close)
    bounds = keep_within_bounds(ground.keep_outputs_within_bounds)
    opening.callback(asyncio.ensure_future(bounds).cancel)
    await ground.listen()
    fleet_views = opening.enter_context(closing(SqliteFleetViews(store.fleet_views)))
    fleet = FleetLog.open(log, host, blobs, fleet_views, failed)
    told = FleetChronicle(host, lines, level)
    opening.callback(told.close)
    fleet.follow(told.committed)
    opening.push_async_callback(_close_fleet, fleet, failure)
    opened = _Opened(ground, store)
    swarms = Swarms(fleet, opened.open, opened.close, settings.agents_max)
    opening.push_async_callback(swarms.close, True)
    ended = EndedSwarms(fleet.state, blobs, opened.reads, swarms.gone)
    opening.push_async_callback(ended.close)
    return Core(settings, store, templates, log, blobs, host, lines, ground, fleet, swarms, ended)


async def _close_fleet(fleet: FleetLog, failure: "asyncio.Future[BaseException]") -> None:
    try:
        await fleet.close()
    except VisionFlowError:
        # What cannot be written any more was told as the failure.
        if not failure.done():
            raise


class _Cover:
    """Keeps out of log lines what runs found to be secret. There are no jobs before the core."""

    jobs: ServerJobs | None = None

    def __call__(self, task: str, words: str) -> str:
        return words if self.jobs is None else self.jobs.covered(task, words)


class _Opened:
    """Opens swarms on the ground, each with its views, and closes them."""

    def __init__(self, ground: Ground, store: ServerStore) -> None:
        self._ground = ground
        self._store = store
        self._views: dict[str, SqliteViews] = {}

    async def open(self, spec: SwarmSpec) -> LiveSwarm:
        word = one_word(spec.id)
        node = await self._ground.open(spec, self._store.scratch / word)
        views = SqliteViews(self._store.views / f"{word}.db")
        control = node.control
        self._views[spec.id] = views
        queries = Queries(self._ground.log, spec.id, views, lambda: control.head.seq)
        return LiveSwarm(spec, node, queries)

    def reads(self, swarm: str) -> Reads:
        """To read a swarm that is over. Blocks."""
        log = self._ground.log
        views = SqliteViews(self._store.views / f"{one_word(swarm)}.db")
        head = log.head(swarm).seq
        return Reads(Queries(log, swarm, views, lambda: head), views.close)

    async def close(self, swarm: LiveSwarm, kill: bool) -> None:
        await self._ground.close_swarm(swarm.id, kill)
        await swarm.read_out()
        views = self._views.pop(swarm.id, None)
        if views is not None:
            views.close()
        if swarm.state.closed is not None:
            scratch = self._store.scratch / one_word(swarm.id)
            await asyncio.to_thread(remove_tree, scratch)


def _owned(store: ServerStore) -> Lock:
    """Become the owner of a store whose folders are there, and closed to other users."""
    try:
        make_folders(store.folder)
        make_private(store.folder)
        for folder in (store.views, store.scratch, store.runs):
            folder.mkdir(exist_ok=True)
    except OSError as error:
        raise LogUnavailable(
            f"The store {store.folder} cannot be made: {error.strerror or error}.",
            hint="Name a folder that you may write with --home or VISIONFLOW_HOME.",
        ) from error
    try:
        lock = acquire(store.lock)
    except StoreInUse as error:
        who = owner(store.lock)
        named = "another process" if who is None else f"process {who.pid}"
        stop = "" if who is None else f", stop it with `kill {who.pid}`,"
        raise StoreInUse(
            f"The store {store.folder} is in use by {named}.",
            hint=f"Talk to that server{stop} or give this one another --home.",
        ) from error
    return lock


def _import_paths(settings: ServerSettings) -> tuple[str, ...]:
    """Where workers look for classes that a file of templates names."""
    if settings.agents_file is None:
        return ()
    return tuple(os.path.abspath(entry or ".") for entry in sys.path)
