"""Checks of the machine: what VisionFlow stands on."""

import os
import platform
import re
import resource
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from visionflow.compose.doctor.values import Check, Finding, Level, Place, Seen, Skipped

GIT_MIN = (2, 38)
"""`merge-tree --write-tree`, with which the merge queue merges, is there from this on."""
SQLITE_MIN = (3, 51, 3)
DISK_ERROR_BYTES, DISK_WARNING_BYTES = 100 * 1024**2, 1024**3
INODES_WARNING_SHARE = 0.02
MEMORY_WARNING_BYTES = 512 * 1024**2
FILES_MIN = 1_024
"""A server keeps a descriptor a connection, and some for each worker."""
CLOCK_SLACK_S = 60.0
BUILT_S = 1_767_225_600.0
"""The first of January 2026: no clock that is right shows less."""
GIT_S = 20.0


def machine_checks() -> tuple[Check, ...]:
    """All of them, in the order in which they are told."""
    return (
        Check("python", "Python and SQLite", python),
        Check("git", "git", git),
        Check("git-identity", "Who git says you are", git_identity),
        Check("git-ownership", "Whether git works in the workspace", git_ownership),
        Check("confinement", "Confinement of foreign code", confinement),
        Check("disk", "Room on the disks", disk),
        Check("memory", "Memory", memory),
        Check("open-files", "Open files", open_files),
        Check("clock", "The clock", clock),
    )


def python(_: Place) -> Seen:
    """The interpreter and the database in it."""
    import apsw

    version = apsw.sqlite_lib_version()
    told = f"Python {platform.python_version()}, SQLite {version}, {platform.platform()}"
    if tuple(map(int, version.split(".")[:3])) >= SQLITE_MIN:
        return Seen(told)
    least = ".".join(map(str, SQLITE_MIN))
    found = Finding(
        level=Level.ERROR,
        what=f"The SQLite library is {version}.",
        why=f"Before {least} a fault of it can corrupt a write-ahead log; no store is opened.",
        mend=f"{shlex.quote(sys.executable)} -m pip install --upgrade apsw",
    )
    return Seen(told, (found,))


def git(_: Place) -> Seen:
    """Whether there is a git that is new enough."""
    version = _git_version()
    if version is None:
        found = Finding(
            level=Level.ERROR,
            what="There is no git in PATH.",
            why="Runs work on private copies of a workspace that git makes.",
            mend=_install("git"),
        )
        return Seen("not found", (found,))
    numbers = tuple(map(int, re.findall(r"\d+", version)[:2]))
    if numbers >= GIT_MIN:
        return Seen(version)
    found = Finding(
        level=Level.WARNING,
        what=f"This is {version}.",
        why=f"Work of several agents is merged by git {'.'.join(map(str, GIT_MIN))} or later.",
        mend=_install("git"),
    )
    return Seen(version, (found,))


def git_identity(place: Place) -> Seen | Skipped:
    """Name and address that commits of the user's get."""
    if _git_version() is None:
        return Skipped("there is no git")
    files = (None, *_configs(place.workspace))
    missing = [
        key
        for key in ("user.name", "user.email")
        if not os.environ.get(_VARIABLES[key]) and not any(_configured(key, at) for at in files)
    ]
    if not missing:
        return Seen("user.name and user.email are set")
    words = " && ".join(f"git config --global {key} {_SAMPLES[key]}" for key in missing)
    found = Finding(
        level=Level.WARNING,
        what=f"git has no {' and no '.join(missing)}.",
        why="git refuses commits of yours, such as one on the branch that `visionflow apply` "
        "brings. VisionFlow's own commits, and agents' in their copies, have a name.",
        mend=words,
    )
    return Seen(f"no {', no '.join(missing)}", (found,))


_VARIABLES = {"user.name": "GIT_AUTHOR_NAME", "user.email": "GIT_AUTHOR_EMAIL"}
_SAMPLES = {"user.name": "'Your Name'", "user.email": "you@example.org"}


