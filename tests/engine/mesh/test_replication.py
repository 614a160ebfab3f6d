"""Copies of results: where they belong, that they are what was sent, and what two losses leave."""

import itertools
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visionflow.domain.mesh import REPLICAS
from visionflow.engine.mesh.messages import CopyKept, CopyOffered, Enrolled, Member
from visionflow.engine.mesh.replication import (
    COPY_BYTES_MAX,
    Replication,
    digest_of,
    ranked,
)
from visionflow.testing.meshes import CALM, ROUGH, Mesh

PLACES = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3)), min_size=1, max_size=9).map(
    lambda places: [
        Enrolled(f"a{n}", 1, n, f"m{machine}/{process}")
        for n, (machine, process) in enumerate(places)
    ]
)


def holders_of(key: str, there: list[Enrolled]) -> list[Member]:
    """Who is to hold copies of this key."""
    return [each.member for each in ranked(key, there)[:REPLICAS]]


def names(count: int) -> list[str]:
    return [f"p{number}" for number in range(count)]


def holders(mesh: Mesh, key: str) -> list[str]:
    """Living peers that hold a copy."""
    return [agent for agent, peer in mesh.peers.items() if key in peer.replication.held]


def enough(mesh: Mesh, key: str, count: int = 3) -> bool:
    """Whether so many hold a copy, and all of them know it."""
    known = [peer.copies(key) for peer in mesh.peers.values()]
    told = [each.achieved for each in known if each is not None]
    return len(told) == count and all(each == count for each in told)


# Where copies belong -------------------------------------------------------------------------


@given(PLACES, st.text(max_size=8))
@settings(max_examples=100)
def test_copies_are_on_as_many_machines_and_in_as_many_processes_as_there_can_be(
    there: list[Enrolled], key: str
) -> None:
    chosen = holders_of(key, there)
    assert len(chosen) == len(set(chosen)) == min(3, len(there))

    def spread(some: tuple[Enrolled, ...]) -> tuple[int, int]:
        places = {each.place for each in some}
        return len({place.split("/")[0] for place in places}), len(places)

    best = max(spread(some) for some in itertools.combinations(there, len(chosen)))
    found = tuple(each for each in there if each.member in chosen)
    machines, processes = spread(found)
    assert machines == best[0]
    # The most machines first; then as many processes as those leave room for.
    assert processes >= min(len(chosen), machines)


@given(PLACES, st.text(max_size=8))
@settings(max_examples=100)
def test_where_copies_belong_does_not_depend_on_the_order_of_the_living(
    there: list[Enrolled], key: str
) -> None:
    assert holders_of(key, there) == holders_of(key, list(reversed(there)))


def test_keys_are_spread_over_all_and_a_loss_moves_only_the_copies_of_who_is_lost() -> None:
    there = [Enrolled(f"a{n}", 1, n, f"m/{n}") for n in range(10)]
    keys = [f"task{n}" for n in range(300)]
    before = {key: holders_of(key, there) for key in keys}
    counts = {each.agent: 0 for each in there}
    for held in before.values():
        for member in held:
            counts[member.agent] += 1
    assert min(counts.values()) > 300 * 3 / 10 / 2
    left = [each for each in there if each.agent != "a4"]
    for key in keys:
        after = holders_of(key, left)
        stay = [member for member in before[key] if member.agent != "a4"]
        assert [member for member in after if member in stay] == stay


def test_beside_one_in_a_process_the_next_copies_are_in_others() -> None:
    there = [Enrolled(f"a{n}", 1, n, f"m/{n % 2}") for n in range(6)]
    holding = [there[0]]
    first, *_ = ranked("task", there, holding)
    assert first.place == "m/1"


# Copies over the network ---------------------------------------------------------------------


@pytest.mark.acceptance("mesh")
@pytest.mark.parametrize("rough", [False, True])
def test_losing_two_of_three_copies_keeps_the_result_and_makes_two_new_ones(rough: bool) -> None:
    mesh = Mesh(1, ROUGH if rough else CALM)
    mesh.start(names(9))
    mesh.run(5_000)
    mesh.replicate("p0", "task", b"result")
    assert mesh.run_until(partial(enough, mesh, "task"), 60_000) is not None
    copies = mesh.peers["p0"].copies("task")
    assert copies is not None
    assert (copies.required, copies.achieved, copies.processes, copies.machines) == (3, 3, 3, 3)
    for agent in holders(mesh, "task")[:2]:
        mesh.kill(agent)
    assert mesh.run_until(partial(enough, mesh, "task"), 120_000) is not None
    for agent in holders(mesh, "task"):
        held = mesh.peers[agent].replication.held["task"]
        assert (held.value, held.digest) == (b"result", digest_of(b"result"))


