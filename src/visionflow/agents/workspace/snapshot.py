"""Builds the private repository: history where there is one, then the files as one commit."""

import os
from pathlib import Path

import msgspec

from visionflow.domain.errors import WorkspaceError

from .files import remove_tree
from .foreign import ForeignGit, find
from .git import git
from .history import copy_history
from .patterns import inherited
from .scan import Ignored, Notes, Walk
from .trees import drop_building, write_commit

_BYTES_AS_THEY_ARE = "* -text -filter -ident -working-tree-encoding -crlf merge\n"
"""They win over what the files' own attributes say. `merge` alone: text is merged line by line."""
_MODULE = b"160000"


class Facts(msgspec.Struct, frozen=True):
    """What a finished private repository knows of its source."""

    snapshot: str
    head: str | None
    dirty: bool
    files: int
    notes: tuple[str, ...]
    branch: str | None = None
    """The branch that the source was on."""


async def build(repository: Path, source: Path, exclude: tuple[Path, ...]) -> Facts:
    """Make a bare repository at `repository` and say what it holds.

    A source whose history cannot be read is taken as a folder without one, and that is noted.
    """
    told: list[str] = []
    foreign = find(source, told)
    head = foreign.head() if foreign else None
    await _make(repository, head)
    if foreign is not None and await _is_ignored(repository, foreign, source):
        told.append(f"The repository {foreign.top} ignores it: taken as a folder without git.")
        foreign = head = None
    elif foreign is not None and head is not None:
        try:
            await copy_history(repository, foreign, head, told)
            await git(repository, "cat-file", "-e", f"{head}^{{tree}}")
        except WorkspaceError as error:
            told.append(f"Taken as a folder without git, as its history fails: {error.message}")
            remove_tree(repository)
            head = None
            await _make(repository, None)
    elif foreign is not None:
        told.append("The git repository has no commit that can be read yet.")
    facts = await _snapshot(repository, source, foreign, head, exclude)
    if foreign is not None and not foreign.bare and foreign.top != source:
        _exclude(repository, inherited(foreign, source))
    await git(repository, "update-ref", "refs/visionflow/snapshot", facts.snapshot)
    await drop_building(repository)
    branch = foreign.branch() if foreign is not None and head is not None else None
    return msgspec.structs.replace(facts, notes=(*told, *facts.notes), branch=branch)


async def _is_ignored(repository: Path, foreign: ForeignGit, source: Path) -> bool:
    """Whether the source is a subfolder that its repository does not regard as its own."""
    if foreign.bare or foreign.top == source:
        return False
    below = os.fsencode(source.relative_to(foreign.top))
    return bool(await _asker(repository, foreign, b"")([below]))


async def _make(repository: Path, head: str | None) -> None:
    form = "sha256" if head is not None and len(head) == 64 else "sha1"
    await git(
        repository, "init", "--quiet", "--bare", "--template=", f"--object-format={form}",
        "--initial-branch=main", str(repository),
    )  # fmt: skip
    (repository / "info").mkdir(exist_ok=True)
    (repository / "info" / "attributes").write_text(_BYTES_AS_THEY_ARE, encoding="ascii")


async def _snapshot(
    repository: Path,
    source: Path,
    foreign: ForeignGit | None,
    head: str | None,
    exclude: tuple[Path, ...],
) -> Facts:
    if foreign is not None and foreign.bare and head is not None:
        names = await git(repository, "ls-tree", "-r", "-z", "--name-only", head)
        told = ("The source is a bare repository: the snapshot is its HEAD.",)
        return Facts(head, head, dirty=False, files=names.count(b"\0"), notes=told)
    root, notes, told = os.fsencode(source), Notes(), ()
    below = b""
    if foreign is not None and not foreign.bare and foreign.top != source:
        below = os.fsencode(source.relative_to(foreign.top))
        told = (f"The source is a subfolder of the repository {foreign.top}: only it was taken.",)
    tracked, base = await _tracked(repository, head, below)
    walk = Walk(
        root,
        notes,
        exclude=_within(source, exclude),
        tracked=tracked,
        ignored=_asker(repository, foreign, below) if foreign and not foreign.bare else None,
    )
    written = await write_commit(repository, root, await walk.files(), head, notes)
    dirty = await _differs(repository, base, written.commit)
    return Facts(written.commit, head, dirty, written.files, (*told, *notes.lines()))


async def _tracked(
    repository: Path, head: str | None, below: bytes
) -> tuple[frozenset[bytes], str | None]:
    """Paths that HEAD holds under the subfolder, and the name of that tree."""
    if head is None:
        return frozenset(), None
    base = f"{head}:{os.fsdecode(below)}" if below else f"{head}^{{tree}}"
    try:
        names = await git(repository, "ls-tree", "-r", "-z", "--name-only", base)
    except WorkspaceError:
        return frozenset(), None  # HEAD does not know the subfolder yet
    return frozenset(names.split(b"\0")) - {b""}, base


def _within(source: Path, exclude: tuple[Path, ...]) -> list[bytes]:
    real = [Path(os.path.realpath(each)) for each in exclude]
    inside = [each for each in real if source in each.parents]
    return [os.fsencode(each.relative_to(source)) for each in inside]


def _asker(repository: Path, foreign: ForeignGit, below: bytes) -> Ignored:
    """The `asker` of a source, once our `info/exclude` says what the source's does."""
    _exclude(repository, foreign.ignored())
    return asker(repository, foreign.top, below)


def _exclude(repository: Path, patterns: str) -> None:
    place = repository / "info" / "exclude"
    place.write_text(patterns, encoding="utf-8", errors="surrogateescape")


def asker(repository: Path, top: Path, below: bytes = b"") -> Ignored:
    """Asks our git what the patterns in the folders of `top` and our `info/exclude` ignore.

    Paths are relative to the folder `below` within it.
    """
    prefix = b"./" + below + b"/" if below else b"./"  # a leading colon would be a pattern
    extra = {"GIT_WORK_TREE": str(top)}

    async def ignored(paths: list[bytes]) -> set[bytes]:
        said = await git(
            repository, "check-ignore", "-z", "--stdin", "--no-index",
            given=b"".join(prefix + path + b"\0" for path in paths),
            extra=extra, cwd=top, statuses=(0, 1),
        )  # fmt: skip
        return {each.removeprefix(prefix) for each in said.split(b"\0") if each}

    return ignored


async def _differs(repository: Path, base: str | None, commit: str) -> bool:
    """Whether the snapshot is other than HEAD, submodules not regarded."""
    if base is None:
        return bool(await git(repository, "ls-tree", commit))
    raw = await git(repository, "diff-tree", "-r", "-z", "--no-renames", base, commit)
    fields = raw.split(b"\0")
    changes = list(zip(fields[::2], fields[1::2], strict=False))
    modules = [path for about, path in changes if about.startswith(b":" + _MODULE)]
    return any(
        not any(path == module or path.startswith(module + b"/") for module in modules)
        for _, path in changes
    )
