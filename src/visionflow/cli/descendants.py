"""Descendants: what the front process answers for, and sees the end of before it returns.

On Linux the front adopts every orphan below it (it is their "subreaper"), so that a worker whose
orchestrator was killed becomes its own child and can be waited for, whatever it did. Elsewhere
the processes that the run's log recorded are looked for instead.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Set
from contextlib import suppress
from pathlib import Path

from visionflow.adapters.os_processes import (
    Identity,
    end_family,
    family,
    is_alive,
    marked,
    send,
    stat,
)

Spares = Callable[[Set[Identity]], Set[Identity]]
"""Of some processes those that shall live on."""
PR_SET_CHILD_SUBREAPER = 36
POLL_S = 0.01
_ORDER = b"\0VISIONFLOW_WORKER="
"""In the environment of a worker, and of nothing that it starts."""
KILLED_S_MAX = 10.0
"""What was killed and is still there after this waits for a device in the kernel."""
SWEEPS_MAX = 20


def adopts() -> bool:
    """Whether the system lets a process adopt orphans."""
    return sys.platform == "linux"


def adopt() -> bool:
    """Become the parent of every orphan below; false where the system offers no such thing."""
    if not adopts():
        return False
    import ctypes

    return ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0


def children() -> set[Identity]:
    """The living children of this process, adopted ones too."""
    me = os.getpid()
    found: set[Identity] = set()
    for name in _names():
        seen = stat(int(name))
        if seen is not None and seen.parent == me and seen.alive:
            found.add(Identity(seen.pid, seen.started))
    return found


def end(
    besides: Set[Identity],
    grace_s: float,
    spares: Spares | None = None,
) -> list[int]:
    """Wait until no child is left but those `besides`; the pids of those that would not go.

    Of the others those that `spares` gives live on too.

    They have `grace_s` to end by themselves, which workers do when their orchestrator is gone;
    then they are killed. What they leave behind is adopted, and ended likewise.
    """
    began = time.monotonic()
    while True:
        reap()
        left = children() - besides
        if spares is not None and left:
            left -= spares(left)
        if not left:
            return []
        waited = time.monotonic() - began
        if waited > grace_s + KILLED_S_MAX:
            return sorted(who.pid for who in left)
        if waited > grace_s:
            for who in left:
                with suppress(PermissionError):
                    send(who, signal.SIGKILL)
        time.sleep(POLL_S)


def workers(found: Set[Identity]) -> set[Identity]:
    """Of these processes the living workers, and what belongs to one: only Linux tells."""
    leaders = {who for who in found if _is_worker(who)}
    spared = set(leaders)
    if spared != found:
        for who in leaders:
            spared |= family(who) & found
    return spared


def _is_worker(who: Identity) -> bool:
    """A session of its own, and the order of a worker in its environment: a copy that an agent
    forked has only the latter."""
    seen = stat(who.pid)
    if seen is None or not seen.alive or seen.session != who.pid or seen.started != who.started:
        return False
    try:
        return _ORDER in b"\0" + Path("/proc", str(who.pid), "environ").read_bytes()
    except OSError:
        return False


def reap() -> dict[int, int]:
    """Take leave of children that ended: their exit codes by pid, negative for a signal."""
    ended: dict[int, int] = {}
    with suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            ended[pid] = os.waitstatus_to_exitcode(status)
    return ended


def end_recorded(log: Path) -> int:
    """End what lives of the workers that this log recorded; how many there were.

    Raises:
        VisionFlowError: one of them does not end although it was killed.
    """
    from visionflow.adapters.sqlite.log import SqliteLog
    from visionflow.domain.events import WorkerStarted, decode_record
    from visionflow.domain.fleet import STREAM

    if not log.exists():
        return 0
    reader = SqliteLog.open(log, read_only=True)
    try:
        recorded = {
            Identity(event.pid, event.started)
            for stream in reader.streams()
            if stream != STREAM
            for entry in reader.read(stream)
            for event in decode_record(entry.body).events
            if isinstance(event, WorkerStarted)
        }
    finally:
        reader.close()
    return sum(end_family(who) for who in recorded)


def end_marked(
    name: str,
    value: str,
    grace_s: float,
    spares: Spares | None = None,
) -> int:
    """End what lives of processes started with `name=value` in their environment, but those that
    `spares` gives.

    It finds workers that a killed orchestrator had not recorded yet. They end by themselves, so
    they have `grace_s` for it; how many there were is returned. Only Linux shows environments.
    """
    found = left = _marked(name, value, spares)
    began = time.monotonic()
    while left and time.monotonic() - began < grace_s:
        time.sleep(POLL_S)
        left = {who for who in left if is_alive(who)}
    sweeps = SWEEPS_MAX if found else 0
    # Looked for anew: what ended meanwhile may have started others.
    while sweeps and (left := _marked(name, value, spares)):
        sweeps -= 1
        for who in left:
            end_family(who)
    return len(found)


def _marked(name: str, value: str, spares: Spares | None) -> set[Identity]:
    found = marked(name, value)
    return found - spares(found) if spares is not None and found else found


def _names() -> list[str]:
    try:
        return [name for name in os.listdir("/proc") if name.isdigit()]
    except FileNotFoundError:
        return []
