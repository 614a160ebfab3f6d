"""Run a project's own tests on a copy of it, confined, and say truly how they went.

The project's pytest settings are honoured: they are its tests. Around them stands what makes two
runs comparable and bounded: a plugin that logs each result, a wall clock, a memory ceiling, no
network, a fixed hash seed, no cache. What the exit of pytest and the log mean together is in
`verdicts`; the interpreter is chosen in `environment`.
"""

import asyncio
import os
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import Literal

import msgspec

from visionflow.agents.findings import portable_path
from visionflow.agents.tools.cover import Coverage, make_xml, unrecordable, write_settings
from visionflow.agents.tools.environment import Environment, choose
from visionflow.agents.tools.junit import from_cases, publish
from visionflow.agents.tools.lending import PLUGIN, lay_out
from visionflow.agents.tools.project import Project
from visionflow.agents.tools.results import OnProgress, TestRun
from visionflow.agents.tools.selecting import TEST_KINDS, Chosen, choose_tests
from visionflow.agents.tools.testlog import LOG_BYTES_MAX, TestLog
from visionflow.agents.tools.text import one_line, write_whole
from visionflow.agents.tools.verdicts import crashed, hanging, judge, unsaved
from visionflow.agents.workspace.files import remove_tree
from visionflow.domain.errors import CommandNotStarted, ConfinementUnavailable
from visionflow.ports.sandbox import Command, Completed, Sandbox

_POLL_S = 0.2
_GRACE_MS_MAX = 30_000
_CHOICE = "choice.json"
_NOT_IN_PATHS = frozenset(":[]$\n\r")
"""They part import paths, mark parameters and variables, or end a line of settings."""


class SuiteRequest(msgspec.Struct, frozen=True):
    """What to test and within which bounds. Paths are absolute."""

    worktree: str
    """A copy of the workspace; tests may write to it."""
    workspace: str
    """The user's own folder, only looked at for its environment."""
    scratch: str
    """A folder of our own outside both. What an earlier attempt left there is removed."""
    junit: str
    """Where junit.xml goes."""
    coverage: str
    """Where coverage.xml goes, when there is coverage."""
    virtual_env: str | None = None
    """The user's VIRTUAL_ENV."""
    wall_ms: int = 600_000
    memory_bytes: int | None = 4 * 1024 * 1024 * 1024
    trusted: bool = False
    """The user said to run it also where nothing confines it."""
    selection: tuple[str, ...] | None = None
    """Test files, relative to the worktree; the others are not collected. `None`: all."""
    reruns: int = 2
    """How often `flaky.run_again` runs a failure alone, and as often in order; 0: not at all.
    `run_tests` itself runs everything once."""
    kinds: tuple[str, ...] = TEST_KINDS
    framework: Literal["pytest", "unittest"] = "pytest"
    """How tests are found: by the project's pytest settings, or only test cases of `unittest`."""
    measure: bool = True
    """Whether coverage is recorded."""
    only: tuple[str, ...] | None = None
    """Ids; no other tests are run. `None`: all."""
    in_order: bool = False
    """What comes before the tests in `only`, within their files, is run as well."""


async def run_tests(
    sandbox: Sandbox,
    project: Project,
    request: SuiteRequest,
    on_progress: OnProgress | None = None,
) -> TestRun:
    """Run the tests of `project` (as `look` read the worktree). Never raises for what they do."""
    environment = await asyncio.to_thread(choose, request.workspace, request.virtual_env)
    chosen = choose_tests(
        request.worktree, request.selection, request.only, request.in_order, request.kinds,
        request.framework == "unittest",
    )  # fmt: skip
    refusal = _refusal(project, environment, request, chosen)
    if refusal is not None:
        return await asyncio.to_thread(_not_started, request, refusal)
    suite = _Suite(sandbox, project, request, environment, chosen)
    return await suite.run(on_progress)


def _refusal(
    project: Project, environment: Environment, request: SuiteRequest, chosen: Chosen
) -> TestRun | None:
    """Why there is nothing to start, told before anything is started."""
    told = environment.description
    if chosen.nothing is not None:
        notes = (*environment.notes, *chosen.notes)
        return TestRun("no_tests", chosen.nothing, environment=told, notes=notes)
    if project.style == "none":
        python = "no tests were found" if project.tree.python else "it holds no Python files"
        return TestRun("no_tests", python, environment=told, notes=environment.notes)
    least = project.python_minor_min
    if least is not None and least > environment.minor:
        why = f"the project needs Python 3.{least}, and the interpreter here is {told}"
        return TestRun("could_not_run", why, environment=told, notes=environment.notes)
    odd = sorted(set(request.worktree + request.scratch) & _NOT_IN_PATHS)
    if odd:
        why = (
            f"the output folder's path has {' and '.join(map(repr, odd))} in it, which pytest or "
            "Python's import path cannot take; name another with --out DIR"
        )
        return TestRun("could_not_run", why, environment=told, notes=environment.notes)
    return None


