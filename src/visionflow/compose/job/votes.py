"""The votes of a run: opened when what is voted on is there, fed with the reviewers' ballots.

There is one on the coder's change, and one on each candidate that was judged. A reviewer hands its
ballot in as the result of a task; it counts when the log has it as a ballot. Each command has a
fixed id, so that saying it again after a crash changes nothing.
"""

from collections.abc import Iterator
from typing import Any, TypeVar, cast

import msgspec

from visionflow.agents.candidates.values import Judged
from visionflow.agents.evidence import Ballot, Change, Verdict
from visionflow.agents.evidence import Choice as Says
from visionflow.agents.evidence import Vote as VoteFacts
from visionflow.agents.report.gathering import QUESTION
from visionflow.compose.job.story import VOTE, Story, VoteStory
from visionflow.domain import commands as c
from visionflow.domain.commands import AnyCommand
from visionflow.domain.errors import BlobMissing
from visionflow.domain.tasks import Payload, TaskStatus
from visionflow.domain.votes import Choice, Mechanism, VoteSpec
from visionflow.ports.blobs import Blobs
from visionflow.runtime.intake import pack, unpack

T = TypeVar("T")
REASON_CHARS_MAX = 2_000
"""Of a ballot on a candidate; its judgement has all of it."""


def due(story: Story, blobs: Blobs, now_ms: int) -> Iterator[AnyCommand]:
    """What must be said of the votes now. Nothing of it is said of a vote that nobody needs."""
    yield from _on_change(story, blobs, now_ms)
    yield from _on_candidates(story, blobs, now_ms)


def _on_change(story: Story, blobs: Blobs, now_ms: int) -> Iterator[AnyCommand]:
    voting = story.of_type("vote")
    if not voting or (story.vote is not None and story.vote.decision is not None):
        return
    results = {task: _result(story, task, blobs) for task in voting}
    if story.vote is None:
        members = tuple(
            story.tasks[task].agent
            for task in voting
            if story.tasks[task].agent not in story.failed_agents
        )
        if members and _change(story, blobs) and any(_needed(each) for each in results.values()):
            spec = VoteSpec(VOTE, QUESTION, members)
            yield c.OpenVote(now_ms=now_ms, command="open-vote", spec=spec)
        return
    for task, result in results.items():
        member, ballot = story.tasks[task].agent, _ballot(result)
        if ballot is not None and member not in story.vote.ballots:
            yield _cast(VOTE, f"ballot-{member}", member, ballot, now_ms, blobs)
    if all(story.parts[task].ended for task in voting):
        yield c.CloseVote(
            now_ms=now_ms, command="close-vote", vote=VOTE, reason="no further ballot will come"
        )


def _on_candidates(story: Story, blobs: Blobs, now_ms: int) -> Iterator[AnyCommand]:
    """Each judgement brings all its ballots at once; the last of them decides. A ballot that
    rejects is enough, whatever the others say: their evidence is of other kinds."""
    for task in story.of_type("judge"):
        judged = _read(_result(story, task, blobs), "judged", Judged)
        if judged is None or judged.tip is None or not judged.ballots:
            continue
        name = vote_on(judged.candidate)
        vote = story.votes.get(name)
        if vote is None:
            members = tuple(each.member for each in judged.ballots)
            question = f"Is {judged.candidate} good enough to be taken?"
            spec = VoteSpec(name, question, members, Mechanism.CONSENT, seats=True)
            yield c.OpenVote(now_ms=now_ms, command=f"open-{name}", spec=spec)
        elif vote.decision is None:
            for ballot in judged.ballots:
                if ballot.member not in vote.ballots:
                    cut = msgspec.structs.replace(ballot, reason=ballot.reason[:REASON_CHARS_MAX])
                    command = f"{name}-ballot-{ballot.member}"
                    yield _cast(name, command, ballot.member, cut, now_ms, blobs)


def vote_on(candidate: str) -> str:
    """The id of the vote on a candidate."""
    return f"{VOTE}-{candidate}"


def candidate_votes(story: Story, blobs: Blobs) -> dict[str, VoteFacts]:
    """The votes on candidates, by the candidate, as the log has them."""
    told = {
        name.removeprefix(vote_on("")): facts_of(vote, blobs)
        for name, vote in story.votes.items()
        if name.startswith(vote_on(""))
    }
    return {name: facts for name, facts in told.items() if facts is not None}


def _cast(
    vote: str, command: str, member: str, ballot: Ballot, now_ms: int, blobs: Blobs
) -> c.CastBallot:
    return c.CastBallot(
        now_ms=now_ms,
        command=command,
        vote=vote,
        member=member,
        choice=Choice(ballot.choice),
        evidence=ballot.evidence,
        reason=ballot.reason,
        facts=pack(ballot.facts, f"the evidence of {member}", blobs),
    )


def facts_of(vote: VoteStory | None, blobs: Blobs) -> VoteFacts | None:
    """The vote as reports tell it; `None` when there was none."""
    if vote is None:
        return None
    ballots = tuple(
        Ballot(
            cast_.member, msgspec.convert(cast_.choice.value, Says), cast_.evidence,
            cast_.reason, _facts(cast_.facts, blobs),
        )
        for _, cast_ in sorted(vote.ballots.items())
    )  # fmt: skip
    said = vote.decision
    decision = None if said is None else msgspec.convert(said.value, Verdict)
    return VoteFacts(vote.spec.question, vote.spec.electorate, ballots, decision)


def _facts(payload: Payload, blobs: Blobs) -> dict[str, int | str | None]:
    try:
        return msgspec.convert(unpack(payload, blobs) or {}, dict[str, int | str | None])
    except (BlobMissing, msgspec.ValidationError):
        return {}


def _change(story: Story, blobs: Blobs) -> bool:
    """Whether there is a change to vote on."""
    for task in story.of_type("fix"):
        result = _result(story, task, blobs)
        change = cast("dict[str, Any]", result).get("change") if isinstance(result, dict) else None
        try:
            if change is not None and msgspec.convert(change, Change).outcome == "changed":
                return True
        except msgspec.ValidationError:
            continue
    return False


def _needed(result: object) -> bool:
    return _ballot(result) is not None


def _ballot(result: object) -> Ballot | None:
    return _read(result, "ballot", Ballot)


def _read(result: object, key: str, kind: type[T]) -> T | None:
    found = cast("dict[str, Any]", result).get(key) if isinstance(result, dict) else None
    try:
        return None if found is None else msgspec.convert(found, kind)
    except msgspec.ValidationError:
        return None


def _result(story: Story, task: str, blobs: Blobs) -> object:
    part = story.parts[task]
    if part.status is not TaskStatus.COMPLETED:
        return None
    try:
        return unpack(part.result, blobs)
    except BlobMissing:
        return None
