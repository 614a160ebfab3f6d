"""Writes the sample project, with its faults or as the clean twin without them.

One set of files holds both. A line `#[planted` begins what only the faulty variant has,
`#[clean` what only the clean one has, `#[end` ends either; `#@id` at a line's end marks the place
of a fault and is taken off. Made-up keys are put together here, so that no scanner takes this
source for a leak; so is a file name that no index of packages would carry.
"""

import base64
import hashlib
import re
from pathlib import Path

import msgspec

from visionflow.compose.demo.history import SHEET, SHEETS, write_history
from visionflow.compose.demo.manifest import SAMPLE, Manifest, placed, read_planted

HOSTILE_NAME = "deploy/<script>alert(1)<script>\n# **odd** [x](javascript:alert(1))\x1b[31m`|.py"
_MARK = re.compile(r"\s*#@([\w-]+)$")
_KEY = re.compile(r"\{\{aws:(\w+)\}\}")
_PEM = "-" * 5 + "BEGIN RSA PRIVATE " + "KEY" + "-" * 5
_BOTH, _PLANTED, _CLEAN = "both", "planted", "clean"


class Expanded(msgspec.Struct, frozen=True):
    """One file of one variant."""

    text: str
    marks: dict[str, int]
    """Line of each fault's mark."""
    planted_lines: tuple[int, ...]


class Variant(msgspec.Struct, frozen=True):
    """All files of one variant, and what stands in them."""

    files: dict[str, str]
    places: dict[str, tuple[str, int]]
    """(file, line) of each fault that has a mark."""
    planted_lines: dict[str, tuple[int, ...]]
    secrets: tuple[str, ...]


def materialise(folder: Path, faulty: bool = True) -> Manifest:
    """Write the sample into `folder`, which is new or empty, with a git history of its own.

    Raises:
        FileExistsError: there is something in the folder.
        WorkspaceError: git could not write the history.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty")
    made = variant(faulty)
    for name, text in texts_of(made).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    commit = write_history(folder, {name: text.encode() for name, text in made.files.items()})
    return Manifest(
        placed(read_planted(), made.places, faulty), made.planted_lines, made.secrets,
        len(made.files), commit,
    )  # fmt: skip


def variant(faulty: bool = True) -> Variant:
    """The files with their faults, or without; `SHEET` still stands where the history puts in
    what was current."""
    files: dict[str, str] = {}
    places: dict[str, tuple[str, int]] = {}
    lines: dict[str, tuple[int, ...]] = {}
    secrets: set[str] = set()
    for name, text in _templates(faulty):
        expanded = expand(text, faulty)
        secrets.update(made_up_key(key) for key in _KEY.findall(text))
        files[name] = expanded.text
        places |= {mark: (name, line) for mark, line in expanded.marks.items()}
        if expanded.planted_lines:
            lines[name] = expanded.planted_lines
    return Variant(files, places, lines, tuple(sorted(secrets)))


def texts_of(made: Variant) -> dict[str, str]:
    """The files as they are written."""
    return {name: text.replace(SHEET, SHEETS[-1]) for name, text in made.files.items()}


def expand(text: str, faulty: bool) -> Expanded:
    """A template as the variant has it."""
    kept: list[str] = []
    marks: dict[str, int] = {}
    planted: list[int] = []
    part = _BOTH
    for line in text.splitlines():
        word = line.strip()
        if word in ("#[planted", "#[clean", "#[end"):
            part = {"#[planted": _PLANTED, "#[clean": _CLEAN, "#[end": _BOTH}[word]
            continue
        if part == (_CLEAN if faulty else _PLANTED):
            continue
        mark = _MARK.search(line)
        if mark:
            marks[mark[1]] = len(kept) + 1
            line = line[: mark.start()]
        if part == _PLANTED:
            planted.append(len(kept) + 1)
        line = line.replace("{{pem}}", _PEM)
        kept.append(_KEY.sub(lambda found: made_up_key(found[1]), line))
    return Expanded("\n".join(kept) + "\n", marks, tuple(planted))


def made_up_key(name: str) -> str:
    """A key of the form that AWS gives out, which opens nothing."""
    digest = hashlib.sha256(f"ferryline {name}".encode()).digest()
    return "AK" + "IA" + base64.b32encode(digest).decode()[:16]


def _templates(faulty: bool) -> list[tuple[str, str]]:
    """Name and text of each file that the variant has, by name."""
    found: dict[str, str] = {}
    for path in sorted(SAMPLE.rglob("*.txt")):
        name = path.relative_to(SAMPLE).as_posix().removesuffix(".txt")
        only = name.endswith(".planted")
        if only and not faulty:
            continue
        name = name.removesuffix(".planted")
        # Kept under plain names, so that no tool takes the sample's settings for ours.
        name = re.sub(r"(^|/)dot\.", r"\1.", name)
        name = HOSTILE_NAME if name == "hostile/odd.py" else name
        text = path.read_text(encoding="utf-8")
        found[name] = f"#[planted\n{text}" if only else text
    return sorted(found.items())
