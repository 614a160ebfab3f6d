"""Commits of a change on the private repository: the same work gives the same ids, always."""

import asyncio
import os
import subprocess
from pathlib import Path

import pytest

from visionflow.agents.workspace import PrivateRepository
from visionflow.agents.workspace import changes as c
from visionflow.agents.workspace.git import git
from visionflow.domain.errors import WorkspaceError

ODD = b'odd "name"\n\xff.py'


def run_git(folder: Path, *words: str) -> str:
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    done = subprocess.run(
        ["git", *identity, *words], cwd=folder, capture_output=True, text=True, check=True,
        timeout=60,
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1",
             "GIT_COMMITTER_DATE": "1700000000 +0000", "GIT_AUTHOR_DATE": "1700000000 +0000"},
    )  # fmt: skip
    return done.stdout.strip()


def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "a.py").write_bytes(b"import os\r\nx = 1\r\n")
    (folder / "run.sh").write_text("echo\n")
    (folder / "run.sh").chmod(0o755)
    (folder / "link").symlink_to("a.py")
    (folder / os.fsdecode(ODD)).write_bytes(b"y = 2\n")
    return folder


async def changed(repository: PrivateRepository) -> tuple[str, str, bytes]:
    start = await c.start_of(repository)
    one = await c.commit(repository.path, start, {b"a.py": b"x = 1\r\n"}, "F401: unused import")
    new = {ODD: b"y = 3\n", b"run.sh": b"echo 2\n"}
    two = await c.commit(repository.path, one, new, "Z: \ud800 odd\x00")
    await c.name_branch(repository.path, "run-1", two)
    return one, two, await c.patch(repository.path, start, two)


@pytest.mark.acceptance("workspace")
def test_the_same_work_gives_the_same_commits_in_another_place_and_when_done_again(
    tmp_path: Path,
) -> None:
    folder = source(tmp_path)
    first = asyncio.run(PrivateRepository.create(tmp_path / "one", folder))
    second = asyncio.run(PrivateRepository.create(tmp_path / "two", folder))
    made = asyncio.run(changed(first))
    assert asyncio.run(changed(first)) == made
    assert asyncio.run(changed(second)) == made


@pytest.mark.acceptance("workspace")
def test_a_commit_changes_exactly_the_files_it_was_given_and_keeps_their_modes(
    tmp_path: Path,
) -> None:
    repository = asyncio.run(PrivateRepository.create(tmp_path / "run", source(tmp_path)))
    one, two, _ = asyncio.run(changed(repository))
    differ = asyncio.run(c.altered(repository.path, one, two))
    assert [each.path for each in differ] == [ODD, b"run.sh"]
    assert all(each.before and each.after for each in differ)
    modes = {each.path: each.after.mode for each in differ if each.after}
    assert modes == {ODD: "100644", b"run.sh": "100755"}
    assert asyncio.run(c.extent(repository.path, one, two)) == c.Extent(2, 2)
    kept = asyncio.run(c.entries(repository.path, two))
    assert kept[b"link"].mode == "120000"
    body = asyncio.run(git(repository.path, "cat-file", "commit", two))
    assert body.count(b"VisionFlow <visionflow@localhost>") == 2
    tip = asyncio.run(git(repository.path, "rev-parse", "refs/heads/visionflow/run-1"))
    assert tip.decode().strip() == two


@pytest.mark.acceptance("workspace")
def test_the_patch_is_one_that_git_applies_to_the_workspace(tmp_path: Path) -> None:
    folder = source(tmp_path)
    repository = asyncio.run(PrivateRepository.create(tmp_path / "run", folder))
    _, _, patch = asyncio.run(changed(repository))
    (tmp_path / "p").write_bytes(patch)
    run_git(folder, "apply", str(tmp_path / "p"))
    assert (folder / "a.py").read_bytes() == b"x = 1\r\n"
    assert (folder / "run.sh").read_text() == "echo 2\n"


@pytest.mark.acceptance("workspace")
def test_contents_that_are_there_already_make_no_commit(tmp_path: Path) -> None:
    repository = asyncio.run(PrivateRepository.create(tmp_path / "run", source(tmp_path)))
    start = asyncio.run(c.start_of(repository))
    same = {b"a.py": b"import os\r\nx = 1\r\n"}
    assert asyncio.run(c.commit(repository.path, start, same, "nothing")) == start


@pytest.mark.acceptance("workspace")
def test_only_plain_files_of_the_parent_can_be_changed(tmp_path: Path) -> None:
    repository = asyncio.run(PrivateRepository.create(tmp_path / "run", source(tmp_path)))
    start = asyncio.run(c.start_of(repository))
    for path in (b"link", b"none.py", b".git/config"):
        with pytest.raises(WorkspaceError, match="no plain file"):
            asyncio.run(c.commit(repository.path, start, {path: b""}, "m"))


@pytest.mark.acceptance("workspace")
def test_commits_stand_on_the_users_own_head_where_nothing_is_uncommitted(tmp_path: Path) -> None:
    folder = source(tmp_path)
    run_git(folder, "init", "-q")
    run_git(folder, "add", ".")
    run_git(folder, "commit", "-q", "-m", "one")
    head = run_git(folder, "rev-parse", "HEAD")
    clean = asyncio.run(PrivateRepository.create(tmp_path / "clean", folder))
    assert asyncio.run(c.start_of(clean)) == head
    one, _, _ = asyncio.run(changed(clean))
    assert b"1700000000" in asyncio.run(git(clean.path, "cat-file", "commit", one))
    (folder / "a.py").write_text("x = 5\n")
    dirty = asyncio.run(PrivateRepository.create(tmp_path / "dirty", folder))
    assert asyncio.run(c.start_of(dirty)) == dirty.snapshot != head


@pytest.mark.acceptance("workspace")
@pytest.mark.parametrize("run", ["", "../x", "a b", "-x", "a/b", "x.lock", "x\n"])
def test_a_runs_id_that_cannot_name_a_branch_is_refused(run: str) -> None:
    with pytest.raises(WorkspaceError, match="cannot name a branch"):
        c.branch_of(run)
