"""Turns a command and the means in use into the launcher's order."""

import os
import tempfile

from visionflow.ports.sandbox import Command

from .inside.order import Order
from .means import Means, system_reads


def order_for(command: Command, means: Means, groups: dict[str, str]) -> Order:
    """The order, with a new private folder that whoever runs it must remove.

    Raises:
        OSError: the private folder could not be made.
    """
    scratch = os.path.realpath(tempfile.mkdtemp(prefix="visionflow-command-"))
    for name in ("tmp", "root"):
        os.mkdir(os.path.join(scratch, name), 0o700)
    argv = list(command.argv)
    if means.bubblewrap is not None:
        argv = [*_bubblewrapped(command, means.bubblewrap, scratch), "--", *argv]
    return Order(
        argv=argv,
        cwd="/" if means.bubblewrap is not None else command.cwd,
        env=command.env,
        read=[*system_reads(), *command.read],
        write=list(command.write),
        network=command.network,
        wall_ms=command.wall_ms,
        memory_bytes=command.memory_bytes,
        processes_max=command.processes_max,
        scratch=scratch,
        namespaces=means.namespaces,
        landlock_abi=means.landlock_abi,
        seccomp=means.seccomp,
        groups=groups,
        locks=list(command.locks),
    )


def _bubblewrapped(command: Command, program: str, scratch: str) -> list[str]:
    """The same view as `inside.namespaces` builds, in the words of bubblewrap."""
    argv = [program, "--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL"]
    argv += ["--share-net"] if command.network else []
    private = os.path.join(scratch, "tmp")
    argv += ["--bind", private, "/tmp", "--dev", "/dev", "--proc", "/proc"]
    for path in (*system_reads(), *command.read):
        if os.path.islink(path):
            argv += ["--symlink", os.readlink(path), path]
        argv += ["--ro-bind-try", os.path.realpath(path), os.path.realpath(path)]
    for path in (*command.write, private):
        argv += ["--bind", path, path]
    return [*argv, "--remount-ro", "/", "--chdir", command.cwd]
