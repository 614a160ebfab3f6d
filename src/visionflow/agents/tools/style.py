"""How a project asks for its files to be formatted, read from its own configuration as data.

Formatting is `fixing`'s job; whether the project really keeps to what it asks for is the coder's to
find out.
"""

import os
import re
import tomllib
from collections.abc import Mapping

import msgspec

from visionflow.agents.tools.text import read_plain

_BYTES_MAX = 1_000_000
_QUOTES = ("double", "single", "preserve")
_HOOK = re.compile(r"^\s*-\s*id:\s*['\"]?(ruff-format|black(?:-jupyter)?)\b", re.M)
_REVISION = re.compile(r"^\s*-?\s*rev:\s*['\"]?([^\s'\"#]+)", re.M)
_VERSION_MAX = 40


class Style(msgspec.Struct, frozen=True):
    """How the project's own configuration asks for its files to be formatted."""

    source: str
    """The file and key that ask for it."""
    line_length: int = 88
    quotes: str = "double"
    magic_trailing_comma: bool = True
    version: str | None = None
    """Of the formatter, as the project pins it: each writes some things its own way."""


def style_of(pyproject: Mapping[str, object], hooks: str) -> Style | None:
    """How the project's own configuration asks for formatting; `None` where it does not ask.

    `pyproject`: the tables of its pyproject.toml; `hooks`: the text of its
    .pre-commit-config.yaml. Read as data: what is of another type counts as not written.
    """
    tool = _table(pyproject, "tool")
    ruff, black = _table(tool, "ruff"), _table(tool, "black")
    named = _HOOK.search(hooks)
    if "format" in ruff or (named is not None and named[1] == "ruff-format"):
        written = _table(ruff, "format")
        source = "pyproject.toml: tool.ruff.format" if "format" in ruff else _hook("ruff-format")
        quotes = written.get("quote-style")
        return Style(
            source,
            _length(ruff.get("line-length")),
            quotes if isinstance(quotes, str) and quotes in _QUOTES else "double",
            written.get("skip-magic-trailing-comma") is not True,
            _pinned(ruff, hooks, named if named and named[1] == "ruff-format" else None),
        )
    if "black" in tool or named is not None:
        source = "pyproject.toml: tool.black" if "black" in tool else _hook("black")
        return Style(
            source,
            _length(black.get("line-length")),
            "preserve" if black.get("skip-string-normalization") is True else "double",
            black.get("skip-magic-trailing-comma") is not True,
            _pinned(black, hooks, named if named and named[1] != "ruff-format" else None, "black "),
        )
    return None


def keeps_its_own(style: Style, ruff: str | None) -> bool:
    """Whether the project formats with another version than this ruff, which is to leave alone
    what that one has formatted."""
    if style.version is None:
        return False
    pinned = re.findall(r"\d+", style.version)[:2]
    return style.version.startswith("black") or pinned != re.findall(r"\d+", ruff or "")[:2]


def _pinned(
    table: Mapping[str, object], hooks: str, hook: re.Match[str] | None, name: str = ""
) -> str | None:
    required = table.get("required-version")
    if isinstance(required, str):
        return name + required[:_VERSION_MAX]
    revisions = [] if hook is None else _REVISION.findall(hooks[: hook.start()])
    return name + revisions[-1][:_VERSION_MAX] if revisions else None


def _hook(name: str) -> str:
    return f".pre-commit-config.yaml: {name}"


def _table(tables: Mapping[str, object], key: str) -> dict[str, object]:
    found = tables.get(key)
    return msgspec.convert(found, dict[str, object]) if isinstance(found, dict) else {}


def _length(value: object) -> int:
    return value if isinstance(value, int) and 20 <= value <= 320 else 88


def style_in(worktree: str) -> Style | None:
    """`style_of` what a folder of a stranger's holds; a file that cannot be read counts as none."""
    texts = [
        (read_plain(os.path.join(worktree, name), _BYTES_MAX) or b"").decode("utf-8", "replace")
        for name in ("pyproject.toml", ".pre-commit-config.yaml")
    ]
    try:
        tables: dict[str, object] = tomllib.loads(texts[0])
    except (tomllib.TOMLDecodeError, RecursionError):
        tables = {}
    return style_of(tables, texts[1])
