"""A workspace and a change of it with everything that a coding agent does to files."""

import asyncio
import os
import shutil
import subprocess
from pathlib import Path

from visionflow.agents.workspace import PrivateRepository
from visionflow.agents.workspace.changes import start_of

BEFORE: dict[str, bytes | str] = {
    "kept.py": b"same = 1\n",
    "edited.py": b"old = 1\n",
    "script.sh": b"echo\n",
    "old/gone.py": b"gone = 1\n",
    "turn": b"a file that becomes a folder\n",
    "box/one": b"1\n",
    "box/in/two": b"2\n",
    "moved.py": b"moved = 1\n" * 20,
}
AFTER: dict[str, bytes | str] = {
    "kept.py": b"same = 1\n",
    "edited.py": b"new = 2\n",
    "script.sh": b"echo\n",
    "turn/inner.py": b"inner = 1\n",
    "box": b"a folder that became a file\n",
    "new/deep/added.py": b"added = 1\n",
    "new/image.bin": bytes(range(256)),
    "tool.sh": b"#!/bin/sh\n",
    "other/moved.py": b"moved = 1\n" * 20,
    "link": "kept.py",
    'odd "name"\n.py': b"odd = 1\n",
}
EXECUTABLE = ("script.sh", "tool.sh")
"""Of those after; none is before."""


def git(folder: Path, *words: str, env: dict[str, str] | None = None) -> str:
    """What git prints, with no configuration but the repository's own."""
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    done = subprocess.run(
        ["git", *identity, *words], cwd=folder, capture_output=True, text=True, timeout=120,
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1",
             "GIT_COMMITTER_DATE": "1700000000 +0000", "GIT_AUTHOR_DATE": "1700000000 +0000",
             **(env or {})},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def fill(folder: Path, files: dict[str, bytes | str]) -> Path:
    """Write the files; a text is where a link leads."""
    for name, what in files.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(what, str):
            place.symlink_to(what)
        else:
            place.write_bytes(what)
    return folder


def held(folder: Path) -> dict[str, tuple[bytes | str, bool]]:
    """Each file and link below, `.git` left out: content or target, and whether executable."""
    found: dict[str, tuple[bytes | str, bool]] = {}
    for place in sorted(folder.rglob("*")):
        name = place.relative_to(folder)
        if name.parts[0] == ".git":
            continue
        if place.is_symlink():
            found[str(name)] = (os.readlink(place), False)
        elif place.is_file():
            found[str(name)] = (place.read_bytes(), bool(place.stat().st_mode & 0o100))
    return found


def expected(files: dict[str, bytes | str]) -> dict[str, tuple[bytes | str, bool]]:
    """The same of files as they are to be."""
    after = files is AFTER
    return {name: (what, after and name in EXECUTABLE) for name, what in sorted(files.items())}


def commit_of(repository: Path, parent: str, folder: Path, message: str = "all of it") -> str:
    """A commit of exactly what the folder holds, made by git in the private repository."""
    index = folder.parent / f"{folder.name}.index"
    env = {"GIT_DIR": str(repository), "GIT_WORK_TREE": str(folder), "GIT_INDEX_FILE": str(index)}
    index.unlink(missing_ok=True)
    git(folder, "add", "--all", "--force", env=env)
    tree = git(folder, "write-tree", env=env)
    return git(folder, "commit-tree", "-p", parent, "-m", message, tree, env=env)


class Changed:
    """The workspace `user` and a run's repository `run`, with the change from BEFORE to AFTER."""

    def __init__(
        self,
        top: Path,
        below: str = "",
        *,
        git_too: bool = True,
        before: dict[str, bytes | str] = BEFORE,
        after: dict[str, bytes | str] = AFTER,
    ) -> None:
        self.top = top / "user"
        self.source = self.top / below
        fill(self.source, before)
        if below:
            (self.top / "README").write_text("hello\n")
        if git_too:
            git(self.top, "init", "-q", "-b", "main")
            git(self.top, "add", ".")
            git(self.top, "commit", "-q", "-m", "one")
        self.repository = asyncio.run(PrivateRepository.create(top / "run", self.source))
        self.base = asyncio.run(start_of(self.repository))
        made = fill(top / "made", after)
        for name in EXECUTABLE:
            if name in after:
                (made / name).chmod(0o755)
        self.tip = commit_of(self.repository.path, self.base, made)
        shutil.rmtree(made)
