"""The end of a run: what it leaves is written once more, from the whole story, and marked as over.

Whoever is killed in the middle of this does all of it again: it makes the same from the same log.
"""

from contextlib import suppress

from visionflow.agents.workspace.files import remove_tree
from visionflow.compose.job.events import source_of, write_events
from visionflow.compose.job.folder import FINISHED, Order, RunFolder
from visionflow.compose.job.outputs import Outcome, outcome_of, summary_of, write_outputs
from visionflow.compose.job.secrecy import Secrecy
from visionflow.compose.job.story import Story
from visionflow.domain.errors import WorkspaceError
from visionflow.ports.blobs import Blobs


def conclude(
    folder: RunFolder, order: Order, story: Story, status: str, blobs: Blobs, secrecy: Secrecy
) -> Outcome:
    """Write the outputs and the status; nobody follows the log any more."""
    view = write_outputs(folder, order, story, status, blobs, secrecy)
    secrecy.clean_files()
    write_events(source_of(folder, order), order.plan, folder.events, secrecy.known)
    outcome = outcome_of(summary_of(view))
    folder.write_summary(outcome.summary)
    if status in FINISHED:
        _clear(folder)
    folder.mark(status)
    return outcome


def _clear(folder: RunFolder) -> None:
    """Remove copies of the workspace and tools' scratch; log and repository stay."""
    for left in (folder.state / "scratch", folder.state / "repository" / "worktrees"):
        with suppress(WorkspaceError, OSError):
            remove_tree(left)
