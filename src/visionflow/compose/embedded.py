"""The embedded runtime: a node on a thread and loop of its own, wired to the real adapters.

The program that embeds it talks to it from any thread by `post`; calls posted close together
cross over as one.
"""

import asyncio
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack, closing, suppress
from typing import Any, TypeVar

from visionflow.adapters.files import FileBlobs
from visionflow.adapters.host_os import OsHost
from visionflow.adapters.lines import LineLog
from visionflow.adapters.lock import Lock, acquire
from visionflow.adapters.sqlite.log import SqliteLog
from visionflow.adapters.sqlite.views import SqliteViews
from visionflow.compose.embedded_scaling import EmbeddedSource
from visionflow.compose.ground import Ground, Places, last_ms
from visionflow.compose.outputs import keep_within_bounds
from visionflow.compose.scaling import Scaling
from visionflow.compose.store import Store
from visionflow.domain.errors import LogUnavailable, UsageError
from visionflow.domain.swarms import SwarmSpec
from visionflow.runtime.chronicle import Chronicle
from visionflow.runtime.debugging import Debugged
from visionflow.runtime.node import Node, Stopped
from visionflow.runtime.queries import Queries
from visionflow.settings.agents import AgentSettings
from visionflow.worker.hiding import HIDDEN

T = TypeVar("T")
POSTED_PER_TURN_MAX = 1_024


_living: "weakref.WeakSet[Embedded]" = weakref.WeakSet()


def _as_it_is(_task: str, words: str) -> str:
    return words  # The log itself takes out what is known to be secret.


def _tell_forked() -> None:
    for embedded in list(_living):
        embedded.forked()


os.register_at_fork(after_in_child=_tell_forked)


