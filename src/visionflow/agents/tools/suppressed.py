"""What the project's own configuration would hide of a review's findings, and where it says so.

The tools never see these settings. Here they are read as data, and a finding that they cover is
listed as suppressed instead of counted: whoever changes them moves it in plain sight. Only what
hides a rule or a file by name counts; a rule that a project does not select is not hidden by it.

Read are ruff's settings (those nearest to the file), flake8's, bandit's (`.bandit` and pyproject),
vulture's and complexipy's (pyproject). A file that does not parse is never hidden.
"""

import configparser
import os
import re
import tomllib
from collections.abc import Callable, Iterator
from fnmatch import fnmatch, fnmatchcase
from functools import cache
from typing import cast

import msgspec

from visionflow.agents.findings import Finding, Suppressed, ToolRun
from visionflow.agents.tools.project import dig
from visionflow.agents.tools.scan import order_of_suppressed
from visionflow.agents.tools.text import one_line, read_plain

_BYTES_MAX = 1_000_000
_RUFF_FILES = (".ruff.toml", "ruff.toml", "pyproject.toml")
_FLAKE8_FILES = (".flake8", "setup.cfg", "tox.ini")
_NEVER = "invalid-syntax"


class _Cover(msgspec.Struct, frozen=True):
    """One entry of a setting: rules it covers, in which files."""

    where: str
    rules: str = ""
    """A prefix of rules; empty: all."""
    files: str = ""
    """A pattern of files, from the folder of the setting; empty: all."""
    names: str = ""
    """A pattern of names that a message quotes; empty: all."""
    other_files: bool = False
    """The files are those that do not fit."""

    def holds(self, finding: Finding, path: str) -> bool:
        """Whether it covers the finding; `path` is from the folder of the setting."""
        if self.rules and not finding.rule.startswith(self.rules):
            return False
        if self.files and _fits(path, self.files) == self.other_files:
            return False
        quoted = re.search(r"'(.*)'", finding.message) if self.names else None
        return not self.names or bool(quoted and fnmatchcase(quoted[1], self.names))


class ProjectSettings:
    """The settings of the project in `worktree`, each read when it is first needed."""

    def __init__(self, worktree: str) -> None:
        self._worktree = worktree
        self._toml = cache(self._read_toml)
        self._ini = cache(self._read_ini)
        self._ruff = cache(self._ruff_of)
        self._whole = cache(self._whole_of)

    def hides(self, finding: Finding) -> str | None:
        """The file and the key that hide the finding; `None` when nothing does."""
        if finding.rule == _NEVER:
            return None
        for folder, covers in self._covers(finding):
            path = finding.path[len(folder) + 1 :] if folder else finding.path
            for cover in covers:
                if cover.holds(finding, path):
                    return cover.where
        return None

    def _covers(self, finding: Finding) -> Iterator[tuple[str, tuple[_Cover, ...]]]:
        """(folder of the settings, what they cover)."""
        if finding.tool == "ruff":
            folder = finding.path.rpartition("/")[0]
            yield self._ruff(folder)
        yield "", self._whole(finding.tool)

    def _ruff_of(self, folder: str) -> tuple[str, tuple[_Cover, ...]]:
        """Ruff's settings nearest to `folder`, which alone hold for it."""
        for name in _RUFF_FILES:
            path = f"{folder}/{name}" if folder else name
            found: object = self._toml(path)
            if name == "pyproject.toml":
                found = dig(found, "tool", "ruff")
            if isinstance(found, dict) and found:
                return folder, tuple(_ruff(path, cast("dict[str, object]", found)))
        return self._ruff(folder.rpartition("/")[0]) if folder else ("", ())

    def _whole_of(self, tool: str) -> tuple[_Cover, ...]:
        pyproject = self._toml("pyproject.toml")
        table = dig(pyproject, "tool", tool)
        made: dict[str, Callable[[], Iterator[_Cover]]] = {
            "ruff": lambda: _flake8(self._ini),
            "bandit": lambda: _bandit(self._ini(".bandit").get("bandit", {}), table),
            "vulture": lambda: _vulture(table),
            "complexipy": lambda: _files("pyproject.toml: tool.complexipy", table, "exclude"),
        }
        return tuple(made[tool]()) if tool in made else ()

    def _read_toml(self, path: str) -> dict[str, object]:
        try:
            return tomllib.loads(self._text(path))
        except (tomllib.TOMLDecodeError, RecursionError):
            return {}

    def _read_ini(self, path: str) -> dict[str, dict[str, str]]:
        parser = configparser.ConfigParser(interpolation=None, strict=False, allow_no_value=True)
        try:
            parser.read_string(self._text(path))
        except configparser.Error:
            return {}
        return {name: {k: v or "" for k, v in parser.items(name)} for name in parser.sections()}

    def _text(self, path: str) -> str:
        content = read_plain(os.path.join(self._worktree, path), _BYTES_MAX)
        return (content or b"").decode("utf-8", "replace")


