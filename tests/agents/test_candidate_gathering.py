"""What an agent left in its copy, as one commit: its files as they stand, not what its git says."""

import asyncio
import os
import shutil
import stat
import tempfile
from pathlib import Path

import pytest
from candidate_copies import Ground, git, sampled, work
from hypothesis import given, settings
from hypothesis import strategies as some

from tests.coding.sample import FILES
from visionflow.agents.workspace.fence import Copy
from visionflow.agents.workspace.gathering import finished_by
from visionflow.domain.errors import WorkspaceError


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    return sampled(tmp_path)


@pytest.fixture
def copy(ground: Ground) -> Copy:
    return ground.copy()


def tree_of(ground: Ground, commit: str) -> dict[str, tuple[str, str]]:
    """Mode and content of each file of a commit."""
    found: dict[str, tuple[str, str]] = {}
    for line in ground.inside("ls-tree", "-r", "-z", commit).split("\0"):
        about, _, path = line.partition("\t")
        if path:
            mode, kind, at = about.split()
            found[path] = (mode, ground.inside("cat-file", "blob", at) if kind == "blob" else at)
    return found


@pytest.mark.acceptance("coding-agents")
def test_files_that_were_not_committed_become_one_commit_on_the_base(
    ground: Ground, copy: Copy
) -> None:
    work(copy, "good,writes:shop/new.py=NEW = 1,deletes:README.md")
    made = ground.gather(copy)
    assert made.files == ("README.md", "shop/limits.py", "shop/new.py")
    assert (made.insertions, made.deletions, made.commits, made.attempt) == (6, 1, 0, 1)
    assert made.notes == ()
    assert made.ref == "refs/visionflow/kept/candidate-1"
    assert ground.inside("rev-parse", made.ref, f"{made.ref}^") == f"{made.tip}\n{ground.base}"
    assert sorted(ground.files_of(made.ref)) == sorted({*FILES, "shop/new.py"} - {"README.md"})


@pytest.mark.acceptance("coding-agents")
def test_the_commit_says_run_task_attempt_and_the_subjects_of_the_agents_own(
    ground: Ground, copy: Copy
) -> None:
    work(copy, "good,commits:first words,writes:a=b,commits:then more,writes:a=c")
    made = ground.gather(copy, attempt=3)
    assert made.commits == 2
    assert ground.inside("log", "-1", "--format=%an <%ae>%n%B", made.tip or "") == (
        "VisionFlow <visionflow@localhost>\n"
        "candidate-1: Limit the calls\n\nThe agent's own commits:\n\n- first words\n- then more\n\n"
        "VisionFlow-Run: r1\nVisionFlow-Task: candidate-1\nVisionFlow-Attempt: 3\n"
        "VisionFlow-Commits: 2"
    )
    assert tree_of(ground, made.tip or "")["a"] == ("100644", "c")


@pytest.mark.acceptance("coding-agents")
def test_the_same_files_give_the_same_commit_whoever_gathers_and_how_often(
    ground: Ground, copy: Copy
) -> None:
    work(copy, "good,commits")
    first = ground.gather(copy)
    assert ground.gather(copy) == first
    assert asyncio.run(finished_by(ground.repository, "r1", "candidate-1")) == first
    assert asyncio.run(finished_by(ground.repository, "other", "candidate-1")) is None
    assert asyncio.run(finished_by(ground.repository, "r1", "candidate-2")) is None
    assert ground.inside("for-each-ref", "--format=%(refname)", "refs/visionflow").split() == [
        "refs/visionflow/kept/candidate-1", "refs/visionflow/snapshot",
    ]  # fmt: skip


def test_a_copy_that_was_left_as_it_was_gives_no_commit(ground: Ground, copy: Copy) -> None:
    work(copy, "say:nothing")
    made = ground.gather(copy)
    assert (made.tip, made.ref, made.files) == (None, None, ())
    assert asyncio.run(finished_by(ground.repository, "r1", "candidate-1")) is None


def test_commits_that_changed_nothing_in_the_end_are_counted_all_the_same(
    ground: Ground, copy: Copy
) -> None:
    folder = work(copy, "good,commits")
    git(folder, "revert", "--no-edit", "HEAD")
    made = ground.gather(copy)
    assert (made.tip, made.commits) == (None, 2)


@pytest.mark.acceptance("coding-agents")
def test_what_the_patterns_ignore_is_no_part_of_it_unless_the_agent_committed_it(
    ground: Ground, copy: Copy
) -> None:
    folder = work(copy, "writes:build/a=1,writes:build/b=2,writes:shop/c.pyc=3,writes:d=4")
    assert ground.gather(copy).files == ("d",)
    git(folder, "add", "-f", "build/b")
    git(folder, "commit", "-qm", "build/b on purpose")
    assert ground.gather(copy).files == ("build/b", "d")
    (folder / ".gitignore").write_text("d\n")
    assert set(ground.gather(copy).files) == {".gitignore", "build/a", "build/b", "shop/c.pyc"}


