"""Auctions among peers: no orchestrator is there, and all who learn an outcome learn the same."""

import random
from functools import partial

import msgspec
import pytest

from visionflow.domain.mesh import AuctionBid
from visionflow.engine.mesh.agreement import pack
from visionflow.engine.mesh.auction import Auction, Award
from visionflow.engine.mesh.bidding import bid_of, ranked
from visionflow.engine.mesh.messages import (
    Accept,
    Accepted,
    BidTold,
    Member,
    Prepare,
    decode,
    encode,
)
from visionflow.testing.meshes import CALM, ROUGH, Mesh


def names(count: int) -> list[str]:
    return [f"p{number}" for number in range(count)]


def bid(agent: str, open_tasks: int = 0) -> AuctionBid:
    return bid_of(
        agent,
        required=("code",),
        offered=("code",),
        open_tasks=open_tasks,
        tasks_max=10,
        completed=0,
        failed=0,
    )


def bids_of(agents: list[str]) -> dict[str, AuctionBid | None]:
    """The later in the list, the less one has to do."""
    return {agent: bid(agent, 9 - place) for place, agent in enumerate(agents)}


def started(seed: int, count: int, *, rough: bool = False) -> Mesh:
    mesh = Mesh(seed, ROUGH if rough else CALM)
    mesh.start(names(count))
    mesh.run(5_000)
    return mesh


@pytest.mark.acceptance("mesh")
def test_the_best_bidder_wins_and_all_know_the_bids_and_the_ballots() -> None:
    mesh = started(1, 5)
    mesh.open("task/1", bids_of(names(5)))
    assert mesh.run_until(partial(mesh.settled, "task/1"), 30_000) is not None
    outcomes = mesh.outcomes["task/1"]
    assert set(outcomes) == set(names(5))
    settled = outcomes["p4"]
    assert settled.winner == "p4"
    assert [each.agent for each in settled.bids] == ["p4", "p3", "p2", "p1", "p0"]
    assert settled.round == 1
    assert len({ballot.agent for ballot in settled.ballots}) >= 3
    assert {(ballot.winner, ballot.round) for ballot in settled.ballots} == {("p4", 1)}
    assert mesh.changed == []


@pytest.mark.parametrize("count", [1, 2, 3, 16])
def test_few_and_many_hold_an_auction_alike(count: int) -> None:
    mesh = started(2, count)
    mesh.open("task/1", {agent: bid(agent) for agent in names(count)})
    assert mesh.run_until(partial(mesh.settled, "task/1"), 30_000) is not None
    # All bid the same, so whoever comes first in this auction has it.
    first, *_ = ranked("task/1", [bid(agent) for agent in names(count)])
    assert {each.winner for each in mesh.outcomes["task/1"].values()} == {first.agent}


@pytest.mark.acceptance("mesh")
def test_an_outcome_never_changes_whatever_is_lost_cut_killed_or_stopped_meanwhile() -> None:
    settled = 0
    for seed in range(60):
        chance = random.Random(seed)
        mesh = started(seed, 3 + seed % 5, rough=True)
        agents = list(mesh.peers)
        mesh.open("task/1", bids_of(agents))
        for _ in range(8):
            mesh.run(chance.randrange(1_200))
            someone = chance.choice(agents)
            act = chance.randrange(4)
            if act == 0:
                mesh.cut(agents[: chance.randrange(len(agents))])
            elif act == 1:
                mesh.heal()
            elif act == 2 and someone in mesh.peers and mesh.peers[someone].me.incarnation == 1:
                mesh.kill(someone)
                mesh.join(someone)  # in another life, without a vote
            elif act == 3 and someone in mesh.peers:
                mesh.stop(someone)
                mesh.run(500)
                mesh.go_on(someone)
        mesh.heal()
        living = [a for a in agents if mesh.peers[a].me.incarnation == 1]
        took = mesh.run_until(partial(mesh.settled, "task/1"), 60_000)
        mesh.run(10_000)
        assert mesh.changed == []
        if 2 * len(living) > len(agents):
            assert took is not None, seed
        known = {each.winner for each in mesh.outcomes["task/1"].values()}
        assert len(known) <= 1
        settled += bool(known)
    assert settled > 40


@pytest.mark.acceptance("mesh")
def test_in_an_even_split_neither_side_settles_and_after_the_heal_both_know_the_same() -> None:
    mesh = started(3, 4)
    mesh.cut(["p0", "p1"], ["p2", "p3"])
    mesh.open("task/1", bids_of(names(4)))
    mesh.run(60_000)
    assert mesh.outcomes["task/1"] == {}
    auction = mesh.peers["p0"].auctions["task/1"]
    assert auction.tries > 3
    assert auction.answered < auction.majority == 3
    mesh.heal()
    assert mesh.run_until(partial(mesh.settled, "task/1"), 30_000) is not None
    assert len(set(mesh.outcomes["task/1"].values())) == 1


def test_the_larger_side_of_a_cut_settles_and_the_smaller_learns_it_afterwards() -> None:
    mesh = started(4, 5)
    mesh.cut(["p3", "p4"], ["p0", "p1", "p2"])
    mesh.open("task/1", bids_of(names(5)))
    assert mesh.run_until(partial(mesh.settled, "task/1", "p0", "p1", "p2"), 30_000) is not None
    mesh.run(30_000)
    assert set(mesh.outcomes["task/1"]) == {"p0", "p1", "p2"}
    # The best bidders were out of reach: the best of those who were there has it.
    assert mesh.outcomes["task/1"]["p0"].winner == "p2"
    mesh.heal()
    assert mesh.run_until(partial(mesh.settled, "task/1"), 30_000) is not None
    assert len({each.winner for each in mesh.outcomes["task/1"].values()}) == 1


