"""What the processes below this one cost, and how to start and end one by its pid."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
ROOT = Path(__file__).resolve().parent.parent


class NotThere(Exception):
    """What should be measured could not be started; the text says why."""


def descendants(pid: int) -> list[int]:
    """Processes below this one."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = [int(word) for word in task.read_text().split()]
        except OSError:
            continue
        for child in children:
            found += [child, *descendants(child)]
    return found


def cpu_s(pid: int) -> float:
    """Seconds of CPU that a process has used; 0 when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def descendants_cpu_s() -> float:
    """Seconds of CPU that all processes below this one have used."""
    return sum(cpu_s(pid) for pid in descendants(os.getpid()))


def pss_bytes(pid: int) -> int:
    """Proportional share of memory: what is shared counts once for all who share it."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise NotThere(f"process {pid} does not say how much memory it uses")


def start(
    argv: Sequence[str], log: Path, extra: Mapping[str, str] | None = None
) -> "subprocess.Popen[bytes]":
    """Start a program that logs into a file and finds this package."""
    env = dict(os.environ) | {"PYTHONPATH": str(ROOT)} | dict(extra or {})
    with open(log, "ab") as output:
        return subprocess.Popen(
            list(argv), env=env, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )


def start_module(
    module: str, *arguments: str, extra: Mapping[str, str] | None = None
) -> "subprocess.Popen[str]":
    """Start a module of this package whose lines are read."""
    env = dict(os.environ) | {"PYTHONPATH": str(ROOT)} | dict(extra or {})
    argv = [sys.executable, "-m", module, *arguments]
    return subprocess.Popen(
        argv, env=env, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    )


def end(child: "subprocess.Popen[bytes] | subprocess.Popen[str]", patience_s: float = 5.0) -> None:
    """End a child and all below it, by pid: asked first, then killed."""
    below = descendants(child.pid)
    if child.poll() is None:
        child.send_signal(signal.SIGTERM)
    try:
        child.wait(patience_s)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait(patience_s)
    for pid in below:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def wait_for(what: str, ready: Callable[[], bool], patience_s: float = 20.0) -> None:
    """Wait until something is so.

    Raises:
        NotThere: it was not in time.
    """
    until = time.monotonic() + patience_s
    while not ready():
        if time.monotonic() > until:
            raise NotThere(f"{what} was not ready within {patience_s:.0f} s")
        time.sleep(0.01)
