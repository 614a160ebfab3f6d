"""How many agents fit into a GiB: in processes of their own, and sharing them."""

import os

from bench.agents import Doubler
from bench.figures import Row, Series
from bench.processes import descendants, pss_bytes
from visionflow import AgentOrchestrator, Limits, Task

GIB = 1 << 30
OWN = 6
SHARED = 1_500
CEILING_BYTES = 512 << 20


def density(own: int = OWN, shared: int = SHARED) -> Row:
    """Proportional share of memory of the workers, whose agents idle."""
    apart = _own(own)
    together = _shared(shared)
    return Row(
        "agents-per-gib",
        f"{own} agents in processes of their own, {shared:,} sharing one worker",
        (
            Series("own process", "agents/GiB", (GIB / apart,)),
            Series("sharing a worker", "agents/GiB", (GIB / together,)),
        ),
    )


def _own(count: int) -> float:
    with _fleet(count) as fleet:
        agents = fleet.spawn(Doubler, count=count, memory_bytes=CEILING_BYTES)
        for agent in agents:
            agent.submit(Task(input=1)).result(60)
        workers = descendants(os.getpid())
        return sum(pss_bytes(pid) for pid in workers) / len(workers)


def _shared(count: int) -> float:
    with _fleet(count) as fleet:
        first = fleet.spawn(Doubler)[0]
        first.submit(Task(input=1)).result(60)
        (worker,) = descendants(os.getpid())
        before = pss_bytes(worker)
        rest = fleet.spawn(Doubler, count=count - 1)
        rest[-1].submit(Task(input=1)).result(60)
        return (pss_bytes(worker) - before) / len(rest)


def _fleet(agents: int) -> AgentOrchestrator:
    return AgentOrchestrator(limits=Limits(agents_max=agents, workers_max=1))
