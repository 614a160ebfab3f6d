"""What kind of Python project a folder holds. Reads files; executes nothing.

Finds the tests, the packages whose coverage means something, and what the project declares. All
of it is a reading of conventions: where they are not followed the answer is empty, not guessed.
Interpreters are `environment`'s job.
"""

import configparser
import os
import re
import tomllib
from collections.abc import Iterable
from fnmatch import fnmatch
from typing import Literal, cast

import msgspec

from visionflow.agents.tools.text import read_plain
from visionflow.agents.tools.tree import Tree, is_test_path, walk

_CONFIG_BYTES_MAX = 1_000_000
_PYTEST_FILES = ("test_*.py", "*_test.py")
_NO_PACKAGE = {
    "test", "tests", "testing", "doc", "docs", "example", "examples", "sample", "samples",
    "script", "scripts", "tool", "tools", "bench", "benchmark", "benchmarks", "build", "dist",
    "ci", "requirements", "src",
}  # fmt: skip
_NO_MODULE = {
    "__init__",
    "setup",
    "conftest",
    "noxfile",
    "tasks",
    "fabfile",
    "dodo",
    "versioneer",
    "runtests",
}
_REQUIREMENT_NAME = re.compile(r"^\s*([A-Za-z0-9][A-Za-z0-9._-]*)")
_LOWER_BOUND = re.compile(r"(?:>=|==|~=|>)\s*3\.(\d+)")

Style = Literal["pytest", "unittest", "none"]


class Project(msgspec.Struct, frozen=True):
    """A folder, read as a Python project. Paths are relative to it."""

    tree: Tree
    style: Style
    """How its tests are found; `none` when there are none."""
    test_files: tuple[str, ...]
    pytest_config: str | None
    """The file that configures its pytest."""
    import_roots: tuple[str, ...]
    """Folders to put on the import path, such as `src` and the empty string for the top."""
    packages: tuple[str, ...]
    """Folders whose coverage is measured."""
    modules: tuple[str, ...]
    """Single-file modules whose coverage is measured, by import name."""
    name: str | None = None
    version: str | None = None
    requires_python: str | None = None
    dependencies: tuple[str, ...] = ()
    """Names of the distributions it declares, tests' included, sorted."""
    entry_points: tuple[tuple[str, str, str], ...] = ()
    """(group, name, object) that an installation of it would announce."""
    notes: tuple[str, ...] = ()

    @property
    def python_minor_min(self) -> int | None:
        """The least minor version of Python 3 that it says it runs on."""
        found = _LOWER_BOUND.search(self.requires_python or "")
        return int(found[1]) if found else None


def look(root: str) -> Project:
    """Read the folder `root` as a project.

    Raises:
        OSError: `root` cannot be listed.
    """
    tree = walk(root)
    notes: list[str] = []
    pyproject = _pyproject(root, notes)
    setup_cfg = _ini(root, "setup.cfg", notes)
    facts = _metadata(root, pyproject, setup_cfg)
    config = _pytest_config(root, pyproject, notes)
    style, test_files = _tests(root, tree, config)
    roots = _import_roots(root, tree, pyproject, setup_cfg)
    packages, modules = _measured(tree, roots)
    requires = facts.requires_python
    return Project(
        tree, style, test_files, config, roots, packages, modules,
        facts.name, facts.version, requires, facts.dependencies,
        _entry_points(pyproject, setup_cfg), tuple(notes),
    )  # fmt: skip


class _Facts(msgspec.Struct, frozen=True):
    """What the project's metadata says."""

    name: str | None
    version: str | None
    requires_python: str | None
    dependencies: tuple[str, ...]


def dig(data: object, *keys: str) -> object:
    """The value under `keys` in nested tables, or `None` where one of them is no table."""
    for key in keys:
        if not isinstance(data, dict):
            return None
        data = cast("dict[str, object]", data).get(key)
    return data


def _texts(value: object) -> list[str]:
    """The strings of a list; a single string is a list of one."""
    if isinstance(value, str):
        return [value]
    items = cast("list[object]", value) if isinstance(value, list) else []
    return [item for item in items if isinstance(item, str)]


def _first(*values: object) -> str | None:
    """The first of `values` that is a non-empty string."""
    return next((value for value in values if isinstance(value, str) and value), None)


