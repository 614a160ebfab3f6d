"""Worktrees of a private repository: their states are kept and come back, whatever was killed."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from visionflow.agents.workspace import PrivateRepository
from visionflow.domain.errors import WorkspaceError


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    (folder / "sub").mkdir(parents=True)
    (folder / "a").write_text("a")
    (folder / "sub" / "b").write_text("b")
    return folder


@pytest.fixture
def repository(tmp_path: Path, source: Path) -> PrivateRepository:
    return asyncio.run(PrivateRepository.create(tmp_path / "run", source))


def contents(folder: Path) -> dict[str, str]:
    return {
        str(each.relative_to(folder)): os.readlink(each) if each.is_symlink() else each.read_text()
        for each in sorted(folder.rglob("*"))
        if (each.is_symlink() or each.is_file()) and each.name != ".git"
    }


@pytest.mark.acceptance("workspace")
def test_a_worktree_holds_the_snapshot_and_is_kept_when_asked_for_again(
    repository: PrivateRepository,
) -> None:
    place = asyncio.run(repository.worktree("a"))
    assert contents(place) == {"a": "a", "sub/b": "b"}
    (place / "a").write_text("changed")
    assert asyncio.run(repository.worktree("a")) == place
    assert (place / "a").read_text() == "changed"
    other = asyncio.run(repository.worktree("b"))
    assert contents(other) == {"a": "a", "sub/b": "b"}


def test_a_worktree_that_was_half_made_is_made_anew(
    tmp_path: Path, repository: PrivateRepository
) -> None:
    place = asyncio.run(repository.worktree("a"))
    (tmp_path / "run" / "worktrees" / ".a.finished").unlink()
    (place / "sub" / "b").unlink()
    (place / "rest").write_text("of a killed attempt")
    (place / "sub").chmod(0)
    assert asyncio.run(repository.worktree("a")) == place
    assert contents(place) == {"a": "a", "sub/b": "b"}


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "a..b", "-x", "a.lock", "a\n"])
def test_names_that_are_not_plain_are_refused(repository: PrivateRepository, name: str) -> None:
    with pytest.raises(WorkspaceError, match="not plain"):
        asyncio.run(repository.worktree(name))


@pytest.mark.acceptance("workspace")
def test_restoring_brings_back_every_file_and_removes_the_rest(
    tmp_path: Path, repository: PrivateRepository
) -> None:
    place = asyncio.run(repository.worktree("a"))
    (place / "new").write_text("untracked")
    (place / ".gitignore").write_text("ignored\n")
    (place / "ignored").write_text("kept all the same")
    (place / "link").symlink_to("sub")
    (place / "a").chmod(0o755)
    wanted = contents(place)
    tree = asyncio.run(repository.tree_of(place))
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "b").write_text("not ours")
    (place / "a").write_text("other")
    (place / "a").chmod(0o600)
    (place / "new").unlink()
    (place / "new").mkdir()
    (place / "new" / "file").write_text("x")
    (place / "link").unlink()
    (place / "link").mkdir()
    (place / "sub" / "b").unlink()
    (place / "sub").rmdir()
    (place / "sub").symlink_to(tmp_path / "outside")
    (place / "extra").mkdir(mode=0o000)
    os.mkfifo(place / "ignored2")
    asyncio.run(repository.restore(place, tree))
    assert contents(place) == wanted
    assert not (place / "sub").is_symlink()
    assert os.access(place / "a", os.X_OK)
    assert not (place / "extra").exists()
    assert (tmp_path / "outside" / "b").read_text() == "not ours"
    assert asyncio.run(repository.tree_of(place)) == tree


def test_a_tree_is_kept_by_a_ref_and_the_same_files_give_the_same_tree(
    repository: PrivateRepository,
) -> None:
    first, second = (asyncio.run(repository.worktree(name)) for name in ("a", "b"))
    tree = asyncio.run(repository.tree_of(first))
    assert tree == asyncio.run(repository.tree_of(second))
    assert (repository.path / "refs" / "visionflow" / "trees" / tree).read_text() == f"{tree}\n"
    cache = second / "__pycache__"
    cache.mkdir()
    (cache / "m.pyc").write_text("x")
    assert tree == asyncio.run(repository.tree_of(second))


@pytest.mark.acceptance("workspace")
def test_git_that_was_planted_into_a_worktree_is_not_obeyed(
    tmp_path: Path, repository: PrivateRepository
) -> None:
    place = asyncio.run(repository.worktree("a"))
    tree = asyncio.run(repository.tree_of(place))
    (place / ".git").unlink()
    subprocess.run(["git", "init", "-q", str(place)], check=True, timeout=60)
    marker = tmp_path / "marker"
    with (place / ".git" / "config").open("a") as config:
        config.write(
            f'[core]\nfsmonitor = "touch {marker}"\n[filter "x"]\nclean = touch {marker}\n'
        )
    (place / ".gitattributes").write_text("* filter=x\n")
    asyncio.run(repository.tree_of(place))
    asyncio.run(repository.restore(place, tree))
    assert not marker.exists()
    assert contents(place).keys() >= {"a", "sub/b"}


def test_an_unknown_tree_is_refused(repository: PrivateRepository) -> None:
    place = asyncio.run(repository.worktree("a"))
    with pytest.raises(WorkspaceError, match="rev-parse"):
        asyncio.run(repository.restore(place, "0" * 39 + "1"))
    assert contents(place) == {"a": "a", "sub/b": "b"}


def test_what_was_finished_is_opened_again_though_the_source_changed(
    tmp_path: Path, source: Path, repository: PrivateRepository
) -> None:
    (source / "a").write_text("later")
    again = asyncio.run(PrivateRepository.create(tmp_path / "run", source))
    assert again.snapshot == repository.snapshot


@pytest.mark.acceptance("workspace")
def test_killing_the_making_at_any_moment_leaves_what_can_be_made_again(
    tmp_path: Path, source: Path, repository: PrivateRepository
) -> None:
    """Git stands in for the moments: it is killed with its caller at the n-th start of it."""
    git = tmp_path / "bin" / "git"
    git.parent.mkdir()
    real = subprocess.check_output(["sh", "-c", "command -v git"], text=True).strip()
    git.write_text(
        f'#!/bin/sh\necho >> "$COUNT"\n[ $(wc -l < "$COUNT") -ge $KILL_AT ] && kill -9 $PPID\n'
        f'exec {real} "$@"\n'.replace("$COUNT", str(tmp_path / "count")).replace(
            "$KILL_AT", f"$(cat {tmp_path / 'kill_at'})"
        )
    )
    git.chmod(0o755)
    code = (
        "import asyncio, sys; from pathlib import Path;"
        "from visionflow.agents.workspace import PrivateRepository as P;"
        "r = asyncio.run(P.create(Path(sys.argv[1]), Path(sys.argv[2])));"
        "w = asyncio.run(r.worktree('a')); print(asyncio.run(r.tree_of(w)))"
    )
    env = {**os.environ, "PATH": f"{git.parent}{os.pathsep}{os.environ['PATH']}"}
    killed = 0
    for moment in range(1, 40):
        (tmp_path / "count").write_text("")
        (tmp_path / "kill_at").write_text(str(moment))
        done = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / "killed"), str(source)],
            env=env, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL, done.stderr
        killed += 1
    assert killed > 5
    made = asyncio.run(PrivateRepository.create(tmp_path / "killed", source))
    assert made.snapshot == repository.snapshot
    assert contents(asyncio.run(made.worktree("a"))) == {"a": "a", "sub/b": "b"}
    assert not list((tmp_path / "killed").glob(".building-*"))
