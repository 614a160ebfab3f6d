"""Adoption: workers that outlived their orchestrator, found again by the next one.

A worker that may live on shows its secret to whoever comes after; of that the log keeps a hash.
One whose process still runs is kept: what was open in it stays open until it says hello, and only
if it does not in time is it ended and its work given out again.
"""

from hashlib import sha256
from hmac import compare_digest

import msgspec

from visionflow.engine.decide.draining import LIVE
from visionflow.engine.effects import StartWorker, memory_of
from visionflow.engine.state import SwarmState
from visionflow.ports.host import Host, Process


class Survivor(msgspec.Struct, frozen=True):
    """A process of an earlier life that runs still."""

    effect: StartWorker
    """What it was started by."""
    secret_hash: str
    process: Process


def hash_of(secret: str) -> str:
    """What the log keeps of a worker's secret, in hexadecimal digits."""
    return sha256(secret.encode()).hexdigest()


def is_secret(secret: str, secret_hash: str) -> bool:
    """Whether this is the secret that was hashed; takes the same time whatever it is."""
    return compare_digest(hash_of(secret), secret_hash)


def survivors(state: SwarmState, host: Host) -> list[Survivor]:
    """The recorded workers whose processes run, as far as each can show that it is the one."""
    found: list[Survivor] = []
    for worker in state.workers.values():
        secret_hash = state.supervised.secrets.get(worker.id)
        if secret_hash is None or worker.status not in LIVE:
            continue
        if worker.pid is None or worker.started is None:
            continue
        process = host.attach(worker.pid, worker.started)
        if process is not None:
            effect = StartWorker(worker.id, worker.incarnation, 0, memory_of(state, worker))
            found.append(Survivor(effect, secret_hash, process))
    return found
