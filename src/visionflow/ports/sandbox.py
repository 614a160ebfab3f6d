"""Port: run a foreign command so that it can only do what it was given.

Foreign code is whatever VisionFlow did not write: the tests of a strange repository, a command
line agent. An adapter tries its means when it starts and reports what really holds; nothing here
assumes any.
"""

from collections.abc import Callable
from typing import Protocol

import msgspec


class Confinement(msgspec.Struct, frozen=True):
    """What was tried at start and found to hold on this machine.

    Each field names the mechanism that enforces it, or is `None` when nothing does.
    """

    filesystem: str | None
    """Writes outside `Command.write` and reads outside `Command.read` are refused by this."""
    network: str | None
    """Connections beyond the command's own namespace are refused by this."""
    processes: str | None
    """No descendant outlives the command because of this."""
    memory: str | None
    """The memory ceiling is held by this (a cgroup or a watcher)."""
    reasons: tuple[str, ...] = ()
    """Why a mechanism is absent, one sentence each."""

    @property
    def active(self) -> bool:
        """Foreign code may run: files, network and processes are all held."""
        return None not in (self.filesystem, self.network, self.processes)


class Command(msgspec.Struct, frozen=True):
    """One foreign command and all that it may touch. Paths are absolute."""

    argv: tuple[str, ...]
    cwd: str
    env: dict[str, str]
    """The whole environment of the command; nothing is inherited."""
    read: tuple[str, ...] = ()
    """Folders or files that may be read and executed, beyond the system's own."""
    write: tuple[str, ...] = ()
    """Folders that may be read and written."""
    network: bool = False
    """Whether connections to other machines are allowed. Loopback inside stays possible."""
    wall_ms: int = 300_000
    memory_bytes: int | None = None
    processes_max: int = 256
    output_bytes_max: int = 262_144
    """Of each stream this much is kept: the first half and the last half."""
    trusted: bool = False
    """The user said so: run it also where nothing confines it."""
    output_total_bytes_max: int | None = None
    """Above this much on both streams together it is ended, `ended_by` being `output`."""
    locks: tuple[int, ...] = ()
    """Descriptors of ours that stay open until every process of the command is gone, whatever
    becomes of us: a lock on one of them tells that none lives any more. The command itself does
    not get them."""


class Completed(msgspec.Struct, frozen=True):
    """How a command ended. Exactly one of `exit_code` and `ended_by` is set."""

    exit_code: int | None
    ended_by: str | None
    """`wall_clock`, `memory`, `output`, `cancelled`, or `signal:NAME`."""
    stdout: str
    stderr: str
    wall_ms: int
    memory_peak_bytes: int | None
    enforced: Confinement
    """What really held this command."""


class Sandbox(Protocol):
    """Starts foreign commands under confinement."""

    @property
    def confinement(self) -> Confinement:
        """What holds on this machine, found out by trying."""
        ...

    async def run(
        self, command: Command, on_output: Callable[[str, bytes], None] | None = None
    ) -> Completed:
        """Run to the end; `on_output` gets (`stdout` | `stderr`, bytes) as they come.

        Cancelling the awaiting task ends the whole process tree before this returns.

        Raises:
            ConfinementUnavailable: nothing can hold it and it is not trusted.
            CommandNotStarted: the program does not exist or cannot be executed.
        """
        ...
