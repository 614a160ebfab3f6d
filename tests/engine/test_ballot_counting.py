"""The counting of ballots: any order decides the same, and an even split decides nothing."""

import dataclasses
import itertools
import random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visionflow.domain.votes import Cast, Choice, Decision, Mechanism, Resolution, Terms, VoteSpec
from visionflow.engine.voting import outcome, weight_bp
from visionflow.testing.ballots import VoteCheck

YES, NO, NONE = Cast(Choice.APPROVE), Cast(Choice.REJECT), Cast(Choice.ABSTAIN)
SETTINGS = settings(max_examples=200, deadline=None)
SHARES = st.sampled_from((0, 3_000, 5_000, 6_700, 7_000, 10_000))


@dataclasses.dataclass
class Case:
    """A vote with ballots."""

    spec: VoteSpec
    ballots: dict[str, Cast | None]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    count = draw(st.integers(1, 7))
    members = tuple(f"m{number}" for number in range(count))
    options = draw(st.sampled_from(((), ("a", "b"), ("a", "b", "c", "d"))))
    mechanisms = [
        m for m in Mechanism if m is not (Mechanism.CONSENT if options else Mechanism.RANKED)
    ]
    spec = VoteSpec(
        "v",
        "?",
        members,
        draw(st.sampled_from(mechanisms)),
        options=options,
        terms=Terms(
            threshold_bp=draw(SHARES),
            quorum_bp=draw(SHARES),
            resolution=draw(st.sampled_from(tuple(Resolution))),
            decider=draw(st.sampled_from((None, *members))),
        ),
        weights=tuple(draw(st.integers(1, 9_999)) for _ in members),
        asked=True,
    )
    ballots: dict[str, Cast | None] = {}
    for member in members:
        if draw(st.integers(0, 4)) == 0:
            ballots[member] = draw(st.sampled_from((None, NONE)))
        elif options:
            ranking = draw(st.permutations(options))
            ballots[member] = Cast(
                Choice.RANK, tuple(ranking[: draw(st.integers(1, len(options)))])
            )
        else:
            ballots[member] = draw(st.sampled_from((YES, NO)))
    return Case(spec, ballots)


@pytest.mark.acceptance("consensus")
@SETTINGS
@given(cases(), st.randoms(use_true_random=False))
def test_the_same_ballots_in_any_order_decide_the_same(case: Case, chance: random.Random) -> None:
    first = outcome(case.spec, case.ballots)
    mixed = list(case.ballots.items())
    chance.shuffle(mixed)
    assert outcome(case.spec, dict(mixed)) == first
    # Nor does it matter in which order the electorate was written down.
    order = list(range(len(case.spec.electorate)))
    chance.shuffle(order)
    other = msgspec.structs.replace(
        case.spec,
        electorate=tuple(case.spec.electorate[at] for at in order),
        weights=tuple(case.spec.weights[at] for at in order),
    )
    again = outcome(other, case.ballots)
    assert (again.decision, again.chosen) == (first.decision, first.chosen)


@pytest.mark.acceptance("consensus")
@SETTINGS
@given(cases())
def test_what_decides_is_what_the_rule_says_in_other_words(case: Case) -> None:
    found = outcome(case.spec, case.ballots)
    check = VoteCheck()
    spec = msgspec.to_builtins(case.spec)
    opened = {"spec": spec, "tasks": ["t"] * len(case.spec.electorate)}
    assert not list(check.event("vote_opened", opened, set(case.spec.electorate)))
    for member, cast in case.ballots.items():
        if cast is not None:
            said = {"vote": "v", "member": member, **msgspec.to_builtins(cast)}
            assert not list(check.event("ballot_cast", said, ()))
    kind = "vote_referred" if found.refer else "vote_decided"
    ended = {
        "vote": "v",
        "decision": found.decision.value,
        "tally": msgspec.to_builtins(found.tally),
    }
    if found.chosen is not None:
        ended["chosen"] = found.chosen
    assert not list(check.event(kind, ended, ()))
    other = {**ended, "decision": "approved" if found.decision != "approved" else "rejected"}
    other.pop("chosen", None)
    if not found.refer:
        fresh = VoteCheck()
        list(fresh.event("vote_opened", opened, set(case.spec.electorate)))
        fresh.votes["v"].ballots = check.votes["v"].ballots
        fresh.votes["v"].rankings = check.votes["v"].rankings
        assert list(fresh.event(kind, other, ())), "the checker would take any decision"


