"""One life of the orchestrator's process: the real node over simulated ports, and its check."""

from collections.abc import Callable, Mapping
from typing import Protocol

import msgspec

from visionflow.domain.errors import BusClosed, LogUnavailable, VisionFlowError
from visionflow.domain.events import AnyEvent, decode_record
from visionflow.domain.swarms import SwarmSpec
from visionflow.engine.audit import audit
from visionflow.engine.effects import StartWorker
from visionflow.engine.evolve import fold
from visionflow.engine.state import SwarmState
from visionflow.runtime.children import Launch
from visionflow.runtime.node import Node, Ports
from visionflow.testing.simulator.disk import Disk, SimBlobs, SimLog
from visionflow.testing.simulator.host import CountingTelemetry, Machine, SimHost
from visionflow.testing.simulator.kernel import Process
from visionflow.testing.simulator.scaling import scale
from visionflow.testing.simulator.wire import Hub
from visionflow.testing.simulator.witness import Witness
from visionflow.testing.simulator.worker import ORDER, Order

LOOK_EVERY, PER_AGENT = 40, 0.4
"""Every so many records the auditor looks, and the state is compared with the log: every 40, or
with many agents every so many for each. Once a small swarm is closed, at each."""
MACHINE_BYTES = 2**34


class Surroundings(Machine, Protocol):
    """What an orchestrator finds on its machine."""

    @property
    def disk(self) -> Disk:
        """Where the log is."""
        ...

    @property
    def witness(self) -> Witness:
        """Who sees it all."""
        ...

    @property
    def telemetry(self) -> CountingTelemetry:
        """Where it reports."""
        ...

    @property
    def grace_ms(self) -> int:
        """How long its workers wait for it when it is gone."""
        ...

    def leftovers(self, besides: list[int]) -> list[str]:
        """Worker processes that live and that the log names, without these pids."""
        ...


class Life:
    """From one start of the orchestrator to its end."""

    def __init__(self, surroundings: Surroundings, process: Process, spec: SwarmSpec) -> None:
        self.process = process
        self.node: Node | None = None
        """Once it answers."""
        self.hub: Hub | None = None
        self.digests: dict[int, str] = {}
        """Of the live state, by the number of the record after which it was taken."""
        self._surroundings = surroundings
        self._spec = spec
        self._made: Node | None = None
        self._closes = 0
        self._leaving = False

    async def main(self) -> None:
        """The program: recover, then answer."""
        around, process = self._surroundings, self.process
        log = SimLog(process, around.disk)
        self.hub = Hub(process, around.witness, self._verify, self._gone)
        floor_ms = around.witness.check.at_ms
        host = SimHost(process, around, floor_ms)
        ports = Ports(log, self.hub, SimBlobs(process, around.disk), host, around.telemetry)
        try:
            grace_ms = around.grace_ms
            node = Node(self._spec, ports, self._launch, self._failed, grace_ms)
            self._made = node
            node.children.on_given_up = self.hub.cut
            self._look_for_leftovers(node.children.pids())
            node.control.on_close.append(self._closing)
            await node.start()
        except VisionFlowError as error:
            if not isinstance(error, LogUnavailable):
                process.kernel.fault(f"{process.name} does not start: {error}")
            process.die()
            return
        self.node = node
        if self._spec.autoscale:
            scale(node, host, around.telemetry)

    async def stop(self, done: Callable[[], None]) -> None:
        """End as on request: workers first."""
        if self.node is not None:
            await self.node.stop()
            self.look()
        done()

    async def end(self) -> None:
        """End in order while work is under way: workers finish what they can."""
        if self.node is not None:
            node, self.node = self.node, None
            await node.stop()
            self.process.die()

    async def leave(self) -> None:
        """End in order, as for an upgrade: what workers do is left to the next life."""
        if self.node is not None:
            self._leaving = True
            node, self.node = self.node, None
            await node.leave()
            self.process.die()

    def _look_for_leftovers(self, kept: list[int]) -> None:
        """Before anything is given out, no worker that the log names may be alive, but those that
        are kept."""
        for name in self._surroundings.leftovers(kept):
            self.process.kernel.fault(f"{self.process.name} starts while {name} is alive")

    def _verify(self, worker: str, incarnation: int, secret: str, pid: int | None) -> bool:
        node = self._made
        if self._leaving:
            raise BusClosed("Nobody may come in now.")
        return node is not None and node.children.admits(worker, incarnation, secret, pid)

    def _gone(self, sender: str) -> None:
        if self._made is not None:
            self._made.sessions.disconnected(sender)

    def _failed(self, failure: BaseException) -> None:
        kernel = self.process.kernel
        if not isinstance(failure, LogUnavailable):
            kernel.fault(f"{self.process.name} gives up: {type(failure).__name__}: {failure}")
        kernel.trace("fail-stop")
        if kernel.chance(0.5) or self._made is None:
            self.process.die()
        else:
            self.process.start(self._wind_up(self._made))

    async def _wind_up(self, node: Node) -> None:
        if self._surroundings.grace_ms:
            self._leaving = True
            await node.leave()
        else:
            await node.stop(kill=True)
        self.process.die()

    def _launch(self, effect: StartWorker) -> Launch:
        order = Order(
            effect.worker,
            effect.incarnation,
            self._spec.id,
            self._spec.limits.heartbeat_ms,
            self._surroundings.grace_ms,
            effect.memory_bytes,
        )
        env: Mapping[str, str] = {ORDER: msgspec.json.encode(order).decode()}
        return Launch(("worker",), env, machine_bytes=MACHINE_BYTES)

    # Looking at it -----------------------------------------------------------------------------

    def _closing(self, events: list[AnyEvent]) -> Callable[[], None] | None:
        node = self._made
        if node is None or not events:
            return None
        self._closes += 1
        agents = len(node.control.state.agents)
        every = max(LOOK_EVERY, int(PER_AGENT * agents))
        if self._closes % every and (node.control.state.closed is None or every > LOOK_EVERY):
            return None
        self.look()
        digest = node.control.state.digest()

        def durable() -> None:
            self.digests[node.control.head.seq] = digest

        return durable

    def look(self) -> None:
        """Have the auditor look at the live state."""
        if self._made is not None:
            for fault in audit(self._made.control.state):
                self.process.kernel.fault(f"auditor: {fault}")


def compare_with_replay(witness: Witness, lives: list[Life]) -> list[str]:
    """Where a live state was not what a fold of the log up to there amounts to."""
    expected: dict[int, list[tuple[str, str]]] = {}
    for life in lives:
        for seq, digest in life.digests.items():
            expected.setdefault(seq, []).append((life.process.name, digest))
    state, faults = SwarmState(), list[str]()
    for seq, body in enumerate(witness.bodies, 1):
        fold(state, decode_record(body))
        for name, digest in expected.get(seq, ()):
            if state.digest() != digest:
                faults.append(f"{name}: after record {seq} the live state is not its replay")
    return faults
