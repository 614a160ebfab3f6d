"""Merges in the private repository: clean ones, every kind of conflict, and one line of history."""

import asyncio
import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from visionflow.agents.workspace import PrivateRepository
from visionflow.agents.workspace.changes import contents, entries
from visionflow.agents.workspace.git import git
from visionflow.agents.workspace.merging import (
    SIDE_CHARS_MAX,
    Merged,
    cut,
    is_ancestor,
    make_safe,
    merge,
    put_on,
    work_of,
)
from visionflow.domain.errors import WorkspaceError

LINES = [f"line {number}\n" for number in range(20)]


class Repository:
    """A private repository, with commits made of the files that they change."""

    def __init__(self, folder: Path, files: Mapping[str, str | bytes]) -> None:
        self.source = folder / "source"
        self._write(self.source, files)
        self.opened = asyncio.run(PrivateRepository.create(folder / "run", self.source))
        self.path = self.opened.path
        self.base = self.opened.snapshot

    def change(self, name: str, act: Callable[[Path], object], message: str = "a change\n") -> str:
        """The commit on the base of a worktree in which `act` was done."""
        place = asyncio.run(self.opened.worktree(name))
        act(place)
        tree = asyncio.run(self.opened.tree_of(place))
        return self.git("commit-tree", tree, "-p", self.base, given=message)

    def git(self, *words: str, given: str = "") -> str:
        who = {
            f"GIT_{who}_{what}": value
            for who in ("AUTHOR", "COMMITTER")
            for what, value in (("NAME", "Ann"), ("EMAIL", "a@b"), ("DATE", "1700000000 +0000"))
        }
        printed = asyncio.run(git(self.path, *words, given=given.encode(), extra=who))
        return printed.decode("utf-8", "replace").strip()

    def merge(self, ours: str, theirs: str) -> Merged:
        return asyncio.run(merge(self.path, ours, theirs))

    def text(self, tree: str, name: str) -> bytes:
        entry = asyncio.run(entries(self.path, tree))[name.encode()]
        return asyncio.run(contents(self.path, [entry.blob]))[entry.blob]

    @staticmethod
    def _write(folder: Path, files: Mapping[str, str | bytes]) -> None:
        for name, text in files.items():
            place = folder / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(text if isinstance(text, bytes) else text.encode())


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path, {
        "a.txt": "".join(LINES), "b.txt": "b\n" * 30, "data.bin": b"\0one\xff", "run.sh": "echo\n",
    })  # fmt: skip


def put(name: str, text: str | bytes) -> Callable[[Path], object]:
    body = text if isinstance(text, bytes) else text.encode()
    return lambda place: (place / name).write_bytes(body)


def with_line(number: int, text: str) -> str:
    return "".join([*LINES[:number], f"{text}\n", *LINES[number + 1 :]])


@pytest.mark.acceptance("coding-agents")
def test_changes_at_different_places_of_a_file_come_together(repository: Repository) -> None:
    ours = repository.change("ours", put("a.txt", with_line(2, "ours")))
    theirs = repository.change("theirs", put("a.txt", with_line(17, "theirs")))
    merged = repository.merge(ours, theirs)
    assert merged.tree is not None
    assert not merged.conflicts
    text = repository.text(merged.tree, "a.txt").decode().splitlines()
    assert (text[2], text[17]) == ("ours", "theirs")


@pytest.mark.acceptance("coding-agents")
def test_a_conflict_shows_both_sides_and_what_they_began_with(repository: Repository) -> None:
    ours = repository.change("ours", put("a.txt", with_line(2, "ours")))
    theirs = repository.change("theirs", put("a.txt", with_line(2, "theirs")))
    merged = repository.merge(ours, theirs)
    assert merged.tree is None
    (side,) = merged.conflicts
    assert (side.path, side.kind) == ("a.txt", "content")
    assert (side.ours, side.theirs) == (with_line(2, "ours"), with_line(2, "theirs"))
    assert side.base == "".join(LINES)


def _remove(name: str) -> Callable[[Path], object]:
    return lambda place: (place / name).unlink()


def _link(name: str, target: str) -> Callable[[Path], object]:
    def act(place: Path) -> None:
        (place / name).unlink(missing_ok=True)
        (place / name).symlink_to(target)

    return act


def _move(old: str, new: str) -> Callable[[Path], object]:
    return lambda place: (place / old).rename(place / new)


