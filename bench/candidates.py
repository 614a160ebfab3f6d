"""What giving five agents a copy each of a package of 1,000 files takes, in time and on disk."""

import asyncio
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.figures import Row, Series, ratio
from bench.gate import FILES, write_repository
from visionflow.agents.workspace import PrivateRepository
from visionflow.agents.workspace.candidates import make_copy
from visionflow.agents.workspace.changes import start_of

COPIES = 5
GIT_S_MAX = 120
_MIB = 1 << 20
Maker = Callable[[Path, Path], None]
"""Puts five copies of the first folder into the second."""


def candidates(rounds: int, files: int = FILES) -> Row:
    """Ours beside what git itself offers, in turns; each round makes all of them anew."""
    makers: dict[str, Maker] = {
        "VisionFlow": _ours, "git worktree add": _worktrees, "git clone --local": _clones,
    }  # fmt: skip
    took: dict[str, list[float]] = {name: [] for name in makers}
    held: dict[str, list[float]] = {name: [] for name in makers}
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        repository = Path(name, "repository")
        write_repository(repository, files)
        _git(repository, "gc", "--quiet")
        asyncio.run(PrivateRepository.create(Path(name, "private"), repository))
        for each in range(rounds):
            for maker, make in makers.items():
                place = Path(name, f"{each}-{maker.replace(' ', '-')}")
                place.mkdir()
                before = _inodes(Path(name))
                began = time.perf_counter()
                make(repository, place)
                took[maker].append(time.perf_counter() - began)
                held[maker].append(_bytes_beyond(Path(name), before) / _MIB)
                _check(place, files)
                shutil.rmtree(place)
                _git(repository, "worktree", "prune")
    times = {name: Series(f"{name}: all five", "s", tuple(some)) for name, some in took.items()}
    sizes = {name: Series(f"{name}: on disk", "MiB", tuple(some)) for name, some in held.items()}
    peers = list(makers)[1:]
    return Row(
        "candidates",
        f"{COPIES} working copies of a package of {files:,} files, one after the other",
        (*times.values(), *sizes.values()),
        {
            **{f"time to {name}": ratio(times["VisionFlow"], times[name]) for name in peers},
            **{f"disk to {name}": ratio(sizes["VisionFlow"], sizes[name]) for name in peers},
        },
        ("disk: blocks of files and folders that were not there before; hard links count once",),
    )


def _ours(repository: Path, place: Path) -> None:
    asyncio.run(_made(repository.parent / "private", place))


async def _made(private: Path, place: Path) -> None:
    repository = PrivateRepository.opened(private)
    if repository is None:
        raise RuntimeError(f"there is no private repository in {private}")
    base = await start_of(repository)
    for number in range(COPIES):
        folder = place / f"{number}" / "tree"
        await make_copy(repository, folder, run=place.name, task=f"candidate-{number}", base=base)


def _worktrees(repository: Path, place: Path) -> None:
    for number in range(COPIES):
        branch = f"{place.name}-{number}"
        _git(repository, "worktree", "add", "-q", "-b", branch, str(place / f"{number}" / "tree"))


def _clones(repository: Path, place: Path) -> None:
    for number in range(COPIES):
        _git(repository, "clone", "-q", "--local", str(repository), str(place / f"{number}/tree"))


def _git(folder: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", *words], cwd=folder, check=True, capture_output=True, text=True, timeout=GIT_S_MAX
    )
    return done.stdout


def _inodes(folder: Path) -> dict[int, int]:
    """Bytes that each file and folder below takes on the disk, by inode."""
    found: dict[int, int] = {}
    for place, folders, names in os.walk(folder):
        for name in (*folders, *names):
            about = os.lstat(os.path.join(place, name))
            found[about.st_ino] = about.st_blocks * 512
    return found


def _bytes_beyond(folder: Path, before: dict[int, int]) -> int:
    return sum(size for inode, size in _inodes(folder).items() if inode not in before)


def _check(place: Path, files: int) -> None:
    """Every copy is whole and clean."""
    for number in range(COPIES):
        tree = place / f"{number}" / "tree"
        listed, changed = _git(tree, "ls-files"), _git(tree, "status", "--porcelain")
        if listed.count("\n") < files or changed:
            raise RuntimeError(f"{tree} is no clean copy: {changed[:200]}")
