"""Votes whose members are asked by tasks: ballots from answers, time, people, and gated plans."""

import msgspec
import pytest

from tests.engine.polled import (
    ABSTAIN,
    HUMAN,
    NO,
    RANK,
    TERMS,
    YES,
    answer,
    asked,
    cancel,
    gated,
    practise,
    result,
    sound,
)
from tests.engine.world import World
from visionflow.domain import commands as c
from visionflow.domain import events as e
from visionflow.domain.tasks import FailureKind, Payload, TaskStatus
from visionflow.domain.votes import (
    CAST_BALLOT,
    Choice,
    Decision,
    Matter,
    Mechanism,
    Resolution,
    Terms,
)
from visionflow.domain.votes_commands import ResolveVote
from visionflow.domain.votes_events import VoteReferred


def test_each_member_is_asked_by_a_task_of_its_own_and_its_answer_is_its_ballot() -> None:
    world, vote, members = asked()
    asks = [t for t in world.state.tasks.values() if t.spec.type == CAST_BALLOT]
    assert [t.agent for t in asks] == members and [t.spec.agent for t in asks] == members
    answer(world, vote, 1, YES, reason="all pass", facts={"passed": 12})
    answer(world, vote, 2, NO, evidence="findings")
    assert not world.of(e.VoteDecided)
    answer(world, vote, 3, YES)
    decided = world.last(e.VoteDecided)
    assert decided.decision is Decision.APPROVED
    kept = world.state.polls.over[vote].said
    assert msgspec.msgpack.decode(kept[members[0]].facts.inline or b"") == {"passed": 12}
    assert kept[members[1]].evidence == "findings" and not world.state.polls.asked
    sound(world)


def test_whoever_gives_no_evidence_or_no_ballot_or_nothing_at_all_has_abstained() -> None:
    world, vote, _ = asked(4)
    answer(world, vote, 1, YES, evidence="", reason="trust me")
    result(world, f"{vote}.2", Payload(inline=msgspec.msgpack.encode({"choice": "maybe"})))
    result(world, f"{vote}.3", Payload(blob="0" * 64))
    cancel(world, f"{vote}.4")
    world.fail(f"{vote}.4", FailureKind.KILLED)
    decided = world.last(e.VoteDecided)
    assert decided.decision is Decision.UNDECIDED and decided.tally.abstain == 4
    reasons = [each.reason for each in world.of(e.BallotCast)]
    assert "trust me" in reasons[0] and "no ballot" in reasons[1] and "no answer" in reasons[3]
    sound(world)


def test_who_abstains_as_its_answer_was_none_is_told_why() -> None:
    world, vote, members = asked(4)
    world.fail(f"{vote}.1", FailureKind.PERMANENT, reason="RuntimeError: cannot vote")
    answer(world, vote, 2, YES, evidence="e" * 1_001)
    result(world, f"{vote}.3", Payload(blob="0" * 64))
    cancel(world, f"{vote}.4")
    world.fail(f"{vote}.4", FailureKind.KILLED)
    reasons = {each.member: each.reason for each in world.of(e.BallotCast)}
    assert reasons[members[0]] == "It gave no answer: RuntimeError: cannot vote"
    for long in (reasons[members[1]], reasons[members[2]]):
        assert "its evidence has at most 1000 characters" in long
    assert reasons[members[3]].startswith("It gave no answer: ") and not world.of(e.BallotRefused)
    sound(world)


COORDINATOR = Terms(timeout_ms=10_000, resolution=Resolution.COORDINATOR)
EXPERT = Terms(timeout_ms=10_000, resolution=Resolution.EXPERT_PRIORITY)
QUORUM = Terms(timeout_ms=10_000, quorum_bp=10_000)
SHARE = Terms(timeout_ms=10_000, threshold_bp=7_500)


