"""How ballots are counted: what a vote comes to, whatever the order in which they came.

Nothing here looks at time or at who is still alive: `outcome` is a function of the vote as it was
opened and of the ballots alone.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from visionflow.domain.votes import (
    Cast,
    Choice,
    Decision,
    Mechanism,
    Outcome,
    Resolution,
    Tally,
    VoteSpec,
)

FULL_BP = 10_000
THRESHOLD_WEIGHTED_BP = 7_000
THRESHOLD_MESH_BP = 6_700
APPROVE, REJECT = "approve", "reject"
_SIDES = {Decision.APPROVED: APPROVE, Decision.REJECTED: REJECT}


def weight_bp(succeeded: int, failed: int) -> int:
    """What a ballot is worth by its member's record, 0 to 10,000: the mean of the Beta posterior
    under a uniform prior (Laplace's rule of succession). Nobody without a record counts as half
    right, and no record is long enough for certainty."""
    return FULL_BP * (succeeded + 1) // (succeeded + failed + 2)


# Approval --------------------------------------------------------------------------------------


def _majority(tally: Tally) -> Decision:
    if tally.approve == tally.reject:
        return Decision.UNDECIDED
    return Decision.APPROVED if tally.approve > tally.reject else Decision.REJECTED


def _consent(tally: Tally) -> Decision:
    if tally.reject:
        return Decision.REJECTED
    return Decision.APPROVED if tally.approve else Decision.UNDECIDED


MECHANISMS: dict[Mechanism, Callable[[Tally], Decision]] = {
    Mechanism.MAJORITY: _majority,
    Mechanism.CONSENT: _consent,
}


def tally_of(ballots: Iterable[Choice | None]) -> Tally:
    """How many members said what; `None` is one that said nothing."""
    counts = Counter(ballots)
    return Tally(
        counts[Choice.APPROVE],
        counts[Choice.REJECT],
        counts[Choice.ABSTAIN],
        counts[None],
        counts[Choice.RANK],
    )


# All mechanisms --------------------------------------------------------------------------------


def outcome(spec: VoteSpec, ballots: Mapping[str, Cast | None]) -> Outcome:
    """What these ballots come to. `ballots`: of members; `None`, or none at all: it was silent."""
    cast = {name: ballots.get(name) for name in spec.electorate}
    tally = tally_of(None if each is None else each.choice for each in cast.values())
    spoken = {name: each for name, each in cast.items() if each is not None and speaks(each)}
    side, shares = counted(spec, spoken, tally)
    if side is not None and not has_quorum(spec, len(spoken)):
        side = None
    decider = None
    if side is None:
        decider = _decider(spec, spoken)
        side = None if decider is None else side_of(spoken[decider])
    decision, chosen = _decision(spec, side)
    refer = side is None and spec.terms.resolution is Resolution.HUMAN
    return Outcome(decision, tally, chosen, shares, decider, refer)


def side_of(cast: Cast) -> str:
    """What a ballot that does not abstain is for: `approve`, `reject`, or its first option."""
    return cast.ranking[0] if cast.choice is Choice.RANK else cast.choice.value


def speaks(cast: Cast) -> bool:
    """Whether a ballot takes a side."""
    return cast.choice is not Choice.ABSTAIN and (
        cast.choice is not Choice.RANK or bool(cast.ranking)
    )


def _decision(spec: VoteSpec, side: str | None) -> tuple[Decision, str | None]:
    if side is None:
        return Decision.UNDECIDED, None
    if spec.options:
        return Decision.CHOSEN, side
    return (Decision.APPROVED if side == APPROVE else Decision.REJECTED), None


def counted(
    spec: VoteSpec, spoken: Mapping[str, Cast], tally: Tally
) -> tuple[str | None, dict[str, int]]:
    """The side that wins by the mechanism, if any, and what each side got."""
    sides = spec.options or (APPROVE, REJECT)
    mechanism = spec.mechanism
    if mechanism is Mechanism.RANKED:
        return _schulze(sides, [each.ranking for _, each in sorted(spoken.items())])
    weights = weights_of(spec) if mechanism is Mechanism.WEIGHTED else {}
    got = dict.fromkeys(sides, 0)
    for name, each in spoken.items():
        got[side_of(each)] += weights.get(name, 0) if weights else 1
    if mechanism is Mechanism.CONSENT or (not spec.options and _is_simple(spec)):
        return _SIDES.get(MECHANISMS[mechanism](tally)), got
    if mechanism is Mechanism.UNANIMOUS:
        whole = next((s for s, count in got.items() if count == len(spec.electorate)), None)
        return whole, got
    return _leading(got, spec.terms.threshold_bp), got


def _is_simple(spec: VoteSpec) -> bool:
    return spec.mechanism is Mechanism.MAJORITY and not spec.terms.threshold_bp


def weights_of(spec: VoteSpec) -> dict[str, int]:
    """What each member's ballot is worth."""
    if not spec.weights:
        return dict.fromkeys(spec.electorate, 1)
    return dict(zip(spec.electorate, spec.weights, strict=True))


def _leading(got: Mapping[str, int], threshold_bp: int) -> str | None:
    """The one side that has more than every other, and enough."""
    total, most = sum(got.values()), max(got.values())
    leaders = [side for side, count in got.items() if count == most]
    if most == 0 or len(leaders) > 1:
        return None
    enough = most * FULL_BP >= threshold_bp * total if threshold_bp else 2 * most > total
    return leaders[0] if enough else None


def has_quorum(spec: VoteSpec, spoken: int) -> bool:
    """Whether so many that took a side are enough of the electorate."""
    quorum_bp, members = spec.terms.quorum_bp, len(spec.electorate)
    if quorum_bp:
        return spoken * FULL_BP >= quorum_bp * members
    return spec.mechanism is not Mechanism.QUORUM or 2 * spoken > members


# Where the ballots together decide nothing -----------------------------------------------------


def _decider(spec: VoteSpec, spoken: Mapping[str, Cast]) -> str | None:
    """The member whose ballot decides then, if there is one."""
    terms = spec.terms
    if terms.resolution is Resolution.COORDINATOR:
        return terms.decider if terms.decider in spoken else None
    if terms.resolution is not Resolution.EXPERT_PRIORITY or not spoken:
        return None
    weights = weights_of(spec)
    most = max(weights[name] for name in spoken)
    experts = sorted(name for name in spoken if weights[name] == most)
    said = {side_of(spoken[name]): None for name in experts}
    return experts[0] if len(said) == 1 else None


# Rankings --------------------------------------------------------------------------------------


def _schulze(
    options: tuple[str, ...], rankings: list[tuple[str, ...]]
) -> tuple[str | None, dict[str, int]]:
    """The option that the Schulze method elects, if it is a single one; and of each option, how
    many of the others it beats by the strength of paths."""
    count = len(options)
    prefers = [[0] * count for _ in options]
    for ranking in rankings:
        place = {name: at for at, name in enumerate(ranking)}
        at = [place.get(name, count) for name in options]
        for i in range(count):
            for j in range(count):
                prefers[i][j] += at[i] < at[j]
    paths = [
        [p if p > prefers[j][i] else 0 for j, p in enumerate(row)] for i, row in enumerate(prefers)
    ]
    for via in range(count):
        for i in range(count):
            for j in range(count):
                if i != j:
                    paths[i][j] = max(paths[i][j], min(paths[i][via], paths[via][j]))
    beaten = {
        name: sum(paths[i][j] > paths[j][i] for j in range(count) if j != i)
        for i, name in enumerate(options)
    }
    best = [name for name, others in beaten.items() if others == count - 1]
    return (best[0] if best and rankings else None), beaten


def is_ballot_for(spec: VoteSpec, cast: Cast) -> str | None:
    """Why this is no ballot on this vote; `None`: it is one."""
    if cast.choice is Choice.ABSTAIN:
        return None
    if not spec.options:
        return "it ranks, and the vote approves or rejects" if cast.choice is Choice.RANK else None
    if cast.choice is not Choice.RANK or not cast.ranking:
        return "it orders none of the options"
    strange = [name for name in cast.ranking if name not in spec.options]
    if strange:
        return f"{strange[0]!r:.100} is no option"
    return (
        "it names an option twice" if len(dict.fromkeys(cast.ranking)) < len(cast.ranking) else None
    )


__all__ = [
    "APPROVE",
    "MECHANISMS",
    "REJECT",
    "THRESHOLD_MESH_BP",
    "THRESHOLD_WEIGHTED_BP",
    "counted",
    "has_quorum",
    "is_ballot_for",
    "outcome",
    "side_of",
    "speaks",
    "tally_of",
    "weight_bp",
    "weights_of",
]
