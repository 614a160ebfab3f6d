"""Votes: a question to a fixed electorate, how it is decided, and the words for ballots."""

from enum import StrEnum

import msgspec

from visionflow.domain.tasks import NOTHING, Payload

CAST_BALLOT = "cast_ballot"
"""The type of the task by which a member of an electorate is asked for its ballot."""


class Mechanism(StrEnum):
    """How the ballots of a vote decide it."""

    MAJORITY = "majority"
    """The side with more ballots among those that approve or reject; a tie decides nothing."""
    CONSENT = "consent"
    """One ballot that rejects is enough to reject; else one that approves is enough to approve.
    For members whose evidence differs in kind, so that none can outvote another's."""
    WEIGHTED = "weighted"
    """As majority, and each ballot counts as much as its member's record is worth."""
    QUORUM = "quorum"
    """As majority, and it decides only where enough of the electorate did not abstain."""
    UNANIMOUS = "unanimous"
    """All of the electorate say the same, and nobody abstains."""
    RANKED = "ranked"
    """The option that the Schulze method elects from the members' rankings (M. Schulze, Social
    Choice and Welfare 36, 2011): it beats every other in pairs, and a cycle is resolved by the
    strength of its paths."""


class Matter(StrEnum):
    """What kind of proposal is voted on."""

    PATCH = "patch"
    """A change: approved or rejected by what is measured of it."""
    TASK_RESULT = "task_result"
    """What came of a task."""
    TASK_ASSIGNMENT = "task_assignment"
    """Who is to do a task; the options are agents."""
    QUESTION = "question"
    """One with options."""


class Resolution(StrEnum):
    """What is done when the ballots alone decide nothing."""

    NONE = "none"
    """The vote is undecided."""
    EXPERT_PRIORITY = "expert_priority"
    """The ballot of the member with the highest weight decides, where there is one such."""
    COORDINATOR = "coordinator"
    """The ballot of the swarm's manager or centre decides."""
    HUMAN = "human"
    """The vote is referred to a person."""


RESOLUTIONS: dict[str, Resolution] = {each.value: each for each in Resolution}


class Choice(StrEnum):
    """What a ballot says."""

    APPROVE = "approve"
    REJECT = "reject"
    ABSTAIN = "abstain"
    """The member has no evidence either way."""
    RANK = "rank"
    """It orders the options, best first."""


class Decision(StrEnum):
    """What a vote came to."""

    APPROVED = "approved"
    REJECTED = "rejected"
    UNDECIDED = "undecided"
    CHOSEN = "chosen"
    """One of the options was."""


class Standing(StrEnum):
    """What a result that was completed counts as in the record of the agent that made it."""

    COMPLETED = "completed"
    """A success, as every result until a vote says otherwise."""
    FAILED = "failed"
    """A vote rejected it."""
    UNCOUNTED = "uncounted"
    """Neither: it was held back for a vote, which came to no decision."""


class Regraded(msgspec.Struct, frozen=True, gc=False):
    """A result counts as something else from now on."""

    task: str
    agent: str
    """That made it."""
    before: Standing
    after: Standing


class VoteStatus(StrEnum):
    """Where a vote stands."""

    OPEN = "open"
    REFERRED = "referred"
    """No further ballot counts; a person decides."""
    DECIDED = "decided"


class Terms(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """How a vote is decided, apart from its mechanism. Shares are in basis points."""

    threshold_bp: int = 0
    """The share of what was cast that a side needs; 0: more than any other, of options more than
    half."""
    quorum_bp: int = 0
    """The share of the electorate that must not abstain; 0: none, under `quorum` more than half."""
    resolution: Resolution = Resolution.NONE
    decider: str | None = None
    """Under `coordinator`, whose ballot decides; fixed when the vote is opened."""
    timeout_ms: int | None = None
    """It is closed this long after it was opened."""
    capability: str = ""
    """The word (of a capability or a type of task) whose record gives the weights; empty: all
    tasks that a member did."""


class Agreement(msgspec.Struct, frozen=True, gc=False):
    """How a swarm has to agree to the result of a plan before that completes."""

    mechanism: Mechanism = Mechanism.WEIGHTED
    terms: Terms = Terms()


class VoteSpec(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A vote as it was opened. Nothing in it changes after that."""

    id: str
    question: str
    electorate: tuple[str, ...]
    """Ids of the agents that have a ballot each, whatever becomes of them later."""
    mechanism: Mechanism = Mechanism.MAJORITY
    seats: bool = False
    """The members are seats of a plan, whoever sits on them, and not agents by their ids."""
    matter: Matter = Matter.PATCH
    options: tuple[str, ...] = ()
    """What is chosen from; empty: it is approved or rejected."""
    terms: Terms = Terms()
    weights: tuple[int, ...] = ()
    """What each member's ballot is worth, in basis points, in the order of the electorate; written
    by the engine when it opens the vote."""
    asked: bool = False
    """Each member is asked for its ballot by a task of type `cast_ballot`."""
    proposal: Payload = NOTHING
    """What the members are shown, inline."""
    task: str | None = None
    """Whose result is voted on."""
    gates: bool = False
    """That task, a plan, ends as the vote does: it is held until then."""


class Cast(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What a ballot says, as it counts."""

    choice: Choice
    ranking: tuple[str, ...] = ()
    """Options, best first; those that it leaves out are last, and equal."""


class Opinion(msgspec.Struct, frozen=True, gc=False):
    """A ballot as an agent answers `cast_ballot` with it."""

    choice: Choice
    evidence: str = ""
    """A word for the measurement behind it."""
    reason: str = ""
    ranking: tuple[str, ...] = ()
    facts: dict[str, int | float | str | bool | None] = {}
    """What was measured."""


class Tally(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """How many of an electorate said what."""

    approve: int = 0
    reject: int = 0
    abstain: int = 0
    silent: int = 0
    """Members without a ballot."""
    ranked: int = 0


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """What the ballots of a vote come to."""

    decision: Decision
    tally: Tally
    chosen: str | None = None
    """The option."""
    shares: dict[str, int] = {}
    """What approval, rejection, or each option got: ballots, under `weighted` their weights, under
    `ranked` the other options that it beats."""
    decider: str | None = None
    """The member whose ballot decided, where the ballots together did not."""
    refer: bool = False
    """It decides nothing, and a person is to."""
