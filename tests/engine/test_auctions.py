"""Auctions as the engine sees them: who bids, whose claim counts, and what lapses."""

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.engine.auctions_by_chance import claim
from tests.engine.calm import Calm
from tests.engine.meshed import MeshWorld
from tests.engine.test_outstanding import hold_against_the_model
from visionflow.domain import commands as c
from visionflow.domain import events as e
from visionflow.domain import mesh_commands as mc
from visionflow.domain import mesh_events as me
from visionflow.domain.mesh import AUCTION_HURRY_MS, AUCTION_MS, ELECTORATE_MAX, Holder
from visionflow.domain.shape_commands import SwitchTopology
from visionflow.domain.swarms import Topology
from visionflow.domain.tasks import TaskStatus
from visionflow.engine.effects import Bid, outstanding
from visionflow.testing.checkers import LogCheck

pytestmark = pytest.mark.acceptance("mesh")
SETTINGS = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)


def mesh(agents: int = 3, **fields: object) -> Calm:
    world = Calm(**fields)
    world.send(SwitchTopology(now_ms=world.now_ms, topology=Topology.MESH))
    world.team(agents, "python")
    return world


def settle(world: Calm, task: str, winner: str | None = None) -> me.AuctionOpened:
    """The peers agree."""
    opened = next(x for x in reversed(world.of(me.AuctionOpened)) if x.task == task)
    name = winner or opened.seats[0].agent
    world.send(claim(world, task, opened.attempt, opened.seats, name))
    return opened


# Opening ---------------------------------------------------------------------------------------


def test_a_task_that_several_could_do_is_bid_for_by_all_of_them() -> None:
    world = mesh(3)
    task = world.submit(capabilities=("python",))
    opened = world.last(me.AuctionOpened)
    assert (opened.task, opened.attempt) == (task, 1)
    assert sorted(seat.agent for seat in opened.seats) == sorted(world.state.agents)
    assert not world.of(e.TaskAssigned) and world.status(task) is TaskStatus.QUEUED
    assert world.audit() == []


def test_a_task_that_names_its_agent_is_given_to_it() -> None:
    world = mesh(3)
    agent = list(world.state.agents)[1]
    world.submit(capabilities=("python",), agent=agent)
    assert world.last(e.TaskAssigned).agent == agent and not world.of(me.AuctionOpened)


def test_a_task_that_only_one_could_do_is_given_to_it() -> None:
    world = mesh(3)
    (rare,) = world.team(1, "rust")
    world.submit(capabilities=("rust",))
    assert world.last(e.TaskAssigned).agent == rare and not world.of(me.AuctionOpened)


def test_no_more_auctions_are_open_than_there_are_agents_with_room() -> None:
    world = mesh(2)
    tasks = [world.submit() for _ in range(5)]
    assert [opened.task for opened in world.of(me.AuctionOpened)] == tasks[:2]
    settle(world, tasks[0])
    assert len(world.state.mesh.auctions) == 1
    world.complete(tasks[0])
    assert [opened.task for opened in world.of(me.AuctionOpened)] == tasks[:3]


def test_an_electorate_has_a_bound() -> None:
    world = mesh(ELECTORATE_MAX + 4)
    world.submit()
    assert len(world.last(me.AuctionOpened).seats) == ELECTORATE_MAX


def test_those_without_room_vote_where_few_have_some() -> None:
    world = mesh(3)
    first = world.submit()
    busy = world.last(me.AuctionOpened).seats[0].agent
    settle(world, first, busy)
    second = world.submit()
    settle(world, second)
    world.submit()
    assert busy in [seat.agent for seat in world.last(me.AuctionOpened).seats]


def test_in_another_topology_nothing_is_bid_for() -> None:
    world = Calm()
    world.team(3)
    world.submit()
    assert world.of(e.TaskAssigned) and not world.of(me.AuctionOpened)


def test_a_peer_that_is_read_only_takes_no_new_auctions() -> None:
    world = mesh(4)
    first, second, *_ = world.state.agents
    world.send(
        mc.ReportMembership(
            now_ms=world.now_ms, members=4, reachable=2, read_only=(first, second, "nobody")
        )
    )
    assert world.last(me.MembershipChanged).read_only == (first, second)
    world.submit()
    assert not {first, second} & {seat.agent for seat in world.last(me.AuctionOpened).seats}


