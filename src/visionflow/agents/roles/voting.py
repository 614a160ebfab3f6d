"""How a reviewer votes on a change: by one measurement that it makes itself, anew, on the patch.

Which one is the member's focus: security looks at findings, maintainability at the project's own
tests, performance at what changed functions do. So the ballots rest on evidence that can differ.
Where a member can have no evidence it abstains and says why. Counting is the engine's job, and
whether there is a vote at all is `vote_needed`'s.
"""

from collections.abc import Mapping
from typing import Any, cast

from visionflow.agents.base import BaseAgent, PermanentFailure
from visionflow.agents.evidence import Ballot, Change, Choice, Focus
from visionflow.agents.findings import ToolRun
from visionflow.agents.report.gathering import gather
from visionflow.agents.report.trust import NO_VOTE
from visionflow.agents.roles.ground import Ground, look_at, prepare
from visionflow.agents.roles.job import JobInput, job_input, restored, storable
from visionflow.agents.roles.measuring import (
    Review,
    Site,
    behaviour_at,
    review_at,
    site_of,
    stays_broken,
    test_at,
)
from visionflow.agents.task import Task
from visionflow.agents.tools.behaviour import Behaviour
from visionflow.agents.tools.patchgates import real_delta, tells, told_apart, vote_needed
from visionflow.agents.tools.results import TestRun
from visionflow.domain.errors import CommandNotStarted, ConfinementUnavailable

WALL_S = 600.0
_EVIDENCE: Mapping[Focus, str] = {
    "security": "findings", "maintainability": "tests", "performance": "behaviour",
}  # fmt: skip
_NAMED_MAX = 3
Facts = dict[str, int | str | None]


async def ballot_of(agent: BaseAgent, task: Task) -> Any:
    """The agent's ballot on the change that the task names: a map with `ballot` (a `Ballot`; `None`
    where `vote_needed` says that there is no vote, and then `notes` has why), `snapshot`, `notes`
    and `warnings`. Results of the tasks before it are in `task.dependencies`.

    Raises:
        PermanentFailure: the task names no change, or no focus.
    """
    job = job_input(task, agent.context.folder)
    if job.focus is None:
        raise PermanentFailure(
            "A vote is cast with a focus, and the task names none.",
            hint=f"Give focus: {', '.join(_EVIDENCE)}.",
        )
    change = change_in(task.dependencies, job)
    if change is None:
        raise PermanentFailure(
            f"There is no change to vote on: no result of task {job.change!r} is here.",
            hint="Let the vote depend on a task of type 'fix'.",
        )
    member, evidence = job.member or agent.id, _EVIDENCE[job.focus]
    tests = gather(task.dependencies).tests
    needed, why = vote_needed(change, tests)
    if not needed or change.tip is None:
        agent.progress(1.0, NO_VOTE)
        return _told(None, (why,))
    ballot, voting = await _measured(agent, job, change, tests, evidence)
    told = Ballot(member, ballot.choice, evidence, ballot.reason, ballot.facts)
    return _told(told, voting.notes, voting.snapshot)


async def measured(
    agent: BaseAgent, job: JobInput, change: Change, tests: TestRun | None, evidence: str
) -> Ballot:
    """The agent's ballot on a change by one measurement: `findings`, `tests` or `behaviour`."""
    return (await _measured(agent, job, change, tests, evidence))[0]


async def _measured(
    agent: BaseAgent, job: JobInput, change: Change, tests: TestRun | None, evidence: str
) -> "tuple[Ballot, _Voting]":
    agent.progress(0.0, "preparing a copy of the workspace")
    voting = _Voting(agent, job, change, tests)
    try:
        choice, reason, facts = await voting.evidence(evidence)
    except (ConfinementUnavailable, CommandNotStarted) as error:
        choice, reason, facts = "abstain", str(error), {}
    agent.progress(1.0, f"{choice}: {reason}")
    return Ballot(agent.id, choice, evidence, reason, facts), voting


def change_in(results: Mapping[str, Any], job: JobInput) -> Change | None:
    """The change among the results of the tasks before: that of the task the job names, if any."""
    if job.change is not None:
        found = results.get(job.change)
        results = {} if found is None else {job.change: found}
    return gather(cast("Mapping[str, object]", results)).change


def _told(ballot: Ballot | None, notes: tuple[str, ...] = (), snapshot: str | None = None) -> Any:
    return {
        "ballot": None if ballot is None else storable(ballot),
        "snapshot": snapshot,
        "notes": list(notes),
        "warnings": [],
    }


