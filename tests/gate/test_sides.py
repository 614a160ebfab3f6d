"""What is compared with what: base by its name, the working tree as it stands on the disk."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from repositories import commit, git, put

from visionflow.agents.tools.delta import Span, spans_of
from visionflow.compose.gate.checkout import Checkout
from visionflow.compose.gate.sides import Sides, sides_of, source_of
from visionflow.compose.gate.state import State, folder_of, opened
from visionflow.domain.errors import WorkspaceError


def sides(home: Path, workspace: Path, ref: str = "HEAD", *, direct: bool = False) -> Sides:
    async def found() -> Sides:
        source, foreign = source_of(workspace)
        async with opened(folder_of(home, foreign), foreign) as state:
            return await sides_of(state, source, ref, direct, ())

    return asyncio.run(found())


def paths(found: Sides) -> list[str | None]:
    return [each.new or each.old for each in found.diff]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "workspace"
    folder.mkdir()
    git(folder, "init", "-q", ".")
    commit(folder, {"a.py": "one\ntwo\n", "sub/b.py": "b\n", ".gitignore": "*.log\nbuilt/\n"})
    return folder


def test_nothing_differs_from_a_clean_head(tmp_path: Path, repository: Path) -> None:
    found = sides(tmp_path / "home", repository)
    assert found.diff == ()
    assert not found.dirty
    assert found.base.commit == found.head == git(repository, "rev-parse", "HEAD")
    assert found.head_tree == git(repository, "rev-parse", "HEAD^{tree}")


def test_what_stands_on_the_disk_counts_and_what_is_ignored_does_not(
    tmp_path: Path, repository: Path
) -> None:
    put(repository, {
        "a.py": "one\n2\n", "new/c.py": "c\n", "x.log": "x", "built/d.py": "d\n", "sub/e.log": "",
        ".venv/lib.py": "x\n",
    })  # fmt: skip
    (repository / "sub/b.py").unlink()
    for _ in range(2):
        found = sides(tmp_path / "home", repository)
        assert paths(found) == ["a.py", "new/c.py", "sub/b.py"]
        assert found.dirty
        assert spans_of(found.diff) == {"a.py": (Span(2, 1),), "new/c.py": (Span(1, 1),)}
    git(repository, "add", "-A", ":!.venv")
    assert found.head_tree == git(repository, "write-tree")


def test_a_file_that_is_changed_and_changed_back_between_two_gates_is_seen_each_time(
    tmp_path: Path, repository: Path
) -> None:
    seen: list[list[str | None]] = []
    for text in ("one\ntwo\n", "one\nTWO\n", "one\ntwo\n", "ONE\ntwo\n"):
        put(repository, {"a.py": text})
        seen.append(paths(sides(tmp_path / "home", repository)))
    assert seen == [[], ["a.py"], [], ["a.py"]]


def test_files_that_did_not_change_for_a_while_are_not_read_again(
    tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import visionflow.compose.gate.disk as disk

    for path in (repository / "a.py", repository / "sub/b.py", repository / ".gitignore"):
        os.utime(path, (1_600_000_000, 1_600_000_000))
    later = disk.time.time_ns() + 10_000_000_000
    monkeypatch.setattr(disk.time, "time_ns", lambda: later)
    sides(tmp_path / "home", repository)
    put(repository, {"a.py": "one\n"})
    read: list[bytes] = []
    content: Callable[[bytes], tuple[bytes, os.stat_result]] = disk._content

    def watched(place: bytes) -> tuple[bytes, os.stat_result]:
        read.append(os.path.basename(place))
        return content(place)

    monkeypatch.setattr(disk, "_content", watched)
    assert paths(sides(tmp_path / "home", repository)) == ["a.py"]
    assert read == [b"a.py"]


def test_a_tree_is_the_one_that_git_would_write_whatever_became_of_files(
    tmp_path: Path, repository: Path
) -> None:
    commit(repository, {"was_file": "x\n", "was_folder/x": "x\n", "link_to_be": "x\n"})
    (repository / "was_file").unlink()
    (repository / "was_folder/x").unlink()
    (repository / "was_folder").rmdir()
    (repository / "link_to_be").unlink()
    (repository / "link_to_be").symlink_to("a.py")
    (repository / "a.py").chmod(0o755)
    put(repository, {"was_file/now": "y\n", "was_folder": "z\n", 'sp ace"\\\n.py': b"\0\xff"})
    (repository / os.fsdecode(b"bytes\xff.py")).write_text("x\n")
    found = sides(tmp_path / "home", repository)
    git(repository, "add", "-A")
    assert found.head_tree == git(repository, "write-tree")


def test_lines_that_end_otherwise_on_the_disk_are_no_change(
    tmp_path: Path, repository: Path
) -> None:
    put(repository, {"a.py": "one\r\ntwo\r\n"})
    assert sides(tmp_path / "home", repository).diff == ()


def test_a_folder_within_a_repository_is_looked_at_alone(tmp_path: Path, repository: Path) -> None:
    put(repository, {"a.py": "other\n", "sub/b.py": "c\n", "sub/x.log": "x", "sub/new.py": ""})
    found = sides(tmp_path / "home", repository / "sub")
    assert paths(found) == ["b.py", "new.py"]
    put(repository, {"fresh/f.py": "f\n"})
    assert paths(sides(tmp_path / "home", repository / "fresh")) == ["f.py"]


def test_base_is_where_the_branch_left_the_other_one(tmp_path: Path, repository: Path) -> None:
    fork = git(repository, "rev-parse", "HEAD")
    git(repository, "checkout", "-q", "-b", "feature")
    commit(repository, {"feature.py": "f\n"})
    git(repository, "checkout", "-q", "main")
    tip = commit(repository, {"main.py": "m\n"})
    git(repository, "checkout", "-q", "feature")
    found = sides(tmp_path / "home", repository, "main")
    assert (found.base.commit, found.base.merge_base) == (fork, True)
    assert paths(found) == ["feature.py"]
    found = sides(tmp_path / "home", repository, "main", direct=True)
    assert (found.base.commit, found.base.merge_base) == (tip, False)
    assert paths(found) == ["feature.py", "main.py"]


def test_each_way_to_name_a_commit_names_it(tmp_path: Path, repository: Path) -> None:
    first = git(repository, "rev-parse", "HEAD")
    git(repository, "tag", "-a", "v1", "-m", "first")
    git(repository, "tag", "light")
    git(repository, "branch", "topic/ä-1")
    second = commit(repository, {"a.py": "2\n"})
    git(repository, "clone", "-q", str(repository), str(tmp_path / "clone"))
    clone = tmp_path / "clone"
    commit(clone, {"a.py": "3\n"})
    names = {
        "HEAD~1": second, "@~2": first, "HEAD^^": first, "v1": first, "light": first,
        "refs/tags/v1": first, "origin/topic/ä-1": first, "origin/main": second, "origin": second,
        first: first, first[:9]: first, "v1^{}": None, "main@{1}": None, "main": None,
    }  # fmt: skip
    for name, wanted in names.items():
        if name == "main":
            assert sides(tmp_path / "home", clone, name).base.commit == git(
                clone, "rev-parse", "HEAD"
            )
        elif wanted is None:
            with pytest.raises(WorkspaceError, match="forms"):
                sides(tmp_path / "home", clone, name)
        else:
            assert sides(tmp_path / "home", clone, name).base.commit == wanted
    git(clone, "pack-refs", "--all")
    assert sides(tmp_path / "home", clone, "origin/main").base.commit == second
    git(clone, "fetch", "-q", "origin", "topic/ä-1")
    assert sides(tmp_path / "home", clone, "FETCH_HEAD").base.commit == first


@pytest.mark.parametrize(
    "ref", ["nothing", "0123abc", "-x", "", "a b", "../../x", "--help", "HEAD~9"]
)
def test_a_base_that_is_not_there_is_said_so(tmp_path: Path, repository: Path, ref: str) -> None:
    with pytest.raises(WorkspaceError) as failure:
        sides(tmp_path / "home", repository, ref)
    assert "cannot be found" in str(failure.value)
    assert failure.value.status == 66


def test_without_a_commit_all_is_new(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "w")
    put(tmp_path / "w", {"a.py": "a\n"})
    found = sides(tmp_path / "home", tmp_path / "w")
    assert paths(found) == ["a.py"]
    assert found.notes == ("There is no commit yet: all of it is new.",)
    with pytest.raises(WorkspaceError, match="cannot be found"):
        sides(tmp_path / "home", tmp_path / "w", "main")


def test_a_detached_head_and_a_linked_worktree_work(tmp_path: Path, repository: Path) -> None:
    commit(repository, {"a.py": "x\n"})
    git(repository, "checkout", "-q", "--detach", "HEAD")
    assert paths(sides(tmp_path / "home", repository, "HEAD~1")) == ["a.py"]
    git(repository, "worktree", "add", "-q", str(tmp_path / "linked"), "HEAD")
    put(tmp_path / "linked", {"linked.py": "x\n"})
    assert paths(sides(tmp_path / "home", tmp_path / "linked", "HEAD~1")) == ["a.py", "linked.py"]


def test_a_shallow_clone_is_compared_with_what_it_has(tmp_path: Path, repository: Path) -> None:
    commit(repository, {"a.py": "x\n"})
    commit(repository, {"a.py": "y\n"})
    git(tmp_path, "clone", "-q", "--depth", "2", f"file://{repository}", "clone")
    found = sides(tmp_path / "home", tmp_path / "clone", "HEAD~1")
    assert paths(found) == ["a.py"]
    assert "shallow" in found.notes[0]
    with pytest.raises(WorkspaceError, match="shallow clone"):
        sides(tmp_path / "home", tmp_path / "clone", "HEAD~2")


def test_branches_without_a_common_commit_are_compared_as_they_are(
    tmp_path: Path, repository: Path
) -> None:
    git(repository, "checkout", "-q", "--orphan", "other")
    commit(repository, {"other.py": "x\n"})
    found = sides(tmp_path / "home", repository, "main")
    assert paths(found) == ["other.py"]
    assert not found.base.merge_base
    assert "share no commit" in found.notes[0]


def test_a_submodule_and_a_repository_within_are_not_gone_into(
    tmp_path: Path, repository: Path
) -> None:
    git(tmp_path, "init", "-q", "lib")
    commit(tmp_path / "lib", {"lib.py": "x\n"})
    git(repository, "submodule", "--quiet", "add", f"file://{tmp_path / 'lib'}", "lib")
    commit(repository, {})
    put(repository, {"lib/lib.py": "changed\n"})
    git(repository, "init", "-q", "nested")
    put(repository, {"nested/n.py": "x\n"})
    assert sides(tmp_path / "home", repository).diff == ()
    added = sides(tmp_path / "home", repository, "HEAD~1")
    assert [(each.new, each.module) for each in added.diff] == [
        (".gitmodules", False), ("lib", True),
    ]  # fmt: skip


def test_neither_hooks_nor_filters_nor_monitors_of_the_repository_run(
    tmp_path: Path, repository: Path
) -> None:
    ran = tmp_path / "ran"
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\necho $0 >> {ran}\ncat\n")
    program.chmod(0o755)
    for key in ("core.fsmonitor", "filter.evil.clean", "filter.evil.smudge", "diff.evil.textconv",
                "diff.evil.command", "diff.external", "core.sshCommand", "core.pager"):  # fmt: skip
        git(repository, "config", key, str(program))
    for hook in ("post-checkout", "pre-commit", "post-index-change", "reference-transaction"):
        (repository / ".git/hooks" / hook).write_bytes(program.read_bytes())
        (repository / ".git/hooks" / hook).chmod(0o755)
    put(repository, {
        ".gitattributes": "*.py filter=evil diff=evil\n", "a.py": "changed\n",
    })  # fmt: skip

    async def laid_out() -> str:
        source, foreign = source_of(repository)
        async with opened(folder_of(tmp_path / "home", foreign), foreign) as state:
            found = await sides_of(state, source, "HEAD", False, ())
            return (await Checkout(state, "head").at(found.head_tree) / "a.py").read_text()

    assert asyncio.run(laid_out()) == "changed\n"
    assert not ran.exists()


def test_attributes_of_the_repository_hide_no_change(tmp_path: Path, repository: Path) -> None:
    commit(repository, {".gitattributes": "*.py -diff binary\n"})
    put(repository, {"a.py": "one\n2\n"})
    assert spans_of(sides(tmp_path / "home", repository).diff) == {"a.py": (Span(2, 1),)}


def test_the_users_repository_is_only_read(tmp_path: Path, repository: Path) -> None:
    put(repository, {"a.py": "changed\n"})

    def all_of_it() -> dict[str, tuple[int, bytes]]:
        return {
            str(path): (path.lstat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
            for path in sorted(repository.rglob("*"))
        }

    before = all_of_it()
    sides(tmp_path / "home", repository, "HEAD")
    assert all_of_it() == before


def test_a_copy_follows_its_tree_also_after_foreign_code_ran_in_it(
    tmp_path: Path, repository: Path
) -> None:
    first = git(repository, "rev-parse", "HEAD^{tree}")
    commit(repository, {"a.py": "second\n", "new.py": "n\n"})
    second = git(repository, "rev-parse", "HEAD^{tree}")

    async def followed(state: State) -> None:
        copy = Checkout(state, "tests")

        async def shown(tree: str) -> dict[str, str]:
            folder = await copy.at(tree)
            files = sorted(path for path in folder.rglob("*") if path.is_file())
            return {path.relative_to(folder).as_posix(): path.read_text() for path in files}

        old = await shown(first)
        assert old == {"a.py": "one\ntwo\n", "sub/b.py": "b\n", ".gitignore": "*.log\nbuilt/\n"}
        assert await shown(second) == {**old, "a.py": "second\n", "new.py": "n\n"}
        copy.lend()
        put(copy.folder, {"a.py": "evil\n", "sub/left.py": "x\n", ".git/config": "[core]\n"})
        (copy.folder / "sub/b.py").unlink()
        (copy.folder / "sub").chmod(0o500)
        assert await shown(first) == old

    async def opened_and_followed() -> None:
        source, foreign = source_of(repository)
        async with opened(folder_of(tmp_path / "home", foreign), foreign) as state:
            await sides_of(state, source, "HEAD", False, ())
            await followed(state)

    asyncio.run(opened_and_followed())


def test_what_is_no_git_working_tree_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match="no git repository"):
        source_of(tmp_path)
    git(tmp_path, "init", "-q", "--bare", "bare")
    with pytest.raises(WorkspaceError, match="bare"):
        source_of(tmp_path / "bare")
    with pytest.raises(WorkspaceError, match="cannot be used"):
        source_of(tmp_path / "nothing")


def test_a_state_that_was_left_half_made_is_made_anew(tmp_path: Path, repository: Path) -> None:
    sides(tmp_path / "home", repository)
    (folder,) = (tmp_path / "home/gate").iterdir()
    (folder / "form").unlink()
    put(folder, {"repository.git/HEAD": "nonsense", "hashed.msgpack": "nonsense"})
    put(repository, {"a.py": "x\n"})
    assert paths(sides(tmp_path / "home", repository)) == ["a.py"]


def test_two_gates_of_one_workspace_do_not_meet(tmp_path: Path, repository: Path) -> None:
    at_work: list[str] = []

    async def one(name: str) -> None:
        _, foreign = source_of(repository)
        async with opened(folder_of(tmp_path / "home", foreign), foreign):
            at_work.append(f"{name} begins")
            await asyncio.sleep(0)
            at_work.append(f"{name} ends")

    async def both() -> None:
        await asyncio.gather(one("a"), one("b"))

    asyncio.run(asyncio.wait_for(both(), 30))
    assert at_work in (
        ["a begins", "a ends", "b begins", "b ends"], ["b begins", "b ends", "a begins", "a ends"],
    )  # fmt: skip
