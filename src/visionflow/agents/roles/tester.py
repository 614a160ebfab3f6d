"""The tester: runs a project's own tests with coverage, confined, on a copy of the workspace.

Failures are run again to tell the flaky ones. It also makes tests that pin what the code does
today. It judges nothing: what the outcome means for the gates is the reviewer's.
"""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, cast

import msgspec

from visionflow.agents.base import BaseAgent, PermanentFailure
from visionflow.agents.roles.alone import covered
from visionflow.agents.roles.ground import Ground, look_at, prepare, put_back
from visionflow.agents.roles.job import JobInput, job_input, restored, storable
from visionflow.agents.roles.judging import judgement_of
from visionflow.agents.roles.settings import RoleSettings, read_settings
from visionflow.agents.study.characterising import TestFile, TestSuite, make_tests, run_made
from visionflow.agents.task import Task
from visionflow.agents.tools.flaky import candidates, run_again
from visionflow.agents.tools.project import Project
from visionflow.agents.tools.results import Progress, TestRun
from visionflow.agents.tools.selecting import TEST_KINDS
from visionflow.agents.tools.testing import SuiteRequest, run_tests
from visionflow.agents.voting import Ballot, Proposal

TASK_TYPES = ("run_tests", "generate_tests", "judge")
WALL_MS = 600_000
RERUNS_MAX = 20
_BEGUN = "begun"
_FRAMEWORKS = ("pytest", "unittest")
_NOT_MADE = (
    "no integration tests were made: what parts should do together is not written in the code",
    "no end-to-end tests were made: how a project is meant to be used is not written in its code",
)


class TesterSettings(RoleSettings, frozen=True, kw_only=True):
    """What `default_config` of a tester may say."""

    timeout: float | None = WALL_MS / 1000
    coverage_threshold: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    test_types: tuple[str, ...] = TEST_KINDS
    test_framework: str = "pytest"
    reruns: Annotated[int, msgspec.Meta(ge=0, le=RERUNS_MAX)] = 2

    EFFECTS: ClassVar[Mapping[str, str]] = {
        "timeout": "Seconds for all tests together; 600 where it is left out. Running failures "
        "again takes at most as long once more, and at most two minutes. Of a judgement: for a run "
        "of the tests, and for each predicate.",
        "coverage_threshold": "0 to 1: the share of lines that must run for the gate `coverage`; "
        "without it that gate cannot be told.",
        "test_types": "Which kinds of tests run: unit, integration, e2e. A test is of the kind of "
        "its mark, else of the folder it lies in, else unit.",
        "test_framework": "`pytest`: tests are found as the project's pytest settings say; "
        "`unittest`: only test cases of unittest in files test*.py are run.",
        "reruns": "How often a failed test is run again alone, and as often in order, to tell "
        "whether it is flaky; 0: never; 2 where it is left out.",
    }
    UNUSED: ClassVar[Mapping[str, str]] = {
        "parallel_execution": "tests run one after the other, so that every run has the same order "
        "(where the project's own pytest settings ask for pytest-xdist, it is used)",
    }