class _Voting:
    """One member's look at one change."""

    def __init__(
        self, agent: BaseAgent, job: JobInput, change: Change, tests: TestRun | None
    ) -> None:
        assert change.tip is not None
        self.agent = agent
        self.given: dict[str, Any] = storable(job)
        self.name = f"vote-{job.focus}"
        self.base, self.tip = change.base, change.tip
        self.before = tests
        self.notes: tuple[str, ...] = ()
        self.snapshot: str | None = None
        self._site: dict[str, Any] = {}

    async def evidence(self, kind: str) -> tuple[Choice, str, Facts]:
        """What the measurement says: (choice, why, figures)."""
        made = await self.agent.step("prepare worktree", prepare, self.given, self.name)
        ground = restored(made, Ground)
        self.notes, self.snapshot = ground.notes, ground.snapshot
        project = await self.agent.step("look at the project", look_at, ground.worktree)
        timeout: object = self.agent.config.get("timeout")
        seconds = timeout if isinstance(timeout, int | float) and timeout > 0 else WALL_S
        site = site_of(self.given, ground.worktree, project, self.name, int(1000 * seconds))
        self._site = storable(site)
        if kind == "findings":
            return of_findings(*[await self._review(each) for each in (self.base, self.tip)])
        if kind == "tests":
            return await self._tests()
        value = await self.agent.step(
            "compare behaviour", self._behaviour_step, self._site, self.base, self.tip
        )
        return of_behaviour(restored(value, Behaviour))

    async def _tests(self) -> tuple[Choice, str, Facts]:
        before = self.before or await self._test(self.base, None)
        if not tells(before):
            return "abstain", f"no test can show anything: {before.reason or before.outcome}", {}
        after = await self._test(self.tip, before)
        value = await self.agent.step(
            "look at what broke", self._broken_step, self._site, self.base, storable(before),
            storable(after),
        )  # fmt: skip
        return of_tests(before, after, tuple(value))

    # Steps ---------------------------------------------------------------------------------

    async def _test(self, commit: str, before: TestRun | None) -> TestRun:
        known = None if before is None else storable(before)
        value = await self.agent.step("run the tests", self._test_step, self._site, commit, known)
        return restored(value, TestRun)

    async def _test_step(
        self, site: dict[str, Any], commit: str, before: dict[str, Any] | None
    ) -> Any:
        known = None if before is None else restored(before, TestRun)
        return storable(
            await test_at(self.agent.context.sandbox, restored(site, Site), commit, known)
        )

    async def _broken_step(
        self, site: dict[str, Any], base: str, before: dict[str, Any], after: dict[str, Any]
    ) -> Any:
        runs = restored(before, TestRun), restored(after, TestRun)
        sandbox = self.agent.context.sandbox
        return list(await stays_broken(sandbox, restored(site, Site), base, *runs))

    async def _review(self, commit: str) -> tuple[ToolRun, ...]:
        value = await self.agent.step("review the code", self._review_step, self._site, commit)
        return restored(restored(value, Review).tools, tuple[ToolRun, ...])

    async def _review_step(self, site: dict[str, Any], commit: str) -> Any:
        return storable(await review_at(self.agent.context.sandbox, restored(site, Site), commit))

    async def _behaviour_step(self, site: dict[str, Any], base: str, tip: str) -> Any:
        sandbox = self.agent.context.sandbox
        return storable(await behaviour_at(sandbox, restored(site, Site), base, tip))


def of_findings(
    before: tuple[ToolRun, ...], after: tuple[ToolRun, ...]
) -> tuple[Choice, str, Facts]:
    """Reject where a finding is new; abstain where a tool did not complete on both sides."""
    delta = real_delta(before, after)
    facts: Facts = {"new": len(delta.new), "gone": len(delta.gone)}
    if delta.new:
        first = delta.new[0]
        named = f"{first.path}:{first.line} {first.tool} {first.rule}"
        some = (
            "a finding is new:" if len(delta.new) == 1 else f"{len(delta.new)} are new, the first"
        )
        return "reject", f"{some} {named}", facts
    if not told_apart(before, after):
        failed = sorted({run.tool for run in (*before, *after) if run.ended != "completed"})
        return "abstain", f"a tool did not complete: {', '.join(failed)}", facts
    return "approve", f"no finding is new, and {len(delta.gone)} are gone", facts


def of_tests(before: TestRun, after: TestRun, broken: tuple[str, ...]) -> tuple[Choice, str, Facts]:
    """Reject where a test broke; abstain where no test ran on the patched tree for another
    reason than the patch."""
    passed = sum(outcome == "passed" for outcome in before.outcomes.values())
    facts: Facts = {"passed_before": passed, "broken": len(broken)}
    if after.enforced is None:
        return "abstain", f"the tests were not started: {after.reason or after.outcome}", facts
    if broken:
        more = f" and {len(broken) - _NAMED_MAX} more" if len(broken) > _NAMED_MAX else ""
        named = ", ".join(broken[:_NAMED_MAX])
        return "reject", f"a test that passed does not any more: {named}{more}", facts
    return "approve", f"all {passed} tests that passed still do", facts


def of_behaviour(found: Behaviour) -> tuple[Choice, str, Facts]:
    """Reject where a function does something else; abstain where none could be compared."""
    facts: Facts = {
        "changed": len(found.changed),
        "compared": len(found.compared),
        "differing": len(found.differing),
        "not_comparable": len(found.not_comparable),
        "calls": found.calls,
    }
    if found.same_code:
        return "approve", "every changed file compiles to what it did before", facts
    if found.differing:
        first = found.differing[0]
        place = f"{first.path}:{first.function}({first.call})"
        told = f"{place} was {first.before} and is {first.after}"
        count = len(found.differing)
        some = "a function does" if count == 1 else f"{count} functions do"
        return "reject", f"{some} something else: {told}", facts
    if not found.compared:
        why = found.not_comparable[0][1] if found.not_comparable else "none changed"
        return "abstain", f"no changed function could be compared: {why}", facts
    others = len(found.changed) - len(found.compared)
    count = len(found.compared)
    some = "1 function" if count == 1 else f"{count} functions"
    told = f"{some} of the changed modules: the same in {found.calls} calls"
    return "approve", told + (f"; of {others} others nothing can be told" if others else ""), facts


__all__ = [
    "ballot_of",
    "change_in",
    "measured",
    "of_behaviour",
    "of_findings",
    "of_tests",
    "vote_needed",
]