def test_where_all_are_read_only_a_task_waits_and_goes_on_when_they_are_not() -> None:
    world = mesh(2)
    both = tuple(world.state.agents)
    split = mc.ReportMembership(now_ms=world.now_ms, members=2, reachable=1, read_only=both)
    world.send(split)
    task = world.submit()
    assert world.status(task) is TaskStatus.QUEUED and not world.of(me.AuctionOpened)
    assert not world.of(e.TaskAssigned)
    world.send(mc.ReportMembership(now_ms=world.now_ms, members=2, reachable=2, converged_ms=40))
    assert world.last(me.AuctionOpened).task == task


# Claims ----------------------------------------------------------------------------------------


def test_the_winners_claim_settles_it_and_the_attempt_is_its() -> None:
    world = mesh(3)
    task = world.submit()
    opened = settle(world, task)
    settled, given = world.last(me.AuctionSettled), world.last(e.TaskAssigned)
    assert (given.task, given.attempt, given.agent) == (task, 1, opened.seats[0].agent)
    assert len(settled.ballots) == 3 and {bid.agent for bid in settled.bids} == set(
        world.state.agents
    )
    assert world.status(task) is TaskStatus.ASSIGNED and world.audit() == []
    world.complete(task)
    assert world.status(task) is TaskStatus.COMPLETED


def test_a_claim_that_is_sent_again_changes_nothing() -> None:
    world = mesh(3)
    task = world.submit()
    for done in (False, True):
        before = len(world.log)
        settle(world, task)
        if done:
            assert len(world.log) == before
        else:
            settle(world, task)
            world.complete(task)
    assert len(world.of(me.AuctionSettled)) == len(world.of(e.TaskAssigned)) == 1


def test_a_second_claim_of_an_attempt_is_refused_on_record() -> None:
    world = mesh(3)
    task = world.submit()
    opened = settle(world, task)
    other = opened.seats[1]
    world.send(claim(world, task, 1, opened.seats, other.agent))
    refused = world.last(me.ClaimRefused)
    assert (refused.agent, refused.worker) == (other.agent, other.worker)
    assert len(world.of(e.TaskAssigned)) == 1


@pytest.mark.parametrize(
    ("voters", "why"),
    [(1, "1 of 3 voted"), (0, "0 of 3 voted")],
)
def test_half_or_less_of_the_electorate_gives_nothing(voters: int, why: str) -> None:
    world = mesh(3)
    task = world.submit()
    seats = world.last(me.AuctionOpened).seats
    names = [seat.agent for seat in seats][:voters]
    world.send(claim(world, task, 1, seats, seats[0].agent, names))
    assert why in world.last(me.ClaimRefused).reason and task in world.state.mesh.auctions


def test_exactly_half_is_no_majority() -> None:
    world = mesh(4)
    task = world.submit()
    seats = world.last(me.AuctionOpened).seats
    names = [seat.agent for seat in seats]
    world.send(claim(world, task, 1, seats, names[0], names[:2]))
    assert world.of(me.ClaimRefused) and not world.of(me.AuctionSettled)
    world.send(claim(world, task, 1, seats, names[0], names[:3]))
    assert world.of(me.AuctionSettled)


def test_ballots_of_strangers_do_not_count() -> None:
    world = mesh(3)
    task = world.submit()
    seats = world.last(me.AuctionOpened).seats
    world.send(claim(world, task, 1, seats, seats[0].agent, [seats[0].agent, "x", "y"]))
    assert world.of(me.ClaimRefused) and not world.of(me.AuctionSettled)


def test_ballots_of_several_rounds_make_no_majority() -> None:
    world = mesh(3)
    task = world.submit()
    seats = world.last(me.AuctionOpened).seats
    told = claim(world, task, 1, seats, seats[0].agent)
    mixed = tuple(
        type(ballot)(ballot.agent, ballot.winner, place)
        for place, ballot in enumerate(told.ballots)
    )
    world.send(msgspec.structs.replace(told, ballots=mixed))
    assert world.of(me.ClaimRefused) and not world.of(me.AuctionSettled)


def test_one_that_is_not_of_the_electorate_cannot_claim() -> None:
    world = mesh(3)
    task = world.submit()
    seats = world.last(me.AuctionOpened).seats
    (late,) = world.team(1, "python")
    names = [seat.agent for seat in seats]
    place = world.state.agents[late].worker
    world.send(claim(world, task, 1, seats, late, names, place))
    assert "not of the electorate" in world.last(me.ClaimRefused).reason


