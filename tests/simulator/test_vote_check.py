"""The checker of votes in a log finds each thing that must not stand there."""

from typing import Any

import msgspec
import pytest

from visionflow.testing.ballots import VoteCheck
from visionflow.testing.checkers import LogCheck

AGENTS = ("a", "b", "c")
Fact = dict[str, Any]


def opened(*electorate: str) -> Fact:
    return {"t": "vote_opened", "spec": {"id": "v", "electorate": electorate}}


def cast(member: str, choice: str) -> Fact:
    return {"t": "ballot_cast", "vote": "v", "member": member, "choice": choice}


def refused(member: str, code: str) -> Fact:
    return {"t": "ballot_refused", "vote": "v", "member": member, "code": code}


def decided(decision: str, **tally: int) -> Fact:
    return {"t": "vote_decided", "vote": "v", "decision": decision, "tally": tally}


def faults(*events: Fact) -> list[str]:
    check = VoteCheck()
    return [fault for event in events for fault in check.event(event["t"], event, AGENTS)]


BEGUN = (opened("a", "b", "c"), cast("a", "approve"))


def test_a_vote_as_it_should_be_has_no_fault() -> None:
    assert not faults(
        *BEGUN,
        refused("a", "second_ballot"),
        refused("nobody", "stranger"),
        cast("b", "abstain"),
        decided("approved", approve=1, abstain=1, silent=1),
        refused("c", "late_ballot"),
    )


def test_by_consent_one_that_rejects_decides_and_seats_need_no_agent() -> None:
    begun = opened("tests", "scope")
    begun["spec"] |= {"mechanism": "consent", "seats": True}
    ballots = (cast("tests", "reject"), cast("scope", "approve"))
    assert not faults(begun, *ballots, decided("rejected", approve=1, reject=1))
    assert faults(begun, *ballots, decided("undecided", approve=1, reject=1))


@pytest.mark.parametrize(
    ("events", "said"),
    [
        ([opened()], "electorate"),
        ([opened("a", "a")], "electorate"),
        ([opened("a", "nobody")], "nobody, which is not there"),
        ([opened("a"), opened("a")], "opened twice"),
        ([cast("a", "approve")], "never opened"),
        ([*BEGUN, cast("nobody", "approve")], "stranger"),
        ([*BEGUN, cast("a", "reject")], "second_ballot"),
        ([*BEGUN, refused("b", "stranger")], "not None"),
        ([*BEGUN, decided("rejected", approve=1, silent=2)], "rejected with"),
        ([*BEGUN, decided("approved", approve=1)], "counts"),
        ([*BEGUN, *[decided("approved", approve=1, silent=2)] * 2], "decided twice"),
        ([*BEGUN, decided("approved", approve=1, silent=2), cast("b", "reject")], "late_ballot"),
    ],
)
def test_what_must_not_be_is_found(events: list[Fact], said: str) -> None:
    found = faults(*events)
    assert len(found) == 1 and said in found[0]


def test_the_checker_of_a_log_looks_at_its_votes() -> None:
    check = LogCheck()
    check.record(msgspec.msgpack.encode((1, [opened()])))
    assert len(check.faults) == 1 and "electorate" in check.faults[0]


@pytest.mark.parametrize(
    ("decision", "gates", "row", "said"),
    [
        ("rejected", False, ("completed", "failed"), ""),
        ("approved", False, ("completed", "failed"), "count as failed, not as completed"),
        ("undecided", True, ("completed", "uncounted"), ""),
        ("undecided", False, ("completed", "uncounted"), "not as None"),
        ("rejected", False, ("uncounted", "failed"), "as uncounted before"),
    ],
)
def test_results_count_as_the_vote_about_them_says(
    decision: str, gates: bool, row: tuple[str, str], said: str
) -> None:
    begun = opened("a")
    begun["spec"] |= {"task": "t", "gates": gates}
    said_by_a = {"approved": "approve", "rejected": "reject", "undecided": "abstain"}[decision]
    before, after = row
    over = decided(decision, **{said_by_a: 1})
    over["regraded"] = [{"task": "t", "agent": "x", "before": before, "after": after}]
    found = faults(begun, cast("a", said_by_a), over)
    assert (said in found[0] and len(found) == 1) if said else not found
