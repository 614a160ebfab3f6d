"""Predicates of a task: command lines that end with 0 where the work is done. Run by us.

Each runs confined and without a network in a fresh copy of its own, so that none sees what another
left. What the tester offers to a project's tests is offered here: the project's interpreter first
in PATH, pytest lent where it lacks one, the project's folders on the import path. No shell takes
part unless the words name one.

Pytest is asked for its results beside, in a file for each call. Whatever a change holds runs in the
same process as the tests do and can write there too; but pytest writes its file over at the very
end, so that text which a test prints, or a process that ends itself before, leaves no results of
its own making. `proofs` says what follows from them.
"""

import asyncio
import os
import shlex
from pathlib import Path

import msgspec

from visionflow.agents.candidates.counting import counted_in
from visionflow.agents.candidates.values import Accepted
from visionflow.agents.tools.environment import Environment, choose
from visionflow.agents.tools.lending import lay_out as lend
from visionflow.agents.tools.project import Project, look
from visionflow.agents.tools.text import read_plain
from visionflow.agents.workspace.copies import lay_out
from visionflow.agents.workspace.files import remove_tree
from visionflow.domain.errors import CommandNotStarted, ConfinementUnavailable
from visionflow.ports.sandbox import Command, Completed, Sandbox

WALL_MS = 600_000
MEMORY_BYTES_MAX = 4 * 1024 * 1024 * 1024
TAIL_CHARS_MAX = 2_000
_NO_TESTS = 5
"""Pytest's exit code where it found nothing to run."""
_NO_RESULTS = "no:junitxml"
"""Who says that has a pytest that cannot be asked for results."""
_RESULTS = "VISIONFLOW_RESULTS"
"""The variable that names the folder of results; pytest puts it into the path that it is given."""
_CONFIG_BYTES_MAX = 1_000_000
_CANNOT_RUN = (126, 127)
"""What a shell says of a program that it cannot start."""


class Trial(msgspec.Struct, frozen=True):
    """Where and within what bounds predicates run. Paths are absolute."""

    workspace: str
    """The user's own folder, only looked at for its environment."""
    scratch: str
    """A folder of ours; whatever is in it goes."""
    virtual_env: str | None = None
    """The user's VIRTUAL_ENV."""
    trusted: bool = False
    """The user said to run it also where nothing confines it."""
    wall_ms: int = WALL_MS
    """Of each predicate."""
    locks: tuple[int, ...] = ()
    """Held on `scratch`, until nothing of a predicate is left there, whatever becomes of us."""


async def accepted_at(
    sandbox: Sandbox, repository: Path, commit: str, commands: tuple[str, ...], trial: Trial
) -> tuple[Accepted, ...]:
    """How each of the predicates goes on a commit of the private repository.

    Raises:
        WorkspaceError: the commit cannot be laid out.
    """
    environment = await asyncio.to_thread(choose, trial.workspace, trial.virtual_env)
    return tuple(
        [
            await _tried(sandbox, repository, commit, command, trial, environment)
            for command in commands
        ]
    )


async def _tried(
    sandbox: Sandbox,
    repository: Path,
    commit: str,
    command: str,
    trial: Trial,
    environment: Environment,
) -> Accepted:
    try:
        words = tuple(shlex.split(command))
    except ValueError as error:
        return Accepted(command, None, reason=f"it is no command line: {error}")
    if not words:
        return Accepted(command, None, reason="it names no program")
    scratch = Path(os.path.realpath(trial.scratch))
    folder = await lay_out(repository, commit, scratch / "copy")
    made = await asyncio.to_thread(_command, words, scratch, folder, trial, environment)
    try:
        done = await sandbox.run(made)
        counted = await asyncio.to_thread(counted_in, _results(scratch))
    except (CommandNotStarted, ConfinementUnavailable) as error:
        return Accepted(command, None, reason=error.message)
    finally:
        await asyncio.to_thread(remove_tree, scratch)
    return Accepted(
        command,
        done.exit_code == 0,
        done.exit_code,
        _reason(words, done, trial),
        _tail(done, str(folder)),
        done.wall_ms,
        counted=counted,
    )


def _results(scratch: Path) -> Path:
    """Where pytest writes its results."""
    return scratch / "theirs" / "results"


