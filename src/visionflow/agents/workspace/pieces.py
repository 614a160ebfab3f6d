"""What a change makes of files: each path with what is there before and after.

Nothing of the user's is looked at here; it is the change alone, read from the private repository,
and whether it is one that may be brought into a workspace at all.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from visionflow.domain.errors import Refused

from .changes import Altered, Entry, altered, contents, entries
from .scan import shown

_LINKS_MAX = 40
"""As many as the kernel follows."""
_NAMED_MAX = 5
_IGNORED_BY_HFS = "\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u206a\u206f\ufeff"


class Standing(msgspec.Struct, frozen=True):
    """A plain file or a link."""

    link: bool
    body: bytes
    """Content of a file; of a link where it leads."""
    executable: bool = False
    mode: int | None = None
    """Permission bits where they are known; a tree knows only `executable`."""


class Piece(msgspec.Struct, frozen=True):
    """One path of a change; `None`: there is nothing."""

    path: bytes
    before: Standing | None
    after: Standing | None

    @property
    def decides_mode(self) -> bool:
        """Whether being executable is a part of the change, rather than left as it is."""
        if self.after is None or self.after.link:
            return False
        old = self.before
        return old is None or old.link or old.executable != self.after.executable

    def back(self, mode: int | None = None) -> "Piece":
        """The same piece the other way round; `mode`: what a file had that is to return."""
        old = self.before
        if old is not None and not old.link:
            old = msgspec.structs.replace(old, mode=mode)
        return Piece(self.path, self.after, old)


async def pieces_of(repository: Path, base: str, tip: str) -> tuple[Piece, ...]:
    """The whole change, by path.

    Raises:
        Refused: it is none that may be brought in; every such path is named.
    """
    differing = await altered(repository, base, tip)
    refuse_unfit(differing)
    sides = [entry for each in differing for entry in (each.before, each.after) if entry]
    bodies = await contents(repository, (entry.blob for entry in sides))

    def standing(entry: Entry | None) -> Standing | None:
        if entry is None:
            return None
        return Standing(entry.link, bodies[entry.blob], entry.executable)

    return tuple(
        Piece(each.path, standing(each.before), standing(each.after)) for each in differing
    )


def refuse_unfit(differing: Iterable[Altered]) -> None:
    """See that a change touches files and links only, and none of git's own.

    Raises:
        Refused: it does not; every such path is named, and nothing was changed.
    """
    changes = tuple(differing)
    submodules = [
        each.path
        for each in changes
        if any(entry is not None and entry.submodule for entry in (each.before, each.after))
    ]
    if submodules:
        raise Refused(
            f"The change moves submodules ({listed(submodules)}), and those are not brought in: "
            "what they name is in another repository.",
            hint="Nothing was changed. Move them by hand.",
        )
    wrong = [each.path for each in changes if each.after is not None and _unfit(each)]
    if wrong:
        raise Refused(
            f"The change writes where git does not let anybody ({listed(wrong)}).",
            hint="Nothing was changed. Look at it with `visionflow show`.",
        )


def _unfit(change: Altered) -> bool:
    parts = change.path.split(b"/")
    if any(part in (b"", b".", b"..") or _is_git(part) for part in parts):
        return True
    entry = change.after
    return entry is not None and entry.link and parts[-1].lower() == b".gitmodules"


def _is_git(part: bytes) -> bool:
    """Whether some file system takes this name for `.git`."""
    text = part.decode("utf-8", "replace").lower()
    plain = "".join(each for each in text if each not in _IGNORED_BY_HFS).rstrip(". ")
    return plain.partition(":")[0].rstrip(". ") in (".git", "git~1")


async def outward_links(repository: Path, base: str, tip: str) -> tuple[bytes, ...]:
    """Links that the change makes and that lead out of the workspace or into its `.git`."""
    made = [
        each.path
        for each in await altered(repository, base, tip)
        if each.after is not None and each.after.link
    ]
    if not made:
        return ()
    held = {path: entry for path, entry in (await entries(repository, tip)).items() if entry.link}
    bodies = await contents(repository, (entry.blob for entry in held.values()))
    links = {path: bodies[entry.blob] for path, entry in held.items()}
    return tuple(path for path in made if leads_out(path, links))


def leads_out(link: bytes, links: Mapping[bytes, bytes]) -> bool:
    """Whether following `link` leaves the folder that `links`, by path, are relative to."""
    at = link.split(b"/")[:-1]
    ahead = links[link].split(b"/")
    if links[link].startswith(b"/"):
        return True
    followed = 1
    while ahead:
        part = ahead.pop(0)
        if part in (b"", b"."):
            continue
        if part == b"..":
            if not at:
                return True
            at.pop()
            continue
        if _is_git(part):
            return True
        target = links.get(b"/".join([*at, part]))
        if target is None:
            at.append(part)
            continue
        followed += 1
        if target.startswith(b"/"):
            return True
        if followed > _LINKS_MAX:
            return False
        ahead = target.split(b"/") + ahead
    return False


def listed(paths: Iterable[bytes]) -> str:
    """Paths for a sentence: the first five, and how many more."""
    all_of = list(paths)
    more = f" and {len(all_of) - _NAMED_MAX} more" if len(all_of) > _NAMED_MAX else ""
    return ", ".join(shown(path) for path in all_of[:_NAMED_MAX]) + more
