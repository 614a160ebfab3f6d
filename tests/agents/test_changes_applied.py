"""A change brought into the user's own repository: the branch is made, and nothing else happens."""

import asyncio
import os
import subprocess
from pathlib import Path

import pytest
from test_changes import run_git

from visionflow.agents.workspace import PrivateRepository
from visionflow.agents.workspace.applying import Brought, bring_branch, change_files
from visionflow.agents.workspace.changes import commit, start_of
from visionflow.domain.errors import Refused

RUN = "run-1"
BRANCH = f"visionflow/{RUN}"


class Change:
    """A workspace in a git repository, a run's private repository of it, and two commits there."""

    def __init__(self, tmp_path: Path, below: str = "", git: bool = True) -> None:
        self.top = tmp_path / "user"
        self.source = self.top / below
        self.source.mkdir(parents=True)
        (self.source / "a.py").write_text("import os\n")
        (self.source / "b.py").write_text("x = f'1'\n")
        (self.source / "b.py").chmod(0o750)
        (self.top / "README").write_text("hello\n")
        if git:
            run_git(self.top, "init", "-q", "-b", "main")
            run_git(self.top, "add", ".")
            run_git(self.top, "commit", "-q", "-m", "one")
        self.home = tmp_path / "run"

    def make(self) -> None:
        async def work() -> None:
            self.repository = await PrivateRepository.create(self.home, self.source)
            path = self.repository.path
            self.base = await start_of(self.repository)
            one = await commit(path, self.base, {b"a.py": b""}, "F401: an import\n\nMore.")
            self.tip = await commit(path, one, {b"b.py": b"x = '1'\n"}, "F541: an f-string")

        asyncio.run(work())

    def bring(self) -> Brought:
        return asyncio.run(bring_branch(self.repository, self.source, RUN, self.base, self.tip))

    def write(self) -> Brought:
        return asyncio.run(change_files(self.repository, self.source, self.base, self.tip))


