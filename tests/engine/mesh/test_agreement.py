"""At most one value is chosen, whatever happens to messages and members; and one is, in the end."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visionflow.engine.mesh.agreement import Agreement
from visionflow.engine.mesh.messages import (
    Accept,
    Accepted,
    Agreeing,
    Chosen,
    Member,
    Prepare,
    Promise,
    Send,
)


class Disorder:
    """An electorate whose messages arrive in any order, twice, or never, and whose members die.

    It looks at every message from outside: what is chosen follows from who accepted what, before
    any member knows it.
    """

    def __init__(self, seed: int, size: int) -> None:
        self.random = random.Random(seed)
        self.electorate = tuple(Member(f"a{seat}", 1) for seat in range(size))
        self.parts = {m: Agreement("x", m, self.electorate) for m in self.electorate}
        self.flying: list[tuple[Member, str, Agreeing]] = []
        self.values: dict[int, bytes] = {}
        self.accepted: dict[int, set[str]] = {}
        self.now_ms = 0

    @property
    def chosen(self) -> set[bytes]:
        """Values of ballots that more than half of the electorate has accepted."""
        most = len(self.electorate) // 2
        return {self.values[b] for b, agents in self.accepted.items() if len(agents) > most}

    def send(self, sender: Member, sends: list[Send]) -> None:
        for to, body in sends:
            assert isinstance(body, Agreeing)
            self.flying.append((sender, to, body))
            if isinstance(body, Accept):
                # A proposer's own acceptance is no message; it accepts what it proposes.
                assert self.values.setdefault(body.ballot, body.value) == body.value
                if self.parts[sender].accepting or self.parts[sender].chosen:
                    self.accepted.setdefault(body.ballot, set()).add(sender.agent)
            elif isinstance(body, Accepted):
                self.accepted.setdefault(body.ballot, set()).add(sender.agent)

    def deliver(self, index: int, *, keep: bool) -> None:
        sender, to, body = self.flying[index] if keep else self.flying.pop(index)
        for member, part in list(self.parts.items()):
            if member.agent == to:
                self.send(member, part.receive(sender, body, self.now_ms))

    def restart(self, member: Member) -> None:
        """A member forgets everything. It is another one now, and has no seat."""
        del self.parts[member]
        again = Member(member.agent, member.incarnation + 1)
        try:
            self.parts[again] = Agreement("x", again, self.electorate)
        except ValueError:
            return
        self.parts[again].wish(f"{again.agent} again".encode(), self.now_ms)

    def step(self) -> None:
        chance = self.random.random()
        if chance < 0.003 and self.parts:
            self.restart(self.random.choice(list(self.parts)))
        elif chance < 0.05 and self.flying:
            self.flying.pop(self.random.randrange(len(self.flying)))
        elif chance < 0.75 and self.flying:
            self.deliver(self.random.randrange(len(self.flying)), keep=chance < 0.12)
        elif self.parts:
            self.now_ms += self.random.randrange(400)
            member = self.random.choice(list(self.parts))
            part = self.parts[member]
            if self.random.random() < 0.3:
                part.wish(member.agent.encode(), self.now_ms)
            self.send(member, part.tick(self.now_ms, self.random.getrandbits(30)))

    def check(self) -> None:
        assert len(self.chosen) <= 1
        for part in self.parts.values():
            if part.chosen is not None:
                assert {part.chosen.value} == self.chosen


@pytest.mark.acceptance("mesh")
def test_never_are_two_values_chosen_whatever_becomes_of_messages_and_members() -> None:
    settled = 0
    for seed in range(400):
        disorder = Disorder(seed, 2 + seed % 4)
        for _ in range(300):
            disorder.step()
            disorder.check()
        settled += bool(disorder.chosen)
    assert settled > 200  # else this would have shown nothing


@given(st.integers(0, 2**32), st.integers(2, 7))
@settings(max_examples=150)
def test_what_a_member_knows_to_be_chosen_stays_so(seed: int, size: int) -> None:
    disorder = Disorder(seed, size)
    known: dict[Member, Chosen] = {}
    for _ in range(200):
        disorder.step()
        for member, part in disorder.parts.items():
            if part.chosen is not None:
                assert known.setdefault(member, part.chosen) == part.chosen
    disorder.check()


@given(st.integers(0, 2**32), st.integers(2, 9))
@settings(max_examples=150)
def test_a_majority_that_can_talk_for_a_while_settles_whatever_was_before(
    seed: int, size: int
) -> None:
    disorder = Disorder(seed, size)
    for _ in range(100):
        chance = disorder.random.random()
        if chance < 0.99 or len(disorder.parts) <= size // 2 + 1:
            disorder.step()
    if len(disorder.parts) <= size // 2:
        return
    for member, part in disorder.parts.items():
        part.wish(member.agent.encode(), disorder.now_ms)
    for _ in range(2_000):
        if all(part.chosen is not None for part in disorder.parts.values()):
            break
        disorder.now_ms += 50
        for member, part in disorder.parts.items():
            disorder.send(member, part.tick(disorder.now_ms, disorder.random.getrandbits(30)))
        while disorder.flying:
            disorder.deliver(0, keep=False)
    assert all(part.chosen is not None for part in disorder.parts.values())
    disorder.check()


def test_half_of_the_electorate_chooses_nothing_and_that_shows() -> None:
    disorder = Disorder(1, 4)
    for member in disorder.electorate[2:]:
        del disorder.parts[member]
    for member, part in disorder.parts.items():
        part.wish(member.agent.encode(), 0)
    for _ in range(100):
        disorder.now_ms += 200
        for member, part in disorder.parts.items():
            disorder.send(member, part.tick(disorder.now_ms, disorder.random.getrandbits(30)))
        while disorder.flying:
            disorder.deliver(0, keep=False)
    for part in disorder.parts.values():
        assert part.chosen is None
        assert part.tries > 3
        assert len(part.heard) < part.majority
    assert disorder.chosen == set()


def test_a_restarted_member_has_no_seat_and_a_stranger_is_not_heard() -> None:
    electorate = (Member("a", 1), Member("b", 1), Member("c", 1))
    with pytest.raises(ValueError, match="not in the electorate"):
        Agreement("x", Member("a", 2), electorate)
    part = Agreement("x", electorate[0], electorate)
    part.wish(b"value", 0)
    prepare = part.tick(0, 0)[0].body
    other = Agreement("x", electorate[1], electorate)
    assert isinstance(prepare, Agreeing)
    promise = other.receive(electorate[0], prepare, 0)[0].body
    assert isinstance(promise, Agreeing)
    assert part.receive(Member("b", 2), promise, 0) == []
    assert part.receive(electorate[1], promise, 0) != []


def test_of_values_that_were_accepted_before_the_one_of_the_highest_ballot_is_proposed() -> None:
    electorate = tuple(Member(f"a{seat}", 1) for seat in range(5))
    part = Agreement("x", electorate[0], electorate)
    part.wish(b"own", 0)
    part.receive(electorate[4], Prepare("x", 5), 0)
    prepare = part.tick(0, 0)[0].body
    assert isinstance(prepare, Prepare)
    assert part.receive(electorate[1], Promise("x", prepare.ballot, 3, b"z"), 0) == []
    sends = part.receive(electorate[2], Promise("x", prepare.ballot, 4, b"a"), 0)
    assert {send.body for send in sends} == {Accept("x", prepare.ballot, b"a")}


def test_one_alone_agrees_with_itself_at_once() -> None:
    part = Agreement("x", Member("a", 1), (Member("a", 1),))
    part.wish(b"value", 0)
    assert part.tick(0, 0) == []
    assert part.chosen is not None
    assert part.chosen.value == b"value"


def test_those_who_accepted_are_named_with_what_was_chosen() -> None:
    disorder = Disorder(3, 5)
    first, part = next(iter(disorder.parts.items()))
    part.wish(b"value", 0)
    disorder.send(first, part.tick(0, 0))
    while disorder.flying:
        disorder.deliver(0, keep=False)
    assert part.chosen is not None
    assert part.chosen.value == b"value"
    assert part.round_of(part.chosen.ballot) == 1
    voters = part.voters_of(part.chosen)
    assert first in voters
    assert len(voters) == part.majority == 3
