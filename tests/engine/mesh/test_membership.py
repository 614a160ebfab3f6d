"""Who is there: all who reach each other come to agree, and never do two groups have a majority."""

from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.mesh.histories import History
from visionflow.engine.mesh.agreement import pack
from visionflow.engine.mesh.membership import HEARTBEAT_MS, MISSED_MAX
from visionflow.engine.mesh.messages import (
    Accept,
    Accepted,
    Ack,
    Change,
    Digest,
    Envelope,
    Member,
    RosterTold,
    Standing,
)
from visionflow.engine.mesh.peer import Peer
from visionflow.testing.meshes import CALM, ROUGH, Conditions, Mesh

SETTINGS = settings(max_examples=40)


def names(count: int) -> list[str]:
    return [f"p{number}" for number in range(count)]


def failed_everywhere(mesh: Mesh, agent: str) -> bool:
    return all(agent in peer.membership.failed() for peer in mesh.peers.values())


def agreed(mesh: Mesh) -> bool:
    """Whether all living peers hold the same and doubt nobody."""
    peers = mesh.peers.values()
    return len({peer.digest for peer in peers}) == 1 and not any(
        peer.membership.doubted() for peer in peers
    )


def unsettled(mesh: Mesh) -> bool:
    """Whether any peer knows the next roster to be under way."""
    return any(peer.rosters.unsettled_ms is not None for peer in mesh.peers.values())


def settled(mesh: Mesh) -> bool:
    return not unsettled(mesh)


# Any history -------------------------------------------------------------------------------------


@pytest.mark.acceptance("mesh")
@given(st.integers(0, 2**32), st.integers(1, 6), st.booleans(), st.integers(1, 12))
@SETTINGS
def test_after_any_joins_leaves_deaths_cuts_and_heals_all_who_reach_each_other_agree(
    seed: int, founders: int, rough: bool, things: int
) -> None:
    history = History(seed, founders, rough=rough)
    for _ in range(things):
        history.happen()
    history.end_well()


@pytest.mark.acceptance("mesh")
def test_no_two_groups_that_are_cut_from_each_other_have_a_majority_whatever_was_before() -> None:
    cut = read_only = 0
    for seed in range(24):
        history = History(seed, 2 + seed % 5)
        for _ in range(6):
            history.happen()
            if history.groups:
                cut += 1
                history.settle()
                history.expect_one_majority()
        read_only += history.read_only
    assert cut > 20
    assert read_only > 500  # else no group was ever too small


# One cut -----------------------------------------------------------------------------------------


@pytest.mark.acceptance("mesh")
@pytest.mark.parametrize(
    ("members", "cut_off", "writable"),
    [(2, 1, 0), (3, 1, 2), (4, 2, 0), (5, 2, 3), (6, 3, 0), (8, 4, 0), (8, 3, 5), (9, 4, 5)],
)
def test_who_reaches_half_of_the_membership_or_less_is_read_only_in_an_even_split_both(
    members: int, cut_off: int, writable: int
) -> None:
    mesh = Mesh(members, CALM)
    mesh.start(names(members))
    mesh.run(10_000)
    assert not any(peer.read_only for peer in mesh.peers.values())
    few, many = names(members)[:cut_off], names(members)[cut_off:]
    mesh.cut(few, many)
    mesh.run(90_000)
    for agent, peer in mesh.peers.items():
        assert peer.reached == len(few if agent in few else many)
    assert sum(not peer.read_only for peer in mesh.peers.values()) == writable
    mesh.heal()
    assert mesh.run_until(lambda: agreed(mesh), 90_000) is not None
    assert not any(peer.read_only for peer in mesh.peers.values())


def test_members_that_joined_on_one_side_of_a_cut_do_not_give_it_a_second_majority() -> None:
    mesh = Mesh(4, CALM)
    mesh.start(names(3))
    mesh.run(5_000)
    # The change of the roster reaches p2 and the newcomers; p0 and p1 hear nothing of its outcome.
    mesh.join("p3", ["p2"])
    mesh.join("p4", ["p2"])
    assert mesh.run_until(lambda: mesh.peers["p2"].rosters.mark[1] > 0, 5_000, 1) is not None
    mesh.cut(["p0", "p1"], ["p2", "p3", "p4"])
    mesh.run(90_000)
    writable = [agent for agent, peer in mesh.peers.items() if not peer.read_only]
    assert writable in ([], ["p2", "p3", "p4"])
    mesh.heal()
    assert mesh.run_until(lambda: agreed(mesh), 90_000) is not None
    assert all(len(peer.members) == 5 for peer in mesh.peers.values())


