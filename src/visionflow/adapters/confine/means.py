"""The means of confinement, strongest first, and what of the system every command may read."""

import functools
import os
import stat
from pathlib import Path

import msgspec

from .inside import landlock, seccomp

_SYSTEM = ("/usr", "/lib", "/lib32", "/lib64", "/libx32", "/bin", "/sbin")
_SYSTEM_FACTS = ("/sys/devices/system/cpu",)


class Means(msgspec.Struct, frozen=True):
    """One way to hold a command: which mechanisms are switched on together."""

    namespaces: bool = False
    landlock_abi: int = 0
    seccomp: bool = False
    bubblewrap: str | None = None
    """Path of the `bwrap` program."""

    @property
    def files(self) -> str | None:
        names = [f"landlock (abi {self.landlock_abi})"] if self.landlock_abi else []
        names += ["mount namespace"] if self.namespaces else []
        names += ["bubblewrap"] if self.bubblewrap else []
        return " and ".join(names) or None

    @property
    def network(self) -> str | None:
        if self.namespaces:
            return "network namespace"
        if self.bubblewrap:
            return "bubblewrap"
        names = [f"landlock tcp rules (abi {self.landlock_abi})"] * (self.landlock_abi >= 4)
        names += ["seccomp"] if self.seccomp else []
        return " and ".join(names) or None

    @property
    def processes(self) -> str:
        return "pid namespace" if self.namespaces else "subreaper"


def candidates() -> list[Means]:
    """What could work here, strongest first. Each must be tried before it is believed."""
    abi = landlock.abi()
    found = [Means(namespaces=True, landlock_abi=abi)]
    if abi:
        found.append(Means(landlock_abi=abi, seccomp=seccomp.usable()))
    program = _program("bwrap")
    if program:
        found.append(Means(bubblewrap=program))
    return [*found, Means()]


def _program(name: str) -> str | None:
    for folder in ("/usr/bin", "/usr/local/bin", "/bin"):
        if os.access(f"{folder}/{name}", os.X_OK):
            return f"{folder}/{name}"
    return None


@functools.cache
def system_reads() -> tuple[str, ...]:
    """Folders and files of the system that any command may read.

    Of /etc only what everybody may read: run by root, a command must not see the password hashes.
    """
    return (*_SYSTEM, *_readable_by_all(Path("/etc")), *_SYSTEM_FACTS)


def _readable_by_all(folder: Path) -> list[str]:
    """The folder itself when all in it is for everybody, else those of its parts that are."""
    parts: list[str] = []
    whole = True
    for entry in sorted(os.scandir(folder), key=lambda each: each.name):
        mode = entry.stat(follow_symlinks=False).st_mode
        path = os.path.join(folder, entry.name)
        if entry.is_symlink() and os.path.realpath(path).startswith("/proc/"):
            whole = False  # it names another process in each reader's eyes: /etc/mtab
        elif entry.is_symlink() or (stat.S_ISREG(mode) and mode & stat.S_IROTH):
            parts.append(path)
        elif stat.S_ISDIR(mode) and mode & stat.S_IROTH and mode & stat.S_IXOTH:
            inner = _readable_by_all(Path(path))
            whole = whole and inner == [path]
            parts += inner
        else:
            whole = False
    return [str(folder)] if whole else parts
