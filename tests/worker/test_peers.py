"""The peers of one process: who wins begins, what is over stops, and without a bus time stands
still."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from visionflow.adapters.memory import MemoryBlobs
from visionflow.domain import messages as m
from visionflow.domain.tasks import Payload
from visionflow.engine.mesh.peer import Peer
from visionflow.ports.bus import Delivery
from visionflow.worker import peers
from visionflow.worker.peers import Peers

pytestmark = pytest.mark.acceptance("mesh")
AGENTS = ("a", "b", "c")


class Timer:
    def __init__(self, at_ms: int, call: Callable[[], None]) -> None:
        self.at_ms, self.call, self.live = at_ms, call, True

    def cancel(self) -> None:
        self.live = False


class Clock:
    """A host whose time is moved by hand."""

    def __init__(self) -> None:
        self.at_ms = 1_000
        self.timers: list[Timer] = []
        self.drawn = 0

    def now_ms(self) -> int:
        return self.at_ms

    def monotonic_ms(self) -> int:
        return self.at_ms

    def entropy(self) -> int:
        self.drawn += 1
        return self.drawn * 0x9E3779B97F4A7C15 % 2**64

    def call_later(self, delay_ms: int, call: Callable[[], None]) -> Timer:
        timer = Timer(self.at_ms + delay_ms, call)
        self.timers.append(timer)
        return timer

    async def advance(self, length_ms: int) -> None:
        until = self.at_ms + length_ms
        while True:
            for _ in range(40):
                await asyncio.sleep(0)
            self.timers = [timer for timer in self.timers if timer.live]
            due = [timer for timer in self.timers if timer.at_ms <= until]
            if not due:
                break
            timer = min(due, key=lambda each: each.at_ms)
            self.timers.remove(timer)
            self.at_ms = max(self.at_ms, timer.at_ms)
            timer.call()
        self.at_ms = until


class Ear:
    def __init__(self, subject: str, receive: Callable[[Delivery], None]) -> None:
        self.subject, self.receive = subject, receive

    def cancel(self) -> None:
        self.subject = ""


class Wire:
    """A bus between the processes of a test."""

    def __init__(self) -> None:
        self.ears: list[Ear] = []

    def subscribe(self, subject: str, receive: Callable[[Delivery], None]) -> Ear:
        self.ears.append(Ear(subject, receive))
        return self.ears[-1]

    def publish(self, subject: str, payload: bytes, reply: str | None = None) -> None:
        for ear in self.ears:
            if ear.subject == subject:
                delivery = Delivery(subject, payload, reply, None)
                asyncio.get_running_loop().call_soon(ear.receive, delivery)


class Works:
    """An executor that only notes what it is told."""

    def __init__(self, told: list[Any]) -> None:
        self.told = told
        self.open: dict[str, int | None] = {}
        self.blobs = MemoryBlobs()

    def offload(self, call: Callable[[], Any]) -> Awaitable[Any]:
        async def run() -> Any:
            return call()

        return run()

    def dispatch(self, dispatch: m.Dispatch) -> None:
        self.told.append(("dispatch", dispatch.agent, dispatch.task, dispatch.attempt))

    def withdraw(self, task: str, attempt: int, reason: str) -> None:
        self.told.append(("withdraw", task, attempt))

    def open_of(self, agent: str) -> int | None:
        return self.open.get(agent, 0)


class Telling:
    def __init__(self, told: list[Any]) -> None:
        self.told = told
        self.signals: list[m.Message] = []

    def send(self, message: m.Message) -> None:
        self.told.append(message)

    def signal(self, message: m.Message) -> None:
        self.signals.append(message)


class Process:
    """A process with these peers, over a bus of its own."""

    def __init__(self, clock: Clock) -> None:
        self.told: list[Any] = []
        self.works, self.telling = Works(self.told), Telling(self.told)
        self.peers = Peers(clock, self.works, self.telling, "sw")  # type: ignore[arg-type]

    def announce(self, *agents: str, attempt: int = 1, life: int = 1, task: str = "t") -> None:
        electorate = tuple((agent, 1) for agent in AGENTS)
        for agent in agents:
            dispatch = m.Dispatch(task, attempt, agent, "kind")
            self.peers.announce(m.Announce(dispatch, life, electorate, ("type:x",)))

    def claims(self) -> list[m.Claimed]:
        return [each for each in self.told if isinstance(each, m.Claimed)]


def run(scenario: Callable[[Clock], Awaitable[None]]) -> None:
    asyncio.run(scenario(Clock()))  # type: ignore[arg-type]


def test_the_winner_claims_and_then_begins_and_nobody_else_does() -> None:
    async def scenario(clock: Clock) -> None:
        bus = Wire()
        one, two = Process(clock), Process(clock)
        for process in (one, two):
            process.peers.connected(bus)
        one.works.open["a"] = 1
        one.announce("a", "b")
        two.announce("c")
        await clock.advance(3_000)
        (claim,) = one.claims() + two.claims()
        assert claim.agent == "b", "a is busy, and of equals b comes first in this auction"
        assert one.told == [claim, ("dispatch", "b", "t", 1)] and two.told == []
        assert len({ballot.agent for ballot in claim.ballots}) >= 2
        assert {bid.agent for bid in claim.bids} == set(AGENTS)

    run(scenario)


@pytest.mark.parametrize("round_", range(8))
def test_like_peers_share_what_is_announced_at_once(round_: int) -> None:
    async def scenario(clock: Clock) -> None:
        bus = Wire()
        processes = {agent: Process(clock) for agent in AGENTS}
        tasks = [f"task_{round_}_{number}" for number in range(len(AGENTS))]
        for agent, process in processes.items():
            process.peers.connected(bus)
            for task in tasks:
                process.announce(agent, task=task)
        await clock.advance(1_000)
        claims = [claim for process in processes.values() for claim in process.claims()]
        assert sorted(claim.agent for claim in claims) == list(AGENTS)
        assert {claim.task for claim in claims} == set(tasks)
        for claim in claims:
            bids = {bid.agent: bid for bid in claim.bids}
            assert set(bids) == set(AGENTS), "nobody was left out"
            assert bids[claim.agent].load_bp == 3_000, "with all its room"

    run(scenario)


def test_not_all_that_is_under_way_is_looked_at_for_each_message(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked, due_ms = list[str](), Peer.next_ms
    assert isinstance(due_ms, property) and due_ms.fget is not None
    look = due_ms.fget
    monkeypatch.setattr(
        Peer, "next_ms", property(lambda peer: (looked.append(peer.me.agent), look(peer))[1])
    )

    async def scenario(clock: Clock) -> None:
        process = Process(clock)
        process.peers.connected(Wire())
        for number in range(6):
            process.announce(*AGENTS, task=f"task_{number}")
        looked.clear()
        await clock.advance(6_000)
        assert len(process.claims()) == 6
        reports = [each for each in process.telling.signals if isinstance(each, m.PeerReport)]
        heard = {each.agent: each.received for each in reports}
        assert sum(heard.values()) > 100
        assert len(looked) < sum(heard.values()), "not each of 3 peers for each message"

    run(scenario)


def test_a_bid_is_not_held_back_for_ever_for_one_that_tells_none() -> None:
    async def scenario(clock: Clock) -> None:
        one, two = Process(clock), Process(clock)
        bus = Wire()
        for process, agent in ((one, "a"), (two, "b")):  # c is gone.
            process.peers.connected(bus)
            for task in ("first", "second"):
                process.announce(agent, task=task)
        await clock.advance(4_000)
        claims = one.claims() + two.claims()
        assert {claim.task for claim in claims} == {"first", "second"}
        assert {claim.agent for claim in claims} == {"a", "b"}

    run(scenario)


def test_an_auction_that_ends_while_a_bid_for_it_is_held_back_is_not_opened() -> None:
    async def scenario(clock: Clock) -> None:
        process = Process(clock)
        process.peers.connected(Wire())
        process.announce("a", task="first")
        process.announce("a", task="second")
        process.peers.over(m.AuctionOver("second", 1, "it lapsed"))
        process.announce("a", task="second")
        await clock.advance(5_000)
        assert (process.peers.knows("first", 1), process.peers.knows("second", 1)) == (1, 0)

    run(scenario)


def test_what_is_over_is_withdrawn_and_not_begun_again() -> None:
    async def scenario(clock: Clock) -> None:
        process = Process(clock)
        process.peers.connected(Wire())
        process.announce(*AGENTS[:1])
        process.peers.over(m.AuctionOver("t", 1, "it lapsed"))
        process.announce(*AGENTS)
        await clock.advance(5_000)
        assert process.peers.knows("t", 1) == 2, "a remembers that it is over"
        assert process.told[0] == ("withdraw", "t", 1)

    run(scenario)


def test_one_that_takes_nothing_votes_and_does_not_bid() -> None:
    async def scenario(clock: Clock) -> None:
        process = Process(clock)
        process.peers.connected(Wire())
        process.works.open.update({"a": None, "b": None})
        process.announce(*AGENTS)
        await clock.advance(3_000)
        (claim,) = process.claims()
        assert claim.agent == "c" and {bid.agent for bid in claim.bids} == {"c"}
        assert len(claim.ballots) >= 2

    run(scenario)


def test_without_a_bus_nothing_goes_on_and_that_time_does_not_count() -> None:
    async def scenario(clock: Clock) -> None:
        bus = Wire()
        process = Process(clock)
        process.peers.connected(bus)
        process.peers.lost()
        process.announce(*AGENTS)
        await clock.advance(100_000)
        assert process.told == []
        process.peers.connected(bus)
        await clock.advance(3_000)
        (claim,) = process.claims()
        assert claim.took_ms < 3_000

    run(scenario)


@pytest.mark.parametrize("between_ms", [0, 5, 500, 5_000])
def test_peers_of_a_swarm_that_was_no_mesh_for_a_moment_bid_again(between_ms: int) -> None:
    async def scenario(clock: Clock) -> None:
        process = Process(clock)
        process.peers.connected(Wire())
        members = tuple((agent, 1, "local/w1") for agent in AGENTS)
        for agent in AGENTS:
            process.peers.founded(m.MeshFounded(agent, 1, 1, members))
        await clock.advance(5_000)
        for agent in AGENTS:
            process.peers.down(m.PeerDown(agent))
        await clock.advance(between_ms)
        for agent in AGENTS:
            seeds = tuple(each for each in AGENTS if each != agent)
            process.peers.up(m.PeerUp(agent, 1, "local/w1", seeds))
        process.announce(*AGENTS)
        await clock.advance(4_000)
        assert len(process.claims()) == 1

    run(scenario)


def test_an_auction_of_an_earlier_life_is_none_of_its() -> None:
    async def scenario(clock: Clock) -> None:
        process = Process(clock)
        process.peers.connected(Wire())
        for agent in AGENTS:
            process.peers.up(m.PeerUp(agent, 2, "local/w1"))
        process.announce(*AGENTS, life=1)
        await clock.advance(3_000)
        assert process.claims() == [] and process.peers.knows("t", 1) == 0

    run(scenario)


def test_what_cannot_be_read_and_what_is_too_much_is_dropped() -> None:
    async def scenario(clock: Clock) -> None:
        bus, heard = Wire(), list[bytes]()
        process = Process(clock)
        process.peers.connected(bus)
        bus.subscribe("peer.sw.stranger", lambda delivery: heard.append(delivery.payload))
        process.peers.up(m.PeerUp("a", 1, "local/w1", ("stranger",)))
        bus.publish("peer.sw.a", b"no message")
        await clock.advance(10_000)
        assert 0 < len(heard) <= 11, "it asks to be let in, once a second"
        reports = [each for each in process.telling.signals if isinstance(each, m.PeerReport)]
        assert reports[-1].dropped == 1 and reports[-1].members == 0

    run(scenario)


def test_more_than_so_many_messages_a_second_are_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "SENT_PER_S_MAX", 1)

    async def scenario(clock: Clock) -> None:
        bus, heard = Wire(), list[int]()
        process = Process(clock)
        process.peers.connected(bus)
        for agent in AGENTS[1:]:
            bus.subscribe(f"peer.sw.{agent}", lambda _: heard.append(clock.at_ms // 1_000))
        process.announce("a")
        await clock.advance(4_000)
        assert heard and max(heard.count(second) for second in heard) == 1
        reports = [each for each in process.telling.signals if isinstance(each, m.PeerReport)]
        assert reports[-1].dropped > 0

    run(scenario)


def test_founders_report_that_they_belong_and_copy_a_result_to_each_other() -> None:
    async def scenario(clock: Clock) -> None:
        process = Process(clock)
        process.peers.connected(Wire())
        members = tuple((agent, 1, "local/w1") for agent in AGENTS)
        for agent in AGENTS:
            process.peers.founded(m.MeshFounded(agent, 1, 5, members))
        await clock.advance(6_000)
        assert process.peers.membership("a") == (("a", 1), ("b", 1), ("c", 1))
        result = m.Result("t", 1, Payload(inline=b"value"))
        process.peers.completed(m.Dispatch("t", 1, "a", "kind"), result)
        await clock.advance(12_000)
        copied = [each for each in process.told if isinstance(each, m.Copied)]
        assert copied[-1].holders == AGENTS and copied[-1].required == 3
        assert [process.peers.copy_of(agent, "t", 1) for agent in AGENTS] == [b"value"] * 3
        last = {r.agent: r for r in process.telling.signals if isinstance(r, m.PeerReport)}
        assert {r.members for r in last.values()} == {3} and {r.epoch for r in last.values()} == {5}
        assert len({r.digest for r in last.values()}) == 1

    run(scenario)
