"""Each judged candidate has a vote in the log, decided by its ballots and said once."""

from collections.abc import Sequence

import pytest

from tests.engine.calm import Calm
from visionflow.adapters.memory import MemoryBlobs
from visionflow.agents.candidates.planning import code_plan
from visionflow.agents.candidates.ranking import MEMBERS
from visionflow.agents.candidates.values import Judged
from visionflow.agents.evidence import Ballot
from visionflow.agents.roles.job import storable
from visionflow.compose.job.story import Story
from visionflow.compose.job.votes import REASON_CHARS_MAX, candidate_votes, due
from visionflow.domain import events as e
from visionflow.domain.events import AnyEvent, Record
from visionflow.domain.votes import Mechanism
from visionflow.runtime.intake import pack

CODING = pytest.mark.acceptance("coding-agents")


def judged(number: int, *rejects: str, reason: str = "so it is") -> Judged:
    ballots = tuple(
        Ballot(each, "reject" if each in rejects else "approve", each, reason, {"run": 3})
        for each in MEMBERS
    )
    return Judged(f"candidate-{number}", f"tip-{number}", ballots=ballots)


class Told:
    """A run whose judges have come to these judgements, over a real engine."""

    def __init__(self, judgements: Sequence[Judged]) -> None:
        self.blobs = MemoryBlobs()
        self.world = Calm()
        self.judgements = judgements
        self.story = self.again()

    def again(self) -> Story:
        """The story that another process folds from the log."""
        story = Story(code_plan("a goal", ("claude",), len(self.judgements)))
        done: list[AnyEvent] = [
            e.TaskCompleted(
                task=f"judge-{number}",
                attempt=1,
                result=pack({"judged": storable(each)}, "a result", self.blobs),
            )
            for number, each in enumerate(self.judgements, 1)
        ]
        story.take(0, Record(1, done))
        self.seen = 0
        self._catch_up(story)
        return story

    def say(self, most: int | None = None) -> list[str]:
        """Say what is due, and again until nothing is; the ids of what was said."""
        said: list[str] = []
        while commands := list(due(self.story, self.blobs, 5)):
            for command in commands[: None if most is None else most - len(said)]:
                assert self.world.send(command).code is None
                said.append(command.command or "")
            self._catch_up(self.story)
            if len(said) == most:
                break
        return said

    def _catch_up(self, story: Story) -> None:
        records = self.world.records()
        for number in range(self.seen, len(records)):
            story.take(number + 1, records[number])
        self.seen = len(records)


@CODING
def test_each_candidate_gets_a_vote_and_one_ballot_that_rejects_is_enough() -> None:
    told = Told([judged(1), judged(2, "tests"), Judged("candidate-3", None, "it hung")])
    told.say()
    votes = candidate_votes(told.story, told.blobs)
    assert {name: vote.decision for name, vote in votes.items()} == {
        "candidate-1": "approved", "candidate-2": "rejected",
    }  # fmt: skip
    assert [each.member for each in votes["candidate-2"].ballots] == sorted(MEMBERS)
    assert votes["candidate-2"].ballots[0].facts == {"run": 3}
    assert {vote.spec.mechanism for vote in told.story.votes.values()} == {Mechanism.CONSENT}
    assert told.story.vote is None and told.story.vote_ended
    assert {name: vote.decision == "approved" for name, vote in votes.items()} == {
        each.candidate: each.good for each in told.judgements if each.tip is not None
    }


@CODING
@pytest.mark.parametrize("kill_after", range(1, 10))
def test_who_goes_on_after_a_crash_says_only_what_the_log_does_not_have(kill_after: int) -> None:
    told = Told([judged(1), judged(2, "scope")])
    first = told.say(kill_after)
    told.story = told.again()
    second = told.say()
    assert len(first) == kill_after
    assert sorted((*first, *second)) == sorted(
        each
        for number in (1, 2)
        for each in (
            f"open-vote-candidate-{number}",
            *(f"vote-candidate-{number}-ballot-{member}" for member in MEMBERS),
        )
    )
    assert told.story.vote_ended


@CODING
def test_a_run_is_not_over_while_the_vote_on_a_candidate_is_open() -> None:
    told = Told([judged(1)])
    told.say(2)
    assert not told.story.vote_ended
    told.say()
    assert told.story.vote_ended


def test_a_reason_as_long_as_a_log_of_tests_ends_no_vote() -> None:
    told = Told([judged(1, "accept", reason="x" * 100_000)])
    told.say()
    vote = candidate_votes(told.story, told.blobs)["candidate-1"]
    assert vote.decision == "rejected"
    assert {len(each.reason) for each in vote.ballots} == {REASON_CHARS_MAX}
