"""How a role votes where its swarm asks for ballots: on a change by a measurement of its own kind,
on a review or a test run by doing it again.

Nothing is taken over from who made it: a measurement runs anew on a copy, and what is done again
is done in folders of the agent's own and without the cache. Who can measure nothing abstains.
"""

from collections.abc import Mapping
from typing import Any, cast

import msgspec

from visionflow.agents.base import BaseAgent, PermanentFailure
from visionflow.agents.evidence import Change
from visionflow.agents.findings import ToolRun
from visionflow.agents.report.gathering import gather
from visionflow.agents.roles.job import job_input
from visionflow.agents.roles.voting import measured
from visionflow.agents.task import Task
from visionflow.agents.tools.results import TestRun
from visionflow.agents.tools.review import merge_runs
from visionflow.agents.voting import Ballot, Proposal, ranked_by_bids
from visionflow.domain.errors import WorkspaceError

FINDINGS, TESTS, BEHAVIOUR = "findings", "tests", "behaviour"
REDONE = {FINDINGS: ("tools", "review_code"), TESTS: ("tests", "run_tests")}
"""By the measurement: where a result has what can be done again, and the type of that task."""
_ITS_OWN = ("repository", "scratch", "junit", "coverage", "cache", "patch")
_NAMED_MAX = 3


async def vote_of(agent: BaseAgent, proposal: Proposal, evidence: str) -> Ballot:
    """The agent's ballot, by its kind of measurement."""
    if proposal.bids:
        return ranked_by_bids(proposal)
    results = cast("Mapping[str, object]", proposal.results)
    given = cast("Mapping[str, Any]", proposal.of.get("inputs", {}))
    try:
        found = gather(results)
        if found.change is not None:
            return await _on_change(agent, proposal, given, found.change, found.tests, evidence)
        return await _again(agent, results, given, evidence)
    except (PermanentFailure, WorkspaceError) as error:
        return Ballot.abstain(f"It cannot be measured: {error}")


async def _on_change(
    agent: BaseAgent,
    proposal: Proposal,
    given: Mapping[str, Any],
    change: Change,
    tests: TestRun | None,
    evidence: str,
) -> Ballot:
    if change.outcome != "changed" or change.tip is None:
        return Ballot.abstain(f"Nothing was changed: {change.reason or change.outcome}.")
    made = next((each for each in given.values() if _is_job(each)), None)
    if made is None:
        return Ballot.abstain("It is not known in which repository the change is.")
    keys = {key: each for key, each in made.items() if key not in ("focus", "part", "change")}
    task = Task(id=f"{proposal.vote}-{agent.id}", type="vote", input=keys)
    job = job_input(task, agent.context.folder)
    own = msgspec.structs.replace(job, scratch=f"{job.scratch}/{proposal.vote}-{agent.id}")
    ballot = await measured(agent, own, change, tests, evidence)
    return Ballot(ballot.choice, evidence, ballot.reason, (), {**ballot.facts})


def _is_job(given: object) -> bool:
    return isinstance(given, dict) and "workspace" in given and "repository" in given


async def _again(
    agent: BaseAgent, results: Mapping[str, object], given: Mapping[str, Any], evidence: str
) -> Ballot:
    """Do again what is of the agent's own kind, and compare."""
    if evidence not in REDONE:
        return Ballot.abstain("There is no change in it, and nothing that this role does again.")
    key, kind = REDONE[evidence]
    compared = 0
    for name, result in results.items():
        if not isinstance(result, dict) or key not in result or name not in given:
            continue
        before = cast("dict[str, Any]", result)
        job = {k: v for k, v in given[name].items() if k not in _ITS_OWN}
        task = Task(id=f"again-{name}", type=kind, input=job)
        after = cast("dict[str, Any]", await agent.process_task(task))
        only_before, only_after = _difference(key, before, after)
        if only_before or only_after:
            if before.get("snapshot") != after.get("snapshot"):
                return Ballot.abstain(f"The workspace is another one by now than {name} saw.")
            said = "; ".join(
                f"{word}: {', '.join(some[:_NAMED_MAX])}"
                for word, some in (("not found again", only_before), ("not told", only_after))
                if some
            )
            return Ballot.reject(
                "reproduction",
                f"{name} done again differs. {said}"[:1_000],
                not_again=len(only_before),
                not_told=len(only_after),
            )
        compared += 1
    if not compared:
        return Ballot.abstain(f"None of its results is of a task of type {kind}.")
    return Ballot.approve("reproduction", "done again, it comes to the same", compared=compared)


def _difference(
    key: str, before: dict[str, Any], after: dict[str, Any]
) -> tuple[list[str], list[str]]:
    """What only one of two results has, in words."""
    one, other = _facts(key, before[key]), _facts(key, after[key])
    return sorted(one - other), sorted(other - one)


def _facts(key: str, value: Any) -> set[str]:
    if key == "tools":
        runs = merge_runs(msgspec.convert(value, list[ToolRun]))
        return {
            f"{each.path}:{each.line} {each.tool} {each.rule}"
            for run in runs
            for each in run.findings
        }
    outcomes = msgspec.convert(value, TestRun).outcomes
    return {f"{test} {outcome}" for test, outcome in outcomes.items()}