def git_ownership(place: Place) -> Seen | Skipped:
    """What git compares before it works in a folder, without starting it there: whose it is."""
    top = _top(place.workspace)
    if top is None:
        return Skipped(f"{place.workspace} is no git repository")
    if _git_version() is None:
        return Skipped("there is no git")
    owners = {path: path.lstat().st_uid for path in (top, top / ".git")}
    foreign = [path for path, uid in owners.items() if uid not in _own_uids()]
    allowed = _all_configured("safe.directory")
    if not foreign or "*" in allowed or str(top) in allowed:
        return Seen(f"{top} is yours" if not foreign else f"{top} is a safe.directory of yours")
    found = Finding(
        level=Level.WARNING,
        what=f"{foreign[0]} belongs to user {owners[foreign[0]]}, not to you.",
        why="git refuses to work there (dubious ownership), for you and for `visionflow apply`; "
        "reviews and runs read it without starting git in it.",
        mend=f"git config --global --add safe.directory {shlex.quote(str(top))}",
    )
    return Seen("it refuses", (found,))


def confinement(_: Place) -> Seen:
    """What holds foreign code here, found out by trying."""
    from visionflow.adapters.confine import OsSandbox

    held = OsSandbox().confinement
    told = ", ".join(
        f"{name}: {by}"
        for name, by in (
            ("files", held.filesystem),
            ("network", held.network),
            ("processes", held.processes),
            ("memory", held.memory),
        )
        if by is not None
    )
    if held.active:
        return Seen(told)
    bare = held.filesystem is None and shutil.which("bwrap") is None
    found = Finding(
        level=Level.WARNING,
        what="Nothing here can confine foreign code. " + " ".join(held.reasons),
        why="Tests of a workspace and coding agents are not run, unless you trust the folder "
        "with --trust; reports say so.",
        mend=_install("bubblewrap") if bare and sys.platform.startswith("linux") else None,
    )
    return Seen(told or "none", (found,))


def disk(place: Place) -> Seen:
    """Bytes and inodes that are free where something is written."""
    told: list[str] = []
    findings: list[Finding] = []
    for name, path in _written(place):
        room = os.statvfs(path)
        free = room.f_bavail * room.f_frsize
        told.append(f"{name} {size(free)}")
        if free < DISK_WARNING_BYTES:
            level = Level.ERROR if free < DISK_ERROR_BYTES else Level.WARNING
            findings.append(_full(level, f"{size(free)} are free", name, path, place))
        if room.f_files and room.f_favail < INODES_WARNING_SHARE * room.f_files:
            what = f"{room.f_favail} of {room.f_files} inodes are free"
            findings.append(_full(Level.WARNING, what, name, path, place))
    return Seen(f"free: {', '.join(told)}", tuple(findings))


def _full(level: Level, what: str, name: str, path: Path, place: Place) -> Finding:
    out = shlex.quote(str(place.out))
    return Finding(
        level=level,
        what=f"{name} ({path}): {what}.",
        why="What cannot be written durably is not acknowledged: a server whose log's disk is "
        "full ends, and loses nothing.",
        mend=f"visionflow workspace prune --out {out}" if place.out.is_dir() else None,
    )


def _written(place: Place) -> Iterator[tuple[str, Path]]:
    for name, path in (("home", place.home), ("workspace", place.workspace), ("temp", place.temp)):
        while not path.exists() and path != path.parent:
            path = path.parent
        yield name, path


def memory(_: Place) -> Seen | Skipped:
    """What is free, and what a control group around us leaves."""
    import psutil

    from visionflow.worker.limits import machine_bytes

    most, free = machine_bytes(), psutil.virtual_memory().available
    told = f"{size(free)} free of {'unknown' if most is None else size(most)}"
    if free >= MEMORY_WARNING_BYTES:
        return Seen(told)
    found = Finding(
        level=Level.WARNING,
        what=f"{size(free)} of memory are free.",
        why="A worker takes 15 to 60 MB and what its agents need; the kernel ends what it finds "
        "no room for. Run fewer agents, or give them ceilings.",
    )
    return Seen(told, (found,))


