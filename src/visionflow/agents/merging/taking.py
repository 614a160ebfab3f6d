"""What a merge queue has before it, from the results of the tasks before. Pure.

Each piece of work goes by the name of the task that was first to do it: what `again-api` did is the
work of `api`.
"""

from collections.abc import Sequence

import msgspec

from visionflow.agents.candidates.values import Attempted, Integrated, Outcome, Unmerged
from visionflow.agents.plans import AGAIN

_WORDS: dict[Outcome, str] = {
    "nothing_changed": "It changed nothing",
    "violation": "It did what it may not",
    "timed_out": "It took too long and was ended",
    "out_of_memory": "It took too much memory and was ended",
    "flooded": "It wrote too much output and was ended",
    "failed": "Its program failed",
}


class Taking(msgspec.Struct, frozen=True):
    """What there is to merge."""

    works: dict[str, Attempted]
    """Work that can be merged, by its first task, in order."""
    unmerged: tuple[Unmerged, ...]
    """What is not on the branch and of which there is nothing new to merge."""
    earlier: dict[str, Unmerged]
    """What had become before of each one in `works`, where it had been refused."""


def first_of(task: str) -> str:
    """The task that was first to do what this one does."""
    return task.removeprefix(AGAIN)


def taking(
    expected: Sequence[str], attempted: Sequence[Attempted], merges: Sequence[Integrated]
) -> Taking:
    """Sort out what came of the tasks before.

    `expected`: first tasks whose work there should be, in order; of others it is taken where it is
    there. `attempted` and `merges`: of the phases before, the earlier ones first.
    """
    landed = {each.task for merge in merges for each in merge.landed}
    before = {each.task: each for each in merges[-1].unmerged} if merges else {}
    latest: dict[str, Attempted] = {}
    for each in attempted:
        if each.outcome != "not_needed":
            latest[first_of(each.task)] = each
    names = [*dict.fromkeys((*expected, *latest))]
    works: dict[str, Attempted] = {}
    unmerged: dict[str, Unmerged] = dict(before)
    for name in names:
        each = latest.get(name)
        if name in landed:
            continue
        if each is None:
            unmerged.setdefault(name, _never(name))
        elif each.tip is not None and each.outcome == "changed" and not each.violations:
            works[name] = each
            unmerged.pop(name, None)
        else:
            unmerged[name] = again(_not_taken(name, each), before.get(name))
    return Taking(works, tuple(unmerged.values()), {k: v for k, v in before.items() if k in works})


def again(now: Unmerged, before: Unmerged | None) -> Unmerged:
    """Why work is not on the branch, where it had been refused before: what began it first. That a
    second go brought nothing does not cover up why there had to be one."""
    if before is None:
        return now
    empty = now.reason in ("failed", "not_attempted")
    return msgspec.structs.replace(
        now,
        reason=before.reason if empty else now.reason,
        message=f"{before.message} The second go: {now.message}",
        conflicts=now.conflicts or before.conflicts,
        ref=now.ref or before.ref,
    )


def at_odds(found: Unmerged, works: dict[str, Attempted], landed: Sequence[str]) -> Unmerged:
    """A conflict with the names of those whose work it is with, as far as their files tell."""
    paths = dict.fromkeys(each.path for each in found.conflicts)
    with_whom = [name for name in landed if set(works[name].files) & set(paths)]
    if found.reason != "conflict" or not with_whom:
        return found
    return msgspec.structs.replace(
        found,
        message=f"It is at odds with the work of {', '.join(with_whom)} in {', '.join(paths)}.",
    )


def _never(name: str) -> Unmerged:
    return Unmerged(
        name, "not_attempted", "Its agent came to no end of its own; why stands with the task."
    )


def _not_taken(name: str, each: Attempted) -> Unmerged:
    words = _WORDS.get(each.outcome, "It left nothing to merge")
    why = each.reason or "; ".join(one.message.rstrip(".") for one in each.violations)
    message = f"{words}: {why}".rstrip(".") if why else words
    reason = "violation" if each.outcome == "violation" or each.violations else "failed"
    return Unmerged(name, reason, f"{message}.", ref=each.ref)
