"""Which files of a folder the tools look at, and which they do not and why.

Walks without following links and without reading content, so that 10,000 files take a fraction of
a second and no loop, pipe or device can hold it up. What the files mean is `project`'s job.
"""

import os
from collections.abc import Iterator
from fnmatch import fnmatch

import msgspec

FILES_MAX = 50_000
FILE_BYTES_MAX = 5_000_000
TEXT_BYTES_MAX = 1_000_000
_NOT_ENTERED = {
    ".git": "version control",
    ".hg": "version control",
    ".svn": "version control",
    ".bzr": "version control",
    "__pycache__": "a cache",
    ".mypy_cache": "a cache",
    ".pytest_cache": "a cache",
    ".ruff_cache": "a cache",
    ".tox": "a tool's environments",
    ".nox": "a tool's environments",
    ".eggs": "a tool's environments",
    "node_modules": "packages of Node",
    ".visionflow": "earlier runs",
}
_QUIET = ("version control", "a cache", "earlier runs")
"""Holds no source of the project; naming it in every report would only be noise."""
_ENVIRONMENT, _LINK, _NO_FILE = "a Python environment", "a symbolic link", "not a regular file"
NO_SOURCE = frozenset({*_NOT_ENTERED.values(), _ENVIRONMENT, _LINK, _NO_FILE})
"""Reasons for not looking at something that say: it is no source of the project, or not here."""
_TO_BUILD = (".c", ".cpp", ".cc", ".pyx", ".rs", ".pyx.in", ".py.in", "Cargo.toml")
_TEST_NAMES = ("test_*.py", "*_test.py", "tests.py", "conftest.py")

_NO_TEXT = frozenset(
    ".7z .a .bin .bmp .bz2 .class .dll .dylib .eot .exe .gif .gz .ico .jar .jpeg .jpg .lz4 .mo .mp3"
    " .mp4 .npy .npz .o .obj .otf .pdf .pickle .pkl .png .pyc .pyd .rar .so .sqlite .tar .tgz .tif"
    " .tiff .ttf .wasm .webm .webp .whl .woff .woff2 .xls .xlsx .xz .zip .zst".split()
)
"""Ends of names whose files hold no text."""


class Texts(msgspec.Struct, frozen=True):
    """Files of a folder that may hold text, whatever kind, as paths relative to it, sorted."""

    files: tuple[str, ...]
    skipped: tuple[tuple[str, str], ...]
    """(path, why) of what could be text and is not looked at."""


class Tree(msgspec.Struct, frozen=True):
    """The files of one folder, as paths relative to it, sorted."""

    python: tuple[str, ...]
    """Files that the tools read: regular, `.py` or `.pyi`, of a size that makes sense."""
    skipped: tuple[tuple[str, str], ...]
    """(path, why) of what could hold Python and is not looked at."""
    files: int
    """All regular files seen."""
    complete: bool
    """False when the walk stopped at `FILES_MAX`."""
    to_build: tuple[str, ...] = ()
    """Files from which a build makes modules: C, Cython, Rust, templates."""


def is_test_path(path: str) -> bool:
    """By convention: in a folder `test` or `tests`, or a name that test runners collect."""
    *folders, name = path.split("/")
    in_folder = any(folder in ("test", "tests") for folder in folders)
    return in_folder or any(fnmatch(name, pattern) for pattern in _TEST_NAMES)


def walk(root: str, files_max: int = FILES_MAX) -> Tree:
    """Look at every name under `root`.

    Raises:
        OSError: `root` itself cannot be listed. Folders below it are named in `skipped`.
    """
    python: list[str] = []
    to_build: list[str] = []
    skipped: list[tuple[str, str]] = []
    files, waiting, complete = 0, [""], True
    while waiting and complete:
        folder = waiting.pop()
        for entry, relative in _entries(root, folder, skipped):
            if entry.is_dir(follow_symlinks=False):
                _folder(entry, relative, waiting, skipped)
                continue
            files += entry.is_file(follow_symlinks=False)
            if entry.name.endswith((".py", ".pyi")):
                why = _why_not(entry)
                python.append(relative) if why is None else skipped.append((relative, why))
            elif entry.name.endswith(_TO_BUILD):
                to_build.append(relative)
            if files >= files_max:
                complete = False
                skipped.append((folder or ".", f"the walk ended at {files_max} files"))
                break
    found = tuple(sorted(python)), tuple(sorted(skipped))
    return Tree(*found, files, complete, tuple(sorted(to_build)))