# Lapsing ---------------------------------------------------------------------------------------


def test_without_a_majority_it_lapses_and_who_is_left_gets_the_next_number() -> None:
    world = Calm()
    world.send(SwitchTopology(now_ms=world.now_ms, topology=Topology.MESH))
    for _ in range(3):
        world.spawn("python", memory_bytes=1_000_000)
    world.settle()
    task = world.submit()
    first = world.last(me.AuctionOpened)
    for seat in first.seats[:2]:
        world.lose(seat.worker)
    assert task in world.state.mesh.auctions
    world.tick(1)
    assert "no majority" in world.last(me.AuctionLapsed).reason and world.audit() == []
    given = world.last(e.TaskAssigned)
    assert (given.attempt, given.agent) == (2, first.seats[2].agent)
    world.send(claim(world, task, 1, first.seats, first.seats[2].agent))
    assert "that auction is over" in world.last(me.ClaimRefused).reason


def test_a_peer_that_was_built_anew_has_no_vote_in_an_older_auction() -> None:
    world = Calm()
    world.send(SwitchTopology(now_ms=world.now_ms, topology=Topology.MESH))
    for _ in range(3):
        world.spawn("python", memory_bytes=1_000_000)
    world.settle()
    task = world.submit()
    opened = world.last(me.AuctionOpened)
    gone = opened.seats[0]
    world.lose(gone.worker)
    world.tick(5_000 - 1)
    world.settle()
    assert world.state.lives.of(gone.agent) == gone.incarnation + 1
    world.send(claim(world, task, 1, opened.seats, gone.agent))
    assert "is gone" in world.last(me.ClaimRefused).reason


def test_a_lone_peer_that_is_read_only_is_given_nothing_new() -> None:
    world = mesh(1)
    (alone,) = world.state.agents
    cut = mc.ReportMembership(now_ms=world.now_ms, members=3, reachable=1, read_only=(alone,))
    world.send(cut)
    task = world.submit()
    assert world.status(task) is TaskStatus.QUEUED
    world.send(mc.ReportMembership(now_ms=world.now_ms, members=1, reachable=1))
    assert world.last(e.TaskAssigned).agent == alone


def test_one_that_lost_a_peer_lapses_sooner_than_one_that_has_them_all() -> None:
    world = Calm()
    world.send(SwitchTopology(now_ms=world.now_ms, topology=Topology.MESH))
    for _ in range(3):
        world.spawn("python", memory_bytes=1_000_000)
    world.settle()
    task = world.submit()
    world.tick(AUCTION_HURRY_MS)
    assert task in world.state.mesh.auctions
    world.lose(world.last(me.AuctionOpened).seats[0].worker)
    world.tick(1)
    assert world.last(me.AuctionLapsed).task == task


def test_one_that_nobody_settles_lapses_in_time_and_not_before() -> None:
    world = mesh(3)
    task = world.submit()
    world.tick(AUCTION_MS - 1)
    assert task in world.state.mesh.auctions
    world.tick(1)
    assert world.last(me.AuctionLapsed).attempt == 1
    assert world.state.mesh.auctions[task].attempt == 2


def test_the_time_of_a_closed_lid_and_of_a_restart_does_not_count() -> None:
    world = mesh(3)
    task = world.submit()
    world.now_ms += 2 * AUCTION_MS
    world.send(c.Tick(now_ms=world.now_ms, gap_ms=2 * AUCTION_MS))
    assert task in world.state.mesh.auctions and not world.of(me.AuctionLapsed)


# Ends of the task meanwhile --------------------------------------------------------------------


def test_a_task_that_is_cancelled_while_it_is_bid_for_ends_at_once() -> None:
    world = mesh(3)
    task = world.submit()
    opened = world.last(me.AuctionOpened)
    world.send(c.CancelTask(now_ms=world.now_ms, task=task))
    assert world.status(task) is TaskStatus.CANCELLED and not world.state.mesh.auctions
    assert world.audit() == []
    world.send(claim(world, task, 1, opened.seats, opened.seats[0].agent))
    assert world.last(me.ClaimRefused).reason == "the task has ended"


def test_one_that_is_tried_again_after_that_gets_the_next_number() -> None:
    world = mesh(3)
    task = world.submit()
    world.send(c.CancelTask(now_ms=world.now_ms, task=task))
    world.send(c.RetryTask(now_ms=world.now_ms, task=task))
    assert world.last(me.AuctionOpened).attempt == 2


