"""Every kind of change is brought: added, removed, executable, linked, a file for a folder."""

import asyncio
import os
import subprocess
from pathlib import Path

import pytest

from tests.agents.changed_folder import AFTER, BEFORE, Changed, expected, git, held
from visionflow.agents.workspace.applying import Brought, bring_branch, change_files
from visionflow.agents.workspace.journal import JOURNAL, Journal, write_journal
from visionflow.domain.errors import Refused, WorkspaceError

RUN = "run-1"


def branch(changed: Changed, name: str = RUN) -> Brought:
    work = bring_branch(changed.repository, changed.source, name, changed.base, changed.tip)
    return asyncio.run(work)


def files(changed: Changed) -> Brought:
    work = change_files(changed.repository, changed.source, changed.base, changed.tip)
    return asyncio.run(work)


@pytest.mark.acceptance("workspace")
@pytest.mark.parametrize("below", ["", "pkg/in side"])
def test_a_branch_brings_every_kind_of_change(tmp_path: Path, below: str) -> None:
    changed = Changed(tmp_path, below)
    before = held(changed.top)
    brought = branch(changed)
    assert brought.branch == f"visionflow/{RUN}"
    assert held(changed.top) == before
    git(changed.top, "fsck", "--full", "--strict")
    git(changed.top, "merge", "-q", "--ff-only", f"visionflow/{RUN}")
    assert held(changed.source) == expected(AFTER)
    assert git(changed.top, "status", "--porcelain") == ""


@pytest.mark.acceptance("workspace")
@pytest.mark.parametrize("git_too", [True, False])
def test_the_working_tree_gets_every_kind_of_change(tmp_path: Path, git_too: bool) -> None:
    changed = Changed(tmp_path, git_too=git_too)
    (changed.source / "edited.py").chmod(0o640)
    brought = files(changed)
    assert not brought.already
    assert held(changed.source) == expected(AFTER)
    assert (changed.source / "edited.py").stat().st_mode & 0o777 == 0o640
    assert not (changed.source / "old").exists()
    assert files(changed).already
    assert not (changed.repository.path.parent / JOURNAL).exists()


@pytest.mark.acceptance("workspace")
def test_a_branch_stands_on_head_and_holds_none_of_the_rest_of_the_repository(
    tmp_path: Path,
) -> None:
    changed = Changed(tmp_path, "pkg")
    (changed.top / "README").write_text("not committed\n")
    first = branch(changed)
    assert first.tip != changed.tip
    names = git(changed.top, "diff", "--name-only", "--no-renames", "main", first.tip or "")
    assert {line.strip('"').partition("/")[0] for line in names.splitlines()} == {"pkg"}
    assert len(names.splitlines()) == len(first.files) == 15
    assert git(changed.top, "show", f"{first.tip}:README") == "hello"
    assert branch(changed).already


@pytest.mark.acceptance("workspace")
def test_merges_of_the_change_stay_merges_on_another_head(tmp_path: Path) -> None:
    changed = Changed(tmp_path, "pkg")
    path = changed.repository.path
    env = {"GIT_DIR": str(path)}
    other = git(path, "commit-tree", "-p", changed.base, "-m", "side",
                f"{changed.base}^{{tree}}", env=env)  # fmt: skip
    changed.tip = git(path, "commit-tree", "-p", changed.tip, "-p", other, "-m", "both",
                      f"{changed.tip}^{{tree}}", env=env)  # fmt: skip
    brought = branch(changed)
    assert brought.commits == 3
    assert len(git(changed.top, "rev-list", "--parents", "-1", brought.tip or "").split()) == 3
    git(changed.top, "merge", "-q", "--ff-only", brought.branch or "")
    assert held(changed.source) == expected(AFTER)


@pytest.mark.acceptance("workspace")
@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("new/image.bin", b"mine\n"),
        ("turn/inner.py", b"mine\n"),
        ("box/extra", b"mine\n"),
        ("new", b"mine\n"),
        ("other/moved.py", "elsewhere"),
    ],
)
def test_what_stands_where_the_change_would_write_is_named_and_stays(
    tmp_path: Path, name: str, what: bytes | str
) -> None:
    changed = Changed(tmp_path)
    place = changed.source / name
    if name.startswith("turn/"):
        (changed.source / "turn").unlink()
    place.parent.mkdir(exist_ok=True)
    if isinstance(what, str):
        place.symlink_to(what)
    else:
        place.write_bytes(what)
    before = held(changed.source)
    with pytest.raises(Refused, match=r"changed since.*Nothing was changed"):
        files(changed)
    assert held(changed.source) == before


@pytest.mark.acceptance("workspace")
def test_a_removed_file_that_the_user_edited_stays(tmp_path: Path) -> None:
    changed = Changed(tmp_path)
    (changed.source / "old" / "gone.py").write_text("mine\n")
    with pytest.raises(Refused, match=r"old/gone\.py changed since"):
        files(changed)
    assert (changed.source / "edited.py").read_bytes() == BEFORE["edited.py"]


@pytest.mark.acceptance("workspace")
def test_nothing_is_written_through_a_link_that_took_the_place_of_a_folder(tmp_path: Path) -> None:
    changed = Changed(tmp_path)
    outside = tmp_path / "outside"
    outside.mkdir()
    (changed.source / "new").symlink_to(outside)
    with pytest.raises(Refused, match="changed since"):
        files(changed)
    assert list(outside.iterdir()) == []


