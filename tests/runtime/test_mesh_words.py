"""Each event of a mesh has a line for people, with who and why in it."""

import typing

import pytest

from visionflow.domain import mesh_events as me
from visionflow.domain.mesh import AuctionBallot, AuctionBid, Holder, Seat
from visionflow.runtime import chronicle
from visionflow.runtime.chronicle_words import ROWS, Known, Told

KNOWN = Known("swarm", lambda task: None, lambda task, words: words)
EVENTS: list[tuple[me.MeshEvent, str | None, str]] = [
    (
        me.AuctionOpened(task="t", attempt=2, seats=(Seat("a", "w", 1), Seat("b", "w", 1))),
        None,
        "t attempt 2 is bid for by 2 peers",
    ),
    (
        me.AuctionSettled(
            task="t",
            attempt=2,
            agent="a",
            bids=(AuctionBid("a", 9_500),),
            ballots=(AuctionBallot("a", "a", 1), AuctionBallot("b", "a", 1)),
            round=1,
            took_ms=4,
        ),
        "a",
        "t attempt 2 was won with 0.95; 2 ballots, round 1, 4 ms",
    ),
    (me.AuctionLapsed(task="t", attempt=2, reason="nobody"), None, "t attempt 2: nobody"),
    (
        me.ClaimRefused(task="t", attempt=2, agent="a", worker="w", reason="it is over"),
        "a",
        "t attempt 2 is not its: it is over",
    ),
    (
        me.MembershipChanged(members=3, reachable=2, read_only=("c",), converged_ms=7),
        None,
        "swarm: 2 of 3 peers reach each other; read-only: c; they agreed on it within 7 ms",
    ),
    (
        me.ReplicasReported(
            task="t",
            attempt=2,
            digest="d",
            size_bytes=1,
            required=3,
            holders=(Holder("a", "w"),),
            machines=1,
            reason="1 of its 1 peers are there",
        ),
        None,
        "t: 1 of 3 copies on 1 machine, held by a; 1 of its 1 peers are there",
    ),
]


@pytest.mark.parametrize(("event", "agent", "line"), EVENTS)
def test_it_says_who_and_why(event: me.MeshEvent, agent: str | None, line: str) -> None:
    told: Told = ROWS[type(event)].words(event, KNOWN)
    assert (told.agent, told.message) == (agent, line)
    assert ROWS[type(event)].subject in chronicle.LINES_MAX


def test_no_event_of_a_mesh_is_without_words() -> None:
    assert {type(event) for event, _, _ in EVENTS} == set(typing.get_args(me.MeshEvent))
