"""What a project declares to need, and where: pyproject.toml, setup.cfg, setup.py, requirements.

Files are read as data. Whether what is declared is imported is `dependencies`' job.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, cast

import msgspec

from visionflow.agents.evidence import Place
from visionflow.agents.study.facts import FileFacts
from visionflow.agents.tools.project import dig
from visionflow.agents.tools.text import read_plain

_BYTES_MAX = 1_000_000
_NAME = re.compile(r"\s*([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(?:\[[^\]]*\])?")
_REQUIREMENTS = re.compile(r"requirements.*\.(?:txt|in)$")
_DEV_WORDS = re.compile(r"dev|test|lint|doc|ci|check|type|format|build|bench")

Use = Literal["runtime", "extra", "development"]


class Declared(msgspec.Struct, frozen=True, order=True):
    """One requirement."""

    name: str
    """Normalised: lower case, with hyphens."""
    use: Use
    conditional: bool
    """It has a marker: not every installation needs it."""
    place: Place


class Declarations(msgspec.Struct, frozen=True):
    """All that was found."""

    items: tuple[Declared, ...]
    anywhere: bool
    """Some file is there that can declare requirements."""
    computed: tuple[str, ...]
    """Files that say their requirements are computed by a program."""


class Texts:
    """The small files at the top of a worktree, read once."""

    def __init__(self, worktree: str) -> None:
        self._worktree = worktree
        self._held: dict[str, list[str]] = {}

    def lines(self, name: str) -> list[str]:
        """The lines of a file; none where it is no plain file."""
        held = self._held.get(name)
        if held is None:
            content = read_plain(os.path.join(self._worktree, name), _BYTES_MAX) or b""
            held = self._held[name] = content.decode("utf-8", "replace").splitlines()
        return held

    def place_of(self, word: str, names: Iterable[str], *, beside: str = "") -> Place | None:
        """The first line with `word` as a whole word, and with `beside` where one has both."""
        whole = re.compile(rf"(?<![\w-]){re.escape(word)}(?![\w-])", re.IGNORECASE)
        weaker: Place | None = None
        for name in names:
            for number, line in enumerate(self.lines(name), 1):
                if whole.search(line.split("#")[0]):
                    if beside in line:
                        return Place(name, number)
                    weaker = weaker or Place(name, number)
        return weaker


def normal(name: str) -> str:
    """A distribution's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def declared_in(texts: Texts, names: Iterable[str], setup: FileFacts | None) -> Declarations:
    """What the files at the top of a project declare; `names` are the files there."""
    import tomllib

    there = sorted(name for name in names if "/" not in name)
    items: list[tuple[str, Use, Place]] = []
    computed: list[str] = []
    table: dict[str, object] = {}
    if "pyproject.toml" in there:
        try:
            table = tomllib.loads("\n".join(texts.lines("pyproject.toml")))
        except (tomllib.TOMLDecodeError, RecursionError):
            computed.append("pyproject.toml")
    for text, use in _of_pyproject(table):
        items.append((text, use, _place(texts, text, "pyproject.toml")))
    for text, use in _of_setup_cfg(texts):
        items.append((text, use, _place(texts, text, "setup.cfg")))
    of_setup = (setup.setup if setup is not None else None) or {}
    for key, use in _SETUP:
        listed = of_setup.get(key, ())
        if listed is None:
            computed.append("setup.py")
        else:
            for text, line in listed:
                items.append((text, use, Place("setup.py", line)))
    pointed = _pointed_at(table)
    alone = not any(use == "runtime" for _, use, _ in items)
    for name in sorted({*pointed, *(n for n in there if _REQUIREMENTS.match(n))}):
        lines = texts.lines(name)
        # What pip-compile writes holds what others need, too.
        direct = name == "requirements.txt" and alone and not any("# via" in x for x in lines)
        use = "runtime" if direct or name in pointed else "development"
        for at, line in _listed(lines):
            items.append((line, use, Place(name, at)))
    dynamic = dig(table, "project", "dynamic")
    if isinstance(dynamic, list) and "dependencies" in dynamic and not pointed:
        computed.append("pyproject.toml")
    found = {each for row in items if (each := _declared(*row)) is not None}
    anywhere = any(n in ("pyproject.toml", "setup.cfg", "setup.py") for n in there) or bool(items)
    return Declarations(tuple(sorted(found)), anywhere, tuple(sorted(set(computed))))


