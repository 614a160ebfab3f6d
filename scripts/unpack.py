"""Unpacks one source distribution into a folder of a name of our choice.

Whoever wrote the archive is a stranger: Python's 'data' filter refuses absolute names, names
and links that lead outside, and devices. Where the archive comes from, and that its hash is
the pinned one, is pip's work.
"""

import shutil
import sys
import tarfile
import tempfile
from pathlib import Path


def unpack(archive: Path, into: Path) -> None:
    """Put the one top folder of `archive` (a .tar.gz) at `into`, which must not exist.

    Raises tarfile.FilterError for a member that would land outside, and ValueError when the
    archive is not one folder, as source distributions are.
    """
    if into.exists():
        raise ValueError(f"{into} exists already; remove it first")
    into.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=into.parent) as scratch:
        with tarfile.open(archive, "r:gz") as tar:
            tar.extractall(scratch, filter="data")
        found = sorted(Path(scratch).iterdir())
        if len(found) != 1 or not found[0].is_dir():
            names = ", ".join(path.name for path in found) or "nothing"
            raise ValueError(f"{archive.name} should hold one folder and holds {names}")
        shutil.move(found[0], into)


def main(arguments: list[str]) -> int:
    """Unpack `arguments[0]` into `arguments[1]`; 2 when called otherwise."""
    if len(arguments) != 2:
        print("usage: unpack.py ARCHIVE FOLDER", file=sys.stderr)
        return 2
    unpack(Path(arguments[0]), Path(arguments[1]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
