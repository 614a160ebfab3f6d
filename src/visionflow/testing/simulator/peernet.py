"""The bus between the peers of a simulated mesh. It lives on when the orchestrator does not.

Messages are lost, doubled, late and overtaken; processes can be cut off from each other for a
while, without anybody's being told.
"""

from random import Random

from visionflow.domain.errors import BusClosed
from visionflow.ports.bus import Delivery
from visionflow.testing.simulator.kernel import Kernel, Process
from visionflow.testing.simulator.wire import End

LATENCY_US = (20, 20_000)
LATE_US = 400_000
"""Some take up to this long."""


class PeerNet:
    """Carries what peers say to each other."""

    def __init__(
        self, kernel: Kernel, source: Random, lost: float, doubled: float, late: float
    ) -> None:
        """`lost`, `doubled`, `late`: how often that befalls a message."""
        self.kernel = kernel
        self.counts = {"peer messages": 0, "lost": 0, "doubled": 0, "late": 0, "cut off": 0}
        self._random = source
        self._lost = lost
        self._doubled = doubled
        self._late = late
        self._ends: list[PeerEnd] = []
        self._apart: dict[str, int] = {}

    def join(self, process: Process, worker: str) -> "PeerEnd":
        """An end of it, for a process of a worker."""
        self._ends = [end for end in self._ends if end.process.alive]
        end = PeerEnd(self, process, worker)
        self._ends.append(end)
        return end

    def cut(self, workers: list[str], side: int = 1) -> None:
        """From now on these hear only each other, and those on no side too."""
        for worker in workers:
            self._apart[worker] = side

    def heal(self) -> None:
        """Everybody hears everybody again."""
        self._apart.clear()

    def calm(self) -> None:
        """Nothing is lost, doubled or late any more."""
        self._lost = self._doubled = self._late = 0.0

    def carry(self, sender: "PeerEnd", delivery: Delivery) -> None:
        """Bring it to whom it is for, or not."""
        self.counts["peer messages"] += 1
        for end in self._ends:
            if end is sender or not end.process.alive or not end.routes.match(delivery.subject):
                continue
            if self._apart.get(sender.worker, 0) != self._apart.get(end.worker, 0):
                self.counts["cut off"] += 1
                continue
            if self._random.random() < self._lost:
                self.counts["lost"] += 1
                continue
            self._bring(end, delivery)
            if self._random.random() < self._doubled:
                self.counts["doubled"] += 1
                self._bring(end, delivery)

    def _bring(self, end: "PeerEnd", delivery: Delivery) -> None:
        low_us, high_us = LATENCY_US
        delay_us = self._random.randint(low_us, high_us)
        if self._random.random() < self._late:
            self.counts["late"] += 1
            delay_us += self._random.randint(0, LATE_US)

        def arrive() -> None:
            if end.process.alive:
                self.kernel.trace(f"peer {end.worker}", delivery.payload)
                end.deliver(delivery)

        self.kernel.after(delay_us, arrive)


class PeerEnd(End):
    """One process's end."""

    def __init__(self, net: PeerNet, process: Process, worker: str) -> None:
        super().__init__(process)
        self.worker = worker
        self._net = net

    def publish(self, subject: str, payload: bytes, reply: str | None = None) -> int | None:
        """See `visionflow.ports.bus.Bus`."""
        if self.closed:
            raise BusClosed("This end of the bus was closed.")
        if self.process.touch():
            self._net.carry(self, Delivery(subject, payload, reply, None))
        return None
