"""What an agent left in its copy, as one commit on the copy's base that a ref keeps.

The files are taken as they stand on the disk: those that the base has, those that the agent itself
committed, and whatever else the patterns of the folder do not ignore. The same files give the same
commit, so that gathering again after a crash changes nothing. Whether the agent kept to its own is
the fence's to say.
"""

import asyncio
import hashlib
import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from visionflow.agents.findings import portable_path
from visionflow.domain.errors import WorkspaceError

from .changes import Entry, altered, entries, extent, time_of
from .fence import Copy, start_in
from .git import git
from .keeping import Told, drop, keep, name_in_ref, ref_of, told_of
from .owncommits import OwnCommits, one_line, own_commits, unreadable
from .repository import PrivateRepository
from .scan import JUNK, Found, Notes, Walk, folders_of
from .snapshot import asker
from .strays import keep_strays
from .trees import FILE_BYTES_MAX, Change, write_change

_SUBMODULE = "160000"
_CHUNK_BYTES = 1 << 20
_TITLE_CHARS_MAX = 100


class Gathered(msgspec.Struct, frozen=True):
    """An agent's work as one commit."""

    tip: str | None = None
    """The commit on the copy's base; `None` where the files are as they were."""
    ref: str | None = None
    """What keeps it in the private repository."""
    attempt: int | None = None
    """Which attempt gathered it."""
    files: tuple[str, ...] = ()
    insertions: int = 0
    deletions: int = 0
    commits: int = 0
    """How many the agent had made itself."""
    notes: tuple[str, ...] = ()
    """What was left out or could not be read, one sentence each."""


async def gather(repository: PrivateRepository, copy: Copy, *, attempt: int, goal: str) -> Gathered:
    """Keep what is in the copy now by the task's ref. Nothing may run in the copy any more.

    Whatever else that ref named is kept on, by a ref of the attempt that it is of.

    Raises:
        WorkspaceError: the copy is not there, git failed, or the disk is full. The ref is then as
            it was.
    """
    made = await _gathered(repository, copy, attempt, goal)
    before = await finished_by(repository, copy.run, copy.task)
    if before is not None and before.tip != made.tip:
        await _set_aside(repository, copy.task, before)
    if made.tip is None:
        return made
    ref = await keep(repository, copy.task, made.tip)
    await drop(repository, _building(copy.task))
    return msgspec.structs.replace(made, ref=ref)


async def gather_aside(
    repository: PrivateRepository, copy: Copy, *, attempt: int, goal: str
) -> Gathered:
    """The same for work that is not gone on with: by a ref of this attempt, the one that left it.

    From then on the task has nothing that an attempt finished.

    Raises:
        WorkspaceError: as `gather`.
    """
    made = await gather(repository, copy, attempt=attempt, goal=goal)
    if made.tip is None:
        return made
    return msgspec.structs.replace(made, ref=await _set_aside(repository, copy.task, made))


async def finished_by(repository: PrivateRepository, run: str, task: str) -> Gathered | None:
    """What an earlier attempt at the task has gathered; `None` where none came so far.

    Raises:
        WorkspaceError: git failed.
    """
    ref = ref_of(task)
    commit = await _named_by(repository, ref)
    if commit is None:
        return None
    told = (await told_of(repository, [commit]))[commit]
    if (told.trailers.get("Run"), told.trailers.get("Task")) != (run, task):
        return None
    return await _told(repository, ref, told)


async def _set_aside(repository: PrivateRepository, task: str, work: Gathered) -> str:
    """Keep it by a ref of its attempt alone; one that keeps other work already is left to it."""
    assert work.tip is not None
    number = 1
    while await _named_by(repository, ref_of(task, work.attempt or 0, number)) not in (
        None, work.tip,
    ):  # fmt: skip
        number += 1
    ref = await keep(repository, task, work.tip, work.attempt or 0, number)
    await drop(repository, ref_of(task))
    return ref


async def _named_by(repository: PrivateRepository, ref: str) -> str | None:
    listed = await git(repository.path, "for-each-ref", "--format=%(objectname)", ref)
    return listed.decode("ascii").strip() or None


def _building(task: str) -> str:
    return f"refs/visionflow/gathering/{name_in_ref(task)}"


async def _gathered(repository: PrivateRepository, copy: Copy, attempt: int, goal: str) -> Gathered:
    folder, start, notes = Path(copy.folder), start_in(Path(copy.folder)), Notes()
    if start is None or not folder.is_dir() or folder.is_symlink():
        raise WorkspaceError(f"There is no working copy in {copy.folder} that could be gathered.")
    root = os.fsencode(folder)
    try:
        await asyncio.to_thread(_open_up, root)
    except OSError as error:
        raise WorkspaceError(f"The working copy {folder} cannot be read: {error}.") from error
    fault = await asyncio.to_thread(unreadable, copy, start)
    if fault is None:
        own = await own_commits(repository.path, copy, start)
        strays = await keep_strays(repository, copy, start, own.head, attempt)
    else:
        own, strays = OwnCommits(note=f"Its own commits were not read. {fault}"), ()
    before = await entries(repository.path, copy.base)
    walk = Walk(
        root,
        notes,
        tracked=frozenset(before) | own.paths,
        ignored=asker(repository.path, folder),
    )
    found = await walk.files()
    form = "sha256" if len(copy.base) == 64 else "sha1"
    change = await asyncio.to_thread(_difference, root, found, before, form, notes)
    told = (*([own.note] if own.note else []), *strays, *notes.lines(), *_unseen(root, before, own))
    if not change.put and not change.gone:
        return Gathered(attempt=attempt, commits=own.count, notes=told)
    when = await time_of(repository.path, copy.base)
    message = _message(copy, attempt, goal, own)
    commit = await write_change(
        repository.path, root, _building(copy.task), copy.base, change, message, when, notes
    )
    made = await _told(repository, None, (await told_of(repository, [commit]))[commit])
    return msgspec.structs.replace(made, notes=told)


