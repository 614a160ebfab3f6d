"""The node: one swarm's control plane with all that it needs, from start to stop.

It is put together from ports; whoever makes it brings the adapters. The simulator makes the same
one over simulated ports.
"""

import asyncio
from collections.abc import Callable

import msgspec

from visionflow.domain.errors import VisionFlowError
from visionflow.domain.ids import one_word
from visionflow.domain.swarms import SwarmSpec
from visionflow.engine.effects import StartWorker
from visionflow.engine.state import Answer
from visionflow.ports.blobs import Blobs
from visionflow.ports.bus import Bus
from visionflow.ports.host import Host, ProcessState
from visionflow.ports.log import Log
from visionflow.ports.telemetry import Telemetry
from visionflow.runtime.adoption import survivors
from visionflow.runtime.advising import Advising, Ask
from visionflow.runtime.asks import Asks
from visionflow.runtime.children import Children, Launch
from visionflow.runtime.completions import Completions
from visionflow.runtime.control_plane import ControlPlane
from visionflow.runtime.effects import Effects
from visionflow.runtime.intake import Intake
from visionflow.runtime.liveness import Liveness
from visionflow.runtime.mail import MailRoom
from visionflow.runtime.meshing import Meshing
from visionflow.runtime.probing import Probing
from visionflow.runtime.recovery import end_leftovers, first_command, replay
from visionflow.runtime.recycling import Recycling
from visionflow.runtime.sessions import Sessions
from visionflow.runtime.stalling import Stalls
from visionflow.runtime.syncing import Syncing
from visionflow.runtime.team_loads import TeamLoads
from visionflow.runtime.ticker import Ticker


class AuditFault(VisionFlowError):
    """The auditor found the state at odds with itself; the process must not go on."""

    code = "audit_fault"


class Stopped(VisionFlowError):
    """The node was stopped; what is not finished stays in the log."""

    code = "stopped"


class Ports(msgspec.Struct, frozen=True):
    """The adapters that a node works with."""

    log: Log
    bus: Bus
    blobs: Blobs
    host: Host
    telemetry: Telemetry


