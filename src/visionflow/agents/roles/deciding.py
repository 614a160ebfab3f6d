"""Takes the best candidate: ranks what was judged, looks that the commits are there, names the
run's branch and writes the patch. What is taken, and in which order, is `ranking`'s.
"""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from visionflow.agents.candidates.ranking import FINDINGS, RESULT, TESTS, in_order, rank
from visionflow.agents.candidates.results import values_in
from visionflow.agents.candidates.values import (
    Attempted,
    Integrated,
    Judged,
    Landed,
    Unmerged,
)
from visionflow.agents.evidence import Change, FixCommit
from visionflow.agents.findings import portable_path
from visionflow.agents.roles.ground import repository_of
from visionflow.agents.roles.job import JobInput, storable
from visionflow.agents.tools.text import write_whole
from visionflow.agents.workspace.changes import altered, extent, name_branch, patch
from visionflow.agents.workspace.git import git
from visionflow.domain.errors import WorkspaceError

RULE = "candidate"
"""Of the commits of a change that a coding agent made."""
_TITLE_CHARS_MAX = 72
_YES_NO = {"approve": True, "reject": False, "abstain": None}


async def decide(given: dict[str, Any], results: Mapping[str, object]) -> Any:
    """The result of a task of type `rank`: a map with `ranking`, `change`, `snapshot`, `notes` and
    `warnings`. `results`: of the tasks before it, by task.

    Where nothing is taken the change is `rejected`, or `could_not_run` where there was nothing to
    choose from.

    Raises:
        WorkspaceError: a commit that is to be taken is not there, or git failed.
    """
    job = msgspec.convert(given, JobInput)
    opened = await repository_of(given)
    repository = opened.path
    attempted = values_in(results, "attempted", Attempted)
    judged = values_in(results, "judged", Judged)
    merges = in_order(values_in(results, "integrated", Integrated))
    found = rank(attempted, judged, merges, await _trees(repository, attempted))
    landed: tuple[Landed, ...] = ()
    if merges:
        landed, lost = await _confirmed(repository, merges)
        found = msgspec.structs.replace(found, unmerged=(*found.unmerged, *lost))
    if found.winner is None:
        outcome = "rejected" if found.order else "could_not_run"
        change = Change(outcome, found.why, base=_base(attempted, merges))
    else:
        base = _base(attempted, merges)
        if found.winner != RESULT:
            base = next(each.base for each in attempted if each.task == found.winner)
        verdict = next(each for each in judged if each.candidate == found.winner)
        change = await _taken(repository, job, verdict, base, landed)
        doubts = (
            f"No proof: `{each.command}` {each.doubt}." for each in verdict.accepted if each.doubt
        )
        change = msgspec.structs.replace(change, notes=(found.why, *doubts))
    return {
        "ranking": storable(found),
        "change": storable(change),
        "snapshot": opened.snapshot,
        "notes": [],
        "warnings": [],
    }


async def _trees(repository: Path, attempted: tuple[Attempted, ...]) -> dict[str, str]:
    """Of each candidate that changed something, the tree that it made."""
    return {
        each.task: await _id(repository, f"{each.tip}^{{tree}}")
        for each in attempted
        if each.tip is not None and each.outcome == "changed"
    }


async def _id(repository: Path, name: str) -> str:
    found = await git(repository, "rev-parse", "--verify", "--end-of-options", name)
    return found.decode("ascii").strip()


async def _confirmed(
    repository: Path, merges: tuple[Integrated, ...]
) -> tuple[tuple[Landed, ...], tuple[Unmerged, ...]]:
    """What landed, and what is said to have landed and is no ancestor of the result."""
    tip = merges[-1].tip
    landed: list[Landed] = []
    lost: list[Unmerged] = []
    for one in (one for each in merges for one in each.landed):
        if await _is_ancestor(repository, one.commit, tip):
            landed.append(one)
        else:
            why = f"its commit {one.commit[:12]} is no ancestor of the result {tip[:12]}"
            lost.append(Unmerged(one.task, "failed", why))
    return tuple(landed), tuple(lost)


async def _is_ancestor(repository: Path, commit: str, tip: str) -> bool:
    try:
        await git(repository, "merge-base", "--is-ancestor", commit, tip)
    except WorkspaceError:
        return False
    return True


def _base(attempted: tuple[Attempted, ...], merges: tuple[Integrated, ...]) -> str:
    if merges:
        return merges[0].base
    return next((each.base for each in attempted if each.base), "")


async def _taken(
    repository: Path, job: JobInput, verdict: Judged, base: str, landed: tuple[Landed, ...]
) -> Change:
    """The winner as a change that can be applied. `landed`: of split work its commits."""
    tip = verdict.tip
    assert tip is not None
    if not await _is_ancestor(repository, base, tip):
        raise WorkspaceError(
            f"{verdict.candidate} cannot be taken: its commit {tip[:12]} is not in the run's "
            f"private repository on {base[:12]}."
        )
    text = await patch(repository, base, tip)
    if job.patch is not None:
        write_whole(job.patch, text)
    size, files = await extent(repository, base, tip), await _files(repository, base, tip)
    ballots = {each.member: _YES_NO[each.choice] for each in verdict.ballots}
    return Change(
        "changed",
        base=base,
        branch=await name_branch(repository, job.run or "run", tip),
        tip=tip,
        commits=await _commits(repository, job, tip, files, landed),
        files=files,
        insertions=size.insertions,
        deletions=size.deletions,
        patch_sha256=hashlib.sha256(text).hexdigest(),
        gates={"tests": ballots.get(TESTS), "findings": ballots.get(FINDINGS)},
        new=verdict.gate.new if verdict.gate is not None else (),
    )


async def _commits(
    repository: Path, job: JobInput, tip: str, files: tuple[str, ...], landed: tuple[Landed, ...]
) -> tuple[FixCommit, ...]:
    if not landed:
        return (FixCommit(RULE, _title(job.goal), tip, files, 0),)
    return tuple(
        [
            FixCommit(RULE, each.task, each.commit, await _own(repository, each.commit), 0)
            for each in landed
        ]
    )


async def _own(repository: Path, commit: str) -> tuple[str, ...]:
    """The files that differ from the commit's parent."""
    return await _files(repository, f"{commit}^", commit)


async def _files(repository: Path, before: str, after: str) -> tuple[str, ...]:
    changed = await altered(repository, before, after)
    return tuple(portable_path(os.fsdecode(each.path)) for each in changed)


def _title(goal: str) -> str:
    line = goal.strip().partition("\n")[0]
    return line if len(line) <= _TITLE_CHARS_MAX else line[: _TITLE_CHARS_MAX - 1] + "…"