@pytest.mark.parametrize(
    ("choices", "fields", "why"),
    [
        ((YES, NO), {}, "approve and reject got the same; no conflict_resolution was asked for"),
        ((ABSTAIN, ABSTAIN), {}, "no member took a side"),
        ((YES, ABSTAIN), {"terms": QUORUM}, "1 of 2 members took a side, and the quorum is 100 %"),
        ((YES, ABSTAIN), {"mechanism": Mechanism.QUORUM}, "the quorum is more than half"),
        (
            (YES, YES, ABSTAIN),
            {"mechanism": Mechanism.UNANIMOUS},
            "all 3 members must say the same, and there are 2 for approve and 1 for no side",
        ),
        (
            (YES, YES, NO),
            {"mechanism": Mechanism.QUORUM, "terms": SHARE},
            "approve got 66.66 % of what was cast, and 75 % is needed",
        ),
        ((YES, NO), {"terms": EXPERT}, "those of the highest weight disagree too"),
        ((YES, NO), {"terms": COORDINATOR}, "the swarm had no coordinator whose ballot could"),
    ],
)
def test_what_is_undecided_says_why(
    choices: tuple[Choice, ...], fields: dict[str, object], why: str
) -> None:
    world, vote, _ = asked(len(choices), **fields)
    for number, choice in enumerate(choices, 1):
        answer(world, vote, number, choice)
    decided = world.last(e.VoteDecided)
    assert decided.decision is Decision.UNDECIDED and why in decided.reason, decided.reason
    assert decided.reason.startswith("no ballot is outstanding; ")


def test_options_of_which_none_is_preferred_by_more_are_said_to_be_so() -> None:
    world, vote, _ = asked(2, mechanism=Mechanism.RANKED, options=("a", "b"))
    answer(world, vote, 1, RANK, ranking=("a", "b"))
    answer(world, vote, 2, RANK, ranking=("b", "a"))
    assert "no option beats every other" in world.last(e.VoteDecided).reason


@pytest.mark.parametrize("drain", [False, True])
def test_nobody_waits_for_the_ballot_of_a_member_that_is_terminated(drain: bool) -> None:
    world, vote, members = asked(3)
    late = world.ask(members[1], members[2], asked=True, terms=TERMS)
    answer(world, vote, 1, YES)
    answer(world, vote, 2, YES)
    ending = c.TerminateAgent(now_ms=world.now_ms, agent=members[2], drain=drain)
    world.send(ending)
    if drain:
        assert not world.of(e.VoteDecided), "it may still answer what it works on"
        answer(world, vote, 3, NO)
        world.tick(1)
    decided = world.last(e.VoteDecided)
    assert decided.vote == vote and decided.decision is Decision.APPROVED
    assert world.state.votes[late].ballots[members[2]] is ABSTAIN
    gone = [each for each in world.of(e.BallotCast) if each.member == members[2]][-1]
    assert gone.reason == f"It gave no answer: agent {members[2]} was terminated"
    answer(world, late, 1, YES)
    assert world.last(e.VoteDecided).vote == late
    sound(world)


def test_a_vote_whose_time_is_up_is_decided_and_a_late_answer_refused_on_record() -> None:
    world, vote, members = asked()
    answer(world, vote, 1, NO)
    world.tick(9_999)
    assert not world.of(e.VoteDecided)
    world.tick(1)
    decided = world.last(e.VoteDecided)
    assert decided.decision is Decision.REJECTED and decided.tally.silent == 2
    assert world.state.tasks[f"{vote}.2"].cancelling is not None
    answer(world, vote, 2, YES)
    refused = world.last(e.BallotRefused)
    assert (refused.code, refused.member) == ("late_ballot", members[1])
    assert world.state.decided[vote] is Decision.REJECTED
    sound(world)


