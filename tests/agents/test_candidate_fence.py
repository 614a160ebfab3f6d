"""What an agent may do to its git, and what is told of it where it did more."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from candidate_copies import Ground, git, sampled, work

from visionflow.agents.workspace.fence import VIOLATIONS_MAX, Copy, fence, place_of_start
from visionflow.domain.errors import WorkspaceError


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    return sampled(tmp_path)


@pytest.fixture
def copy(ground: Ground) -> Copy:
    return ground.copy()


def told(copy: Copy) -> dict[str, str]:
    return {each.rule: each.message for each in fence(copy)}


@pytest.mark.acceptance("coding-agents")
@pytest.mark.parametrize(
    "actions",
    ["good", "good,commits:one,writes:a=b,commits:two", "deletes:README.md,commits", "say:nothing"],
)
def test_on_its_own_branch_an_agent_does_as_it_likes(copy: Copy, actions: str) -> None:
    work(copy, actions)
    assert fence(copy) == ()


@pytest.mark.parametrize(
    "words",
    [
        ("gc", "--quiet", "--prune=now"),
        ("reset", "--quiet", "--hard", "HEAD^"),
        ("commit", "--quiet", "--amend", "-m", "again"),
        ("pack-refs", "--all"),
        ("notes", "add", "-m", "a note"),
        ("remote", "add", "origin", "https://example.org/x.git"),
        ("init", "--quiet", "inner"),
    ],
)
def test_what_moves_nothing_of_others_is_no_violation(copy: Copy, words: tuple[str, ...]) -> None:
    folder = work(copy, "good,commits:one,writes:a=b,commits:two")
    git(folder, *words)
    assert fence(copy) == ()


def test_a_stash_that_was_taken_back_is_no_violation(copy: Copy) -> None:
    git(work(copy, "good,stash"), "stash", "pop")
    assert fence(copy) == ()


@pytest.mark.acceptance("coding-agents")
def test_a_foreign_branch_that_was_moved_is_named_with_from_where_to_where(
    ground: Ground, copy: Copy
) -> None:
    folder = work(copy, "good,foreign")
    now = git(folder, "rev-parse", "main")
    assert told(copy) == {
        "foreign_branch": "It moved the branch main, which is not its own, from "
        f"{ground.base[:10]} to {now[:10]}."
    }


def test_branches_that_were_made_or_deleted_are_named(ground: Ground, copy: Copy) -> None:
    folder = work(copy, "good,commits")
    git(folder, "branch", "topic")
    git(folder, "branch", "-D", "other")
    here = git(folder, "rev-parse", "HEAD")
    assert [each.message for each in fence(copy)] == [
        f"It deleted the branch other, which was at {ground.base[:10]}.",
        f"It made the branch topic at {here[:10]}, which is not its own.",
    ]


@pytest.mark.acceptance("coding-agents")
@pytest.mark.parametrize("pack", [False, True], ids=["loose", "packed"])
def test_packed_refs_are_read_as_loose_ones_are(copy: Copy, pack: bool) -> None:
    folder = work(copy, "good,commits,foreign,foreign:topic,tag")
    git(folder, "branch", "-D", "other")
    git(folder, "tag", "-d", "v1")
    if pack:
        git(folder, "gc", "--quiet")
        assert not (folder / ".git" / "refs" / "heads" / "topic").exists()
    assert [each.rule for each in fence(copy)] == ["foreign_branch"] * 3 + ["foreign_tag"] * 2


@pytest.mark.acceptance("coding-agents")
def test_a_head_on_another_branch_is_named(copy: Copy) -> None:
    work(copy, "head,good,commits")
    assert told(copy)["foreign_head"] == (
        "It left its branch visionflow/r1/candidate-1 for the branch elsewhere."
    )


def test_a_head_on_no_branch_is_named(ground: Ground, copy: Copy) -> None:
    git(work(copy, "good"), "checkout", "-q", "--detach")
    assert told(copy) == {
        "foreign_head": "It left its branch visionflow/r1/candidate-1 for the commit "
        f"{ground.base[:10]}, on no branch."
    }


@pytest.mark.acceptance("coding-agents")
def test_a_stash_is_named(copy: Copy) -> None:
    folder = work(copy, "stash")
    at = git(folder, "rev-parse", "refs/stash")
    assert told(copy) == {"stash": f"It left a stash ({at[:10]}), which is in none of its files."}


def test_tags_that_were_made_moved_or_deleted_are_named(ground: Ground, copy: Copy) -> None:
    folder = work(copy, "good,commits,tag")
    here, base = git(folder, "rev-parse", "HEAD")[:10], ground.base[:10]
    git(folder, "tag", "-f", "v1")
    assert [(each.rule, each.message) for each in fence(copy)] == [
        ("foreign_tag", f"It made the tag mine at {here}, which is not its own."),
        ("foreign_tag", f"It moved the tag v1, which is not its own, from {base} to {here}."),
    ]
    git(folder, "tag", "-d", "v1", "mine")
    assert told(copy) == {"foreign_tag": f"It deleted the tag v1, which was at {base}."}


def test_a_worktree_of_its_own_is_named_with_what_is_checked_out(
    ground: Ground, copy: Copy
) -> None:
    folder = work(copy, "good")
    git(folder, "worktree", "add", "-q", "--detach", "inner")
    assert told(copy) == {
        "foreign_head": f"It made a worktree of its own at {folder / 'inner'}, "
        f"with {ground.base[:10]} checked out."
    }
    git(folder, "worktree", "add", "-q", "-b", "topic", str(folder.parent / "outer"))
    assert [each.rule for each in fence(copy)] == ["foreign_branch", "foreign_head", "foreign_head"]
    assert "with topic checked out" in fence(copy)[2].message


def test_a_branch_that_only_names_another_is_told_as_such(copy: Copy) -> None:
    git(work(copy, "good"), "symbolic-ref", "refs/heads/main", "refs/heads/other")
    assert told(copy)["foreign_branch"].endswith("to refs/heads/other.")


BREAKS: dict[str, Callable[[Path], object]] = {
    ".git is gone now": lambda git: shutil.rmtree(git),
    ".git is a file now": lambda git: (shutil.rmtree(git), git.write_text("gitdir: /tmp")),
    ".git is a link now": lambda git: (git.rename(git.parent / "g"), git.symlink_to("g")),
    ".git/objects is gone now": lambda git: shutil.rmtree(git / "objects"),
    ".git/objects is a link now": lambda git: (
        (git / "objects").rename(git / "o"), (git / "objects").symlink_to("o")
    ),
    ".git/refs/heads is a link now": lambda git: (
        (git / "refs/heads").rename(git / "h"), (git / "refs/heads").symlink_to("../h")
    ),
    ".git/packed-refs is a link now": lambda git: (
        (git / "packed-refs").rename(git / "p"), (git / "packed-refs").symlink_to("p")
    ),
    ".git/packed-refs is something else now": lambda git: (
        (git / "packed-refs").unlink(), os.mkfifo(git / "packed-refs")
    ),
    "(reftable)": lambda git: (git / "reftable").mkdir(),
    "(.git/commondir)": lambda git: (git / "commondir").write_text("../../other"),
    "HEAD is gone": lambda git: (git / "HEAD").unlink(),
    "(alternates)": lambda git: (git / "objects/info/alternates").write_text("/etc\n"),
    "Its own branch visionflow/r1/candidate-1 is gone": lambda git: (
        (git / "packed-refs").write_text("")
    ),
    ".git/worktrees is a file": lambda git: (git / "worktrees").write_text(""),
}  # fmt: skip


@pytest.mark.acceptance("coding-agents")
@pytest.mark.parametrize("what", BREAKS)
def test_a_git_that_is_not_the_one_it_was_given_is_named(
    ground: Ground, copy: Copy, what: str
) -> None:
    folder = work(copy, "good")
    BREAKS[what](folder / ".git")
    found = fence(copy)
    assert [each.rule for each in found] == ["git_broken"]
    assert what in found[0].message
    made = ground.gather(copy)
    assert "shop/limits.py" in made.files
    assert "shop/prices.py" not in made.files


def test_a_flood_of_refs_is_told_with_a_count(ground: Ground, copy: Copy) -> None:
    heads = Path(copy.folder, ".git", "refs", "heads")
    for number in range(VIOLATIONS_MAX + 30):
        (heads / f"b{number:03}").write_text(f"{ground.base}\n")
    found = fence(copy)
    assert len(found) == VIOLATIONS_MAX + 1
    assert found[-1].message == "There are 30 more of the kind."


def test_a_hostile_name_stays_on_one_line(copy: Copy, ground: Ground) -> None:
    place = Path(copy.folder, ".git", "refs", "heads", "a\x1b[31m\nb\udcff" + "x" * 200)
    place.write_text(f"{ground.base}\n")
    message = fence(copy)[0].message
    assert message.isprintable() and len(message) < 400
    message.encode("utf-8")


def test_how_it_began_is_out_of_the_copy_and_must_be_there(copy: Copy) -> None:
    place = place_of_start(Path(copy.folder))
    assert Path(copy.folder) not in place.parents
    place.unlink()
    with pytest.raises(WorkspaceError, match="is not known"):
        fence(copy)


def test_a_branch_of_the_user_that_git_cannot_have_beside_its_own_is_left_out(
    ground: Ground, tmp_path: Path
) -> None:
    git(ground.source, "checkout", "-q", "-b", "visionflow")
    other = Ground.of(tmp_path / "second", ground.source)
    made = other.copy()
    assert made.user_branch is None
    work(made, "good,commits")
    assert fence(made) == ()
