"""Where a workspace's gate keeps what it makes: a private bare repository, copies, what it hashed.

All of it can be made anew; a folder that is not as it should be is dropped. One gate at a time
works in it, held by a lock of the kernel's that ends with its process.
"""

import asyncio
import fcntl
import hashlib
import os
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from visionflow.agents.workspace.files import remove_tree
from visionflow.agents.workspace.foreign import ForeignGit
from visionflow.agents.workspace.git import git, quoted
from visionflow.compose.job.exits import OutputError
from visionflow.domain.errors import StoreInUse

FORM = "1"
"""Of everything in the folder; another one is dropped."""
WAIT_S_MAX = 60.0
POLL_S = 0.05
_REPOSITORY_BYTES_MAX = 1 << 30
_ATTRIBUTES = "* -text -filter -ident -working-tree-encoding -crlf -merge !diff\n"
"""They win over what a repository says of its own files: no program runs, no change is hidden."""


class State:
    """One workspace's folder, while the lock is held."""

    def __init__(self, folder: Path, foreign: ForeignGit) -> None:
        self.folder = folder
        self.foreign = foreign
        self.repository = folder / "repository.git"
        self.form = "sha1"
        """How git names objects here."""

    @property
    def scratch(self) -> Path:
        """For what the tools need on the way."""
        return self.folder / "scratch"

    async def prepare(self, head: str | None) -> None:
        """Make the repository where it is not there, is of another form, or became large.

        `head`: a commit id of the user's, by which its form is known.
        """
        self.form = "sha256" if head is not None and len(head) == 64 else "sha1"
        form = f"{FORM} {self.form}"
        marker = self.folder / "form"
        if _read(marker) != form or _size(self.repository) > _REPOSITORY_BYTES_MAX:
            await self._make(form, marker)
        shallow, place = self.foreign.shallow(), self.repository / "shallow"
        if shallow != _read(place):
            place.write_text(shallow, encoding="ascii")
            if not shallow:
                place.unlink()
        exclude = self.repository / "info" / "exclude"
        exclude.write_text(self.foreign.ignored(), encoding="utf-8", errors="surrogateescape")

    async def _make(self, form: str, marker: Path) -> None:
        marker.unlink(missing_ok=True)
        for each in sorted(self.folder.iterdir()):
            if each.name != "lock":
                remove_tree(each)
        await git(
            self.repository, "init", "--quiet", "--bare", "--template=",
            f"--object-format={self.form}", "--initial-branch=main", str(self.repository),
        )  # fmt: skip
        (self.repository / "info").mkdir(exist_ok=True)
        (self.repository / "info" / "attributes").write_text(_ATTRIBUTES, encoding="ascii")
        marker.write_text(form, encoding="ascii")

    async def git(
        self,
        *words: str,
        given: bytes = b"",
        extra: dict[str, str] | None = None,
        cwd: Path | None = None,
        statuses: tuple[int, ...] = (0,),
    ) -> bytes:
        """Our git on our repository, which sees the user's objects and nothing else of theirs.

        Raises:
            WorkspaceError: it failed.
        """
        return await git(
            self.repository, *words, given=given, extra={**self.objects, **(extra or {})}, cwd=cwd,
            statuses=statuses,
        )  # fmt: skip

    @property
    def objects(self) -> dict[str, str]:
        """What lets git see the user's objects."""
        place = quoted(os.fsencode(self.foreign.objects)).decode("utf-8", "surrogateescape")
        return {"GIT_ALTERNATE_OBJECT_DIRECTORIES": place}


def folder_of(home: Path, foreign: ForeignGit) -> Path:
    """The folder that is kept for this working tree."""
    top = os.fsencode(os.path.realpath(foreign.top))
    return home / "gate" / hashlib.sha256(top).hexdigest()[:16]


@asynccontextmanager
async def opened(folder: Path, foreign: ForeignGit) -> AsyncGenerator[State, None]:
    """The state of a working tree in `folder`, for this process alone.

    Raises:
        StoreInUse: another gate of it did not end within a minute.
        OutputError: the folder cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise OutputError(
            f"{folder} cannot be made: {error.strerror}.",
            hint="Make it a folder that can be written, or set VISIONFLOW_HOME to one.",
        ) from error
    try:
        await _locked(descriptor, foreign)
        yield State(folder, foreign)
    finally:
        os.close(descriptor)


async def _locked(descriptor: int, foreign: ForeignGit) -> None:
    deadline = time.monotonic() + WAIT_S_MAX
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise StoreInUse(
                    f"Another gate has been at work on {foreign.top} for {WAIT_S_MAX:.0f} s.",
                    hint="Wait until it ends.",
                ) from None
            await asyncio.sleep(POLL_S)
        else:
            return


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def _size(repository: Path) -> int:
    """Bytes of what was written into the repository."""
    total = 0
    for folder, _, names in os.walk(repository / "objects"):
        for name in names:
            total += os.lstat(os.path.join(folder, name)).st_size
    return total
