"""Working copies of agents: whole or not there, clean for their agent, apart from each other."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from candidate_copies import Ground, git, sampled, work

from tests.coding.sample import FILES
from visionflow.agents.workspace.candidates import make_copy, start_again
from visionflow.agents.workspace.fence import fence, place_of_start
from visionflow.agents.workspace.gathering import finished_by
from visionflow.domain.errors import WorkspaceError


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    return sampled(tmp_path)


@pytest.mark.acceptance("coding-agents")
def test_a_copy_is_clean_on_a_branch_of_its_own_and_knows_the_users_branch(ground: Ground) -> None:
    copy = ground.copy()
    folder = Path(copy.folder)
    assert git(folder, "status", "--porcelain", "--ignored") == ""
    assert git(folder, "branch", "--show-current") == "visionflow/r1/candidate-1"
    assert git(folder, "rev-parse", "HEAD", "main", "other") == "\n".join([ground.base] * 3)
    assert git(folder, "describe", "--tags") == "v1"
    assert git(folder, "log", "--format=%s") == "the shop"
    assert {name: (folder / name).read_text() for name in FILES} == FILES
    assert git(folder, "fsck", "--strict", "--no-dangling") == ""
    work(copy, "good")
    assert "def limited" in git(folder, "diff", "main")


def test_history_is_borrowed_and_not_copied(ground: Ground) -> None:
    folder = Path(ground.copy().folder)
    assert git(folder, "count-objects") == "0 objects, 0 kilobytes"
    assert [each for each in (folder / ".git" / "objects").rglob("*") if each.is_file()] == [
        folder / ".git" / "objects" / "info" / "alternates"
    ]


def test_what_an_agent_writes_in_place_is_in_no_other_copy(ground: Ground) -> None:
    first, second = ground.copy("a"), ground.copy("b")
    place = Path(first.folder, "README.md")
    with place.open("r+") as file:
        file.write("SHOUT")
    assert Path(second.folder, "README.md").read_text() == FILES["README.md"]
    assert ground.copy("c").base == first.base
    assert Path(ground.coding, "c/tree/README.md").read_text() == FILES["README.md"]


def test_an_agents_own_commits_say_which_run_and_task_they_are_of(ground: Ground) -> None:
    folder = work(ground.copy(), "good,commits:mine")
    said = git(folder, "log", "-1", "--format=%s%n%(trailers)")
    assert said == "mine\nVisionFlow-Run: r1\nVisionFlow-Task: candidate-1"


def test_asked_for_again_a_copy_is_left_as_it_is(ground: Ground) -> None:
    copy = ground.copy()
    work(copy, "good")
    assert ground.copy() == copy
    assert "def limited" in Path(copy.folder, "shop/limits.py").read_text()


def test_a_folder_of_which_nothing_is_known_is_put_aside_and_not_removed(ground: Ground) -> None:
    copy = ground.copy()
    work(copy, "writes:mine=1")
    place_of_start(Path(copy.folder)).unlink()
    assert ground.copy() == copy
    assert git(Path(copy.folder), "status", "--porcelain") == ""
    (aside,) = Path(copy.folder).parent.glob("tree.unknown-*")
    assert (aside / "mine").read_text() == "1\n"


def test_a_folder_with_another_copy_is_refused(ground: Ground) -> None:
    copy = ground.copy()
    with pytest.raises(WorkspaceError, match=r"holds a copy of .* for the task candidate-1"):
        asyncio.run(
            make_copy(
                ground.repository, Path(copy.folder), run="r1", task="other", base=ground.base
            )
        )


def test_a_base_that_is_not_there_is_refused_and_leaves_nothing(ground: Ground) -> None:
    with pytest.raises(WorkspaceError, match="rev-parse"):
        ground.copy(base="0" * 39 + "1")
    assert not ground.coding.exists()


@pytest.mark.parametrize("name", ["", "-x", "a b", "a/b", "a\n", "a~1"])
def test_names_that_cannot_be_part_of_a_branch_are_refused(ground: Ground, name: str) -> None:
    with pytest.raises(WorkspaceError, match="branch"):
        ground.copy(name)


@pytest.mark.parametrize("name", ["a.lock", "v1..2", "x."])
def test_a_tasks_dots_never_make_a_branch_that_git_refuses(ground: Ground, name: str) -> None:
    copy = ground.copy(name)
    work(copy, "good,commits")
    assert fence(copy) == ()
    made = ground.gather(copy)
    assert made.commits == 1 and made.ref is not None
    assert asyncio.run(finished_by(ground.repository, "r1", name)) == made


def test_files_that_were_not_committed_are_part_of_the_base(tmp_path: Path) -> None:
    ground = sampled(tmp_path)
    (ground.source / "shop" / "new.py").write_text("NEW = 1\n")
    (ground.source / "README.md").write_text("dirty\n")
    dirty = Ground.of(tmp_path / "second", ground.source)
    folder = Path(dirty.copy().folder)
    assert dirty.base != ground.base
    assert (folder / "README.md").read_text() == "dirty\n"
    assert git(folder, "status", "--porcelain") == ""
    assert git(folder, "diff", "main") == ""
    assert git(folder, "rev-parse", "other", "HEAD^") == "\n".join([ground.base] * 2)


def test_a_folder_without_git_becomes_a_copy_with_one(tmp_path: Path) -> None:
    source = tmp_path / "plain"
    source.mkdir()
    (source / "a.txt").write_text("a\n")
    ground = Ground.of(tmp_path, source)
    copy = ground.copy()
    assert copy.user_branch is None
    assert git(Path(copy.folder), "status", "--porcelain") == ""
    work(copy, "writes:b.txt=b,commits:b")
    made = ground.gather(copy)
    assert (made.files, made.commits, fence(copy)) == (("b.txt",), 1, ())


def test_a_subfolder_is_the_top_of_its_copy_and_keeps_patterns_from_above(tmp_path: Path) -> None:
    top = tmp_path / "top"
    for name, text in {
        ".gitignore": "*.tmp\n/services/shop/out/\nservices/*/cache\n**/made\n/elsewhere\n",
        "services/.gitignore": "!kept.tmp\n/shop/deep/**/x\n",
        "services/shop/a.py": "A = 1\n",
        "other/b.py": "B = 1\n",
    }.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text(text)
    git(top, "init", "-q", "-b", "main")
    git(top, "add", "-A")
    git(top, "commit", "-qm", "one")
    ground = Ground.of(tmp_path, top / "services" / "shop")
    copy = ground.copy()
    folder = Path(copy.folder)
    assert [each.name for each in folder.iterdir() if each.name != ".git"] == ["a.py"]
    assert git(folder, "status", "--porcelain") == ""
    ignored = ["n.tmp", "out/x", "cache/x", "sub/made", "deep/far/x"]
    taken = ["kept.tmp", "sub/out", "sub/cache/x", "elsewhere", "deep/far/y"]
    for name in (*ignored, *taken):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x\n")
    assert sorted(ground.gather(copy).files) == sorted(taken)
    told = git(folder, "status", "--porcelain", "-uall").splitlines()
    assert sorted(line[3:] for line in told) == sorted(taken)


def test_a_repository_with_sha256_names_works_alike(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "README.md").write_text("one\n")
    git(source, "init", "-q", "-b", "main", "--object-format=sha256")
    git(source, "add", "-A")
    git(source, "commit", "-qm", "one")
    ground = Ground.of(tmp_path, source)
    copy = ground.copy()
    work(copy, "writes:README.md=two,commits:two,writes:more=3")
    made = ground.gather(copy)
    assert len(ground.base) == 64 and len(made.tip or "") == 64
    assert (made.files, made.commits, fence(copy)) == (("README.md", "more"), 1, ())
    work(copy, "foreign")
    assert [each.rule for each in fence(copy)] == ["foreign_branch"]


def test_a_shallow_history_stays_shallow_in_the_copy(tmp_path: Path) -> None:
    ground = sampled(tmp_path)
    (ground.source / "README.md").write_text("two\n")
    git(ground.source, "commit", "-qam", "two")
    git(tmp_path, "clone", "-q", "--depth=1", f"file://{ground.source}", "shallow")
    shallow = Ground.of(tmp_path / "second", tmp_path / "shallow")
    copy = shallow.copy()
    assert git(Path(copy.folder), "log", "--format=%s") == "two"
    work(copy, "good,commits:three")
    assert shallow.gather(copy).commits == 1


def test_files_are_bytes_as_they_are_whatever_gitattributes_ask_for(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / ".gitattributes").write_text("*.txt text eol=crlf\n*.bin filter=lfs\n*.id ident\n")
    (source / "a.txt").write_bytes(b"one\r\ntwo\r\n")
    (source / "b.bin").write_bytes(b"\0\1")
    (source / "c.txt").write_bytes(b"one\ntwo\n")
    (source / "d.id").write_bytes(b"$Id$\n")
    ground = Ground.of(tmp_path, source)
    copy = ground.copy()
    folder = Path(copy.folder)
    os.utime(folder / "a.txt")
    assert git(folder, "status", "--porcelain") == ""
    for name in ("a.txt", "b.bin", "c.txt", "d.id"):
        assert (folder / name).read_bytes() == (source / name).read_bytes()
    assert ground.gather(copy).tip is None


def test_started_again_a_copy_is_at_its_base_and_what_was_there_is_kept(ground: Ground) -> None:
    copy = ground.copy()
    work(copy, "good,commits:half,stash,foreign,writes:junk=1,tag")
    (Path(copy.folder) / ".git" / "HEAD").write_text("nonsense\n")
    kept = asyncio.run(start_again(ground.repository, copy, attempt=1, goal="Limit the calls"))
    assert (kept.ref, kept.files) == (
        "refs/visionflow/kept/candidate-1.1", ("junk", "shop/limits.py"),
    )  # fmt: skip
    assert ground.files_of(kept.ref or "").count("junk") == 1
    assert fence(copy) == ()
    folder = Path(copy.folder)
    assert git(folder, "status", "--porcelain", "--ignored") == ""
    assert git(folder, "rev-parse", "HEAD", "main") == f"{ground.base}\n{ground.base}"
    assert {name: (folder / name).read_text() for name in FILES} == FILES
    assert sorted(each.name for each in folder.parent.iterdir()) == ["tree", "tree.start.json"]


def test_what_was_started_again_is_not_taken_for_finished(ground: Ground) -> None:
    copy = ground.copy()
    work(copy, "good")
    first = ground.gather(copy)
    assert asyncio.run(finished_by(ground.repository, "r1", "candidate-1")) == first
    kept = asyncio.run(start_again(ground.repository, copy, attempt=1, goal="Limit the calls"))
    assert kept.tip == first.tip
    assert asyncio.run(finished_by(ground.repository, "r1", "candidate-1")) is None
    again = asyncio.run(start_again(ground.repository, copy, attempt=2, goal="Limit the calls"))
    assert again.tip is None
    assert ground.inside("for-each-ref", "--format=%(refname)", "refs/visionflow/kept") == kept.ref


FULL_DISK = """
import asyncio, resource, sys
from pathlib import Path
from visionflow.agents.workspace import PrivateRepository
from visionflow.agents.workspace.candidates import make_copy
from visionflow.agents.workspace.gathering import gather
from visionflow.agents.workspace.fence import start_in
from visionflow.domain.errors import WorkspaceError
repository = PrivateRepository.opened(Path(sys.argv[1]))
folder = Path(sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    if sys.argv[3] == "make":
        asyncio.run(make_copy(repository, folder, run="r1", task="t", base=sys.argv[4]))
    else:
        asyncio.run(gather(repository, start_in(folder).copy, attempt=2, goal="g"))
except WorkspaceError as error:
    print(error.message)
    sys.exit(66)
"""


def with_little_room(ground: Ground, folder: Path, what: str) -> str:
    """What is told when no file can become larger than 100 kB, as on a full disk."""
    words = [str(ground.repository.path.parent), str(folder), what, ground.base]
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, *words], capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    assert done.returncode == 66, done.stderr
    return done.stdout


@pytest.mark.acceptance("coding-agents")
def test_without_room_on_the_disk_no_copy_looks_made(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "large").write_bytes(os.urandom(500_000))
    ground = Ground.of(tmp_path, source)
    folder = ground.coding / "t" / "tree"
    assert "read-tree" in with_little_room(ground, folder, "make")
    assert list(folder.parent.iterdir()) == []
    assert Path(ground.copy("t").folder, "large").stat().st_size == 500_000


@pytest.mark.acceptance("coding-agents")
def test_without_room_on_the_disk_what_was_kept_before_stays(ground: Ground) -> None:
    copy = ground.copy()
    work(copy, "good")
    first = ground.gather(copy)
    Path(copy.folder, "large").write_bytes(os.urandom(500_000))
    assert "fast-import" in with_little_room(ground, Path(copy.folder), "gather")
    found = ground.inside(
        "for-each-ref", "--format=%(objectname) %(refname)", "refs/visionflow/kept"
    )
    assert f"{first.tip} refs/visionflow/kept/candidate-1" in found or (
        f"{first.tip} refs/visionflow/kept/candidate-1.1" in found
    )
    made = ground.gather(copy, attempt=2)
    assert "large" in made.files


KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from visionflow.agents.workspace import PrivateRepository
from visionflow.agents.workspace.candidates import make_copy, start_again
from visionflow.agents.workspace.gathering import gather

NAMES = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.chmod", "subprocess.Popen")
repository = PrivateRepository.opened(Path(sys.argv[1]))
base = sys.argv[3]

async def whole(folder):
    copy = await make_copy(repository, folder, run="r1", task=folder.parent.name, base=base)
    Path(copy.folder, "shop", "limits.py").write_text("LIMIT = 1\\n")
    Path(copy.folder, "new.bin").write_bytes(b"\\0new")
    await gather(repository, copy, attempt=1, goal="g")
    await start_again(repository, copy, attempt=1, goal="g")
    Path(copy.folder, "README.md").unlink()
    return await gather(repository, copy, attempt=2, goal="g")

def killed_at(moment, folder):
    seen = 0
    def hook(event, given):
        nonlocal seen
        if event in NAMES and sys.argv[2] in str(given):
            seen += 1
            if seen == moment:
                os.kill(os.getpid(), signal.SIGKILL)
    child = os.fork()
    if not child:
        os.setsid()
        sys.addaudithook(hook)
        asyncio.run(whole(folder))
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    try:
        os.killpg(child, signal.SIGKILL)
    except ProcessLookupError:
        pass
    return os.WIFSIGNALED(status)

moment = 1
while killed_at(moment, Path(sys.argv[2], f"t{moment}", "tree")):
    moment += 3
    assert moment < 3_000
print(moment)
"""


@pytest.mark.acceptance("coding-agents")
def test_killed_at_any_moment_making_and_gathering_are_simply_done_again(ground: Ground) -> None:
    """A kill -9 at every third moment at which something is opened, made, renamed or started."""
    folder = ground.coding
    words = [str(ground.repository.path.parent), str(folder), ground.base]
    done = subprocess.run(
        [sys.executable, "-c", KILLED, *words], capture_output=True, text=True, timeout=600,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 30
    for task in sorted(each.name for each in folder.iterdir()):
        copy = ground.copy(task)
        assert fence(copy) == ()
        place = Path(copy.folder)
        kept = asyncio.run(start_again(ground.repository, copy, attempt=1, goal="g"))
        assert kept.tip is None or set(kept.files) <= {"README.md", "new.bin", "shop/limits.py"}
        assert git(place, "status", "--porcelain", "--ignored") == ""
        assert git(place, "rev-parse", "HEAD") == ground.base
        work(copy, "good")
        assert ground.gather(copy, attempt=3).files == ("shop/limits.py",)
        assert sorted(each.name for each in place.parent.iterdir()) == ["tree", "tree.start.json"]
    assert ground.inside("fsck", "--connectivity-only", "--no-dangling") == ""