def _read(root: str, name: str) -> str:
    """A configuration file's text, or nothing. Links are not followed: they may lead outside."""
    content = read_plain(os.path.join(root, name), _CONFIG_BYTES_MAX)
    return (content or b"").decode("utf-8", "replace")


def _pyproject(root: str, notes: list[str]) -> dict[str, object]:
    try:
        return tomllib.loads(_read(root, "pyproject.toml"))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        notes.append(f"pyproject.toml could not be read: {error}")
        return {}


def _ini(root: str, name: str, notes: list[str]) -> dict[str, dict[str, str]]:
    parser = configparser.ConfigParser(interpolation=None, strict=False, allow_no_value=True)
    try:
        parser.read_string(_read(root, name))
    except configparser.Error as error:
        notes.append(f"{name} could not be read: {type(error).__name__}")
        return {}
    return {
        section: {key: value or "" for key, value in parser.items(section)}
        for section in parser.sections()
    }


def _metadata(
    root: str, pyproject: dict[str, object], setup_cfg: dict[str, dict[str, str]]
) -> _Facts:
    """Name, version and requirements: pyproject first, then setup.cfg, then PKG-INFO."""
    info = _package_info(_read(root, "PKG-INFO"))
    setup_py = _read(root, "setup.py")
    options = setup_cfg.get("options", {})
    stated = re.search(r"python_requires\s*=\s*['\"]([^'\"]+)", setup_py)
    requires = _first(
        dig(pyproject, "project", "requires-python"),
        dig(pyproject, "tool", "poetry", "dependencies", "python"),
        options.get("python_requires"),
        stated[1] if stated else None,
        *info.get("requires-python", ()),
    )
    told = setup_cfg.get("metadata", {})
    name = _first(
        dig(pyproject, "project", "name"), dig(pyproject, "tool", "poetry", "name"),
        told.get("name"), *info.get("name", ()),
    )  # fmt: skip
    version = _first(
        dig(pyproject, "project", "version"), dig(pyproject, "tool", "poetry", "version"),
        *info.get("version", ()), told.get("version"),
    )  # fmt: skip
    if version is not None and version.startswith(("attr:", "file:")):
        version = None
    wanted = [*_declared(pyproject), *info.get("requires-dist", ())]
    for key in ("install_requires", "tests_require"):
        wanted += options.get(key, "").splitlines()
    for value in setup_cfg.get("options.extras_require", {}).values():
        wanted += value.splitlines()
    for file in ("requirements.txt", "requirements-dev.txt", "requirements-test.txt"):
        wanted += _read(root, file).splitlines()
    return _Facts(name, version, requires, _names(wanted))


def _declared(pyproject: dict[str, object]) -> list[str]:
    wanted = _texts(dig(pyproject, "project", "dependencies"))
    for table in (
        dig(pyproject, "project", "optional-dependencies"),
        dig(pyproject, "dependency-groups"),
    ):
        if isinstance(table, dict):
            for listed in cast("dict[str, object]", table).values():
                wanted += _texts(listed)
    poetry = dig(pyproject, "tool", "poetry", "dependencies")
    if isinstance(poetry, dict):
        wanted += [name for name in cast("dict[str, object]", poetry) if name != "python"]
    return wanted


def _entry_points(
    pyproject: dict[str, object], setup_cfg: dict[str, dict[str, str]]
) -> tuple[tuple[str, str, str], ...]:
    """What the project announces: commands, and plugins of others such as pytest."""
    groups = {
        "console_scripts": dig(pyproject, "project", "scripts"),
        "gui_scripts": dig(pyproject, "project", "gui-scripts"),
    }
    more = dig(pyproject, "project", "entry-points")
    if isinstance(more, dict):
        groups |= cast("dict[str, object]", more)
    found: set[tuple[str, str, str]] = set()
    for group, table in groups.items():
        if isinstance(table, dict):
            items = cast("dict[str, object]", table).items()
            found |= {(group, name, value) for name, value in items if isinstance(value, str)}
    for group, lines in setup_cfg.get("options.entry_points", {}).items():
        pairs = (line.partition("=") for line in lines.splitlines() if "=" in line)
        found |= {(group, name.strip(), value.strip()) for name, _, value in pairs}
    return tuple(sorted(found))