def open_files(_: Place) -> Seen:
    """The limit on descriptors of one process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    told = f"at most {'any number' if soft == resource.RLIM_INFINITY else soft} a process"
    if soft == resource.RLIM_INFINITY or soft >= FILES_MIN:
        return Seen(told)
    can = hard == resource.RLIM_INFINITY or hard >= FILES_MIN
    found = Finding(
        level=Level.WARNING,
        what=f"A process may open {soft} files.",
        why="A server with many connections and workers runs out of them.",
        mend=f"ulimit -n {4 * FILES_MIN if hard < 0 else min(4 * FILES_MIN, hard)}"
        if can
        else None,
    )
    return Seen(told, (found,))


def clock(place: Place) -> Seen:
    """Whether the clock stands before something that it has stamped."""
    now = time.time()
    told = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))
    latest, where = 0.0, place.home
    for path in _stamped(place):
        at = path.stat().st_mtime
        if at > latest:
            latest, where = at, path
    if now >= BUILT_S and latest <= now + CLOCK_SLACK_S:
        return Seen(told)
    seen = "before 2026" if now < BUILT_S else f"{latest - now:.0f} s before what wrote {where}"
    found = Finding(
        level=Level.WARNING,
        what=f"The clock shows {told}, which is {seen}.",
        why="Times in logs and reports are wrong. Order and deadlines of what runs hold: a store's "
        "clock never goes back, so it runs ahead of this one until that has caught up.",
        mend="timedatectl set-ntp true" if shutil.which("timedatectl") else None,
    )
    return Seen(told, (found,))


def _stamped(place: Place) -> Iterator[Path]:
    for folder in (place.home / "server", *(place.out.glob("*/state"))):
        for name in ("log.db", "log.db-wal", "visionflow.log"):
            if (folder / name).is_file():
                yield folder / name


def size(count: float) -> str:
    """Bytes in words."""
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"


# Git, asked in a folder of nobody's ----------------------------------------------------------


def _git(*words: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *words], cwd="/", capture_output=True, text=True, timeout=GIT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def _git_version() -> str | None:
    said = _git("version")
    return None if said is None else said.strip()


def _configured(key: str, file: Path | None) -> bool:
    """In this file, else in what holds for the user and the machine."""
    words = ("config", "--get", key) if file is None else ("config", "--file", str(file), key)
    return bool((_git(*words) or "").strip())


def _all_configured(key: str) -> list[str]:
    return (_git("config", "--get-all", key) or "").splitlines()


def _configs(workspace: Path) -> tuple[Path, ...]:
    """The repository's own file, which is read as data."""
    top = _top(workspace)
    file = None if top is None else top / ".git" / "config"
    return (file,) if file is not None and file.is_file() else ()


def _top(folder: Path) -> Path | None:
    for each in (folder, *folder.parents):
        if (each / ".git").exists():
            return each
    return None


def _own_uids() -> set[int]:
    """Those that git takes for ours: under sudo, that of who called it too."""
    own = {os.geteuid()}
    sudo = os.environ.get("SUDO_UID", "")
    return own | {int(sudo)} if own == {0} and sudo.isdigit() else own


def _install(package: str) -> str | None:
    """The command of this system's own package tool."""
    for tool, words in (
        ("apt-get", "apt-get install -y"),
        ("dnf", "dnf install -y"),
        ("apk", "apk add"),
        ("brew", "brew install"),
    ):
        if shutil.which(tool):
            rights = "" if tool == "brew" or os.geteuid() == 0 else "sudo "
            return f"{rights}{words} {package}"
    return None
