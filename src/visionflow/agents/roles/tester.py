"""The tester: runs a project's own tests with coverage, confined, on a copy of the workspace.

It writes no tests and judges nothing: what the outcome means for the gates is the reviewer's.
"""

from pathlib import Path
from typing import Any, ClassVar, cast

import msgspec

from visionflow.agents.base import BaseAgent, PermanentFailure
from visionflow.agents.roles.ground import Ground, look_at, prepare, put_back
from visionflow.agents.roles.job import JobInput, job_input, restored, storable
from visionflow.agents.task import Task
from visionflow.agents.tools.project import Project
from visionflow.agents.tools.results import Progress
from visionflow.agents.tools.testing import SuiteRequest, run_tests

TASK_TYPES = ("run_tests",)
WALL_MS = 600_000
_BEGUN = "begun"


class TesterAgent(BaseAgent):
    """Task type `run_tests`; its input is a `JobInput`, its result a map:

    `tests`: a `TestRun`; `snapshot`: the commit that was tested; `notes`: of the snapshot.
    The setting `timeout` (seconds) bounds the tests; 600 where it is left out.
    """

    __test__: ClassVar[bool] = False
    type = "tester"
    capabilities = (
        "automated_testing", "coverage", "quality_assurance", "run_tests", "testing", "tests",
        "validation",
    )  # fmt: skip

    async def process_task(self, task: Task) -> Any:
        """Run the tests of the workspace that the task names."""
        if task.type not in TASK_TYPES:
            raise unknown_type(self, task, TASK_TYPES)
        job = job_input(task, self.context.folder)
        given = storable(job)
        self.progress(0.0, "preparing a copy of the workspace")
        ground = restored(await self.step("prepare worktree", prepare, given, "tests"), Ground)
        self.progress(0.05, "looking at the project")
        project = await self.step("look at the project", look_at, ground.worktree)
        self.progress(0.1, "starting the tests")
        wall_ms = timeout_ms(self, WALL_MS)
        tests = await self.step(
            "run tests", self._run_tests, given, ground.worktree, project, wall_ms
        )
        self.progress(1.0, "tests are done")
        return {"tests": tests, "snapshot": ground.snapshot, "notes": list(ground.notes)}

    async def _run_tests(
        self, given: dict[str, Any], worktree: str, project: dict[str, Any], wall_ms: int
    ) -> Any:
        job = msgspec.convert(given, JobInput)
        begun = Path(job.scratch, _BEGUN)
        if begun.exists():
            # An attempt was killed in the middle: what its tests left must not be seen by these.
            await put_back(given, worktree)
        begun.parent.mkdir(parents=True, exist_ok=True)
        begun.touch()
        request = SuiteRequest(
            worktree=worktree,
            workspace=job.workspace,
            scratch=str(Path(job.scratch, "suite")),
            junit=job.junit,
            coverage=job.coverage,
            virtual_env=job.virtual_env,
            wall_ms=wall_ms,
            trusted=job.trusted,
        )
        read = restored(project, Project)
        return storable(await run_tests(self.context.sandbox, read, request, self._tell))

    def _tell(self, now: Progress) -> None:
        """Tests take from a tenth to nine tenths of this attempt's progress."""
        fraction = None
        if now.collected:
            fraction = 0.1 + 0.8 * min(1.0, now.done / now.collected)
        total = "" if now.collected is None else f" of {now.collected}"
        failed = f", {now.failed} failed" if now.failed else ""
        self.progress(fraction, f"{now.done}{total} tests{failed}")


def unknown_type(agent: BaseAgent, task: Task, known: tuple[str, ...]) -> PermanentFailure:
    """The error about a task that this role cannot do; it is never called done."""
    return PermanentFailure(
        f"A {agent.type} on the tools backend cannot do tasks of type {task.type!r}.",
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