@pytest.mark.acceptance("workspace")
def test_links_that_lead_out_are_told_of_and_not_followed(tmp_path: Path) -> None:
    links: dict[str, bytes | str] = {
        "out": "/etc/passwd", "up": "../../x", "hook": ".git/hooks/pre-commit", "round": "round",
        "by": "way/secret", "way": "..", "fine": "new/deep/added.py", "there": "new/../kept.py",
    }  # fmt: skip
    changed = Changed(tmp_path, after={**AFTER, **links})
    told = {"out", "up", "hook", "by", "way"}
    assert set(branch(changed).outward) == told
    assert set(files(changed).outward) == told
    assert os.readlink(changed.source / "out") == "/etc/passwd"


@pytest.mark.acceptance("workspace")
def test_submodules_and_what_git_keeps_for_itself_are_refused_by_name(tmp_path: Path) -> None:
    changed = Changed(tmp_path)
    path, blob = changed.repository.path, "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"
    env = {"GIT_DIR": str(path)}
    git(path, "hash-object", "-w", "/dev/null", env=env)
    base = changed.base

    def made(listing: str) -> str:
        return git(path, "commit-tree", "-p", base, "-m", "x", tree_of(path, listing), env=env)

    changed.tip = made(f"160000 commit {base}\tlib\n")
    for way in (branch, files):
        with pytest.raises(Refused, match=r"submodules \(lib\)"):
            way(changed)
    for name, mode in ((".GIT", "100644"), ("git~1", "100644"), (".gitmodules", "120000")):
        changed.tip = made(f"{mode} blob {blob}\t{name}\n")
        for way in (branch, files):
            with pytest.raises(Refused, match="git does not let anybody"):
                way(changed)
    assert held(changed.source) == expected(BEFORE)
    assert git(changed.top, "branch", "--list", "visionflow/*") == ""


def tree_of(repository: Path, listing: str) -> str:
    done = subprocess.run(
        ["git", "--git-dir", str(repository), "mktree", "--missing"],
        input=listing, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    return done.stdout.strip()


@pytest.mark.acceptance("workspace")
def test_a_disk_that_is_full_half_way_leaves_everything_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = Changed(tmp_path)
    (changed.source / "edited.py").chmod(0o640)
    (changed.source / "old" / "gone.py").chmod(0o600)
    real, calls = os.rename, 0

    def full(*words: object, **more: object) -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise OSError(28, "No space left on device")
        real(*words, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "rename", full)
    with pytest.raises(WorkspaceError, match=r"No space left on device.*Nothing was changed"):
        files(changed)
    monkeypatch.undo()
    assert held(changed.source) == expected(BEFORE)
    assert (changed.source / "old" / "gone.py").stat().st_mode & 0o777 == 0o600
    assert not (changed.source / "new").exists()
    assert not (changed.repository.path.parent / JOURNAL).exists()
    assert not files(changed).already


def half_done(changed: Changed, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a call leaves it that was killed after a part of its renames."""

    class Killed(BaseException):
        pass

    real, calls = os.rename, 0

    def killed(*words: object, **more: object) -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise Killed
        real(*words, **more)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(os, "rename", killed)
        with pytest.raises(Killed):
            files(changed)
    assert held(changed.source) not in (expected(BEFORE), expected(AFTER))
    assert (changed.repository.path.parent / JOURNAL).exists()


@pytest.mark.acceptance("workspace")
def test_after_a_kill_the_same_call_finishes_but_for_what_the_user_edited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = Changed(tmp_path)
    half_done(changed, monkeypatch)
    (changed.source / "script.sh").write_text("mine\n")
    with pytest.raises(Refused, match=r"script\.sh changed after an apply that was killed"):
        files(changed)
    wanted = {**expected(AFTER), "script.sh": (b"mine\n", False)}
    assert held(changed.source) == wanted
    with pytest.raises(Refused, match=r"script\.sh changed since"):
        files(changed)
    assert held(changed.source) == wanted


@pytest.mark.acceptance("workspace")
def test_after_a_kill_another_call_takes_back_first_but_for_what_the_user_edited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = Changed(tmp_path)
    (changed.source / "old" / "gone.py").chmod(0o600)
    half_done(changed, monkeypatch)
    (changed.source / "kept.py").write_text("mine = 1\n")
    brought = branch(changed)
    assert brought.notes == ("An apply that was killed half way was taken back first.",)
    assert held(changed.source) == {**expected(BEFORE), "kept.py": (b"mine = 1\n", False)}
    assert (changed.source / "old" / "gone.py").stat().st_mode & 0o777 == 0o600
    half_done(changed, monkeypatch)
    (changed.source / "script.sh").write_text("mine\n")
    notes = branch(changed, f"{RUN}-candidate-2").notes
    assert ["script.sh was changed since" in note for note in notes] == [True]
    assert (changed.source / "script.sh").read_text() == "mine\n"
    assert (changed.source / "edited.py").read_bytes() == BEFORE["edited.py"]


@pytest.mark.acceptance("workspace")
def test_a_workspace_that_is_gone_does_not_keep_the_branch_from_being_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = Changed(tmp_path)
    half_done(changed, monkeypatch)
    left = Journal("ab", "files", str(tmp_path / "nowhere"), changed.base, changed.tip)
    write_journal(changed.repository, left)
    assert branch(changed).notes == ()
    assert not (changed.repository.path.parent / JOURNAL).exists()