def test_a_file_of_the_base_stays_in_it_though_a_new_pattern_ignores_it(
    ground: Ground, copy: Copy
) -> None:
    work(copy, "writes:.gitignore=*,writes:README.md=new,writes:x=y")
    assert ground.gather(copy).files == (".gitignore", "README.md")


@pytest.mark.acceptance("coding-agents")
def test_binaries_links_and_modes_are_kept_as_they_are(ground: Ground, copy: Copy) -> None:
    folder = Path(copy.folder)
    (folder / "data.bin").write_bytes(bytes(range(256)) * 9)
    (folder / "link").symlink_to("shop")
    (folder / "nowhere").symlink_to("/does/not/exist")
    (folder / "shop" / "prices.py").chmod(0o755)
    (folder / "README.md").unlink()
    (folder / "README.md").symlink_to("shop/prices.py")
    made = ground.gather(copy)
    tree = tree_of(ground, made.tip or "")
    assert made.files == ("README.md", "data.bin", "link", "nowhere", "shop/prices.py")
    assert {name: tree[name][0] for name in made.files} == {
        "README.md": "120000", "data.bin": "100644", "link": "120000", "nowhere": "120000",
        "shop/prices.py": "100755",
    }  # fmt: skip
    assert tree["nowhere"][1] == "/does/not/exist"
    assert tree["shop/prices.py"][1].startswith("def total")
    data = ground.inside("rev-parse", f"{made.tip}:data.bin")
    assert data == git(folder, "hash-object", "--no-filters", "data.bin")


def test_a_file_may_become_a_folder_and_a_folder_a_file(ground: Ground, copy: Copy) -> None:
    folder = Path(copy.folder)
    (folder / "README.md").unlink()
    (folder / "README.md").mkdir()
    (folder / "README.md" / "inner").write_text("in\n")
    shutil.rmtree(folder / "tests")
    (folder / "tests").write_text("a file now\n")
    made = ground.gather(copy)
    assert made.files == ("README.md", "README.md/inner", "tests", "tests/test_prices.py")
    names = set(tree_of(ground, made.tip or ""))
    assert {"README.md/inner", "tests"} < names and "tests/test_prices.py" not in names


def test_names_that_are_no_text_are_kept_by_their_bytes(ground: Ground, copy: Copy) -> None:
    place = os.fsencode(copy.folder) + b'/a\xff\n "b"\\'
    with open(place, "wb") as file:
        file.write(b"odd\n")
    made = ground.gather(copy)
    made.files[0].encode("utf-8")
    assert (
        ground.inside("cat-file", "blob", f"{made.tip}:" + os.fsdecode(b'a\xff\n "b"\\')) == "odd"
    )


def test_what_was_shut_to_its_owner_is_read_all_the_same(ground: Ground, copy: Copy) -> None:
    folder = work(copy, "good")
    (folder / "shop" / "limits.py").chmod(0)
    (folder / "shop").chmod(0)
    (folder / ".git" / "refs").chmod(0)
    made = ground.gather(copy)
    assert made.files == ("shop/limits.py",)
    assert stat.S_IMODE((folder / "shop").stat().st_mode) == 0o700


def test_what_is_neither_file_nor_link_is_noted_and_waited_for_by_nobody(
    ground: Ground, copy: Copy
) -> None:
    folder = work(copy, "good")
    for name in ("pipe", "shop/.gitignore", ".git/objects/pipe"):
        os.mkfifo(folder / name)
    made = ground.gather(copy)
    assert made.files == ("shop/limits.py",)
    assert any("pipe: neither file, folder nor link" in note for note in made.notes)
    assert any("own commits were not read" in note for note in made.notes)


def test_a_repository_within_gives_its_files_and_not_its_history(
    ground: Ground, copy: Copy
) -> None:
    folder = work(copy, "writes:inner/a=1")
    git(folder / "inner", "init", "-q")
    git(folder / "inner", "add", "-A")
    git(folder / "inner", "commit", "-qm", "inner")
    made = ground.gather(copy)
    assert made.files == ("inner/a",)
    assert any("a repository inside" in note for note in made.notes)


def test_folders_that_are_never_taken_are_named(ground: Ground, copy: Copy) -> None:
    work(copy, "good,writes:node_modules/a=1")
    made = ground.gather(copy)
    assert made.files == ("shop/limits.py",)
    assert made.notes == ("node_modules: such a folder is never part of a result",)


def test_a_submodule_stays_as_the_base_has_it(ground: Ground) -> None:
    git(ground.source, "update-index", "--add", "--cacheinfo", f"160000,{ground.base},sub")
    git(ground.source, "commit", "-qm", "with a submodule")
    base = git(ground.source, "rev-parse", "HEAD")
    ground.inside("fetch", "-q", str(ground.source), "HEAD")
    copy = ground.copy(base=base)
    work(copy, "good,writes:sub/inner=1")
    made = ground.gather(copy)
    assert made.files == ("shop/limits.py",)
    assert tree_of(ground, made.tip or "")["sub"] == ("160000", ground.base)
    assert any("within a submodule" in note for note in made.notes)


