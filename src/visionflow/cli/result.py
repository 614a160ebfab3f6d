"""The result of a run on standard output: for a person in at most 25 lines, or one JSON object.

What a run's files hold is decided elsewhere (`visionflow.compose.job`); here it is only shown.
"""

import json
import shlex
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from visionflow.cli.terminal import Paint, colours, plain
from visionflow.compose.job import FINISHED, RunFolder
from visionflow.domain.errors import UnknownId

if TYPE_CHECKING:
    from visionflow.agents.report.values import RunView

INTERRUPTED = "Interrupted; it can be resumed."


def is_finished(folder: RunFolder) -> bool:
    """Whether the run is over, with a summary to show."""
    return folder.read_record().status in FINISHED and folder.read_summary() is not None


def show_result(folder: RunFolder, as_json: bool) -> None:
    """Print what a run came to, or as far as it came."""
    summary = folder.read_summary() if is_finished(folder) else None
    if as_json:
        print_json(summary if summary is not None else unfinished(folder))
    elif summary is not None:
        print("\n".join(lines_of(summary, folder, Paint(colours(sys.stdout)))), flush=True)


def print_json(value: object) -> None:
    """Print one object and nothing else."""
    print(json.dumps(value, ensure_ascii=True), flush=True)


def interrupted(stored: dict[str, Any]) -> "RunView":
    """The view of a run that was killed, from what it last wrote while it was under way."""
    import msgspec

    from visionflow.agents.report.view import from_json

    view = from_json(stored)
    return msgspec.structs.replace(view, status="interrupted", headline=INTERRUPTED)


def unfinished(folder: RunFolder) -> dict[str, Any]:
    """What `--json` says of a run that is not over: what is not known yet is null."""
    info = folder.info()
    known = folder.read_summary() or {"findings": None, "gates": None, "seconds": None}
    if known.get("status") == "running" and info.status == "interrupted":
        from visionflow.agents.report.view import as_json

        known = as_json(interrupted(known))
    return {
        **known,
        "run": info.run,
        "status": info.status,
        "out": info.out,
        "goal": info.goal,
        "started": info.started,
    }


def lines_of(summary: dict[str, Any], folder: RunFolder, paint: Paint) -> list[str]:
    """A finished run for a person, at most 25 lines."""
    from visionflow.agents.report.terminal import terminal_lines
    from visionflow.agents.report.view import from_json

    report = plain(str(folder.page)) if folder.page.exists() else None
    return terminal_lines(from_json(summary), paint, report)


def resume_command(folder: RunFolder) -> str:
    """The command that goes on with this run; for one of a server, what starts that again."""
    with suppress(UnknownId):
        if folder.read_order().served is not None:
            return "visionflow serve"
    return f"visionflow run --resume {folder.run} --out {shlex.quote(str(folder.path.parent))}"