def _not_started(request: SuiteRequest, run: TestRun) -> TestRun:
    """An empty junit.xml, so that a reader of the folder need not guess."""
    write_whole(request.junit, from_cases((), 0.0))
    return msgspec.structs.replace(
        run, coverage_reason="no tests were run", selection=request.selection
    )


class _Suite:
    """One run of one project's tests."""

    def __init__(
        self,
        sandbox: Sandbox,
        project: Project,
        request: SuiteRequest,
        environment: Environment,
        chosen: Chosen,
    ) -> None:
        self.sandbox = sandbox
        self.choice = chosen.choice
        self.project = project
        self.environment = environment
        self.worktree = os.path.realpath(request.worktree)
        self.request = request
        scratch = Path(os.path.realpath(request.scratch))
        self.ours, self.theirs, self.xml = scratch / "ours", scratch / "tests", scratch / "xml"
        self.log_file = self.theirs / "results.jsonl"
        self.data = self.theirs / "coverage.sqlite"
        self.log = TestLog()
        self.read = 0
        self.reading = threading.Lock()
        self.notes: list[str] = [*environment.notes, *chosen.notes]

    async def run(self, on_progress: OnProgress | None) -> TestRun:
        measured = await asyncio.to_thread(self._prepare)
        command = self._command(measured is None)
        follower = asyncio.ensure_future(self._follow(on_progress))
        try:
            done = await self.sandbox.run(command)
        except (ConfinementUnavailable, CommandNotStarted) as error:
            run = TestRun(
                "could_not_run", str(error), environment=self.environment.description,
                interpreter=portable_path(self.environment.python), notes=tuple(self.notes),
            )  # fmt: skip
            return await asyncio.to_thread(_not_started, self.request, run)
        finally:
            follower.cancel()
            with suppress(asyncio.CancelledError):
                await follower
        await asyncio.to_thread(self._catch_up)
        coverage = Coverage(None, measured)
        if measured is None and not self.log.progress().done:
            coverage = Coverage(None, "no test ran to its end")
        elif measured is None:
            output = Path(self.request.coverage)
            coverage = await make_xml(self.sandbox, command, self.data, self.xml, output)
        if on_progress is not None:
            on_progress(self.log.progress())
        return await asyncio.to_thread(self._result, done, coverage)

    def _told(self) -> str:
        version = self.log.pytest
        runner = f", pytest {one_line(version, 20)}" if version else ""
        return self.environment.description + runner

    def _prepare(self) -> str | None:
        """Lay out the folders; why coverage is not measured, or `None` when it is."""
        # An earlier attempt may have been killed here; its results are not this one's.
        for folder in (self.theirs, self.xml):
            remove_tree(folder)
        for left in (self.log_file, self.data):
            left.unlink(missing_ok=True)
        for folder in (self.theirs / "home", self.theirs / "tmp", self.xml):
            folder.mkdir(parents=True, exist_ok=True)
        self.notes += lay_out(self.ours / "lent", self.environment, self.project)
        (self.ours / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
        settings = self.ours / "coverage.ini"
        found = write_settings(settings, self.data, self.project)
        self.notes += self.project.notes
        if self.choice.narrows:
            (self.ours / _CHOICE).write_bytes(msgspec.json.encode(self.choice))
        if not self.request.measure:
            return "coverage was not asked for"
        if not self.environment.coverage:
            return "coverage is not installed in the project's environment"
        if not found:
            return "no package or module of the project was found to measure"
        return unrecordable(self.data)

    def _command(self, measure: bool) -> Command:
        environment, request = self.environment, self.request
        recorded = ("-m", "coverage", "run", "--rcfile", str(self.ours / "coverage.ini"))
        return Command(
            argv=(
                environment.python, *(recorded if measure else ()), "-m", "pytest",
                *self._arguments(),
            ),
            cwd=self.worktree,
            env=self._variables(),
            read=(str(self.ours), *environment.read),
            write=(self.worktree, str(self.theirs)),
            wall_ms=request.wall_ms,
            memory_bytes=request.memory_bytes,
            trusted=request.trusted,
        )  # fmt: skip

    def _arguments(self) -> tuple[str, ...]:
        """Ours come after the project's own, which pytest takes from its settings."""
        # A cache folder of ours, and not `-p no:cacheprovider`: that breaks suites whose
        # settings or fixtures use the cache.
        words = [
            "-p", PLUGIN, f"--rootdir={self.worktree}", f"--confcutdir={self.worktree}",
            "-o", f"cache_dir={self.theirs / 'cache'}", f"--junit-xml={self.theirs / 'junit.xml'}",
            "--tb=short", "--color=no", "--continue-on-collection-errors",
        ]  # fmt: skip
        if self.project.pytest_config is None:
            # Or pytest would take settings from a folder above the worktree.
            words += ["-c", str(self.ours / "pytest.ini")]
        if self.project.style == "unittest" or self.choice.unittest:
            words += ["-o", "python_files=test*.py"]
        if "pytest_cov" in self.environment.plugins:
            words.append("--no-cov")
        if "pytest_randomly" in self.environment.plugins:
            words.append("--randomly-seed=1")
        return tuple(words)

    def _variables(self) -> dict[str, str]:
        environment = self.environment
        folders = [os.path.join(self.worktree, root) for root in self.project.import_roots]
        folders = [folder.rstrip("/") for folder in folders]
        binaries = os.path.dirname(environment.python)
        grace_ms = min(_GRACE_MS_MAX, max(1_000, self.request.wall_ms // 10))
        variables = {
            "PATH": f"{binaries}:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self.theirs / "home"),
            "TMPDIR": str(self.theirs / "tmp"),
            "LANG": "C.UTF-8",
            "TZ": "UTC",
            "PYTHONPATH": os.pathsep.join((*folders, str(self.ours / "lent"))),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONHASHSEED": "0",
            "PYTHONNOUSERSITE": "1",
            "VISIONFLOW_TEST_LOG": str(self.log_file),
            "VISIONFLOW_SOFT_DEADLINE_S": str(max(0, self.request.wall_ms - grace_ms) / 1000),
        }
        if self.choice.narrows:
            variables["VISIONFLOW_CHOICE"] = str(self.ours / _CHOICE)
        if environment.kind != "own":
            variables["VIRTUAL_ENV"] = os.path.dirname(binaries)
        if "pytest_cov" not in environment.plugins:
            variables["VISIONFLOW_ACCEPT_COV"] = "1"
        return variables

    async def _follow(self, on_progress: OnProgress | None) -> None:
        """Read the log as it grows and tell how far it is, when that changed."""
        told = None
        while on_progress is not None:
            await asyncio.sleep(_POLL_S)
            await asyncio.to_thread(self._catch_up)
            now = self.log.progress()
            if now != told:
                told = now
                on_progress(now)

    def _catch_up(self) -> None:
        """Feed what the log grew by."""
        # A cancelled follower's thread may still be at it.
        with self.reading:
            self._feed_growth()

    def _feed_growth(self) -> None:
        # Foreign code can reach the file, so it is opened warily.
        try:
            descriptor = os.open(self.log_file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            return
        with open(descriptor, "rb", buffering=0) as file:
            if self.read > LOG_BYTES_MAX or not file.seekable():
                return
            file.seek(self.read)
            content = file.read(LOG_BYTES_MAX) or b""
        self.read += len(content)
        self.log.feed(content)

    def _result(self, done: Completed, coverage: Coverage) -> TestRun:
        ours = (self.worktree, str(self.theirs))
        cases = self.log.cases(self.project, ours, tempfile.gettempdir())
        crash, cut = crashed(self.log, done), hanging(self.log, done)
        cases += [crash] if crash else []
        run = judge(self.log, cases, done, self.project)
        seconds = done.wall_ms / 1000
        told = [*cases, cut] if cut else cases
        theirs = None if crash or cut else self.theirs / "junit.xml"
        publish(theirs, Path(self.request.junit), told, seconds)
        failure = unsaved(done) if coverage.percent is None else None
        if failure is not None:
            coverage = msgspec.structs.replace(coverage, reason=failure)
        if coverage.percent == 0.0 and run.counts.passed:
            self.notes.append("no measured line ran: the tests use an installed copy, or none")
        return msgspec.structs.replace(
            run, coverage=coverage.percent, coverage_reason=coverage.reason,
            branch_coverage=coverage.branch_percent, files=coverage.files,
            selection=self.request.selection,
            environment=self._told(), interpreter=portable_path(self.environment.python),
            enforced=done.enforced, seconds=seconds, notes=(*self.notes, *run.notes),
        )  # fmt: skip
