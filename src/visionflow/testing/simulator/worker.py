"""A simulated worker process: the real session and executor over simulated ports."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import msgspec

from visionflow.agents.base import AgentContext
from visionflow.domain.agents import AgentSpec
from visionflow.domain.errors import BusClosed
from visionflow.ports.bus import Bus
from visionflow.ports.host import Exit
from visionflow.ports.sandbox import Sandbox
from visionflow.testing.simulator.disk import Disk, SimBlobs
from visionflow.testing.simulator.host import Child, Machine, SimHost
from visionflow.testing.simulator.kernel import Process
from visionflow.testing.simulator.scripted import Stage, loader
from visionflow.testing.simulator.wire import LATENCY_US, Hub, WorkerEnd
from visionflow.testing.simulator.witness import Witness
from visionflow.worker import exits
from visionflow.worker.executor import Executor
from visionflow.worker.heartbeat import LoopHeartbeat
from visionflow.worker.session import Identity, WorkerSession
from visionflow.worker.threads import InlineThreads

ORDER = "VISIONFLOW_WORKER"
START_US = (2_000, 80_000)
RESIDENT_BYTES = 30_000_000


class Order(msgspec.Struct, frozen=True):
    """What a worker is told when it starts."""

    worker: str
    incarnation: int
    swarm: str
    heartbeat_ms: int
    grace_ms: int
    """How long it waits for a lost orchestrator."""
    memory_bytes: int | None = None
    """The ceiling of its memory, where it has one."""


class Surroundings(Machine, Protocol):
    """What a worker process finds on its machine."""

    @property
    def hub(self) -> Hub | None:
        """Who listens at present."""
        ...

    @property
    def disk(self) -> Disk:
        """Where blobs are."""
        ...

    @property
    def witness(self) -> Witness:
        """Who sees it all."""
        ...

    def peer_bus(self, process: Process, worker: str) -> Bus | None:
        """Over which peers of a mesh speak; `None`: over the hub's."""
        ...


class WorkerNode:
    """One worker process."""

    def __init__(
        self, surroundings: Surroundings, process: Process, order: Order, secret: str
    ) -> None:
        self.process = process
        self.order = order
        self.child: Child | None = None
        self.orphan_us: int | None = None
        self.session: WorkerSession | None = None
        self.end: WorkerEnd | None = None
        self.resident_bytes = RESIDENT_BYTES
        self._surroundings = surroundings
        self._identity = Identity(order.worker, order.incarnation, secret, order.swarm, process.pid)

    def terminate(self) -> None:
        """SIGTERM."""
        if self.session is not None:
            self.process.call(self.session.drain, "The worker was told to end (SIGTERM).")
        else:
            self.ended(Exit(None, "SIGTERM"))

    def ended(self, how: Exit) -> None:
        """The process ends like this."""
        if self.child is not None:
            self.child.end(how)

    async def main(self) -> None:
        """The program."""
        kernel, order = self.process.kernel, self.order
        await asyncio.sleep(kernel.between(*START_US) / 1_000_000)
        host = SimHost(self.process, self._surroundings)
        blobs = SimBlobs(self.process, self._surroundings.disk)
        stage = Stage(
            self.process,
            self._surroundings.witness,
            lambda: self.ended(Exit(None, "SIGSEGV")),
        )

        def context(spec: AgentSpec, write_log: Callable[[str, str], None]) -> AgentContext:
            return AgentContext(
                folder=Path("/simulated") / spec.id,
                blobs=blobs,
                open_sandbox=_no_sandbox,
                write_log=write_log,
            )

        executor = Executor(
            host=host,
            blobs=blobs,
            threads=InlineThreads(asyncio.get_running_loop()),
            make_context=context,
            load=loader(stage),
            on_worn_out=lambda: session.end(exits.WORN_OUT),
        )
        session = WorkerSession(
            self._identity,
            self._dial,
            host,
            executor,
            order.grace_ms,
            lambda: self.resident_bytes,
            lambda: order.memory_bytes,
            peer_bus=self._surroundings.peer_bus(self.process, order.worker),
        )
        self.session = session
        LoopHeartbeat(host, session.beat, order.heartbeat_ms).start()
        code = await session.run()
        if code == exits.ORPHANED:
            self.ended(Exit(None, "SIGKILL"))
        else:
            self.ended(Exit(code, None))

    async def _dial(self, on_lost: Callable[[], None]) -> Bus:
        kernel, who = self.process.kernel, self._identity
        await asyncio.sleep(kernel.between(*LATENCY_US) / 1_000_000)
        hub = self._surroundings.hub
        if hub is None:
            raise BusClosed("Nobody listens.")
        end = WorkerEnd(self.process, on_lost)
        link = hub.admit(end, who.worker, who.incarnation, who.secret, who.pid)
        await asyncio.sleep(kernel.between(*LATENCY_US) / 1_000_000)
        end.join(link)
        self.end = end
        return end


def _no_sandbox() -> Sandbox:
    raise RuntimeError("There is nothing to run a command with in a simulation.")
