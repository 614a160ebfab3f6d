"""What the history says: how often each file changed, who wrote each folder, what commits said.

Read from the run's private repository, never from the stranger's folder. The commit that the
snapshot adds on top is ours and is left out. Renames are not followed.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from visionflow.agents.evidence import Hotspot, Owner
from visionflow.agents.findings import portable_path
from visionflow.agents.study.facts import FileFacts
from visionflow.agents.tools.text import one_line
from visionflow.agents.workspace.git import git

COMMITS_MAX = 5_000
HARD_TO_READ = 15
"""Cognitive complexity from which a single function is commonly objected to."""
_MESSAGE_LINES_MAX = 60
_NAME_MAX = 80


class History(msgspec.Struct, frozen=True):
    """The last commits, merges left out."""

    commits: int
    cut: bool
    """There are more than were looked at."""
    changes: dict[str, int]
    """Path to the number of commits that touched it; paths as in findings."""
    authors: dict[str, dict[str, int]]
    """Folder to author to the number of commits with a change in or below it."""


class Message(msgspec.Struct, frozen=True):
    """What a commit says of itself."""

    commit: str
    lines: tuple[str, ...]


async def read_history(
    repository: Path, head: str | None, commits_max: int = COMMITS_MAX
) -> History | None:
    """The history that ends in `head`; `None` where there is none.

    Raises:
        WorkspaceError: git failed.
    """
    if head is None:
        return None
    printed = await git(
        repository, "log", "--no-merges", "--no-renames", "--no-mailmap", "--no-show-signature",
        "-z", "--name-only", f"--max-count={commits_max + 1}", "--format=format:%x00%H%x00:%an",
        head, "--",
    )  # fmt: skip
    changes: Counter[str] = Counter()
    authors: dict[str, Counter[str]] = {}
    commits = 0
    for author, files in _commits(printed.split(b"\0")):
        commits += 1
        if commits > commits_max:
            break
        changes.update(files)
        for folder in {above for file in files for above in _folders(file)}:
            authors.setdefault(folder, Counter())[author] += 1
    held = {folder: dict(sorted(counts.items())) for folder, counts in sorted(authors.items())}
    return History(min(commits, commits_max), commits > commits_max, dict(sorted(changes.items())),
                   held)  # fmt: skip


async def read_messages(
    repository: Path, head: str | None, commits_max: int = COMMITS_MAX
) -> tuple[Message, ...]:
    """Subjects and bodies of the last commits, the newest first.

    Raises:
        WorkspaceError: git failed.
    """
    if head is None:
        return ()
    printed = await git(
        repository, "log", "--no-merges", "--no-mailmap", "--no-show-signature", "-z",
        f"--max-count={commits_max}", "--format=tformat:%H%x00%B", head, "--",
    )  # fmt: skip
    words = printed.decode("utf-8", "replace").split("\0")
    pairs = zip(words[::2], words[1::2], strict=False)
    return tuple(
        Message(commit, tuple(text.strip().splitlines()[:_MESSAGE_LINES_MAX]))
        for commit, text in pairs
    )


def hotspots_of(
    facts: Mapping[str, FileFacts], history: History | None, most: int
) -> tuple[Hotspot, ...]:
    """Files by changes x cognitive complexity, the hottest first. One that was not changed at least
    twice, or is below `HARD_TO_READ` in all, is none."""
    if history is None:
        return ()
    rows: list[tuple[int, str, int, int]] = []
    for path, each in facts.items():
        changes, complexity = history.changes.get(portable_path(path), 0), each.complexity or 0
        if changes > 1 and complexity >= HARD_TO_READ:
            rows.append((changes * complexity, path, changes, complexity))
    rows.sort(key=lambda row: (-row[0], row[1]))
    largest = rows[0][0] if rows else 1
    return tuple(
        Hotspot(path, changes, complexity, round(product / largest, 4), *_worst(facts[path]))
        for product, path, changes, complexity in rows[:most]
    )


def owners_of(history: History | None, paths: Iterable[str], most: int) -> tuple[Owner, ...]:
    """Of each folder that holds some of `paths`, who made most of its commits; of more than `most`
    folders those that changed most often."""
    if history is None:
        return ()
    folders = {above for path in paths for above in _folders(portable_path(path))}
    known = [(sum(history.authors[f].values()), f) for f in folders if f in history.authors]
    known.sort(key=lambda row: (-row[0], row[1]))
    found: list[Owner] = []
    for total, folder in known[:most]:
        counts = history.authors[folder]
        author = min(counts, key=lambda name: (-counts[name], name))
        share = round(counts[author] / total, 4)
        found.append(Owner(folder or ".", author, share, len(counts)))
    return tuple(sorted(found, key=lambda owner: owner.folder))


def _commits(words: list[bytes]) -> Iterable[tuple[str, list[str]]]:
    """(author, files) of each commit. Empty words are only before an id; the author's word, which
    begins with a colon, holds the first file too, on a line of its own."""
    at = 0
    while at < len(words):
        if words[at] == b"":
            at += 1
            continue
        author, _, first = words[min(at + 1, len(words) - 1)].partition(b"\n")
        at += 2
        files = [first] if first else []
        while at < len(words) and words[at] != b"":
            files.append(words[at])
            at += 1
        yield _name(author[1:]), [_path(file) for file in files]


def _name(author: bytes) -> str:
    """A name for showing. What looks like an address loses its domain."""
    return one_line(author.decode("utf-8", "replace"), _NAME_MAX).partition("@")[0] or "unknown"


def _path(raw: bytes) -> str:
    return portable_path(raw.decode("utf-8", "surrogateescape"))


def _folders(path: str) -> list[str]:
    """The folders that a file lies in, the top (empty) among them."""
    found = [""]
    for at, character in enumerate(path):
        if character == "/":
            found.append(path[:at])
    return found


def _worst(facts: FileFacts) -> tuple[str | None, int | None, int | None]:
    """Name, line and complexity of the most complex function."""
    weighed = [(-each.complexity, each.line, each) for each in facts.definitions if each.complexity]
    if not weighed:
        return None, None, None
    *_, worst = min(weighed)
    return worst.name, worst.line, worst.complexity
