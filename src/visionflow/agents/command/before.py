"""What a coding agent begins on, and what it is told beside its goal.

The first of a run begins on the workspace as it was found. What comes after merges begins on what
they made; a task that is done once more gets both sides of what kept it from being merged.
"""

from collections.abc import Iterable, Mapping
from typing import Any, cast

import msgspec

from visionflow.agents.candidates.values import Integrated, Sides, Unmerged
from visionflow.agents.roles.job import JobInput
from visionflow.agents.storing import restored
from visionflow.agents.workspace.changes import PATCH_OPTIONS, start_of
from visionflow.agents.workspace.git import git
from visionflow.agents.workspace.repository import PrivateRepository
from visionflow.domain.errors import WorkspaceError

PATCH_CHARS_MAX = 30_000
SIDE_CHARS_MAX = 8_000


class Begun(msgspec.Struct, frozen=True):
    """Where an attempt begins."""

    base: str
    """A commit of the private repository."""
    context: str = ""
    not_needed: str | None = None
    """Why nobody has to do anything."""


async def begun(
    repository: PrivateRepository, job: JobInput, dependencies: Mapping[str, Any]
) -> Begun:
    """Where the task begins, by the results of those before it.

    Raises:
        WorkspaceError: git failed.
    """
    merges = in_order(merges_in(dependencies.values()))
    base = merges[-1].tip if merges else await start_of(repository)
    parts = [_accept(job.accept)]
    if job.of is not None:
        missed = _missed(merges, job.of)
        if missed is None:
            return Begun(base, not_needed=f"{job.of} is merged already.")
        parts.append(_again(missed, await _patch(repository, missed.ref)))
    return Begun(base, "\n\n".join(part for part in parts if part))


def merges_in(results: Iterable[Any]) -> list[Integrated]:
    """What merge queues did, among the results of other tasks."""
    found: list[Integrated] = []
    for each in results:
        if isinstance(each, dict):
            value = cast("dict[str, Any]", each).get("integrated")
            if value is not None:
                found.append(restored(value, Integrated))
    return found


def in_order(merges: list[Integrated]) -> list[Integrated]:
    """The same as they followed each other: each begins where the one before it ended."""
    rest, ordered = list(merges), list[Integrated]()
    while rest:
        tips = {each.tip for each in rest if each.tip != each.base}
        first = next((each for each in rest if each.base not in tips), rest[0])
        rest.remove(first)
        ordered.append(first)
    return ordered


def _missed(merges: list[Integrated], task: str) -> Unmerged | None:
    """Why the task is not merged, as the last one that knew of it says; `None`: it is."""
    for each in reversed(merges):
        if any(landed.task == task for landed in each.landed):
            return None
        for unmerged in each.unmerged:
            if unmerged.task == task:
                return unmerged
    return None


def _accept(commands: tuple[str, ...]) -> str:
    if not commands:
        return ""
    return "\n".join(
        ("These command lines have to end with 0 on the result:", *(f"  {c}" for c in commands))
    )


def _again(missed: Unmerged, patch: str) -> str:
    """What an agent has to know to do a task once more."""
    lines = [
        f"This was done before, and could not be merged ({missed.reason}): {missed.message}",
        "The folder holds the merged state by now. Do the task on it, and keep what is there.",
    ]
    lines += [_sides(each) for each in missed.conflicts]
    if patch:
        lines += ["The change that could not be merged:", "```diff", patch, "```"]
    return "\n".join(lines)


def _sides(sides: Sides) -> str:
    parts = [f"Conflict in {sides.path} ({sides.kind}):"]
    for name, text in (
        ("As it is in the folder now", sides.ours),
        ("As the change had it", sides.theirs),
        ("As both began", sides.base),
    ):
        if text is None:
            parts.append(f"{name}: gone, or no text.")
        else:
            parts += [f"{name}:", "```", text[:SIDE_CHARS_MAX], "```"]
    return "\n".join(parts)


async def _patch(repository: PrivateRepository, ref: str | None) -> str:
    """The kept change as a patch, cut; empty where it is not there any more."""
    if ref is None:
        return ""
    try:
        found = await git(repository.path, "diff-tree", *PATCH_OPTIONS, f"{ref}^", ref)
    except WorkspaceError:
        return ""
    text = found.decode("utf-8", "replace")
    return text if len(text) <= PATCH_CHARS_MAX else text[:PATCH_CHARS_MAX] + "\n[cut]"