def test_a_deadline_ends_it_too() -> None:
    world = mesh(3)
    task = world.submit(deadline_ms=world.now_ms + 1_000)
    world.tick(1_000)
    assert world.status(task) is TaskStatus.FAILED and not world.state.mesh.auctions
    assert world.audit() == []


# Effects, opinions, copies ---------------------------------------------------------------------


def test_every_peer_has_to_be_told_until_it_is_over() -> None:
    world = mesh(3)
    task = world.submit()
    bids = [effect for effect in outstanding(world.state) if isinstance(effect, Bid)]
    assert sorted(bid.agent for bid in bids) == sorted(world.state.agents)
    assert all((bid.task, bid.attempt) == (task, 1) for bid in bids)
    settle(world, task)
    assert not [effect for effect in outstanding(world.state) if isinstance(effect, Bid)]


def test_copies_are_recorded_once_with_what_is_achieved_and_required() -> None:
    world = mesh(3)
    task = world.submit()
    settle(world, task)
    world.complete(task)
    holders = tuple(Holder(name, found.worker) for name, found in world.state.agents.items())
    told = mc.ReportReplicas(
        now_ms=world.now_ms,
        task=task,
        attempt=1,
        agent=holders[0].agent,
        digest="ab",
        size_bytes=1,
        required=3,
        holders=holders,
    )
    world.send(told)
    world.send(told)
    (reported,) = world.of(me.ReplicasReported)
    assert (len(reported.holders), reported.required, reported.machines) == (3, 3, 1)


# Whatever happens ------------------------------------------------------------------------------


@SETTINGS
@given(st.integers(0, 2**32), st.integers(20, 200))
def test_an_attempt_is_claimed_once_and_only_by_a_majority(seed: int, steps: int) -> None:
    world = MeshWorld(seed)
    for _ in range(steps):
        world.step()
        assert world.audit() == []
    settled: dict[tuple[str, int], str] = {}
    seats: dict[tuple[str, int], set[str]] = {}
    for event in world.events():
        if isinstance(event, me.AuctionOpened):
            key = (event.task, event.attempt)
            assert key not in seats
            seats[key] = {seat.agent for seat in event.seats}
        elif isinstance(event, me.AuctionSettled):
            key = (event.task, event.attempt)
            assert key not in settled and event.agent in seats[key]
            voters = {ballot.agent for ballot in event.ballots}
            assert voters <= seats[key] and 2 * len(voters) > len(seats[key])
            settled[key] = event.agent
    for given_out in world.of(e.TaskAssigned):
        key = (given_out.task, given_out.attempt)
        if key in seats:
            assert settled[key] == given_out.agent


@SETTINGS
@given(st.integers(0, 2**32), st.integers(20, 200))
def test_a_replay_of_a_meshs_log_gives_the_same_state(seed: int, steps: int) -> None:
    world = MeshWorld(seed)
    for _ in range(steps):
        world.step()
    again = world.replay()
    assert again.digest() == world.state.digest()
    assert list(outstanding(again)) == list(outstanding(world.state))


@SETTINGS
@given(st.integers(0, 2**32), st.integers(20, 200))
def test_the_checker_that_shares_no_code_finds_nothing_in_a_meshs_log(
    seed: int, steps: int
) -> None:
    world = MeshWorld(seed)
    for _ in range(steps):
        world.step()
    check = LogCheck()
    for body in world.log:
        check.record(body)
    # Commands are repeated here with the time that they had at first.
    assert [fault for fault in check.faults if "goes back in time" not in fault] == []


def test_random_meshes_meet_all_of_it() -> None:
    met: set[type] = set()
    for seed in range(40):
        world = MeshWorld(seed)
        for _ in range(160):
            world.step()
        met |= {type(event) for event in world.events()}
        if set(me.MeshEvent.__args__) <= met:
            break
    assert set(me.MeshEvent.__args__) <= met


@SETTINGS
@given(st.integers(0, 2**32), st.integers(20, 200))
def test_for_every_prefix_of_a_meshs_log_each_peer_that_is_to_be_told_is_outstanding(
    seed: int, steps: int
) -> None:
    world = MeshWorld(seed)
    for _ in range(steps):
        world.step()
    hold_against_the_model(world)