class Node:
    """A running swarm. Make it, `await start()`, use `control` and `intake`, `await stop()`."""

    def __init__(
        self,
        spec: SwarmSpec,
        ports: Ports,
        launch: Callable[[StartWorker], Launch],
        on_failure: Callable[[BaseException], None],
        grace_ms: int = 0,
        ask: Ask | None = None,
    ) -> None:
        """`on_failure` is called once, when the node can answer nothing more. `grace_ms`: how long
        workers live on when it is gone, and wait for the next one; 0: they end with it. `ask`: asks
        the strategies of users."""
        self._ports = ports
        self._spec = spec
        self._on_failure = on_failure
        state, head = replay(ports.log, spec.id)
        self.recovered = head.seq > 0
        self._grace_ms = grace_ms
        kept = survivors(state, ports.host) if grace_ms else []
        self.kept = tuple(each.effect.worker for each in kept)
        """Workers of an earlier life that live on."""
        self.leftovers = end_leftovers(state, ports.host, ports.telemetry, self.kept)
        limits = (state.spec or spec).limits
        self.control = ControlPlane(
            spec.id, state, head, ports.log, ports.host, limits.mailbox_max, self._failed
        )
        self.intake = Intake(ports.host, ports.blobs)
        self.children = Children(self.control, ports.host, launch, ports.telemetry, grace_ms)
        for each in kept:
            self.children.keep(each)
        self.liveness = Liveness(limits.heartbeat_ms, ports.host.monotonic_ms())
        self.sessions = Sessions(
            one_word(spec.id),
            self.control,
            ports.bus,
            ports.host,
            self.children,
            self.liveness,
            ports.telemetry,
            ports.blobs,
        )
        self.probing = Probing(
            self.control,
            ports.host,
            self.children,
            self.liveness,
            ports.telemetry,
            self.sessions.ping,
        )
        self.stalls = Stalls(self.control, ports.host)
        self.sessions.on_progress.append(self.stalls.heard)
        self.sessions.on_pong = self.probing.ponged
        self.sessions.on_change = self.probing.look_at
        self.advising = Advising(self.control, ports.blobs, ports.telemetry, ask)
        self.sessions.advising = self.advising
        self.children.advise = self.advising.of_worker
        self.sessions.on_beat = Recycling(self.control, ports.host, ports.telemetry).heard
        self.on_over: list[Callable[[BaseException], None]] = []
        """Called once, with why, when nothing is decided or answered here any more."""
        self._quiet: asyncio.Future[None] | None = None
        self.mesh = Meshing(self.control, ports.host, self.sessions)
        self.effects = Effects(self.control, self.children, self.sessions, self.mesh)
        self.completions = Completions(self.control)
        asks = Asks(self.control, self.completions, ports.host, self.sessions.answer)
        self.syncing = Syncing(self.control, ports.host, self.sessions)
        mail = MailRoom(self.control, ports.host, self.sessions.answer)
        self.sessions.on_ask = lambda worker, message: (
            asks.take(worker, message)
            or self.mesh.take(worker, message)
            or mail.take(worker, message)
            or self.syncing.take(worker, message)
        )
        self.team_loads = TeamLoads(self.control, ports.host)
        self._ticker = Ticker(
            self.control,
            ports.host,
            self.liveness,
            self.probing,
            self.stalls,
            self._faulty,
            self.team_loads,
        )

    async def start(self) -> Answer:
        """Create the swarm or take it up again; returns once that is durable."""
        answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        now_ms = self._ports.host.now_ms()
        command = first_command(self.control.state, self._spec, now_ms, self.kept, self._grace_ms)

        def answer(found: Answer) -> None:
            if not answered.done():
                answered.set_result(found)

        self._starting = answered
        self.control.offer(command, answer, bounded=False)
        self.effects.start()
        self._ticker.start()
        return await answered

    async def stop(self, kill: bool = False) -> None:
        """End the workers and be silent. The log stays as it is: a later node takes it up.

        What was handed in until the last worker is gone is decided and answered still.
        """
        await self._wind_up(lambda done: self.children.close(done, kill))

    async def leave(self) -> None:
        """Be silent, and let the workers live on: a later node takes them up, or they end by
        themselves. What they reported until now is in the log; what they report later they keep."""
        self.sessions.close()
        await self._wind_up(self.children.leave)

    async def _wind_up(self, part: Callable[[Callable[[], None]], None]) -> None:
        self._ticker.stop()
        self.effects.stop()
        loop = asyncio.get_running_loop()
        gone: asyncio.Future[None] = loop.create_future()
        part(lambda: _settle(gone))
        await gone
        self.advising.close()
        if self.control.failure is None:
            quiet = self._quiet = loop.create_future()
            self.control.in_order(lambda _: _settle(quiet))
            await quiet
        self.sessions.close()
        self.control.close(Stopped("The orchestrator was closed.", hint="Open the folder again."))
        self._tell_over()
        self.completions.abandon(
            Stopped(
                "The orchestrator was closed before the task ended.",
                hint="With a folder of its own, the task goes on when that is opened again.",
            )
        )

    def process_state(self, worker: str) -> ProcessState | None:
        """What the system says of the process of a worker; `None` while it has none here."""
        child = self.children.child(worker)
        if child is None:
            return None
        return self._ports.host.process_state(child.process.pid, child.process.started)

    def _failed(self, failure: BaseException) -> None:
        starting = getattr(self, "_starting", None)
        if starting is not None and not starting.done():
            starting.set_exception(failure)
        if self._quiet is not None:
            _settle(self._quiet)
        self.advising.close()
        self._ticker.stop()
        self.effects.stop()
        self.control.close(failure)
        self._tell_over()
        self.completions.abandon(failure)
        self._on_failure(failure)

    def _tell_over(self) -> None:
        reason = self.control.failure
        calls, self.on_over = self.on_over, []
        if reason is not None:
            for call in calls:
                call(reason)

    def _faulty(self, faults: list[str]) -> None:
        self._failed(
            AuditFault(
                f"The auditor found {len(faults)} faults, the first: {faults[0]}.",
                hint="Please report this with the run's log; nothing acknowledged is lost.",
            )
        )


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
