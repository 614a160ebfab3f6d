"""Finds the control groups that commands of this process may be put into.

Only groups below the process's own are used, so that a limit set above it stays in force. A name
carries the worker's process id, so that what a killed worker left is recognised and removed.
"""

import os
import secrets
from pathlib import Path

from .inside import groups as inside

_PREFIX = "visionflow-"


def parents() -> dict[str, Path]:
    """Folder per kind of group in which a group could be made and limits set; tried for real."""
    found: dict[str, Path] = {}
    for kind, folder, limit in _candidates():
        _sweep(folder)
        if _can_limit(folder, limit):
            found[kind] = folder
    if inside.V2 in found and inside.MEMORY_V1 in found:
        del found[inside.V2]
    return found


def named(parents: dict[str, Path]) -> dict[str, str]:
    """Paths of new groups for one command, by kind; nothing is made yet."""
    name = f"{_PREFIX}{os.getpid()}-{secrets.token_hex(4)}"
    return {kind: str(folder / name) for kind, folder in parents.items()}


def _candidates() -> list[tuple[str, Path, str]]:
    own = _own_groups()
    found: list[tuple[str, Path, str]] = []
    for line in _lines("/proc/self/mountinfo"):
        fields, _, after = line.partition(" - ")
        kind, _, options = after.split(" ", 2)
        root, place = fields.split(" ")[3:5]
        names = options.rsplit(" ", 1)[-1].split(",")
        if kind == "cgroup2":
            found.append((inside.V2, _below(place, root, own.get("", "/")), "memory.max"))
        elif kind == "cgroup" and "memory" in names:
            folder = _below(place, root, own.get("memory", "/"))
            found.append((inside.MEMORY_V1, folder, "memory.limit_in_bytes"))
        elif kind == "cgroup" and "pids" in names:
            found.append((inside.PROCESSES_V1, _below(place, root, own.get("pids", "/")), ""))
    return found


def _own_groups() -> dict[str, str]:
    """Own path by controller; the empty name is version 2."""
    found: dict[str, str] = {}
    for line in _lines("/proc/self/cgroup"):
        _, controllers, path = line.split(":", 2)
        for name in controllers.split(","):
            found[name] = path
    return found


def _below(place: str, root: str, own: str) -> Path:
    """Folder of the group `own` in a mount at `place` that shows the hierarchy from `root`."""
    inner = own[len(root) :] if root != "/" and own.startswith(root) else own
    folder = Path(place) / inner.lstrip("/")
    return folder if folder.is_dir() else Path(place)


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []


def _can_limit(parent: Path, limit: str) -> bool:
    folder = parent / f"{_PREFIX}{os.getpid()}-{secrets.token_hex(4)}"
    try:
        folder.mkdir()
    except OSError:
        return False
    try:
        names = {"memory.max", "pids.max"} if limit == "memory.max" else {limit or "pids.max"}
        return all(os.access(folder / name, os.W_OK) for name in names)
    finally:
        folder.rmdir()


def _sweep(parent: Path) -> None:
    """Remove empty groups of workers that are no longer alive."""
    for folder in parent.glob(f"{_PREFIX}*"):
        process = folder.name.split("-")[1]
        if process.isdigit() and not Path("/proc", process).exists():
            try:
                folder.rmdir()
            except OSError:
                continue
