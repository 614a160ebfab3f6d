"""Votes of a fleet from a program: what is asked, who has a ballot, and what comes back."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.api import voting_members
from tests.api.voting_members import Voter
from tests.guide.serving import serving
from visionflow import AgentOrchestrator, Refused, Task, TaskFailed, UsageError, Vote
from visionflow.domain.errors import UnknownId
from visionflow.interfaces.voting import names_in, proposal_in

pytestmark = pytest.mark.acceptance("consensus", "python-api")
WAIT_S = 120.0
FOR, AGAINST = {"says": "approve"}, {"says": "reject"}


class Hall:
    """A fleet whose agents approve (`a`, `b`), reject (`no`), break (`bad`), or never answer."""

    def __init__(self, fleet: Any) -> None:
        self.fleet = fleet
        wanted: dict[str, dict[str, Any]] = {
            "a": {**FOR, "order": ["x", "y", "z"]},
            "b": {**FOR, "order": ["y", "x", "z"]},
            "no": {**AGAINST, "order": ["y", "z", "x"]},
            "bad": {"says": "breaks"},
            "mute": {"says": "nothing"},
        }
        self.members = {
            name: fleet.spawn(Voter, name=name, config=config)[0] for name, config in wanted.items()
        }
        self.ids = {name: each.id for name, each in self.members.items()}


@pytest.fixture(scope="module")
def hall() -> Iterator[Hall]:
    with AgentOrchestrator(topology="mesh") as fleet:
        yield Hall(fleet)


def test_a_question_is_decided_with_every_ballot_its_evidence_and_the_dissent(hall: Hall) -> None:
    members = [hall.members["a"], "b", hall.ids["no"], "bad"]
    vote = hall.fleet.vote("Is it good?", members=members, threshold=0.6)
    assert isinstance(vote, Vote)
    assert (vote.status, vote.decision, vote.reason) == (
        "decided",
        "approved",
        "no ballot is outstanding",
    )
    assert vote.electorate == [hall.ids[name] for name in ("a", "b", "no", "bad")]
    assert vote.tally is not None and (vote.tally.approve, vote.tally.reject) == (2, 1)
    assert vote.dissent == [hall.ids["no"]] and vote.threshold == 0.6
    first, _, third, broken = vote.ballots
    assert (first.choice, first.evidence, first.facts) == ("approve", "measured", {"looked": 1})
    assert (third.choice, third.reason) == ("reject", "no looked")
    assert broken.choice == "abstain" and "cannot vote" in (broken.reason or "")
    assert hall.fleet.vote_of(vote.vote_id) == vote


def test_what_the_ballots_leave_open_says_why_and_asks_a_person_where_that_is_wanted(
    hall: Hall,
) -> None:
    split = ["a", "no"]
    vote = hall.fleet.vote("Is it good?", members=split)
    assert vote.decision == "undecided" and "got the same" in (vote.reason or "")
    referred = hall.fleet.vote(
        {"question": "Is it good?", "conflictResolution": "human"}, members=split
    )
    assert (referred.status, referred.decision) == ("referred", None)
    decided = hall.fleet.decide_vote(referred.vote_id, "rejected", person="ops")
    assert (decided.decision, decided.decided_by) == ("rejected", "ops")
    with pytest.raises(Refused):
        hall.fleet.decide_vote(referred.vote_id, "approved")


def test_options_are_ranked_and_an_assignment_elects_an_agent(hall: Hall) -> None:
    voters = ["a", "b", "no"]
    vote = hall.fleet.vote("Which?", options=["x", "y", "z"], members=voters, mechanism="ranked")
    assert (vote.decision, vote.chosen) == ("chosen", "y")
    assert vote.ballots[0].ranking == ["x", "y", "z"]
    elected = hall.fleet.vote(
        {"task_assignment": "the parser", "voting_mechanism": "ranked"},
        options=[hall.members["a"], "b"],
        members=voters,
    )
    assert elected.chosen in (hall.ids["a"], hall.ids["b"])
    assert {side.side for side in elected.sides} == {hall.ids["a"], hall.ids["b"]}


def test_who_does_not_answer_in_time_is_silent(hall: Hall) -> None:
    vote = hall.fleet.vote("Is it good?", members=["mute"], timeout=0.5)
    assert vote.decision == "undecided" and (vote.reason or "").startswith("its time is up")
    assert vote.ballots[0].choice is None and vote.tally is not None and vote.tally.silent == 1


def test_a_result_is_voted_on_and_one_without_a_change_is_no_patch(hall: Hall) -> None:
    task = hall.members["a"].submit(Task(input=[1]))
    assert task.result(WAIT_S) == [1]
    vote = hall.fleet.vote({"task_result": task.id}, members=["b", "no"], mechanism="unanimous")
    assert vote.decision == "undecided" and "must say the same" in (vote.reason or "")
    with pytest.raises(Refused, match="no change in its result") as refused:
        hall.fleet.vote({"patch": task.id}, members=["b"])
    assert refused.value.reason == "no_change"
    with pytest.raises(UnknownId):
        hall.fleet.vote({"task_result": "task_none"}, members=["b"])
    with pytest.raises(UnknownId):
        hall.fleet.vote("Is it good?", members=["nobody"])
    with pytest.raises(Refused, match="electorate is empty"):
        hall.fleet.vote("Is it good?", members=[])
    with pytest.raises(UnknownId):
        hall.fleet.vote_of("vote_none")


@pytest.mark.parametrize(
    ("proposal", "beside", "told"),
    [
        (5, {}, "neither a question nor a map"),
        ({"question": "?", "threshold": 0.5}, {"threshold": 0.6}, "threshold is given twice"),
        ({"question": "?", "options": ["x", "y"]}, {"options": ["x"]}, "options is given twice"),
    ],
)
def test_a_proposal_that_says_nothing_or_something_twice_is_refused(
    proposal: Any, beside: dict[str, Any], told: str
) -> None:
    beside = {"options": None, **beside}
    with pytest.raises(UsageError, match=told):
        proposal_in(proposal, **beside)


def test_members_are_words_and_handles_and_nothing_else() -> None:
    with pytest.raises(UsageError, match="'a'; it is a list"):
        names_in("a", "members")
    with pytest.raises(UsageError, match="has 5, which is no agent"):
        names_in(["a", 5], "members")  # pyright: ignore[reportArgumentType, reportCallIssue]


def test_in_a_loop_votes_are_awaited_and_several_are_open_at_once(tmp_path: Path) -> None:
    async def use() -> None:
        async with AgentOrchestrator(topology="mesh", folder=tmp_path) as fleet:
            for name in ("a", "b"):
                await fleet.spawn(Voter, name=name, config=FOR)
            votes = await asyncio.gather(*(fleet.vote(f"Is {n} good?") for n in range(3)))
            assert [vote.decision for vote in votes] == ["approved"] * 3
            assert [vote.question for vote in votes] == [f"Is {n} good?" for n in range(3)]
            assert await fleet.vote_of(votes[0].vote_id) == votes[0]
            with pytest.raises(Refused):
                await fleet.decide_vote(votes[0].vote_id, "rejected")

    asyncio.run(asyncio.wait_for(use(), WAIT_S))


def test_a_vote_that_is_awaited_keeps_no_thread_of_the_loop_from_others(tmp_path: Path) -> None:
    async def use() -> None:
        async with AgentOrchestrator(topology="mesh", folder=tmp_path) as fleet:
            mute = (await fleet.spawn(Voter, name="mute", config={"says": "nothing"}))[0]
            asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
            votes = [asyncio.create_task(fleet.vote(f"{n}?", timeout=WAIT_S / 2)) for n in range(3)]
            await asyncio.sleep(0)
            assert [agent.id for agent in await fleet.agents()] == [mute.id]
            assert not any(vote.done() for vote in votes), "they waited for the votes to end"
            await fleet.terminate(mute)
            ended = await asyncio.gather(*votes)
            assert [vote.decision for vote in ended] == ["undecided"] * 3

    asyncio.run(asyncio.wait_for(use(), WAIT_S))


@pytest.mark.parametrize("says", ["approve", "reject"])
def test_a_plan_completes_only_as_those_say_that_did_not_make_it(says: str) -> None:
    with AgentOrchestrator(topology="mesh") as fleet:
        (maker,) = fleet.spawn(Voter, capabilities=["making"], config=AGAINST)
        fleet.spawn(Voter, name="judge", config={"says": says})
        phases = {"make": [Task(input=7, required_capabilities=["making"])]}
        with pytest.raises(UsageError, match="no part of it"):
            fleet.submit_plan("make", phases, consensus_required={"mechanism": "majority"})
        plan = fleet.submit_plan(
            "make", phases, consensus_required={"voting_mechanism": "majority"}
        )
        if says == "approve":
            assert plan.result(WAIT_S) == {"make": [7]}
        else:
            with pytest.raises(TaskFailed, match="its result is rejected"):
                plan.result(WAIT_S)
        vote = fleet.vote_of(f"{plan.id}.consensus")
        assert maker.id not in vote.electorate and len(vote.electorate) == 1


def test_a_servers_agents_vote_the_same_way(tmp_path: Path) -> None:
    async def use(port: int) -> None:
        async with AgentOrchestrator(mcp_host="127.0.0.1", mcp_port=port) as fleet:
            fleet_any: Any = fleet
            await fleet_any.initialize_swarm("mesh")
            yes = await fleet_any.spawn_agent("voter", FOR, name="yes", wait=True)
            await fleet_any.spawn_agent("voter", AGAINST, name="no", wait=True)
            proposal = {"question": "Is it good?", "conflict_resolution": "human"}
            vote = await fleet_any.vote(proposal, members=[yes, "no"])
            assert isinstance(vote, Vote) and vote.status == "referred"
            assert vote.ballots[0].facts == {"looked": 1}
            decided = await fleet_any.decide_vote(vote.vote_id, "approved")
            assert (decided.decision, len(decided.dissent)) == ("approved", 1)
            assert await fleet_any.vote_of(vote.vote_id) == decided
            with pytest.raises(UsageError):
                await fleet_any.vote("Is it good?", threshold=7)

    def blocking(port: int) -> None:
        with AgentOrchestrator(mcp_host="127.0.0.1", mcp_port=port) as fleet:
            fleet_any: Any = fleet
            vote = fleet_any.vote("Is it good?", members=["yes"])
            assert fleet_any.vote_of(vote.vote_id) == vote and vote.decision == "approved"
            with pytest.raises(Refused):
                fleet_any.decide_vote(vote.vote_id, "rejected")

    workspace = tmp_path / "workspace"
    workspace.mkdir()
    templates = tmp_path / "agents.yaml"
    templates.write_text(
        f'agent_templates:\n  voter: {{class: "{voting_members.__file__}:Voter"}}\n',
        encoding="utf-8",
    )
    with serving(tmp_path / "home", workspace, "--agents", str(templates)) as served:
        asyncio.run(asyncio.wait_for(use(served.port), WAIT_S))
        blocking(served.port)
