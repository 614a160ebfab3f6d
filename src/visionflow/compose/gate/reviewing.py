"""The review tools over the changed files of both sides."""

import asyncio
import os
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path

import msgspec

from visionflow.agents.evidence import Part
from visionflow.agents.findings import ToolRun, portable_path
from visionflow.agents.tools.delta import FileDiff
from visionflow.agents.tools.project import Project
from visionflow.agents.tools.review import ReviewRequest, merge_runs, review
from visionflow.agents.tools.text import read_plain
from visionflow.agents.tools.tree import FILE_BYTES_MAX
from visionflow.compose.gate.state import State
from visionflow.domain.errors import ConfinementUnavailable
from visionflow.ports.sandbox import Sandbox

WALL_MS = 300_000
_JOBS = 2
_PART_MAX = 100
"""With more files it costs less to look at all of them."""
_LINES_FILES = 256


class Side(msgspec.Struct, frozen=True):
    """A copy of one side, read as a project."""

    name: str
    folder: Path
    project: Project
    digests: dict[str, str]
    """Of its files, as `portions.digest_of` gives them."""

    def request(
        self, state: State, files: Iterable[str], cache: str | None, trusted: bool
    ) -> ReviewRequest:
        """A review of these files, with the rest of the project around them."""
        chosen = tuple(sorted(files))
        return ReviewRequest(
            worktree=str(self.folder),
            project=self.project,
            part=Part("changed", chosen) if len(chosen) <= _PART_MAX else None,
            depth="thorough",
            scratch=str(state.scratch / self.name),
            wall_ms=WALL_MS,
            cache=cache,
            trusted=trusted,
            jobs=_JOBS,
            digests=self.digests,
        )


Reviewed = tuple[tuple[ToolRun, ...], tuple[ToolRun, ...]]
"""The tools' runs on base and on the working tree."""


async def review_both(
    sandbox: Sandbox,
    state: State,
    base: Side,
    head: Side,
    diff: Iterable[FileDiff],
    besides: Iterable[str],
    cache: str | None,
    trusted: bool,
) -> Reviewed:
    """The tools' runs on base and on the working tree. `besides`: more files of the latter.

    Raises:
        ConfinementUnavailable: nothing here can hold the tools, so nothing was looked at.
    """
    files = [each for each in diff if not each.module]
    old = {each.old for each in files if each.old is not None}
    new = {each.new for each in files if each.new is not None} | set(besides)

    async def runs(side: Side, chosen: set[str]) -> tuple[ToolRun, ...]:
        if not chosen:  # A part without a folder would be all of it.
            return ()
        return merge_runs(await review(sandbox, side.request(state, chosen, cache, trusted)))

    before, after = await asyncio.gather(runs(base, old), runs(head, new))
    if after and all(run.ended == "not_run" for run in after):
        raise ConfinementUnavailable(
            f"The change was not looked at: {after[0].reason}",
            hint="`--trust` runs the tools and tests also where nothing confines them.",
        )
    return before, after


def line_text(side: Side) -> Callable[[str, int], str]:
    """Gives lines of a copy, by the path that a finding has."""
    names = {portable_path(path): path for path in side.project.tree.python}

    @lru_cache(_LINES_FILES)
    def lines(path: str) -> list[bytes]:
        place = os.path.join(side.folder, names.get(path, path))
        return (read_plain(place, FILE_BYTES_MAX) or b"").split(b"\n")

    def text(path: str, line: int) -> str:
        held = lines(path)
        return held[line - 1].decode("utf-8", "replace") if 0 < line <= len(held) else ""

    return text


def imports_changed(side: Side, diff: Iterable[FileDiff]) -> bool:
    """Whether a changed line of a Python file could be an import."""
    for each in diff:
        if each.new is None or not each.new.endswith(".py") or not each.added:
            continue
        content = read_plain(os.path.join(side.folder, each.new), FILE_BYTES_MAX) or b""
        lines = content.split(b"\n")
        for span in each.added:
            if any(b"import" in line for line in lines[span.first - 1 : span.end - 1]):
                return True
    return False
