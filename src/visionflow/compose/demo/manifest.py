"""Values: what is planted in the sample, and where it stands once the sample is written."""

import tomllib
from pathlib import Path
from typing import Literal

import msgspec

from visionflow.agents.findings import portable_path

SAMPLE = Path(__file__).parent / "sample"
Kind = Literal[
    "finding", "suppressed", "escape", "cycle", "hotspot", "flaky", "failing", "uncovered",
    "undeclared", "unused", "todo", "entry",
]  # fmt: skip


class Planted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A fault as `faults.toml` describes it."""

    id: str
    class_: str = msgspec.field(name="class")
    """Precision and recall are counted by class."""
    kind: Kind = "finding"
    rules: tuple[str, ...] = ()
    """`tool:rule` of each result that must be there; `*` for any rule of the tool."""
    also: tuple[str, ...] = ()
    """Results that may be there besides."""
    by: Literal["comment", "configuration"] | None = None
    """Of a suppressed finding: what hides it."""
    names: tuple[str, ...] = ()
    """Modules, tests, distributions or words, where a line alone does not tell."""
    fixable: bool = False
    """A safe mechanical fix exists."""
    both: bool = False
    """No fault: it stands in the clean twin too."""


class Fault(msgspec.Struct, frozen=True):
    """A planted fault, and the place where it was written."""

    planted: Planted
    path: str | None
    """As findings name it; `None` for what has no place of its own."""
    line: int | None


class Manifest(msgspec.Struct, frozen=True):
    """What `materialise` wrote. Everything is sorted, and the same each time."""

    faults: tuple[Fault, ...]
    planted_lines: dict[str, tuple[int, ...]]
    """Of each file, the lines that only stand there because of a fault."""
    secrets: tuple[str, ...]
    """Made-up keys that no output may show."""
    files: int
    commit: str
    """The head of the sample's own history."""


def read_planted() -> tuple[Planted, ...]:
    """Everything that `faults.toml` describes, in its order."""
    content = (SAMPLE / "faults.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(content)["fault"], tuple[Planted, ...])


def placed(
    planted: tuple[Planted, ...], places: dict[str, tuple[str, int]], faulty: bool
) -> tuple[Fault, ...]:
    """The faults that stand in the variant, each with its place.

    Raises:
        ValueError: the files carry a mark that nothing describes, or the other way round.
    """
    unknown = sorted(set(places) - {each.id for each in planted})
    if unknown:
        raise ValueError(f"marks that faults.toml does not describe: {', '.join(unknown)}")
    found: list[Fault] = []
    for each in planted:
        if not (faulty or each.both):
            continue
        path, line = places.get(each.id, (None, None))
        if path is None and each.kind != "hotspot":
            raise ValueError(f"{each.id} has no mark in the files")
        found.append(Fault(each, None if path is None else portable_path(path), line))
    return tuple(found)
