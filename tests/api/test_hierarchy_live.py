"""A hierarchy on live worker processes, from Python."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.api.hierarchy_agents import Adder, Boss, Head, Strict
from tests.api.rogues import events_of
from visionflow import AgentOrchestrator, HierarchicalCoordinator, Limits, Task
from visionflow.domain import teams_events as t
from visionflow.domain.errors import LimitReached, UnknownId, UsageError
from visionflow.domain.events import AnyEvent

CLASSES = {"coordinator": Boss, "head": Head, "adder": Adder, "boss": Strict}
WORKER = {"type": "adder", "config": {}}
PROJECT = {
    "teams": [
        {"name": "sums", "lead_type": "head", "config": {}, "workers": [WORKER, WORKER]},
        {"domain": "more", "lead_type": "adder", "config": {}, "workers": [WORKER]},
    ]
}
WAIT_S = 120.0

pytestmark = pytest.mark.acceptance("hierarchy")
Scene = Callable[[HierarchicalCoordinator], Awaitable[None]]


def played(folder: Path, scene: Scene) -> list[AnyEvent]:
    """Play a scene, and what the log has of it."""

    async def main() -> None:
        orchestrator = AgentOrchestrator(folder, limits=Limits(workers_max=2))
        coordinator = HierarchicalCoordinator(orchestrator, agents=CLASSES)
        try:
            await asyncio.wait_for(scene(coordinator), WAIT_S)
        finally:
            await orchestrator.aclose()

    asyncio.run(main())
    return events_of(folder)


def test_a_task_goes_down_the_hierarchy_in_parts_and_comes_back_as_one(tmp_path: Path) -> None:
    async def scene(coordinator: HierarchicalCoordinator) -> None:
        await coordinator.build_hierarchy(PROJECT)
        hierarchy = coordinator.hierarchy
        manager, (sums, _) = hierarchy["manager"], hierarchy["team_leads"]
        workers = [each.id for each in hierarchy["workers"][sums.id]]
        known = await coordinator.teams()
        assert known["manager"] == manager.id and list(known["teams"]) == ["sums", "more"]
        assert known["teams"]["sums"] == {"lead": sums.id, "members": workers}

        task = Task(type="add", input=[1, 2, 3, 4, 5], required_capabilities=["adding"])
        whole = await coordinator.delegate_task(task)
        assert whole.accepted and whole.rounds == 1 and whole.manager == manager.id
        assert whole.team in ("sums", "more") and all(part.completed for part in whole.parts)

        failing = Task(
            type="add",
            input=[1, 2, 3, 4, 5],
            config={"fails": 3, "parts": [[1, 2], [3, 4], [5]]},
            required_capabilities=["adding"],
        )
        again = await coordinator.delegate_task(failing)
        assert (again.accepted, again.rounds) == (True, 2), "it was sent back once"
        assert [part.completed for part in again.parts] == [True] * 3

        # The same by hand, as the guide's bodies do it.
        assignment = await manager.assign_to_team(task)
        lead = coordinator.get_team_lead(assignment)
        assert lead.id == assignment.lead
        parts = await sums.distribute_work(task)
        assert [part.input for _, part in parts] == [[1, 2], [3, 4], [5]]
        assert {member.id for member, _ in parts} == set(workers)
        results = await asyncio.gather(*[member.process_task(part) for member, part in parts])
        joined = await sums.aggregate_results(results)
        assert joined["total"] == 15 and set(joined["by"]) <= {sums.id, *workers}
        final = await manager.review_result(joined)
        assert final.accepted and final.result == joined
        nothing = await manager.review_result(None)
        assert not nothing.accepted and nothing.reasons == ["There is no result."]
        with pytest.raises(UsageError, match="for a lead"):
            await manager.distribute_work(task)
        with pytest.raises(UnknownId):
            coordinator.get_team_lead("none")

    events = played(tmp_path, scene)
    given = [event for event in events if isinstance(event, t.TaskDelegated)]
    assert len(given) == 3, "two tasks that were delegated, and one that was assigned"
    assert all(len(event.fits) == 2 and event.team for event in given)


def test_a_class_reviews_in_its_own_way_and_what_stays_wrong_is_said(tmp_path: Path) -> None:
    async def scene(coordinator: HierarchicalCoordinator) -> None:
        coordinator.hierarchy["manager"] = await coordinator.spawn_agent(type="boss")
        lead = await coordinator.spawn_agent(type="head")
        coordinator.hierarchy["team_leads"].append(lead)
        coordinator.hierarchy["workers"][lead.id] = [await coordinator.spawn_agent(type="adder")]
        task = Task(type="add", input=[-1, -2], required_capabilities=["adding"])
        found = await coordinator.delegate_task(task)
        assert not found.accepted and found.rounds == 2
        assert found.reasons == ["The total is not above 0."] and found.result["total"] == -3

    events = played(tmp_path, scene)
    formed = [event.team for event in events if isinstance(event, t.TeamFormed)]
    assert [(team.name, team.members) for team in formed] == [("head-1", ())]
    assert len([event for event in events if isinstance(event, t.TeamJoined)]) == 1


def test_where_teams_choose_nothing_no_hierarchy_is_built_and_nothing_waits(tmp_path: Path) -> None:
    async def main() -> None:
        orchestrator = AgentOrchestrator(tmp_path, topology="star")
        coordinator = HierarchicalCoordinator(orchestrator, agents=CLASSES)
        try:
            with pytest.raises(UsageError, match="star"):
                await coordinator.build_hierarchy(PROJECT)
            with pytest.raises(UsageError, match="star"):
                await coordinator.delegate_task(Task(type="add", input=[1]))
        finally:
            await orchestrator.aclose()

    asyncio.run(asyncio.wait_for(main(), WAIT_S))


def test_what_is_no_hierarchy_is_refused_before_anybody_is_spawned(tmp_path: Path) -> None:
    async def scene(coordinator: HierarchicalCoordinator) -> None:
        wrong: list[Any] = [
            None,
            {},
            {"teams": []},
            {"teams": ["head"]},
            {"teams": [{"lead_type": "head"}]},
            {"teams": [{"lead_type": "head", "workers": [{"kind": "adder"}]}]},
            {"teams": [{"lead_type": "head", "workers": [], "size": 3}]},
        ]
        for project in wrong:
            with pytest.raises(UsageError):
                await coordinator.build_hierarchy(project)
        with pytest.raises(UsageError, match="max_workers"):
            await coordinator.build_hierarchy({**PROJECT, "manager": {"max_workers": 0}})
        assert (await coordinator.teams())["manager"] is None
        narrow = {
            "teams": [
                {
                    "lead_type": "head",
                    "config": {"max_workers": 1},
                    "workers": [WORKER, WORKER],
                }
            ]
        }
        with pytest.raises(LimitReached, match="span"):
            await coordinator.build_hierarchy(narrow)
        # Nobody is left of one that could not be built, and without a manager nothing is begun.
        known = await coordinator.teams()
        assert known["manager"] is None
        assert all(not team["members"] and not team["lead"] for team in known["teams"].values())
        assert coordinator.hierarchy == {"manager": None, "team_leads": [], "workers": {}}
        with pytest.raises(UsageError, match="build_hierarchy"):
            await coordinator.delegate_task(Task(type="add", input=[1]))
        await coordinator.build_hierarchy(PROJECT)

    played(tmp_path, scene)
