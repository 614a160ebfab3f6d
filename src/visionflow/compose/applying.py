"""Applies a run's change: reads what became of it from the run's log, then brings it in.

Whether it may be brought in is decided here, by the gates and the vote of the run; how, in
`visionflow.agents.workspace.applying`. Nothing is printed: that is the command line's.
"""

import asyncio
from pathlib import Path
from typing import ClassVar

import msgspec

from visionflow.adapters.files import FileBlobs
from visionflow.agents.report.commands import run_command
from visionflow.agents.report.facts import RunFacts
from visionflow.agents.workspace import PrivateRepository
from visionflow.agents.workspace.applying import Brought, bring_branch, change_files
from visionflow.compose.job.events import story_in
from visionflow.compose.job.exits import ExitCode
from visionflow.compose.job.folder import FINISHED, RunFolder
from visionflow.compose.job.outputs import facts_of
from visionflow.domain.errors import Refused, UnknownId


class NotAccepted(Refused):
    """A gate or the vote did not let the change through, and nobody insisted."""

    code: ClassVar[str] = "not_accepted"
    status: ClassVar[int] = ExitCode.GATE_FAILED


class Applied(msgspec.Struct, frozen=True):
    """What was brought in, and where."""

    run: str
    workspace: str
    """The user's folder."""
    brought: Brought
    insertions: int
    deletions: int
    forced: str | None = None
    """What stood against it, where somebody insisted."""


def apply_run(folder: RunFolder, *, to_working_tree: bool = False, force: bool = False) -> Applied:
    """Bring the change of a finished run into the folder that it worked on.

    Raises:
        Refused: the run is not over or made no change, or it does not fit what is there now.
        NotAccepted: a gate failed or the vote went against it, without `force`.
        WorkspaceError: the folder cannot be read or written.
    """
    facts = facts_in(folder)
    against = objection(facts)
    change = facts.change
    assert change is not None and change.tip is not None
    if against is not None and not force:
        raise NotAccepted(
            f"The change of {facts.run} was not accepted: {against}",
            hint="Look at it in changes.patch; --force brings it in all the same.",
        )
    repository = PrivateRepository.opened(folder.state / "repository")
    if repository is None:
        raise Refused(f"The repository of {facts.run} is gone from {folder.state}.")
    source = Path(facts.workspace)
    if to_working_tree:
        work = change_files(repository, source, change.base, change.tip)
    else:
        work = bring_branch(repository, source, facts.run, change.base, change.tip)
    return Applied(
        facts.run, facts.workspace, asyncio.run(work), change.insertions,
        change.deletions, against,
    )  # fmt: skip


def objection(facts: RunFacts) -> str | None:
    """What stands against bringing a run's change in; `None` where nothing does.

    Raises:
        Refused: there is no change that could be brought in.
    """
    change, vote = facts.change, facts.vote
    if facts.status not in FINISHED:
        raise Refused(
            f"The run {facts.run} is not over: it is {facts.status}.",
            hint=f"Go on with it: {run_command('run --resume', facts)}",
        )
    if change is None:
        raise Refused(
            f"The run {facts.run} made no change: its playbook ({facts.playbook or 'none'}) has no "
            "coder, or the coder did not come to an end.",
            hint='The playbooks fix and audit have one: visionflow run "Fix the findings".',
        )
    if change.outcome == "rejected" and change.tip is not None:
        return f"{change.reason or 'a gate failed'}."
    if change.outcome != "changed" or change.tip is None:
        raise Refused(
            f"The run {facts.run} made no change: {change.reason or change.outcome}.",
            hint="There is nothing to apply.",
        )
    failed = sorted(name for name, passed in change.gates.items() if passed is False)
    if failed:
        return f"its gates failed: {', '.join(failed)}."
    if vote is not None and vote.decision != "approved":
        against = [each for each in vote.ballots if each.choice == "reject"]
        reasons = "; ".join(f"{each.member}: {each.reason}" for each in against)
        how = vote.decision or "left open"
        return f"the reviewers' vote on it was {how}" + (f" ({reasons})." if reasons else ".")
    return None


def facts_in(folder: RunFolder) -> RunFacts:
    """Everything that a run's log tells.

    Raises:
        UnknownId: there is no run here, or it has no log yet.
    """
    order = folder.read_order()
    if not folder.log_of(order)[0].is_file():
        raise UnknownId(f"Nothing is recorded of the run {folder.run} yet.")
    story = story_in(folder, order)
    return facts_of(folder, order, story, folder.status(), FileBlobs(folder.blobs_of(order)))
