"""How an agent votes: what it is shown, and the ballot that it answers with.

`BaseAgent` has `Voting`. An agent that has measured nothing abstains and says why; candidates for a
task are ranked by the bids that everybody is shown.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Literal, cast

import msgspec

from visionflow.agents.task import Task
from visionflow.domain.errors import UsageError
from visionflow.domain.votes import Choice, Opinion

Says = Literal["approve", "reject", "abstain", "rank"]
Fact = int | float | str | bool | None
_PROPOSAL = ("vote", "matter", "question", "options", "task", "proposal", "of", "bids")


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """What a member of an electorate is asked, with all that it is shown."""

    vote: str
    """The id of the vote."""
    matter: str
    """`patch`, `task_result`, `task_assignment` or `question`."""
    question: str
    options: tuple[str, ...] = ()
    """What is to be ranked; empty: it is approved or rejected."""
    task: str | None = None
    """The id of the task whose result is voted on."""
    proposal: Any = None
    """As it was proposed."""
    of: dict[str, Any] = {}
    """Of `task`: its type and description, and in `inputs` what it, or its parts, were given."""
    bids: list[dict[str, Any]] = []
    """Of each candidate: `agent`, `total_bp`, and its parts `capability_bp`, `load_bp`, `past_bp`
    and `resources_bp`, in basis points, as the engine knew them when the vote was opened."""
    results: dict[str, Any] = {}
    """The results that are voted on, by task."""


class Ballot(msgspec.Struct, frozen=True):
    """What an agent says to a proposal, and what that rests on."""

    choice: Says
    evidence: str = ""
    """A word for the measurement. Without one the ballot counts as abstaining."""
    reason: str = ""
    ranking: tuple[str, ...] = ()
    facts: dict[str, Fact] = {}
    """What was measured, 4,096 bytes at most."""

    @classmethod
    def approve(cls, evidence: str, reason: str = "", **facts: Fact) -> "Ballot":
        """It holds, by this measurement."""
        return cls("approve", evidence, reason, (), facts)

    @classmethod
    def reject(cls, evidence: str, reason: str = "", **facts: Fact) -> "Ballot":
        """It does not hold, by this measurement."""
        return cls("reject", evidence, reason, (), facts)

    @classmethod
    def rank(
        cls, ranking: Sequence[str], evidence: str, reason: str = "", **facts: Fact
    ) -> "Ballot":
        """These options, best first; those left out are last, and equal."""
        return cls("rank", evidence, reason, tuple(ranking), facts)

    @classmethod
    def abstain(cls, reason: str = "") -> "Ballot":
        """There is no evidence either way."""
        return cls("abstain", "", reason)


class Voting:
    """The part of an agent that votes."""

    def vote(self, proposal: Proposal) -> Any:
        """Give a `Ballot` on a proposal, on evidence of one's own. May be `async`; a plain method
        runs in a thread, also while the agent is at work on a task.

        Without a method of its own an agent ranks the candidates for a task by their bids, and
        abstains from all else.
        """
        if proposal.bids:
            return ranked_by_bids(proposal)
        return Ballot.abstain(f"{type(self).__name__} measures nothing of this.")


def ranked_by_bids(proposal: Proposal) -> Ballot:
    """The candidates by what they bid; of equal ones the first by its id."""
    bids = sorted(proposal.bids, key=lambda bid: (-int(bid["total_bp"]), str(bid["agent"])))
    best = bids[0]
    parts = {name: best[name] for name in best if name.endswith("_bp")}
    reason = f"{best['agent']} bids most: {best['total_bp']} of 10,000"
    return Ballot.rank([str(bid["agent"]) for bid in bids], "bids", reason, **parts)


def proposal_of(task: Task) -> Proposal:
    """What a task of type `cast_ballot` asks.

    Raises:
        UsageError: it asks nothing that could be answered.
    """
    shown_as: object = task.input
    given = cast("dict[str, Any]", shown_as) if isinstance(shown_as, dict) else {}
    shown = {name: given[name] for name in _PROPOSAL if given.get(name) is not None}
    try:
        return msgspec.convert({**shown, "results": task.dependencies}, Proposal)
    except msgspec.ValidationError as error:
        raise UsageError(f"Task {task.id} asks for no ballot: {error}.") from error


async def ballot_of(
    agent: Voting,
    task: Task,
    in_thread: Callable[[Callable[[], Any]], Awaitable[Any]] = asyncio.to_thread,
) -> Opinion:
    """The agent's answer to a task of type `cast_ballot`.

    Raises:
        UsageError: `vote` gave something that is no ballot.
    """
    proposal = proposal_of(task)
    if inspect.iscoroutinefunction(agent.vote):
        said = await agent.vote(proposal)
    elif type(agent).vote is Voting.vote:
        said = agent.vote(proposal)
    else:
        said = await in_thread(lambda: agent.vote(proposal))
    if not isinstance(said, Ballot):
        raise UsageError(
            f"{type(agent).__name__}.vote gave {said!r:.100}, which is no Ballot.",
            hint="Return Ballot.approve(...), reject, rank or abstain of visionflow.agents.",
        )
    return Opinion(Choice(said.choice), said.evidence, said.reason, said.ranking, said.facts)
