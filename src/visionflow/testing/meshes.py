"""A mesh of peers over a simulated network, in virtual time: the same for the same seed.

The peers are those of `engine/mesh`, each with a clock tick when it asks for one. Between them
messages are late, lost, doubled and out of order as the conditions say; links are cut and healed,
peers killed, restarted and stopped. Every message is counted as the bytes that it would travel as.
"""

import heapq
import random
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from visionflow.domain.mesh import AuctionBid
from visionflow.engine.mesh.auction import Settled
from visionflow.engine.mesh.messages import Body, Envelope, Member, Send, decode, encode
from visionflow.engine.mesh.peer import Peer

GRAIN_MS = 10
"""A peer is given the time at most this often."""


class Conditions(NamedTuple):
    """What the network does to messages. Shares are in basis points."""

    delay_ms: tuple[int, int] = (1, 20)
    loss_bp: int = 0
    doubled_bp: int = 0
    straggling_bp: int = 0
    """Messages that take up to `straggling_ms` instead, and are overtaken by later ones."""
    straggling_ms: int = 2_500


CALM = Conditions()
ROUGH = Conditions((1, 80), loss_bp=500, doubled_bp=300, straggling_bp=300)


class Traffic(NamedTuple):
    """What was sent since it was last looked at."""

    messages: int
    bytes: int
    most_messages: int
    """Of one peer."""
    most_bytes: int


