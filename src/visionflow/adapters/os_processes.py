"""What the operating system tells about processes: who one is, who belongs to it, and ending it.

A pid alone names a process only while it lives; with the start time (and the boot it counts
from) it names it for good. `host_os` starts processes, `lock` writes down who owns a log.
"""

import os
import signal
import time
from collections.abc import Iterator, Set
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple

from visionflow.domain.errors import VisionFlowError
from visionflow.ports.host import ProcessState

PROC = Path("/proc")
POLL_S = 0.005
STARTED_BY = "VISIONFLOW_STARTED_BY"
"""In the environment of a worker and of all that it starts: a word that no other worker has."""
SWEEPS_MAX = 20
DEATH_S_MAX = 10.0
"""A killed process is gone in a moment, unless the kernel itself waits for a device."""


class Identity(NamedTuple):
    """A process for good: `started` is opaque text."""

    pid: int
    started: str


class Stat(NamedTuple):
    """A line of the process table. `alive` is false for a zombie; `stopped` is as by SIGSTOP, or
    by a debugger."""

    pid: int
    parent: int
    group: int
    session: int
    started: str
    alive: bool
    stopped: bool = False


@cache
def _boot() -> str:
    """Start times count from the boot, so they repeat in the next one."""
    return (PROC / "sys/kernel/random/boot_id").read_text().strip()[:8]


