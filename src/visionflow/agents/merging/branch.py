"""The merge queue's side of git: work is merged onto a commit of the private repository."""

from collections.abc import Mapping
from pathlib import Path

from visionflow.agents.candidates.values import Sides
from visionflow.agents.merging.queue import Conflicts
from visionflow.agents.workspace.merging import Work, merge, put_on


class Branch:
    """Merges the work of tasks onto commits; nothing of it is a branch until somebody names it."""

    def __init__(self, repository: Path, works: Mapping[str, Work]) -> None:
        self._repository = repository
        self._works = works

    async def merge(self, onto: str, task: str) -> str | Conflicts:
        """The commit with the task's work on top, or what the two are at odds about.

        Raises:
            WorkspaceError: git failed.
        """
        work = self._works[task]
        merged = await merge(self._repository, onto, work.commit)
        if merged.tree is None:
            return tuple(
                Sides(each.path, each.ours, each.theirs, each.base, each.kind)
                for each in merged.conflicts
            )
        return await put_on(self._repository, onto, merged.tree, work)
