"""The descendants of a process, what memory they hold, and how they are all ended.

Without a process namespace a descendant may have any parent in between; as the launcher is a
subreaper, orphans come back to it, so that the tree below it is always whole.
"""

import os
import signal
import time

_PAUSE_SECONDS = 0.001
_PAGE = os.sysconf("SC_PAGE_SIZE")


def _parents() -> dict[int, int]:
    """Parent of each process that this one can see; dead ones that were not reaped too."""
    found: dict[int, int] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            text = _read(f"/proc/{name}/stat")
            if text:
                found[int(name)] = int(text.rpartition(b")")[2].split()[1])
    return found


def _read(path: str) -> bytes:
    try:
        place = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(place, 8192)
    except OSError:
        return b""
    finally:
        os.close(place)


def descendants(root: int) -> list[int]:
    """Process ids below `root`, without it."""
    children: dict[int, list[int]] = {}
    for process, parent in _parents().items():
        children.setdefault(parent, []).append(process)
    found: list[int] = []
    rest = [root]
    while rest:
        below = children.get(rest.pop(), [])
        found += below
        rest += below
    return found


def resident_bytes(processes: list[int]) -> int:
    """Sum of resident sizes; pages that processes share are counted for each."""
    total = 0
    for each in processes:
        fields = _read(f"/proc/{each}/statm").split()
        total += int(fields[1]) * _PAGE if len(fields) > 1 else 0
    return total


def proportional_bytes(processes: list[int]) -> int:
    """Like `resident_bytes`, shared pages divided among those who share; slower to find out."""
    total = 0
    for each in processes:
        for line in _read(f"/proc/{each}/smaps_rollup").splitlines():
            if line.startswith(b"Pss:"):
                total += int(line.split()[1]) * 1024
                break
        else:
            total += resident_bytes([each])
    return total


def end_all(root: int, *, besides: int = 0, rounds_max: int = 2000) -> bool:
    """Kill and reap every descendant of this process but that one; whether none is left.

    New ones may be born while the list is walked, so it goes round until a round finds none.
    """
    for _ in range(rounds_max):
        below = [each for each in descendants(root) if each != besides]
        for each in below:
            _send(each, signal.SIGKILL)
        if not below:
            return True
        _reap()
        time.sleep(_PAUSE_SECONDS)
    return False


def _send(process: int, number: int) -> None:
    try:
        os.kill(process, number)
    except (ProcessLookupError, PermissionError):
        pass


def _reap() -> None:
    """Take the dead among the own children."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return
