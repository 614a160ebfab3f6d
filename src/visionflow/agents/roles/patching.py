"""How a patch comes about: find, make, judge, drop what fails, and begin again with the rest.

Everything that takes time is a step, so that a later attempt does not do it again; every value
that a step takes or gives is plain. What is measured and how stands in `measuring`, what a measure
means in `tools.patchgates`, and how commits are made in `mending`.
"""

from typing import Any

import msgspec

from visionflow.agents.base import BaseAgent
from visionflow.agents.evidence import Change, Dropped
from visionflow.agents.findings import Finding, ToolRun
from visionflow.agents.report.gathering import gather
from visionflow.agents.roles.ground import Ground
from visionflow.agents.roles.job import JobInput, restored, storable
from visionflow.agents.roles.measuring import (
    Review,
    Site,
    codes_at,
    review_at,
    site_of,
    stays_broken,
    test_at,
)
from visionflow.agents.roles.mending import Found, Made, find, make, write_out
from visionflow.agents.study.unused_imports import RULE as UNUSED_IMPORT
from visionflow.agents.study.unused_imports import Unused
from visionflow.agents.task import Task
from visionflow.agents.tools.codes import FileCode
from visionflow.agents.tools.patchgates import (
    Bisection,
    broken_tests,
    code_quality,
    lowers_coverage,
    real_delta,
    same_code,
    tells,
    told_apart,
)
from visionflow.agents.tools.project import Project
from visionflow.agents.tools.results import Progress, TestRun
from visionflow.domain.errors import CommandNotStarted, ConfinementUnavailable

ROUNDS_MAX = 8
"""So many rules may fail the gates; with one more the whole patch is given up."""
_NAMED_MAX = 3


class Wishes(msgspec.Struct, frozen=True):
    """What the coder's settings ask for."""

    python: bool = True
    linting: bool = True
    formatting: bool = True
    coverage_threshold: float | None = None
    timeout: float = 600.0
    """Seconds, for the tests and for each review tool."""


class _Verdict(msgspec.Struct, frozen=True):
    """What the gates say of a patch."""

    gates: dict[str, bool | None]
    why: str = ""
    """Of the first gate that failed."""
    broken: tuple[str, ...] = ()
    review: Review | None = None

    @property
    def passed(self) -> bool:
        return False not in self.gates.values()


