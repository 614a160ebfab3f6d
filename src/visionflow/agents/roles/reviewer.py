"""The reviewer: the review tools over a copy of the workspace, a vote, and the verdict over a run.

All tools run confined and with our configuration. It changes nothing and proposes no changes.
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, cast

import msgspec

from visionflow.agents.base import BaseAgent
from visionflow.agents.evidence import FOCUSES, Focus
from visionflow.agents.findings import ToolRun
from visionflow.agents.report.gates import BASE, gates_of, known_findings, verdict
from visionflow.agents.report.gathering import gather
from visionflow.agents.roles.ground import Ground, look_at, prepare
from visionflow.agents.roles.job import JobInput, job_input, restored, storable
from visionflow.agents.roles.reviewing import (
    Checked,
    Recommendation,
    ReviewReport,
    Submission,
    checked,
    laid_out,
    recommended,
)
from visionflow.agents.roles.settings import RoleSettings, read_settings
from visionflow.agents.roles.tester import timeout_ms, unknown_type
from visionflow.agents.rules import Depth
from visionflow.agents.task import Task
from visionflow.agents.tools.portions import WALL_MS
from visionflow.agents.tools.project import Project, look
from visionflow.agents.tools.results import TestRun
from visionflow.agents.tools.review import ReviewRequest, merge_runs, run_tool, tools_for
from visionflow.agents.tools.review import review as review_with
from visionflow.agents.tools.text import one_line
from visionflow.agents.voting import Ballot, Proposal

TASK_TYPES = ("review_code", "vote", "judge")


class ReviewerSettings(RoleSettings, frozen=True, kw_only=True):
    """What `default_config` of a reviewer may say."""

    review_depth: Depth = "standard"
    focus_areas: tuple[Focus, ...] = FOCUSES
    automated_fixes: bool = False
    timeout: float | None = WALL_MS / 1000

    EFFECTS: ClassVar[Mapping[str, str]] = {
        "review_depth": "`quick`: only bandit, detect-secrets and ruff, and of what they find only "
        "medium and above; `standard` (where it is left out): all tools, low and above; "
        "`thorough`: also what is only information, such as functions with a cognitive complexity "
        "of 11 to 15 and unused methods.",
        "focus_areas": "What a review looks at when its task names no focus: security, "
        "performance, maintainability; all three where it is left out.",
        "automated_fixes": "`true` is warned about: a reviewer changes nothing; what can be mended "
        "safely is the coder's, in a run with the playbook audit or fix.",
        "timeout": "Seconds for each tool; 300 where it is left out.",
    }


class ReviewerAgent(BaseAgent):
    """Task type `review_code`: its input is a `JobInput`, of which `focus`, `part` and `cache`
    matter here. Its result is a map: `tools` (a `ToolRun` each), `snapshot` (the commit that was
    read), `notes` of the snapshot, `warnings` (settings without effect), `focus` and `part` (its
    name) as they were given.

    Task type `vote`: a `Ballot` on a coder's change, as `voting.ballot_of` has it.

    Task type `judge`: from the results of the tasks before it, a map with `gates`, `findings` (by
    severity, `None` where no tool ran) and `verdict`.

    `review_code` and its kin also work on a path or source text, without a task. The settings are
    `ReviewerSettings`.
    """

    type = "reviewer"
    capabilities = (
        "best_practices", "code_review", "judge", "maintainability", "performance",
        "quality_assessment", "review", "review_code", "security", "security_review",
        "static_analysis", "vote",
    )  # fmt: skip

    async def vote(self, proposal: Proposal) -> Ballot:
        """A ballot by what the review tools find, measured anew; see `balloting`."""
        from visionflow.agents.roles.balloting import FINDINGS, vote_of

        return await vote_of(self, proposal, FINDINGS)

    async def process_task(self, task: Task) -> Any:
        """Review the workspace that the task names, vote on a change, or judge others' results."""
        if task.type == "review_code":
            return await self._review(task)
        if task.type == "vote":
            from visionflow.agents.roles.voting import ballot_of

            return await ballot_of(self, task)
        if task.type == "judge":
            return await self.step("judge", judge, task.dependencies)
        raise unknown_type(self, task, TASK_TYPES)

    async def review_code(self, code_submission: Submission) -> ReviewReport:
        """Review a folder, a file, source text, or sources by their names; runs all tools."""
        quality = await self.analyse_quality(code_submission)
        security = await self.check_security(code_submission)
        practices = await self.check_best_practices(code_submission)
        performance = await self.analyse_performance(code_submission)
        return ReviewReport(
            quality=quality,
            security=security,
            practices=practices,
            performance=performance,
            recommendation=self.make_recommendation([quality, security, practices, performance]),
        )

    async def analyse_quality(self, code_submission: Submission) -> Checked:
        """Functions that are hard to follow, and code that nothing uses."""
        runs = await self._look(code_submission, "maintainability")
        return checked([run for run in runs if run.tool != "ruff"])

    async def check_security(self, code_submission: Submission) -> Checked:
        """Weaknesses, and secrets in the files."""
        return checked(await self._look(code_submission, "security"))

    async def check_best_practices(self, code_submission: Submission) -> Checked:
        """Likely faults: names, defaults, comparisons, exceptions and the like."""
        runs = await self._look(code_submission, "maintainability")
        return checked([run for run in runs if run.tool == "ruff"])

    async def analyse_performance(self, code_submission: Submission) -> Checked:
        """Constructions that are slower than they need be."""
        return checked(await self._look(code_submission, "performance"))

    def make_recommendation(self, issues: Sequence[Checked]) -> Recommendation:
        """From what was found; the rule stands in `reviewing`."""
        return recommended(issues)

    async def _look(self, submission: Submission, focus: Focus) -> tuple[ToolRun, ...]:
        """The tools of one focus, as far as they are not known of this agent's last look."""
        settings, _ = reviewer_settings(self)
        own = self.context.folder / "submissions"
        root = laid_out(submission, own)
        request = ReviewRequest(
            str(root), look(str(root)), None, focus, str(own / "scratch" / focus),
            timeout_ms(self, WALL_MS), str(own / "cache"), depth=settings.review_depth,
        )  # fmt: skip
        return await review_with(self.context.sandbox, request)

    async def _review(self, task: Task) -> Any:
        settings, warnings = reviewer_settings(self)
        wall_ms = timeout_ms(self, WALL_MS)
        job = job_input(task, self.context.folder)
        given = storable(job)
        self.progress(0.0, "preparing a copy of the workspace")
        ground = restored(await self.step("prepare worktree", prepare, given, "review"), Ground)
        self.progress(0.1, "looking at the project")
        project = await self.step("look at the project", look_at, ground.worktree)
        areas = (job.focus,) if job.focus else tuple(dict.fromkeys(settings.focus_areas))
        names = sorted({name for area in areas for name in tools_for(area, settings.review_depth)})
        tools: list[Any] = []
        for number, name in enumerate(names):
            self.progress(0.2 + 0.8 * number / len(names), f"{name} is reading{_where(job)}")
            tools.append(
                await self.step(
                    f"scan {name}", self._scan, given, ground.worktree, project, name,
                    list(areas), settings.review_depth, wall_ms,
                )
            )  # fmt: skip
        self.progress(1.0, "review is done")
        return {
            "tools": tools,
            "snapshot": ground.snapshot,
            "notes": list(ground.notes),
            "warnings": list(warnings),
            "focus": job.focus,
            "part": job.part.name if job.part else None,
        }

    async def _scan(
        self, given: dict[str, Any], worktree: str, project: dict[str, Any], name: str,
        areas: list[Focus], depth: Depth, wall_ms: int,
    ) -> Any:  # fmt: skip
        job = msgspec.convert(given, JobInput)
        # Reviewers of other focuses and parts work in the same run at the same time.
        own = hashlib.sha256(msgspec.json.encode((areas, job.part))).hexdigest()[:12]
        request = ReviewRequest(
            worktree,
            restored(project, Project),
            job.part,
            None,
            str(Path(job.scratch, "review", own)),
            wall_ms,
            job.cache,
            job.trusted,
            depth=depth,
            areas=tuple(areas),
        )
        return storable(await run_tool(self.context.sandbox, name, request))


