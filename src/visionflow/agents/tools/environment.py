"""Which interpreter runs the project's tests, and what must be lent to it. Executes nothing.

The project's own environment goes first: its dependencies are there. Where it lacks pytest or
coverage and has our minor version, ours are lent through a folder of links that comes last on the
import path, so that nothing of the project's is replaced. Else our own interpreter is used.
"""

import os
import re
import sys
from pathlib import Path
from typing import Literal

import msgspec

from visionflow.agents.tools.text import read_plain

_FOLDERS = (".venv", "venv", "env")
_LENT = ("pytest", "_pytest", "py.py", "pluggy", "iniconfig", "packaging", "pygments", "coverage")
_VERSION = re.compile(r"^\s*version(?:_info)?\s*=\s*3\.(\d+)", re.MULTILINE)

Kind = Literal["workspace", "activated", "own"]


class Environment(msgspec.Struct, frozen=True):
    """An interpreter to run tests with, and all that a sandbox must let it read."""

    kind: Kind
    """In the workspace, the one the user activated, or VisionFlow's own."""
    python: str
    minor: int
    """Of Python 3."""
    read: tuple[str, ...]
    lend: tuple[str, ...] = ()
    """Files and folders of ours to link into its import path."""
    coverage: bool = True
    plugins: tuple[str, ...] = ()
    """Import names found there of the pytest plugins that matter to how tests are run."""
    installed: tuple[str, ...] = ()
    """Normalised names of the distributions it holds."""
    notes: tuple[str, ...] = ()

    @property
    def description(self) -> str:
        """One sentence for the report."""
        whose = {
            "workspace": "the project's own environment",
            "activated": "the environment in VIRTUAL_ENV",
            "own": "VisionFlow's own environment (the project has none)",
        }[self.kind]
        names = sorted({Path(path).name for path in self.lend} & {"pytest", "coverage"})
        lent = f", with {' and '.join(names)} lent by VisionFlow" if names else ""
        return f"Python 3.{self.minor}, {whose}{lent}"


def choose(workspace: str, virtual_env: str | None = None) -> Environment:
    """The environment to test `workspace` (the user's folder, not a copy) in.

    `virtual_env` is the user's VIRTUAL_ENV, if any.
    """
    notes: list[str] = []
    candidates: list[tuple[Kind, str]] = [
        ("workspace", os.path.join(workspace, name)) for name in _FOLDERS
    ]
    if virtual_env and os.path.realpath(virtual_env) != os.path.realpath(sys.prefix):
        candidates.append(("activated", virtual_env))
    for kind, folder in candidates:
        if os.path.isfile(os.path.join(folder, "pyvenv.cfg")):
            found = _usable(kind, folder, notes)
            if found is not None:
                return found
    return _own(tuple(notes))


def _own(notes: tuple[str, ...]) -> Environment:
    site = _own_site()
    read = _unique([sys.prefix, sys.base_prefix, str(site)])
    plugins, installed = _plugins(site), _installed(site)
    minor = sys.version_info.minor
    return Environment(
        "own", sys.executable, minor, read, (), True, plugins, installed, notes
    )  # fmt: skip


def _own_site() -> Path:
    """The folder our pytest was installed to."""
    from importlib.util import find_spec

    spec = find_spec("pytest")
    return Path((spec and spec.origin) or sys.prefix).parent.parent


def _usable(kind: Kind, folder: str, notes: list[str]) -> Environment | None:
    """The environment in `folder`, or `None` and a note on why it cannot be used."""
    label = os.path.basename(folder) if kind == "workspace" else "VIRTUAL_ENV"
    config = (read_plain(os.path.join(folder, "pyvenv.cfg"), 65_536) or b"").decode(
        "utf-8", "replace"
    )
    version = _VERSION.search(config)
    python = os.path.join(folder, "bin", "python")
    home = re.search(r"^\s*home\s*=\s*(\S.*?)\s*$", config, re.MULTILINE)
    # With copied instead of linked interpreters only the file says where the rest is.
    base = _base_prefix(python) or (_base_prefix(f"{home[1]}/python3") if home else None)
    if version is None or base is None:
        notes.append(f"{label} is not used: no working Python interpreter in it")
        return None
    minor = int(version[1])
    site = Path(folder, "lib", f"python3.{minor}", "site-packages")
    sites = [site]
    if re.search(r"include-system-site-packages\s*=\s*true", config, re.IGNORECASE):
        sites.append(Path(base, "lib", f"python3.{minor}", "site-packages"))
    missing = [
        name for name in ("pytest", "coverage") if not any((s / name).is_dir() for s in sites)
    ]
    lend: tuple[str, ...] = ()
    if missing and minor == sys.version_info.minor:
        lend = _to_lend(missing, sites)
        missing = []
    if "pytest" in missing:
        notes.append(
            f"{label} is not used: it has Python 3.{minor} without pytest, and VisionFlow's is "
            f"for Python 3.{sys.version_info.minor}; install pytest there to use it"
        )
        return None
    read = _unique([os.path.realpath(folder), folder, base, *lend])
    plugins = tuple(p for s in sites for p in _plugins(s))
    installed = tuple(sorted({name for s in sites for name in _installed(s)}))
    return Environment(
        kind, python, minor, read, lend, "coverage" not in missing, plugins, installed,
        tuple(notes),
    )  # fmt: skip


def _base_prefix(python: str) -> str | None:
    """The installation that `python` links to; `None` when it is none.

    A stranger's repository may carry a `.venv` whose links lead to a home folder, and what this
    returns becomes readable to foreign code: it must be an installation of Python.
    """
    real = Path(os.path.realpath(python))
    if not real.name.startswith(("python", "pypy")) or not os.access(real, os.X_OK):
        return None
    prefix = real.parent.parent
    home = Path.home()
    if prefix == home or (prefix in home.parents and prefix != Path("/usr")):
        return None
    standard = (*prefix.glob("lib/python3.*/os.py"), *prefix.glob("lib/pypy3*/os.py"))
    return str(prefix) if real.is_file() and standard else None


def _to_lend(missing: list[str], sites: list[Path]) -> tuple[str, ...]:
    """Our copies of what is missing and of what that needs, where the environment has none."""
    wanted = set(_LENT) if "pytest" in missing else {"coverage"}
    if "coverage" not in missing:
        wanted.discard("coverage")
    site = _own_site()
    absent = [name for name in sorted(wanted) if not any((s / name).exists() for s in sites)]
    lent = [site / name for name in absent if (site / name).exists()]
    # Their metadata too: some of them ask for their own version when imported.
    for name in absent:
        lent += sorted(site.glob(f"{name}-*.dist-info"))
    return tuple(str(path) for path in lent)


def _plugins(site: Path) -> tuple[str, ...]:
    """Plugins that change how tests are run: coverage, order, distribution."""
    known = ("pytest_cov", "pytest_randomly", "xdist")
    return tuple(name for name in known if (site / name).exists())


def _installed(site: Path) -> tuple[str, ...]:
    try:
        names = sorted(entry.name for entry in os.scandir(site))
    except OSError:
        return ()
    found = (name.split("-")[0] for name in names if name.endswith((".dist-info", ".egg-info")))
    return tuple(sorted({re.sub(r"[-_.]+", "-", name).lower() for name in found}))


def _unique(paths: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(os.path.abspath(path) for path in paths))
