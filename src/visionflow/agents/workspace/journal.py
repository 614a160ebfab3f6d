"""What an apply is about to do, written down before it does it.

It lies beside the run's private repository, where whoever can apply the run finds it and where
nothing that an agent wrote can be. One that is there when an apply begins is of an apply that was
killed. The contents are no part of it: they are in the repository by their ids.
"""

import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Literal

import msgspec

from .placing import put_whole
from .repository import PrivateRepository

JOURNAL = "applying.json"
WORK = ".applying-"
"""What everything begins with that an apply makes in that folder for a while."""


class Journal(msgspec.Struct, frozen=True):
    """One apply that is under way."""

    mark: str
    """Part of the name of everything that it makes for a while."""
    way: Literal["branch", "files"]
    source: str
    """The user's folder."""
    base: str
    tip: str
    branch: str | None = None
    ref: str | None = None
    """Which commit the branch is to name."""
    touched: tuple[tuple[bytes, int | None], ...] = ()
    """The paths that are changed, and what permission bits files there had."""

    def same(self, other: "Journal") -> bool:
        """Whether it is the same work, begun at another time."""
        mine = (self.way, self.source, self.base, self.tip, self.branch)
        return mine == (other.way, other.source, other.base, other.tip, other.branch)


def new_mark() -> str:
    """One that nobody has used."""
    return secrets.token_hex(6)


def read_journal(folder: Path) -> Journal | None:
    """That of an apply that was killed, in the folder of a private repository."""
    try:
        return msgspec.json.decode((folder / JOURNAL).read_bytes(), type=Journal)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def write_journal(repository: PrivateRepository, journal: Journal) -> None:
    """Have it on the disk before anything of it is done.

    Raises:
        OSError: it cannot be written.
    """
    at = os.open(_folder(repository), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        put_whole(at, JOURNAL, msgspec.json.encode(journal), 0o600, f"{WORK}journal")
    finally:
        os.close(at)


def drop_journal(repository: PrivateRepository) -> None:
    """All of it was done, or nothing of it is."""
    with suppress(FileNotFoundError):
        (_folder(repository) / JOURNAL).unlink()


def _folder(repository: PrivateRepository) -> Path:
    return repository.path.parent