def reviewer_settings(agent: BaseAgent) -> tuple[ReviewerSettings, tuple[str, ...]]:
    """The settings as they hold, and warnings about those without effect.

    Raises:
        PermanentFailure: a value is not of its key's type.
    """
    read = read_settings(agent, ReviewerSettings)
    warnings = list(read.warnings)
    if read.values.automated_fixes:
        effect = "a reviewer changes nothing; what can be mended safely is the coder's"
        warnings.append(f"{agent.type}: automated_fixes has no effect: {effect}")
    if not read.values.focus_areas:
        warnings.append(
            f"{agent.type}: focus_areas is empty: only tasks with a focus find anything"
        )
    return read.values, tuple(warnings)


def _where(job: JobInput) -> str:
    return f" {one_line(job.part.name, 80)}" if job.part else ""


def judge(results: dict[str, Any]) -> Any:
    """Gates, findings and verdict from the results of the tasks before, by task."""
    tests, tools = suite_in(results.values()), tools_in(results.values())
    known = gather(results).facts(status="completed", gates=BASE, tests=tests, tools=tools)
    gates = gates_of(known)
    return {
        "gates": gates,
        "findings": known_findings(tools),
        "verdict": verdict(gates),
    }


def suite_in(results: Any) -> TestRun | None:
    """The first test run among results; `None` when no tester reported one."""
    for result in results:
        found = _part(result, "tests")
        if found is not None:
            return restored(found, TestRun)
    return None


def tools_in(results: Any) -> tuple[ToolRun, ...]:
    """The tool runs among results, one for each tool, by its name."""
    runs: list[ToolRun] = []
    for result in results:
        runs += restored(_part(result, "tools") or [], list[ToolRun])
    return merge_runs(runs)


def _part(result: object, key: str) -> Any:
    return cast("dict[str, Any]", result).get(key) if isinstance(result, dict) else None
