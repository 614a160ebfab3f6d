"""The peers of a mesh in this process: one for each agent, speaking over the bus.

They decide among themselves who of them works on what, and the winner begins at once. The
orchestrator is told, and need not be there: its claim is kept like a result until the log has it.
Without a bus they pause, and their time with them.

What peers say may be lost, so what is too much is dropped. A frame that cannot be read is too; one
that a process of the same swarm makes up is believed, for all of them are of one user.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, NamedTuple, Protocol

from visionflow.domain.errors import BusClosed, FrameTooLarge, VisionFlowError
from visionflow.domain.ids import one_word
from visionflow.domain.messages import (
    Announce,
    AuctionOver,
    Claimed,
    Dispatch,
    MeshFounded,
    PeerDown,
    PeerReport,
    PeersLeft,
    PeerUp,
    Result,
)
from visionflow.engine.mesh.auction import Settled
from visionflow.engine.mesh.messages import BidTold, Body, Member, Send, decode, encode
from visionflow.engine.mesh.peer import Peer
from visionflow.engine.mesh.replication import COPY_BYTES_MAX
from visionflow.engine.mesh.roster import PREFIX
from visionflow.ports.blobs import Blobs
from visionflow.ports.bus import Bus, Delivery, Subscription
from visionflow.ports.host import Host, Timer
from visionflow.worker.bidder import Bidder, UnderWay
from visionflow.worker.copies import CopyTeller, Telling, name_of

TICK_MS_MIN = 10
REPORT_MS_MIN = 500
"""Between two reports of a peer whose opinion changes."""
REPORT_MS_MAX = 5_000
"""So often it reports when nothing changes."""
SENT_PER_S_MAX = 2_000
"""Messages of one peer to others, beyond which they are dropped."""
BYTES_MAX = 2 * COPY_BYTES_MAX
"""Of one message."""
OVER_MAX = 4_096
"""Auctions that are over and are remembered, so that a late Announce opens none of them again."""


class Works(Protocol):
    """What peers need of the executor."""

    @property
    def blobs(self) -> Blobs:
        """Where large results are."""
        ...

    def offload(self, call: Callable[[], Any]) -> Awaitable[Any]:
        """Run something that blocks."""
        ...

    def dispatch(self, dispatch: Dispatch) -> None:
        """Work on an attempt."""
        ...

    def withdraw(self, task: str, attempt: int, reason: str) -> None:
        """Stop an attempt that nobody waits for; nothing is reported of it."""
        ...

    def open_of(self, agent: str) -> int | None:
        """How many attempts an agent has here; `None`: it takes none, or is not here."""
        ...


class _Seen(NamedTuple):
    members: int
    reachable: int
    read_only: bool
    digest: str


class _Hosted:
    """A peer, with what its host keeps about it."""

    def __init__(self, peer: Peer, bidder: Bidder, telling: Telling) -> None:
        self.peer = peer
        self.bidder = bidder
        self.subscription: Subscription | None = None
        self.seen = _Seen(0, 0, False, "")
        self.changed_ms = 0
        """When its digest last changed, by the clock on the wall."""
        self.reported_ms = -REPORT_MS_MAX
        self.unreported = True
        self.sent = 0
        self.sent_bytes = 0
        self.dropped = 0
        self.second = 0
        self.in_second = 0
        self.copies = CopyTeller(peer, telling)

    @property
    def report_due_ms(self) -> int:
        """When it is to say what it thinks."""
        return self.reported_ms + (REPORT_MS_MIN if self.unreported else REPORT_MS_MAX)

    @property
    def next_ms(self) -> int:
        """When it has something to do."""
        held_ms = self.bidder.due_ms
        next_ms = min(self.peer.next_ms, self.report_due_ms)
        return next_ms if held_ms is None else min(next_ms, held_ms)


class Peers:
    """Hosts peers. Belongs to the loop's thread."""

    def __init__(
        self,
        host: Host,
        works: Works,
        telling: Telling,
        swarm: str,
        bus: Bus | None = None,
        free_bp: Callable[[], int | None] = lambda: None,
    ) -> None:
        """`bus`: one of their own, where there is one that lives longer than the session's.
        `free_bp`: see `Bidder`."""
        self._host = host
        self._works = works
        self._telling = telling
        self._swarm = swarm
        self._free_bp = free_bp
        self._loop = asyncio.get_running_loop()
        self._own_bus = bus is not None
        self._bus = bus
        self._hosted: dict[str, _Hosted] = {}
        self._over: dict[tuple[str, str], None] = {}
        self._timer: Timer | None = None
        self._timer_ms = 0
        self._paused_ms = 0
        self._since_ms: int | None = None if bus is not None else host.monotonic_ms()
        """Since when there is no bus."""

    # The bus ---------------------------------------------------------------------------------

    def connected(self, bus: Bus) -> None:
        """There is a connection to the hub; peers without a bus of their own speak over it."""
        if self._own_bus:
            return
        self._bus = bus
        if self._since_ms is not None:
            self._paused_ms += self._host.monotonic_ms() - self._since_ms
            self._since_ms = None
        for name, hosted in self._hosted.items():
            self._listen(name, hosted)
        self._wake()

    def lost(self) -> None:
        """The connection is gone."""
        if self._own_bus or self._bus is None:
            return
        self._bus = None
        self._since_ms = self._host.monotonic_ms()
        for hosted in self._hosted.values():
            hosted.subscription = None

    def _listen(self, name: str, hosted: _Hosted) -> None:
        if self._bus is not None:
            subject = self._subject(name)
            hosted.subscription = self._bus.subscribe(subject, lambda d: self._arrived(name, d))

    def _subject(self, agent: str) -> str:
        return f"peer.{self._swarm}.{one_word(agent)}"

    def _now_ms(self) -> int:
        now_ms = self._host.monotonic_ms() if self._since_ms is None else self._since_ms
        return now_ms - self._paused_ms

    # What the orchestrator says --------------------------------------------------------------

    def up(self, message: PeerUp) -> None:
        """An agent is a peer."""
        hosted = self._life(message.agent, message.incarnation, message.place)
        if hosted is not None and (hosted.bidder.leaving or not hosted.peer.inside):
            # One that is on its way out is a peer again: the swarm was no mesh for a moment.
            hosted.bidder.leaving = False
            hosted.peer.join(message.seeds, self._now_ms())
            hosted.unreported = True
            self._wake()

    def founded(self, message: MeshFounded) -> None:
        """The mesh begins anew."""
        place = next((p for name, _, p in message.members if name == message.agent), "")
        hosted = self._life(message.agent, message.incarnation, place)
        if hosted is not None:
            hosted.peer.found(message.epoch, message.members, self._now_ms())
            self._wake()

    def left(self, message: PeersLeft) -> None:
        """Others than these do not come back."""
        hosted = self._hosted.get(message.agent)
        if hosted is not None:
            known = dict.fromkeys(message.agents)
            for member in hosted.peer.members:
                if member.agent not in known:
                    hosted.peer.expel(member.agent, self._now_ms())
            self._wake()

    def down(self, message: PeerDown) -> None:
        """An agent is a peer no more. It answers the others until they have agreed on that."""
        self.leave(message.agent)

    def leave(self, agent: str) -> None:
        """Have an agent leave the mesh, where it is a peer."""
        hosted = self._hosted.get(agent)
        if hosted is not None and not hosted.bidder.leaving:
            hosted.bidder.leaving = True
            hosted.peer.leave(self._now_ms())
            self._wake()

    def announce(self, message: Announce) -> None:
        """An auction begins in which an agent has a vote."""
        dispatch = message.dispatch
        agent, name = dispatch.agent, name_of(dispatch.task, dispatch.attempt)
        hosted = self._life(agent, message.incarnation, "")
        if hosted is None or (agent, name) in self._over:
            return
        now_ms = self._now_ms()
        hosted.bidder.announced(message, now_ms)
        self._look_at_auctions(agent, hosted, now_ms)
        self._wake()

    def over(self, message: AuctionOver) -> None:
        """An auction is over, and nothing that was begun by it is wanted."""
        name = name_of(message.task, message.attempt)
        for agent, hosted in self._hosted.items():
            if hosted.bidder.close(name):
                self._remember(agent, name)
        self._works.withdraw(message.task, message.attempt, message.reason)

    def _remember(self, agent: str, name: str) -> None:
        self._over[agent, name] = None
        if len(self._over) > OVER_MAX:
            del self._over[next(iter(self._over))]

    def _life(self, agent: str, incarnation: int, place: str) -> _Hosted | None:
        """The peer of an agent in this life, made if need be; `None`: that life is over."""
        found = self._hosted.get(agent)
        if found is not None and found.peer.me.incarnation > incarnation:
            return None
        if found is None or found.peer.me.incarnation < incarnation:
            if found is not None and found.subscription is not None:
                found.subscription.cancel()
            peer = Peer(Member(agent, incarnation), place)
            bidder = Bidder(peer, self._works.open_of, self._free_bp)
            found = self._hosted[agent] = _Hosted(peer, bidder, self._telling)
            self._listen(agent, found)
        if place:
            found.peer.place = place
        return found

    # Time and messages -----------------------------------------------------------------------

    def _wake(self) -> None:
        """Tick when the first peer has something to do."""
        if self._bus is None or not self._hosted:
            return
        now_ms = self._now_ms()
        next_ms = min(hosted.next_ms for hosted in self._hosted.values())
        self._tick_by(max(next_ms, now_ms), now_ms)

    def _wake_for(self, hosted: _Hosted, auction: str | None, now_ms: int) -> None:
        """Tick soon after a message, at once where it made its auction due. To look at all that
        all peers have under way for each message would be most of what a busy mesh does."""
        found = None if auction is None else hosted.peer.auctions.get(auction)
        due_ms = None if found is None else found.next_ms
        is_due = due_ms is not None and due_ms <= now_ms
        self._tick_by(now_ms if is_due else now_ms + TICK_MS_MIN, now_ms)

    def _tick_by(self, next_ms: int, now_ms: int) -> None:
        if self._timer is not None:
            if self._timer_ms <= next_ms:
                return
            self._timer.cancel()
        self._timer_ms = next_ms
        delay_ms = max(TICK_MS_MIN if next_ms > now_ms else 1, next_ms - now_ms)
        self._timer = self._host.call_later(delay_ms, self._tick)

    def _tick(self) -> None:
        self._timer = None
        if self._bus is None:
            return
        now_ms = self._now_ms()
        for name, hosted in list(self._hosted.items()):
            if hosted.peer.next_ms <= now_ms:
                self._send(hosted, hosted.peer.tick(now_ms, self._host.entropy()))
                self._look(name, hosted, now_ms)
            elif hosted.next_ms <= now_ms:
                self._look(name, hosted, now_ms)
        self._wake()

    def _arrived(self, name: str, delivery: Delivery) -> None:
        self._receive(name, delivery.payload)

    def _receive(self, name: str, payload: bytes) -> None:
        hosted = self._hosted.get(name)
        if hosted is None or self._bus is None:
            return
        try:
            envelope = decode(payload)
        except ValueError:
            hosted.dropped += 1
            return
        auction = auction_of(envelope.body)
        if auction is not None and auction not in hosted.peer.auctions:
            if (name, auction) not in self._over:
                hosted.bidder.came_early(auction, envelope)
            return
        now_ms = self._now_ms()
        self._send(hosted, hosted.peer.receive(envelope, now_ms))
        self._look(name, hosted, now_ms)
        self._wake_for(hosted, auction, now_ms)

    def _send(self, hosted: _Hosted, sends: Iterable[Send]) -> None:
        second = self._host.monotonic_ms() // 1_000
        if hosted.second != second:
            hosted.second, hosted.in_second = second, 0
        for to, body in sends:
            payload = encode(hosted.peer.envelope(body))
            hosted.in_second += 1
            if hosted.in_second > SENT_PER_S_MAX or len(payload) > BYTES_MAX:
                hosted.dropped += 1
                continue
            if self._carry(to, payload):
                hosted.sent += 1
                hosted.sent_bytes += len(payload)
            else:
                hosted.dropped += 1

    def _carry(self, to: str, payload: bytes) -> bool:
        if to in self._hosted:
            # Those of this process need no hub between them.
            self._loop.call_soon(self._receive, to, payload)
            return True
        if self._bus is None:
            return False
        try:
            self._bus.publish(self._subject(to), payload)
        except (BusClosed, FrameTooLarge, ValueError):
            return False
        return True

    # What follows ----------------------------------------------------------------------------

    def _look(self, name: str, hosted: _Hosted, now_ms: int) -> None:
        """Follow up on what a peer has come to know."""
        self._look_at_auctions(name, hosted, now_ms)
        peer = hosted.peer
        seen = _Seen(len(peer.rosters.enrolled), peer.reached, peer.read_only, peer.digest)
        if not peer.inside:
            seen = _Seen(0, 0, False, peer.digest)
        if seen != hosted.seen:
            if seen.digest != hosted.seen.digest:
                hosted.changed_ms = self._host.now_ms()
            hosted.seen, hosted.unreported = seen, True
        if hosted.report_due_ms <= now_ms:
            hosted.reported_ms, hosted.unreported = now_ms, False
            self._report(hosted)
            hosted.copies.look(now_ms)
        if hosted.bidder.leaving and not peer.inside:
            self._part(name, hosted)

    def _look_at_auctions(self, name: str, hosted: _Hosted, now_ms: int) -> None:
        peer, bidder = hosted.peer, hosted.bidder
        while True:
            for auction, under_way, settled in bidder.settled():
                self._remember(name, auction)
                if settled.winner == name:
                    self._won(under_way, settled, now_ms)
            early = bidder.open_next(now_ms)
            if early is None:
                break
            for envelope in early:
                self._send(hosted, peer.receive(envelope, now_ms))

    def _won(self, bidding: UnderWay, settled: Settled, now_ms: int) -> None:
        """The claim goes first, so that the log gives the attempt to this agent before it hears of
        how that goes."""
        dispatch = bidding.dispatch
        self._telling.send(
            Claimed(
                task=dispatch.task,
                attempt=dispatch.attempt,
                agent=dispatch.agent,
                bids=settled.bids,
                ballots=settled.ballots,
                round=settled.round,
                took_ms=now_ms - bidding.since_ms,
            )
        )
        self._works.dispatch(dispatch)

    def _report(self, hosted: _Hosted) -> None:
        peer, seen = hosted.peer, hosted.seen
        self._telling.signal(
            PeerReport(
                agent=peer.me.agent,
                incarnation=peer.me.incarnation,
                epoch=peer.rosters.mark[0],
                members=seen.members,
                reachable=seen.reachable,
                read_only=seen.read_only,
                digest=seen.digest,
                since_ms=hosted.changed_ms,
                sent=hosted.sent,
                received=peer.received,
                sent_bytes=hosted.sent_bytes,
                dropped=hosted.dropped,
            )
        )

    def _part(self, name: str, hosted: _Hosted) -> None:
        if hosted.subscription is not None:
            hosted.subscription.cancel()
        if self._hosted.get(name) is hosted:
            del self._hosted[name]

    def membership(self, agent: str) -> tuple[tuple[str, int], ...]:
        """Who belongs to the mesh in the view of an agent's peer, in order; empty: it has none."""
        hosted = self._hosted.get(agent)
        if hosted is None:
            return ()
        return tuple(sorted((each.agent, each.incarnation) for each in hosted.peer.members))

    def knows(self, task: str, attempt: int) -> int:
        """How many peers of this process take part in the auction of an attempt, or did."""
        name = name_of(task, attempt)
        return sum(hosted.bidder.knows(name) for hosted in self._hosted.values())

    def copy_of(self, agent: str, task: str, attempt: int) -> bytes | None:
        """The copy of a result that an agent's peer holds."""
        hosted = self._hosted.get(agent)
        copy = None
        if hosted is not None:
            copy = hosted.peer.replication.held.get(name_of(task, attempt))
        return None if copy is None else copy.value

    # Copies ----------------------------------------------------------------------------------

    def completed(self, dispatch: Dispatch, result: Result) -> None:
        """An agent of this process has a result: others are to hold copies of it."""
        hosted = self._hosted.get(dispatch.agent)
        if hosted is None or not hosted.peer.inside or hosted.bidder.leaving:
            return
        blob = result.value.blob
        if blob is None:
            self._replicate(hosted, dispatch, result.value.inline or b"")
        else:
            self._loop.create_task(self._read_and_replicate(hosted, dispatch, blob))

    async def _read_and_replicate(self, hosted: _Hosted, dispatch: Dispatch, blob: str) -> None:
        blobs = self._works.blobs
        try:
            value = await self._works.offload(lambda: blobs.get(blob))
        except (VisionFlowError, OSError):
            return
        self._replicate(hosted, dispatch, value)

    def _replicate(self, hosted: _Hosted, dispatch: Dispatch, value: bytes) -> None:
        now_ms = self._now_ms()
        self._send(hosted, hosted.copies.make(dispatch.task, dispatch.attempt, value, now_ms))
        self._wake()


def auction_of(body: Body) -> str | None:
    """The auction that a message between peers is about."""
    if isinstance(body, BidTold):
        return body.auction
    name: str | None = getattr(body, "instance", None)
    return None if name is None or name.startswith(PREFIX) else name
