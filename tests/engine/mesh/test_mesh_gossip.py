"""Gossip: what is merged does not depend on order, all come to know it, and messages stay small."""

import itertools
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visionflow.engine.mesh.chance import Chance
from visionflow.engine.mesh.gossip import (
    ENTRIES_BYTES_MAX,
    ENTRIES_MAX,
    FACT_BYTES_MAX,
    FANOUT,
    GOSSIP_MS,
    NEWS_MAX,
    Gossip,
    joined,
)
from visionflow.engine.mesh.messages import (
    Buckets,
    Delta,
    Digest,
    Entry,
    Fact,
    Member,
    Standing,
)
from visionflow.engine.mesh.peer import Peer, convergence
from visionflow.testing.meshes import CALM, ROUGH, Mesh

FACTS = st.builds(
    lambda incarnation, counter: Fact(
        "a", incarnation, counter, "f", b"%d.%d" % (incarnation, counter)
    ),
    st.integers(1, 3),
    st.integers(1, 3),
)
STANDINGS = st.builds(
    lambda incarnation, version, bits, failed: Standing(
        "a", incarnation, version, b"" if failed or not bits else bytes([bits]), failed
    ),
    st.integers(1, 2),
    st.integers(0, 2),
    st.integers(0, 7),
    st.booleans(),
)
KIND = st.sampled_from([FACTS, STANDINGS])


def believing() -> Gossip:
    return Gossip(lambda _: True)


# Merging -----------------------------------------------------------------------------------------


@given(KIND.flatmap(lambda kind: st.lists(kind, min_size=1, max_size=5)))
def test_what_is_known_does_not_depend_on_the_order_or_on_hearing_twice(
    entries: list[Entry],
) -> None:
    results = set()
    for order in itertools.permutations(entries):
        held: Entry | None = None
        for entry in (*order, *order):
            held = joined(held, entry)
        results.add(held)
    assert len(results) == 1


@given(st.lists(FACTS, min_size=1))
def test_of_a_fact_the_last_life_and_in_it_the_highest_counter_counts(facts: list[Fact]) -> None:
    gossip = believing()
    gossip.merge(facts, 0)
    last = max(facts, key=lambda fact: (fact.incarnation, fact.counter))
    assert list(gossip.held) == [last]


@given(st.lists(STANDINGS, min_size=1))
def test_of_doubts_about_one_version_all_are_kept_and_a_higher_version_takes_them_back(
    standings: list[Standing],
) -> None:
    gossip = believing()
    gossip.merge(standings, 0)
    (held,) = gossip.held
    assert isinstance(held, Standing)
    newest = max((each.incarnation, each.version) for each in standings)
    same = [each for each in standings if (each.incarnation, each.version) == newest]
    assert (held.incarnation, held.version) == newest
    assert held.failed is any(each.failed for each in same)
    if not held.failed:
        bits = 0
        for each in same:
            bits |= int.from_bytes(each.doubters, "little")
        assert int.from_bytes(held.doubters, "little") == bits


@given(st.permutations([Fact(f"a{n}", 1, 1, "f", b"v") for n in range(12)]))
def test_the_hash_over_everything_depends_on_what_is_held_and_not_on_how_it_came(
    facts: list[Fact],
) -> None:
    one, other = believing(), believing()
    one.merge(facts, 0)
    other.merge(sorted(facts, key=lambda fact: fact.agent), 0)
    assert one.held.total == other.held.total
    assert one.held.hashes == other.held.hashes
    other.merge([Fact("a3", 1, 2, "f", b"w")], 0)
    assert one.held.total != other.held.total
    assert len(one.held.differing(other.held.hashes)) == 1
    other.keep(lambda entry: entry.agent != "a3", 0)
    one.keep(lambda entry: entry.agent != "a3", 0)
    assert one.held.total == other.held.total


def test_what_is_not_believed_is_not_taken_from_others_and_neither_is_what_is_too_large() -> None:
    gossip = Gossip(lambda entry: entry.agent == "known")
    large = Fact("known", 1, 1, "large", bytes(FACT_BYTES_MAX + 1))
    stranger = Fact("stranger", 1, 1, "f", b"")
    nameless = Fact("known", 1, 1, "", b"")
    for message in (Digest(0, (large, stranger, nameless)), Delta((large, stranger, nameless))):
        gossip.receive("other", message, 0)
    assert list(gossip.held) == []


def all_know(mesh: Mesh, value: bytes) -> bool:
    return all(peer.facts.get(("p0", "load")) == value for peer in mesh.peers.values())


# Spreading ---------------------------------------------------------------------------------------


def filled(agents: int, each: int, size: int) -> Gossip:
    gossip = believing()
    facts = [
        Fact(f"a{agent}", 1, 1, f"f{n}", bytes(size))
        for agent in range(agents)
        for n in range(each)
    ]
    gossip.merge(facts, 0)
    return gossip


