"""Random work of many agents through the merge queue, with real git: the branch is what taking the
accepted ones one after the other gives, by another git command in a folder of its own."""

import asyncio
import subprocess
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from visionflow.agents.merging.branch import Branch
from visionflow.agents.merging.queue import Queued, integrate
from visionflow.agents.workspace import PrivateRepository
from visionflow.agents.workspace.git import git
from visionflow.agents.workspace.merging import is_ancestor, work_of

FILES = {f"f{number}.txt": [f"{number}.{line}" for line in range(10)] for number in range(3)}
NEW = ["new.txt", "sub/deep.txt"]


class Edit(msgspec.Struct, frozen=True):
    """What one agent does: everything but the token may meet what others do."""

    kind: str
    file: str
    line: int


class Ground(msgspec.Struct):
    """The private repository, and a common clone of it with a working tree."""

    opened: PrivateRepository
    clone: Path

    def git(self, *words: str) -> str:
        """Plain git in the clone; what it prints."""
        named = ("-c", "user.name=T", "-c", "user.email=t@localhost")
        done = subprocess.run(
            ["git", *named, *words], cwd=self.clone, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout

    def texts(self, commit: str) -> str:
        """All that the files of a commit hold."""
        return self.git("grep", "-h", "-e", "", commit, "--")


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    folder = tmp_path_factory.mktemp("serial")
    source = folder / "source"
    source.mkdir()
    for name, lines in FILES.items():
        (source / name).write_text("".join(f"{line}\n" for line in lines))
    opened = asyncio.run(PrivateRepository.create(folder / "run", source))
    clone = folder / "clone"
    subprocess.run(
        ["git", "clone", "--quiet", "--shared", "--no-checkout", str(opened.path), str(clone)],
        check=True, capture_output=True,
    )  # fmt: skip
    return Ground(opened, clone)


EDITS = st.builds(
    Edit,
    st.sampled_from(["insert"] * 6 + ["replace"] * 3 + ["new", "delete", "rename", "mode"]),
    st.sampled_from(sorted(FILES)),
    st.integers(0, 9),
)


def stream(base: str, works: list[list[Edit]]) -> bytes:
    """One commit on the base for each agent, for fast-import. Each leaves a token of its own."""
    parts: list[bytes] = []
    for number, edits in enumerate(works):
        files: dict[str, list[str] | None] = {name: list(lines) for name, lines in FILES.items()}
        executable: set[str] = set()
        for edit in edits:
            _do(files, executable, edit, f"token-{number}")
        message = f"work of {number}\n".encode()
        parts += [
            b"commit refs/heads/agent-%d" % number,
            b"mark :%d" % (number + 1),
            b"committer A <a@b> 1700000000 +0000",
            b"data %d" % len(message),
            message,
            b"from " + base.encode(),
            b"deleteall",
        ]
        for name, lines in files.items():
            if lines is not None:
                body = "".join(f"{line}\n" for line in lines).encode()
                mode = b"100755" if name in executable else b"100644"
                parts += [b"M " + mode + b" inline " + name.encode(), b"data %d" % len(body), body]
    parts += [b"get-mark :%d" % (number + 1) for number in range(len(works))]
    return b"\n".join([*parts, b"done", b""])


def _do(files: dict[str, list[str] | None], executable: set[str], edit: Edit, token: str) -> None:
    lines = files.get(edit.file)
    if edit.kind == "new":
        files[NEW[edit.line % 2]] = [token]
    if lines is None:
        return
    at = min(edit.line, len(lines) - 1)
    if edit.kind == "insert":
        lines.insert(at, token)
    elif edit.kind == "replace" and not lines[at].startswith("token"):
        lines[at] = token
    elif edit.kind == "delete":
        files[edit.file] = None
    elif edit.kind == "rename":
        files[edit.file], files[f"{edit.file}.{token}"] = None, lines
    elif edit.kind == "mode":
        executable.add(edit.file)


async def queued(
    ground: Ground, works: list[list[Edit]], groups: list[frozenset[int]]
) -> tuple[dict[str, str], Queued]:
    """The commit of each agent, and what the queue made of them. The predicate fails where all
    tokens of a group are in the files together."""
    repository = ground.opened.path
    base = ground.opened.snapshot
    given = stream(base, works)
    printed = await git(repository, "fast-import", "--quiet", "--done", "--force", given=given)
    commits = {f"t{number}": line for number, line in enumerate(printed.decode().split())}
    branch = Branch(
        repository, {task: await work_of(repository, task, at) for task, at in commits.items()}
    )

    async def holds(commit: str) -> str | None:
        there = _tokens(ground, commit)
        return "together they fail" if any(group <= there for group in groups) else None

    return commits, await integrate(base, tuple(commits), branch.merge, holds)


def _tokens(ground: Ground, commit: str) -> frozenset[int]:
    lines = ground.texts(commit).splitlines()
    return frozenset(int(each.removeprefix("token-")) for each in lines if each[:6] == "token-")


def check(ground: Ground, works: list[list[Edit]], groups: list[frozenset[int]]) -> None:
    commits, found = asyncio.run(queued(ground, works, groups))
    base, taken = ground.opened.snapshot, [each.task for each in found.landed]
    refused = [each.task for each in found.unmerged]
    assert sorted(taken + refused) == sorted(commits)
    ground.git("checkout", "--quiet", "--force", "--detach", base)
    if taken:
        picks = [commits[task] for task in taken]
        ground.git(
            "cherry-pick", "--allow-empty", "--keep-redundant-commits", "--strategy=ort", *picks
        )
    assert ground.git("rev-parse", "HEAD^{tree}") == ground.git(
        "rev-parse", f"{found.tip}^{{tree}}"
    )
    there = _tokens(ground, found.tip)
    left = {number for number, edits in enumerate(works) if _leaves_token(edits, number)}
    assert there == {number for number in left if f"t{number}" in taken}
    assert not taken or not any(group <= there for group in groups)
    for each in found.landed:
        assert asyncio.run(is_ancestor(ground.opened.path, each.commit, found.tip))
    line = ground.git("rev-list", "--first-parent", f"{base}..{found.tip}").split()
    assert [each.commit for each in found.landed] == line[::-1]


def _leaves_token(edits: list[Edit], number: int) -> bool:
    files: dict[str, list[str] | None] = {name: list(lines) for name, lines in FILES.items()}
    for edit in edits:
        _do(files, set(), edit, f"token-{number}")
    return any(f"token-{number}" in lines for lines in files.values() if lines)


def groups_of(most: int) -> st.SearchStrategy[list[frozenset[int]]]:
    return st.lists(st.frozensets(st.integers(0, most), min_size=1, max_size=2), max_size=3)


SLOW = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]


@pytest.mark.acceptance("coding-agents")
@settings(max_examples=12, deadline=None, suppress_health_check=SLOW)
@given(
    works=st.lists(st.lists(EDITS, min_size=1, max_size=3), min_size=20, max_size=20),
    groups=groups_of(19),
)
def test_the_branch_of_twenty_agents_is_some_serial_order_of_the_accepted_ones(
    ground: Ground, works: list[list[Edit]], groups: list[frozenset[int]]
) -> None:
    check(ground, works, groups)


@settings(max_examples=60, deadline=None, suppress_health_check=SLOW)
@given(works=st.lists(st.lists(EDITS, min_size=1, max_size=3), min_size=2, max_size=4),
       groups=groups_of(3))  # fmt: skip
def test_the_branch_of_a_few_agents_is_some_serial_order_of_the_accepted_ones(
    ground: Ground, works: list[list[Edit]], groups: list[frozenset[int]]
) -> None:
    check(ground, works, groups)
