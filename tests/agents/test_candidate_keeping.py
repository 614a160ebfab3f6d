"""Work that is kept by refs, and a bundle from which it is recovered elsewhere."""

import asyncio
import os
import subprocess
from pathlib import Path

import pytest
from candidate_copies import WHO, Ground, git, sampled, work

from visionflow.agents.workspace.candidates import start_again
from visionflow.agents.workspace.keeping import bundle, keep, kept, recovering, ref_of
from visionflow.domain.errors import WorkspaceError


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    return sampled(tmp_path)


def worked(ground: Ground, task: str, actions: str) -> str:
    copy = ground.copy(task)
    work(copy, actions)
    tip = ground.gather(copy).tip
    assert tip is not None
    return tip


def recovered(source: Path, command: str) -> None:
    subprocess.run(
        command, shell=True, cwd=source, env=WHO, check=True, capture_output=True, timeout=60
    )


@pytest.mark.acceptance("coding-agents")
def test_all_that_is_kept_is_listed_with_what_it_holds(ground: Ground) -> None:
    first = worked(ground, "candidate-1", "good")
    copy = ground.copy("candidate-2")
    work(copy, "deletes:README.md,writes:new=1")
    asyncio.run(start_again(ground.repository, copy, attempt=4, goal="Limit the calls"))
    found = asyncio.run(kept(ground.repository))
    assert [(each.ref, each.task, each.attempt) for each in found] == [
        ("refs/visionflow/kept/candidate-1", "candidate-1", 1),
        ("refs/visionflow/kept/candidate-2.4", "candidate-2", 4),
    ]
    assert (found[0].commit, found[0].base) == (first, ground.base)
    assert (found[1].files, found[1].insertions, found[1].deletions) == (("README.md", "new"), 1, 1)
    assert found[0].subject == "candidate-1: Limit the calls"
    about = (ground.repository.path / found[0].ref).stat()
    assert found[0].when_s == int(about.st_mtime)


def test_work_that_says_nothing_of_itself_is_listed_by_its_ref(ground: Ground) -> None:
    ref = asyncio.run(keep(ground.repository, "v1.x", ground.base))
    assert ref == ref_of("v1.x") == "refs/visionflow/kept/v1%2Ex"
    only = asyncio.run(kept(ground.repository))[0]
    assert (only.task, only.attempt, only.base, only.files) == ("v1.x", None, None, ())


def test_where_nothing_is_kept_nothing_is_listed_or_bundled(ground: Ground, tmp_path: Path) -> None:
    assert asyncio.run(kept(ground.repository)) == ()
    file = tmp_path / "kept.bundle"
    assert asyncio.run(bundle(ground.repository, file, (), ground.base)) is None
    assert not file.exists()


def test_the_lock_of_a_git_that_was_killed_does_not_keep_work_from_being_kept(
    ground: Ground,
) -> None:
    copy = ground.copy()
    work(copy, "good")
    refs = ground.repository.path / "refs" / "visionflow"
    for name in ("kept/candidate-1", "gathering/candidate-1"):
        (refs / name).parent.mkdir(parents=True, exist_ok=True)
        (refs / f"{name}.lock").touch()
    assert ground.gather(copy).tip is not None


@pytest.mark.acceptance("coding-agents")
def test_work_in_a_stash_and_on_other_branches_is_kept_though_no_result_holds_it(
    ground: Ground,
) -> None:
    copy = ground.copy()
    folder = work(copy, "writes:mine=1,commits,writes:mine=2,commits,tag:same,stash,foreign:topic")
    git(folder, "branch", "earlier", "HEAD^")
    stash, topic = git(folder, "rev-parse", "refs/stash", "topic").split()
    made = ground.gather(copy)
    assert made.files == ("mine",)
    assert made.notes == tuple(
        f"{name} of its git is in none of its files; it is kept by "
        f"refs/visionflow/kept/candidate-1.1-{at[:10]}."
        for name, at in (("refs/heads/topic", topic), ("refs/stash", stash))
    )
    found = {each.commit: each for each in asyncio.run(kept(ground.repository))}
    assert set(found) == {made.tip, stash, topic}
    assert (found[stash].task, found[stash].attempt) == ("candidate-1", 1)
    assert found[stash].files == ("README.md",)
    assert ground.inside("cat-file", "blob", f"{stash}:README.md") == "stashed"
    assert ground.inside("fsck", "--no-dangling") == ""
    assert ground.gather(copy) == made