@settings(max_examples=20)
@given(st.integers(1, 40), st.sampled_from([1, 1_000, FACT_BYTES_MAX]))
def test_two_that_talk_come_to_hold_the_same_in_bounded_messages(agents: int, size: int) -> None:
    one, other = filled(agents, 6, size), believing()
    other.merge([Fact("mine", 1, 1, "f", b"")], 0)
    for turn in range(2_000):
        if one.held.total == other.held.total:
            break
        flying = [("one", send) for send in one.round(["other"], 2, Chance(turn))]
        while flying:
            sender, send = flying.pop()
            body = send.body
            assert isinstance(body, Digest | Buckets | Delta)
            if not isinstance(body, Buckets):
                entries = body.news if isinstance(body, Digest) else body.entries
                assert len(entries) <= max(NEWS_MAX, ENTRIES_MAX)
                held = sum(len(entry.value) for entry in entries if isinstance(entry, Fact))
                assert held <= ENTRIES_BYTES_MAX
            receiver, name = (other, "other") if sender == "one" else (one, "one")
            flying += [(name, each) for each in receiver.receive(sender, body, 0)]
    assert one.held.total == other.held.total
    assert set(one.held) == set(other.held)


def test_anti_entropy_alone_finds_what_no_news_told() -> None:
    one, other = filled(5, 2, 8), filled(5, 2, 8)
    for gossip in (one, other):
        for turn in range(30):
            gossip.round(["nobody"], 2, Chance(turn))  # all told, and all of it lost
    one.merge([Fact("late", 1, 1, "f", b"x")], 0)
    for turn in range(30):
        one.round(["nobody"], 2, Chance(turn))
    assert one.held.total != other.held.total
    (digest,) = [send.body for send in one.round(["other"], 2, Chance(1))]
    assert isinstance(digest, Digest)
    assert digest.news == ()
    (buckets,) = [send.body for send in other.receive("one", digest, 0)]
    assert isinstance(buckets, Buckets)
    (delta,) = [send.body for send in one.receive("other", buckets, 0)]
    assert isinstance(delta, Delta)
    other.receive("one", delta, 0)
    assert set(one.held) == set(other.held)


@pytest.mark.parametrize("others", [0, 1, 2, 3, 4, 9])
def test_a_round_is_with_three_others_or_with_all_where_there_are_fewer(others: int) -> None:
    gossip = believing()
    sends = gossip.round([f"p{n}" for n in range(others)], others + 1, Chance(7))
    assert len(sends) == min(others, FANOUT)
    assert len({send.to for send in sends}) == len(sends)


@pytest.mark.acceptance("mesh")
@pytest.mark.parametrize("agents", [1, 2, 3, 8, 30])
def test_what_one_says_all_know_after_a_few_rounds_even_over_a_bad_network(agents: int) -> None:
    mesh = Mesh(agents, ROUGH)
    mesh.start(f"p{n}" for n in range(agents))
    mesh.run(10_000)
    for value in (b"first", b"second"):
        mesh.put("p0", "load", value)
        took = mesh.run_until(partial(all_know, mesh, value), 120_000)
        assert took is not None
        assert took <= 6 * GOSSIP_MS


@pytest.mark.acceptance("mesh")
def test_after_a_heal_both_sides_know_what_either_learnt() -> None:
    mesh = Mesh(5, CALM)
    names = [f"p{n}" for n in range(8)]
    mesh.start(names)
    mesh.run(5_000)
    mesh.cut(names[:4], names[4:])
    for name in names:
        mesh.put(name, "since", name.encode())
    mesh.run(60_000)
    assert all(len(peer.facts) == 4 for peer in mesh.peers.values())
    mesh.heal()
    assert mesh.run_until(lambda: len({p.digest for p in mesh.peers.values()}) == 1, 60_000)
    for peer in mesh.peers.values():
        assert peer.facts == {(name, "since"): name.encode() for name in names}


def test_how_long_peers_differed_is_told_once_they_agree() -> None:
    mesh = Mesh(6, CALM)
    mesh.start(f"p{n}" for n in range(10))
    mesh.run(20_000)

    def told() -> tuple[bool, int | None]:
        return convergence((peer.digest, peer.since_ms) for peer in mesh.peers.values())

    mesh.put("p3", "load", b"1")
    began = mesh.now_ms
    assert told() == (False, None)
    assert mesh.run_until(lambda: told()[0], 60_000, 10) is not None
    agreed, took = told()
    assert agreed
    assert took is not None
    last = max(peer.since_ms for peer in mesh.peers.values())
    assert took == last - began
    assert convergence([]) == (True, None)


def test_a_fact_without_a_name_or_of_too_many_bytes_is_refused() -> None:
    peer = Peer(Member("a", 1))
    with pytest.raises(ValueError, match="at most"):
        peer.put("load", bytes(FACT_BYTES_MAX + 1), 0)
    with pytest.raises(ValueError, match="has a name"):
        peer.put("", b"", 0)
