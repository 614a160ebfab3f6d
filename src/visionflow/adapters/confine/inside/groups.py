"""Control groups of one command: made by the launcher, entered by the command, removed at its end.

They are always made below the group that this process is in, so that every limit above stays in
force. Version 1 hierarchies hold memory and processes apart; version 2 holds both in one group.
"""

import errno
import os
import time
from collections.abc import Mapping

MEMORY_V1, PROCESSES_V1, V2 = "memory_v1", "pids_v1", "v2"
_REMOVE_ROUNDS_MAX = 200


def make(groups: Mapping[str, str], *, memory_bytes: int | None, processes_max: int) -> list[int]:
    """Make each with its limits; open descriptors through which a process enters by writing 0.

    Raises:
        OSError: a group could not be made or lacks a limit that was asked for.
    """
    for kind, folder in groups.items():
        os.mkdir(folder)
        if kind in (PROCESSES_V1, V2):
            _set(folder, "pids.max", processes_max)
        if memory_bytes is not None:
            _limit_memory(kind, folder, memory_bytes)
    flags = os.O_WRONLY | os.O_CLOEXEC
    return [os.open(f"{folder}/cgroup.procs", flags) for folder in groups.values()]


def _limit_memory(kind: str, folder: str, memory_bytes: int) -> None:
    if kind == MEMORY_V1:
        _set(folder, "memory.limit_in_bytes", memory_bytes)
        if os.path.exists(f"{folder}/memory.memsw.limit_in_bytes"):
            _set(folder, "memory.memsw.limit_in_bytes", memory_bytes)
    if kind == V2:
        _set(folder, "memory.max", memory_bytes)
        if os.path.exists(f"{folder}/memory.swap.max"):
            _set(folder, "memory.swap.max", 0)


def peak_bytes(groups: Mapping[str, str]) -> int | None:
    """The most memory the group ever held; `None` where no group or no kernel tells."""
    for kind, name in ((MEMORY_V1, "memory.max_usage_in_bytes"), (V2, "memory.peak")):
        if kind in groups:
            text = _read(groups[kind], name)
            return int(text) if text else None
    return None


def ran_out_of_memory(groups: Mapping[str, str]) -> bool:
    """Whether the kernel killed a process of the group for its memory."""
    for kind, name in ((MEMORY_V1, "memory.oom_control"), (V2, "memory.events")):
        if kind in groups:
            rows = (line.split() for line in _read(groups[kind], name).splitlines())
            return any(row[0] == "oom_kill" and int(row[1]) > 0 for row in rows if len(row) == 2)
    return False


def remove(groups: Mapping[str, str]) -> None:
    """Remove those that are there; the last dead process may take a moment to leave one."""
    for folder in groups.values():
        for _ in range(_REMOVE_ROUNDS_MAX):
            try:
                os.rmdir(folder)
            except OSError as error:
                if error.errno != errno.EBUSY:
                    break
                time.sleep(0.002)
            else:
                break


def _set(folder: str, name: str, value: int) -> None:
    place = os.open(f"{folder}/{name}", os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(place, str(value).encode("ascii"))
    finally:
        os.close(place)


def _read(folder: str, name: str) -> str:
    try:
        with open(f"{folder}/{name}", encoding="ascii") as lines:
            return lines.read()
    except OSError:
        return ""