def regular_files(root: str, files_max: int = FILES_MAX) -> tuple[str, ...]:
    """Every regular file that the walk comes to, whatever it holds, sorted. Names that are not
    UTF-8 hold lone surrogates, as always in Python.

    Raises:
        OSError: `root` itself cannot be listed.
    """
    found: list[str] = []
    waiting = [""]
    while waiting and len(found) < files_max:
        for entry, relative in _entries(root, waiting.pop(), []):
            if entry.is_dir(follow_symlinks=False):
                _folder(entry, relative, waiting, [])
            elif entry.is_file(follow_symlinks=False):
                found.append(relative)
    return tuple(sorted(found[:files_max]))


def texts(root: str, files_max: int = FILES_MAX) -> Texts:
    """Every plain file under `root` that may be text, in the folders that `walk` enters.

    Raises:
        OSError: `root` itself cannot be listed.
    """
    found: list[str] = []
    skipped: list[tuple[str, str]] = []
    waiting = [""]
    while waiting:
        for entry, relative in _entries(root, waiting.pop(), []):
            if entry.is_dir(follow_symlinks=False):
                _folder(entry, relative, waiting, [])
            elif entry.name == ".git" or os.path.splitext(entry.name)[1].lower() in _NO_TEXT:
                continue
            elif entry.is_file(follow_symlinks=False):
                why = _why_no_text(entry)
                found.append(relative) if why is None else skipped.append((relative, why))
            if len(found) >= files_max:
                skipped.append((".", f"the walk for text ended at {files_max} files"))
                return Texts(tuple(sorted(found)), tuple(sorted(skipped)))
    return Texts(tuple(sorted(found)), tuple(sorted(skipped)))


def _why_no_text(entry: os.DirEntry[str]) -> str | None:
    why = _why_not(entry)
    if why is None and entry.stat(follow_symlinks=False).st_size > TEXT_BYTES_MAX:
        return f"larger than {TEXT_BYTES_MAX // 1_000_000} MB"
    return why


def _entries(
    root: str, folder: str, skipped: list[tuple[str, str]]
) -> Iterator[tuple[os.DirEntry[str], str]]:
    """The names in `folder`, sorted; a folder that cannot be listed is noted, but for `root`."""
    try:
        with os.scandir(os.path.join(root, folder)) as found:
            names = sorted(found, key=lambda entry: entry.name)
    except OSError as error:
        if not folder:
            raise
        skipped.append((folder, f"cannot be listed: {error.strerror}"))
        return
    for entry in names:
        yield entry, f"{folder}/{entry.name}" if folder else entry.name


def _folder(
    entry: os.DirEntry[str], relative: str, waiting: list[str], skipped: list[tuple[str, str]]
) -> None:
    """Enter a folder later, or note why not."""
    why = _NOT_ENTERED.get(entry.name)
    if why is None and os.path.lexists(os.path.join(entry.path, "pyvenv.cfg")):
        why = _ENVIRONMENT
    if why is None:
        waiting.append(relative)
    elif why not in _QUIET:
        skipped.append((relative, why))


def _why_not(entry: os.DirEntry[str]) -> str | None:
    """Why a file with a Python name is not read; `None` when it is."""
    if entry.is_symlink():
        return _LINK
    if not entry.is_file(follow_symlinks=False):
        return _NO_FILE
    try:
        entry.name.encode("utf-8")
        entry.path.encode("utf-8")
    except UnicodeEncodeError:
        return "its name is not UTF-8"
    if entry.stat(follow_symlinks=False).st_size > FILE_BYTES_MAX:
        return f"larger than {FILE_BYTES_MAX // 1_000_000} MB"
    return None if os.access(entry.path, os.R_OK) else "may not be read"
