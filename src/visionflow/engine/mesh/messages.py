"""What peers of a mesh say to each other.

All peers of a swarm are of one version, so the messages are positional. Nothing here is in a log.
Any of them may be lost, delayed, doubled or overtaken: whoever needs an answer asks again.
"""

from typing import NamedTuple, TypeAlias

import msgspec

from visionflow.domain.mesh import AuctionBid


class Member(msgspec.Struct, frozen=True, array_like=True, order=True, gc=False):
    """A peer in one of its lives: the agent, and a number that each of its processes raises.

    A peer that was restarted is another member. It has forgotten what it promised, so it is bound
    by nothing, and has no say where its former self had one.
    """

    agent: str
    incarnation: int


class PeerMessage(msgspec.Struct, frozen=True, array_like=True, gc=False, tag_field="kind"):
    """Base of what a letter may hold."""


# Who belongs to the mesh -----------------------------------------------------------------------


class Enrolled(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A member of a roster. Its number there is never given to another."""

    agent: str
    incarnation: int
    number: int
    place: str = ""
    """Its process, as `machine/process`: what is lost together."""

    @property
    def member(self) -> Member:
        """Who it is, without where."""
        return Member(self.agent, self.incarnation)


class Change(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What one roster has that the one before it had not, and the other way round."""

    joined: tuple[tuple[str, int, str], ...] = ()
    """(agent, incarnation, place)."""
    left: tuple[Member, ...] = ()


class Roster(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Who belongs to the mesh: the founders of an epoch, and `number` agreed changes since."""

    epoch: int
    number: int
    enrolled: tuple[Enrolled, ...]
    """By agent."""
    next_number: int
    """Of the next to be enrolled."""


class JoinAsked(PeerMessage, frozen=True, tag=1):
    """The sender wants to belong to the mesh; answered by a RosterTold once it does."""

    place: str = ""


class RosterAsked(PeerMessage, frozen=True, tag=2):
    """The sender knows only an earlier roster than the receiver, as the letter says."""


class RosterTold(PeerMessage, frozen=True, tag=3):
    """The roster of the sender: whole, or by what was changed since the receiver's."""

    whole: Roster | None
    since: int = 0
    """The number of the roster that the first change is to be applied to."""
    changes: tuple[Change, ...] = ()


# Who is there ----------------------------------------------------------------------------------


class Ping(PeerMessage, frozen=True, tag=10):
    """Answer at once."""

    number: int
    version: int
    """Of the receiver's standing, as the sender knows it."""
    doubted: bool = False
    """Somebody doubts that the receiver is there: it says that it is, in a higher version."""
    incarnation: int = 0
    """Of the receiver."""


class Ack(PeerMessage, frozen=True, tag=11):
    """The answer to a Ping of this number, directly or through somebody else."""

    number: int
    version: int
    of: str = ""
    """Who answered; empty: the sender."""
    incarnation: int = 0


class PingFor(PeerMessage, frozen=True, tag=12):
    """Ping this member for the sender, and hand on what it answers."""

    number: int
    agent: str
    incarnation: int
    version: int
    doubted: bool = False


# What spreads ----------------------------------------------------------------------------------


class Standing(msgspec.Struct, frozen=True, array_like=True, gc=False, tag_field="t", tag=0):
    """Whether a member is there. Its own word, a higher version, takes back all doubts."""

    agent: str
    incarnation: int
    version: int
    doubters: bytes = b""
    """The numbers in the roster of those who doubt it, as bits, the lowest first."""
    failed: bool = False
    """More than half of the roster did; who they were is left out then."""


class Fact(msgspec.Struct, frozen=True, array_like=True, gc=False, tag_field="t", tag=1):
    """Something that a member says of itself; the highest counter counts."""

    agent: str
    incarnation: int
    counter: int
    name: str
    value: bytes


Entry: TypeAlias = Standing | Fact


class Digest(PeerMessage, frozen=True, tag=20):
    """What is new, and a hash over all that the sender holds."""

    total: int
    news: tuple[Entry, ...] = ()


class Buckets(PeerMessage, frozen=True, tag=21):
    """The answer where the hashes differ: one for each part."""

    hashes: bytes


class Delta(PeerMessage, frozen=True, tag=22):
    """What the sender holds in parts that differ."""

    entries: tuple[Entry, ...]
    want: tuple[int, ...] = ()
    """Parts of which the receiver is to send what it holds in turn."""


# Agreement -------------------------------------------------------------------------------------


class Prepare(PeerMessage, frozen=True, tag=30):
    """Promise to accept nothing of a lower ballot, and say what was accepted so far."""

    instance: str
    ballot: int


class Promise(PeerMessage, frozen=True, tag=31):
    """The promise, with what the sender has accepted: the ballot (0: nothing) and the value."""

    instance: str
    ballot: int
    accepted: int = 0
    value: bytes = b""


class Behind(PeerMessage, frozen=True, tag=32):
    """This ballot comes too late: the sender has promised a higher one."""

    instance: str
    ballot: int
    promised: int


class Accept(PeerMessage, frozen=True, tag=33):
    """Accept this value, unless a higher ballot was promised."""

    instance: str
    ballot: int
    value: bytes


class Accepted(PeerMessage, frozen=True, tag=34):
    """The sender has accepted the value of this ballot."""

    instance: str
    ballot: int


class Chosen(PeerMessage, frozen=True, tag=35):
    """A majority has accepted this value in one ballot: it is the value for good."""

    instance: str
    ballot: int
    value: bytes
    voters: bytes
    """Who of the electorate had accepted it as far as the sender knows: bits, in its order."""


# Auctions and copies ---------------------------------------------------------------------------


class BidTold(PeerMessage, frozen=True, tag=40):
    """What the sender bids in an auction; `None`: it does not take part."""

    auction: str
    bid: AuctionBid | None
    asks: bool = False
    """It has not heard the receiver's."""


class CopyOffered(PeerMessage, frozen=True, tag=50):
    """Keep a copy of this; answered by CopyKept."""

    key: str
    digest: str
    """SHA-256 of the value, hexadecimal."""
    value: bytes
    holders: tuple[Member, ...]
    """Who holds a copy as far as the sender knows."""


class CopyKept(PeerMessage, frozen=True, tag=51):
    """The sender holds a copy, whose hash it has computed."""

    key: str
    digest: str


class CopiesKnown(PeerMessage, frozen=True, tag=52):
    """Who holds copies; the sender sees to it that there are enough."""

    key: str
    digest: str
    holders: tuple[Member, ...]


Body: TypeAlias = (
    JoinAsked
    | RosterAsked
    | RosterTold
    | Ping
    | Ack
    | PingFor
    | Digest
    | Buckets
    | Delta
    | Prepare
    | Promise
    | Behind
    | Accept
    | Accepted
    | Chosen
    | BidTold
    | CopyOffered
    | CopyKept
    | CopiesKnown
)
Agreeing: TypeAlias = Prepare | Promise | Behind | Accept | Accepted | Chosen


class Envelope(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A message with who sends it and which roster that one goes by."""

    agent: str
    incarnation: int
    body: Body
    epoch: int = -1
    """-1: it belongs to no mesh yet."""
    roster: int = -1
    unsettled: bool = False
    """It knows that the next roster is being agreed on, and not yet what it is."""

    @property
    def sender(self) -> Member:
        """Who sends it."""
        return Member(self.agent, self.incarnation)


class Send(NamedTuple):
    """A message that is to be sent to an agent."""

    to: str
    body: Body


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Envelope)


def encode(envelope: Envelope) -> bytes:
    """How an envelope travels."""
    return _ENCODER.encode(envelope)


def decode(data: bytes) -> Envelope:
    """The envelope that arrived.

    Raises:
        ValueError: it is none.
    """
    try:
        return _DECODER.decode(data)
    except msgspec.MsgspecError as error:
        raise ValueError(f"This is no message between peers: {error}") from error
