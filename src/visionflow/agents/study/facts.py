"""What stands in each Python file, read by a confined program and kept by the file's content.

`inside/facts.py` does the reading. What the facts add up to is the other modules' job.
"""

import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

import msgspec

from visionflow.agents.findings import Ended
from visionflow.agents.tools.cache import ResultCache
from visionflow.agents.tools.portions import Parsed, Reader, ScanRequest, read_files
from visionflow.agents.tools.text import clean
from visionflow.ports.sandbox import Sandbox

TOP, IN_FUNCTION, TYPING = 0, 1, 2
"""How an import counts: when the module is loaded, when a function runs, for type checkers only."""
_PROGRAM = Path(__file__).parent.parent / "inside" / "facts.py"
_FORM = "3"
"""Another one makes the cache forget: raise it when the facts change."""


class Import(msgspec.Struct, frozen=True, array_like=True):
    """An import as it is written."""

    module: str
    """Empty in `from . import x`."""
    names: tuple[str, ...]
    """Of a `from` import."""
    level: int
    """How many dots."""
    line: int
    kind: int
    guarded: bool
    """In a `try` that lives without it, or under a condition on the interpreter or the system."""


class Definition(msgspec.Struct, frozen=True, array_like=True):
    """A function, method or class."""

    name: str
    """Dotted, within its module."""
    kind: Literal["function", "class"]
    line: int
    end: int
    complexity: int | None
    """Cognitive; a function within another one counts towards that one and has none itself."""


class Remark(msgspec.Struct, frozen=True, array_like=True):
    """A comment that says something is left to do."""

    word: str
    text: str
    line: int


class FileFacts(msgspec.Struct, frozen=True, array_like=True):
    """What stands in one file."""

    lines: int
    imports: tuple[Import, ...]
    definitions: tuple[Definition, ...]
    todos: tuple[Remark, ...]
    guard: int | None
    """Where `if __name__ == "__main__"` stands."""
    dynamic: bool
    """It imports by a name that is computed."""
    named: tuple[str, ...]
    """Where it does: texts in it that could be the name of a module."""
    complexity: int | None
    setup: dict[str, tuple[tuple[str, int], ...] | None] | None
    """Of the project's setup.py: what its call of `setup` lists, with lines; `None` where a list
    is computed."""


class Facts(msgspec.Struct, frozen=True):
    """What stands in the files of a worktree."""

    files: dict[str, FileFacts]
    """By path, sorted."""
    not_read: tuple[tuple[str, str], ...]
    ended: Ended
    reason: str | None
    enforced: tuple[str, ...]
    cached: int


class _Output(msgspec.Struct, frozen=True):
    """What the program wrote."""

    files: dict[str, "_Written"]
    not_read: list[tuple[str, str]]


class _Written(msgspec.Struct, frozen=True):
    """`FileFacts` with names, as JSON has it."""

    lines: int
    imports: tuple[Import, ...]
    definitions: tuple[Definition, ...]
    todos: tuple[Remark, ...]
    guard: int | None
    dynamic: bool
    named: tuple[str, ...]
    complexity: int | None
    setup: dict[str, tuple[tuple[str, int], ...] | None] | None


async def read_facts(sandbox: Sandbox, request: ScanRequest, cache: ResultCache) -> Facts:
    """Read the files of `request`. Never raises for what is in them; each one is in `files` or in
    `not_read`, but where nothing could run."""
    reading = await read_files(sandbox, _reader(), request, cache)
    decode = msgspec.msgpack.Decoder(FileFacts).decode
    files = {path: decode(value) for path, value in sorted(reading.values.items()) if value}
    silent = tuple((p, "the reader said nothing of it") for p, v in reading.values.items() if not v)
    not_read = tuple(sorted((*reading.not_read, *silent)))
    return Facts(files, not_read, reading.ended, reading.reason, reading.enforced, reading.cached)


def _reader() -> Reader:
    def argv(output: str, files: Sequence[str]) -> tuple[str, ...]:
        return (sys.executable, "-I", str(_PROGRAM), output, *files)

    python = "{}.{}".format(*sys.version_info[:2])
    made = f"{_FORM}/{python}/{_complexipy()}"
    return Reader("facts", made, argv, _parse, read=(str(_PROGRAM),))


def _parse(content: bytes, worktree: str) -> Parsed:
    output = msgspec.json.decode(content, type=_Output)
    encode = msgspec.msgpack.Encoder().encode
    values = {
        _relative(path): encode(FileFacts(**msgspec.structs.asdict(facts)))
        for path, facts in output.files.items()
    }
    return values, tuple((_relative(path), clean(why)) for path, why in output.not_read)


def _relative(path: str) -> str:
    return path.removeprefix("./")


def _complexipy() -> str:
    try:
        return version("complexipy")
    except PackageNotFoundError:
        return "none"
