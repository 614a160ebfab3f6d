"""What a private repository takes from a strange folder, and what it never does to it."""

import asyncio
import hashlib
import os
import socket
import stat
import subprocess
from pathlib import Path

import pytest

from visionflow.agents.workspace import PrivateRepository
from visionflow.domain.errors import WorkspaceError

WHO = {
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@b",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@b",
    "GIT_AUTHOR_DATE": "1700000000 +0000",
    "GIT_COMMITTER_DATE": "1700000000 +0000",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
}


def git(folder: Path, *words: str) -> str:
    """Plain git, as the user of the source would run it."""
    words = ("-c", "protocol.file.allow=always", *words)
    done = subprocess.run(
        ["git", *words], cwd=folder, env=WHO, capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout.strip()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A repository of two commits and a tag, with a clean working tree."""
    folder = tmp_path / "source"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "trunk")
    (folder / "kept").write_text("one")
    (folder / "run.sh").write_text("#!/bin/sh\n")
    (folder / "run.sh").chmod(0o755)
    (folder / "sub").mkdir()
    (folder / "sub" / "inner").write_text("inner")
    (folder / ".gitignore").write_text("*.log\nbuild/\n")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "one")
    git(folder, "tag", "v1")
    (folder / "kept").write_text("two")
    git(folder, "commit", "-qam", "two")
    return folder


def create(tmp_path: Path, source: Path, *exclude: Path, name: str = "run") -> PrivateRepository:
    return asyncio.run(PrivateRepository.create(tmp_path / name, source, exclude))


def inside(repository: PrivateRepository, *words: str) -> str:
    return git(repository.path, f"--git-dir={repository.path}", *words)


def listed(repository: PrivateRepository) -> list[str]:
    words = ("ls-tree", "-r", "-z", "--name-only", repository.snapshot)
    return [each for each in inside(repository, *words).split("\0") if each]


def state_of(folder: Path) -> dict[str, tuple[int, int, int, str]]:
    """Mode, size, time of change and content of everything below, `.git` with it."""
    found: dict[str, tuple[int, int, int, str]] = {}
    for place, folders, names in os.walk(folder):
        for name in (*folders, *names):
            path = Path(place, name)
            about = path.lstat()
            content = path.read_bytes() if stat.S_ISREG(about.st_mode) else b""
            digest = hashlib.sha256(content).hexdigest()
            found[str(path)] = (about.st_mode, about.st_size, about.st_mtime_ns, digest)
    return found


def test_a_clean_repository_comes_with_history_branches_and_tags(
    tmp_path: Path, source: Path
) -> None:
    made = create(tmp_path, source)
    assert made.head == git(source, "rev-parse", "HEAD")
    assert (made.dirty, made.notes, made.files) == (False, (), 4)
    assert inside(made, "rev-parse", f"{made.snapshot}^") == made.head
    assert inside(made, "rev-parse", "refs/tags/v1") == git(source, "rev-parse", "v1")
    assert inside(made, "rev-parse", "refs/heads/trunk") == made.head
    tree = inside(made, "rev-parse", f"{made.snapshot}^{{tree}}")
    assert tree == git(source, "rev-parse", "HEAD^{tree}")
    inside(made, "fsck", "--strict")


def test_the_snapshot_is_what_is_on_disk_but_for_the_ignored(tmp_path: Path, source: Path) -> None:
    (source / "kept").write_text("changed, not committed")
    (source / "new").write_text("untracked")
    (source / "sub" / "inner").unlink()
    (source / "noise.log").write_text("ignored")
    (source / "build").mkdir()
    (source / "build" / "out").write_text("ignored")
    (source / "tracked.log").write_text("tracked though ignored")
    git(source, "add", "-f", "tracked.log")
    git(source, "commit", "-qm", "three")
    (source / ".git" / "info" / "exclude").write_text("private*\n")
    (source / "private-notes").write_text("ignored by info/exclude")
    made = create(tmp_path, source)
    assert made.dirty
    assert listed(made) == [".gitignore", "kept", "new", "run.sh", "tracked.log"]
    assert inside(made, "show", f"{made.snapshot}:kept") == "changed, not committed"
    assert inside(made, "ls-tree", made.snapshot, "run.sh").startswith("100755")


def test_the_same_folder_gives_the_same_snapshot_again(tmp_path: Path, source: Path) -> None:
    (source / "new").write_text("untracked")
    first = create(tmp_path, source, name="first")
    second = create(tmp_path, source, name="second")
    assert first.snapshot == second.snapshot


@pytest.mark.acceptance("workspace")
def test_the_source_and_its_git_stay_byte_for_byte(tmp_path: Path, source: Path) -> None:
    (source / "kept").write_text("changed")
    os.utime(source / "run.sh", (1, 1))  # git would refresh its index for this
    before = state_of(source)
    made = create(tmp_path, source)
    worktree = asyncio.run(made.worktree("a"))
    (worktree / "kept").write_text("by an agent")
    tree = asyncio.run(made.tree_of(worktree))
    asyncio.run(made.restore(worktree, tree))
    assert state_of(source) == before


@pytest.mark.acceptance("workspace")
def test_no_program_that_the_source_names_is_run(tmp_path: Path, source: Path) -> None:
    markers = tmp_path / "markers"
    markers.mkdir()
    plant(source, markers)
    made = create(tmp_path, source)
    worktree = asyncio.run(made.worktree("a"))
    (worktree / "kept").write_text("changed")
    tree = asyncio.run(made.tree_of(worktree))
    asyncio.run(made.restore(worktree, tree))
    assert list(markers.iterdir()) == []
    assert (worktree / "kept").read_text() == "changed"
    assert (worktree / "crlf").read_bytes() == b"a\r\nb\r\n"
    subprocess.run(["git", "status"], cwd=source, env=WHO, capture_output=True, check=False)
    assert list(markers.iterdir()), "the plants must be able to work at all"


def plant(source: Path, markers: Path) -> None:
    """Name a program in every place of a repository that git would run one from."""

    def mark(name: str) -> str:
        return f"touch '{markers}/{name}'; cat"

    (source / ".gitattributes").write_text("* filter=evil diff=evil text=auto\n*.txt filter=lfs\n")
    (source / "crlf").write_bytes(b"a\r\nb\r\n")
    hooks = source / ".git" / "hooks"
    hooks.mkdir(exist_ok=True)
    for name in ("post-checkout", "post-index-change", "reference-transaction", "pre-auto-gc"):
        (hooks / name).write_text(f"#!/bin/sh\ntouch '{markers}/{name}'\n")
        (hooks / name).chmod(0o755)
    (source / ".git" / "more").write_text(f'[core]\nfsmonitor = "{mark("fsmonitor")}"\n')
    for key in ("filter.evil.clean", "filter.evil.smudge", "filter.lfs.smudge", "core.sshCommand",
                "diff.evil.textconv", "uploadpack.packObjectsHook", "core.alternateRefsCommand",
                "core.pager", "core.editor", "gpg.program", "credential.helper"):  # fmt: skip
        git(source, "config", key, mark(key))
    git(source, "config", "include.path", "more")
    nested = source / "nested"
    nested.mkdir()
    git(nested, "init", "-q")
    (nested / "file").write_text("nested")
    git(nested, "add", "file")
    git(nested, "commit", "-qm", "nested")
    git(nested, "config", "core.fsmonitor", mark("nested"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_repository_of_another_owner_is_read_all_the_same(tmp_path: Path, source: Path) -> None:
    for place, folders, names in os.walk(source):
        for name in (".", *folders, *names):
            os.chown(os.path.join(place, name), 65534, 65534)
    refused = subprocess.run(
        ["git", "log"], cwd=source, env=WHO, capture_output=True, text=True, check=False
    )
    assert "dubious ownership" in refused.stderr
    made = create(tmp_path, source)
    assert made.head is not None
    assert made.notes == ()


def test_a_folder_without_git_is_taken_whole_but_for_junk(tmp_path: Path) -> None:
    source = tmp_path / "plain"
    for name in ("a", "sub/b", ".venv/c", "node_modules/d", "sub/__pycache__/e", ".visionflow/f"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(name)
    (source / ".gitignore").write_text("a\n")
    made = create(tmp_path, source)
    assert made.head is None
    assert made.dirty
    assert listed(made) == [".gitignore", "a", "sub/b"]


def test_an_empty_folder_is_a_workspace_too(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    made = create(tmp_path, tmp_path / "empty")
    assert (made.files, made.head, made.dirty) == (0, None, False)
    assert list(asyncio.run(made.worktree("a")).iterdir()) != []


def test_the_folder_of_runs_within_the_source_is_left_out(tmp_path: Path, source: Path) -> None:
    out = source / "runs"
    (out / "1").mkdir(parents=True)
    (out / "1" / "report.md").write_text("earlier")
    made = asyncio.run(PrivateRepository.create(out / "2", source, (out,)))
    assert "runs/1/report.md" not in listed(made)
    own = asyncio.run(PrivateRepository.create(source / "other", source))
    assert not [each for each in listed(own) if each.startswith("other/")]


def test_a_subfolder_of_a_repository_is_taken_alone_and_said(tmp_path: Path, source: Path) -> None:
    (source / "sub" / "noise.log").write_text("ignored by the pattern above")
    (source / "sub" / "new").write_text("new")
    made = create(tmp_path, source / "sub")
    assert listed(made) == ["inner", "new"]
    assert made.head == git(source, "rev-parse", "HEAD")
    assert made.dirty
    assert any("subfolder" in each for each in made.notes)


def test_a_folder_that_its_repository_ignores_is_taken_as_it_is(
    tmp_path: Path, source: Path
) -> None:
    (source / "build").mkdir()
    (source / "build" / "code.py").write_text("pass")
    made = create(tmp_path, source / "build")
    assert (listed(made), made.head) == (["code.py"], None)
    assert any("ignores it" in each for each in made.notes)


def test_linked_worktrees_and_submodules_are_followed_to_their_history(
    tmp_path: Path, source: Path
) -> None:
    git(source, "worktree", "add", "-q", "--detach", str(tmp_path / "linked"), "v1")
    made = create(tmp_path, tmp_path / "linked", name="one")
    assert made.head == git(source, "rev-parse", "v1")
    outer = tmp_path / "outer"
    outer.mkdir()
    git(outer, "init", "-q")
    git(outer, "submodule", "--quiet", "add", str(source), "module")
    git(outer, "commit", "-qm", "with a module")
    made = create(tmp_path, outer / "module", name="two")
    assert made.head == git(source, "rev-parse", "HEAD")
    made = create(tmp_path, outer, name="three")
    assert "module/kept" in listed(made)
    assert not made.dirty
    assert any("module/.git" in each for each in made.notes)


@pytest.mark.parametrize("way", ["file", "link", "commondir"])
def test_a_pointer_to_some_other_repository_is_not_followed(
    tmp_path: Path, source: Path, way: str
) -> None:
    stranger = tmp_path / "stranger"
    stranger.mkdir()
    (stranger / "file").write_text("x")
    if way == "file":
        (stranger / ".git").write_text(f"gitdir: {source}/.git\n")
    elif way == "link":
        (stranger / ".git").symlink_to(source / ".git")
    else:
        git(stranger, "init", "-q", "-b", "trunk")
        (stranger / ".git" / "commondir").write_text(f"{source}/.git\n")
    made = create(tmp_path, stranger)
    assert (made.head, listed(made)) == (None, ["file"])
    assert made.notes
    assert inside(made, "for-each-ref", "refs/heads", "refs/tags") == ""


def test_bare_shallow_and_unborn_repositories_work(tmp_path: Path, source: Path) -> None:
    git(tmp_path, "clone", "-q", "--bare", str(source), "bare")
    made = create(tmp_path, tmp_path / "bare", name="one")
    assert "kept" in listed(made)
    assert made.snapshot == made.head == git(source, "rev-parse", "HEAD")
    git(tmp_path, "clone", "-q", "--depth=1", f"file://{source}", "shallow")
    made = create(tmp_path, tmp_path / "shallow", name="two")
    assert made.head == git(source, "rev-parse", "HEAD")
    assert any("shallow" in each for each in made.notes)
    (tmp_path / "unborn").mkdir()
    git(tmp_path / "unborn", "init", "-q")
    (tmp_path / "unborn" / "file").write_text("x")
    made = create(tmp_path, tmp_path / "unborn", name="three")
    assert (made.head, listed(made)) == (None, ["file"])


def test_objects_in_alternates_are_found(tmp_path: Path, source: Path) -> None:
    git(tmp_path, "clone", "-q", "--shared", str(source), "sharing")
    made = create(tmp_path, tmp_path / "sharing")
    assert made.head == git(source, "rev-parse", "HEAD")
    source.rename(tmp_path / "gone")
    inside(made, "fsck", "--strict")


@pytest.mark.parametrize("damage", ["objects", "head", "config"])
def test_a_broken_repository_is_taken_as_a_folder(
    tmp_path: Path, source: Path, damage: str
) -> None:
    if damage == "objects":
        for each in (source / ".git" / "objects").glob("??/*"):
            each.chmod(0o600)
            each.write_bytes(b"broken")
    elif damage == "head":
        (source / ".git" / "HEAD").write_text("ref: refs/heads/../../../config")
    else:
        (source / ".git" / "config").write_text("[core\nbroken")
    made = create(tmp_path, source)
    assert "kept" in listed(made)
    if damage != "config":  # which is never read
        assert made.head is None
        assert made.notes


def test_what_cannot_be_kept_is_noted_and_costs_nothing_else(tmp_path: Path) -> None:
    source = tmp_path / "odd"
    source.mkdir()
    os.mkfifo(source / "fifo")
    before = os.getcwd()
    os.chdir(source)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
    os.chdir(before)
    (source / "loop").symlink_to("loop")
    (source / "up").symlink_to("..")
    (source / "away").symlink_to("/etc/passwd")
    names = [b"latin-\xe9", b"new\nline", b'quo"te', b"back\\slash", b" space ", b"-n", b":(top)x"]
    for name in names:
        (source / os.fsdecode(name)).write_bytes(name)
    (source / "fine").write_text("fine")
    made = create(tmp_path, source)
    worktree = asyncio.run(made.worktree("a"))
    assert {os.fsencode(each.name) for each in worktree.iterdir()} == {
        b".git", b"loop", b"up", b"away", b"fine", *names,
    }  # fmt: skip
    assert os.readlink(worktree / "away") == "/etc/passwd"
    assert all((worktree / os.fsdecode(name)).read_bytes() == name for name in names)
    assert sorted(each.split(":")[0] for each in made.notes) == ["fifo", "socket"]


def test_odd_names_are_no_pathspecs_where_git_ignores(tmp_path: Path, source: Path) -> None:
    for name in (":(top)x", ":!y", "*", 'q"', "-z", "new\nline", os.fsdecode(b"\xff")):
        (source / name).write_text("odd")
    made = create(tmp_path, source)
    assert made.files == 4 + 7


def test_unreadable_files_are_noted(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (source / "locked").write_text("x")
    real = os.open

    def refuse(path: bytes, flags: int, *more: int) -> int:
        """Root reads everything, so that the refusal is played."""
        if str(path).endswith("/locked'"):
            raise PermissionError(13, "Permission denied")
        return real(path, flags, *more)

    monkeypatch.setattr("os.open", refuse)
    made = create(tmp_path, source)
    assert made.notes == ("locked: not read (Permission denied)",)
    assert "locked" not in listed(made)


def test_a_source_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "loop").symlink_to("loop")
    for name in ("file", "missing", "loop"):
        with pytest.raises(WorkspaceError, match=name):
            create(tmp_path, tmp_path / name)
