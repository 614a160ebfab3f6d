"""Log lines of tokens, bids and who assigned."""

import pytest

from visionflow.domain import assigning_events as ae
from visionflow.domain import events as e
from visionflow.domain.event import Event
from visionflow.domain.mesh import AuctionBid
from visionflow.runtime import chronicle
from visionflow.runtime.chronicle_words import ROWS, Known


def said(event: Event) -> str:
    known = Known(swarm="swarm_1", specs=lambda _: None, cover=lambda _, text: text, holders={})
    row = ROWS[type(event)]
    told = row.words(event, known)
    assert row.subject in chronicle.LINES_MAX and told.agent == "a2"
    return told.message


@pytest.mark.acceptance("logs")
def test_tokens_bids_and_who_assigned_are_told_in_one_line() -> None:
    passed = ae.TokenPassed(task="t1", agent="a2", before="a1", over=2)
    assert said(passed) == "the token goes from a1 to a2 for t1, over 2 that were passed over"
    pinned = ae.TokenPassed(task="t1", agent="a2", pinned=True)
    assert said(pinned) == "the token goes to a2 for t1, which it names"
    bids = (AuctionBid("a1", 8_000), AuctionBid("a2", 9_500))
    placed = ae.BidsPlaced(task="t1", agent="a2", bids=bids, able=20)
    assert said(placed) == "a2 bids 95 % for t1, best of 2 of 20 that could"
    given = e.TaskAssigned(task="t1", attempt=3, agent="a2", by="a1")
    assert said(given) == "t1, attempt 3, by a1"