def test_weights_are_the_records_at_the_opening_and_stay() -> None:
    world = World()
    good, bad, third = world.team(3)
    practise(world, good, 8)
    practise(world, bad, 8, fails=True)
    vote = world.ask(good, bad, third, asked=True, mechanism=Mechanism.WEIGHTED, terms=TERMS)
    spec = world.state.votes[vote].spec
    assert spec.weights == (9_000, 1_000, 5_000) and spec.terms.threshold_bp == 7_000
    practise(world, third, fails=True)
    answer(world, vote, 1, YES)
    answer(world, vote, 2, NO)
    answer(world, vote, 3, ABSTAIN)
    decided = world.last(e.VoteDecided)
    assert decided.decision is Decision.APPROVED
    assert decided.shares == {"approve": 9_000, "reject": 1_000}
    sound(world)


def test_below_the_threshold_the_expert_decides_where_the_terms_say_so() -> None:
    for resolution, decision in (
        (Resolution.EXPERT_PRIORITY, Decision.REJECTED),
        (Resolution.NONE, Decision.UNDECIDED),
    ):
        world = World()
        names = world.team(3)
        practise(world, names[0], 3)
        terms = Terms(timeout_ms=10_000, resolution=resolution)
        vote = world.ask(*names, asked=True, mechanism=Mechanism.WEIGHTED, terms=terms)
        for number, choice in enumerate((NO, YES, YES), 1):
            answer(world, vote, number, choice)
        decided = world.last(e.VoteDecided)
        assert decided.decision is decision
        assert decided.decider == (names[0] if decision is Decision.REJECTED else None)
        sound(world)


def test_the_coordinators_ballot_decides_a_tie_where_the_terms_say_so() -> None:
    world = World()
    (manager,) = world.team(1, type="coordinator")
    (other,) = world.team(1)
    terms = Terms(timeout_ms=10_000, resolution=Resolution.COORDINATOR)
    vote = world.ask(manager, other, asked=True, terms=terms)
    assert world.state.votes[vote].spec.terms.decider == manager
    answer(world, vote, 1, NO)
    answer(world, vote, 2, YES)
    decided = world.last(e.VoteDecided)
    assert (decided.decision, decided.decider) == (Decision.REJECTED, manager)
    sound(world)


def test_what_is_referred_waits_for_a_person_and_ends_as_they_say() -> None:
    world, vote, members = asked(2, terms=HUMAN)
    early = ResolveVote(now_ms=world.now_ms, vote=vote, outcome="approved", person="ada")
    assert world.send(early).code == "not_referred"
    answer(world, vote, 1, NO)
    answer(world, vote, 2, YES)
    assert world.of(VoteReferred) and not world.of(e.VoteDecided)
    assert world.cast(vote, members[0], YES).code == "late_ballot"
    world.tick(20_000)
    assert world.close_vote(vote).code == "referred"
    wrong = ResolveVote(now_ms=world.now_ms, vote=vote, outcome="perhaps", person="ada")
    assert world.send(wrong).code == "usage"
    assert world.send(msgspec.structs.replace(wrong, outcome="approved")).code is None
    decided = world.last(e.VoteDecided)
    assert (decided.decision, decided.person) == (Decision.APPROVED, "ada")
    again = msgspec.structs.replace(wrong, outcome="rejected")
    assert world.send(again).code == "already_ended"
    sound(world)


def test_members_of_an_assignment_are_shown_the_bids_and_the_elected_option_is_told() -> None:
    world = World()
    names = world.team(3)
    vote = world.ask(
        *names,
        asked=True,
        matter=Matter.TASK_ASSIGNMENT,
        options=tuple(names),
        mechanism=Mechanism.RANKED,
        terms=TERMS,
    )
    shown = msgspec.msgpack.decode(world.state.tasks[f"{vote}.1"].spec.input.inline or b"")
    assert [bid["agent"] for bid in shown["bids"]] == names
    one, two, three = names
    answer(world, vote, 1, RANK, ranking=(one, two, three))
    answer(world, vote, 2, RANK, ranking=(two, one))
    answer(world, vote, 3, RANK, ranking=(two, three, one))
    decided = world.last(e.VoteDecided)
    assert (decided.decision, decided.chosen) == (Decision.CHOSEN, two)
    assert decided.shares == {one: 1, two: 2, three: 0} and decided.tally.ranked == 3
    sound(world)