def _names(requirements: Iterable[str]) -> tuple[str, ...]:
    found = (_REQUIREMENT_NAME.match(line.split("#")[0]) for line in requirements)
    names = (match[1].lower().replace("_", "-").replace(".", "-") for match in found if match)
    return tuple(sorted(set(names)))


def _package_info(text: str) -> dict[str, list[str]]:
    """The headers of a PKG-INFO file, which every source distribution carries."""
    headers: dict[str, list[str]] = {}
    for line in text.split("\n\n")[0].splitlines():
        key, colon, value = line.partition(":")
        if colon and not key.startswith((" ", "\t")):
            headers.setdefault(key.strip().lower(), []).append(value.strip())
    return headers


def _pytest_config(root: str, pyproject: dict[str, object], notes: list[str]) -> str | None:
    """The file pytest would take its settings from, in pytest's order."""
    for name in ("pytest.toml", ".pytest.toml", "pytest.ini", ".pytest.ini"):
        if os.path.isfile(os.path.join(root, name)):
            return name
    if isinstance(dig(pyproject, "tool", "pytest"), dict):
        return "pyproject.toml"
    for name, section in (("tox.ini", "pytest"), ("setup.cfg", "tool:pytest")):
        if section in _ini(root, name, notes if name != "setup.cfg" else []):
            return name
    return None


def _tests(root: str, tree: Tree, config: str | None) -> tuple[Style, tuple[str, ...]]:
    """How the tests are found: pytest's names, else unittest's with unittest inside."""
    names = {path: path.rpartition("/")[2] for path in tree.python if path.endswith(".py")}
    files = [p for p, name in names.items() if any(fnmatch(name, f) for f in _PYTEST_FILES)]
    if files:
        return "pytest", tuple(files)
    files = [p for p, name in names.items() if name.startswith("test") and _is_unittest(root, p)]
    if files:
        return "unittest", tuple(files)
    # A configured pytest may collect files by other names, or documents; it knows, we do not.
    return ("pytest", ()) if config is not None else ("none", ())


def _is_unittest(root: str, path: str) -> bool:
    content = read_plain(os.path.join(root, path), _CONFIG_BYTES_MAX) or b""
    return b"unittest" in content and b"TestCase" in content


def _import_roots(
    root: str, tree: Tree, pyproject: dict[str, object], setup_cfg: dict[str, dict[str, str]]
) -> tuple[str, ...]:
    """Folders that hold the top-level packages, in the order they are searched."""
    stated = re.search(r"package_dir\s*=\s*\{\s*['\"]['\"]\s*:\s*['\"]([^'\"]+)",
                       _read(root, "setup.py"))  # fmt: skip
    candidates = [
        *_texts(dig(pyproject, "tool", "setuptools", "packages", "find", "where")),
        *_texts(dig(pyproject, "tool", "setuptools", "package-dir", "")),
        setup_cfg.get("options", {}).get("package_dir", "").partition("=")[2].strip(),
        setup_cfg.get("options.packages.find", {}).get("where", "").strip(),
        stated[1] if stated else "",
        "src",
    ]
    roots: list[str] = []
    for candidate in candidates:
        folder = os.path.normpath(candidate).replace(os.sep, "/") if candidate else "."
        inside = folder != "." and not folder.startswith(("/", ".."))
        # A `src` that is itself a package is imported by that name, from the top.
        inside = inside and f"{folder}/__init__.py" not in tree.python
        if inside and folder not in roots and any(p.startswith(folder + "/") for p in tree.python):
            roots.append(folder)
    return (*roots, "")


def _measured(tree: Tree, roots: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Packages (folders) and modules (names) that are the project's own code."""
    packages: set[str] = set()
    modules: set[str] = set()
    for root in roots:
        prefix = f"{root}/" if root else ""
        for path in tree.python:
            if not path.startswith(prefix) or not path.endswith(".py"):
                continue
            first, slash, rest = path[len(prefix) :].partition("/")
            if slash and rest == "__init__.py" and (root or first not in _NO_PACKAGE):
                packages.add(prefix + first)
            elif not slash and not is_test_path(path) and first[:-3].isidentifier():
                modules.add(first[:-3])
        if packages or (modules and root):
            break
    return tuple(sorted(packages)), tuple(sorted(modules - _NO_MODULE))
