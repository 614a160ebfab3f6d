"""The simulated machine: an orchestrator that is brought back whenever it ends, and workers."""

from collections.abc import Callable, Mapping
from random import Random

import msgspec

from visionflow.domain.limits import Limits
from visionflow.domain.swarms import Strategy, SwarmSpec, Topology
from visionflow.ports.bus import Bus
from visionflow.ports.host import Exit, ProcessState
from visionflow.testing.simulator.client import Client
from visionflow.testing.simulator.disk import Disk
from visionflow.testing.simulator.host import Child, CountingTelemetry, SimHost
from visionflow.testing.simulator.kernel import Kernel, Process
from visionflow.testing.simulator.orchestrator import Life
from visionflow.testing.simulator.wire import Hub
from visionflow.testing.simulator.witness import Witness
from visionflow.testing.simulator.worker import ORDER, Order, WorkerNode
from visionflow.testing.workload import Workload

RESTART_US = (5_000, 900_000)
ORPHAN_US = (50, 300_000)
"""How soon a worker that waits for nobody sees that its parent is gone."""

SHAPED = 0.4
"""This share of the seeds has a topology and a strategy of its own."""
SHAPES = tuple(each for each in Topology if each is not Topology.MESH)


def shape_of(seed: int) -> tuple[Topology, Strategy]:
    """The topology and the strategy of a seed's swarm. A mesh is simulated elsewhere (`mesh`), with
    a bus for its peers; an adaptive swarm may become one."""
    source = Random(f"shape of {seed}")
    if source.random() >= SHAPED:
        return Topology.HIERARCHICAL, Strategy.CENTRALIZED
    return source.choice(SHAPES), source.choice(list(Strategy))


class World:
    """One machine with one swarm on it."""

    def __init__(self, seed: int, workload: Workload) -> None:
        self.kernel = kernel = Kernel(seed)
        blobs: dict[str, bytes] = {}
        self.witness = Witness(kernel, blobs)
        self.disk = Disk(kernel, blobs, self.witness.durable)
        self.telemetry = CountingTelemetry()
        self.grace_ms = 0 if kernel.chance(0.5) else 60_000
        self.workers: list[WorkerNode] = []
        self.lives: list[Life] = []
        self.spawn_refusals = 0
        """So many processes will be refused."""
        self.closing = False
        limits = Limits(
            agents_max=workload.agents_max,
            mailbox_max=20_000 if kernel.chance(0.8) else 6,
            heartbeat_ms=kernel.random.choice((500, 1_000, 2_000, 5_000)),
            workers_max=kernel.random.randint(1, 3),
        )
        # Of its own chance, so that all else of a seed stays what it is.
        scaled = Random(f"scaling of {seed}").random() < 0.25
        topology, strategy = shape_of(seed)
        self.spec = SwarmSpec(
            id="swarm",
            goal="simulated",
            topology=topology,
            strategy=strategy,
            autoscale=scaled,
            limits=limits,
        )
        self.client = Client(self, workload)
        self.witness.person.ask = self.client.ask

    # The orchestrator --------------------------------------------------------------------------

    @property
    def life(self) -> Life | None:
        """The orchestrator, while one lives."""
        if self.lives and self.lives[-1].process.alive:
            return self.lives[-1]
        return None

    @property
    def hub(self) -> Hub | None:
        """Who listens at present."""
        return None if self.life is None else self.life.hub

    def start(self) -> None:
        """Start the orchestrator, again if need be."""
        process = self.kernel.process(f"orchestrator.{len(self.lives) + 1}")
        life = Life(self, process, self.spec)
        self.lives.append(life)
        process.on_death.append(self._orchestrator_died)
        process.start(life.main())

    def _orchestrator_died(self) -> None:
        kernel = self.kernel
        kernel.trace("orchestrator died")
        for node in self.workers:
            if node.process.alive and not self.grace_ms:
                kernel.after(kernel.between(*ORPHAN_US), _orphaned(node))
        if not self.closing:
            kernel.after(kernel.between(*RESTART_US), self.start)

    # Workers -----------------------------------------------------------------------------------

    def launch(self, parent: SimHost, env: Mapping[str, str], secret: str) -> Child | None:
        """See `host.Machine`."""
        if self.spawn_refusals:
            self.spawn_refusals -= 1
            return None
        order = msgspec.json.decode(env[ORDER], type=Order)
        self.witness.launched(order.worker, order.incarnation)
        process = self.kernel.process(f"{order.worker}.{order.incarnation}@{len(self.workers)}")
        node = WorkerNode(self, process, order, secret)
        node.child = Child(process, parent.process, node.terminate)
        self.workers.append(node)
        process.start(node.main())
        return node.child

    def peer_bus(self, process: Process, worker: str) -> Bus | None:
        """See `worker.Surroundings`."""
        return None

    def attach(self, watcher: SimHost, pid: int, started: str) -> Child | None:
        """See `host.Machine`."""
        for node in self.workers:
            process = node.process
            if process.alive and (process.pid, process.started) == (pid, started):
                return Child(process, watcher.process, node.terminate, attached=True)
        return None

    def process_state(self, pid: int, started: str) -> ProcessState:
        """See `host.Machine`."""
        for node in self.workers:
            process = node.process
            if process.alive and (process.pid, process.started) == (pid, started):
                return ProcessState.STOPPED if process.stopped else ProcessState.RUNNING
        return ProcessState.GONE

    def end_leftover(self, pid: int, started: str) -> bool:
        """See `host.Machine`."""
        for node in self.workers:
            if node.process.alive and (node.process.pid, node.process.started) == (pid, started):
                node.ended(Exit(None, "SIGKILL"))
                return True
        return False

    def heal(self) -> None:
        """No fault is at work any more."""
        self.spawn_refusals = 0
        self.disk.slow = 1
        self.disk.appends_until_failure = -1
        for process in [node.process for node in self.workers] + [
            life.process for life in self.lives
        ]:
            process.steps_left = process.touches_left = -1
            process.resume()

    def leftovers(self, besides: list[int]) -> list[str]:
        """See `orchestrator.Surroundings`."""
        lines = self.witness.check.workers
        return [
            node.process.name
            for node in self.living()
            if node.order.worker in lines
            and lines[node.order.worker].alive
            and lines[node.order.worker].incarnation == node.order.incarnation
            and lines[node.order.worker].pid == node.process.pid
            and node.process.pid not in besides
        ]

    def living(self) -> list[WorkerNode]:
        """Worker processes that live."""
        return [node for node in self.workers if node.process.alive]


def _orphaned(node: WorkerNode) -> Callable[[], None]:
    return lambda: node.ended(Exit(None, "SIGKILL"))
