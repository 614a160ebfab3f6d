"""The private repository of a run: the source's history, a snapshot of its files, worktrees.

Everything that takes more than an instant is built under another name and renamed when whole, so
that being killed in the middle leaves nothing that looks finished. The user's folder and its git
are only read. Worktrees hold what strangers' code wrote: git is never pointed at one without
naming the private repository, which no command may be allowed to write.
"""

import os
import re
import secrets
from pathlib import Path

import msgspec

from visionflow.domain.errors import WorkspaceError

from .files import remove_tree, remove_unlisted
from .git import git
from .scan import Notes, Walk
from .snapshot import Facts, build
from .trees import drop_building, write_commit

_REPOSITORY, _WORKTREES, _FACTS = "repository.git", "worktrees", "visionflow.json"
_BUILDING = ".building-"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]+)*\Z")
_CACHES = frozenset({b"__pycache__"})


class PrivateRepository:
    """A bare repository of our own that worktrees hang on. Made by `create`."""

    def __init__(self, folder: Path, facts: Facts) -> None:
        self._folder = folder
        self._facts = facts

    @classmethod
    async def create(
        cls, folder: Path, source: Path, exclude: tuple[Path, ...] = ()
    ) -> "PrivateRepository":
        """Make it below `folder`, or open the one that was finished there before.

        `exclude`: files or folders within `source` that are no part of it.

        Raises:
            WorkspaceError: the source is no folder that can be read, or git failed.
        """
        source = _folder_to_read(source)
        folder = Path(os.path.abspath(folder))
        folder.mkdir(parents=True, exist_ok=True)
        place = folder / _REPOSITORY
        facts = _facts_in(place)
        if facts is None:
            for half in folder.glob(f"{_BUILDING}*"):
                remove_tree(half)
            remove_tree(place)
            building = folder / f"{_BUILDING}{secrets.token_hex(4)}.git"
            facts = await build(building, source, (*exclude, folder))
            (building / _FACTS).write_bytes(msgspec.json.encode(facts))
            building.rename(place)
        return cls(folder, facts)

    @classmethod
    def opened(cls, folder: Path) -> "PrivateRepository | None":
        """The one that was finished below `folder`; `None` where there is none."""
        folder = Path(os.path.abspath(folder))
        facts = _facts_in(folder / _REPOSITORY)
        return None if facts is None else cls(folder, facts)

    @property
    def path(self) -> Path:
        """The bare repository itself. Commands may read it; none may write it."""
        return self._folder / _REPOSITORY

    @property
    def snapshot(self) -> str:
        """Id of the commit that holds the files as they were found."""
        return self._facts.snapshot

    @property
    def head(self) -> str | None:
        """The source's own HEAD, the parent of the snapshot; `None` without a history."""
        return self._facts.head

    @property
    def branch(self) -> str | None:
        """The branch that the source was on; `None` where it was on none."""
        return self._facts.branch

    @property
    def dirty(self) -> bool:
        """Whether the files differ from HEAD; without a history, whether there are any."""
        return self._facts.dirty

    @property
    def notes(self) -> tuple[str, ...]:
        """What was left out or is special, one sentence each."""
        return self._facts.notes

    @property
    def files(self) -> int:
        """Number of files and links in the snapshot."""
        return self._facts.files

    async def worktree(self, name: str) -> Path:
        """A detached worktree at the snapshot; one that was finished before is kept as it is.

        Raises:
            WorkspaceError: the name is not plain, or git failed.
        """
        if not _NAME.match(name) or name.endswith(".lock"):
            raise WorkspaceError(
                f"The worktree name {name!r} is not plain.",
                hint="Use letters, digits, hyphens, underscores and single dots.",
            )
        place = self._folder / _WORKTREES / name
        finished = self._folder / _WORKTREES / f".{name}.finished"
        if finished.exists() and (place / ".git").exists():
            return place
        finished.unlink(missing_ok=True)
        remove_tree(place)
        await git(self.path, "worktree", "prune")
        place.parent.mkdir(exist_ok=True)
        # Forced twice: one that was killed while git made it stays locked.
        await git(
            self.path, "worktree", "add", "--quiet", "--force", "--force", "--detach",
            str(place), self.snapshot,
        )  # fmt: skip
        finished.touch()
        return place

    async def tree_of(self, path: Path) -> str:
        """Git tree id of what the worktree holds now, untracked and ignored files included.

        Only `.git` and `__pycache__` are left out. The tree is kept for good by a ref.

        Raises:
            WorkspaceError: git failed, or a file could not be read: a tree that lacks files would
                delete them when it is restored.
        """
        notes = Notes()
        root = os.fsencode(_folder_to_read(path))
        files = await Walk(root, notes, junk=_CACHES).files()
        written = await write_commit(self.path, root, files, None, notes)
        unread = [each for each in notes.lines() if "not read" in each]
        if unread:
            raise WorkspaceError(f"The state of {path} cannot be recorded. {unread[0]}.")
        tree = await self._id(f"{written.commit}^{{tree}}")
        await git(self.path, "update-ref", f"refs/visionflow/trees/{tree}", tree)
        await drop_building(self.path)
        return tree

    async def restore(self, path: Path, tree: str) -> None:
        """Make the worktree's files equal to the tree; whatever else is there is removed.

        Raises:
            WorkspaceError: no such tree, or git failed.
        """
        wanted = await self._id(f"{tree}^{{tree}}")
        listed = (await git(self.path, "ls-tree", "-r", "-z", "--name-only", wanted)).split(b"\0")
        keep = frozenset(each for each in listed if each)
        remove_unlisted(os.fsencode(path), keep)
        present = await self.tree_of(path)
        names = await git(
            self.path, "diff-tree", "-r", "-z", "--no-renames", "--name-only", present, wanted
        )
        index = self.path / f"index-{secrets.token_hex(4)}"
        extra = {"GIT_INDEX_FILE": str(index), "GIT_WORK_TREE": str(path)}
        try:
            await git(self.path, "read-tree", wanted, extra=extra)
            changed = [each for each in names.split(b"\0") if each in keep]
            if changed:
                given = b"".join(each + b"\0" for each in changed)
                await git(
                    self.path, "checkout-index", "--force", "-q", "-z", "--stdin",
                    given=given, extra=extra, cwd=path,
                )  # fmt: skip
        finally:
            index.unlink(missing_ok=True)

    async def _id(self, name: str) -> str:
        found = await git(self.path, "rev-parse", "--verify", "--end-of-options", name)
        return found.decode("ascii").strip()


def _folder_to_read(path: Path) -> Path:
    """The real path of a folder whose entries can be listed."""
    try:
        found = path.resolve(strict=True)
        with os.scandir(found):
            return found
    except (OSError, RuntimeError) as error:
        raise WorkspaceError(
            f"{path} cannot be used as a workspace: {error}.",
            hint="Name a folder that exists and that you may read.",
        ) from error


def _facts_in(place: Path) -> Facts | None:
    """What a finished repository says of itself; nothing where it is missing or half made."""
    try:
        return msgspec.json.decode((place / _FACTS).read_bytes(), type=Facts)
    except (OSError, msgspec.DecodeError):
        return None
