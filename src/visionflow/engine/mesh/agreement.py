"""A fixed electorate agrees on one value, whatever is lost, late, doubled or out of order.

Single-decree Paxos (L. Lamport, "Paxos Made Simple", ACM SIGACT News 32, 2001); every member is
proposer, acceptor and learner. A ballot's number is `round * size + seat + 1`, so no two members
ever use one. What a member has promised and accepted lives in memory only: that is safe because a
restarted process is another `Member`, which is not in the electorate. The majority is one of those
who were in it at the start; with half of them gone nothing is chosen any more, and `heard` tells.

Several who propose at once can go on overtaking each other (no deterministic protocol can exclude
that: Fischer, Lynch and Paterson, 1985), so each waits by chance, and longer each time.
"""

from collections.abc import Callable, Sequence

import msgspec

from visionflow.engine.mesh.messages import (
    Accept,
    Accepted,
    Agreeing,
    Behind,
    Body,
    Chosen,
    Member,
    Prepare,
    Promise,
    Send,
)

PATIENCE_MS = 400
"""A round without an end after this is given up for another, at the earliest."""
BACKOFF_MS = 400
"""Before another round at most this much more by chance, doubled each time."""
DOUBLINGS_MAX = 4
ASK_MS = 2_000
"""A member that knows of an agreement and of no end of it asks after this."""


def _vote_of(member: Member) -> tuple[str, int]:
    """Whose vote a member has: its own of this life, not that of an earlier one."""
    return (member.agent, member.incarnation)


def _any(_value: bytes) -> bool:
    return True