@pytest.mark.acceptance("consensus")
@SETTINGS
@given(cases())
def test_no_two_sides_have_a_majority(case: Case) -> None:
    """Of any two decisions on the same ballots, whichever side is looked at first, one is."""
    flipped = {Choice.APPROVE: NO, Choice.REJECT: YES}
    if case.spec.options or case.spec.mechanism is Mechanism.CONSENT:
        return
    mirrored = {m: flipped.get(c.choice, c) if c else None for m, c in case.ballots.items()}
    one, two = outcome(case.spec, case.ballots), outcome(case.spec, mirrored)
    turned = {Decision.APPROVED: Decision.REJECTED, Decision.REJECTED: Decision.APPROVED}
    assert two.decision == turned.get(one.decision, one.decision)


@pytest.mark.acceptance("consensus")
@pytest.mark.parametrize("mechanism", [m for m in Mechanism if m is not Mechanism.CONSENT])
@pytest.mark.parametrize("half", [1, 2, 5])
@pytest.mark.parametrize("threshold", [0, 3_000, 5_000])
def test_an_even_split_decides_nothing(mechanism: Mechanism, half: int, threshold: int) -> None:
    members = tuple(f"m{number}" for number in range(2 * half))
    options = ("a", "b")
    for sides in (("a", "b"), ("b", "a")):
        spec = VoteSpec(
            "v", "?", members, mechanism, options=options, terms=Terms(threshold_bp=threshold),
            weights=(5_000,) * (2 * half),
        )  # fmt: skip
        ballots = {
            m: Cast(Choice.RANK, (sides[n % 2], sides[1 - n % 2])) for n, m in enumerate(members)
        }
        assert outcome(spec, ballots).decision is Decision.UNDECIDED
    if mechanism is not Mechanism.RANKED:
        spec = msgspec.structs.replace(spec, options=())
        said = {m: (YES, NO)[n % 2] for n, m in enumerate(members)}
        assert outcome(spec, said).decision is Decision.UNDECIDED


def test_the_schulze_method_elects_as_in_its_own_example() -> None:
    """The example of the method's author: 45 voters, five candidates, and E is elected, though
    nobody beats all others in pairs."""
    groups = {
        "ACBED": 5, "ADECB": 5, "BEDAC": 8, "CABED": 3, "CAEBD": 7, "CBADE": 2, "DCEBA": 7,
        "EBADC": 8,
    }  # fmt: skip
    rankings = [tuple(order) for order, count in groups.items() for _ in range(count)]
    members = tuple(f"m{number:02}" for number in range(45))
    spec = VoteSpec("v", "?", members, Mechanism.RANKED, options=tuple("ABCDE"))
    ballots = {m: Cast(Choice.RANK, r) for m, r in zip(members, rankings, strict=True)}
    found = outcome(spec, ballots)
    assert found.chosen == "E"
    assert found.shares == {"E": 4, "A": 3, "C": 2, "B": 1, "D": 0}


def test_weights_are_between_nothing_and_certainty_and_grow_with_the_record() -> None:
    assert weight_bp(0, 0) == 5_000
    assert weight_bp(8, 0) == 9_000 and weight_bp(0, 8) == 1_000
    for good, bad in itertools.product(range(6), repeat=2):
        assert 0 < weight_bp(good, bad) < weight_bp(good + 1, bad) < 10_000
        assert weight_bp(good, bad + 1) < weight_bp(good, bad)