def _command(
    words: tuple[str, ...], scratch: Path, folder: Path, trial: Trial, environment: Environment
) -> Command:
    project = look(str(folder))
    ours, theirs = scratch / "ours", scratch / "theirs"
    for each in (ours, theirs):
        remove_tree(each)
    for each in (ours / "bin", theirs / "home", theirs / "tmp", _results(scratch)):
        each.mkdir(parents=True)
    lend(ours / "lent", environment, project)
    # A search for settings that goes up from the copy ends here, and not in the user's folders.
    (scratch / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    asked = not any(_NO_RESULTS in each for each in (*words, _configuration(folder, project)))
    _programs(ours / "bin", environment.python, asked)
    variables = _variables(folder, ours, theirs, project, environment)
    if asked:
        # Of calls that do not go through our programs.
        given = variables.get("PYTEST_ADDOPTS", "")
        variables["PYTEST_ADDOPTS"] = f"{given} --junitxml=${_RESULTS}/results.xml".lstrip()
        variables[_RESULTS] = str(_results(scratch))
    return Command(
        argv=words,
        cwd=str(folder),
        env=variables,
        read=(str(ours), str(scratch / "pytest.ini"), *environment.read),
        write=(str(folder), str(theirs)),
        wall_ms=trial.wall_ms,
        memory_bytes=MEMORY_BYTES_MAX,
        trusted=trial.trusted,
        locks=trial.locks,
    )


def _configuration(folder: Path, project: Project) -> str:
    """The text that configures its pytest."""
    if project.pytest_config is None:
        return ""
    content = read_plain(str(folder / project.pytest_config), _CONFIG_BYTES_MAX, linked=False)
    return (content or b"").decode("utf-8", "replace")


def _programs(folder: Path, python: str, asked: bool) -> None:
    """`python`, `python3` and `pytest`, whatever the environment calls its own.

    Scripts and no links: an interpreter finds its environment by the path that it is started by.
    Each call that is `python` or `pytest` writes its results to a file of its own, if to any.
    """
    asks = ""
    if asked:
        option = f"--junitxml=\\${_RESULTS}/$$.xml"
        asks = f'export PYTEST_ADDOPTS="${{PYTEST_ADDOPTS-}} {option}"\n'
    for name, words in (("python", ""), ("python3", ""), ("pytest", " -m pytest")):
        place = folder / name
        text = f'#!/bin/sh\n{asks}exec {shlex.quote(python)}{words} "$@"\n'
        place.write_text(text, encoding="utf-8", errors="surrogateescape")
        place.chmod(0o755)


def _variables(
    folder: Path, ours: Path, theirs: Path, project: Project, environment: Environment
) -> dict[str, str]:
    roots = [os.path.join(folder, root).rstrip("/") for root in project.import_roots]
    binaries = os.path.dirname(environment.python)
    variables = {
        "PATH": f"{ours / 'bin'}:{binaries}:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(theirs / "home"),
        "TMPDIR": str(theirs / "tmp"),
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "TERM": "dumb",
        "PYTHONPATH": os.pathsep.join((*roots, str(ours / "lent"))),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
        "PYTHONNOUSERSITE": "1",
        "GIT_CEILING_DIRECTORIES": str(folder.parent),
    }
    if project.pytest_config is None:
        variables["PYTEST_ADDOPTS"] = shlex.quote(f"--rootdir={folder}")
    if environment.kind != "own":
        variables["VIRTUAL_ENV"] = os.path.dirname(binaries)
    return variables


def _reason(words: tuple[str, ...], done: Completed, trial: Trial) -> str | None:
    """Why it did not pass."""
    if done.ended_by == "wall_clock":
        return f"it took longer than {trial.wall_ms / 1000:g} s and was ended"
    if done.ended_by is not None:
        return f"it was ended: {done.ended_by.replace('_', ' ')}"
    if done.exit_code == _NO_TESTS and any(Path(word).name == "pytest" for word in words):
        return "it ended with 5: pytest found no test to run"
    if done.exit_code in _CANNOT_RUN:
        return f"it ended with {done.exit_code}: a program that it needs cannot be started"
    return f"it ended with {done.exit_code}" if done.exit_code else None


def _tail(done: Completed, folder: str) -> str:
    """The end of what it printed, without the place of the copy."""
    said = "\n".join(each.rstrip() for each in (done.stdout, done.stderr) if each.strip())
    return said.replace(folder, ".")[-TAIL_CHARS_MAX:]
