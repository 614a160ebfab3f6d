"""The memory ceiling of this process, and what holds it.

Two means, together where both are there. A control group of the kernel stops everything that the
process and its children take, by killing; a watcher thread reads the resident memory and, a
little below the ceiling, reports what runs and ends the process in order. The watcher can miss
what is taken between two looks; the group cannot, but gives no time to say anything.
"""

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple

LOOK_S = 0.05
WATCH_SHARE = 0.97
"""The watcher acts at this share of the ceiling, so that it comes before the group's killer."""
GROWTH_STEPS = 50
"""In so many parts of the ceiling growth is told of."""

KILLED_KEPT = 64
"""So many groups in which the kernel killed are left for whoever is about to ask for that."""

_STATM = "/proc/self/statm"
_GROUPS = Path("/sys/fs/cgroup")
_PREFIX = "visionflow-worker-"


class Enforcement(NamedTuple):
    """What holds the ceiling, in words, and the group where there is one."""

    means: str
    group: Path | None


def resident_bytes() -> int:
    """Resident memory of this process.

    Raises:
        OSError: the system does not tell (it has no /proc).
    """
    with open(_STATM, "rb") as file:
        return _resident_in(file.read())


def _resident_in(statm: bytes) -> int:
    return int(statm.split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Growth:
    """Tells when this process holds so much more memory than when it told last that somebody should
    know at once."""

    def __init__(self, ceiling_bytes: int) -> None:
        self._step = ceiling_bytes // GROWTH_STEPS
        self._told = 0

    def is_news(self) -> bool:
        """Whether it has grown by a step since it was asked last and said yes."""
        now = known_resident_bytes() or 0
        is_news = now >= self._told + self._step
        if is_news or now < self._told:
            self._told = now
        return is_news


def known_resident_bytes() -> int | None:
    """Resident memory of this process; `None` where the system does not tell."""
    try:
        return resident_bytes()
    except OSError:
        return None


def enforce(memory_bytes: int, on_reached: Callable[[int], None]) -> Enforcement:
    """Hold this process to the ceiling from now on, and say by what means.

    `on_reached` is called once on the watcher's thread, with the resident bytes it saw. Where
    the system does not tell resident memory and has no groups, nothing holds it, and `means`
    says so.
    """
    group = _own_group(memory_bytes)
    means = [] if group is None else ["a control group of the kernel"]
    try:
        resident_bytes()
    except OSError:
        pass
    else:
        means.append("a watcher of resident memory")
        limit = int(memory_bytes * WATCH_SHARE)
        threading.Thread(
            target=_watch, args=(limit, on_reached), name="memory", daemon=True
        ).start()
    return Enforcement(" and ".join(means) or "nothing", group)


def leave(enforcement: Enforcement) -> None:
    """Leave and remove the group, at an orderly end. What a kill leaves, the next one removes."""
    if enforcement.group is not None:
        try:
            parent = enforcement.group.parent
            (parent / "cgroup.procs").write_text(str(os.getpid()))
            enforcement.group.rmdir()
        except OSError:
            return


def over_ceiling(pid: int) -> bool:
    """Whether the kernel killed in the group that this process held itself to. From outside it,
    when it is dead, and once: its group is removed. `False` also when that is gone."""
    for parent, _ in _parents():
        group = parent / f"{_PREFIX}{pid}"
        if _has_killed(group):
            with suppress(OSError):
                group.rmdir()
            return True
    return False


def _has_killed(group: Path) -> bool:
    for name in ("memory.events", "memory.oom_control"):
        try:
            text = (group / name).read_text()
        except OSError:
            continue
        counts = [line.split() for line in text.splitlines() if line.startswith("oom_kill ")]
        if any(int(count) > 0 for _, count in counts):
            return True
    return False


@cache
def machine_bytes() -> int | None:
    """What this process and all beside it may use together: the machine's memory, or less where a
    control group around us says so. `None` where the system does not tell."""
    try:
        found = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    except (OSError, ValueError):
        return None
    for parent, setting in _parents():
        for folder in (parent, *parent.parents):
            try:
                found.append(int((folder / setting).read_text()))
            except (OSError, ValueError):
                continue  # No limit there: the file is missing, or says "max".
    return min(each for each in found if each > 0)


def _watch(limit: int, on_reached: Callable[[int], None]) -> None:
    wait = threading.Event().wait
    # It stays open: an agent may leave no descriptor free, and may close what is not its own.
    file = os.open(_STATM, os.O_RDONLY | os.O_CLOEXEC)
    while True:
        try:
            seen = _resident_in(os.pread(file, 256, 0))
        except (OSError, ValueError, IndexError):
            with suppress(OSError):
                file = os.open(_STATM, os.O_RDONLY | os.O_CLOEXEC)
            seen = 0
        if seen > limit:
            on_reached(seen)
            return
        wait(LOOK_S)


def _own_group(memory_bytes: int) -> Path | None:
    for parent, setting in _parents():
        group = parent / f"{_PREFIX}{os.getpid()}"
        try:
            _sweep(parent)
            with suppress(FileNotFoundError):
                group.rmdir()  # An earlier process had this number.
            group.mkdir()
        except OSError:
            continue
        try:
            (group / setting).write_text(str(memory_bytes))
            (group / "cgroup.procs").write_text(str(os.getpid()))
        except OSError:
            group.rmdir()
            continue
        return group
    return None


def _parents() -> list[tuple[Path, str]]:
    """Groups that this process is in, with the file that limits memory (version 2, then 1)."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    found: list[tuple[Path, str]] = []
    for line in lines:
        _, controllers, own = line.split(":", 2)
        if not controllers and (_GROUPS / "cgroup.controllers").exists():
            found.insert(0, (_GROUPS / own.lstrip("/"), "memory.max"))
        elif "memory" in controllers.split(","):
            found.append((_GROUPS / "memory" / own.lstrip("/"), "memory.limit_in_bytes"))
    return found


def _sweep(parent: Path) -> None:
    """Remove the empty groups of workers that were killed. One with a process refuses to go."""
    killed: list[Path] = []
    for left in parent.glob(f"{_PREFIX}*"):
        if _has_killed(left):
            killed.append(left)
        else:
            with suppress(OSError):
                left.rmdir()
    for left in killed[:-KILLED_KEPT]:
        with suppress(OSError):
            left.rmdir()