def without_hidden(run: ToolRun, settings: ProjectSettings) -> ToolRun:
    """The run with what the configuration hides moved from its findings to its suppressed."""
    kept: list[Finding] = []
    hidden = list(run.suppressed)
    for finding in run.findings:
        where = settings.hides(finding)
        if where is None:
            kept.append(finding)
        else:
            hidden.append(Suppressed(finding, "configuration", where))
    if len(kept) == len(run.findings):
        return run
    ordered = tuple(sorted(hidden, key=order_of_suppressed))
    return msgspec.structs.replace(run, findings=tuple(kept), suppressed=ordered)


def _ruff(path: str, table: dict[str, object]) -> Iterator[_Cover]:
    for prefix, part in (("", table), ("lint.", dig(table, "lint"))):
        for key in ("exclude", "extend-exclude"):
            yield from _files(f"{path}: {prefix.rstrip('.')}", part, key)
        for key in ("ignore", "extend-ignore"):
            for code in _texts(dig(part, key)):
                yield _cover(f"{path}: {prefix}{key}", code, rules=_selector(code))
        for key in ("per-file-ignores", "extend-per-file-ignores"):
            listed = dig(part, key)
            pairs = cast("dict[str, object]", listed).items() if isinstance(listed, dict) else ()
            for pattern, codes in pairs:
                for code in _texts(codes):
                    other = pattern.startswith("!")
                    yield _cover(
                        f"{path}: {prefix}{key}", f"{pattern} {code}", rules=_selector(code),
                        files=pattern.lstrip("!"), other_files=other,
                    )  # fmt: skip


def _flake8(ini: Callable[[str], dict[str, dict[str, str]]]) -> Iterator[_Cover]:
    for path in _FLAKE8_FILES:
        table = ini(path).get("flake8")
        if table is None:
            continue
        for key in ("ignore", "extend-ignore"):
            for code in _words(table.get(key, "")):
                yield _cover(f"{path}: flake8 {key}", code, rules=code)
        for key in ("exclude", "extend-exclude"):
            for pattern in _words(table.get(key, "")):
                yield _cover(f"{path}: flake8 {key}", pattern, files=pattern)
        text = re.sub(r"#.*", "", table.get("per-file-ignores", ""))
        for patterns, codes in re.findall(r"([^:\n]+):((?:[\s,]*[A-Z]+[0-9]*\b(?!\s*:))+)", text):
            for pattern in _words(patterns):
                for code in _words(codes):
                    where = f"{path}: flake8 per-file-ignores"
                    yield _cover(where, f"{pattern} {code}", rules=code, files=pattern)


def _bandit(ini: dict[str, str], table: object) -> Iterator[_Cover]:
    for code in _words(ini.get("skips", "")):
        yield _cover(".bandit: skips", code, rules=code)
    for pattern in _words(ini.get("exclude", "")):
        yield _cover(".bandit: exclude", pattern, files=pattern)
    for code in _texts(dig(table, "skips")):
        yield _cover("pyproject.toml: tool.bandit.skips", code, rules=code)
    yield from _files("pyproject.toml: tool.bandit", table, "exclude_dirs")


def _vulture(table: object) -> Iterator[_Cover]:
    for pattern in _texts(dig(table, "ignore_names")):
        yield _cover("pyproject.toml: tool.vulture.ignore_names", pattern, names=pattern)
    for pattern in _texts(dig(table, "exclude")):
        # Vulture takes a pattern without a wildcard as a part of the path.
        wild = pattern if any(c in pattern for c in "*?[") else f"*{pattern}*"
        yield _cover("pyproject.toml: tool.vulture.exclude", pattern, files=wild)


def _files(where: str, table: object, key: str) -> Iterator[_Cover]:
    dot = "" if where.endswith(": ") else "."
    for pattern in _texts(dig(table, key)):
        yield _cover(f"{where}{dot}{key}", pattern, files=pattern)


def _cover(
    where: str, entry: str, rules: str = "", files: str = "", names: str = "",
    other_files: bool = False,
) -> _Cover:  # fmt: skip
    return _Cover(one_line(f'{where} "{entry}"', 160), rules, files, names, other_files)


def _selector(code: str) -> str:
    """Ruff's word for a set of rules, as the beginning of their names."""
    return "" if code == "ALL" else code


def _texts(value: object) -> list[str]:
    """The texts of a list; a single text is a list of one. Empty ones cover nothing."""
    items = cast("list[object]", value) if isinstance(value, list) else [value]
    return [item for item in items if isinstance(item, str) and item]


def _words(text: str) -> list[str]:
    """Words between commas, spaces and lines, without comments."""
    plain = re.sub(r"#.*", "", text)
    return [word for word in re.split(r"[,\s]+", plain) if word]


def _fits(path: str, pattern: str) -> bool:
    """Whether the file or a folder above it fits the pattern, by its name or its whole path."""
    plain = pattern.removeprefix("./").rstrip("/").lstrip("/")
    short = plain.removeprefix("**/").removesuffix("/**").removesuffix("/*") or "*"
    steps = path.split("/")
    for count in range(len(steps), 0, -1):
        above = "/".join(steps[:count])
        if any(
            fnmatch(name, each) for each in (plain, short) for name in (above, steps[count - 1])
        ):
            return True
    return False