async def _told(repository: PrivateRepository, ref: str | None, told: Told) -> Gathered:
    """The commit as a value."""
    assert told.parent is not None
    differing = await altered(repository.path, told.parent, told.commit)
    size = await extent(repository.path, told.parent, told.commit)
    return Gathered(
        told.commit,
        ref,
        told.number("Attempt"),
        tuple(portable_path(os.fsdecode(each.path)) for each in differing),
        size.insertions,
        size.deletions,
        told.number("Commits") or 0,
    )


def _open_up(root: bytes) -> None:
    """Let its owner read everything below; `.gitignore` may be nothing that one waits on."""
    for folder, folders, names in os.walk(root):
        for name in (*folders, *names):
            place = os.path.join(folder, name)
            mode = os.lstat(place).st_mode
            wanted = stat.S_IRWXU if stat.S_ISDIR(mode) else stat.S_IRUSR
            if stat.S_ISLNK(mode):
                continue
            if name == b".gitignore" and not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                os.unlink(place)
            elif mode & wanted != wanted:
                os.chmod(place, stat.S_IMODE(mode) | wanted)


def _difference(
    root: bytes, found: list[Found], before: Mapping[bytes, Entry], form: str, notes: Notes
) -> Change:
    """The files that are other than the base has them. What cannot be read counts as unchanged."""
    modules = frozenset(path for path, entry in before.items() if entry.mode == _SUBMODULE)
    put: list[Found] = []
    seen: set[bytes] = set()
    for each in found:
        if modules and (each.path in modules or modules & folders_of([each.path])):
            notes.add(each.path, "within a submodule; left as the base has it")
            continue
        seen.add(each.path)
        try:
            entry = _entry(os.path.join(root, each.path), each, form)
        except OSError as error:
            notes.add(each.path, f"not read ({error.strerror}); left as the base has it")
            continue
        if entry is None:
            notes.add(each.path, f"not a plain file of at most {FILE_BYTES_MAX >> 20} MiB")
        elif entry != before.get(each.path):
            put.append(each)
    return Change(put, sorted(before.keys() - seen - modules))


def _entry(place: bytes, found: Found, form: str) -> Entry | None:
    """The file as git would keep it; `None` where it is too large or no file any more."""
    if found.link:
        target = os.readlink(place)
        return Entry("120000", _hashed(form, len(target), [target]))
    opened = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(opened, "rb", buffering=0) as content:
        about = os.fstat(opened)
        if not stat.S_ISREG(about.st_mode) or about.st_size > FILE_BYTES_MAX:
            return None
        mode = "100755" if about.st_mode & stat.S_IXUSR else "100644"
        parts = iter(lambda: content.read(_CHUNK_BYTES), b"")
        return Entry(mode, _hashed(form, about.st_size, parts))


def _hashed(form: str, size: int, parts: Iterable[bytes]) -> str:
    digest = hashlib.new(form, b"blob %d\0" % size, usedforsecurity=False)
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def _unseen(root: bytes, before: Mapping[bytes, Entry], own: OwnCommits) -> tuple[str, ...]:
    """Folders at the top that are never taken, whatever the patterns say."""
    tracked = folders_of([*before, *own.paths])
    names = sorted(
        each for each in JUNK - tracked if each != b"__pycache__"
        and os.path.isdir(os.path.join(root, each))
    )  # fmt: skip
    return tuple(
        f"{name.decode('ascii')}: such a folder is never part of a result" for name in names
    )


def _message(copy: Copy, attempt: int, goal: str, own: OwnCommits) -> bytes:
    title = f"{copy.task}: {one_line(goal, _TITLE_CHARS_MAX) or 'no goal was given'}"
    paragraphs = [title]
    if own.subjects:
        more = own.count - len(own.subjects)
        lines = [f"({more} earlier ones)"] if more > 0 else []
        lines += [f"- {each}" for each in own.subjects]
        paragraphs.append("\n".join(["The agent's own commits:", "", *lines]))
    trailers = {"Run": copy.run, "Task": copy.task, "Attempt": attempt, "Commits": own.count}
    paragraphs.append("\n".join(f"VisionFlow-{name}: {said}" for name, said in trailers.items()))
    return ("\n\n".join(paragraphs) + "\n").encode("utf-8", "replace")
