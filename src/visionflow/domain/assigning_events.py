"""Events of how an assignment was decided where the topology or the strategy asks for more than a
score: the token of a ring, and bids."""

from visionflow.domain.event import Event
from visionflow.domain.mesh import AuctionBid


class TokenPassed(Event, frozen=True, tag="token_passed"):
    """The token of a ring comes to an agent, which is given this task."""

    task: str
    agent: str
    before: str | None = None
    """Who had it; `None`: nobody, it is the first task of the ring."""
    over: int = 0
    """Agents between the two that were passed over: they have no room, or cannot do it."""
    pinned: bool = False
    """The task names its agent, so the token goes to it wherever it stands."""


class BidsPlaced(Event, frozen=True, tag="bids_placed"):
    """What the agents that could take a task bid for it, computed from their record. The highest
    bid wins; of equal ones the agent whose turn it was."""

    task: str
    agent: str
    """The winner."""
    bids: tuple[AuctionBid, ...]
    """In the order of their turns."""
    able: int
    """Agents that could have taken it, of which so many as there are bids were asked."""
    likely_us: int | None = None
    """What like tasks took, where that is why there was bidding at all."""


AssigningEvent = TokenPassed | BidsPlaced
