"""What the confinement tests share: a sandbox per means, and Python programs run under it."""

import asyncio
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from visionflow.adapters.confine import Means, OsSandbox
from visionflow.adapters.confine.means import candidates
from visionflow.ports.sandbox import Command, Completed

PYTHON = os.path.realpath(sys.executable)
PYTHON_READS = (sys.base_prefix, os.path.dirname(PYTHON))

CONFINING = [each for each in candidates() if each != Means()]
"""What is tried at start, strongest first, and what it comes to on a kernel without Landlock."""
CONFINING += [each for each in (Means(namespaces=True),) if each not in CONFINING]


def named(means: Means) -> str:
    return "-".join(
        name
        for name, used in (
            ("namespaces", means.namespaces),
            ("landlock", bool(means.landlock_abi)),
            ("seccomp", means.seccomp),
            ("bubblewrap", means.bubblewrap is not None),
        )
        if used
    )


def sandbox_of(means: Means) -> OsSandbox:
    """A sandbox that knows these means only; skips where they do not hold on this machine."""
    import pytest  # a plain user's worker imports this module without it

    sandbox = OsSandbox((means,))
    if not sandbox.confinement.active:
        pytest.skip(f"not on this machine: {sandbox.confinement.reasons}")
    return sandbox


def python_command(
    folder: Path,
    code: str,
    *arguments: str,
    wall_ms: int = 20_000,
    memory_bytes: int | None = None,
    processes_max: int = 64,
    output_bytes_max: int = 262_144,
    read: tuple[str, ...] = (),
) -> Command:
    """A program that may write to `folder`, which is also where it stands."""
    return Command(
        argv=(PYTHON, "-I", "-S", "-c", code, *arguments),
        cwd=str(folder),
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder)},
        read=(*PYTHON_READS, *read),
        write=(str(folder),),
        wall_ms=wall_ms,
        memory_bytes=memory_bytes,
        processes_max=processes_max,
        output_bytes_max=output_bytes_max,
    )


def run(sandbox: OsSandbox, command: Command) -> Completed:
    return asyncio.run(sandbox.run(command))


def processes_with(token: str) -> list[int]:
    """Process ids whose arguments hold the token, this process left out."""
    found: list[int] = []
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if token.encode() in each.read_bytes() and int(each.parent.name) != os.getpid():
                found.append(int(each.parent.name))
        except OSError:
            continue
    return found


def becomes_true(question: Callable[[], bool], seconds_max: float = 15.0) -> bool:
    """Ask again until it is so; False when the time is over."""
    deadline = time.monotonic() + seconds_max
    while not question():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
