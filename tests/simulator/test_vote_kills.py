"""The orchestrator and workers die in the middle of votes, and each ends as its ballots say."""

import asyncio
from collections.abc import Iterator
from random import Random

import pytest

from visionflow.agents.base import BaseAgent
from visionflow.agents.voting import Ballot, Proposal
from visionflow.domain import commands as c
from visionflow.domain.agents import AgentSpec
from visionflow.domain.commands import AnyCommand
from visionflow.domain.tasks import Payload, Phase, TaskSpec
from visionflow.domain.votes import Matter, Mechanism, Terms, VoteSpec
from visionflow.ports.host import Exit
from visionflow.testing.simulator import scripted
from visionflow.testing.simulator.orchestrator import compare_with_replay
from visionflow.testing.simulator.world import World
from visionflow.testing.workload import Action, Workload

pytestmark = pytest.mark.acceptance("consensus")
MEMBERS = tuple(f"m{number}" for number in range(5))
WRONG = ("m3", "m4")
VOTES = 4
UNTIL_MS = 900_000
PATIENT = Terms(timeout_ms=600_000)


class Voting(BaseAgent):
    """Takes its time over its ballot; two of five are planted and vote against what is right."""

    async def process_task(self, task: object) -> int:
        await asyncio.sleep(0.3)
        return 7

    async def vote(self, proposal: Proposal) -> Ballot:
        await asyncio.sleep(0.5 + int(self.id[1:]) / 3)
        if self.id in WRONG:
            return Ballot.reject("made up", member=self.id)
        return Ballot.approve("measured", member=self.id)


@pytest.fixture(autouse=True)
def voting(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(scripted.CLASSES, "voting", Voting)
    yield


def spawn(name: str) -> Action:
    def make(now: int, command: str) -> AnyCommand:
        spec = AgentSpec(name, "voter", name, "scripted:voting", ("vote", name))
        return c.SpawnAgent(now_ms=now, command=command, spec=spec)

    return Action(0, f"spawn {name}", make)


def opening(number: int, at_ms: int) -> Action:
    def make(now: int, command: str) -> AnyCommand:
        spec = VoteSpec(f"vote{number}", "?", MEMBERS, Mechanism.QUORUM, terms=PATIENT, asked=True)
        return c.OpenVote(now_ms=now, command=command, spec=spec)

    return Action(at_ms, f"open {number}", make, needs=tuple(f"spawn {name}" for name in MEMBERS))


def plan(at_ms: int) -> Action:
    """One task by the first member, whose result the others vote on."""

    def make(now: int, command: str) -> AnyCommand:
        part = TaskSpec(
            id="made", parent="whole", phase="one", capabilities=(MEMBERS[0],), input=Payload()
        )
        consensus = VoteSpec(
            "agreed", "?", (), Mechanism.UNANIMOUS, matter=Matter.TASK_RESULT, terms=PATIENT
        )
        return c.SubmitPlan(
            now_ms=now,
            command=command,
            spec=TaskSpec(id="whole", type="plan"),
            phases=(Phase("one", (part,)),),
            consensus=consensus,
        )

    needs = tuple(f"spawn {name}" for name in MEMBERS)
    return Action(at_ms, "plan", make, ("whole", "made"), needs)


@pytest.mark.parametrize("seed", range(6))
def test_votes_outlive_the_deaths_of_everybody_and_end_as_the_ballots_say(seed: int) -> None:
    random = Random(f"votes {seed}")
    actions = [spawn(name) for name in MEMBERS]
    actions += [opening(number, random.randint(500, 3_000)) for number in range(VOTES)]
    actions.append(plan(random.randint(500, 1_500)))
    world = World(seed, Workload(actions, {}, {}, {}, 20, 0))
    kernel, check = world.kernel, world.witness.check
    try:
        world.start()
        world.client.start()

        def kill_workers() -> None:
            for node in world.living():
                if random.random() < 0.5:
                    node.ended(Exit(None, "SIGKILL"))

        def kill_orchestrator() -> None:
            if world.life is not None:
                world.life.process.die()

        def counted() -> int:
            return sum(len(vote.ballots) for vote in check.votes.votes.values())

        assert kernel.run(lambda: counted() >= 1, UNTIL_MS) is None
        assert check.alive, "the first kill strikes while votes are open"
        kill_orchestrator()
        for _ in range(2):
            kernel.at_ms(kernel.now_us // 1_000 + random.randint(500, 6_000), kill_workers)
            kernel.at_ms(kernel.now_us // 1_000 + random.randint(500, 6_000), kill_orchestrator)

        def over() -> bool:
            votes = check.votes.votes
            decided = [vote for vote in votes.values() if vote.decision is not None]
            ended = len(decided) == VOTES + 1 and not check.alive
            return bool(kernel.faults) or (ended and world.client.done)

        why = kernel.run(over, UNTIL_MS)
        assert kernel.faults == []
        assert why is None, ({k: v.ballots for k, v in check.votes.votes.items()}, check.alive)
        assert len(world.lives) >= 2
        for number in range(VOTES):
            vote = check.votes.votes[f"vote{number}"]
            expected = {m: "reject" if m in WRONG else "approve" for m in MEMBERS}
            assert (vote.decision, vote.ballots) == ("approved", expected)
        agreed = check.votes.votes["agreed"]
        assert sorted(agreed.electorate) == list(MEMBERS[1:])
        assert agreed.decision == "undecided"
        assert check.tasks["whole"].ends == ["failed"] and check.tasks["made"].ends == ["completed"]
        assert compare_with_replay(world.witness, world.lives) == []
    finally:
        kernel.close()