def test_the_maker_of_a_result_may_be_lost_at_any_moment_once_one_other_holds_it() -> None:
    for seed in range(15):
        mesh = Mesh(seed, ROUGH)
        mesh.start(names(6))
        mesh.run(5_000)
        mesh.replicate("p0", "task", b"result")
        assert mesh.run_until(lambda mesh=mesh: len(holders(mesh, "task")) > 1, 60_000, 1)
        mesh.kill("p0")
        took = mesh.run_until(lambda mesh=mesh: len(holders(mesh, "task")) >= 3, 120_000)
        assert took is not None, seed


def test_a_restarted_holder_holds_nothing_and_is_replaced_or_filled_again() -> None:
    mesh = Mesh(2, CALM)
    mesh.start(names(4))
    mesh.run(5_000)
    mesh.replicate("p0", "task", b"result")
    assert mesh.run_until(partial(enough, mesh, "task"), 30_000) is not None
    lost = holders(mesh, "task")[1]
    mesh.kill(lost)
    mesh.join(lost)
    assert len(holders(mesh, "task")) == 2
    assert mesh.run_until(partial(enough, mesh, "task"), 60_000) is not None


def test_with_too_few_peers_the_copies_that_are_there_are_told_beside_those_required() -> None:
    mesh = Mesh(3, CALM)
    mesh.start(names(2))
    mesh.run(5_000)
    mesh.replicate("p0", "task", b"result")
    mesh.run(20_000)
    copies = mesh.peers["p0"].copies("task")
    assert copies is not None
    assert (copies.required, copies.achieved) == (3, 2)
    mesh.join("p2")
    assert mesh.run_until(partial(enough, mesh, "task"), 30_000) is not None


@pytest.mark.acceptance("mesh")
def test_three_copies_in_one_process_of_one_machine_are_told_to_be_just_that() -> None:
    mesh = Mesh(4, CALM, workers=1)
    mesh.start(names(4))
    mesh.run(5_000)
    mesh.replicate("p0", "task", b"result")
    assert mesh.run_until(partial(enough, mesh, "task"), 30_000) is not None
    copies = mesh.peers["p0"].copies("task")
    assert copies is not None
    assert (copies.achieved, copies.processes, copies.machines) == (3, 1, 1)


# What is believed ----------------------------------------------------------------------------


def test_a_copy_that_has_not_the_hash_that_came_with_it_is_not_kept() -> None:
    holder = Replication(Member("b", 1))
    sender = Member("a", 1)
    wrong = CopyOffered("task", digest_of(b"result"), b"resulx", (sender,))
    assert holder.receive(sender, wrong) == []
    assert (holder.held, holder.corrupt) == ({}, 1)
    right = CopyOffered("task", digest_of(b"result"), b"result", (sender,))
    (answer,) = holder.receive(sender, right)
    assert answer.body == CopyKept("task", digest_of(b"result"))


def test_a_result_does_not_change_and_a_confirmation_of_another_one_counts_for_nothing() -> None:
    me, other, third = (Member(name, 1) for name in "abc")
    there = [Enrolled(m.agent, 1, n, f"m/{n}") for n, m in enumerate((me, other, third))]
    maker = Replication(me)
    sends = maker.offer("task", b"result", there, 0)
    assert {send.to for send in sends} == {"b", "c"}
    assert maker.receive(other, CopyKept("task", digest_of(b"else"))) == []
    copies = maker.copies("task", there)
    assert copies is not None
    assert copies.achieved == 1
    maker.receive(third, CopyOffered("task", digest_of(b"else"), b"else", ()))
    assert maker.held["task"].value == b"result"
    with pytest.raises(ValueError, match="as a blob"):
        maker.offer("large", bytes(COPY_BYTES_MAX + 1), there, 0)


def test_what_is_confirmed_is_not_sent_again_and_what_is_not_is() -> None:
    me, other, third = (Member(name, 1) for name in "abc")
    there = [Enrolled(m.agent, 1, n, f"m/{n}") for n, m in enumerate((me, other, third))]
    maker = Replication(me)
    maker.offer("task", b"result", there, 0)
    maker.receive(other, CopyKept("task", digest_of(b"result")))
    again = maker.tick(there, 10_000)
    assert [send.to for send in again] == ["c"]
    maker.receive(third, CopyKept("task", digest_of(b"result")))
    assert maker.tick(there, 20_000) == []
