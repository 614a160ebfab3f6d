"""The guide's MeshCoordinator on top of ours, its method bodies as they stand."""

import asyncio
import random
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.api.mesh_agents import Doubler
from tests.api.rogues import events_of
from tests.guide.guide_text import ABSENT, GUIDE, block
from visionflow import AgentOrchestrator, Limits, MeshCoordinator, Task
from visionflow.domain import events as e
from visionflow.domain import mesh_events as me

pytestmark = [
    pytest.mark.acceptance("mesh"),
    pytest.mark.skipif(not GUIDE.exists(), reason=ABSENT),
]
NAME = "class MeshCoordinator:"
WAIT_S = 120.0
PEERS = 4


def guided() -> type[MeshCoordinator]:
    text = block("python", NAME)
    assert text.count(NAME) == 1
    scope: dict[str, Any] = {"asyncio": asyncio, "random": random, "Ours": MeshCoordinator}
    exec(compile(text.replace(NAME, f"{NAME[:-1]}(Ours):"), str(GUIDE), "exec"), scope)
    return scope["MeshCoordinator"]


def test_the_guides_own_methods_make_a_mesh_and_distribute_tasks(tmp_path: Path) -> None:
    kind = guided()
    own = {"__init__", "initialize_mesh", "distribute_task", "gossip_protocol"}
    assert own <= set(vars(kind)), "the bodies are the guide's"

    async def main() -> tuple[list[int], Any]:
        orchestrator = AgentOrchestrator(tmp_path, topology="mesh", limits=Limits(workers_max=2))
        coordinator = kind()
        coordinator.use(orchestrator, {"peer_agent": Doubler})
        try:
            await asyncio.wait_for(coordinator.initialize_mesh(PEERS), WAIT_S)
            results = [
                await asyncio.wait_for(
                    coordinator.distribute_task(Task(type="double", input=n)), WAIT_S
                )
                for n in (4, 5)
            ]
            with suppress(TimeoutError):
                await asyncio.wait_for(coordinator.gossip_protocol(), 0.5)
            return results, await coordinator.status()
        finally:
            await orchestrator.aclose()

    results, status = asyncio.run(main())
    assert results == [8, 10]
    assert (status.members, status.reachable, status.read_only) == (PEERS, PEERS, ())
    events = events_of(tmp_path)
    spawned = [v.spec for v in events if isinstance(v, e.AgentSpawned)]
    assert [spec.type for spec in spawned] == ["peer_agent"] * PEERS
    names = {spec.id for spec in spawned}
    settled = [v for v in events if isinstance(v, me.AuctionSettled)]
    given = [v for v in events if isinstance(v, e.TaskAssigned)]
    assert [v.agent for v in settled] == [v.agent for v in given] and len(settled) == 2
    for each in settled:
        assert {bid.agent for bid in each.bids} <= names
        assert 2 * len({ballot.agent for ballot in each.ballots}) > PEERS
    copies = [v for v in events if isinstance(v, me.ReplicasReported)]
    assert {len(v.holders) for v in copies} == {3} and {v.machines for v in copies} == {1}