def _folder(name: str, inner: str) -> Callable[[Path], object]:
    def act(place: Path) -> None:
        (place / name).mkdir()
        (place / name / inner).write_text("inside\n")

    return act


@pytest.mark.parametrize(
    ("ours", "theirs", "path", "kind", "sides"),
    [
        (_remove("a.txt"), put("a.txt", with_line(2, "x")), "a.txt", "modify/delete",
         (None, with_line(2, "x"))),
        (put("a.txt", with_line(2, "x")), _remove("a.txt"), "a.txt", "modify/delete",
         (with_line(2, "x"), None)),
        (put("new", "one\n"), put("new", "two\n"), "new", "add/add", ("one\n", "two\n")),
        (put("data.bin", b"\0two"), put("data.bin", b"\0three"), "data.bin", "binary",
         (None, None)),
        (_link("l", "a.txt"), _link("l", "b.txt"), "l", "add/add", ("a.txt", "b.txt")),
        (_move("b.txt", "c.txt"), _move("b.txt", "d.txt"), "b.txt", "rename/rename", (None, None)),
        (_move("b.txt", "c.txt"), _remove("b.txt"), "c.txt", "rename/delete", ("b\n" * 30, None)),
        (_folder("n", "x"), put("n", "file\n"), "n", "file/directory", None),
    ],
    ids=["deleted here", "deleted there", "both new", "binary", "links", "both renamed",
         "renamed and deleted", "file and folder"],
)  # fmt: skip
def test_every_kind_of_conflict_is_named(
    repository: Repository,
    ours: Callable[[Path], object],
    theirs: Callable[[Path], object],
    path: str,
    kind: str,
    sides: tuple[str | None, str | None] | None,
) -> None:
    merged = repository.merge(repository.change("o", ours), repository.change("t", theirs))
    assert merged.tree is None
    found = {side.path.partition("~")[0]: side for side in merged.conflicts}
    assert path in found, found
    assert found[path].kind == kind
    assert sides is None or (found[path].ours, found[path].theirs) == sides


def test_a_file_on_one_side_and_a_link_on_the_other_is_a_conflict(repository: Repository) -> None:
    ours = repository.change("o", _link("a.txt", "b.txt"))
    theirs = repository.change("t", put("a.txt", with_line(3, "x")))
    merged = repository.merge(ours, theirs)
    assert merged.tree is None
    told = {text for side in merged.conflicts for text in (side.ours, side.theirs) if text}
    assert {"b.txt", with_line(3, "x")} <= told


def test_a_mode_that_one_side_sets_is_kept_with_the_others_text(repository: Repository) -> None:
    ours = repository.change("o", lambda place: (place / "run.sh").chmod(0o755))
    theirs = repository.change("t", put("run.sh", "echo more\n"))
    merged = repository.merge(ours, theirs)
    assert merged.tree is not None
    found = asyncio.run(entries(repository.path, merged.tree))[b"run.sh"]
    assert found.mode == "100755"
    assert repository.text(merged.tree, "run.sh") == b"echo more\n"


@pytest.mark.parametrize("rule", ["merge=union", "-merge", "binary", "merge=evil", "text eol=crlf"])
def test_attributes_of_the_files_own_decide_nothing(repository: Repository, rule: str) -> None:
    """Those that the work itself brings are what git's merge would go by."""
    plain, ruled = _outcome(repository, ""), _outcome(repository, f"* {rule}\n")
    assert plain == ruled


def _outcome(repository: Repository, rules: str) -> tuple[bytes, str]:
    """The text of a clean merge, and the kind of a conflict."""

    def act(line: int, text: str) -> Callable[[Path], None]:
        def write(place: Path) -> None:
            (place / "a.txt").write_text(with_line(line, text))
            (place / ".gitattributes").write_text(rules)

        return write

    edits = enumerate(((2, "one"), (2, "two"), (17, "three")))
    kind = "ruled" if rules else "plain"
    first, second, third = (
        repository.change(f"{kind}{number}", act(line, text)) for number, (line, text) in edits
    )
    clean = repository.merge(first, third).tree
    assert clean is not None
    conflicts = {each.path: each.kind for each in repository.merge(first, second).conflicts}
    return repository.text(clean, "a.txt"), conflicts["a.txt"]