def test_who_misses_two_heartbeats_is_doubted_and_failed_only_once_a_majority_doubts_it() -> None:
    mesh = Mesh(5, CALM)
    mesh.start(names(5))
    mesh.run(20_000)
    mesh.kill("p4")
    doubted = mesh.run_until(
        lambda: any(p.membership.doubted() for p in mesh.peers.values()), 60_000, 10
    )
    assert doubted is not None
    assert doubted > (MISSED_MAX - 1) * HEARTBEAT_MS
    doubts = {agent for agent, peer in mesh.peers.items() if "p4" in peer.membership.doubting}
    assert 1 <= len(doubts) <= 2
    assert not any(peer.membership.failed() for peer in mesh.peers.values())
    assert mesh.run_until(lambda: failed_everywhere(mesh, "p4"), 60_000) is not None
    assert sum("p4" in peer.membership.doubting for peer in mesh.peers.values()) >= 3


def test_two_of_four_cannot_declare_the_others_failed() -> None:
    mesh = Mesh(5, CALM)
    mesh.start(names(4))
    mesh.run(10_000)
    mesh.cut(["p0", "p1"], ["p2", "p3"])
    mesh.run(120_000)
    for peer in mesh.peers.values():
        assert len(peer.membership.doubted()) == 2
        assert peer.membership.failed() == ()


def test_a_member_that_others_reach_is_not_doubted_by_one_that_does_not() -> None:
    mesh = Mesh(6, CALM)
    mesh.start(names(6))
    mesh.run(10_000)
    mesh.block("p0", "p1")
    for _ in range(120):
        mesh.run(1_000)
        assert not any(peer.read_only for peer in mesh.peers.values())
        assert not any(peer.membership.doubted() for peer in mesh.peers.values())
    assert all(peer.reached == 6 for peer in mesh.peers.values())


def test_a_stopped_process_that_goes_on_takes_back_the_doubts_and_blames_nobody() -> None:
    mesh = Mesh(7, CALM)
    mesh.start(names(5))
    mesh.run(10_000)
    mesh.stop("p0")
    running = [agent for agent in mesh.peers if agent != "p0"]
    assert mesh.run_until(
        lambda: all("p0" in mesh.peers[a].membership.failed() for a in running), 60_000
    )
    mesh.run(60_000)
    mesh.go_on("p0")
    for _ in range(50):
        mesh.run(100)
        assert mesh.peers["p0"].membership.doubting == {}
    assert mesh.run_until(lambda: agreed(mesh), 60_000) is not None
    assert all(peer.reached == 5 for peer in mesh.peers.values())


def test_time_that_was_slept_through_says_nothing_of_others() -> None:
    peer = Peer(Member("p0", 1))
    peer.found(1, [(name, 1, "m/0") for name in names(3)], 0)
    for now_ms in range(0, 3_000, 100):
        peer.tick(now_ms, now_ms)
    other = Envelope("p2", 1, Digest(0, (Standing("p1", 1, 0, b"\4"),)), 1, 0)
    peer.receive(other, 3_000)
    assert peer.membership.doubted() == ("p1",)
    peer.tick(200_000, 1)
    assert peer.membership.doubting == {}
    for now_ms in range(200_000, 230_000, 100):
        peer.tick(now_ms, now_ms)
    assert "p1" in peer.membership.doubting


# Joining and leaving -----------------------------------------------------------------------------


def test_a_restarted_peer_takes_the_place_of_its_former_self() -> None:
    mesh = Mesh(8, ROUGH)
    mesh.start(names(5))
    mesh.run(10_000)
    mesh.kill("p1")
    mesh.join("p1")
    assert mesh.run_until(lambda: mesh.peers["p1"].inside and agreed(mesh), 60_000) is not None
    for peer in mesh.peers.values():
        assert len(peer.members) == 5
        (again,) = [each for each in peer.enrolled if each.agent == "p1"]
        assert (again.incarnation, again.number) == (2, 5)