def test_nothing_that_the_agent_configured_is_ever_run(
    ground: Ground, copy: Copy, tmp_path: Path
) -> None:
    folder, marker = work(copy, "good,commits,writes:a=b"), tmp_path / "marker"
    with (folder / ".git" / "config").open("a") as config:
        config.write(
            f'[core]\nfsmonitor = "touch {marker}"\nhooksPath = .git/hooks\n'
            f'worktree = /tmp\n[filter "x"]\nclean = touch {marker}\nprocess = touch {marker}\n'
        )
    (folder / ".gitattributes").write_text("* filter=x\n")
    for name in ("post-index-change", "reference-transaction", "post-checkout"):
        (folder / ".git" / "hooks" / name).write_text(f"#!/bin/sh\ntouch {marker}\n")
        (folder / ".git" / "hooks" / name).chmod(0o755)
    made = ground.gather(copy)
    assert made.files == (".gitattributes", "a", "shop/limits.py") and made.commits == 1
    assert not marker.exists()


def test_what_an_agent_says_in_its_commits_cannot_pass_for_a_trailer(
    ground: Ground, copy: Copy
) -> None:
    folder = work(copy, "good")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "VisionFlow-Task: other\x1b[31m\n\nVisionFlow-Attempt: 99")
    made = ground.gather(copy)
    assert made.attempt == 1
    assert "- VisionFlow-Task: other [31m\n" in ground.inside(
        "log", "-1", "--format=%B", made.ref or ""
    )


def test_commits_that_its_user_had_already_are_not_its_own(ground: Ground, tmp_path: Path) -> None:
    git(ground.source, "checkout", "-q", "other")
    (ground.source / "o").write_text("o\n")
    git(ground.source, "add", "-A")
    git(ground.source, "commit", "-qm", "on other")
    git(ground.source, "checkout", "-q", "main")
    again = Ground.of(tmp_path / "second", ground.source)
    copy = again.copy()
    git(work(copy, "good,commits"), "merge", "-q", "--no-edit", "other")
    made = again.gather(copy)
    assert (made.files, made.commits) == (("o", "shop/limits.py"), 2)


def test_another_attempts_work_is_kept_on_by_a_ref_of_that_attempt(
    ground: Ground, copy: Copy
) -> None:
    work(copy, "good")
    first = ground.gather(copy, attempt=1)
    work(copy, "writes:more=1")
    second = ground.gather(copy, attempt=2)
    work(copy, "deletes:more,writes:shop/limits.py=x")
    git(Path(copy.folder), "checkout", "-q", "--", ".")
    assert ground.gather(copy, attempt=3).tip is None
    assert ground.inside(
        "for-each-ref", "--format=%(objectname) %(refname)", "refs/visionflow/kept"
    ) == (
        f"{first.tip} refs/visionflow/kept/candidate-1.1\n"
        f"{second.tip} refs/visionflow/kept/candidate-1.2"
    )
    assert asyncio.run(finished_by(ground.repository, "r1", "candidate-1")) is None


def test_without_a_copy_there_is_nothing_to_gather(ground: Ground, copy: Copy) -> None:
    shutil.rmtree(copy.folder)
    with pytest.raises(WorkspaceError, match="no working copy"):
        ground.gather(copy)


NAMES = some.sampled_from(
    ["a", "b", "shop", "shop/x", "shop/prices.py", "tests", "d/e/f", "README.md"]
)
EDITS = some.lists(
    some.tuples(some.sampled_from(["write", "delete", "link", "run", "move"]), NAMES, NAMES),
    max_size=8,
)


def _edit(folder: Path, edit: tuple[str, str, str]) -> None:
    """Do it where the file system lets one."""
    kind, name, other = edit
    place = folder / name
    try:
        if kind == "delete":
            shutil.rmtree(place) if place.is_dir() and not place.is_symlink() else place.unlink()
        elif kind == "move":
            place.rename(folder / other)
        elif kind == "run":
            place.chmod(0o755)
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(other) if kind == "write" else place.symlink_to(other)
    except OSError:
        return


def _on_disk(folder: Path) -> dict[str, tuple[str, str]]:
    found: dict[str, tuple[str, str]] = {}
    for place in folder.rglob("*"):
        name = place.relative_to(folder).as_posix()
        if name == ".git" or name.startswith(".git/"):
            continue
        if place.is_symlink():
            found[name] = ("120000", os.readlink(place))
        elif place.is_file():
            mode = "100755" if place.stat().st_mode & stat.S_IXUSR else "100644"
            found[name] = (mode, place.read_text().strip())
    return found


@settings(max_examples=25, deadline=None)
@given(EDITS)
def test_whatever_was_edited_the_commit_holds_the_files_as_they_stand(
    edits: list[tuple[str, str, str]],
) -> None:
    with tempfile.TemporaryDirectory() as name:
        ground = sampled(Path(name))
        copy = ground.copy()
        before = _on_disk(Path(copy.folder))
        for each in edits:
            _edit(Path(copy.folder), each)
        made, after = ground.gather(copy), _on_disk(Path(copy.folder))
        assert tree_of(ground, made.tip or ground.base) == after
        changed = {name for name in {*before, *after} if before.get(name) != after.get(name)}
        assert set(made.files) == changed
