"""Recovery: fold the log, see to it that no process of an earlier life is left, then go on."""

from collections.abc import Collection

import msgspec

from visionflow.domain import commands as c
from visionflow.domain.errors import LogCorrupt
from visionflow.domain.events import decode_record
from visionflow.domain.swarms import SwarmSpec
from visionflow.engine.evolve import fold
from visionflow.engine.state import SwarmState
from visionflow.ports.host import Host
from visionflow.ports.log import Head, Log
from visionflow.ports.telemetry import Telemetry


def replay(log: Log, stream: str) -> tuple[SwarmState, Head]:
    """The state that a stream amounts to, and where the stream ends.

    Raises:
        LogCorrupt: the chain does not hold, or a record is not one of this version's.
    """
    state, head = SwarmState(), Head(0, bytes(32))
    for entry in log.read(stream):
        try:
            record = decode_record(entry.body)
        except msgspec.DecodeError as error:
            raise LogCorrupt(
                f"Record {entry.seq} of {stream} cannot be read: {error}.",
                hint="It may come from a newer version of VisionFlow.",
            ) from error
        fold(state, record)
        head = Head(entry.seq, entry.hash)
    return state, head


def end_leftovers(
    state: SwarmState, host: Host, telemetry: Telemetry, kept: Collection[str] = ()
) -> int:
    """Kill what is left of recorded workers but those `kept`, and wait until it is gone; how many
    there were."""
    found = 0
    for worker in state.workers.values():
        if worker.id in kept:
            continue
        if worker.pid is not None and worker.started is not None:
            if host.end_leftover(worker.pid, worker.started):
                found += 1
                telemetry.log(
                    "warning", None, "leftover_ended", f"{worker.id} pid {worker.pid} was alive"
                )
    return found


def first_command(
    state: SwarmState, spec: SwarmSpec, now_ms: int, kept: tuple[str, ...] = (), grace_ms: int = 0
) -> c.AnyCommand:
    """What a control plane does first: create the swarm, or take it up again, with the workers that
    live on and how long each of them has to say hello."""
    if state.spec is None:
        return c.CreateSwarm(now_ms=now_ms, spec=spec)
    return c.Recover(now_ms=now_ms, kept=kept, kept_until_ms=now_ms + grace_ms if kept else 0)
