"""Patterns of ignored files that a subfolder inherits from the folders above it.

The private repository of a subfolder has it as its top, so what the folders above say of it would
be lost. Anchored patterns are cut to what they say below; the others hold everywhere as they are.
"""

from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from .foreign import ForeignGit, plain_text


def inherited(foreign: ForeignGit, folder: Path) -> str:
    """What `info/exclude` of a repository with `folder` at its top says, the weightiest last."""
    below = folder.relative_to(foreign.top).parts
    lines = list(_cut(foreign.ignored(), below))
    above = foreign.top
    for number, name in enumerate(below):
        lines += _cut(plain_text(above / ".gitignore"), below[number:])
        above /= name
    return "".join(f"{line}\n" for line in lines)


def _cut(text: str, below: tuple[str, ...]) -> Iterator[str]:
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        refused, pattern = ("!", line[1:]) if line.startswith("!") else ("", line)
        if "/" not in pattern.rstrip().rstrip("/"):
            yield line
            continue
        for rest in _rests(pattern.removeprefix("/").split("/"), below):
            yield f"{refused}/{rest}"


def _rests(pattern: list[str], below: tuple[str, ...]) -> Iterator[str]:
    """What is left of an anchored pattern within the folder; nothing where it is not about it."""
    if not below:
        if any(pattern):
            yield "/".join(pattern)
    elif pattern and pattern[0] == "**":
        yield from _rests(pattern[1:], below)
        yield from _rests(pattern, below[1:])
    elif pattern and fnmatchcase(below[0], pattern[0]):
        yield from _rests(pattern[1:], below[1:])