def test_the_best_bidder_that_dies_before_it_proposes_does_not_hold_up_the_others() -> None:
    mesh = started(5, 5)
    mesh.open("task/1", bids_of(names(5)))
    assert mesh.run_until(lambda: not mesh.peers["p0"].auctions["task/1"].missing, 5_000, 1)
    mesh.kill("p4")
    assert mesh.run_until(partial(mesh.settled, "task/1"), 30_000) is not None
    assert len(set(mesh.outcomes["task/1"].values())) == 1


def test_with_half_of_the_electorate_dead_nothing_is_settled_by_their_next_lives_either() -> None:
    mesh = started(6, 7)
    mesh.open("task/1", bids_of(names(4)))
    for agent in ("p2", "p3"):
        mesh.kill(agent)
        mesh.join(agent)
    mesh.run(60_000)
    assert mesh.outcomes["task/1"] == {}
    again = mesh.peers["p2"]
    assert again.inside
    electorate = [Member(agent, 1) for agent in names(4)]
    with pytest.raises(ValueError, match="not in the electorate"):
        again.open("task/1", electorate, None, mesh.now_ms)


def test_who_passes_takes_part_in_the_decision_and_does_not_win() -> None:
    mesh = started(7, 3)
    mesh.open("task/1", {"p0": bid("p0", 5), "p1": None, "p2": None})
    assert mesh.run_until(partial(mesh.settled, "task/1"), 30_000) is not None
    settled = mesh.outcomes["task/1"]["p1"]
    assert settled.winner == "p0"
    assert [each.agent for each in settled.bids] == ["p0"]
    assert len(settled.ballots) >= 2


def test_that_nobody_wants_it_is_an_outcome() -> None:
    mesh = started(8, 3)
    mesh.open("task/1", dict.fromkeys(names(3)))
    assert mesh.run_until(partial(mesh.settled, "task/1"), 30_000) is not None
    assert {each.winner for each in mesh.outcomes["task/1"].values()} == {None}


def test_a_bid_that_does_not_add_up_is_none_and_neither_is_a_bid_for_another() -> None:
    electorate = (Member("a", 1), Member("b", 1), Member("c", 1))
    auction = Auction("task/1", electorate[0], electorate, bid("a", 9), 0)
    assert auction.missing == ("b", "c")
    auction.receive(electorate[1], BidTold("task/1", AuctionBid("b", 10_000)), 0)
    auction.receive(electorate[1], BidTold("task/1", bid("c")), 0)
    auction.receive(Member("b", 2), BidTold("task/1", bid("b")), 0)
    assert auction.missing == ("b", "c")
    auction.receive(electorate[1], BidTold("task/1", bid("b")), 0)
    auction.receive(electorate[1], BidTold("task/1", bid("b", 9)), 0)
    assert auction.missing == ("c",)
    with pytest.raises(ValueError, match="cannot bid for b"):
        Auction("task/1", electorate[0], electorate, bid("b"), 0)


def test_an_award_to_another_than_the_best_is_not_accepted() -> None:
    electorate = (Member("a", 1), Member("b", 1), Member("c", 1))
    auction = Auction("task/1", electorate[0], electorate, bid("a"), 0)
    auction.receive(electorate[1], Prepare("task/1", 2), 0)
    good, better = bid("b", 5), bid("c", 1)
    for award in (
        Award("b", (better, good)),
        Award(None, (good,)),
        Award("d", (bid("d"),)),
        Award("b", (good, good)),
        Award("b", ()),
    ):
        assert auction.receive(electorate[1], Accept("task/1", 2, pack(award)), 0) == []
    assert auction.receive(electorate[1], Accept("task/1", 2, b"\xc1"), 0) == []
    fair = Accept("task/1", 2, pack(Award("c", (better, good))))
    (answer,) = auction.receive(electorate[1], fair, 0)
    assert isinstance(answer.body, Accepted)


def test_the_same_call_again_changes_nothing_and_a_closed_auction_is_silent() -> None:
    mesh = started(9, 3)
    mesh.open("task/1", bids_of(names(3)))
    peer = mesh.peers["p0"]
    first = peer.auctions["task/1"]
    assert peer.open("task/1", [p.me for p in mesh.peers.values()], None, mesh.now_ms) is first
    assert mesh.run_until(partial(mesh.settled, "task/1"), 30_000) is not None
    assert peer.outcome("task/1") == first.outcome
    peer.close("task/1")
    assert peer.outcome("task/1") is None
    ask = mesh.peers["p1"].envelope(Prepare("task/1", 99))
    assert peer.receive(ask, mesh.now_ms) == []


def test_every_message_comes_out_as_it_went_in_and_other_bytes_are_none() -> None:
    mesh = started(10, 3)
    for body in (BidTold("t", bid("a"), True), Accept("t", 3, b"v"), Prepare("t", 1)):
        envelope = mesh.peers["p0"].envelope(body)
        assert decode(encode(envelope)) == envelope
    for data in (b"", b"\xc1", msgspec.msgpack.encode(["p0", 1, [99]]), encode(envelope)[:-1]):
        with pytest.raises(ValueError, match="no message between peers"):
            decode(data)
