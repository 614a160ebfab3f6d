"""The sample package with a private repository of it, and copies that agents work on."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import msgspec

from tests.coding.sample import AGENT, make_sample
from visionflow.agents.workspace import PrivateRepository
from visionflow.agents.workspace.candidates import make_copy
from visionflow.agents.workspace.changes import start_of
from visionflow.agents.workspace.fence import Copy
from visionflow.agents.workspace.gathering import Gathered, gather

WHO = {
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@b",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@b",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
}


class Ground(msgspec.Struct, frozen=True):
    """A source, its private repository, and where copies begin."""

    source: Path
    repository: PrivateRepository
    base: str

    @classmethod
    def of(cls, folder: Path, source: Path) -> "Ground":
        repository = asyncio.run(PrivateRepository.create(folder / "repository", source))
        return cls(source, repository, asyncio.run(start_of(repository)))

    @property
    def coding(self) -> Path:
        return self.repository.path.parent.parent / "coding"

    def copy(self, task: str = "candidate-1", base: str | None = None) -> Copy:
        return asyncio.run(
            make_copy(
                self.repository,
                self.coding / task / "tree",
                run="r1",
                task=task,
                base=base or self.base,
            )
        )

    def gather(self, copy: Copy, attempt: int = 1) -> Gathered:
        return asyncio.run(gather(self.repository, copy, attempt=attempt, goal="Limit the calls"))

    def inside(self, *words: str) -> str:
        """What git prints of the private repository."""
        return git(self.source.parent, f"--git-dir={self.repository.path}", *words)

    def files_of(self, commit: str) -> list[str]:
        return self.inside("-c", "core.quotePath=false", "ls-tree", "-r", "--name-only",
                           commit).splitlines()  # fmt: skip


def sampled(folder: Path) -> Ground:
    """Of the sample package, with a tag and a second branch."""
    source = folder / "source"
    source.mkdir()
    make_sample(source)
    git(source, "tag", "v1")
    git(source, "branch", "other")
    return Ground.of(folder, source)


def git(folder: Path, *words: str) -> str:
    """Plain git, as whoever works there would run it."""
    done = subprocess.run(
        ["git", *words], cwd=folder, env=WHO, capture_output=True, text=True, timeout=60,
        check=False, errors="surrogateescape",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def work(copy: Copy, actions: str) -> Path:
    """Let the scripted agent work in the copy; returns the folder."""
    subprocess.run(
        [sys.executable, str(AGENT), actions, "goal"], cwd=copy.folder, env=WHO, timeout=60,
        check=True, capture_output=True,
    )  # fmt: skip
    return Path(copy.folder)