@pytest.mark.parametrize(
    "fields",
    [
        {"mechanism": Mechanism.RANKED},
        {"options": ("a", "a")},
        {"options": ("approved", "b")},
        {"mechanism": Mechanism.CONSENT, "options": ("a", "b")},
        {"terms": Terms(threshold_bp=10_001)},
        {"terms": Terms(timeout_ms=0)},
        {"weights": (1, 2)},
        {"gates": True},
        {"seats": True},
    ],
)
def test_a_vote_that_makes_no_sense_is_refused(fields: dict[str, object]) -> None:
    world = World()
    world.ask(world.spawn(), world.spawn(), asked=True, **fields)
    assert world.answer.code == "usage" and not world.of(e.VoteOpened)


# Plans that complete as a vote says ------------------------------------------------------------


@pytest.mark.parametrize(
    ("choices", "status"),
    [
        ((YES, YES), TaskStatus.COMPLETED),
        ((NO, NO), TaskStatus.FAILED),
        ((YES, NO), TaskStatus.FAILED),
        ((ABSTAIN, ABSTAIN), TaskStatus.FAILED),
    ],
)
def test_a_plan_completes_only_when_those_that_did_not_make_it_approve(
    choices: tuple[Choice, ...], status: TaskStatus
) -> None:
    world, root, part, names = gated()
    assert world.status(part) is TaskStatus.COMPLETED
    assert world.status(root) is TaskStatus.ORCHESTRATING
    spec = world.last(e.VoteOpened).spec
    assert spec.electorate == tuple(names) and spec.task == root and spec.gates
    assert world.state.tasks[f"{spec.id}.1"].spec.depends_on == (part,)
    for number, choice in enumerate(choices, 1):
        answer(world, spec.id, number, choice)
    assert world.status(root) is status
    assert not world.state.polls.gated and not world.state.polls.authors
    sound(world)


def test_a_plan_that_waits_for_a_person_ends_as_they_say() -> None:
    world, root, _, _ = gated(HUMAN)
    answer(world, "consensus", 1, YES)
    answer(world, "consensus", 2, NO)
    world.tick(60_000)
    assert world.status(root) is TaskStatus.ORCHESTRATING
    world.send(ResolveVote(now_ms=world.now_ms, vote="consensus", outcome="approved", person="ada"))
    assert world.status(root) is TaskStatus.COMPLETED
    sound(world)


@pytest.mark.parametrize(("others", "asked_ones"), [(2, 2), (0, 1)])
def test_agents_that_are_still_starting_vote_on_a_plan_only_where_nobody_else_can(
    others: int, asked_ones: int
) -> None:
    world, root, _, names = gated(others=others, starting=1)
    assert world.state.votes["consensus"].spec.electorate == tuple(names[:asked_ones])
    if not others:
        world.settle()
    for number in range(1, asked_ones + 1):
        answer(world, "consensus", number, YES)
    assert world.status(root) is TaskStatus.COMPLETED, "nobody waits for who may never answer"
    sound(world)


def test_a_plan_without_anybody_else_to_vote_fails_as_no_electorate() -> None:
    world, root, _, _ = gated(others=0)
    assert world.status(root) is TaskStatus.FAILED
    assert "no_electorate" in (world.state.tasks[root].reason or "")
    sound(world)


def test_a_plan_that_is_cancelled_ends_its_vote() -> None:
    world, root, _, _ = gated()
    cancel(world, root)
    assert world.status(root) is TaskStatus.CANCELLED
    assert world.last(e.VoteDecided).decision is Decision.UNDECIDED and not world.state.votes
    sound(world)
