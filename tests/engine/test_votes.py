"""Votes: a fixed electorate, one ballot each, and a decision that the same ballots always give."""

import itertools
from collections import Counter

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.engine.world import World
from visionflow.domain import commands as c
from visionflow.domain import events as e
from visionflow.domain.events import decode_record, encode_record
from visionflow.domain.limits import INLINE_BYTES_MAX, VOTES_OPEN_MAX, Limits
from visionflow.domain.tasks import Payload
from visionflow.domain.votes import Choice, Decision, Mechanism, Tally, VoteSpec
from visionflow.domain.votes_events import VoteReferred
from visionflow.engine.audit import audit
from visionflow.engine.evolve import evolve
from visionflow.engine.lifecycles import IllegalTransition
from visionflow.testing.ballots import VoteCheck

YES, NO, ABSTAIN = Choice.APPROVE, Choice.REJECT, Choice.ABSTAIN
SETTINGS = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)


def opened(members: int = 3) -> tuple[World, str, list[str]]:
    """A world with a vote among so many agents."""
    world = World()
    names = [world.spawn() for _ in range(members)]
    return world, world.ask(*names), names


def majority(choices: list[Choice]) -> Decision:
    """The rule, said in another way than the engine says it."""
    counts = Counter(choices)
    if counts[YES] > counts[NO]:
        return Decision.APPROVED
    return Decision.REJECTED if counts[NO] > counts[YES] else Decision.UNDECIDED


# Deciding ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("choices", "decision"),
    [
        ((YES, YES, NO), Decision.APPROVED),
        ((YES, NO, NO), Decision.REJECTED),
        ((YES, ABSTAIN, ABSTAIN), Decision.APPROVED),
        ((NO, ABSTAIN, ABSTAIN), Decision.REJECTED),
        ((YES, NO, ABSTAIN), Decision.UNDECIDED),
        ((ABSTAIN, ABSTAIN, ABSTAIN), Decision.UNDECIDED),
    ],
)
def test_the_last_ballot_decides_by_majority_of_those_that_say_yes_or_no(
    choices: tuple[Choice, ...], decision: Decision
) -> None:
    world, vote, members = opened()
    for member, choice in zip(members, choices, strict=True):
        assert not world.of(e.VoteDecided)
        assert world.cast(vote, member, choice).code is None
    decided = world.last(e.VoteDecided)
    assert (decided.vote, decided.decision) == (vote, decision)
    assert decided.tally == Tally(
        choices.count(YES), choices.count(NO), choices.count(ABSTAIN), silent=0
    )
    assert vote not in world.state.votes and world.state.decided[vote] is decision


@pytest.mark.parametrize(
    ("choices", "decision"),
    [
        ((YES, YES, NO), Decision.REJECTED),
        ((NO, ABSTAIN, ABSTAIN), Decision.REJECTED),
        ((YES, ABSTAIN, ABSTAIN), Decision.APPROVED),
        ((YES, YES, YES), Decision.APPROVED),
        ((ABSTAIN, ABSTAIN, ABSTAIN), Decision.UNDECIDED),
    ],
)
def test_by_consent_one_that_rejects_is_not_outvoted(
    choices: tuple[Choice, ...], decision: Decision
) -> None:
    for order in itertools.permutations(choices):
        world = World()
        members = [world.spawn() for _ in order]
        vote = world.ask(*members, mechanism=Mechanism.CONSENT)
        for member, choice in zip(members, order, strict=True):
            world.cast(vote, member, choice)
        assert world.last(e.VoteDecided).decision is decision
        assert world.state.digest() == world.replay().digest()


def test_the_same_ballots_in_any_order_decide_the_same() -> None:
    for choices in itertools.combinations_with_replacement((YES, NO, ABSTAIN), 4):
        decisions: set[Decision] = set()
        for order in itertools.permutations(range(4)):
            world, vote, members = opened(4)
            for index in order:
                world.cast(vote, members[index], choices[index])
            decisions.add(world.last(e.VoteDecided).decision)
        assert decisions == {majority(list(choices))}


def test_a_vote_that_is_closed_is_decided_by_the_ballots_that_are_there() -> None:
    world, vote, members = opened()
    world.cast(vote, members[0], NO)
    assert world.close_vote(vote, command="close").code is None
    decided = world.last(e.VoteDecided)
    assert decided.decision is Decision.REJECTED and decided.reason == "time is up"
    assert decided.tally == Tally(reject=1, silent=2)
    assert world.close_vote(vote, command="close").code is None
    assert world.close_vote(vote).code == "already_ended"
    assert len(world.of(e.VoteDecided)) == 1