class Mesh:
    """Peers, and what is between them. All that happens follows from the seed."""

    def __init__(
        self, seed: int, conditions: Conditions = CALM, *, as_bytes: bool = True, workers: int = 0
    ) -> None:
        """`as_bytes`: each message is decoded again where it arrives. `workers`: on how many
        processes of one machine the peers are; 0: each on one of its own."""
        self.now_ms = 1_000
        self.peers: dict[str, Peer] = {}
        """Those that live, by agent."""
        self.conditions = conditions
        self.watch: Callable[[], None] | None = None
        """Called after each step of any peer."""
        self.outcomes: dict[str, dict[str, Settled]] = {}
        """Of each auction, the outcome that each agent first knew."""
        self.changed: list[str] = []
        """Faults: an outcome that was another one later, or elsewhere."""
        self._random = random.Random(seed)
        self._as_bytes = as_bytes
        self._workers = workers
        self._queue: list[tuple[int, int, str, Envelope | bytes | None]] = []
        self._serial = 0
        self._ticks: dict[str, int] = {}
        self._lives: dict[str, int] = {}
        self._groups: dict[str, int] = {}
        self._blocked: dict[tuple[str, str], None] = {}
        self._stopped: dict[str, list[Envelope | bytes]] = {}
        self._sent: dict[str, list[int]] = {}
        self._bids: dict[str, tuple[tuple[Member, ...], dict[str, AuctionBid | None]]] = {}

    # Who there is ----------------------------------------------------------------------------

    def start(self, agents: Iterable[str]) -> None:
        """Found a mesh of these."""
        members = [(agent, *self._birth(agent)) for agent in agents]
        self.found(1, members)

    def found(self, epoch: int, members: Sequence[tuple[str, int, str]] | None = None) -> None:
        """Begin an epoch; of all that live, where nobody is named."""
        if members is None:
            members = [(p.me.agent, p.me.incarnation, p.place) for p in self.peers.values()]
        for agent, _, _ in members:
            self.peers[agent].found(epoch, members, self.now_ms)
            self._stepped(agent, [])

    def join(self, agent: str, seeds: Sequence[str] | None = None) -> None:
        """A new peer, or one that was killed in its next life, asks to belong."""
        known = [each for each in self.peers if each != agent] if seeds is None else list(seeds)
        self._birth(agent)
        self.peers[agent].join(known, self.now_ms)
        self._stepped(agent, [])

    def leave(self, agent: str) -> None:
        """A peer asks to go. Its process stays until it is killed."""
        self.peers[agent].leave(self.now_ms)
        self._stepped(agent, [])

    def kill(self, agent: str) -> None:
        """A process ends, with all that it knew."""
        del self.peers[agent]
        self._ticks.pop(agent, None)
        self._stopped.pop(agent, None)

    def stop(self, agent: str) -> None:
        """A process does not run for a while. What is sent to it waits."""
        self._stopped.setdefault(agent, [])

    def go_on(self, agent: str) -> None:
        """It does again."""
        for message in self._stopped.pop(agent, []):
            self._push(self.now_ms + 1, agent, message)
        self._tick_at(agent, self.now_ms + 1)

    def cut(self, *groups: Iterable[str]) -> None:
        """From now on only peers of one group reach each other. Who is in none is in the first."""
        self._groups = {agent: n for n, group in enumerate(groups) for agent in group}

    def block(self, one: str, other: str) -> None:
        """These two do not reach each other directly."""
        self._blocked[one, other] = self._blocked[other, one] = None

    def heal(self) -> None:
        """All reach all."""
        self._groups = {}
        self._blocked = {}

    def reach(self, one: str, other: str) -> bool:
        """Whether what one sends comes to the other, unless it is lost."""
        same = self._groups.get(one, 0) == self._groups.get(other, 0)
        return same and (one, other) not in self._blocked

    # What happens ----------------------------------------------------------------------------

    def run(self, for_ms: int) -> None:
        """Let time pass."""
        self.run_until(lambda: False, for_ms)

    def run_until(self, holds: Callable[[], bool], for_ms: int, every_ms: int = 100) -> int | None:
        """Let time pass until something holds; how long that took, or `None` if it did not."""
        began = self.now_ms
        until, look = began + for_ms, began
        while True:
            due = self._queue[0][0] if self._queue else until
            while look <= min(due, until):
                self.now_ms = max(self.now_ms, look)
                if holds():
                    return look - began
                look += every_ms
            if due > until or not self._queue:
                self.now_ms = until
                return None
            self._step()

    def open(self, auction: str, bids: dict[str, AuctionBid | None]) -> None:
        """All of these hear of an auction, those that are stopped once they go on."""
        electorate = tuple(self.peers[agent].me for agent in bids)
        self._bids[auction] = (electorate, bids)
        self.outcomes[auction] = {}
        for agent, bid in bids.items():
            self.peers[agent].open(auction, electorate, bid, self.now_ms)
            self._stepped(agent, [])

    def settled(self, auction: str, *agents: str) -> bool:
        """Whether all of these, or of the electorate that lives on, know its outcome."""
        electorate, _ = self._bids[auction]
        living = [
            member.agent
            for member in electorate
            if member.agent in self.peers and self.peers[member.agent].me == member
        ]
        return all(agent in self.outcomes[auction] for agent in agents or living)

    def replicate(self, agent: str, key: str, value: bytes) -> None:
        """A peer has copies made of something."""
        self._stepped(agent, self.peers[agent].replicate(key, value, self.now_ms))

    def put(self, agent: str, name: str, value: bytes) -> None:
        """A peer says something of itself."""
        self.peers[agent].put(name, value, self.now_ms)
        self._stepped(agent, [])

    def traffic(self) -> Traffic:
        """What was sent since this was last asked."""
        sent = list(self._sent.values())
        self._sent = {}
        messages, sizes = [each[0] for each in sent], [each[1] for each in sent]
        most = (max(messages, default=0), max(sizes, default=0))
        return Traffic(sum(messages), sum(sizes), *most)

    # How it works ----------------------------------------------------------------------------

    def _birth(self, agent: str) -> tuple[int, str]:
        life = self._lives[agent] = self._lives.get(agent, 0) + 1
        number = len(self._lives) % self._workers if self._workers else len(self._lives)
        place = f"machine/{number}" if self._workers else f"machine{number}/0"
        self.peers[agent] = Peer(Member(agent, life), place)
        self._stopped.pop(agent, None)
        return life, place

    def _step(self) -> None:
        at_ms, _, agent, message = heapq.heappop(self._queue)
        self.now_ms = max(self.now_ms, at_ms)
        peer = self.peers.get(agent)
        if peer is None:
            return
        if message is None:
            if self._ticks.get(agent) == at_ms and agent not in self._stopped:
                del self._ticks[agent]
                self._stepped(agent, peer.tick(self.now_ms, self._random.getrandbits(64)))
        elif agent in self._stopped:
            self._stopped[agent].append(message)
        else:
            envelope = decode(message) if isinstance(message, bytes) else message
            if self.reach(envelope.agent, agent):
                self._stepped(agent, peer.receive(envelope, self.now_ms))

    def _stepped(self, agent: str, sends: list[Send]) -> None:
        """Send what a peer gave back, and note when it wants the time."""
        peer = self.peers[agent]
        for to, body in sends:
            self._send(peer, to, body)
        self._tick_at(agent, max(peer.next_ms, self.now_ms + GRAIN_MS))
        self._note(agent, peer)
        if self.watch is not None:
            self.watch()

    def _send(self, peer: Peer, to: str, body: Body) -> None:
        envelope = peer.envelope(body)
        data = encode(envelope)
        count = self._sent.setdefault(peer.me.agent, [0, 0])
        count[0] += 1
        count[1] += len(data)
        chance, conditions = self._random, self.conditions
        if not self.reach(peer.me.agent, to) or chance.randrange(10_000) < conditions.loss_bp:
            return
        copies = 2 if chance.randrange(10_000) < conditions.doubled_bp else 1
        for _ in range(copies):
            delay_ms = chance.randint(*conditions.delay_ms)
            if chance.randrange(10_000) < conditions.straggling_bp:
                delay_ms = chance.randint(1, conditions.straggling_ms)
            self._push(self.now_ms + delay_ms, to, data if self._as_bytes else envelope)

    def _push(self, at_ms: int, agent: str, message: Envelope | bytes | None) -> None:
        self._serial += 1
        heapq.heappush(self._queue, (at_ms, self._serial, agent, message))

    def _tick_at(self, agent: str, at_ms: int) -> None:
        planned = self._ticks.get(agent)
        if planned is None or at_ms < planned or planned <= self.now_ms:
            self._ticks[agent] = at_ms
            self._push(at_ms, agent, None)

    def _note(self, agent: str, peer: Peer) -> None:
        for name, auction in peer.auctions.items():
            outcome = auction.outcome
            known = self.outcomes.get(name)
            if outcome is None or known is None:
                continue
            first = known.setdefault(agent, outcome)
            others = next(iter(known.values()))
            if first != outcome or (others.winner, others.bids) != (outcome.winner, outcome.bids):
                self.changed.append(f"{agent} has another outcome of {name}: {outcome}")
