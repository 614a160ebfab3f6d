"""A worktree that was being made when its maker was killed."""

import asyncio
import shutil
from pathlib import Path

from visionflow.agents.workspace import PrivateRepository


def test_a_worktree_that_git_had_locked_while_making_it_is_made_again(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "a.txt").write_text("one\n")

    async def main() -> str:
        repository = await PrivateRepository.create(tmp_path / "private", source)
        path = await repository.worktree("tests")
        (known,) = (repository.path / "worktrees").iterdir()
        (known / "locked").write_text("initializing")
        shutil.rmtree(path)
        again = await repository.worktree("tests")
        return (again / "a.txt").read_text()

    assert asyncio.run(main()) == "one\n"
