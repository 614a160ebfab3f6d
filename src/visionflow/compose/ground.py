"""The ground that swarms of one process stand on: one log, one hub, the blobs, the machine.

A swarm is opened on it as a node with workers of its own; workers of two swarms may have the same
name and hear nothing of each other. Where things lie is said by whoever makes the ground.
"""

import json
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from visionflow.adapters.hub import (
    Claim,
    Grant,
    Hub,
    NotYet,
    socket_path_for,
    socket_path_in,
    worker_grant,
)
from visionflow.adapters.title import PADDING
from visionflow.compose.asking import asking
from visionflow.compose.hiding import hide_environment, hide_settings
from visionflow.compose.outputs import Outputs
from visionflow.domain.ids import one_word
from visionflow.domain.swarms import SwarmSpec
from visionflow.engine.effects import StartWorker
from visionflow.ports.blobs import Blobs
from visionflow.ports.bus import Bus
from visionflow.ports.host import Host
from visionflow.ports.log import Log
from visionflow.ports.telemetry import Telemetry
from visionflow.runtime.children import Launch
from visionflow.runtime.node import Node, Ports
from visionflow.worker.hiding import HIDDEN
from visionflow.worker.limits import machine_bytes, over_ceiling

UNSEEN = ("VISIONFLOW_TOKEN",)
"""Variables that are for us and not for agents."""


class _Stamp(msgspec.Struct, frozen=True, array_like=True):
    """Of a record of any stream, what all have."""

    at_ms: int


_stamps = msgspec.msgpack.Decoder(_Stamp)


def last_ms(log: Log, streams: Iterable[str]) -> int:
    """The latest time in these streams: the clock must not seem to go back over a restart."""
    latest = 0
    for stream in streams:
        try:
            for entry in log.read(stream, log.head(stream).seq - 1):
                latest = max(latest, _stamps.decode(entry.body).at_ms)
        except msgspec.DecodeError:
            continue  # Whoever folds the stream will say what is wrong with it, and where.
    return latest


class Places(msgspec.Struct, frozen=True):
    """Where workers find what they share."""

    hub: Path
    """Whose hub it is: the socket's name follows from this folder."""
    blobs: Path
    workers: Path
    """The file that gets what worker processes print."""
    socket_inside: bool = False
    """Whether the socket stands in the folder of the hub, which is private then: its place must be
    the same for every process that comes to own the folder."""