def test_a_vote_without_a_ballot_is_undecided_when_it_is_closed() -> None:
    world, vote, _ = opened()
    world.close_vote(vote)
    assert world.last(e.VoteDecided).decision is Decision.UNDECIDED


def test_a_member_that_is_gone_keeps_its_place_in_the_electorate() -> None:
    world, vote, members = opened()
    world.send(c.TerminateAgent(now_ms=world.now_ms, agent=members[2]))
    assert members[2] not in world.state.agents
    world.cast(vote, members[0], YES)
    world.cast(vote, members[1], YES)
    assert world.state.votes[vote].ballots[members[2]] is None
    world.close_vote(vote)
    assert world.last(e.VoteDecided).tally == Tally(approve=2, silent=1)


# Who may -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "member", "choice"),
    [("stranger", "nobody", YES), ("second_ballot", "first", NO), ("late_ballot", "last", NO)],
)
def test_a_ballot_that_does_not_count_is_refused_on_record_and_changes_nothing(
    code: str, member: str, choice: Choice
) -> None:
    world, vote, members = opened()
    world.cast(vote, members[0], YES)
    if code == "late_ballot":
        world.close_vote(vote)
    who = {"first": members[0], "last": members[2]}.get(member, member)
    before = (dict(world.state.decided), [list(v.ballots.items()) for v in votes(world)])
    answer = world.cast(vote, who, choice, command="late")
    assert answer.code == code and who in str(answer.message)
    refused = world.last(e.BallotRefused)
    assert (refused.vote, refused.member, refused.choice, refused.code) == (vote, who, choice, code)
    assert not world.of(e.CommandRefused)
    assert before == (dict(world.state.decided), [list(v.ballots.items()) for v in votes(world)])
    length = len(world.log)
    assert world.cast(vote, who, choice, command="late") == answer
    assert len(world.log) == length


def votes(world: World) -> list[object]:
    return list(world.state.votes.values())


def test_an_agent_that_joins_later_is_a_stranger() -> None:
    world, vote, _ = opened()
    assert world.cast(vote, world.spawn(), YES).code == "stranger"


def test_nobody_to_vote_is_an_error() -> None:
    world = World()
    world.ask()
    assert world.answer.code == "no_electorate"
    assert world.last(e.CommandRefused).code == "no_electorate" and not world.state.votes


def test_an_electorate_is_of_agents_that_are_alive_each_named_once() -> None:
    world = World()
    agent = world.spawn()
    world.ask(agent, "nobody")
    assert world.answer.code == "unknown_id"
    world.ask(agent, agent)
    assert world.answer.code == "usage"
    vote = world.ask(agent)
    world.ask(agent, id=vote)
    assert world.answer.code == "duplicate_id"
    world.cast(vote, agent, YES)
    world.ask(agent, id=vote)
    assert world.answer.code == "duplicate_id"


def test_a_vote_that_nobody_opened_is_unknown() -> None:
    world, _, members = opened()
    assert world.cast("nowhere", members[0], YES).code == "unknown_id"
    assert world.close_vote("nowhere").code == "unknown_id"
    assert not world.of(e.BallotRefused)


def test_a_closed_swarm_opens_no_vote() -> None:
    world, _, members = opened()
    world.send(c.CloseSwarm(now_ms=world.now_ms, reason="over"))
    world.ask(members[0])
    assert world.answer.code == "swarm_closed"


# Commands, bounds, replay --------------------------------------------------------------------


def test_each_command_of_a_vote_is_carried_out_once_and_answers_the_same() -> None:
    world = World()
    member = world.spawn()
    spec = VoteSpec(id="v", question="good?", electorate=(member,))
    now = world.now_ms
    for command in (
        c.OpenVote(now_ms=now, spec=spec, command="c1"),
        c.CastBallot(
            now_ms=now, vote="v", member=member, choice=YES, evidence="tests", command="c2"
        ),
        c.CloseVote(now_ms=now, vote="v", reason="late", command="c3"),
    ):
        first = world.send(command)
        length = len(world.log)
        assert world.send(command) == first
        assert len(world.log) == length + (first.code is not None)
    assert world.state.answers["c1"].subject == world.state.answers["c2"].subject == "v"
    assert (first.code, list(world.state.answers)) == ("already_ended", ["c1", "c2"])


