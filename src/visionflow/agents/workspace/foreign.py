"""Reads a stranger's git folder as data: where its objects are, what HEAD and the refs name.

Git itself is never started in it, for its configuration may name programs. Only plain files are
read, bounded, and what does not look right is left out.
"""

import os
import re
import stat
from pathlib import Path

import msgspec

_TEXT_BYTES_MAX = 64 << 20
_REFS_MAX = 20_000
_LINKS_MAX = 5
_ID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?\Z")
_PSEUDO = re.compile(r"(?:[A-Z]+_)?HEAD\Z")
_RULES = (
    "refs/{}", "refs/tags/{}", "refs/heads/{}", "refs/remotes/{}", "refs/remotes/{}/HEAD",
)  # fmt: skip
"""Where git looks for a name, in its order."""
_REF = re.compile(r"refs/[\w+=,%#!@-][\w+=,%#!@./-]*\Z")


class ForeignGit(msgspec.Struct, frozen=True):
    """A git folder that belongs to somebody else."""

    top: Path
    """The folder of its working tree; the git folder itself when it is bare."""
    folder: Path
    common: Path
    """Where objects and refs are; differs from `folder` in a linked worktree."""
    bare: bool

    @property
    def objects(self) -> Path:
        return self.common / "objects"

    def branch(self) -> str | None:
        """The branch that HEAD is on, without `refs/heads/`; `None` where it is on none."""
        line = plain_text(self.folder / "HEAD").strip()
        name = line.removeprefix("ref:").strip()
        on_one = line.startswith("ref:") and name.startswith("refs/heads/") and _sound(name)
        return name.removeprefix("refs/heads/") if on_one else None

    def head(self) -> str | None:
        """The commit id that HEAD names, `None` where there is none that can be read."""
        return self._resolved(plain_text(self.folder / "HEAD"), _LINKS_MAX)

    def _resolved(self, text: str, links_left: int) -> str | None:
        line = text.strip()
        if _ID.match(line):
            return line
        name = line.removeprefix("ref:").strip()
        if not (line.startswith("ref:") and _sound(name) and links_left):
            return None
        loose = plain_text(self.common / name)
        if loose:
            return self._resolved(loose, links_left - 1)
        return self._packed().get(name)

    def named(self, name: str) -> str | None:
        """The id that a branch, tag, remote-tracking branch or `HEAD` names; `None` for none.

        A name is looked for where git looks for it, in git's order. `ORIG_HEAD`, `FETCH_HEAD` and
        their like are names too, and `@` is `HEAD`.
        """
        if name == "@" or _PSEUDO.match(name):
            text = plain_text(self.folder / ("HEAD" if name == "@" else name))
            return self._resolved(text.partition("\n")[0].partition("\t")[0], _LINKS_MAX)
        wanted = [rule.format(name) for rule in _RULES]
        wanted = [name, *wanted] if name.startswith("refs/") else wanted
        return next((at for each in wanted if (at := self._at(each)) is not None), None)

    def _at(self, ref: str) -> str | None:
        return self._resolved(f"ref: {ref}", _LINKS_MAX) if _sound(ref) else None

    def refs(self) -> dict[str, str]:
        """Branches and tags with the ids that they name, at most 20,000."""
        found = {
            name: target
            for name, target in self._packed().items()
            if name.startswith(("refs/heads/", "refs/tags/"))
        }
        for kind in ("heads", "tags"):
            for folder, _, names in os.walk(self.common / "refs" / kind):
                for name in names:
                    path = Path(folder, name)
                    ref = path.relative_to(self.common).as_posix()
                    target = plain_text(path).strip()
                    if _sound(ref) and _ID.match(target):
                        found[ref] = target
        return dict(sorted(found.items())[:_REFS_MAX])

    def as_they_stand(self) -> dict[str, str]:
        """Every ref with what its file says: an id, `ref: ` and a name, or what is none of both.

        Nothing is left out because it does not look right: this is for telling what was changed.
        """
        lines = plain_text(self.common / "packed-refs").splitlines()
        parts = [line.partition(" ") for line in lines]
        found = {name: target for target, _, name in parts if _ID.match(target)}
        for folder, folders, names in os.walk(self.common / "refs"):
            links = [each for each in folders if Path(folder, each).is_symlink()]
            for name in (*names, *links):
                path = Path(folder, name)
                if not name.endswith(".lock"):
                    found[path.relative_to(self.common).as_posix()] = plain_text(path).strip()
        return found

    def _packed(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for line in plain_text(self.common / "packed-refs").splitlines():
            target, _, name = line.partition(" ")
            if _ID.match(target) and _sound(name):
                found[name] = target
        return found

    def shallow(self) -> str:
        """The commits whose parents were never fetched, one to a line."""
        lines = plain_text(self.common / "shallow").split()
        return "".join(f"{line}\n" for line in lines if _ID.match(line))

    def ignored(self) -> str:
        """Patterns of `info/exclude`."""
        return plain_text(self.common / "info" / "exclude")


def find(source: Path, told: list[str]) -> ForeignGit | None:
    """The git folder that `source` belongs to: its own, that of a folder above, or a bare one.

    A `.git` that points to a repository which does not point back is not followed, and `told` so:
    it would bring the history of some other repository of the user's within a stranger's reach.
    """
    if _looks_like_git(source):
        return ForeignGit(top=source, folder=source, common=source, bare=True)
    for top in (source, *source.parents):
        place = top / ".git"
        if not os.path.lexists(place):
            continue
        folder = place if place.is_dir() and not place.is_symlink() else _pointed_at(place)
        common = _common(folder, place) if folder is not None else None
        if folder is not None and common is not None:
            return ForeignGit(top=top, folder=folder, common=common, bare=False)
        told.append(f"{place} is no repository of this folder's own and was not followed.")
    return None


def _common(folder: Path, place: Path) -> Path | None:
    """Where objects and refs are, if the git folder really is that of `place`."""
    if folder == place:
        return folder if _looks_like_git(folder) else None
    back = plain_text(folder / "gitdir").strip()
    main = folder.parent.parent
    if folder.parent.name == "worktrees" and os.path.realpath(back) == os.path.realpath(place):
        return main if _looks_like_git(main) else None
    above = {Path(os.path.realpath(each)) / ".git" / "modules" for each in place.parent.parents}
    if above & set(Path(os.path.realpath(folder)).parents):
        return folder if _looks_like_git(folder) else None
    return None


def _looks_like_git(folder: Path) -> bool:
    parts = (folder / "objects", folder / "refs", folder / "refs" / "heads")
    sound = all(each.is_dir() and not each.is_symlink() for each in parts)
    return sound and bool(plain_text(folder / "HEAD"))


def _pointed_at(place: Path) -> Path | None:
    """Target of the `.git` file of a linked worktree or a submodule."""
    line = plain_text(place).partition("\n")[0]
    if not line.startswith("gitdir:"):
        return None
    return Path(os.path.normpath(place.parent / line.removeprefix("gitdir:").strip()))


def _sound(name: str) -> bool:
    wrong = (".." in name, "//" in name, "/." in name, name.endswith((".lock", "/", ".")))
    return bool(_REF.match(name)) and not any(wrong) and "@{" not in name


def plain_text(path: Path) -> str:
    """Content of a plain file, nothing for whatever else stands there."""
    try:
        place = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError):
        return ""
    try:
        about = os.fstat(place)
        if not stat.S_ISREG(about.st_mode) or about.st_size > _TEXT_BYTES_MAX:
            return ""
        with open(place, "rb", closefd=False) as content:
            return content.read(_TEXT_BYTES_MAX).decode("utf-8", "surrogateescape")
    except OSError:
        return ""
    finally:
        os.close(place)