def test_a_stray_that_git_would_not_have_is_told_of_and_does_no_harm(ground: Ground) -> None:
    copy = ground.copy()
    folder = work(copy, "good")
    blob = git(folder, "rev-parse", "HEAD:README.md")
    (folder / ".git" / "tree").write_bytes(b"40000 .git\0" + b"\1" * 20)
    tree = git(folder, "hash-object", "-w", "-t", "tree", "--literally", ".git/tree")
    commit = git(folder, "commit-tree", tree, "-p", "HEAD", "-m", "evil")
    git(folder, "branch", "evil", commit)
    git(folder, "tag", "blob", blob)
    made = ground.gather(copy)
    assert made.files == ("shop/limits.py",)
    assert len(made.notes) == 1
    assert made.notes[0].startswith(f"refs/heads/evil of its git, at {commit[:10]}, cannot be kept")
    assert len(asyncio.run(kept(ground.repository))) == 1


@pytest.mark.acceptance("coding-agents")
def test_a_bundle_brings_the_work_back_where_its_base_is_known(
    ground: Ground, tmp_path: Path
) -> None:
    tips = [worked(ground, "candidate-1", "good"), worked(ground, "candidate-2", "wrong,tag")]
    file = tmp_path / "with space" / "kept.bundle"
    works = asyncio.run(kept(ground.repository))
    made = asyncio.run(bundle(ground.repository, file, works, ground.repository.head))
    assert made is not None
    assert (made.bytes, made.refs) == (file.stat().st_size, tuple(each.ref for each in works))
    for command in made.commands:
        recovered(ground.source, command)
    names = ("recovered/candidate-1", "recovered/candidate-2")
    assert git(ground.source, "rev-parse", *names).split() == tips
    assert git(ground.source, "rev-list", "--count", "--all") == "3"
    assert os.listdir(file.parent) == [file.name]


def test_a_bundle_of_work_on_files_that_were_not_committed_holds_these_too(
    ground: Ground, tmp_path: Path
) -> None:
    (ground.source / "README.md").write_text("dirty\n")
    dirty = Ground.of(tmp_path / "second", ground.source)
    tip = worked(dirty, "candidate-1", "good")
    works = asyncio.run(kept(dirty.repository))
    file = tmp_path / "kept.bundle"
    made = asyncio.run(bundle(dirty.repository, file, works, dirty.repository.head))
    assert made is not None
    recovered(ground.source, made.commands[0])
    assert git(ground.source, "rev-parse", "recovered/candidate-1") == tip
    assert git(ground.source, "show", "recovered/candidate-1:README.md") == "dirty"


def test_without_a_base_a_bundle_holds_all_history(ground: Ground, tmp_path: Path) -> None:
    tip = worked(ground, "candidate-1", "good")
    works = asyncio.run(kept(ground.repository))
    made = asyncio.run(bundle(ground.repository, tmp_path / "all.bundle", works, None))
    assert made is not None
    empty = tmp_path / "empty"
    empty.mkdir()
    git(empty, "init", "-q")
    recovered(empty, made.commands[0])
    assert git(empty, "rev-parse", "recovered/candidate-1") == tip


def test_the_private_repository_itself_gives_work_back_too(ground: Ground) -> None:
    tip = worked(ground, "candidate-1", "good")
    recovered(ground.source, recovering(str(ground.repository.path), ref_of("candidate-1")))
    assert git(ground.source, "rev-parse", "recovered/candidate-1") == tip


def test_a_bundle_that_cannot_be_written_leaves_the_one_before(
    ground: Ground, tmp_path: Path
) -> None:
    worked(ground, "candidate-1", "good")
    works = asyncio.run(kept(ground.repository))
    file = tmp_path / "kept.bundle"
    asyncio.run(bundle(ground.repository, file, works, ground.base))
    before = file.read_bytes()
    (tmp_path / f"{file.name}.0badcafe.partial.lock").write_text("of a killed git")
    with pytest.raises(WorkspaceError):
        asyncio.run(bundle(ground.repository, file, works, "0" * 39 + "1"))
    assert file.read_bytes() == before
    assert [each.name for each in tmp_path.glob("kept.bundle*")] == [file.name]
    (tmp_path / "a file").touch()
    with pytest.raises(WorkspaceError, match="cannot be written"):
        asyncio.run(bundle(ground.repository, tmp_path / "a file" / "b", works, ground.base))
