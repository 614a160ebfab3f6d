"""Which files of a change decide how a predicate goes, beside the work that it is to judge. Pure.

Those are the tests, what steers a test runner, and what a predicate executes. A candidate that
writes them writes its own judge: `touched_by` says which they are and what has to become of each
so that the predicate judges by what was there before.
"""

from collections.abc import Iterable
from fnmatch import fnmatch
from typing import Literal

import msgspec

from visionflow.agents.candidates.commandline import scripts_in

Kind = Literal["test", "steers"]
Change = Literal["added", "changed", "deleted"]

_TEST_FOLDERS = frozenset(("test", "tests", "spec", "specs", "__tests__"))
_TEST_NAMES = (
    "test_*.py", "*_test.py", "tests.py", "*.test.*", "*.spec.*", "*_test.go", "*_spec.rb",
    "*_test.rb", "*Test.java", "*Tests.java", "*Test.kt", "*Tests.cs",
)  # fmt: skip
_STEERING_NAMES = (
    "conftest.py", "pytest.ini", ".pytest.ini", "pytest.toml", ".pytest.toml", "pyproject.toml",
    "setup.cfg", "tox.ini", ".coveragerc", "sitecustomize.py", "usercustomize.py", "*.pth",
    "noxfile.py", "Makefile", "makefile", "GNUmakefile", "*.mk", "justfile", "package.json",
    "jest.config.*", "jest.setup.*", "vitest.config.*", "vitest.workspace.*", "vite.config.*",
    ".mocharc*", "karma.conf.*", "babel.config.*", ".babelrc*", ".npmrc",
)  # fmt: skip
_METADATA = (".egg-info", ".dist-info")
"""Ends of folders that announce plugins to a runner."""
_RUNNERS = frozenset(
    ("pytest", "_pytest", "py", "pluggy", "iniconfig", "packaging", "pygments", "exceptiongroup",
     "tomli", "unittest", "doctest", "coverage", "pytest_cov", "xdist", "site", "runpy")
)  # fmt: skip
"""Modules of which a runner is made: one of the same name at the top of a project comes first."""
_TOPS = ("src", "lib")


class Touched(msgspec.Struct, frozen=True):
    """The files of a change that decide how one predicate goes. Paths as they were given."""

    changed: tuple[str, ...] = ()
    """Base has them otherwise."""
    deleted: tuple[str, ...] = ()
    steering: tuple[str, ...] = ()
    """Added, and they steer a runner."""
    tests: tuple[str, ...] = ()
    """Added tests that the predicate does not name."""

    @property
    def judges(self) -> tuple[str, ...]:
        """All but added tests, sorted."""
        return tuple(sorted((*self.changed, *self.deleted, *self.steering)))

    @property
    def every(self) -> tuple[str, ...]:
        """All of them, sorted."""
        return tuple(sorted((*self.judges, *self.tests)))


def kind_of(path: str) -> Kind | None:
    """Whether a file is a test or steers tests, by the names that runners know; else `None`."""
    *folders, name = path.split("/")
    if any(fnmatch(name, pattern) for pattern in _STEERING_NAMES) or _shadows(folders, name):
        return "steers"
    if any(folder.endswith(_METADATA) for folder in folders):
        return "steers"
    if any(folder.lower() in _TEST_FOLDERS for folder in folders):
        return "test"
    return "test" if any(fnmatch(name, pattern) for pattern in _TEST_NAMES) else None


def touched_by(changes: Iterable[tuple[str, Change]], command: str) -> Touched:
    """What a change has of them for one predicate. `changes`: (path, what was done to it)."""
    scripts = scripts_in(command)
    found: dict[str, list[str]] = {"changed": [], "deleted": [], "steering": [], "tests": []}
    for path, change in sorted(changes):
        kind, runs = kind_of(path), path in scripts
        if change != "added" and (kind is not None or runs):
            found[change].append(path)
        elif change == "added" and not runs and kind is not None:
            found["steering" if kind == "steers" else "tests"].append(path)
    return Touched(**{name: tuple(paths) for name, paths in found.items()})


def _shadows(folders: list[str], name: str) -> bool:
    """Whether it would be imported in place of a module of a runner."""
    if not name.endswith(".py"):
        return False
    below = folders[1:] if folders and folders[0] in _TOPS else folders
    return (below[0] if below else name[: -len(".py")]) in _RUNNERS
