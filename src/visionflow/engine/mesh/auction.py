"""An auction as one peer sees it: bids are exchanged, and the electorate agrees on who won.

Each peer proposes the best of the bids that it knows. They may know different ones, so proposals
may differ; which of them holds is for `agreement` to say. The best bidder proposes first, for it
is the one that has to hear of it; each of the others a little later, should it be gone.
"""

from collections.abc import Sequence

import msgspec

from visionflow.domain.mesh import AuctionBallot, AuctionBid
from visionflow.engine.mesh.agreement import Agreement, pack
from visionflow.engine.mesh.bidding import adds_up, best, ranked
from visionflow.engine.mesh.messages import Agreeing, BidTold, Chosen, Member, Send

BIDDING_MS = 1_500
"""Bids that are not there by then are not waited for."""
REPEAT_MS = 300
"""Who has not told its bid is asked again after this."""
STAGGER_MS = 150
"""The second best proposes this much later than the best, and so on."""


class Award(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What is agreed on: the winner, and the bids that its proposer knew."""

    winner: str | None
    bids: tuple[AuctionBid, ...]


class Settled(msgspec.Struct, frozen=True, gc=False):
    """How an auction ended, for good."""

    winner: str | None
    """`None`: nobody of those who were heard wanted it."""
    bids: tuple[AuctionBid, ...]
    """The best first."""
    ballots: tuple[AuctionBallot, ...]
    """At least a majority of the electorate."""
    round: int
    """Of the agreement, from 1."""


_AWARD = msgspec.msgpack.Decoder(Award)


class Auction:
    """One peer's part in one auction. `outcome` never changes once it is there."""

    def __init__(
        self,
        name: str,
        me: Member,
        electorate: Sequence[Member],
        bid: AuctionBid | None,
        now_ms: int,
    ) -> None:
        """
        `bid` is what this peer bids; `None`: it takes part in the decision only.

        Raises:
            ValueError: `me` is not of the electorate, or the bid is another's.
        """
        if bid is not None and bid.agent != me.agent:
            raise ValueError(f"{me.agent} cannot bid for {bid.agent}.")
        self.name = name
        self.began_ms = now_ms
        self.outcome: Settled | None = None
        self._me = me
        self._others = tuple(member for member in electorate if member != me)
        self._agents = {member.agent: member for member in electorate}
        self._told: dict[str, AuctionBid | None] = {me.agent: bid}
        self._agreement = Agreement(name, me, electorate, self._valid)
        self._repeat_ms: int | None = now_ms
        self._wished = False

    @property
    def next_ms(self) -> int | None:
        """When `tick` has something to do; `None`: it is settled."""
        if self.outcome is not None:
            return None
        times: list[int] = []
        if not self._wished:
            times = [self.began_ms + BIDDING_MS if self.missing else self.began_ms]
        times += [each for each in (self._repeat_ms, self._agreement.next_ms) if each is not None]
        return min(times, default=None)

    @property
    def missing(self) -> tuple[str, ...]:
        """Agents of the electorate whose bid has not come."""
        return tuple(agent for agent in self._agents if agent not in self._told)

    @property
    def tries(self) -> int:
        """Rounds of the agreement that this peer has begun."""
        return self._agreement.tries

    @property
    def answered(self) -> int:
        """How many of the electorate answered the last of them, itself included."""
        return len(self._agreement.heard)

    @property
    def majority(self) -> int:
        """How many of the electorate have to agree."""
        return self._agreement.majority

    @property
    def stands(self) -> bool | None:
        """Whether this peer wins, as far as is known; `None`: its bid is the best of those that it
        knows, and others may bid more."""
        me = self._me.agent
        if self.outcome is not None:
            return self.outcome.winner == me
        if next((bid.agent for bid in self._bids()), None) != me:
            return False
        return None if self.missing else True

    def receive(self, sender: Member, message: BidTold | Agreeing, now_ms: int) -> list[Send]:
        """Take what another of the electorate says."""
        if not isinstance(message, BidTold):
            sent = self._agreement.receive(sender, message, now_ms)
            self._look()
            return sent
        if self._agents.get(sender.agent) != sender:
            return []
        bid = message.bid
        if bid is None or (bid.agent == sender.agent and adds_up(bid)):
            self._told.setdefault(sender.agent, bid)
        answer = [Send(sender.agent, BidTold(self.name, self._told[self._me.agent]))]
        return answer if message.asks else []

    def tick(self, now_ms: int, entropy: int) -> list[Send]:
        """Ask for bids, propose, and propose again, as it is time for each."""
        if self.outcome is not None:
            return []
        sent: list[Send] = []
        if self._repeat_ms is not None and now_ms >= self._repeat_ms:
            own = self._told[self._me.agent]
            missing = self.missing
            sent = [Send(agent, BidTold(self.name, own, asks=True)) for agent in missing]
            self._repeat_ms = now_ms + REPEAT_MS if missing else None
        if not self._wished and (not self.missing or now_ms >= self.began_ms + BIDDING_MS):
            self._wished = True
            self._agreement.wish(pack(self._award()), now_ms + STAGGER_MS * self._turn())
        sent += self._agreement.tick(now_ms, entropy)
        self._look()
        return sent

    def _bids(self) -> list[AuctionBid]:
        return ranked(self.name, (bid for bid in self._told.values() if bid is not None))

    def _award(self) -> Award:
        bids = self._bids()
        return Award(bids[0].agent if bids else None, tuple(bids))

    def _turn(self) -> int:
        """Its place in the order of proposing: by bid, and those without one last."""
        order = [bid.agent for bid in self._bids()]
        order += sorted(agent for agent in self._agents if agent not in order)
        return order.index(self._me.agent)

    def _valid(self, value: bytes) -> bool:
        try:
            award = _AWARD.decode(value)
        except msgspec.MsgspecError:
            return False
        won = best(self.name, award.bids)
        return (
            all(bid.agent in self._agents and adds_up(bid) for bid in award.bids)
            and len({bid.agent for bid in award.bids}) == len(award.bids)
            and award.winner == (won.agent if won else None)
        )

    def _look(self) -> None:
        """Read the outcome off the agreement once it has one."""
        chosen = self._agreement.chosen
        if chosen is not None and self.outcome is None:
            self.outcome = self._settled(chosen)

    def _settled(self, chosen: Chosen) -> Settled:
        award = _AWARD.decode(chosen.value)
        round_ = self._agreement.round_of(chosen.ballot)
        ballots = tuple(
            AuctionBallot(member.agent, award.winner or "", round_)
            for member in self._agreement.voters_of(chosen)
        )
        return Settled(award.winner, award.bids, ballots, round_)
