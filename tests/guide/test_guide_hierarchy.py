"""The guide's HierarchicalCoordinator on top of ours, its method bodies as they stand."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.api.hierarchy_agents import Adder, Boss, Head
from tests.api.rogues import events_of
from tests.guide.guide_text import ABSENT, GUIDE, block
from visionflow import AgentOrchestrator, HierarchicalCoordinator, Limits, Task
from visionflow.domain import events as e
from visionflow.domain import teams_events as t
from visionflow.domain.teams import MANAGER, lead_word, team_word

pytestmark = [
    pytest.mark.acceptance("hierarchy"),
    pytest.mark.skipif(not GUIDE.exists(), reason=ABSENT),
]
NAME = "class HierarchicalCoordinator:"
WAIT_S = 120.0
WORKER = {"type": "adder", "config": {}}
PROJECT = {
    "teams": [
        {"lead_type": "head", "config": {"max_workers": 5}, "workers": [WORKER, WORKER]},
        {"lead_type": "adder", "config": {}, "workers": [WORKER]},
    ]
}


def guided() -> type[HierarchicalCoordinator]:
    text = block("python", NAME)
    assert text.count(NAME) == 1
    scope: dict[str, Any] = {"asyncio": asyncio, "Ours": HierarchicalCoordinator}
    exec(compile(text.replace(NAME, f"{NAME[:-1]}(Ours):"), str(GUIDE), "exec"), scope)
    return scope["HierarchicalCoordinator"]


def test_the_guides_own_methods_build_a_hierarchy_and_delegate_a_task(tmp_path: Path) -> None:
    kind = guided()
    own = {"__init__", "build_hierarchy", "delegate_task"}
    assert own <= set(vars(kind)), "the bodies are the guide's"

    async def main() -> Any:
        orchestrator = AgentOrchestrator(tmp_path, limits=Limits(workers_max=2))
        coordinator = kind()
        coordinator.use(orchestrator, {"coordinator": Boss, "head": Head, "adder": Adder})
        try:
            await asyncio.wait_for(coordinator.build_hierarchy(PROJECT), WAIT_S)
            task = Task(type="add", input=list(range(7)), required_capabilities=["adding"])
            return await asyncio.wait_for(coordinator.delegate_task(task), WAIT_S)
        finally:
            await orchestrator.aclose()

    final = asyncio.run(main())
    events = events_of(tmp_path)
    spawned = [v.spec.id for v in events if isinstance(v, e.AgentSpawned)]
    (named,) = [v for v in events if isinstance(v, t.ManagerNamed)]
    assert named.agent == spawned[0] and named.span == 10, "the guide's max_workers"
    formed = [v.team for v in events if isinstance(v, t.TeamFormed)]
    assert [(team.lead, team.span) for team in formed] == [(spawned[1], 5), (spawned[4], 10)]
    joined = [(v.team, v.agent) for v in events if isinstance(v, t.TeamJoined)]
    first, second = (team.name for team in formed)
    assert joined == [(first, spawned[2]), (first, spawned[3]), (second, spawned[5])]
    (given,) = [v for v in events if isinstance(v, t.TaskDelegated)]
    assert given.by == spawned[0] and len(given.fits) == 2
    chosen = given.team
    done = {v.spec.id: v.spec for v in events if isinstance(v, e.TaskSubmitted)}
    seats = [
        (done[v.task].type, done[v.task].capabilities, v.agent)
        for v in events
        if isinstance(v, e.TaskAssigned)
    ]
    lead = next(team.lead for team in formed if team.name == chosen)
    people = {lead, *(agent for team, agent in joined if team == chosen)}
    assert seats[0] == ("hierarchy.assign", (MANAGER,), spawned[0])
    assert ("hierarchy.distribute", (lead_word(chosen),), lead) in seats
    assert ("hierarchy.aggregate", (lead_word(chosen),), lead) in seats
    assert seats[-1] == ("hierarchy.review", (MANAGER,), spawned[0])
    parts = [agent for kind, words, agent in seats if kind == "add" and team_word(chosen) in words]
    assert parts and set(parts) <= people
    assert final.accepted and _total(final.result) == sum(range(7))


def _total(result: Any) -> int:
    found = result["total"]
    return sum(found) if isinstance(found, list) else found