class Embedded:
    """Open it, use `node` by `post` or `call`, close it."""

    def __init__(
        self,
        store: Store,
        spec: SwarmSpec,
        on_failure: Callable[[BaseException], None] | None = None,
        import_paths: tuple[str, ...] = (),
        log_level: str | None = None,
        templates: AgentSettings | None = None,
    ) -> None:
        """`on_failure` is called in the runtime's thread when it can answer nothing more.
        `log_level`: from which on the lives of agents and tasks are told in the log for people;
        `None`: not there. `templates`: whose agents follow the load, where they say `autoscale`."""
        self.store = store
        self.spec = spec
        self.blobs = FileBlobs(store.blobs)
        self._on_failure = on_failure
        self._import_paths = import_paths
        self._log_level = log_level
        self._templates = templates
        self._posted: deque[Callable[[], None]] = deque()
        self._awake = False
        self._loop: asyncio.AbstractEventLoop
        self._node: Node | None = None
        self._queries: Queries | None = None
        self._stopping: asyncio.Event
        self._kill = False
        self._failure: BaseException | None = None
        self._over: BaseException | None = None
        """Why nothing can be posted any more."""
        self._pid = os.getpid()
        _living.add(self)
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._main, name="visionflow", daemon=True)

    def open(self) -> None:
        """Recover what the store holds, or create it; returns once that is durable.

        Raises:
            VisionFlowError: the store is in use, corrupt, or cannot be written.
        """
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            self._thread.join()
            raise self._failure

    @property
    def node(self) -> Node:
        """The node. Its methods belong to the runtime's thread: reach them by `post`."""
        if self._node is None:
            raise LogUnavailable("This orchestrator is not open.", hint="Use it in a `with` block.")
        return self._node

    @property
    def queries(self) -> Queries:
        """Lists and details. Its methods block, and may be called from any thread."""
        if self._over is not None:
            raise self._over
        if self._queries is None:
            raise LogUnavailable("This orchestrator is not open.", hint="Use it in a `with` block.")
        return self._queries

    @property
    def failure(self) -> BaseException | None:
        """Why it stopped by itself, if it did."""
        return self._failure

    def post(self, call: Callable[[], None]) -> None:
        """Run `call` in the runtime's thread, in the order posted.

        What is posted while it closes is still called, and finds that nothing is decided any more.

        Raises:
            VisionFlowError: it was closed, or ended by itself; the error says why.
        """
        if self._over is not None:
            raise self._over
        self._posted.append(call)
        if not self._awake:
            self._awake = True
            with suppress(RuntimeError):  # The loop is closed; `_over` is set by then.
                self._loop.call_soon_threadsafe(self._drain)
        if self._over is not None:
            self._drain_rest()

    def _drain(self) -> None:
        # Not until there is nothing more: who posts without a pause would keep the loop from
        # everything else, the answers included.
        self._awake = False
        posted = self._posted
        for _ in range(min(len(posted), POSTED_PER_TURN_MAX)):
            posted.popleft()()
        if posted and not self._awake:
            self._awake = True
            self._loop.call_soon(self._drain)

    def _drain_rest(self) -> None:
        """Once it is over; several threads may be here."""
        with suppress(IndexError):
            while True:
                self._posted.popleft()()

    def forked(self) -> None:
        """This process is a copy: the runtime's thread, and the workers, are its parent's."""
        self._over = UsageError(
            "This process was forked from the one that opened the orchestrator.",
            hint="Use it there, or start processes with multiprocessing's `spawn` method.",
        )

    def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the runtime's loop and wait for it."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def close(self, kill: bool = False) -> None:
        """End the workers, then the runtime. What is not finished stays in the log."""
        if self._pid != os.getpid():
            return
        if self._thread.is_alive() and self._node is not None:
            self._kill = kill
            with suppress(RuntimeError):  # It has just ended by itself.
                self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    # The runtime's thread --------------------------------------------------------------------

    def _main(self) -> None:
        try:
            asyncio.run(self._run())
        except BaseException as error:
            self._failure = self._failure or error
        finally:
            self._over = self._failure or Stopped(
                "This orchestrator was closed.", hint="Make a new one to go on with its folder."
            )
            if self._node is not None:
                self._node.control.close(self._over)
                self._node.completions.abandon(self._over)
            self._drain_rest()
            self._ready.set()

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        store = self.store
        store.folder.mkdir(parents=True, exist_ok=True)
        lock = acquire(store.lock)
        try:
            await self._serve(store, lock)
        finally:
            lock.release()

    async def _serve(self, store: Store, lock: Lock) -> None:
        async with AsyncExitStack() as open_now:
            log = open_now.enter_context(closing(SqliteLog.open(store.log)))
            views = open_now.enter_context(closing(SqliteViews(store.views)))
            lines = open_now.enter_context(closing(LineLog(store.lines, mask=HIDDEN.text)))
            await self._run_node(store, log, views, lines, open_now)

    async def _run_node(
        self,
        store: Store,
        log: SqliteLog,
        views: SqliteViews,
        lines: LineLog,
        open_now: AsyncExitStack,
    ) -> None:
        host = OsHost(self._loop, floor_ms=last_ms(log, (self.spec.id,)))
        places = Places(store.folder, store.blobs, store.workers)

        def told(spec: SwarmSpec, node: Node) -> None:
            if self._log_level is not None:
                debugged = Debugged(host.now_ms)
                Chronicle(spec, node, host, lines, self._log_level, _as_it_is, debugged)

        paths = self._import_paths
        ground = Ground(places, log, self.blobs, host, lines, self._failed, paths, told)
        open_now.push_async_callback(ground.close)
        bounds = keep_within_bounds(ground.keep_outputs_within_bounds)
        open_now.callback(asyncio.ensure_future(bounds).cancel)
        await ground.listen()
        node = await ground.open(self.spec, store.scratch)
        if node.control.state.spec is not None:
            # A store keeps the limits that it was created with.
            self.spec = node.control.state.spec
        control = node.control
        self._queries = Queries(log, self.spec.id, views, lambda: control.head.seq)
        self._node = node
        if self._templates is not None and self._templates.scaling.autoscale:
            source = EmbeddedSource(node, self._templates)
            scaling = Scaling(host, lines, self._templates.scaling, source)
            scaling.begin(node)
            open_now.push_async_callback(scaling.close)
        self._ready.set()
        await self._stopping.wait()
        await ground.close_swarm(self.spec.id, self._kill)

    def _failed(self, failure: BaseException) -> None:
        self._failure = failure
        self._kill = True
        if self._on_failure is not None:
            self._on_failure(failure)
        self._stopping.set()
