"""The first job: test and review a repository. Creates, lists, carries out and resumes its runs.

A run is a folder (`RunFolder`). Nothing here reads a terminal or prints: faces do. Each name is
loaded when it is used, because the front process needs few of them and stays small.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from visionflow.compose.job.creating import DEFAULT_OUT, create_run
    from visionflow.compose.job.execution import execute
    from visionflow.compose.job.exits import ExitCode, OutputError, exit_code_of
    from visionflow.compose.job.folder import FINISHED, RunFolder, RunInfo
    from visionflow.compose.job.listing import find_run, list_runs
    from visionflow.compose.job.outputs import Outcome, outcome_of
    from visionflow.compose.job.progress import JobProgress, TaskProgress
    from visionflow.compose.job.trust import remember_trust, trusted

__all__ = [
    "DEFAULT_OUT",
    "FINISHED",
    "ExitCode",
    "JobProgress",
    "Outcome",
    "OutputError",
    "RunFolder",
    "RunInfo",
    "TaskProgress",
    "create_run",
    "execute",
    "exit_code_of",
    "find_run",
    "list_runs",
    "outcome_of",
    "remember_trust",
    "trusted",
]
_HOMES = {
    "creating": ("DEFAULT_OUT", "create_run"),
    "execution": ("execute",),
    "exits": ("ExitCode", "OutputError", "exit_code_of"),
    "folder": ("FINISHED", "RunFolder", "RunInfo"),
    "listing": ("find_run", "list_runs"),
    "outputs": ("Outcome", "outcome_of"),
    "progress": ("JobProgress", "TaskProgress"),
    "trust": ("remember_trust", "trusted"),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
