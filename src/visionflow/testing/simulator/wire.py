"""The simulated hub: messages take their time, stay in order, and are lost with their wire.

An end of the bus belongs to a process and is as dead as that. A cut wire takes what is under way
with it; both ends hear of the cut a moment later, the hub's first, as with a local socket. What a
process wrote before it died may still arrive.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Protocol

from visionflow.adapters.hub.routes import Routes, is_exact
from visionflow.domain.errors import BusClosed, NoResponders, Refused
from visionflow.ports.bus import Delivery
from visionflow.testing.simulator.kernel import Process

LATENCY_US = (20, 3_000)
CUT_TOLD_US = (100, 5_000)


class Ear(Protocol):
    """Hears all that is said, at the moment it is said."""

    def to_worker(self, link: "Link", payload: bytes) -> bool:
        """The orchestrator sends this to a worker; whether it acknowledges something."""
        ...

    def from_worker(self, link: "Link", subject: str, payload: bytes) -> None:
        """A worker sends this."""
        ...


class _Subscription:
    def __init__(self, end: "End", pattern: str, receive: Callable[[Delivery], None]) -> None:
        self._end = end
        self._pattern = pattern
        self._receive = receive
        self.live = True

    def take(self, delivery: Delivery) -> None:
        """Called in the process that subscribed."""
        if self.live:
            self._receive(delivery)

    def cancel(self) -> None:
        """See `visionflow.ports.bus.Subscription`."""
        if self.live:
            self.live = False
            self._end.routes.remove(self._pattern, self)


class End(ABC):
    """One end of the bus. What leaves it is for who derives from it."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.routes: Routes[_Subscription] = Routes()
        self.closed = False
        self._asked = 0

    def subscribe(self, pattern: str, receive: Callable[[Delivery], None]) -> _Subscription:
        """See `visionflow.ports.bus.Bus`."""
        subscription = _Subscription(self, pattern, receive)
        self.routes.add(pattern, subscription)
        return subscription

    def deliver(self, delivery: Delivery) -> int:
        """Hand a message to who listens at this end; how many do."""
        found = self.routes.match(delivery.subject)
        for subscription in found:
            self.process.call(subscription.take, delivery)
        return len(found)

    @abstractmethod
    def publish(self, subject: str, payload: bytes, reply: str | None = None) -> int | None:
        """See `visionflow.ports.bus.Bus`."""

    async def request(self, subject: str, payload: bytes, timeout_ms: int) -> bytes:
        """See `visionflow.ports.bus.Bus`."""
        self._asked += 1
        inbox = f"_in.{self.process.pid}.{self._asked}"
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        def answered(delivery: Delivery) -> None:
            if not answer.done():
                answer.set_result(delivery.payload)

        subscription = self.subscribe(inbox, answered)
        try:
            if self.publish(subject, payload, inbox) == 0:
                raise NoResponders(f"Nobody listens on {subject}.")
            return await asyncio.wait_for(answer, timeout_ms / 1_000)
        finally:
            subscription.cancel()

    async def close(self) -> None:
        """See `visionflow.ports.bus.Bus`."""
        self.closed = True


class Link:
    """The wire between the hub and one worker process."""

    def __init__(self, hub: "Hub", worker: "WorkerEnd", sender: str) -> None:
        self.hub = hub
        self.worker = worker
        self.sender = sender
        self.open = True
        self.cut_after = [-1, -1]
        """The wire is cut with the so-many-th message to the worker, or from it."""
        self.cut_at_ack = False
        """The wire is cut with the next acknowledgement."""
        self._kernel = hub.process.kernel
        self._last_us = [0, 0]
        self._held_us = 0

    def down(self, delivery: Delivery) -> None:
        """From the hub to the worker."""
        self._carry(0, self.worker, delivery)

    def up(self, delivery: Delivery) -> None:
        """From the worker to the hub."""
        self._carry(1, self.hub, delivery)

    def _carry(self, way: int, end: End, delivery: Delivery) -> None:
        if self.cut_after[way] >= 0:
            self.cut_after[way] -= 1
            if self.cut_after[way] < 0:
                self.cut()
        if not self.open:
            return
        kernel = self._kernel
        at_us = max(self._last_us[way], kernel.now_us + kernel.between(*LATENCY_US))
        self._last_us[way] = at_us

        def arrive() -> None:
            if self.open and end.process.alive:
                kernel.trace(f"arrive {self.sender} {way}", delivery.payload)
                end.deliver(delivery)

        kernel.push(at_us, None, arrive)

    def hold(self, way: int, length_us: int) -> None:
        """What is said this way (0: to the worker) arrives after so long, in its order."""
        self._held_us = self._kernel.now_us + length_us
        self._last_us[way] = max(self._last_us[way], self._held_us)

    def cut(self) -> None:
        """Break it: what is on its way is lost."""
        if self.open:
            self.open = False
            kernel = self._kernel
            hub_us = kernel.between(*CUT_TOLD_US)
            kernel.after(hub_us, lambda: self.hub.left(self))
            kernel.after(hub_us + kernel.between(*CUT_TOLD_US), self.worker.lost)

    def worker_died(self) -> None:
        """The hub hears of it after all that the worker had written, or without some of it."""
        kernel = self._kernel
        if kernel.chance(0.3) or kernel.now_us < self._held_us:
            self.cut()
        elif self.open:
            at_us = max(self._last_us[1], kernel.now_us + kernel.between(*LATENCY_US))
            kernel.push(at_us, None, self.cut)


