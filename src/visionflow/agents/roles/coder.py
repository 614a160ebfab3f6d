"""The coder: safe mechanical fixes, one commit a rule, kept only as far as they pass the gates.

It works on the run's private repository and never on the user's folder. How a patch comes about is
`patching`'s job; here is what may be asked of a coder, and what its settings do.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import msgspec

from visionflow.agents.base import BaseAgent, PermanentFailure
from visionflow.agents.roles.ground import Ground, look_at, prepare
from visionflow.agents.roles.job import job_input, restored, storable
from visionflow.agents.roles.patching import Patching, Wishes
from visionflow.agents.roles.settings import RoleSettings, read_settings
from visionflow.agents.roles.tester import unknown_type
from visionflow.agents.task import Task

TASK_TYPES = ("fix", "implement_solution")
WALL_S = 600.0
_MECHANICAL = frozenset(
    """fix fixes lint linting linter findings finding safe mechanical automatic autofix tidy clean
    cleanup imports import unused format formatting style warnings ruff""".split()
)
_MORE = frozenset(
    """add build create design develop extend feature implement integrate introduce invent make
    migrate optimise optimize port refactor rewrite support write""".split()
)


class CoderSettings(RoleSettings, frozen=True, kw_only=True):
    """What `default_config` of a coder may say."""

    languages: tuple[str, ...] = ("python",)
    linting: bool = True
    formatting: bool = True
    coverage_threshold: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    timeout: Annotated[float, msgspec.Meta(gt=0)] = WALL_S

    EFFECTS: ClassVar[Mapping[str, str]] = {
        "languages": "Files of these languages are fixed. Only python can be; another word is "
        "warned about, and without python nothing is changed.",
        "linting": "Whether findings that ruff can mend safely are mended, one commit a rule; "
        "false: they are left.",
        "formatting": "Whether a last commit formats the files, where the project's own "
        "configuration asks for ruff's format or black and nine files in ten keep to it; false: "
        "nothing is formatted.",
        "coverage_threshold": "0 to 1: a patch that brings the share of lines that run from this "
        "or more to less is not kept; without it coverage is not looked at.",
        "timeout": "Seconds for the tests each time they are run, and for each review tool; 600 "
        "where it is left out.",
    }
    UNUSED: ClassVar[Mapping[str, str]] = {
        "test_generation": "the coder changes no tests, because its patch is judged by them; "
        "`TesterAgent.generate_test_suite` makes tests of what the code does now",
    }


class CoderAgent(BaseAgent):
    """Task type `fix`; its input is a `JobInput`, its result a map with `change` (a `Change`),
    `snapshot`, `notes` and `warnings`. Tests and findings of the tasks before are used where they
    are among its dependencies. `implement_solution` is the same for an input with a workspace and
    a requirement that asks for no more than that; any other needs a model and is refused.
    """

    type = "coder"
    capabilities = ("code", "fix", "formatting", "linting", "mechanical_fixes", "python")

    async def process_task(self, task: Task) -> Any:
        """Fix the workspace that the task names, on a branch of the run's own repository."""
        if task.type not in TASK_TYPES:
            raise unknown_type(self, task, TASK_TYPES)
        if task.type == "implement_solution":
            refuse_what_needs_a_model(task)
        read = read_settings(self, CoderSettings)
        job = job_input(task, self.context.folder)
        given = storable(job)
        self.progress(0.0, "preparing a copy of the workspace")
        ground = restored(await self.step("prepare worktree", prepare, given, "fix"), Ground)
        project = await self.step("look at the project", look_at, ground.worktree)
        values = read.values
        wishes = Wishes(
            any(each.lower() == "python" for each in values.languages), values.linting,
            values.formatting, values.coverage_threshold, values.timeout,
        )  # fmt: skip
        change = await Patching(self, task, wishes, given, ground, project).change()
        self.progress(1.0, "the fixes are done")
        return {
            "change": storable(change),
            "snapshot": ground.snapshot,
            "notes": list(ground.notes),
            "warnings": [*read.warnings, *_foreign(values.languages)],
        }


def refuse_what_needs_a_model(task: Task) -> None:
    """Let through only a requirement that safe mechanical fixes meet.

    Raises:
        PermanentFailure: the task asks for more, or names no workspace.
    """
    given: object = task.input
    words = {
        word.strip(".,:;!?'\"()").lower()
        for text in (task.description, str(task.requirements or ""))
        for word in text.split()
    }
    named = isinstance(given, dict) and "workspace" in given
    if named and words & _MECHANICAL and not words & _MORE:
        return
    raise PermanentFailure(
        "needs_model: the tools backend writes no code to a specification; it makes safe "
        "mechanical fixes in a workspace.",
        hint="Give the coder a task of type 'fix', or another backend.",
    )


def _foreign(languages: tuple[str, ...]) -> list[str]:
    others = sorted({each for each in languages if each.lower() != "python"})
    if not others:
        return []
    return [f"coder: languages: nothing here can fix {', '.join(others)}; only python is fixed"]
