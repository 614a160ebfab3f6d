"""A simulated mesh: the same orchestrator and workers as in every seed, whose agents are peers.

The bus between peers lives on while the orchestrator is down, so an auction that was announced is
settled meanwhile, and its task is worked on. What the log says of it comes later, under the same
fence as everything else.
"""

from collections import Counter
from random import Random

import msgspec

from visionflow.domain.swarms import Topology
from visionflow.ports.bus import Bus
from visionflow.runtime.meshing import MeshStatus
from visionflow.testing.simulator.faults import Faults
from visionflow.testing.simulator.kernel import Process
from visionflow.testing.simulator.orchestrator import compare_with_replay
from visionflow.testing.simulator.peernet import PeerNet
from visionflow.testing.simulator.verdict import Verdict
from visionflow.testing.simulator.world import World
from visionflow.testing.workload import Workload, make_workload

SPAN_MS = (6_000, 16_000)
END_MS = 900_000
CONVERGE_MS = 120_000
"""So long after the last fault all peers that live think the same."""
CUTS_MAX = 3


class MeshResult(msgspec.Struct, frozen=True):
    """What one seed showed."""

    seed: int
    faults: tuple[str, ...]
    """What must not have happened; empty is a clean bill."""
    counts: dict[str, int]
    status: MeshStatus | None
    """Of the mesh in the end."""
    digest: str
    """A hash of the whole trace: the same for the same seed and commit."""
    virtual_ms: int


class MeshWorld(World):
    """A machine with a swarm that is a mesh."""

    def __init__(self, seed: int, workload: Workload, calm: bool = False) -> None:
        """`calm`: no message between peers is lost, doubled or late."""
        super().__init__(seed, workload)
        source = Random(f"peers of {seed}")
        odds = [0.0] * 3 if calm else [source.choice((0.0, 0.02, 0.1)) for _ in range(3)]
        self.net = PeerNet(self.kernel, source, *odds)
        # Workers wait for their orchestrator: peers are to go on without it.
        self.grace_ms = 60_000
        limits = msgspec.structs.replace(self.spec.limits, workers_max=3)
        self.spec = msgspec.structs.replace(
            self.spec, topology=Topology.MESH, autoscale=False, limits=limits
        )

    def peer_bus(self, process: Process, worker: str) -> Bus | None:
        """See `worker.Surroundings`."""
        return self.net.join(process, worker)

    def status(self) -> MeshStatus | None:
        """The mesh as the orchestrator sees it now."""
        life = self.life
        return None if life is None or life.node is None else life.node.mesh.status()

    def converged(self) -> bool:
        """Whether all peers that live say the same of the mesh, and nobody is read-only."""
        status, up = self.status(), 0
        for agent in self.witness.check.agents.values():
            up += agent.status in ("ready", "processing")
        if status is None or status.members is None:
            return up == 0
        return bool(status.agree) and status.members == status.heard == up and not status.read_only


def run_mesh(seed: int, agents: int = 6, tasks: int = 60) -> MeshResult:
    """Run one seed to its end. It never raises for a fault of the system: it reports it."""
    source = Random(f"mesh {seed}")
    span_ms = source.randint(*SPAN_MS)
    workload = make_workload(seed, agents, tasks, span_ms, effects=True)
    world = MeshWorld(seed, workload)
    faults = Faults(world, span_ms, workload.crashes)
    cuts = _cuts(world, source, span_ms)
    status: MeshStatus | None = None
    try:
        _live(world, workload, faults, span_ms)
        status = world.status()
    finally:
        world.kernel.close()
    counts = Counter(world.witness.check.events) + world.witness.counts + Counter(world.net.counts)
    counts["cuts"] = cuts[0]
    counts["orchestrators"] = len(world.lives)
    return MeshResult(
        seed=seed,
        faults=tuple(world.kernel.faults),
        counts=dict(sorted(counts.items())),
        status=status,
        digest=world.kernel.digest(),
        virtual_ms=world.kernel.now_us // 1_000,
    )


def _cuts(world: MeshWorld, source: Random, span_ms: int) -> list[int]:
    """Now and then some workers hear nothing of the others, for a while."""
    made = [0]

    def cut() -> None:
        names = sorted({node.order.worker for node in world.living()})
        if len(names) > 1:
            world.net.cut(source.sample(names, source.randint(1, len(names) - 1)))
            world.kernel.after(source.randint(500, 15_000) * 1_000, world.net.heal)
            made[0] += 1

    for _ in range(source.randint(0, CUTS_MAX)):
        world.kernel.at_ms(source.randint(1, span_ms), cut)
    return made


def _live(world: MeshWorld, workload: Workload, faults: Faults, span_ms: int) -> None:
    kernel, client, check = world.kernel, world.client, world.witness.check
    world.start()
    client.start()

    def finished() -> bool:
        if kernel.faults:
            return True
        over = kernel.now_us > span_ms * 1_000 and client.done and not check.alive
        return over and not check.effects.in_doubt

    why = kernel.run(finished, END_MS)
    if why is not None:
        left = [f"{name} {task.status}" for name, task in check.tasks.items() if not task.ends]
        kernel.fault(f"{why}; open: {left[:5]}; unanswered: {client.waiting()[:5]}")
    if kernel.faults:
        return
    world.heal()
    world.net.heal()
    why = kernel.run(world.converged, kernel.now_us // 1_000 + CONVERGE_MS)
    if why is not None:
        kernel.fault(f"the mesh does not converge: {why}; {world.status()}")
        return
    accepted = [name for name, answer in client.told.items() if answer.code is None]
    tasks, blobs = check.tasks, world.disk.blobs
    verdict = Verdict(tasks, workload, frozenset(accepted), blobs, faults.blames)
    for fault in (
        *verdict.faults(),
        *world.witness.outside.faults(workload.scripts, blobs),
        *compare_with_replay(world.witness, world.lives),
    ):
        kernel.fault(fault)
