"""The first job: test and review a repository. Creates, lists, carries out and resumes its runs.

A run is a folder (`RunFolder`). Nothing here reads a terminal or prints: faces do.
"""

from visionflow.compose.job.creating import DEFAULT_OUT, create_run
from visionflow.compose.job.execution import execute
from visionflow.compose.job.exits import ExitCode, OutputError, exit_code_of
from visionflow.compose.job.folder import FINISHED, RunFolder, RunInfo
from visionflow.compose.job.listing import find_run, list_runs
from visionflow.compose.job.outputs import Outcome
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
    "remember_trust",
    "trusted",
]
