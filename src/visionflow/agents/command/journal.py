"""What became of each go at one task, kept beside its working copy: `go.json`.

It is what tells a process that comes after a crash whether a go had ended, and if not, under which
name its tool knows the conversation. Written whole, on the disk before anything builds on it.
"""

import os
from pathlib import Path
from typing import Literal

import msgspec

from visionflow.agents.candidates.values import Usage
from visionflow.agents.command.ledger import together

FILE = "go.json"
Whose = Literal["go", "run", "swarm", "attempt"]
"""Whose limit of time a go was held to: its own, or what was left of the run, of the swarm or of
the attempt."""
How = Literal["started", "resumed", "started_again", "adopted"]


class Refused(msgspec.Struct, frozen=True):
    """A provider's refusal."""

    permanent: bool
    message: str
    wait_ms: int | None = None


class Ended(msgspec.Struct, frozen=True):
    """How a go ended; one of `exit_code`, `ended_by` and `refused` at least is set."""

    exit_code: int | None
    ended_by: str | None
    wall_ms: int
    memory_peak_bytes: int | None = None
    output_bytes: int = 0
    said: str = ""
    held: tuple[str, ...] = ()
    refused: Refused | None = None
    killed: bool = False
    """Somebody else killed it, so it is gone on with."""
    whose: Whose = "go"
    """The limit of time that it had."""

    @property
    def final(self) -> bool:
        """Whether the tool came to an end of its own, or to one that we put to it."""
        return self.refused is None and not self.killed


class Go(msgspec.Struct, frozen=True):
    """One start of the tool."""

    number: int
    how: How
    began_ms: int
    session: str | None = None
    usage: Usage = Usage()
    ended: Ended | None = None
    agent: str = ""
    """The command line as it was given."""
    adopted: int = 0
    """How often a later attempt took its end over."""


class Journal(msgspec.Struct, frozen=True):
    """All of them, the first one first."""

    goes: tuple[Go, ...] = ()

    @property
    def last(self) -> Go | None:
        return self.goes[-1] if self.goes else None

    @property
    def session(self) -> str | None:
        """The tool's own name of the conversation, as far as the last start knew one."""
        last = self.last
        return last.session if last is not None else None

    @property
    def hows(self) -> tuple[How, ...]:
        """How each attempt began."""
        found: list[How] = []
        for each in self.goes:
            found.append(each.how)
            found.extend("adopted" for _ in range(each.adopted))
        return tuple(found)

    def used_in(self, session: str | None) -> Usage:
        """What the goes of this conversation reported together; of none where it is `None`."""
        if session is None:
            return Usage()
        return together(each.usage for each in self.goes if each.session == session)

    def put(self, go: Go) -> "Journal":
        """With this go in place of the one of its number, or added."""
        return Journal((*(each for each in self.goes if each.number != go.number), go))


def journal_in(folder: Path) -> Journal:
    """What was written; empty where nothing was."""
    try:
        return msgspec.json.decode((folder / FILE).read_bytes(), type=Journal)
    except FileNotFoundError:
        return Journal()
    except msgspec.DecodeError:
        # Something was at work here, and nobody knows how far it came.
        return Journal((Go(0, "started", 0),))


def write_journal(folder: Path, journal: Journal) -> None:
    """Make it what stands there, and wait until it is on the disk.

    Raises:
        OSError: it could not be; what stood there before still does.
    """
    building = folder / f"{FILE}.new"
    place = os.open(building, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(place, "wb") as file:
        file.write(msgspec.json.encode(journal))
        file.flush()
        os.fsync(file.fileno())
    building.rename(folder / FILE)
    above = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(above)
    finally:
        os.close(above)