class Agreement:
    """One member's part in one agreement.

    `chosen` never changes once it is there. `accepting` is whether this member has accepted
    something and does not know whether it is chosen.
    """

    def __init__(
        self,
        instance: str,
        me: Member,
        electorate: Sequence[Member],
        valid: Callable[[bytes], bool] = _any,
    ) -> None:
        """
        Raises:
            ValueError: `me` is not of the electorate: only its members take part.
        """
        self.instance = instance
        self._electorate = tuple(electorate)
        self._seats = {_vote_of(member): seat for seat, member in enumerate(self._electorate)}
        if _vote_of(me) not in self._seats:
            raise ValueError(f"{me.agent} is not in the electorate of {instance} in this life.")
        self._me = me
        self._seat = self._seats[_vote_of(me)]
        self._valid = valid
        self.chosen: Chosen | None = None
        self.next_ms: int | None = None
        """When `tick` has something to do."""
        self.tries = 0
        """Rounds that this member has begun."""
        self.heard: dict[Member, None] = {}
        """Members that answered the last of them."""
        self._promised = 0
        self._accepted = (0, b"")
        self._wish: bytes | None = None
        self._ballot = 0
        self._floor = 0
        """What stood in the way of an earlier round: the next one is above it."""
        self._proposed: bytes | None = None
        self._promises: dict[int, tuple[int, bytes]] = {}
        self._votes: dict[int, None] = {}

    @property
    def accepting(self) -> bool:
        """Whether something was accepted here, and its end is not known."""
        return self.chosen is None and self._accepted[0] > 0

    @property
    def majority(self) -> int:
        """How many have to accept."""
        return len(self._electorate) // 2 + 1

    def round_of(self, ballot: int) -> int:
        """Which round a ballot is of; the first is 1."""
        return (ballot - 1) // len(self._electorate) + 1

    def voters_of(self, chosen: Chosen) -> tuple[Member, ...]:
        """Who had accepted it, as far as was known when it was chosen."""
        bits = int.from_bytes(chosen.voters, "little")
        return tuple(member for seat, member in enumerate(self._electorate) if bits & (1 << seat))

    def wish(self, value: bytes, at_ms: int) -> None:
        """Propose this value from `at_ms` on, if nothing is chosen by then. The first wish stays:
        what is proposed in the end may be what another proposed before."""
        if self._wish is None and self.chosen is None:
            self._wish = value
            self.next_ms = at_ms if self.next_ms is None else min(self.next_ms, at_ms)

    def tick(self, now_ms: int, entropy: int) -> list[Send]:
        """Begin a round, where it is time for one."""
        if self.chosen is not None or self.next_ms is None or now_ms < self.next_ms:
            return []
        spread = BACKOFF_MS << min(self.tries, DOUBLINGS_MAX)
        self.next_ms = now_ms + PATIENCE_MS + entropy % spread
        self.tries += 1
        size = len(self._electorate)
        highest = max(self._promised, self._ballot, self._floor)
        self._ballot = (highest + size - 1) // size * size + self._seat + 1
        self._proposed = None
        self._promises = {}
        self._votes = {}
        self.heard = {}
        return self._to_all(Prepare(self.instance, self._ballot), now_ms)

    def receive(self, sender: Member, message: Agreeing, now_ms: int) -> list[Send]:
        """Take what a member says. What others say is nothing to this agreement."""
        seat = self._seats.get(_vote_of(sender))
        if seat is None:
            return []
        if self.chosen is not None:
            asks = isinstance(message, Prepare | Accept) and sender != self._me
            return [Send(sender.agent, self.chosen)] if asks else []
        if self.next_ms is None:
            self.next_ms = now_ms + ASK_MS + PATIENCE_MS * self._seat
        match message:
            case Prepare():
                return self._answer(sender, self._on_prepare(message), now_ms)
            case Accept():
                return self._answer(sender, self._on_accept(message), now_ms)
            case Promise():
                return self._on_promise(sender, seat, message, now_ms)
            case Accepted():
                return self._on_accepted(sender, seat, message)
            case Behind():
                if message.ballot == self._ballot:
                    self.heard[sender] = None
                    self._floor = max(self._floor, message.promised)
                return []
            case Chosen():
                self._learn(message)
                return []

    def _on_prepare(self, message: Prepare) -> Agreeing:
        if message.ballot < self._promised:
            return Behind(self.instance, message.ballot, self._promised)
        self._promised = message.ballot
        return Promise(self.instance, message.ballot, *self._accepted)

    def _on_accept(self, message: Accept) -> Agreeing | None:
        if not self._valid(message.value):
            return None
        if message.ballot < self._promised:
            return Behind(self.instance, message.ballot, self._promised)
        self._promised = message.ballot
        self._accepted = (message.ballot, message.value)
        return Accepted(self.instance, message.ballot)

    def _on_promise(self, sender: Member, seat: int, message: Promise, now_ms: int) -> list[Send]:
        if message.ballot != self._ballot or self._proposed is not None:
            return []
        self.heard[sender] = None
        self._promises[seat] = (message.accepted, message.value)
        if len(self._promises) < self.majority:
            return []
        ballot, value = max(self._promises.values())
        proposed = value if ballot else self._wish
        if proposed is None:
            # It only asked, and a majority has accepted nothing.
            return []
        self._proposed = proposed
        return self._to_all(Accept(self.instance, self._ballot, proposed), now_ms)

    def _on_accepted(self, sender: Member, seat: int, message: Accepted) -> list[Send]:
        if message.ballot != self._ballot or self._proposed is None:
            return []
        self.heard[sender] = None
        self._votes[seat] = None
        if len(self._votes) < self.majority:
            return []
        bits = sum(1 << each for each in self._votes)
        voters = bits.to_bytes((len(self._electorate) + 7) // 8, "little")
        chosen = Chosen(self.instance, message.ballot, self._proposed, voters)
        self._learn(chosen)
        return [Send(member.agent, chosen) for member in self._electorate if member != self._me]

    def _learn(self, chosen: Chosen) -> None:
        self.chosen = chosen
        self.next_ms = None

    def _answer(self, sender: Member, answer: Agreeing | None, now_ms: int) -> list[Send]:
        if answer is None:
            return []
        if sender == self._me:
            return self.receive(sender, answer, now_ms)
        return [Send(sender.agent, answer)]

    def _to_all(self, message: Prepare | Accept, now_ms: int) -> list[Send]:
        """To each of the electorate, itself included, whose answer comes at once."""
        body: Body = message
        sent = [Send(member.agent, body) for member in self._electorate if member != self._me]
        return sent + self.receive(self._me, message, now_ms)


def pack(value: msgspec.Struct) -> bytes:
    """A value to agree on."""
    return msgspec.msgpack.encode(value)
