"""What a program has to be able to read to run at all: itself, and what it is made of.

Programs are links to links: a launcher in ~/.local/bin leads into an environment of Python or into
node_modules, and a script names its interpreter. Each link on the way has to be there under its own
name. A home folder itself, or what lies above it, is never given.
"""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

_LINKS_MAX = 20
_DEPTH_MAX = 4


def reads_of(words: Iterable[str], path: str, *, given: Iterable[str] = ()) -> tuple[str, ...]:
    """Files and folders that a command line of these words needs.

    The first word is looked for on `path`; other words count where they are absolute paths of
    something that is there. `given`: what the user allowed, taken as it is.
    """
    found: dict[str, None] = dict.fromkeys(given)
    for number, word in enumerate(words):
        place = shutil.which(word, path=path) if number == 0 else word
        if place is None or not os.path.isabs(place):
            continue
        if os.path.isfile(place):
            _program(place, path, found, _DEPTH_MAX)
        elif number and os.path.isdir(place):
            found[os.path.normpath(place)] = None
    return tuple(each for each in found if os.path.isabs(each) and not is_too_much(each))


def _program(place: str, path: str, found: dict[str, None], depth: int) -> None:
    """A program with all its links, what it lies in, and its interpreter."""
    if not depth:
        return
    for link in _chain(place):
        found[link] = None
        for folder in _around(link):
            found[folder] = None
    real = os.path.realpath(place)
    for interpreter in _interpreters(real, path):
        _program(interpreter, path, found, depth - 1)


def _chain(place: str) -> list[str]:
    """The path, and what each link in turn leads to."""
    found = [os.path.abspath(place)]
    while len(found) < _LINKS_MAX and os.path.islink(found[-1]):
        found.append(
            os.path.normpath(os.path.join(os.path.dirname(found[-1]), os.readlink(found[-1])))
        )
    real = os.path.realpath(place)
    return [*found, real] if real not in found else found


def _around(place: str) -> list[str]:
    """The folders that a program at this place is a part of."""
    parts = Path(place).parts
    if "node_modules" in parts:
        return [str(Path(*parts[: parts.index("node_modules") + 1]))]
    above = Path(place).parent.parent
    if (above / "pyvenv.cfg").is_file():
        return [str(above)]
    if Path(place).name.startswith(("python", "pypy")) and any(above.glob("lib/py*3*")):
        return [str(above)] if str(above) != "/usr" else []
    return []


def _interpreters(real: str, path: str) -> list[str]:
    """Programs that the first line of a script names."""
    try:
        with open(real, "rb") as file:
            line = file.readline(512)
    except OSError:
        return []
    if not line.startswith(b"#!"):
        return []
    words = os.fsdecode(line[2:]).split()
    found = words[:1]
    if found and os.path.basename(found[0]) == "env":
        named = [each for each in words[1:] if not each.startswith("-") and "=" not in each]
        place = shutil.which(named[0], path=path) if named else None
        found += [place] if place is not None else []
    return found


def is_too_much(place: str) -> bool:
    """Whether it is a home folder or has one in it."""
    home = Path.home()
    own = {home, Path(os.path.realpath(home)), Path("/root"), Path("/home")}
    given = Path(os.path.realpath(place))
    return given == Path("/") or any(given == each or given in each.parents for each in own)
