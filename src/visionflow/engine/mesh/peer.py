"""One peer of a mesh: membership, gossip, auctions and copies behind one door.

A host hands in what arrives and says when time has passed; it sends what comes back. Nothing here
waits, reads a clock or is lost when an orchestrator is. One peer belongs to one agent in one
process: it must not be made anew there, for it would forget what it has promised.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from visionflow.domain.mesh import AuctionBid
from visionflow.engine.mesh.auction import Auction, Settled
from visionflow.engine.mesh.chance import Chance
from visionflow.engine.mesh.gossip import FACT_BYTES_MAX, GOSSIP_MS, Gossip
from visionflow.engine.mesh.membership import HEARTBEAT_MS, Membership
from visionflow.engine.mesh.messages import (
    Accept,
    Accepted,
    Ack,
    Agreeing,
    Behind,
    BidTold,
    Body,
    Buckets,
    Chosen,
    CopiesKnown,
    CopyKept,
    CopyOffered,
    Delta,
    Digest,
    Enrolled,
    Entry,
    Envelope,
    Fact,
    JoinAsked,
    Member,
    Ping,
    PingFor,
    Prepare,
    Promise,
    RosterAsked,
    RosterTold,
    Send,
)
from visionflow.engine.mesh.replication import Copies, Replication
from visionflow.engine.mesh.roster import PREFIX, Rosters, founded

JOIN_MS = 1_000
"""A peer that wants to join asks another of those it knows after this."""
BACK_MS = 30_000
"""So long one that took its leave back looks whether it was let go nevertheless."""
AUCTIONS_KEPT = 256
"""Settled auctions that are still told of to who asks."""


class Report(NamedTuple):
    """What a peer thinks, for whoever shows it."""

    members: int
    reached: int
    read_only: bool
    doubted: tuple[str, ...]
    failed: tuple[str, ...]
    digest: str
    """Of all that it holds in common with others: peers that agree have the same."""
    since_ms: int
    """When its digest last changed."""
    sent: dict[str, int]
    """Messages by kind."""
    received: int


class Convergence(NamedTuple):
    """Whether peers hold the same, and how long that took."""

    agreed: bool
    ms: int | None
    """From the first that held what all hold now to the last; `None`: they do not agree."""


def convergence(reports: Iterable[tuple[str, int]]) -> Convergence:
    """What (digest, since when) of several peers amount to."""
    found = list(reports)
    agreed = len({digest for digest, _ in found}) <= 1
    times = [since_ms for _, since_ms in found]
    return Convergence(agreed, max(times) - min(times) if agreed and times else None)


class Peer:
    """See the module. Every method that returns messages expects the host to send them."""

    def __init__(self, me: Member, place: str = "") -> None:
        """`place` is the process it is in, as `machine/process`."""
        self.me = me
        self.place = place
        self.rosters = Rosters(me)
        self.gossip = Gossip(self._believes)
        self.membership = Membership(me, self.rosters, self.gossip)
        self.replication = Replication(me)
        self.auctions: dict[str, Auction] = {}
        self.sent: dict[str, int] = {}
        self.received = 0
        self.since_ms = 0
        self._seeds: tuple[str, ...] = ()
        self._join_ms: int | None = None
        self._leaving = False
        self._back_ms = 0
        """Until then it looks whether the others went on without it after all."""
        self._gossip_ms: int | None = None
        self._seen = (self.rosters.mark, 0)
        self._now_ms = 0
        self._counter = 0

    # Who is there ----------------------------------------------------------------------------

    @property
    def enrolled(self) -> tuple[Enrolled, ...]:
        """Who belongs to the mesh, by agent."""
        return tuple(self.rosters.enrolled.values())

    @property
    def members(self) -> tuple[Member, ...]:
        """The same, without their places."""
        return tuple(each.member for each in self.rosters.enrolled.values())

    @property
    def there(self) -> tuple[Enrolled, ...]:
        """Those of them that this peer does not doubt, itself included."""
        doubting = self.membership.doubting
        return tuple(e for e in self.rosters.enrolled.values() if e.agent not in doubting)

    @property
    def inside(self) -> bool:
        """Whether it belongs to the mesh."""
        return self.rosters.inside

    @property
    def reached(self) -> int:
        """How many of the members it reaches, itself included."""
        return self.membership.reached

    @property
    def read_only(self) -> bool:
        """Whether it reaches half of the members or less: it takes nothing new then."""
        return self.membership.read_only(self._now_ms)

    @property
    def digest(self) -> str:
        """See Report."""
        (epoch, number), total = self._seen
        return f"{epoch}.{number}.{total:016x}"

    def report(self) -> Report:
        """What it thinks now."""
        return Report(
            members=len(self.rosters.enrolled),
            reached=self.reached,
            read_only=self.read_only,
            doubted=self.membership.doubted(),
            failed=self.membership.failed(),
            digest=self.digest,
            since_ms=self.since_ms,
            sent=dict(self.sent),
            received=self.received,
        )

    def found(self, epoch: int, members: Iterable[tuple[str, int, str]], now_ms: int) -> None:
        """Begin an epoch with these members, of (agent, incarnation, place).

        All of them have to be told the same. A greater epoch replaces one that was, so it may only
        begin when the members of that one cannot be a majority any more.
        """
        self.rosters.found(founded(epoch, members))
        self._after(now_ms)

    def join(self, seeds: Sequence[str], now_ms: int) -> None:
        """Ask these agents, one after the other, until this peer belongs to their mesh."""
        self._seeds = tuple(agent for agent in seeds if agent != self.me.agent)
        self._join_ms = now_ms
        if self._leaving:
            # The others may agree yet on what it asked for before: then it joins anew.
            self._leaving, self._back_ms = False, now_ms + BACK_MS
            self.rosters.stay(self.me.agent)

    def leave(self, now_ms: int) -> None:
        """Ask the others to go on without this peer. It belongs to them until they agree; to
        `join` takes that back."""
        self._join_ms = None
        self._leaving = True
        self._after(now_ms)

    def expel(self, agent: str, now_ms: int) -> None:
        """See to it that an agent that is gone for good no longer counts."""
        enrolled = self.rosters.enrolled.get(agent)
        if enrolled is not None:
            self.rosters.want_left(enrolled.member, now_ms)

    # What it says of itself -------------------------------------------------------------------

    def put(self, name: str, value: bytes, now_ms: int) -> None:
        """Have all others come to know this of it; the last value under a name counts.

        Raises:
            ValueError: the name is empty, or the value has more than FACT_BYTES_MAX bytes.
        """
        if not name or len(value) > FACT_BYTES_MAX:
            raise ValueError(
                f"A fact has a name and at most {FACT_BYTES_MAX} bytes; this one has"
                f" {len(value)} under {name!r}."
            )
        self._counter += 1
        fact = Fact(self.me.agent, self.me.incarnation, self._counter, name, value)
        self.gossip.merge((fact,), now_ms, own=True)
        self._after(now_ms)

    @property
    def facts(self) -> dict[tuple[str, str], bytes]:
        """What it knows of all members, by (agent, name)."""
        return {(e.agent, e.name): e.value for e in self.gossip.held if isinstance(e, Fact)}

    # Auctions and copies ----------------------------------------------------------------------

    def open(
        self, auction: str, electorate: Sequence[Member], bid: AuctionBid | None, now_ms: int
    ) -> Auction:
        """Take part in an auction; the same again changes nothing.

        Raises:
            ValueError: this peer is not of the electorate in this life.
        """
        found = self.auctions.get(auction)
        if found is None:
            found = self.auctions[auction] = Auction(auction, self.me, electorate, bid, now_ms)
            settled = [name for name, each in self.auctions.items() if each.outcome is not None]
            for name in settled[:-AUCTIONS_KEPT]:
                del self.auctions[name]
        return found

    def outcome(self, auction: str) -> Settled | None:
        """How an auction ended; `None`: it has not, as far as is known here."""
        found = self.auctions.get(auction)
        return found.outcome if found else None

    def close(self, auction: str) -> None:
        """Take no more part in it: it lapsed. What was promised in it is forgotten, so it must not
        be opened again under this name."""
        self.auctions.pop(auction, None)

    def replicate(self, key: str, value: bytes, now_ms: int) -> list[Send]:
        """Have copies made with others.

        Raises:
            ValueError: it has too many bytes.
        """
        return self._counted(self.replication.offer(key, value, self.there, now_ms))

    def copies(self, key: str) -> Copies | None:
        """What it knows of the copies of a key that it holds."""
        return self.replication.copies(key, self.there)

    # Its door ---------------------------------------------------------------------------------

    @property
    def next_ms(self) -> int:
        """When `tick` has something to do, at the latest."""
        times = [
            self._join_ms,
            self._gossip_ms,
            self.rosters.next_ms,
            self.replication.next_ms,
            self.membership.next_ms if self.inside else None,
            *(each.next_ms for each in self.auctions.values()),
        ]
        return min(
            (each for each in times if each is not None), default=self._now_ms + HEARTBEAT_MS
        )

    def envelope(self, body: Body) -> Envelope:
        """A message of this peer, as it is to be sent."""
        epoch, number = self.rosters.mark
        unsettled = self.rosters.unsettled_ms is not None
        return Envelope(self.me.agent, self.me.incarnation, body, epoch, number, unsettled)

    def receive(self, envelope: Envelope, now_ms: int) -> list[Send]:
        """Take what arrived."""
        self._now_ms = max(self._now_ms, now_ms)
        self.received += 1
        sender, body = envelope.sender, envelope.body
        mark = (envelope.epoch, envelope.roster)
        sent: list[Send] = []
        if not isinstance(body, JoinAsked | RosterAsked | RosterTold | BidTold):
            sent += self.rosters.heard(sender, mark, envelope.unsettled, now_ms)
        sent += self._take(sender, mark, body, now_ms)
        return self._counted(sent + self._after(now_ms))

    def tick(self, now_ms: int, entropy: int) -> list[Send]:
        """Do what time has made due."""
        self._now_ms = max(self._now_ms, now_ms)
        chance = Chance(entropy)
        if self.inside and self._gossip_ms is None:
            # Peers that begin together do not go on in step.
            self._gossip_ms = now_ms + chance.below(GOSSIP_MS)
            self.membership.next_ms = now_ms + chance.below(HEARTBEAT_MS)
        sent = self._join(now_ms, chance)
        sent += self.rosters.tick(now_ms, chance.below(1 << 30))
        sent += self._after(now_ms)
        sent += self.membership.tick(now_ms, chance)
        sent += self._gossiped(now_ms, chance)
        for auction in self.auctions.values():
            if auction.outcome is None:
                sent += auction.tick(now_ms, chance.below(1 << 30))
        sent += self.replication.tick(self.there, now_ms)
        return self._counted(sent + self._after(now_ms))

    def _take(self, sender: Member, mark: tuple[int, int], body: Body, now_ms: int) -> list[Send]:
        match body:
            case JoinAsked() | RosterAsked() | RosterTold():
                return self.rosters.receive(sender, mark, body, now_ms)
            case Ping() | Ack() | PingFor():
                return self.membership.receive(sender, body, now_ms)
            case Digest() | Buckets() | Delta():
                return self.gossip.receive(sender.agent, body, now_ms)
            case Prepare() | Promise() | Behind() | Accept() | Accepted() | Chosen():
                return self._agree(sender, mark, body, now_ms)
            case BidTold():
                auction = self.auctions.get(body.auction)
                return auction.receive(sender, body, now_ms) if auction else []
            case CopyOffered() | CopyKept() | CopiesKnown():
                return self.replication.receive(sender, body)

    def _agree(
        self, sender: Member, mark: tuple[int, int], body: Agreeing, now_ms: int
    ) -> list[Send]:
        if body.instance.startswith(PREFIX):
            return self.rosters.receive(sender, mark, body, now_ms)
        auction = self.auctions.get(body.instance)
        return auction.receive(sender, body, now_ms) if auction else []

    def _join(self, now_ms: int, chance: Chance) -> list[Send]:
        if self._join_ms is None or now_ms < self._join_ms:
            return []
        if self.inside or not self._seeds:
            self._join_ms = now_ms + JOIN_MS if now_ms < self._back_ms else None
            return []
        self._join_ms = now_ms + JOIN_MS
        return [Send(chance.some(self._seeds, 1)[0], JoinAsked(self.place))]

    def _gossiped(self, now_ms: int, chance: Chance) -> list[Send]:
        if not self.inside or self._gossip_ms is None or now_ms < self._gossip_ms:
            return []
        self._gossip_ms = now_ms + GOSSIP_MS
        members = len(self.rosters.enrolled)
        return self.gossip.round(self.membership.there(), members, chance)

    def _after(self, now_ms: int) -> list[Send]:
        """Follow up on what has changed by now."""
        sent: list[Send] = []
        if self.rosters.mark != self._seen[0]:
            self.membership.renewed()
            self.gossip.keep(self._believes, now_ms)
        if self.gossip.changed:
            sent = self.membership.look(self.gossip.take_changed(), now_ms)
        if self._leaving:
            # Others may still be about to let it in.
            self.rosters.want_left(self.me, now_ms)
        seen = (self.rosters.mark, self.gossip.held.total)
        if seen != self._seen:
            self._seen = seen
            self.since_ms = now_ms
        return sent

    def _believes(self, entry: Entry) -> bool:
        enrolled = self.rosters.enrolled.get(entry.agent)
        return enrolled is not None and enrolled.incarnation == entry.incarnation

    def _counted(self, sent: list[Send]) -> list[Send]:
        for _, body in sent:
            kind = type(body).__name__
            self.sent[kind] = self.sent.get(kind, 0) + 1
        return sent