class Ground:
    """Made in the loop that it is to live in; `await listen()`, then `open` swarms on it."""

    def __init__(
        self,
        places: Places,
        log: Log,
        blobs: Blobs,
        host: Host,
        telemetry: Telemetry,
        on_failure: Callable[[BaseException], None],
        import_paths: tuple[str, ...] = (),
        on_node: Callable[[SwarmSpec, Node], None] | None = None,
        grace_ms: int = 0,
    ) -> None:
        """`on_failure` is called when a swarm can answer nothing more: then none should go on;
        `on_node` with the node of each swarm before it starts. `grace_ms`: how long workers live on
        when this process is gone; 0: they end with it. Until `complete` is called those of swarms
        that are not open yet are asked to come again."""
        self._places = places
        self.log = log
        self.blobs = blobs
        self.host = host
        self.telemetry = telemetry
        self._on_failure = on_failure
        self._import_paths = import_paths
        self._on_node = on_node
        self._grace_ms = grace_ms
        self._complete = grace_ms == 0
        self._leaving = False
        self._path = ""
        hide_environment()
        self._outputs = Outputs(places.workers, HIDDEN.text)
        self._asking = asking(import_paths)
        self._nodes: dict[str, Node] = {}
        self._buses: dict[str, Bus] = {}
        self._hub = Hub(self._verify)

    async def listen(self) -> None:
        """Let workers dial from now on.

        Raises:
            ConfigError: the socket cannot be made where it should be.
        """
        places = self._places
        path = socket_path_in(places.hub) if places.socket_inside else socket_path_for(places.hub)
        await self._hub.listen(path)
        self._path = path

    def complete(self) -> None:
        """Every swarm that was there is open: other workers than theirs are strangers."""
        self._complete = True

    def leave_workers(self) -> None:
        """From now on whoever closes a swarm leaves its workers to the process that comes next."""
        self._leaving = self._grace_ms > 0

    async def open(self, spec: SwarmSpec, scratch: Path) -> Node:
        """Create a swarm or take it up again; returns once that is durable.

        `scratch` is the folder of its agents.

        Raises:
            VisionFlowError: its stream is corrupt, or cannot be written.
        """
        room = one_word(spec.id)
        bus = self._hub.open_room(room, lambda sender: self._gone(room, sender))
        self._buses[room] = bus
        ports = Ports(self.log, bus, self.blobs, self.host, self.telemetry)

        def launch(effect: StartWorker) -> Launch:
            # A stream keeps the limits that it was created with, and its workers keep to them.
            known = self._nodes.get(room)
            kept = None if known is None else known.control.state.spec
            return self._launch(effect, kept or spec, scratch)

        try:
            node = Node(spec, ports, launch, self._on_failure, self._grace_ms, self._asking)
            self._nodes[room] = node
            hide_settings(node, self.blobs)
            node.children.on_given_up = lambda worker, incarnation: self._hub.disconnect(
                f"{worker}.{incarnation}", room
            )
            if self._on_node is not None:
                self._on_node(spec, node)
            await node.start()
        except BaseException:
            self._nodes.pop(room, None)
            await self._leave(room)
            raise
        return node

    async def close_swarm(self, swarm: str, kill: bool = False) -> None:
        """End its workers (or leave them), then its node; its stream stays."""
        room = one_word(swarm)
        node = self._nodes.get(room)
        if node is not None:
            if self._leaving and node.control.state.closed is None:
                await node.leave()
            else:
                await node.stop(kill)
            self._nodes.pop(room, None)
        await self._leave(room)

    async def _leave(self, room: str) -> None:
        self._hub.close_room(room)
        bus = self._buses.pop(room, None)
        if bus is not None:
            await bus.close()

    def worker_pids(self) -> list[int]:
        """Of the living worker processes of all swarms."""
        return [pid for node in self._nodes.values() for pid in node.children.pids()]

    async def close(self) -> None:
        """Close the hub, once every swarm is closed."""
        await self._hub.close()

    def _verify(self, claim: Claim) -> Grant | None:
        node = self._nodes.get(claim.swarm)
        if node is None or not node.children.admits(
            claim.worker, claim.incarnation, claim.secret, claim.pid
        ):
            if self._leaving or (node is None and not self._complete):
                raise NotYet
            return None
        return worker_grant(claim.worker, claim.swarm, claim.role, claim.swarm)

    def _gone(self, room: str, sender: str) -> None:
        node = self._nodes.get(room)
        if node is not None:
            node.sessions.disconnected(sender)

    def _launch(self, effect: StartWorker, spec: SwarmSpec, scratch: Path) -> Launch:
        order = {
            "worker": effect.worker,
            "incarnation": effect.incarnation,
            "swarm": one_word(spec.id),
            "socket": self._path,
            "blobs": str(self._places.blobs),
            "folder": str(scratch),
            "heartbeat_ms": spec.limits.heartbeat_ms,
            "orphan_grace_ms": self._grace_ms,
            "memory_bytes": effect.memory_bytes,
            "import_paths": list(self._import_paths),
        }
        env = dict(os.environ) | {"VISIONFLOW_WORKER": json.dumps(order)}
        for name in UNSEEN:
            env.pop(name, None)
        argv = (sys.executable, "-P", "-m", "visionflow.compose.worker", PADDING)
        output = self._outputs.file_of(spec.id, effect.worker, effect.incarnation)
        return Launch(
            argv,
            env,
            stderr_path=str(output),
            over_ceiling=None if effect.memory_bytes is None else over_ceiling,
            last_words=lambda: self._outputs.ended(output),
            machine_bytes=machine_bytes(),
        )

    def keep_outputs_within_bounds(self) -> None:
        """Bound what worker processes print. It blocks; from any thread."""
        for name, dropped in self._outputs.keep_within_bounds():
            told = f"{dropped} bytes of what {name} printed: it printed too much"
            self.telemetry.log("warning", None, "output_dropped", told)