class Hub(End):
    """The orchestrator's end, and the place where workers dial in."""

    def __init__(
        self,
        process: Process,
        ear: Ear,
        verify: Callable[[str, int, str, int | None], bool],
        on_disconnect: Callable[[str], None],
    ) -> None:
        """`verify` gets worker, incarnation, secret and pid; `on_disconnect` the sender."""
        super().__init__(process)
        self.links: list[Link] = []
        self._listening: dict[str, list[Link]] = {}
        """By pattern without wildcards: with many workers nobody may go through them all."""
        self._wild: list[Link] = []
        self._ear = ear
        self._verify = verify
        self._on_disconnect = on_disconnect
        process.on_death.append(self._died)

    def publish(self, subject: str, payload: bytes, reply: str | None = None) -> int | None:
        """See `visionflow.ports.bus.Bus`."""
        if self.closed:
            raise BusClosed("This end of the bus was closed.")
        if not self.process.touch():
            return 0
        delivery = Delivery(subject, payload, reply, None)
        handed = self.deliver(delivery)
        for link in (*self._listening.get(subject, ()), *self._wild):
            if link.worker.routes.match(subject):
                handed += 1
                if self._ear.to_worker(link, payload) and link.cut_at_ack:
                    link.cut()
                link.down(delivery)
        return handed

    def admit(self, end: "WorkerEnd", worker: str, number: int, secret: str, pid: int) -> Link:
        """Let a worker in.

        Raises:
            Refused: it is not expected.
            BusClosed: nobody is there.
        """
        if not self.process.alive or self.closed:
            raise BusClosed("Nobody listens.")
        if not self._verify(worker, number, secret, pid):
            raise Refused("The hub does not believe who this is.")
        link = Link(self, end, f"{worker}.{number}")
        self.links.append(link)
        end.process.on_death.append(link.worker_died)
        return link

    def heard(self, link: Link, subject: str, payload: bytes, reply: str | None) -> None:
        """A worker has sent something: it sets out."""
        self._ear.from_worker(link, subject, payload)
        link.up(Delivery(subject, payload, reply, link.sender))

    def listens(self, link: Link, pattern: str) -> None:
        """Somebody at the other end of a link listens."""
        links = self._listening.setdefault(pattern, []) if is_exact(pattern) else self._wild
        if link not in links:
            links.append(link)

    def cut(self, worker: str, incarnation: int) -> None:
        """Break the wire to a worker process that was given up."""
        for link in [each for each in self.links if each.sender == f"{worker}.{incarnation}"]:
            link.cut()

    def left(self, link: Link) -> None:
        """A link is gone."""
        if link in self.links:
            self.links.remove(link)
            for pattern in link.worker.patterns:
                links = self._listening.get(pattern, self._wild)
                if link in links:
                    links.remove(link)
            self.process.call(self._on_disconnect, link.sender)

    def _died(self) -> None:
        for link in list(self.links):
            link.cut()


class WorkerEnd(End):
    """A worker's end."""

    def __init__(self, process: Process, on_lost: Callable[[], None]) -> None:
        super().__init__(process)
        self._on_lost = on_lost
        self.patterns: list[str] = []
        self._told = False
        self._link: Link | None = None

    def join(self, link: Link) -> None:
        """The hub has let it in.

        Raises:
            BusClosed: and has lost it again.
        """
        if not link.open or self._told:
            self._told = True
            raise BusClosed("The connection broke while it was made.")
        self._link = link
        for pattern in self.patterns:
            link.hub.listens(link, pattern)

    def subscribe(self, pattern: str, receive: Callable[[Delivery], None]) -> _Subscription:
        """See `visionflow.ports.bus.Bus`."""
        self.patterns.append(pattern)
        if self._link is not None:
            self._link.hub.listens(self._link, pattern)
        return super().subscribe(pattern, receive)

    def publish(self, subject: str, payload: bytes, reply: str | None = None) -> int | None:
        """See `visionflow.ports.bus.Bus`."""
        if self.closed or self._told or self._link is None:
            raise BusClosed("The connection is gone.")
        if self.process.touch():
            self._link.hub.heard(self._link, subject, payload, reply)
        return None

    def lost(self) -> None:
        """The connection is gone; the process hears of it in its loop."""
        self.process.call(self._lost)

    def _lost(self) -> None:
        if not self._told:
            self._told = True
            if self._link is not None and not self.closed:
                self._on_lost()

    async def close(self) -> None:
        """See `visionflow.ports.bus.Bus`."""
        self.closed = True
        if self._link is not None:
            self._link.worker_died()
