"""Agents of live worker processes that send each other messages."""

import asyncio
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.guide_messengers import Events, Guided
from tests.api.mailing_agents import Listener, Reader, Resender, Slow, Talker, Threaded
from tests.api.rogues import events_of
from tests.guide.guide_text import ABSENT, GUIDE
from visionflow import AgentOrchestrator, Limits, NoAnswer, RetryPolicy, Task
from visionflow.domain import events as e
from visionflow.domain import mail_events as me
from visionflow.domain.errors import InboxFull, Refused, UnknownAgent, UsageError
from visionflow.domain.tasks import FailureKind
from visionflow.interfaces.handles import TaskHandle
from visionflow.interfaces.orchestrator import AgentHandle, Fleet

WAIT_S = 120.0
ONCE = RetryPolicy(attempts_max=1)

pytestmark = pytest.mark.acceptance("bus")


class Team:
    """A fleet in which everybody may talk to everybody, in two processes."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.talker, self.other = fleet.spawn(Talker, count=2)
        (self.listener,) = fleet.spawn(Listener)
        (self.threaded,) = fleet.spawn(Threaded)

    def tell(self, *orders: list[Any], agent: AgentHandle | None = None) -> Any:
        return self.told(*orders, agent=agent).result(WAIT_S)

    def told(self, *orders: list[Any], agent: AgentHandle | None = None) -> TaskHandle:
        return self.fleet.submit(Task(input=list(orders)), agent=agent or self.talker)

    def heard(self, count: int) -> list[dict[str, Any]]:
        """What the listener got, once that is so much in all."""
        return self.fleet.submit(Task(input=count), agent=self.listener).result(WAIT_S)


@pytest.fixture(scope="module")
def team() -> Iterator[Team]:
    with AgentOrchestrator(topology="mesh", limits=Limits(workers_max=2)) as fleet:
        yield Team(fleet)


def until(found: Callable[[], Any]) -> Any:
    """What it is once it is anything."""
    deadline = time.monotonic() + WAIT_S
    while not (result := found()):
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.02)
    return result


def test_an_inbox_is_read_and_acknowledged_from_a_thread_too(team: Team) -> None:
    (reader,) = team.fleet.spawn(Reader)
    for number in range(3):
        team.fleet.send_message(reader.id, {"n": number})
    told = team.fleet.submit(Task(input=2), agent=reader).result(WAIT_S)
    assert told == [[{"n": 0}, {"n": 1}, {"n": 2}], [{"n": 2}]]


def test_what_one_sends_another_gets_in_order_and_once_under_each_delivery_id(team: Team) -> None:
    before = len(team.heard(0))
    contents = [{"n": number} for number in range(50)]
    (ids,) = team.tell(["send", team.listener.id, *contents])
    got = team.heard(before + 50)[before:]
    assert [each["content"] for each in got] == contents
    assert len({each["delivery"] for each in got}) == len(set(ids)) == 50
    assert {each["from"] for each in got} == {team.talker.id}
    assert not any(each["again"] for each in got)


def test_an_agent_without_a_handler_reads_its_inbox_and_acknowledges_what_it_read(
    team: Team,
) -> None:
    team.tell(["send", team.other.id, "one", "two", "three"])
    first, taken, rest = team.tell(["inbox"], ["take", 2], ["inbox"], agent=team.other)
    assert [each["content"] for each in first] == ["one", "two", "three"]
    assert [each["content"] for each in rest] == ["three"]
    assert taken == [each["delivery"] for each in first[:2]]
    assert [m.content for m in team.fleet.inbox(team.other.id)] == ["three"]
    assert team.fleet.acknowledge(team.other.id, rest[0]["delivery"], 1) == [rest[0]["delivery"]]
    assert team.fleet.inbox(team.other.id) == []


def test_a_topic_reaches_who_subscribed_to_a_pattern_of_it(team: Team) -> None:
    team.tell(["subscribe", "builds.*"], agent=team.other)
    team.tell(["publish", "builds.done", {"ok": True}], ["publish", "builds", {"ok": False}])
    ((message,),) = team.tell(["inbox"], agent=team.other)
    assert (message["content"], message["topic"]) == ({"ok": True}, "builds.done")
    team.tell(["take", 1], agent=team.other)


def test_a_task_is_told_of_to_those_that_a_filter_means(team: Team) -> None:
    team.tell(["task", "capability:talk"])
    ((message,),) = team.tell(["inbox"], agent=team.other)
    assert message["type"] == "task_broadcast"
    assert message["content"]["task"]["id"] == "t"
    assert message["content"]["requirements"] == ["fast"]
    team.tell(["take", 1], agent=team.other)


def test_an_agent_asks_another_and_gets_its_answer_while_both_work(team: Team) -> None:
    waiting = team.fleet.submit(Task(input=10_000), agent=team.listener)
    try:
        found = team.tell(["ask", team.listener.id, {"type": "echo", "text": "hello"}])
        assert found == [{"echo": "hello"}]
    finally:
        team.fleet.cancel(waiting)


def test_from_threads_messages_are_sent_handled_and_answered_too(team: Team) -> None:
    (got,) = team.tell(["ask", team.threaded.id, {"type": "how_many"}])
    assert got["got"] >= 1
    handled = team.fleet.submit(Task(), agent=team.threaded).result(WAIT_S)
    assert handled[-1]["from"] == team.talker.id


def test_a_handler_that_keeps_failing_leaves_a_dead_letter_with_its_reason(team: Team) -> None:
    before = len(team.heard(0))
    team.tell(["typed", team.listener.id, "fail", {"text": "way"}])
    team.tell(["send", team.listener.id, {"n": "after"}])
    assert team.heard(before + 1)[-1]["content"] == {"n": "after"}, "what follows is not lost"
    (dead,) = until(lambda: team.fleet.dead_letters(team.listener.id))
    assert (dead.reason, dead.message.message_type) == ("handler_failed", "fail")
    assert "ValueError: no way" in dead.note
    assert team.fleet.dead_letters(team.listener.name) == [dead]
    with pytest.raises(UnknownAgent):
        team.fleet.dead_letters("nobody")


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda fleet, to: fleet.send_message(5, "x"), "The target of a message is 5"),
        (lambda fleet, to: fleet.send_message(to, "x", sender=5), "The sender of a message is 5"),
        (lambda fleet, to: fleet.send_message(to, "x", type=5), "The type of a message is 5"),
        (lambda fleet, to: fleet.send_message(to, "x", priority=10**30), "more than 64 bits"),
        (lambda fleet, to: fleet.send_message(to, "x", ttl=float("inf")), "is not above 0"),
        (lambda fleet, to: fleet.inbox(to, -1), "limit is -1"),
        (lambda fleet, to: fleet.acknowledge(to, "x"), "no message of an inbox"),
    ],
)
def test_a_program_that_says_what_cannot_be_is_told_so_at_once(
    team: Team, call: Callable[[Any, str], Any], told: str
) -> None:
    with pytest.raises(UsageError, match=re.escape(told)):
        call(team.fleet, team.listener.id)


def test_what_fails_in_the_runtimes_thread_reaches_its_caller(team: Team) -> None:
    def look() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        team.fleet._in_turn(look)
    assert team.listener.id in {agent.id for agent in team.fleet.agents()}


def test_models_arrive_as_the_models_that_they_were(team: Team) -> None:
    before = len(team.heard(0))
    common = {
        "from_agent": team.talker.id,
        "to_agent": team.listener.id,
        "timestamp": "2026-01-02T03:04:05Z",
        "correlation_id": "c-1",
        "content": {"text": "hello"},
        "priority": 3,
    }
    task = {"task_id": "t-1", "task_type": "build", "deadline": "2026-01-02T04:00:00Z"}
    status = {"status": "ready", "metrics": {"load": 0.5}, "capabilities": ["python"]}
    models = [
        {**common, "message_id": "m-1", "message_type": "task_request", **task},
        {**common, "message_id": "m-2", "message_type": "status_update", **status},
        {**common, "message_id": "m-3", "message_type": "note"},
    ]
    assert team.tell(["models", team.listener.id, models]) == [["m-1", "m-2", "m-3"]]
    got = team.heard(before + 3)[before:]
    assert [each.pop("kind") for each in got] == ["TaskMessage", "StatusMessage", "AgentMessage"]
    for each in got:
        each["timestamp"] = common["timestamp"]  # Ours is when it was sent.
    assert got == models


def test_this_program_sends_asks_and_is_told_who_is_not_there(team: Team) -> None:
    before = len(team.heard(0))
    receipt = team.fleet.send_message(team.listener.id, {"n": "outside"}, sender="ops")
    assert receipt.delivered == (team.listener.id,)
    got = team.heard(before + 1)[-1]
    assert (got["content"], got["from"]) == ({"n": "outside"}, "ops")
    answer = team.fleet.request(team.listener.id, {"type": "echo", "text": "you"}, timeout=60)
    assert (answer.content, answer.from_agent) == ({"echo": "you"}, team.listener.id)
    with pytest.raises(UnknownAgent, match="No living agent"):
        team.fleet.send_message("nobody", 1)
    with pytest.raises(NoAnswer, match="did not answer"):
        team.fleet.request(team.other.id, "anybody?", timeout=0.2)


def test_content_that_is_large_travels_by_blob_and_arrives_whole(team: Team) -> None:
    before = len(team.heard(0))
    team.tell(["send", team.listener.id, {"text": "x" * 200_000}])
    assert team.heard(before + 1)[-1]["content"] == {"text": "x" * 200_000}


def test_a_full_inbox_is_a_refusal_with_a_time_to_ask_again(team: Team) -> None:
    with pytest.raises(InboxFull, match="is full") as refused:
        for _ in range(2_000):
            team.fleet.send_message(team.other.id, "x" * 60_000)
    assert refused.value.retry_after_ms == 1_000
    messages = team.fleet.inbox(team.other.id, 1_000)
    assert 0 < len(messages) <= 1_000
    assert len(team.fleet.acknowledge(team.other.id, *messages)) == len(messages)


# With processes that die -----------------------------------------------------------------------


def test_an_inbox_survives_its_agents_process_and_what_may_have_been_read_is_marked(
    tmp_path: Path,
) -> None:
    config = {"folder": str(tmp_path), "dies_at": 3}
    with AgentOrchestrator(tmp_path / "store", topology="mesh") as fleet:
        (slow,) = fleet.spawn(Slow, config=config, memory_bytes=500_000_000)
        (talker,) = fleet.spawn(Talker)
        orders = [["send", slow.id, *({"n": number} for number in range(8))]]
        fleet.submit(Task(input=orders), agent=talker).result(WAIT_S)
        until(lambda: not fleet.inbox(slow.id) and (tmp_path / "died").exists())
        notes = until(lambda: len(fleet.inbox(talker.id)) >= 8 and fleet.inbox(talker.id))
        assert [note.content["n"] for note in notes] == list(range(8)), "none sent twice"
    lines = [line.split() for line in (tmp_path / "handed").read_text().splitlines()]
    numbers = [int(number) for number, _, _ in lines]
    assert sorted(set(numbers)) == list(range(8)) and numbers == sorted(numbers)
    first_lives: dict[str, str] = {}
    for _, delivery, again in lines:
        assert (delivery in first_lives) <= (again == "1")
        first_lives[delivery] = again
    assert ("3", "1") in [(number, again) for number, _, again in lines]
    taken = [x for x in events_of(tmp_path / "store") if isinstance(x, me.MailTaken)]
    counted = [number for each in taken for number in each.deliveries]
    assert len(counted) == len(set(counted))


def test_an_attempt_that_does_it_all_again_sends_nothing_twice_and_gets_the_same_answer(
    tmp_path: Path,
) -> None:
    with AgentOrchestrator(tmp_path / "store", topology="mesh") as fleet:
        (listener,) = fleet.spawn(Listener)
        (sender,) = fleet.spawn(Resender, memory_bytes=500_000_000)
        handle = fleet.submit(Task(input=listener.id), agent=sender)
        assert handle.result(WAIT_S) == [2, {"echo": "hello"}]
        got = fleet.submit(Task(input=4), agent=listener).result(WAIT_S)
        assert [each["content"]["n"] for each in got] == [0, 1, 2, 0]
    events = events_of(tmp_path / "store")
    assert [x.kind for x in events if isinstance(x, e.AttemptFailed)] == [FailureKind.KILLED]
    assert len([x for x in events if isinstance(x, me.MailSent)]) == 6


# The guide's -----------------------------------------------------------------------------------


@pytest.mark.skipif(not GUIDE.exists(), reason=ABSENT)
def test_the_guides_event_driven_agent_is_told_of_all_five_events() -> None:
    with AgentOrchestrator(topology="mesh") as fleet:
        (events,) = fleet.spawn(Events)
        until(lambda: fleet.agents() and fleet.queries.agents()[0].status == "ready")
        (talker,) = fleet.spawn(Talker, memory_bytes=500_000_000)
        done = fleet.submit(Task(input=[]), agent=talker)
        done.result(WAIT_S)
        failed = fleet.submit(Task(input=[["nothing"]]), agent=talker, timeout_ms=60_000)
        wanted = ["task.completed", "agent.joined", "error.occurred"]
        told = fleet.submit(Task(input=wanted), agent=events).result(WAIT_S)
        fleet.cancel(failed)
        fleet.terminate(talker)
        told = fleet.submit(Task(input=["agent.left"]), agent=events).result(WAIT_S)
        bad = fleet.submit(Task(input=1, required_capabilities=("events",)), agent=events)
        assert isinstance(bad.wait(WAIT_S), bool)
        told = fleet.submit(Task(input=["task.failed"]), agent=events).result(WAIT_S)
    by_type = {kind: [(seq, who) for each, seq, who in told if each == kind] for kind in wanted}
    assert done.id in [who for _, who in by_type["task.completed"]]
    assert talker.id in [who for _, who in by_type["agent.joined"]]
    assert failed.id in [who for _, who in by_type["error.occurred"]]
    assert talker.id in [who for kind, _, who in told if kind == "agent.left"]
    assert [seq for _, seq, _ in told] == sorted(seq for _, seq, _ in told), "in the log's order"


@pytest.mark.skipif(not GUIDE.exists(), reason=ABSENT)
def test_the_guides_agent_sends_and_handles_by_type() -> None:
    with AgentOrchestrator(topology="mesh") as fleet:
        first, second = fleet.spawn(Guided, count=2)
        messages = [
            {"type": "task_request", "what": "build"},
            {"type": "status_update", "status": "ready"},
            {"type": "data_share", "rows": 3},
        ]
        fleet.submit(Task(input=[second.id, *messages]), agent=first).result(WAIT_S)
        heard = fleet.submit(Task(input=3), agent=second).result(WAIT_S)
    assert heard == [[each["type"], each] for each in messages]


def test_what_the_topology_forbids_raises_and_is_on_record(tmp_path: Path) -> None:
    async def run() -> str:
        async with AgentOrchestrator(tmp_path / "store", topology="star") as fleet:
            (centre,) = await fleet.spawn(Talker, type="coordinator")
            first, second = await fleet.spawn(Talker, count=2)
            order = Task(input=[["send", second.id, "psst"]])
            with pytest.raises(Exception, match="In a star agents speak with the centre only"):
                await fleet.submit(order, agent=first, retry=ONCE)
            with pytest.raises(Refused) as refused:
                await fleet.send_message(second.id, "psst", sender=first.id)
            assert refused.value.reason == "not_allowed"
            assert (await fleet.send_message(second.id, "psst", sender=centre.id)).delivered
            return first.id

    sender = asyncio.run(run())
    refusals = [x for x in events_of(tmp_path / "store") if isinstance(x, me.MailRefused)]
    assert [x.sender for x in refusals] == [sender, sender]
