"""Why the ballots of a vote decide nothing, in words, and what would have."""

from collections.abc import Mapping

from visionflow.domain.votes import Cast, Mechanism, Resolution, VoteSpec
from visionflow.engine.voting import FULL_BP, counted, has_quorum, speaks, tally_of

SHOWN_MAX, SHOWN_CHARS_MAX = 3, 100


def why_undecided(spec: VoteSpec, ballots: Mapping[str, Cast | None]) -> str:
    """One sentence, without its stop, on ballots of which `voting.outcome` is undecided."""
    cast = {name: ballots.get(name) for name in spec.electorate}
    spoken = {name: each for name, each in cast.items() if each is not None and speaks(each)}
    if not spoken:
        return "no member took a side; it takes members that can measure what is asked"
    return f"{_why(spec, cast, spoken)}{_unresolved(spec, spoken)}"


def _why(spec: VoteSpec, cast: Mapping[str, Cast | None], spoken: Mapping[str, Cast]) -> str:
    members, quorum_bp = len(spec.electorate), spec.terms.quorum_bp
    if not has_quorum(spec, len(spoken)):
        needed = _percent(quorum_bp) if quorum_bp else "more than half"
        return f"{len(spoken)} of {members} members took a side, and the quorum is {needed}"
    if spec.mechanism is Mechanism.RANKED:
        return "no option beats every other"
    tally = tally_of(None if each is None else each.choice for each in cast.values())
    _, got = counted(spec, spoken, tally)
    if spec.mechanism is Mechanism.UNANIMOUS:
        said = [f"{count} for {_named(side)}" for side, count in got.items() if count]
        none = members - len(spoken)
        said = said[:SHOWN_MAX] + ([f"{none} for no side"] if none else [])
        return f"all {members} members must say the same, and there are {_listed(said)}"
    total, most = sum(got.values()), max(got.values())
    leaders = [side for side, count in got.items() if count == most]
    if not total:
        return "no ballot that took a side is worth anything"
    if len(leaders) > 1:
        return f"{_listed([_named(each) for each in leaders[:SHOWN_MAX]])} got the same"
    threshold_bp = spec.terms.threshold_bp
    needed = _percent(threshold_bp) if threshold_bp else "more than half"
    return (
        f"{_named(leaders[0])} got {_percent(most * FULL_BP // total)} of what was cast, and "
        f"{needed} is needed"
    )


def _unresolved(spec: VoteSpec, spoken: Mapping[str, Cast]) -> str:
    terms = spec.terms
    match terms.resolution:
        case Resolution.NONE:
            return "; no conflict_resolution was asked for"
        case Resolution.EXPERT_PRIORITY:
            return "; those of the highest weight disagree too"
        case Resolution.COORDINATOR if terms.decider is None:
            return "; the swarm had no coordinator whose ballot could decide"
        case Resolution.COORDINATOR if terms.decider not in spec.electorate:
            return f"; {terms.decider}, which coordinates, is no member of this vote"
        case Resolution.COORDINATOR if terms.decider not in spoken:
            return f"; {terms.decider}, which coordinates, took no side"
        case _:
            return ""


def _percent(share_bp: int) -> str:
    return f"{share_bp / 100:g} %"


def _named(side: str) -> str:
    return side if len(side) <= SHOWN_CHARS_MAX else f"{side[:SHOWN_CHARS_MAX]}..."


def _listed(words: list[str]) -> str:
    return " and ".join((", ".join(words[:-1]), words[-1])) if len(words) > 1 else words[0]