def state_of(folder: Path) -> dict[str, bytes]:
    """Everything there but what the branch adds."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "visionflow" not in path.parts and "pack" not in path.parts
    }


@pytest.mark.acceptance("workspace")
def test_the_branch_holds_the_commits_and_merges_and_nothing_else_changed(tmp_path: Path) -> None:
    change = Change(tmp_path)
    change.make()
    before = state_of(change.top)
    brought = change.bring()
    assert state_of(change.top) == before
    assert brought == Brought(BRANCH, change.tip, 2, ("a.py", "b.py"), already=False)
    assert run_git(change.top, "rev-parse", BRANCH) == change.tip
    assert run_git(change.top, "log", "--format=%s", f"main..{BRANCH}").splitlines() == [
        "F541: an f-string", "F401: an import"]  # fmt: skip
    run_git(change.top, "fsck", "--full", "--strict")
    assert run_git(change.top, "status", "--porcelain") == ""
    run_git(change.top, "merge", "-q", "--ff-only", BRANCH)
    assert (change.source / "b.py").read_text() == "x = '1'\n"
    assert change.bring().already


@pytest.mark.acceptance("workspace")
def test_no_program_that_the_repository_names_is_run(tmp_path: Path) -> None:
    change = Change(tmp_path)
    change.make()
    marker = tmp_path / "marker"
    hooks = change.top / ".git" / "hooks"
    hooks.mkdir(exist_ok=True)
    for name in ("reference-transaction", "post-index-change", "pre-auto-gc", "post-rewrite"):
        (hooks / name).write_text(f"#!/bin/sh\ntouch {marker}\n")
        (hooks / name).chmod(0o755)
    with (change.top / ".git" / "config").open("a") as config:
        config.write(
            f'[core]\n\tfsmonitor = "touch {marker}"\n\talternateRefsCommand = "touch {marker}"\n'
            f'[filter "x"]\n\tclean = touch {marker}\n\tsmudge = touch {marker}\n'
        )
    (change.top / ".git" / "info" / "attributes").write_text("* filter=x\n")
    change.bring()
    change.write()
    assert not marker.exists()
    assert (change.source / "a.py").read_text() == ""


@pytest.mark.acceptance("workspace")
def test_a_workspace_below_the_top_gives_commits_for_the_whole_repository(tmp_path: Path) -> None:
    change = Change(tmp_path, below="pkg/in side")
    change.make()
    change.bring()
    files = run_git(change.top, "diff", "--name-only", "main", BRANCH).splitlines()
    assert files == ["pkg/in side/a.py", "pkg/in side/b.py"]
    assert run_git(change.top, "show", f"{BRANCH}:README") == "hello"
    modes = run_git(change.top, "ls-tree", "-r", BRANCH).splitlines()
    assert [line[:6] for line in modes] == ["100644", "100644", "100755"]
    run_git(change.top, "fsck", "--full", "--strict")


@pytest.mark.acceptance("workspace")
def test_uncommitted_changes_elsewhere_do_not_get_into_the_branch(tmp_path: Path) -> None:
    change = Change(tmp_path)
    (change.top / "README").write_text("not committed\n")
    change.make()
    assert change.base == change.repository.snapshot
    change.bring()
    assert run_git(change.top, "diff", "--name-only", "main", BRANCH).split() == ["a.py", "b.py"]
    assert (change.top / "README").read_text() == "not committed\n"
    assert change.bring().already


@pytest.mark.acceptance("workspace")
def test_a_patch_on_uncommitted_work_is_not_made_into_a_branch(tmp_path: Path) -> None:
    change = Change(tmp_path)
    (change.source / "a.py").write_text("import os\nimport re\n")
    change.make()
    with pytest.raises(Refused, match=r"a\.py had changes that were not committed"):
        change.bring()
    assert run_git(change.top, "branch", "--list", "visionflow/*") == ""
    assert change.write().files == ("a.py", "b.py")


@pytest.mark.acceptance("workspace")
def test_a_branch_of_the_name_that_holds_something_else_is_never_moved(tmp_path: Path) -> None:
    change = Change(tmp_path)
    change.make()
    run_git(change.top, "branch", BRANCH, "main")
    with pytest.raises(Refused, match="holds something else"):
        change.bring()
    run_git(change.top, "pack-refs", "--all")
    with pytest.raises(Refused, match="holds something else"):
        change.bring()
    assert run_git(change.top, "rev-parse", BRANCH) == run_git(change.top, "rev-parse", "main")


@pytest.mark.acceptance("workspace")
def test_what_stands_in_the_way_is_named(tmp_path: Path) -> None:
    change = Change(tmp_path)
    change.make()
    run_git(change.top, "branch", "visionflow")
    with pytest.raises(Refused, match="in the way"):
        change.bring()
    run_git(change.top, "branch", "-D", "visionflow")
    lock = change.top / ".git" / "refs" / "heads" / "visionflow" / f"{RUN}.lock"
    lock.parent.mkdir()
    lock.touch()
    with pytest.raises(Refused, match="locked"):
        change.bring()
    assert lock.exists()
    lock.unlink()
    lock.parent.rmdir()
    (tmp_path / "elsewhere").mkdir()
    lock.parent.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Exception, match="cannot be written"):
        change.bring()
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.acceptance("workspace")
def test_a_head_that_moved_on_is_told_and_does_not_matter(tmp_path: Path) -> None:
    change = Change(tmp_path)
    change.make()
    run_git(change.top, "commit", "-q", "--allow-empty", "-m", "two")
    assert change.bring().moved_on
    run_git(change.top, "merge", "-q", "-m", "merged", BRANCH)


@pytest.mark.acceptance("workspace")
def test_a_linked_worktree_gets_the_branch_in_the_repository_it_belongs_to(tmp_path: Path) -> None:
    change = Change(tmp_path)
    run_git(change.top, "worktree", "add", "-q", "-b", "side", str(tmp_path / "side"))
    change.source = tmp_path / "side"
    change.make()
    change.bring()
    assert run_git(change.top, "rev-parse", BRANCH) == change.tip


@pytest.mark.acceptance("workspace")
@pytest.mark.parametrize("how", ["no git", "no commit"])
def test_without_a_commit_of_the_users_own_there_is_no_branch_but_files_can_be_changed(
    tmp_path: Path, how: str
) -> None:
    change = Change(tmp_path, git=False)
    if how == "no commit":
        run_git(change.top, "init", "-q")
    change.make()
    with pytest.raises(Refused) as refused:
        change.bring()
    assert "--to-working-tree" in str(refused.value)
    assert change.write() == Brought(None, None, 2, ("a.py", "b.py"), already=False)
    assert (change.source / "b.py").read_text() == "x = '1'\n"
    assert (change.source / "b.py").stat().st_mode & 0o777 == 0o750
    assert change.write().already


@pytest.mark.acceptance("workspace")
def test_files_that_changed_since_are_all_named_and_none_is_written(tmp_path: Path) -> None:
    change = Change(tmp_path)
    change.make()
    (change.source / "b.py").write_text("mine\n")
    with pytest.raises(Refused, match=r"b\.py changed since"):
        change.write()
    assert (change.source / "a.py").read_text() == "import os\n"
    (change.source / "a.py").unlink()
    (change.source / "a.py").symlink_to(tmp_path / "run")
    with pytest.raises(Refused, match=r"a\.py, b\.py changed since"):
        change.write()
    assert sorted(each.name for each in change.source.iterdir()) == [
        ".git", "README", "a.py", "b.py"]  # fmt: skip


@pytest.mark.acceptance("workspace")
def test_files_are_not_written_through_a_folder_that_became_a_link(tmp_path: Path) -> None:
    change = Change(tmp_path, below="pkg")
    change.source = change.top
    repository = asyncio.run(PrivateRepository.create(change.home, change.top))
    base = asyncio.run(start_of(repository))
    tip = asyncio.run(commit(repository.path, base, {b"pkg/a.py": b""}, "F401"))
    outside = tmp_path / "outside"
    (change.top / "pkg").rename(outside)
    (change.top / "pkg").symlink_to(outside)
    with pytest.raises(Refused, match="changed since"):
        asyncio.run(change_files(repository, change.top, base, tip))
    assert (outside / "a.py").read_text() == "import os\n"


@pytest.mark.acceptance("workspace")
def test_a_call_that_was_killed_half_way_is_made_again(tmp_path: Path) -> None:
    change = Change(tmp_path)
    change.make()
    (change.source / "a.py").write_text("")
    assert not change.write().already
    assert (change.source / "b.py").read_text() == "x = '1'\n"
    # A pack without a branch is what a kill leaves of the other way.
    change = Change(tmp_path / "two")
    change.make()
    change.bring()
    os.unlink(change.top / ".git" / "refs" / "heads" / "visionflow" / RUN)
    assert not change.bring().already
    subprocess.run(["git", "fsck", "--full"], cwd=change.top, check=True, timeout=60)