def stat(pid: int) -> Stat | None:
    """The process with this number, `None` when there is none."""
    if not (PROC / "self/stat").exists():
        return _stat_elsewhere(pid)
    try:
        line = (PROC / str(pid) / "stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name in brackets may itself hold blanks and brackets.
    fields = line[line.rindex(")") + 2 :].split()
    return Stat(
        pid,
        parent=int(fields[1]),
        group=int(fields[2]),
        session=int(fields[3]),
        started=f"{_boot()}-{fields[19]}",
        alive=fields[0] not in "ZX",
        stopped=fields[0] in "Tt",
    )


def _stat_elsewhere(pid: int) -> Stat | None:
    """Without /proc: what psutil can find out."""
    import psutil

    try:
        process = psutil.Process(pid)
        with process.oneshot():
            status = process.status()
            return Stat(
                pid,
                parent=process.ppid(),
                group=os.getpgid(pid),
                session=os.getsid(pid),
                started=f"{process.create_time():.3f}",
                alive=status != psutil.STATUS_ZOMBIE,
                stopped=status in (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP),
            )
    except (psutil.NoSuchProcess, ProcessLookupError):
        return None
    except (psutil.AccessDenied, PermissionError):
        # Somebody else's: it exists, and no process of ours is like that.
        return Stat(pid, parent=0, group=0, session=0, started="", alive=True)


def identity(pid: int) -> Identity | None:
    """Who has this pid now; a zombie still has it."""
    found = stat(pid)
    return None if found is None else Identity(pid, found.started)


def is_alive(who: Identity) -> bool:
    """Whether this very process still runs; a zombie does not."""
    found = stat(who.pid)
    return found is not None and found.alive and found.started == who.started


def state_of(who: Identity) -> ProcessState:
    """How this very process is now."""
    found = stat(who.pid)
    if found is None or found.started != who.started:
        return ProcessState.GONE
    if not found.alive:
        return ProcessState.ZOMBIE
    return ProcessState.STOPPED if found.stopped else ProcessState.RUNNING


def _everyone() -> Iterator[Stat]:
    if (PROC / "self/stat").exists():
        pids = [int(name) for name in os.listdir(PROC) if name.isdigit()]
    else:
        import psutil

        pids = psutil.pids()
    for pid in pids:
        found = stat(pid)
        if found is not None:
            yield found


def family(leader: Identity, seen: Set[int] = frozenset()) -> set[Identity]:
    """The living processes of a session or group that `leader` opened, and their descendants.

    Descendants count even when they opened sessions of their own. Nobody is family when the
    number belongs to another process by now: while a group or session has members, the kernel
    gives its number to no new process. `seen` are pids of some that were family a moment ago:
    what they left in theirs is no descendant any more.
    """
    now = stat(leader.pid)
    if now is not None and now.started != leader.started:
        return set()
    # Without a leader to compare with, at least none that is older, or of another boot.
    everyone = [found for found in _everyone() if _not_older(found.started, leader.started)]
    pids, opened = {leader.pid}, {leader.pid, *seen}
    pids |= {found.pid for found in everyone if not opened.isdisjoint((found.group, found.session))}
    before = 0
    while before != len(pids):
        before = len(pids)
        pids |= {found.pid for found in everyone if found.parent in pids}
    pids.discard(os.getpid())
    return {
        Identity(found.pid, found.started)
        for found in everyone
        if found.pid in pids and found.alive
    }


def marked(name: str, value: str) -> set[Identity]:
    """The living processes, but this one, that have `name=value` in the environment that they were
    started with. Only Linux shows it; elsewhere none is found."""
    mark = os.fsencode(f"{name}={value}")
    found: set[Identity] = set()
    if not (PROC / "self/stat").exists():
        return found
    for entry in os.listdir(PROC):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        try:
            environment = (PROC / entry / "environ").read_bytes()
        except OSError:
            continue
        seen = stat(int(entry)) if mark in environment.split(b"\0") else None
        if seen is not None and seen.alive:
            found.add(Identity(seen.pid, seen.started))
    return found


def mark_of(who: Identity) -> str | None:
    """The word that a worker and what it starts have in common; `None` where that is not told."""
    try:
        environment = (PROC / str(who.pid) / "environ").read_bytes()
    except OSError:
        return None
    start = os.fsencode(f"{STARTED_BY}=")
    for entry in environment.split(b"\0"):
        if entry.startswith(start) and is_alive(who):
            return os.fsdecode(entry.removeprefix(start))
    return None


def end_started_by(mark: str) -> None:
    """Kill what a worker that has ended left behind, in whatever session, as far as the system
    shows environments. What forks meanwhile is looked for again; it does not wait for deaths."""
    killed: set[Identity] = set()
    for _ in range(SWEEPS_MAX):
        left = marked(STARTED_BY, mark) - killed
        if not left:
            return
        for who in left:
            with suppress(PermissionError):
                send(who, signal.SIGKILL)
        killed |= left


def _not_older(started: str, than: str) -> bool:
    boot, _, ticks = started.rpartition("-")
    boot_then, _, ticks_then = than.rpartition("-")
    try:
        return boot == boot_then and float(ticks) >= float(ticks_then)
    except ValueError:
        return False


def send(who: Identity, number: signal.Signals) -> None:
    """Signal this very process, and no later one with its pid. Harmless when it is gone."""
    if not hasattr(os, "pidfd_open"):
        if is_alive(who):
            with suppress(ProcessLookupError):
                os.kill(who.pid, number)
        return
    try:
        descriptor = os.pidfd_open(who.pid)
    except ProcessLookupError:
        return
    try:
        # The descriptor holds on to whoever has the pid now; the start time says who that is.
        if is_alive(who):
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(descriptor, number)
    finally:
        os.close(descriptor)


def end_family(leader: Identity) -> bool:
    """Kill a process with its family, and return once none of them is alive.

    Returns whether there was one. It blocks, for milliseconds as a rule.

    Raises:
        VisionFlowError: one of them does not end although it was killed.
    """
    waiting: set[Identity] = set()
    seen: set[int] = set()
    deadline = time.monotonic() + DEATH_S_MAX
    while True:
        # Looked for anew each time: a process may have forked just before it was killed.
        waiting = {who for who in waiting if is_alive(who)} | family(leader, seen)
        if not waiting:
            return bool(seen)
        seen |= {who.pid for who in waiting}
        if time.monotonic() > deadline:
            pids = ", ".join(str(who.pid) for who in sorted(waiting))
            raise VisionFlowError(
                f"Processes of an earlier run were killed and do not end: {pids}.",
                hint="The kernel waits for a device, or they belong to another user; end them.",
            )
        for who in waiting:
            with suppress(PermissionError):
                send(who, signal.SIGKILL)
        time.sleep(POLL_S)


def end_young_descendants(age_s: float) -> int:
    """Kill the descendants of this process that were started within the last so many seconds; how
    many there were."""
    pids, young, before = {os.getpid()}, _started_ago(age_s), 0
    everyone = list(_everyone())
    while before != len(pids):
        before = len(pids)
        pids |= {found.pid for found in everyone if found.parent in pids}
    ended = [
        found
        for found in everyone
        if found.pid in pids
        and found.pid != os.getpid()
        and found.alive
        and _not_older(found.started, young)
    ]
    for found in ended:
        send(Identity(found.pid, found.started), signal.SIGKILL)
    return len(ended)


def _started_ago(age_s: float) -> str:
    """How a process says when it was started that was started so long ago."""
    if not (PROC / "self/stat").exists():
        return f"{time.time() - age_s:.3f}"
    since_boot_s = time.clock_gettime(time.CLOCK_BOOTTIME) - age_s
    return f"{_boot()}-{int(since_boot_s * os.sysconf('SC_CLK_TCK'))}"
