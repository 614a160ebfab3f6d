"""The job: audit, test, fix or explain a repository. Creates, lists and carries out its runs.

A run is a folder (`RunFolder`). Nothing here reads a terminal or prints: faces do. Each name is
loaded when it is used, because the front process needs few of them and stays small.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from visionflow.compose.job.coding import CodingWish
    from visionflow.compose.job.creating import (
        DEFAULT_OUT,
        Planned,
        UnsureOfPlaybook,
        create_run,
        make_plan,
    )
    from visionflow.compose.job.execution import execute
    from visionflow.compose.job.exits import ExitCode, OutputError, exit_code_of
    from visionflow.compose.job.folder import FINISHED, RunFolder, RunInfo
    from visionflow.compose.job.listing import find_run, list_runs
    from visionflow.compose.job.outputs import Outcome, outcome_of
    from visionflow.compose.job.planfile import plan_text, read_plan
    from visionflow.compose.job.progress import JobProgress, TaskProgress
    from visionflow.compose.job.trust import remember_trust, trusted

__all__ = [
    "DEFAULT_OUT",
    "FINISHED",
    "CodingWish",
    "ExitCode",
    "JobProgress",
    "Outcome",
    "OutputError",
    "Planned",
    "RunFolder",
    "RunInfo",
    "TaskProgress",
    "UnsureOfPlaybook",
    "create_run",
    "execute",
    "exit_code_of",
    "find_run",
    "list_runs",
    "make_plan",
    "outcome_of",
    "plan_text",
    "read_plan",
    "remember_trust",
    "trusted",
]
_HOMES = {
    "coding": ("CodingWish",),
    "creating": ("DEFAULT_OUT", "Planned", "UnsureOfPlaybook", "create_run", "make_plan"),
    "execution": ("execute",),
    "exits": ("ExitCode", "OutputError", "exit_code_of"),
    "folder": ("FINISHED", "RunFolder", "RunInfo"),
    "listing": ("find_run", "list_runs"),
    "outputs": ("Outcome", "outcome_of"),
    "planfile": ("plan_text", "read_plan"),
    "progress": ("JobProgress", "TaskProgress"),
    "trust": ("remember_trust", "trusted"),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
