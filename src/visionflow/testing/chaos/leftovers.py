"""What lives of a server, looked for in the process table: by mark, and by pid and start time."""

import signal
from collections.abc import Iterable

import psutil

from visionflow.adapters.os_processes import Identity, identity, is_alive, send


def marked(name: str, value: str) -> list[Identity]:
    """Living processes that were started with `name=value` in their environment."""
    found: list[Identity] = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(name) != value or process.pid == psutil.Process().pid:
                continue
        except (psutil.Error, OSError):
            continue  # Gone, or somebody else's.
        who = identity(process.pid)
        if who is not None and is_alive(who):
            found.append(who)
    return found


def end(found: Iterable[Identity]) -> None:
    """Wake and kill them."""
    for who in found:
        send(who, signal.SIGKILL)


def names(found: Iterable[Identity]) -> list[str]:
    """How lists of processes show them."""
    told: list[str] = []
    for who in found:
        try:
            line = " ".join(psutil.Process(who.pid).cmdline()).strip("\0 ")
        except psutil.Error:
            line = "gone"
        told.append(f"{who.pid} ({line:.80})")
    return told
