"""The exit codes of `visionflow run`, by name. docs/exit-codes.md tells the same to people."""

from enum import IntEnum

from visionflow.domain.errors import VisionFlowError


class ExitCode(IntEnum):
    """What the process ends with. Above 63 the numbers follow sysexits where one fits."""

    DONE = 0
    """The run completed and no gate failed; a gate may be unknown."""
    GATE_FAILED = 1
    USAGE = 2
    BLOCKED = 3
    """What was asked for can be done by nothing that is present. Nothing ran."""
    FAILED = 4
    """No part of the run came to an end, or it failed as a whole."""
    CANCELLED = 5
    UNMERGED = 6
    """The run completed and nothing that it took fails a gate, but a part of work that was split
    over agents is not in the result."""
    WORKSPACE = 66
    REFUSED = 69
    INTERNAL = 70
    OUTPUT = 73
    """The output folder cannot be written."""
    IN_USE = 75
    """Another process is working on this run."""
    CONFINEMENT = 77
    CONFIG = 78
    INTERRUPTED = 130
    """Stopped on request; the run can be resumed."""


def exit_code_of(error: BaseException) -> int:
    """The code for a command that ended with this error."""
    return error.status if isinstance(error, VisionFlowError) else ExitCode.INTERNAL


class OutputError(VisionFlowError):
    """The output folder cannot be made or written; the message says where and why."""

    code = "output"
    status = ExitCode.OUTPUT
