"""What the sandbox tells the launcher, and what it hears back: two records sent as JSON."""

import json
from typing import NamedTuple


class Order(NamedTuple):
    """One command with the means that hold it. Paths are absolute, sizes bytes, times ms."""

    argv: list[str]
    cwd: str
    env: dict[str, str]
    read: list[str]
    """Readable and executable: the system's own folders and those of the command."""
    write: list[str]
    network: bool
    wall_ms: int
    memory_bytes: int | None
    processes_max: int
    scratch: str
    """Private folder of this command: `tmp` is its TMPDIR, `root` a place to mount on."""
    namespaces: bool
    landlock_abi: int
    """0: Landlock is not used."""
    seccomp: bool
    groups: dict[str, str]
    """Control groups to make: `memory_v1`, `pids_v1` or `v2` to the folder's path."""
    locks: list[int] = []  # noqa: RUF012 - a NamedTuple's default, never changed
    """Inherited descriptors that stay open until nothing of the command is left."""

    def encoded(self) -> bytes:
        return json.dumps(self._asdict()).encode("ascii")


class Outcome(NamedTuple):
    """How it went. One of `exit_code`, `signal`, `reason` and `error` is set."""

    exit_code: int | None = None
    signal: int | None = None
    reason: str | None = None
    """`wall_clock` or `memory`: the launcher ended it for this; `output`: the worker did."""
    error: str | None = None
    """The command never ran: what failed."""
    confining_failed: bool = False
    """With `error`: a means of confinement failed, not the command."""
    wall_ms: int = 0
    memory_peak_bytes: int | None = None

    def encoded(self) -> bytes:
        return json.dumps(self._asdict()).encode("ascii")


def order_from(raw: bytes) -> Order:
    return Order(**json.loads(raw))


def outcome_from(raw: bytes) -> Outcome:
    return Outcome(**json.loads(raw))