_SETUP: tuple[tuple[str, Use], ...] = (
    ("install_requires", "runtime"), ("extras_require", "extra"), ("tests_require", "development"),
)  # fmt: skip


def _declared(text: str, use: Use, place: Place) -> Declared | None:
    match = _NAME.match(text)
    if match is None or "://" in text.partition("@")[0]:
        return None
    return Declared(normal(match[1]), use, ";" in text, place)


def _of_pyproject(table: dict[str, object]) -> Iterator[tuple[str, Use]]:
    yield from _used("runtime", _texts(dig(table, "project", "dependencies")))
    for group, listed in _items(dig(table, "project", "optional-dependencies")):
        use: Use = "development" if _DEV_WORDS.search(group) else "extra"
        yield from _used(use, _texts(listed))
    for _, listed in _items(dig(table, "dependency-groups")):
        yield from _used("development", _texts(listed))
    poetry = dig(table, "tool", "poetry")
    for name, how in _items(dig(poetry, "dependencies")):
        if name.lower() != "python":
            optional = isinstance(how, dict) and "optional" in how
            yield name, "extra" if optional else "runtime"
    groups = [dig(each, "dependencies") for _, each in _items(dig(poetry, "group"))]
    for listed in (*groups, dig(poetry, "dev-dependencies")):
        yield from _used("development", dict(_items(listed)))


def _pointed_at(table: dict[str, object]) -> tuple[str, ...]:
    """Files from which setuptools takes the requirements."""
    stated = dig(table, "tool", "setuptools", "dynamic", "dependencies", "file")
    found = [stated] if isinstance(stated, str) else _texts(stated)
    return tuple(name for name in found if not name.startswith(("/", "..")))


def _of_setup_cfg(texts: Texts) -> Iterator[tuple[str, Use]]:
    import configparser

    parser = configparser.ConfigParser(interpolation=None, strict=False, allow_no_value=True)
    try:
        parser.read_string("\n".join(texts.lines("setup.cfg")))
    except configparser.Error:
        return
    for key, use in _SETUP:
        if key != "extras_require" and parser.has_option("options", key):
            lines = (parser.get("options", key) or "").splitlines()
            yield from _used(use, lines)
    section = "options.extras_require"
    if parser.has_section(section):
        for group, value in parser.items(section):
            kind: Use = "development" if _DEV_WORDS.search(group) else "extra"
            yield from _used(kind, (value or "").splitlines())


def _listed(lines: list[str]) -> Iterator[tuple[int, str]]:
    """(line, requirement) of a requirements file; options and addresses are passed over."""
    for number, line in enumerate(lines, 1):
        text = line.split(" #")[0].strip()
        if text and not text.startswith(("-", "#", ".", "/")) and "://" not in text.split("@")[0]:
            yield number, text


def _place(texts: Texts, requirement: str, name: str) -> Place:
    match = _NAME.match(requirement)
    found = texts.place_of(match[1], (name,), beside=requirement) if match else None
    return found or Place(name, 1)


def _used(use: Use, texts: Iterable[str]) -> Iterator[tuple[str, Use]]:
    for text in texts:
        if text.strip():
            yield text, use


def _texts(value: object) -> list[str]:
    items = cast("list[object]", value) if isinstance(value, list) else []
    return [item for item in items if isinstance(item, str)]


def _items(value: object) -> Iterable[tuple[str, object]]:
    table: Mapping[str, object] = (
        cast("dict[str, object]", value) if isinstance(value, dict) else {}
    )
    return table.items()
