"""Copies of a tree that follow it: only what differs from the last time is written.

A copy in which foreign code may have run is put right first: whatever is there and not in the tree
goes, and whatever is not as git left it is written anew.
"""

import os
from pathlib import Path

from visionflow.agents.workspace.files import remove_tree, remove_unlisted
from visionflow.compose.gate.state import State


class Checkout:
    """One copy, kept from gate to gate."""

    def __init__(self, state: State, name: str) -> None:
        self._state = state
        self.folder = state.folder / name
        self._index = state.folder / f"{name}.index"
        self._clean = state.folder / f"{name}.tree"
        """Holds the tree's id while nothing but us has written into the copy."""

    async def at(self, tree: str) -> Path:
        """The copy, holding exactly this tree.

        Raises:
            WorkspaceError: git failed.
        """
        known = self._known()
        if known == tree:
            return self.folder
        self._clean.unlink(missing_ok=True)
        if known is None:
            await self._put_right(tree)
        self.folder.mkdir(exist_ok=True)
        extra = {"GIT_INDEX_FILE": str(self._index), "GIT_WORK_TREE": str(self.folder)}
        await self._state.git("read-tree", "--reset", "-u", tree, extra=extra, cwd=self.folder)
        self._clean.write_text(tree, encoding="ascii")
        return self.folder

    def lend(self) -> None:
        """From here on foreign code may write into it."""
        self._clean.unlink(missing_ok=True)

    def _known(self) -> str | None:
        try:
            return self._clean.read_text(encoding="ascii")
        except FileNotFoundError:
            return None

    async def _put_right(self, tree: str) -> None:
        if not self._index.exists() or not self.folder.is_dir():
            self._index.unlink(missing_ok=True)
            if os.path.lexists(self.folder):
                remove_tree(self.folder)
            return
        Path(f"{self._index}.lock").unlink(missing_ok=True)
        listed = await self._state.git("ls-tree", "-r", "-z", "--name-only", tree)
        git_folder = self.folder / ".git"
        if os.path.lexists(git_folder):
            remove_tree(git_folder)
        keep = frozenset(each for each in listed.split(b"\0") if each)
        remove_unlisted(os.fsencode(self.folder), keep)