def test_a_ballot_keeps_its_evidence_in_the_log() -> None:
    world, vote, members = opened()
    facts = Payload(inline=b"\x81\xa6failed\x02")
    world.cast(vote, members[0], NO, "tests", reason="2 tests fail", facts=facts)
    cast = world.last(e.BallotCast)
    assert (cast.evidence, cast.reason, cast.facts) == ("tests", "2 tests fail", facts)


def test_what_is_too_much_for_a_vote_is_refused() -> None:
    world, vote, members = opened()
    long = "x" * (INLINE_BYTES_MAX + 1)
    assert world.cast(vote, members[0], YES, long).code == "payload_too_large"
    assert world.cast(vote, members[0], YES, reason=long).code == "payload_too_large"
    facts = Payload(inline=long.encode())
    assert world.cast(vote, members[0], YES, facts=facts).code == "payload_too_large"
    world.ask(members[0], id=long)
    assert world.answer.code == "payload_too_large"


def test_the_number_of_open_votes_has_a_bound() -> None:
    world = World(limits=Limits(agents_max=2))
    member = world.spawn()
    for _ in range(VOTES_OPEN_MAX):
        vote = world.ask(member)
    world.ask(member)
    assert world.answer.code == "limit_reached"
    world.close_vote(vote)
    world.ask(member)
    assert world.answer.code is None


def test_the_number_of_decided_votes_that_are_known_has_a_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("visionflow.engine.evolve.votes.FINISHED_IDS_MAX", 5)
    world = World()
    member = world.spawn()
    for number in range(12):
        world.cast(world.ask(member, id=f"v{number}"), member, YES)
    assert list(world.state.decided) == [f"v{number}" for number in range(7, 12)]
    assert world.state.digest() == world.replay().digest()


def test_what_cannot_happen_to_a_vote_cannot_be_folded() -> None:
    world, vote, members = opened(1)
    ballot = e.BallotCast(vote=vote, member="nobody", choice=YES, evidence="tests")
    with pytest.raises(IllegalTransition):
        evolve(world.state, ballot)
    world.cast(vote, members[0], YES)
    with pytest.raises(IllegalTransition):
        evolve(world.state, world.last(e.BallotCast))
    with pytest.raises(IllegalTransition):
        evolve(world.state, world.last(e.VoteDecided))


def test_the_auditor_sees_a_vote_that_should_be_over_and_an_electorate_that_changed() -> None:
    world, vote, members = opened()
    assert audit(world.state) == []
    world.state.votes[vote].ballots["late"] = None
    assert len(audit(world.state)) == 1
    world.state.votes[vote].ballots = dict.fromkeys(members, YES)
    assert len(audit(world.state)) == 1
    world.state.decided[vote] = Decision.APPROVED
    assert len(audit(world.state)) == 2


@SETTINGS
@given(st.integers(0, 2**32), st.integers(40, 200))
def test_in_any_sequence_of_commands_a_vote_is_decided_once_by_the_ballots_of_its_members(
    seed: int, steps: int
) -> None:
    world = World(seed)
    for _ in range(steps):
        world.step()
    electorates: dict[str, tuple[str, ...]] = {}
    ballots: dict[str, dict[str, Choice]] = {}
    decided: dict[str, Decision] = {}
    referred: set[str] = set()
    check = VoteCheck()
    for event in world.events():
        kind = type(event).__struct_config__.tag
        if kind.startswith(("vote_", "ballot_")):
            told = msgspec.to_builtins(event)
            members = told.get("spec", {}).get("electorate", ())
            assert not list(check.event(kind, told, members))
        match event:
            case VoteReferred():
                assert event.vote not in decided
                referred.add(event.vote)
            case e.VoteOpened():
                assert event.spec.id not in electorates
                electorates[event.spec.id] = event.spec.electorate
                ballots[event.spec.id] = {}
            case e.BallotCast():
                assert event.vote not in decided
                assert event.member in electorates[event.vote]
                assert event.member not in ballots[event.vote]
                ballots[event.vote][event.member] = event.choice
            case e.VoteDecided():
                assert event.vote not in decided
                decided[event.vote] = event.decision
            case _:
                pass
    for vote, members in electorates.items():
        if len(ballots[vote]) == len(members):
            assert vote in decided or vote in referred
    assert dict(world.state.decided) == decided
    for body in world.log:
        record = decode_record(body)
        assert encode_record(record.at_ms, record.events) == body