class TesterAgent(BaseAgent):
    """Task type `run_tests`; its input is a `JobInput`, its result a map:

    `tests`: a `TestRun`; `snapshot`: the commit that was tested; `notes`: of the snapshot;
    `coverage_gate`: whether coverage reaches `coverage_threshold`, `None` where one of them is not
    known; `measures`: `coverage` and `pass_rate`, 0 to 1 or `None`; `warnings`: settings without
    effect. The settings are `TesterSettings`.

    Task type `generate_tests`: the same input; its result is a map as `TestSuite` has it.

    Task type `judge`: the result of a coding agent among the tasks before it, which the input names
    as `of`, or what such results were merged to; its result is a map with `judged` (a `Judged`).
    """

    __test__: ClassVar[bool] = False
    type = "tester"
    capabilities = (
        "automated_testing", "coverage", "generate_tests", "quality_assurance", "run_tests",
        "test_creation", "testing", "tests", "validation",
    )  # fmt: skip

    async def vote(self, proposal: Proposal) -> Ballot:
        """A ballot by the project's tests, measured anew; see `balloting`."""
        from visionflow.agents.roles.balloting import TESTS, vote_of

        return await vote_of(self, proposal, TESTS)

    async def process_task(self, task: Task) -> Any:
        """Run the tests of the workspace that the task names, make some, or judge a result."""
        if task.type == "generate_tests":
            given = storable(job_input(task, self.context.folder))
            return await self.step("generate tests", self._generate, given)
        if task.type not in TASK_TYPES:
            raise unknown_type(self, task, TASK_TYPES)
        wall_ms = timeout_ms(self, WALL_MS)
        if task.type == "judge":
            return await judgement_of(self, task, wall_ms)
        settings, warnings = settings_of(self)
        job = job_input(task, self.context.folder)
        given = storable(job)
        self.progress(0.0, "preparing a copy of the workspace")
        ground = restored(await self.step("prepare worktree", prepare, given, "tests"), Ground)
        self.progress(0.05, "looking at the project")
        project = await self.step("look at the project", look_at, ground.worktree)
        self.progress(0.1, "starting the tests")
        request = storable(suite_request(job, ground.worktree, settings, wall_ms))
        tests = await self.step("run tests", self._run_tests, given, project, request)
        if settings.reruns and candidates(restored(tests, TestRun)):
            self.progress(0.9, "running failures again")
            tests = await self.step(
                "run failures again", self._run_again, given, project, request, tests
            )
        run = restored(tests, TestRun)
        self.progress(1.0, "tests are done")
        return {
            "tests": tests,
            "snapshot": ground.snapshot,
            "notes": list(ground.notes),
            "coverage_gate": coverage_gate(run, settings.coverage_threshold),
            "measures": measures(run),
            "warnings": list(warnings),
        }

    async def generate_test_suite(self, implementation: object) -> TestSuite:
        """Tests made for an implementation: a workspace's folder, or a map with `workspace`.

        They pin what its functions do today, and are made by calling them. Nothing is written into
        the workspace: each file's text is in the result.

        Raises:
            PermanentFailure: it names no workspace that can be read.
            ConfinementUnavailable: nothing here can confine its code.
        """
        unit = await self.generate_unit_tests(implementation)
        integration = await self.generate_integration_tests(implementation)
        e2e = await self.generate_e2e_tests(implementation)
        made = [*unit, *integration, *e2e]
        coverage = await self.run_tests_with_coverage(made, implementation)
        functions, calls = sum(len(file.functions) for file in unit), sum(f.cases for f in unit)
        notes = [f"pinned: {functions} of the project's functions, by calls: {calls}"]
        notes += [why for why, made in zip(_NOT_MADE, (integration, e2e), strict=True) if not made]
        return TestSuite(tuple(unit), tuple(integration), tuple(e2e), coverage, tuple(notes))

    async def generate_unit_tests(self, implementation: object) -> list[TestFile]:
        """A file of tests for each module with functions whose outcome can be pinned."""
        job = _job_of(implementation, self.context.folder)
        project, suite = await self._ground_for_made(job)
        return list(await make_tests(self.context.sandbox, project, suite))

    async def generate_integration_tests(self, implementation: object) -> list[TestFile]:
        """None: without a model there is nothing to make them from."""
        _job_of(implementation, self.context.folder)
        return []

    async def generate_e2e_tests(self, implementation: object) -> list[TestFile]:
        """None: without a model there is nothing to make them from."""
        _job_of(implementation, self.context.folder)
        return []

    async def run_tests_with_coverage(
        self, tests: Sequence[TestFile], implementation: object = None
    ) -> float | None:
        """Share of the project's lines that these tests, all of one workspace, run; 0 to 1.

        `None` where there are none or coverage could not be measured. Without an implementation
        it is the workspace that the tests name.
        """
        if not tests:
            return None
        job = _job_of(implementation or tests[0].workspace, self.context.folder)
        project, suite = await self._ground_for_made(job)
        run = await run_made(self.context.sandbox, project, suite, tests)
        return measures(run)["coverage"]

    async def _generate(self, given: dict[str, Any]) -> Any:
        made = await self.generate_test_suite(given)
        plain = msgspec.to_builtins(made)
        for file in plain["unit"]:
            del file["workspace"]
        return storable(plain)

    async def _ground_for_made(self, job: JobInput) -> tuple[Project, SuiteRequest]:
        given = storable(job)
        ground = restored(await prepare(given, "made"), Ground)
        await put_back(given, ground.worktree)
        project = restored(await asyncio.to_thread(look_at, ground.worktree), Project)
        settings, _ = settings_of(self)
        scratch = Path(job.scratch, "made")
        suite = suite_request(job, ground.worktree, settings, timeout_ms(self, WALL_MS))
        return project, msgspec.structs.replace(
            suite, scratch=str(scratch), junit=str(scratch / "junit.xml"),
            coverage=str(scratch / "coverage.xml"),
        )  # fmt: skip

    async def _run_tests(
        self, given: dict[str, Any], project: dict[str, Any], request: dict[str, Any]
    ) -> Any:
        suite = restored(request, SuiteRequest)
        begun = Path(suite.scratch).with_name(_BEGUN)
        if begun.exists():
            # An attempt was killed in the middle: what its tests left must not be seen by these.
            await put_back(given, suite.worktree)
        begun.parent.mkdir(parents=True, exist_ok=True)
        begun.touch()
        read = restored(project, Project)
        run = await run_tests(self.context.sandbox, read, suite, self._tell)
        return storable(await self._covered(given, suite.worktree, run))

    async def _run_again(
        self,
        given: dict[str, Any],
        project: dict[str, Any],
        request: dict[str, Any],
        tests: dict[str, Any],
    ) -> Any:
        suite = restored(request, SuiteRequest)

        async def clean() -> None:
            await put_back(given, suite.worktree)

        run = await run_again(
            self.context.sandbox, restored(project, Project), suite, restored(tests, TestRun),
            clean, self._tell_again,
        )  # fmt: skip
        return storable(await self._covered(given, suite.worktree, run))

    async def _covered(self, given: dict[str, Any], worktree: str, run: TestRun) -> TestRun:
        job = msgspec.convert(given, JobInput)
        return await covered(self.context.sandbox, job, worktree, run)

    def _tell(self, now: Progress) -> None:
        """Tests take from a tenth to nine tenths of this attempt's progress."""
        fraction = None
        if now.collected:
            fraction = 0.1 + 0.8 * min(1.0, now.done / now.collected)
        total = "" if now.collected is None else f" of {now.collected}"
        failed = f", {now.failed} failed" if now.failed else ""
        self.progress(fraction, f"{now.done}{total} tests{failed}")

    def _tell_again(self, now: Progress) -> None:
        self.progress(
            0.9 + 0.1 * now.done / max(1, now.collected or 0),
            f"running failures again: {now.done} of {now.collected}",
        )


