"""Mail on a machine that loses, delays and repeats: nothing is lost, doubled or out of order."""

from collections import Counter

import msgspec
import pytest

from visionflow.domain import messages as m
from visionflow.engine.state import SwarmState
from visionflow.runtime.effects import Effects
from visionflow.testing.maillines import MailCheck
from visionflow.testing.simulator.posts import PostResult, run_post
from visionflow.testing.tasklines import AgentLine
from visionflow.worker.mailbox import Mailbox

SEEDS = 60

pytestmark = pytest.mark.acceptance("bus")


@pytest.fixture(scope="module")
def results() -> list[PostResult]:
    return [run_post(seed) for seed in range(SEEDS)]


def test_no_message_is_lost_doubled_or_out_of_order_whatever_befalls_the_machine(
    results: list[PostResult],
) -> None:
    assert [(each.seed, each.faults) for each in results if each.faults] == []


def test_what_may_happen_to_a_message_is_met_often(results: list[PostResult]) -> None:
    counts: Counter[str] = Counter()
    injected: Counter[str] = Counter()
    for each in results:
        counts.update(each.counts)
        injected.update(each.injected)
    for what, least in (
        ("handed", 20 * SEEDS),
        ("handed again", SEEDS),
        ("mail_dead", SEEDS),
        ("mail_failed", SEEDS),
        ("mail_refused", SEEDS),
        ("requests answered", SEEDS),
        ("recovered", SEEDS // 2),
        ("worker_lost", SEEDS),
    ):
        assert counts[what] >= least, (what, counts[what])
    for what in ("wire_cut", "wire_cut_at_a_message", "acknowledgement_lost", "worker_killed"):
        assert injected[what] >= SEEDS // 10, what


def test_a_seed_is_the_same_run_each_time(results: list[PostResult]) -> None:
    assert run_post(7).digest == results[7].digest


def faulty(seeds: int = SEEDS) -> list[str]:
    """What the first seed shows that shows anything."""
    for seed in range(seeds):
        faults = run_post(seed).faults
        if faults:
            return list(faults)
    return []


def test_a_worker_that_forgets_what_it_was_handed_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Mailbox, "_remember", lambda self, delivery: None)
    assert any("twice in one life" in fault for fault in faulty())


def test_one_that_hands_over_the_last_first_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def last(self: Mailbox) -> m.MailHanded:
        return self._waiting.pop(next(reversed(self._waiting)))

    monkeypatch.setattr(Mailbox, "_next", last)
    assert any(" after " in fault for fault in faulty())


def test_one_that_acknowledges_what_it_was_never_handed_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    put = Mailbox.put

    def lossy(self: Mailbox, handed: m.MailHanded) -> None:
        put(self, handed)
        if handed.delivery % 11 == 3 and self._waiting.pop(handed.delivery, None) is not None:
            self._acknowledge(handed.delivery)

    monkeypatch.setattr(Mailbox, "put", lossy)
    assert any("never handed" in fault for fault in faulty())


def test_an_orchestrator_that_does_not_hand_over_again_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was under way when a process died waits for ever then."""
    monkeypatch.setattr("visionflow.engine.effects._mail", lambda *_: iter(()))
    assert any("waiting: {'agent_" in fault for fault in faulty())


def test_one_that_hands_over_before_it_is_durable_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hand = Effects._hand

    def early(self: Effects, state: SwarmState, event: object) -> None:
        hand(self, state, event)  # type: ignore[arg-type]
        self._sessions.send(self._sessions.pack())

    monkeypatch.setattr(Effects, "_hand", early)
    assert any("is not in the log" in fault for fault in faulty())


# The checker of logs -----------------------------------------------------------------------------


def sent(name: str, to: list[str], first: int, **letter: object) -> dict[str, object]:
    inside = {"id": name, "sender": "a", "target": "b", "sent_ms": 1, **letter}
    return {"t": "mail_sent", "letter": inside, "to": to, "first": first}


TAKEN = {"t": "mail_taken", "agent": "b", "deliveries": [1]}
WRONG = [
    ([sent("m", ["b"], 1), sent("m", ["b"], 2)], "message m is sent twice"),
    ([sent("m", ["b"], 2)], "delivery 2 comes after 0"),
    ([sent("m", ["nobody"], 1)], "message m is for nobody, which is not there"),
    ([TAKEN], "mail_taken: delivery 1 of b was never there"),
    ([sent("m", ["b"], 1), TAKEN, TAKEN], "mail_taken: delivery 1 of b is over already"),
    ([sent("m", ["c"], 1), TAKEN], "mail_taken: delivery 1 of b was never there"),
    (
        [sent("m", ["b"], 1), {"t": "mail_failed", "agent": "b", "delivery": 2, "again": 2}],
        "delivery 2 of b failed and does not wait",
    ),
    (
        [
            sent("m", ["b"], 1),
            {"t": "mail_failed", "agent": "b", "delivery": 1, "again": 2, "failures": 2},
        ],
        "delivery 1 failed 1 times and the log says 2",
    ),
    ([sent("m", ["a"], 0, sender="b", answers="q")], "b answers q and was not asked"),
    (
        [
            sent("q", ["b"], 1, answer_by_ms=9),
            sent("m", ["a"], 0, sender="b", answers="q"),
            sent("n", ["a"], 0, sender="b", answers="q"),
        ],
        "request q is answered twice",
    ),
    ([{"t": "requests_forgotten", "requests": ["q"]}], "request q is forgotten and was none"),
    ([{"t": "mail_refused", "id": "m", "rule": ""}], "message m is refused and nobody is told why"),
]


@pytest.mark.parametrize(("events", "told"), WRONG, ids=[told for _, told in WRONG])
def test_the_checker_of_logs_names_what_must_not_happen_to_mail(
    events: list[dict[str, object]], told: str
) -> None:
    agents = {name: AgentLine({}, "w1") for name in "abc"}
    check, found = MailCheck(), list[str]()
    for event in events:
        read = msgspec.msgpack.decode(msgspec.msgpack.encode(event))
        found += check.event(read["t"], read, agents)
    assert told in found