def test_names_of_any_bytes_are_carried(repository: Repository) -> None:
    name = os.fsdecode(b"caf\xe9\n.txt")
    merged = repository.merge(
        repository.change("o", put(name, "1\n")), repository.change("t", put(name, "2\n"))
    )
    assert [side.path for side in merged.conflicts] == ["caf%E9\n.txt"]


@pytest.mark.acceptance("coding-agents")
def test_merged_work_becomes_one_commit_on_the_branch_that_tells_where_it_is_from(
    repository: Repository,
) -> None:
    ours = repository.change("o", put("new", "1\n"))
    message = "Add the other\n\nBecause of it.\n\nVisionFlow-Run: r\nVisionFlow-Task: again-api\n"
    theirs = repository.change("t", put("other", "2\n"), message)
    work = asyncio.run(work_of(repository.path, "api", theirs))
    tree = repository.merge(ours, theirs).tree
    assert tree is not None
    once, again = (asyncio.run(put_on(repository.path, ours, tree, work)) for _ in range(2))
    assert once == again
    assert repository.git("log", "--format=%P", "-1", once) == ours
    assert repository.git("log", "--format=%an|%at|%ct|%s", "-1", once) == (
        "Ann|1700000000|1700000000|Add the other"
    )
    trailers = repository.git("log", "--format=%(trailers)", "-1", once).splitlines()
    assert trailers == [
        "VisionFlow-Run: r", "VisionFlow-Task: again-api", f"VisionFlow-Commit: {theirs}",
    ]  # fmt: skip
    assert asyncio.run(is_ancestor(repository.path, ours, once))
    assert asyncio.run(is_ancestor(repository.path, once, once))
    assert not asyncio.run(is_ancestor(repository.path, theirs, once))


def test_what_was_merged_is_whole_without_the_objects_that_the_merge_left(
    repository: Repository,
) -> None:
    ours = repository.change("o", put("new", "1\n"))
    theirs = repository.change("t", put("a.txt", with_line(1, "x")))
    work = asyncio.run(work_of(repository.path, "api", theirs))
    tree = repository.merge(ours, theirs).tree
    assert tree is not None
    tip = asyncio.run(put_on(repository.path, ours, tree, work))
    for _ in range(2):
        asyncio.run(make_safe(repository.path, repository.base, tip))
    for made in (tip, tree):
        (repository.path / "objects" / made[:2] / made[2:]).unlink()
    assert repository.git("cat-file", "-t", tip) == "commit"
    assert repository.text(tip, "new") == b"1\n"


def test_commits_without_a_common_one_are_refused(repository: Repository) -> None:
    alone = repository.git("commit-tree", f"{repository.base}^{{tree}}", given="alone\n")
    with pytest.raises(WorkspaceError, match="unrelated histories"):
        repository.merge(repository.base, alone)


def test_a_git_that_cannot_merge_so_is_named_with_the_one_that_can(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "bin" / "git"
    old.parent.mkdir()
    real = subprocess.run(["which", "git"], capture_output=True, text=True, check=True)
    old.write_text(
        "#!/bin/sh\n"
        'case "$*" in *merge-tree*) echo "usage: git merge-tree" >&2; exit 129;;\n'
        '*" version") echo "git version 2.30.2";;\n'
        f'*) exec {real.stdout.strip()} "$@";; esac\n'
    )
    old.chmod(0o755)
    monkeypatch.setenv("PATH", f"{old.parent}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(WorkspaceError, match=r"2\.30\.2 cannot merge") as raised:
        repository.merge(repository.base, repository.base)
    assert "2.38" in str(raised.value.hint)


def test_long_sides_are_shown_where_they_differ() -> None:
    common = [f"common {number}\n" for number in range(5_000)]
    base = "".join([*common, "middle\n", *common])
    ours = base.replace("middle", "ours")
    theirs = base.replace("middle", "theirs")
    shown = cut(base, ours, theirs)
    for text, word in zip(shown, ("middle", "ours", "theirs"), strict=True):
        assert text is not None
        assert f"\n{word}\n" in text
        assert len(text) < SIDE_CHARS_MAX
        assert "4970 lines before" in text
        assert "4970 lines after" in text
    long = "".join(f"{number} only here\n" for number in range(5_000))
    alone = cut(None, long)[1]
    assert alone is not None
    assert alone.endswith("[cut here]\n")
    assert len(alone) < SIDE_CHARS_MAX + 200
    assert cut("a\n", None, "b\n") == ("a\n", None, "b\n")
