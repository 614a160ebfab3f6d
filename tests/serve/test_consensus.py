"""daa_consensus over real workers: members asked, ballots with evidence, people who decide."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.serve.served import settings_in, until, with_core
from tests.serve.tool_client import Client
from visionflow.compose.serve.opening import OpenServer
from visionflow.domain import events as e
from visionflow.domain.events import decode_record
from visionflow.interfaces.tools.all import all_tools
from visionflow.settings.server import ServerSettings

VOTERS = Path(__file__).with_name("voting_agents.py")
PATIENCE_S = 120
TEAM = ("adder", "checker", "plain", "opinionated")


@pytest.fixture
def settings(tmp_path: Path) -> ServerSettings:
    path = tmp_path / "agents.yaml"
    path.write_text(
        "agent_templates:\n"
        + "".join(f'  {name}: {{class: "{VOTERS}:{name.title()}"}}\n' for name in TEAM),
        encoding="utf-8",
    )
    return settings_in(tmp_path, agents_file=str(path))


class Rig:
    """A swarm of a server, and a client of its tools."""

    def __init__(self, opened: OpenServer) -> None:
        self.opened = opened
        self.client = Client(all_tools(opened.server))

    async def begin(self) -> None:
        self.swarm_id = (await self.client.call("swarm_init"))["swarmId"]
        self.swarm = self.opened.server.swarms.get(self.swarm_id)

    async def spawn(self, kind: str, **config: Any) -> str:
        made = await self.client.call("agent_spawn", agentType=kind, config=config, wait=True)
        return made["agentId"]

    async def sum(self, *numbers: int) -> str:
        """The id of a task that an adder did."""
        task = {"description": "add", "agentType": "adder", "type": "add", "input": list(numbers)}
        made = await self.client.call("task_orchestrate", task=task, formTeam=False, wait=True)
        assert made["status"] == "completed", made
        return made["taskId"]

    async def vote(self, agents: Any = "all", **given: Any) -> dict[str, Any]:
        wait = given.pop("wait", True)
        return await self.client.call("daa_consensus", agents=agents, proposal=given, wait=wait)

    def events(self, kind: type[Any]) -> list[Any]:
        entries = self.opened.core.log.read(self.swarm.id)
        every = (event for entry in entries for event in decode_record(entry.body).events)
        return [event for event in every if isinstance(event, kind)]


def with_rig(settings: ServerSettings, use: Callable[[Rig], Awaitable[None]]) -> None:
    async def run(opened: OpenServer) -> None:
        rig = Rig(opened)
        await rig.begin()
        await use(rig)

    with_core(settings, run, PATIENCE_S)


@pytest.mark.acceptance("consensus")
def test_five_agents_decide_by_what_they_measure_and_a_planted_wrong_one_is_outvoted(
    settings: ServerSettings, tmp_path: Path
) -> None:
    async def use(rig: Rig) -> None:
        await rig.spawn("adder")
        wrong = tmp_path / "wrong"
        wrong.write_text("1 1", encoding="utf-8")
        honest = [await rig.spawn("checker") for _ in range(3)]
        planted = await rig.spawn("checker", evidence=str(wrong))
        silent = await rig.spawn("plain")
        members = [*honest, planted, silent]
        task = await rig.sum(2, 3)
        found = await rig.vote(members, task_result=task)
        assert (found["status"], found["decision"]) == ("decided", "approved")
        assert found["electorate"] == members and found["dissent"] == [planted]
        assert found["tally"] == {
            "approve": 3, "reject": 1, "ranked": 0, "abstain": 1, "silent": 0,
        }  # fmt: skip
        ballots = {each["agentId"]: each for each in found["ballots"]}
        assert ballots[planted]["facts"] == {"own": 2, "claimed": 5}
        assert ballots[honest[0]]["evidence"] == "reproduction"
        assert ballots[silent]["choice"] == "abstain" and "Plain" in ballots[silent]["reason"]
        assert all(each["weight"] == 0.5 for each in found["ballots"])
        again = await rig.vote(members, task_result=task)
        assert [b["choice"] for b in again["ballots"]] == [b["choice"] for b in found["ballots"]]
        assert again["decision"] == found["decision"], "the same inputs decide the same"
        read = await rig.client.call("daa_consensus", voteId=found["voteId"])
        assert read == found
        # Each ballot stands in the log, once for each member.
        cast = [b for b in rig.events(e.BallotCast) if b.vote == found["voteId"]]
        assert sorted(b.member for b in cast) == sorted(members)

    with_rig(settings, use)


@pytest.mark.acceptance("consensus")
def test_wrong_evidence_turns_the_ballots_and_with_them_the_decision(
    settings: ServerSettings, tmp_path: Path
) -> None:
    async def use(rig: Rig) -> None:
        await rig.spawn("adder")
        evidence = tmp_path / "evidence"
        members = [await rig.spawn("checker", evidence=str(evidence)) for _ in range(3)]
        task = await rig.sum(2, 3)
        decisions: list[tuple[str, list[str]]] = []
        for numbers in ("2 3", "2 4", "5"):
            evidence.write_text(numbers, encoding="utf-8")
            found = await rig.vote(members, task_result=task, voting_mechanism="unanimous")
            decisions.append((found["decision"], [b["choice"] for b in found["ballots"]]))
        assert decisions == [
            ("approved", ["approve"] * 3),
            ("rejected", ["reject"] * 3),
            ("approved", ["approve"] * 3),
        ]

    with_rig(settings, use)


@pytest.mark.acceptance("consensus")
def test_the_guides_line_elects_the_agent_with_the_best_record(settings: ServerSettings) -> None:
    async def use(rig: Rig) -> None:
        failing = await rig.spawn("adder")
        task = {
            "description": "", "agentType": "adder", "type": "fail", "input": [],
        }  # fmt: skip
        execution = {"retryPolicy": "none"}
        await rig.client.call(
            "task_orchestrate", task=task, formTeam=False, execution=execution, wait=True
        )
        good = await rig.spawn("plain")
        found = await rig.vote(task_assignment="auth-service", voting_mechanism="weighted")
        assert (found["decision"], found["chosen"]) == ("chosen", good)
        assert found["mechanism"] == "weighted" and found["threshold"] == 0.7
        assert {each["agentId"] for each in found["ballots"]} == {failing, good}
        assert [each["ranking"] for each in found["ballots"]] == [[good, failing]] * 2
        weights = {each["agentId"]: each["weight"] for each in found["ballots"]}
        assert weights[good] == 0.5 and weights[failing] < 0.5
        assert found["sides"][1] == {"side": good, "got": pytest.approx(sum(weights.values()))}

    with_rig(settings, use)


def test_what_the_ballots_leave_open_is_for_a_person_where_the_proposal_says_so(
    settings: ServerSettings,
) -> None:
    async def use(rig: Rig) -> None:
        first = await rig.spawn("opinionated", order=["red", "blue"])
        second = await rig.spawn("opinionated", order=["blue", "red"])
        given = {"question": "Which colour?", "options": ["red", "blue"]}
        found = await rig.vote(**given, conflict_resolution="human")
        assert (found["status"], found["decision"]) == ("referred", None)
        vote = found["voteId"]
        wrong = await rig.client.refused("daa_consensus", voteId=vote, decision="green")
        assert wrong.data["code"] == "usage"
        decided = await rig.client.call("daa_consensus", voteId=vote, decision="blue")
        assert (decided["chosen"], decided["decidedBy"]) == ("blue", "local:me")
        assert decided["dissent"] == [first] and decided["electorate"] == [first, second]
        late = await rig.client.refused("daa_consensus", voteId=vote, decision="red")
        assert late.data["code"] == "already_ended"
        undecided = await rig.vote(**given)
        assert undecided["decision"] == "undecided" and undecided["chosen"] is None

    with_rig(settings, use)


def test_a_member_that_does_not_answer_in_time_is_silent_and_one_that_breaks_abstains(
    settings: ServerSettings, tmp_path: Path
) -> None:
    async def use(rig: Rig) -> None:
        held = await rig.spawn("checker", hold=str(tmp_path / "never"))
        broken = await rig.spawn("opinionated", broken=True)
        fine = await rig.spawn("opinionated", order=["a", "b"])
        found = await rig.vote(
            [held, broken, fine], question="?", options=["a", "b"], timeout="15s"
        )
        assert found["reason"] == "its time is up" and found["chosen"] == "a"
        choices = {each["agentId"]: each["choice"] for each in found["ballots"]}
        assert choices == {held: None, broken: "abstain", fine: "rank"}

    with_rig(settings, use)


def test_a_vote_without_agents_or_sense_is_refused(settings: ServerSettings) -> None:
    async def use(rig: Rig) -> None:
        async def refused(**given: Any) -> str:
            return (await rig.client.refused("daa_consensus", **given)).data["code"]

        assert await refused(proposal={"question": "?"}) == "no_electorate"
        await rig.spawn("plain")
        assert await refused() == "usage"
        assert await refused(proposal={"question": "?"}, voteId="vote_1") == "usage"
        assert await refused(proposal={"question": "?", "patch": "task_1"}) == "usage"
        assert await refused(proposal={"question": "?", "voting": "weighted"}) == "usage"
        assert await refused(proposal={"question": "?", "voting_mechanism": "coin"}) == "usage"
        assert await refused(proposal={"question": "?", "threshold": 70}) == "usage"
        assert await refused(proposal={"patch": "task_none"}) == "unknown_id"
        assert await refused(proposal={"question": "?"}, agents="nobody") == "unknown_agent"
        assert await refused(voteId="vote_none") == "unknown_id"
        await rig.spawn("adder")
        added = await rig.sum(1, 2)
        assert await refused(proposal={"patch": added}) == "no_change"

    with_rig(settings, use)


def test_a_vote_that_is_not_waited_for_goes_on_and_is_read_later(settings: ServerSettings) -> None:
    async def use(rig: Rig) -> None:
        await rig.spawn("opinionated", order=["a", "b"])
        opened = await rig.vote(question="?", options=["a", "b"], wait=False)
        vote = opened["voteId"]
        await until(lambda: vote in rig.swarm.state.polls.over, 60)
        found = await rig.client.call("daa_consensus", voteId=vote)
        assert found["chosen"] == "a" and found["decidedAt"] is not None

    with_rig(settings, use)


# Results that the swarm has to agree to --------------------------------------------------------


@pytest.mark.acceptance("consensus")
@pytest.mark.parametrize(("lies", "status"), [(0, "completed"), (1, "failed")])
def test_a_result_completes_only_when_those_that_did_not_make_it_find_it_right(
    settings: ServerSettings, lies: int, status: str
) -> None:
    async def use(rig: Rig) -> None:
        await rig.spawn("adder", lies=lies)
        members = [await rig.spawn("checker") for _ in range(2)]
        task = {
            "description": "add",
            "consensusRequired": True,
            "subtasks": [
                {"type": "add", "agentType": "adder", "input": [1, 2]},
                {"type": "add", "agentType": "adder", "input": [3, 4]},
            ],
        }
        made = await rig.client.call("task_orchestrate", task=task, formTeam=False, wait=True)
        assert made["status"] == status
        told = made["coordination"]
        assert (told["votingMechanism"], told["consensusThreshold"]) == ("weighted", 0.7)
        assert told["conflictResolution"] == "expert_priority" and told["members"] == members
        (opened,) = rig.events(e.VoteOpened)
        assert told["voteId"] == opened.spec.id and made["warnings"] == []
        if status == "failed":
            assert made["reason"].endswith("0 of 2 members approve, 2 reject")
        assert opened.spec.electorate == tuple(members) and opened.spec.task == made["taskId"]
        found = await rig.client.call("daa_consensus", voteId=opened.spec.id)
        assert found["decision"] == ("approved" if status == "completed" else "rejected")
        assert {each["evidence"] for each in found["ballots"]} == {"reproduction"}

    with_rig(settings, use)


def test_one_task_is_voted_on_too_and_goes_as_a_person_says_where_that_was_asked_for(
    settings: ServerSettings,
) -> None:
    async def use(rig: Rig) -> None:
        await rig.spawn("adder")
        await rig.spawn("plain")
        task = {"description": "", "type": "add", "agentType": "adder", "input": [1, 2]}
        terms = {"votingMechanism": "majority", "conflictResolution": "human"}
        made = await rig.client.call(
            "task_orchestrate", task=task, formTeam=False, consensusRequired=terms
        )
        assert made["coordination"]["consensusThreshold"] == 0.5
        vote = f"{made['taskId']}.consensus"
        state = rig.swarm.state
        await until(lambda: vote in state.votes and state.votes[vote].referred, 60)
        waiting = await rig.client.call("task_status", taskId=made["taskId"])
        assert waiting["status"] == "orchestrating"
        told = f"call daa_consensus with voteId {vote} and decision, approved or rejected"
        shown = await rig.client.call("swarm_status")
        assert told in waiting["reason"] and [told in each for each in shown["warnings"]] == [True]
        results = await rig.client.call("task_results", taskId=made["taskId"], wait=True)
        assert results["status"] == "orchestrating" and results["reason"] == waiting["reason"]
        await rig.client.call("daa_consensus", voteId=vote, decision="approved")
        ended = await rig.client.call("task_status", taskId=made["taskId"])
        assert ended["status"] == "completed" and ended["reason"] is None
        again = await rig.client.call(
            "task_orchestrate",
            task=task,
            formTeam=False,
            consensusRequired={**terms, "votingMechanism": "unanimous"},
            wait=True,
        )
        assert again["coordination"]["consensusThreshold"] == 1.0
        assert "has one member" in again["warnings"][0] and told[:20] in again["reason"]

    with_rig(settings, use)


def test_a_reset_leaves_no_vote_that_waits_for_ballots_or_for_a_person(
    settings: ServerSettings, tmp_path: Path
) -> None:
    async def use(rig: Rig) -> None:
        held = [await rig.spawn("checker", hold=str(tmp_path / "never")) for _ in range(2)]
        plain = await rig.spawn("plain")
        asked = {"question": "go?", "options": ["yes", "no"]}
        waits = await rig.vote(held, wait=False, conflict_resolution="human", **asked)
        referred = await rig.vote([plain], conflict_resolution="human", **asked)
        assert (waits["status"], referred["status"]) == ("open", "referred")
        told = await rig.client.call("swarm_reset", swarmId=rig.swarm_id, reason="begin anew")
        assert (told["tasksLeft"], told["agentsLeft"], told["processesLeft"]) == (0, 0, 0)
        for vote in (waits, referred):
            over = await rig.client.call("daa_consensus", voteId=vote["voteId"])
            assert (over["status"], over["decision"]) == ("decided", "undecided")
            assert over["reason"] == "begin anew" and over["decidedBy"]
        status = await rig.client.call("swarm_status", swarmId=rig.swarm_id)
        assert status["warnings"] == []

    with_rig(settings, use)
