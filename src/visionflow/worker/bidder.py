"""One peer's part in the auctions that its process was told of: what it bids, and when.

Of several auctions at once a peer wins one and no more than it has room for. So it tells its bid
for the next one only when it can say how it stands in those before: for as long as it may win one,
by the bids that it knows, it counts that as work. Who has been outbid has all its room again.
"""

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from visionflow.domain.mesh import AuctionBid
from visionflow.domain.messages import Announce, Dispatch
from visionflow.engine.mesh.auction import Settled
from visionflow.engine.mesh.bidding import bid_of
from visionflow.engine.mesh.messages import Envelope, Member
from visionflow.engine.mesh.peer import Peer
from visionflow.worker.copies import name_of

EARLY_MAX = 1_024
HOLD_MS = 300
"""So long a bid is held back for others' bids in auctions before it."""


class UnderWay(NamedTuple):
    """An auction in which a peer of this process takes part."""

    dispatch: Dispatch
    since_ms: int


class _Held(NamedTuple):
    announced: Announce
    since_ms: int


class Bidder:
    """See the module. The peer is told of an auction when it bids in it, and not before."""

    def __init__(
        self,
        peer: Peer,
        open_of: Callable[[str], int | None],
        free_bp: Callable[[], int | None],
    ) -> None:
        """`open_of`: how many attempts the agent has here, `None`: it takes none. `free_bp`: how
        much of its resources this process has free, in basis points; `None`: unknown."""
        self.under_way: dict[str, UnderWay] = {}
        self.leaving = False
        self._peer = peer
        self._open_of = open_of
        self._free_bp = free_bp
        self._held: dict[str, _Held] = {}
        self._early: deque[tuple[str, Envelope]] = deque(maxlen=EARLY_MAX)
        """What others say of auctions that are not opened here."""

    @property
    def due_ms(self) -> int | None:
        """When an auction that is held back is opened, at the latest; `None`: none is."""
        first = next(iter(self._held.values()), None)
        return None if first is None else first.since_ms + HOLD_MS

    def knows(self, auction: str) -> bool:
        """Whether it takes part in an auction, is about to, or did."""
        return auction in self._held or auction in self._peer.auctions

    def announced(self, message: Announce, now_ms: int) -> None:
        """An auction begins; the same again changes nothing."""
        name = name_of(message.dispatch.task, message.dispatch.attempt)
        if name not in self.under_way:
            self._held.setdefault(name, _Held(message, now_ms))

    def came_early(self, auction: str, envelope: Envelope) -> None:
        """Another says something of an auction that is not opened here."""
        self._early.append((auction, envelope))

    def open_next(self, now_ms: int) -> list[Envelope] | None:
        """Take part in the next auction, and what others said of it until now; `None`: there is
        none, or its time has not come."""
        while self._held:
            name, (announced, since_ms) = next(iter(self._held.items()))
            stands = [self._peer.auctions[each].stands for each in self._bid_for()]
            if None in stands and now_ms - since_ms < HOLD_MS:
                return None
            del self._held[name]
            # What others may still outbid it for counts, now that it has waited for that.
            bid = self._bid(announced, sum(each is not False for each in stands))
            electorate = [Member(*each) for each in announced.electorate]
            try:
                self._peer.open(name, electorate, bid, now_ms)
            except ValueError:
                continue
            self.under_way[name] = UnderWay(announced.dispatch, since_ms)
            return self._early_of(name)
        return None

    def settled(self) -> list[tuple[str, UnderWay, Settled]]:
        """Auctions that have ended since this was asked last."""
        ended: list[tuple[str, UnderWay, Settled]] = []
        for name, under_way in list(self.under_way.items()):
            outcome = self._peer.outcome(name)
            if outcome is not None:
                del self.under_way[name]
                ended.append((name, under_way, outcome))
        return ended

    def close(self, auction: str) -> bool:
        """Take no more part in it; whether it did, or was about to."""
        if self._held.pop(auction, None) is not None:
            return True
        if self.under_way.pop(auction, None) is None:
            return False
        self._peer.close(auction)
        return True

    def _bid_for(self) -> list[str]:
        return [name for name in self.under_way if name in self._peer.auctions]

    def _bid(self, announced: Announce, hoped_for: int) -> AuctionBid | None:
        """`None`: it votes and does not want it: it takes nothing now, or reaches too few others
        to take anything new."""
        dispatch, peer = announced.dispatch, self._peer
        open_tasks = self._open_of(dispatch.agent)
        if open_tasks is None or self.leaving or (peer.inside and peer.read_only):
            return None
        return bid_of(
            dispatch.agent,
            required=dispatch.capabilities,
            offered=announced.offers,
            open_tasks=open_tasks + hoped_for,
            tasks_max=announced.tasks_max,
            completed=announced.completed,
            failed=announced.failed,
            free_bp=self._free_bp(),
        )

    def _early_of(self, auction: str) -> list[Envelope]:
        early = [envelope for name, envelope in self._early if name == auction]
        if early:
            others = [each for each in self._early if each[0] != auction]
            self._early = deque(others, maxlen=EARLY_MAX)
        return early
