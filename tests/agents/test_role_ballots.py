"""Ballots of roles that their swarm asks for: each measures anew, and wrong claims turn them."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from role_work import do
from test_voting import BEFORE, PLANTED, SHOP, SOUND
from tool_projects import write

from visionflow.agents import (
    ArchitectAgent,
    BaseAgent,
    CoderAgent,
    ReviewerAgent,
    Task,
    TesterAgent,
)
from visionflow.agents.evidence import Change
from visionflow.agents.roles.job import storable
from visionflow.agents.voting import ballot_of
from visionflow.agents.workspace import PrivateRepository
from visionflow.agents.workspace import changes as c
from visionflow.domain.votes import CAST_BALLOT

ROLES: dict[str, type[BaseAgent]] = {
    "security": ReviewerAgent, "maintainability": TesterAgent, "performance": ArchitectAgent,
}  # fmt: skip
EVIDENCE = {"security": "findings", "maintainability": "tests", "performance": "behaviour"}


def asked(role: type[BaseAgent], folder: Path, task: Task) -> Any:
    """What the role answers to a task that asks for its ballot, or to any other."""

    class Asked(role):
        async def process_task(self, task: Task) -> Any:
            if task.type == CAST_BALLOT:
                return storable(await ballot_of(self, task))
            return await super().process_task(task)

    return do(Asked, folder, task)


def asking(inputs: dict[str, Any], results: dict[str, Any], **more: Any) -> Task:
    given = {
        "vote": "v1", "matter": "task_result", "question": "?", "task": "t1",
        "of": {"type": "plan", "description": "", "inputs": inputs}, **more,
    }  # fmt: skip
    return Task(id="v1.1", type=CAST_BALLOT, input=given, dependencies=results)


@pytest.mark.acceptance("consensus")
@pytest.mark.parametrize("focus", ROLES)
@pytest.mark.parametrize("sound", [True, False])
def test_each_role_votes_on_a_change_by_its_own_measurement(
    tmp_path: Path, focus: str, sound: bool
) -> None:
    source, home = tmp_path / "ws", tmp_path / "repository"
    write(source, SHOP)
    patched = SOUND if sound else PLANTED[focus]

    async def plant() -> tuple[str, str]:
        repository = await PrivateRepository.create(home, source)
        base = await c.start_of(repository)
        return base, await c.commit(
            repository.path, base, {b"shop.py": patched.encode()}, "planted"
        )

    base, tip = asyncio.run(plant())
    change = Change("changed", base=base, tip=tip, files=("shop.py",))
    job = {
        "workspace": str(source), "repository": str(home), "scratch": str(tmp_path / "scratch"),
        "cache": str(tmp_path.parent / "cache"),
    }  # fmt: skip
    task = asking({"fix": job}, {"fix": {"change": storable(change)}, "run_tests": BEFORE})
    ballot = asked(ROLES[focus], tmp_path / "own", task)
    assert ballot["evidence"] == EVIDENCE[focus]
    assert ballot["choice"] == ("approve" if sound else "reject"), ballot["reason"]
    assert ballot["facts"]


@pytest.mark.acceptance("consensus")
def test_a_reviewer_does_a_review_again_and_rejects_one_that_tells_less(tmp_path: Path) -> None:
    source = tmp_path / "ws"
    write(source, {**SHOP, "odd.py": "import os\n"})
    job = {"workspace": str(source), "focus": "maintainability"}
    made = asked(ReviewerAgent, tmp_path / "one", Task(id="r1", type="review_code", input=job))
    assert any(run["findings"] for run in made["tools"])
    ballot = asked(ReviewerAgent, tmp_path / "two", asking({"r1": job}, {"r1": made}))
    assert (ballot["choice"], ballot["evidence"]) == ("approve", "reproduction")
    silenced = {**made, "tools": [{**run, "findings": []} for run in made["tools"]]}
    ballot = asked(ReviewerAgent, tmp_path / "two", asking({"r1": job}, {"r1": silenced}))
    assert ballot["choice"] == "reject" and "odd.py:1" in ballot["reason"]


@pytest.mark.acceptance("consensus")
def test_a_tester_runs_tests_again_and_rejects_what_was_made_up(tmp_path: Path) -> None:
    source = tmp_path / "ws"
    write(source, SHOP)
    job = {"workspace": str(source)}
    made = asked(TesterAgent, tmp_path / "one", Task(id="t1", type="run_tests", input=job))
    ballot = asked(TesterAgent, tmp_path / "two", asking({"t1": job}, {"t1": made}))
    assert (ballot["choice"], ballot["evidence"]) == ("approve", "reproduction"), ballot["reason"]
    claimed = {**made["tests"], "outcomes": {"test_shop.py::test_more": "passed"}}
    lied = {**made, "tests": claimed}
    ballot = asked(TesterAgent, tmp_path / "two", asking({"t1": job}, {"t1": lied}))
    assert ballot["choice"] == "reject" and "test_more" in ballot["reason"]


def test_a_role_without_a_measurement_of_it_abstains_and_says_why(tmp_path: Path) -> None:
    for role in (ReviewerAgent, TesterAgent, ArchitectAgent, CoderAgent):
        ballot = asked(role, tmp_path / role.type, asking({}, {"x": {"words": "all is well"}}))
        assert ballot["choice"] == "abstain" and ballot["reason"] and not ballot["evidence"]


def test_candidates_are_ranked_by_their_bids_and_wrong_bids_turn_the_ranking(
    tmp_path: Path,
) -> None:
    bids = [{"agent": "a", "total_bp": 9_000}, {"agent": "b", "total_bp": 9_500}]
    for role in (ReviewerAgent, CoderAgent):
        ballot = asked(role, tmp_path / role.type, asking({}, {}, bids=bids, options=["a", "b"]))
        assert (ballot["choice"], ballot["ranking"]) == ("rank", ["b", "a"])
        wrong = [{"agent": "a", "total_bp": 9_999}, bids[1]]
        ballot = asked(role, tmp_path / role.type, asking({}, {}, bids=wrong, options=["a", "b"]))
        assert ballot["ranking"] == ["a", "b"]