def test_who_has_left_no_longer_counts_and_who_is_expelled_neither() -> None:
    mesh = Mesh(9, CALM)
    mesh.start(names(4))
    mesh.run(5_000)
    mesh.leave("p0")
    assert mesh.run_until(lambda: len(mesh.peers["p3"].members) == 3, 10_000) is not None
    assert mesh.run_until(lambda: not mesh.peers["p0"].inside, 10_000) is not None
    mesh.kill("p0")
    mesh.kill("p1")
    mesh.peers["p2"].expel("p1", mesh.now_ms)
    mesh.run(20_000)
    assert [member.agent for member in mesh.peers["p3"].members] == ["p2", "p3"]
    assert not mesh.peers["p3"].read_only


@pytest.mark.parametrize("after_ms", [0, 1, 20, 200, 3_000])
def test_one_that_takes_its_leave_back_belongs_to_the_mesh_whether_it_was_let_go_or_not(
    after_ms: int,
) -> None:
    mesh = Mesh(11, CALM)
    mesh.start(names(4))
    mesh.run(5_000)
    mesh.leave("p0")
    mesh.run(after_ms)
    mesh.peers["p0"].join(["p1", "p2", "p3"], mesh.now_ms)
    mesh.run(10_000)

    def whole() -> bool:
        return all(len(peer.members) == 4 and peer.inside for peer in mesh.peers.values())

    assert mesh.run_until(lambda: whole() and agreed(mesh), 30_000) is not None
    mesh.run(60_000)
    assert whole() and agreed(mesh), "and it stays"


def test_without_a_majority_nobody_joins_until_there_is_one() -> None:
    mesh = Mesh(10, CALM)
    mesh.start(names(4))
    mesh.run(5_000)
    mesh.cut(["p0", "p1", "p4"], ["p2", "p3"])
    mesh.join("p4", ["p0"])
    mesh.run(60_000)
    assert not mesh.peers["p4"].inside
    assert all(len(mesh.peers[agent].members) == 4 for agent in ("p0", "p1", "p2", "p3"))
    mesh.heal()
    assert mesh.run_until(lambda: mesh.peers["p4"].inside and agreed(mesh), 60_000) is not None


def test_a_change_whose_proposer_dies_is_brought_to_an_end_by_others() -> None:
    for seed in range(20):
        mesh = Mesh(seed, Conditions((5, 20)))
        mesh.start(names(5))
        mesh.run(5_000)
        mesh.join("p5", ["p0"])
        assert mesh.run_until(partial(unsettled, mesh), 5_000, 1) is not None
        mesh.kill("p0")
        assert mesh.run_until(partial(settled, mesh), 60_000) is not None
        mesh.run(60_000)
        marks = {peer.rosters.mark for peer in mesh.peers.values() if peer.inside}
        assert len(marks) == 1
        assert not any(peer.read_only for agent, peer in mesh.peers.items() if agent != "p5")


def test_who_knows_of_a_change_and_not_of_its_outcome_takes_nothing_new_and_tells_others() -> None:
    first, second = Peer(Member("p0", 1)), Peer(Member("p1", 1))
    for peer in (first, second):
        peer.found(1, [(name, 1, "m/0") for name in names(4)], 0)
    change = pack(Change((("p4", 1, "m/0"),)))
    accept = Envelope("p3", 1, Accept("roster/1/0", 4, change), 1, 0)
    assert isinstance(first.receive(accept, 100)[-1].body, Accepted)
    second.receive(first.envelope(Ack(0, 0)), 200)
    for peer in (first, second):
        peer.tick(1_000, 1)
        assert not peer.read_only
        peer.tick(4_000, 1)
        assert peer.reached == 4
        assert peer.read_only
    told = RosterTold(None, 0, (Change((("p4", 1, "m/0"),)),))
    for peer in (first, second):
        peer.receive(Envelope("p3", 1, told, 1, 1), 4_100)
        assert len(peer.members) == 5
        assert not peer.read_only


def test_a_greater_epoch_replaces_a_mesh_whose_majority_is_gone() -> None:
    mesh = Mesh(11, CALM)
    mesh.start(names(5))
    mesh.run(5_000)
    for agent in ("p0", "p1", "p2"):
        mesh.kill(agent)
    mesh.run(60_000)
    assert all(peer.read_only for peer in mesh.peers.values())
    mesh.found(2)
    mesh.run(30_000)
    assert all(peer.rosters.mark == (2, 0) for peer in mesh.peers.values())
    assert not any(peer.read_only for peer in mesh.peers.values())
