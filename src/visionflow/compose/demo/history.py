"""The sample's git history: fixed people and dates, so that its commits have the same ids.

Written through fast-import into the sample's own new repository, with hooks off and no
configuration of this machine (`agents.workspace.git`).
"""

import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from visionflow.agents.workspace.git import arguments, environment, failed, quoted
from visionflow.domain.errors import WorkspaceError

BRANCH = "main"
SHEETS = tuple(f"2025-{month:02}" for month in range(3, 12))
"""Each is a commit that changes the file of fares: it is changed more often than any other."""
SHEET = "{{sheet}}"
"""Stands in the file of fares for the month of its rates."""
GIT_S_MAX = 60
_FARES = "src/ferryline/pricing.py"
_DAY_S = 86_400
_BEGUN_S = 1_740_988_800
"""3 March 2025."""


class Step(NamedTuple):
    """One commit."""

    author: str
    subject: str
    begins: tuple[str, ...] = ()
    """Files and folders that come in with it."""
    sheet: str | None = None


_FIRST = (
    "pyproject.toml", "README.md", "docs/fares.md", "src/ferryline/__init__.py",
    "src/ferryline/models.py", "src/ferryline/seasons.py", _FARES, "tests/conftest.py",
    "tests/test_pricing.py", "tests/test_seasons.py",
)  # fmt: skip
_PEOPLE = ("Ada Pell", "Bram Oduya", "Cleo Varga")


def steps() -> tuple[Step, ...]:
    """The commits, the oldest first; the last takes in whatever is left."""
    taken: list[Step] = [
        Step("Ada Pell", "Passengers, sailings and fares", _FIRST, SHEETS[0]),
        Step("Bram Oduya", "Bookings and letters",
             ("src/ferryline/bookings.py", "src/ferryline/notices.py", "tests/test_bookings.py")),
        Step("Bram Oduya", "Timetables are YAML files",
             ("src/ferryline/settings.py", "deploy", "docs/operations.md")),
        Step("Cleo Varga", "Keep bookings in SQLite",
             ("src/ferryline/storage.py", "tests/test_storage.py")),
        Step("Cleo Varga", "Agencies send their bookings",
             ("src/ferryline/importer.py", "src/ferryline/legacy.py", "tests/test_importer.py")),
    ]  # fmt: skip
    for number, sheet in enumerate(SHEETS[1:]):
        author = _PEOPLE[number % len(_PEOPLE)]
        taken.append(Step(author, f"Rate sheet of {sheet}", sheet=sheet))
    return (*taken, Step("Ada Pell", "Command line and reports", ("",)))


def write_history(folder: Path, files: Mapping[str, bytes]) -> str:
    """Commit `files` step by step; the id of the last commit. The index is left clean.

    Raises:
        WorkspaceError: git is not there, or failed.
    """
    repository = folder / ".git"
    _git(repository, folder, "init", "--quiet", "--template=", f"--initial-branch={BRANCH}")
    _git(repository, folder, "fast-import", "--quiet", given=b"".join(_stream(files)))
    _git(repository, folder, "read-tree", BRANCH)
    return _git(repository, folder, "rev-parse", BRANCH).decode("ascii").strip()


def _stream(files: Mapping[str, bytes]) -> Iterator[bytes]:
    """What fast-import reads."""
    waiting = dict(sorted(files.items()))
    sheet = SHEETS[0]
    for number, step in enumerate(steps()):
        entering = [n for n in waiting if any(_under(n, begin) for begin in step.begins)]
        changed = {name: waiting.pop(name) for name in entering}
        if step.sheet is not None:
            sheet = step.sheet
            changed[_FARES] = files[_FARES]
        yield _commit(number, step)
        for name, content in sorted(changed.items()):
            content = content.replace(SHEET.encode(), sheet.encode())
            yield b"M 100644 inline %s\ndata %d\n%s\n" % (
                quoted(name.encode()), len(content), content,
            )  # fmt: skip


def _under(name: str, begin: str) -> bool:
    return begin == "" or name == begin or name.startswith(begin + "/")


def _commit(number: int, step: Step) -> bytes:
    address = step.author.split()[0].lower() + "@ferryline.example"
    when = _BEGUN_S + number * 21 * _DAY_S
    person = f"{step.author} <{address}> {when} +0000"
    subject = step.subject.encode()
    head = f"commit refs/heads/{BRANCH}\nauthor {person}\ncommitter {person}\n"
    return head.encode() + b"data %d\n%s\n" % (len(subject), subject)


def _git(repository: Path, folder: Path, *words: str, given: bytes = b"") -> bytes:
    try:
        done = subprocess.run(
            arguments(*words), env=environment(repository), cwd=folder, input=given,
            capture_output=True, timeout=GIT_S_MAX, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise WorkspaceError(
            f"git {words[0]} could not be carried out: {error}.", hint="Install git."
        ) from error
    if done.returncode != 0:
        raise failed(words[0], done.returncode, done.stderr)
    return done.stdout