def _job_of(implementation: object, folder: Path) -> JobInput:
    """The job of making tests for what a caller hands over."""
    given = {"workspace": str(Path(implementation).absolute())} if isinstance(
        implementation, str | Path
    ) else implementation  # fmt: skip
    return job_input(Task(id="made", type="generate_tests", input=given), folder)


def settings_of(agent: BaseAgent) -> tuple[TesterSettings, tuple[str, ...]]:
    """The settings of this agent, and what of the given ones has no effect.

    Raises:
        PermanentFailure: a value is not of its key's type.
    """
    read = read_settings(agent, TesterSettings)
    settings, warnings = read.values, list(read.warnings)
    unknown = [kind for kind in settings.test_types if kind not in TEST_KINDS]
    warnings += [
        f"{agent.type}: test_types: {kind!r} is no kind of test here; there are "
        f"{', '.join(TEST_KINDS)}"
        for kind in unknown
    ]
    if settings.test_framework not in _FRAMEWORKS:
        warnings.append(
            f"{agent.type}: test_framework: {settings.test_framework!r} is not run here, pytest is "
            f"used; there are {', '.join(_FRAMEWORKS)}"
        )
    return settings, tuple(warnings)


def suite_request(
    job: JobInput, worktree: str, settings: TesterSettings, wall_ms: int
) -> SuiteRequest:
    """What these settings ask for of the job's tests."""
    return SuiteRequest(
        worktree=worktree,
        workspace=job.workspace,
        scratch=str(Path(job.scratch, "suite")),
        junit=job.junit,
        coverage=job.coverage,
        virtual_env=job.virtual_env,
        wall_ms=wall_ms,
        trusted=job.trusted,
        reruns=settings.reruns,
        kinds=tuple(kind for kind in TEST_KINDS if kind in settings.test_types),
        framework="unittest" if settings.test_framework == "unittest" else "pytest",
    )


def coverage_gate(run: TestRun, threshold: float | None) -> bool | None:
    """Whether the share of lines that ran reaches `threshold`; `None` where that is unknown."""
    if threshold is None or run.coverage is None:
        return None
    return run.coverage >= round(100 * threshold, 6)


def measures(run: TestRun) -> dict[str, float | None]:
    """`coverage`: share of the project's lines that ran; `pass_rate`: passed tests over passed,
    failed and erroneous ones."""
    share = None if run.coverage is None else round(run.coverage / 100, 6)
    return {"coverage": share, "pass_rate": run.pass_rate}


def unknown_type(agent: BaseAgent, task: Task, known: tuple[str, ...]) -> PermanentFailure:
    """The error about a task that this role cannot do; it is never called done."""
    return PermanentFailure(
        f"The {agent.type} on the tools backend cannot do tasks of type {task.type!r}.",
        hint=f"It does {', '.join(known)}.",
    )


def timeout_ms(agent: BaseAgent, usual_ms: int) -> int:
    """The setting `timeout` in milliseconds.

    Raises:
        PermanentFailure: it is no number of seconds above zero.
    """
    found = cast(object, agent.config.get("timeout"))
    if found is None:
        return usual_ms
    if isinstance(found, bool) or not isinstance(found, int | float) or found <= 0:
        raise PermanentFailure(
            f"The setting timeout of {agent.name} is {found!r}.", hint="Write seconds above zero."
        )
    return int(found * 1000)