class Patching:
    """One task of the coder's, step by step. Every value that a step takes is plain."""

    def __init__(
        self,
        agent: BaseAgent,
        task: Task,
        wishes: Wishes,
        given: dict[str, Any],
        ground: Ground,
        project: dict[str, Any],
    ) -> None:
        self.agent = agent
        self.task = task
        self.wishes = wishes
        self.given = given
        self.ground = ground
        self.project = project
        self.notes: list[str] = []
        self.dropped: list[Dropped] = []
        self.before: TestRun | None = None
        self.review: Review = Review((), 0)
        self.base = ground.snapshot

    async def change(self) -> Change:
        """What comes of it all."""
        self.agent.progress(0.05, "reviewing the code as it is")
        if not self.wishes.python:
            return self._nothing("nothing_to_do", "python is not among the languages it may fix")
        self.review = await self._review(self.ground.snapshot)
        found = await self._find()
        self.notes += found.notes
        self.base = found.base
        if found.ended != "completed":
            return self._nothing("could_not_run", found.reason or "ruff did not run")
        rules = found.rules
        if not rules:
            return self._nothing("nothing_to_do", "no finding has a safe mechanical fix")
        self.before = await self._tests_before()
        try:
            return await self._settle(found, rules)
        except (ConfinementUnavailable, CommandNotStarted) as error:
            return self._nothing("could_not_run", str(error))

    async def _settle(self, found: Found, rules: list[str]) -> Change:
        """Drop rules one by one until the rest passes the gates."""
        if not tells(self.before):
            rules = await self._harmless(found, rules)
        for _ in range(ROUNDS_MAX + 1):
            made = await self._make(found, rules)
            if not made.commits:
                break
            self.agent.progress(0.4, f"{len(made.commits)} commits: testing and reviewing them")
            verdict = await self._judge(made.tip)
            if verdict.passed:
                return await self._kept(made, verdict)
            rule = await self._at_fault(made, verdict)
            self.dropped.append(Dropped(rule, verdict.why))
            rules = [each for each in rules if each != rule]
        else:
            why = f"more than {ROUNDS_MAX} rules failed the gates"
            self.dropped += [Dropped(rule, why) for rule in rules]
        why = self.dropped[0].why if self.dropped else "ruff made none of its fixes"
        if not self.dropped:
            return self._nothing("nothing_to_do", why)
        return self._nothing("rejected", f"no fix passed the gates: {why}")

    async def _harmless(self, found: Found, rules: list[str]) -> list[str]:
        """Without tests only what compiles to the same is kept."""
        reason = self.before.reason if self.before and self.before.reason else "no test passed"
        self.notes.append(
            f"There are no tests to show that fixes change nothing ({reason}): only those that "
            "compile to the same code are kept."
        )
        made = await self._make(found, rules)
        kept: list[str] = []
        previous = found.base
        for commit in made.commits:
            codes = await self._codes(previous, commit.commit)
            previous = commit.commit
            if same_code(codes):
                kept.append(commit.rule)
            else:
                why = "it changes compiled code, and no tests can show that this changes nothing"
                self.dropped.append(Dropped(commit.rule, why))
        return kept

    async def _judge(self, tip: str) -> _Verdict:
        """Tests first: they say most."""
        gates: dict[str, bool | None] = {"tests": None, "findings": None}
        if self.before is not None and tells(self.before):
            after = await self._test(tip)
            broken = await self._broken(after)
            gates["tests"] = not broken
            if broken:
                return _Verdict(gates, _told_broken(broken, after), broken)
            lowered = lowers_coverage(self.before, after, self.wishes.coverage_threshold)
            if lowered is not None:
                gates["coverage"] = not lowered
            if lowered:
                return _Verdict(gates, _told_coverage(self.before, after))
        review = await self._review(tip)
        before, now = _runs(self.review), _runs(review)
        delta = real_delta(before, now)
        gates["findings"] = False if delta.new else True if told_apart(before, now) else None
        why = f"a finding is new: {_told_finding(delta.new[0])}" if delta.new else ""
        return _Verdict(gates, why, review=review)

    async def _at_fault(self, made: Made, verdict: _Verdict) -> str:
        """The rule after whose commit the gate that failed begins to fail."""
        search = Bisection(len(made.commits))
        while (at := search.next) is not None:
            commit = made.commits[at - 1].commit
            self.agent.progress(0.6, f"looking for the fix at fault: {verdict.why}")
            search.tell(at, await self._fails_at(commit, verdict))
        return made.commits[search.found - 1].rule

    async def _fails_at(self, commit: str, verdict: _Verdict) -> bool:
        assert self.before is not None or not verdict.broken
        if self.before is not None and verdict.broken:
            files = tuple(sorted({name.partition("::")[0] for name in verdict.broken}))
            after = await self._test(commit, files)
            return bool(set(broken_tests(self.before, after)) & set(verdict.broken))
        if self.before is not None and verdict.gates.get("coverage") is False:
            after = await self._test(commit)
            return lowers_coverage(self.before, after, self.wishes.coverage_threshold) is True
        return bool(real_delta(_runs(self.review), _runs(await self._review(commit))).new)

    async def _kept(self, made: Made, verdict: _Verdict) -> Change:
        self.agent.progress(0.9, "writing the patch")
        run = self.given["run"] or self.task.id
        written = await self.agent.step("write the patch", write_out, self.given, run, made.tip)
        review = verdict.review or self.review
        delta = real_delta(_runs(self.review), _runs(review))
        return Change(
            outcome="changed",
            base=made.base,
            branch=written["branch"],
            tip=made.tip,
            commits=made.commits,
            dropped=tuple(self.dropped),
            files=tuple(written["files"]),
            insertions=written["insertions"],
            deletions=written["deletions"],
            patch_sha256=written["sha256"],
            gates=verdict.gates,
            fixed=len(delta.gone),
            new=delta.new,
            code_quality=code_quality(_runs(review), review.lines),
            same_code=same_code(await self._codes(made.base, made.tip)),
            notes=tuple(self.notes),
        )

    def _nothing(self, outcome: Any, reason: str) -> Change:
        return Change(
            outcome=outcome,
            reason=reason,
            base=self.base,
            dropped=tuple(self.dropped),
            code_quality=code_quality(_runs(self.review), self.review.lines),
            notes=tuple(self.notes),
        )

    # Steps ---------------------------------------------------------------------------------

    async def _find(self) -> Found:
        allowed: dict[str, list[str]] = {}
        unused: list[Unused] = []
        ruff = [run for run in _runs(self.review) if run.tool == "ruff"]
        for finding in (each for run in ruff for each in run.findings):
            paths = allowed.setdefault(finding.rule, [])
            if finding.path not in paths:
                paths.append(finding.path)
            if finding.rule == UNUSED_IMPORT:
                unused.append((finding.path, finding.line, finding.message))
        reason = next((run.reason for run in ruff if run.ended != "completed"), None)
        if reason is not None:
            return Found(self.base, ended="not_run", reason=f"ruff did not complete: {reason}")
        value = await self.agent.step(
            "find what can be fixed", self._find_step, self.given, self.ground.worktree,
            self.project, allowed if self.wishes.linting else {}, unused, self.wishes.formatting,
        )  # fmt: skip
        return restored(value, Found)

    async def _find_step(
        self,
        given: dict[str, Any],
        worktree: str,
        project: dict[str, Any],
        allowed: dict[str, list[str]],
        unused: list[Any],
        formatting: bool,
    ) -> Any:
        site = site_of(given, worktree, project, "find", 0)
        named = msgspec.convert(unused, list[Unused])
        found = await find(self.agent.context.sandbox, site, allowed, named, formatting)
        return storable(found)

    async def _make(self, found: Found, rules: list[str]) -> Made:
        self.agent.progress(0.3, "making the fixes")
        value = await self.agent.step(
            "make the commits", self._make_step, self.given, self.project, storable(found), rules
        )
        return restored(value, Made)

    async def _make_step(
        self, given: dict[str, Any], project: dict[str, Any], found: Any, rules: list[str]
    ) -> Any:
        minor = restored(project, Project).python_minor_min
        job = msgspec.convert(given, JobInput)
        made = await make(self.agent.context.sandbox, job, restored(found, Found), rules, minor)
        return storable(made)

    async def _tests_before(self) -> TestRun:
        """Of the tester, where there was one; else made here."""
        known = gather(self.task.dependencies).tests
        return known if known is not None else await self._test(self.ground.snapshot)

    async def _test(self, commit: str, selection: tuple[str, ...] | None = None) -> TestRun:
        value = await self.agent.step(
            "run the tests", self._test_step, self._site(), commit,
            None if self.before is None or selection else storable(self.before), selection,
            self.wishes.coverage_threshold is not None,
        )  # fmt: skip
        return restored(value, TestRun)

    async def _test_step(
        self,
        site: dict[str, Any],
        commit: str,
        before: dict[str, Any] | None,
        selection: list[str] | None,
        measure: bool,
    ) -> Any:
        known = None if before is None else restored(before, TestRun)
        chosen = None if selection is None else tuple(selection)
        sandbox = self.agent.context.sandbox
        run = await test_at(
            sandbox, restored(site, Site), commit, known, chosen, self._tell, measure=measure
        )
        return storable(run)

    def _tell(self, now: Progress) -> None:
        total = "" if now.collected is None else f" of {now.collected}"
        failed = f", {now.failed} failed" if now.failed else ""
        self.agent.progress(0.5, f"{now.done}{total} tests on the fixed code{failed}")

    async def _broken(self, after: TestRun) -> tuple[str, ...]:
        assert self.before is not None
        if not broken_tests(self.before, after):
            return ()
        value = await self.agent.step(
            "look at what broke", self._broken_step, self._site(), self.ground.snapshot,
            storable(self.before), storable(after),
        )  # fmt: skip
        return tuple(value)

    async def _broken_step(
        self, site: dict[str, Any], base: str, before: dict[str, Any], after: dict[str, Any]
    ) -> Any:
        runs = restored(before, TestRun), restored(after, TestRun)
        sandbox = self.agent.context.sandbox
        return list(await stays_broken(sandbox, restored(site, Site), base, *runs))

    async def _review(self, commit: str) -> Review:
        value = await self.agent.step("review the code", self._review_step, self._site(), commit)
        return restored(value, Review)

    async def _review_step(self, site: dict[str, Any], commit: str) -> Any:
        return storable(await review_at(self.agent.context.sandbox, restored(site, Site), commit))

    async def _codes(self, before: str, after: str) -> dict[str, FileCode]:
        value = await self.agent.step(
            "compare compiled code", self._codes_step, self._site(), before, after
        )
        return msgspec.convert(value, dict[str, FileCode])

    async def _codes_step(self, site: dict[str, Any], before: str, after: str) -> Any:
        codes = await codes_at(self.agent.context.sandbox, restored(site, Site), before, after)
        return storable(codes)

    def _site(self) -> dict[str, Any]:
        wall_ms = int(self.wishes.timeout * 1000)
        return storable(site_of(self.given, self.ground.worktree, self.project, "measure", wall_ms))


def _runs(review: Review) -> tuple[ToolRun, ...]:
    return restored(review.tools, tuple[ToolRun, ...])


def _told_broken(broken: tuple[str, ...], after: TestRun) -> str:
    more = f" and {len(broken) - _NAMED_MAX} more" if len(broken) > _NAMED_MAX else ""
    named = ", ".join(broken[:_NAMED_MAX])
    ended = f" (the tests ended as {after.outcome})" if after.outcome != "failed" else ""
    return f"a test that passed does not any more: {named}{more}{ended}"


def _told_coverage(before: TestRun, after: TestRun) -> str:
    assert before.coverage is not None
    assert after.coverage is not None
    return f"coverage falls from {before.coverage:.1f} to {after.coverage:.1f} percent"


def _told_finding(finding: Finding) -> str:
    return f"{finding.path}:{finding.line} {finding.tool} {finding.rule}"
