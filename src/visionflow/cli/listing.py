"""What is known of runs: the list, and one of them as far as it is."""

import sys
from pathlib import Path

from visionflow.agents.tools.text import one_line
from visionflow.cli.result import (
    interrupted,
    is_finished,
    print_json,
    resume_command,
    unfinished,
)
from visionflow.cli.terminal import Paint, colours, plain
from visionflow.compose.job import RunFolder, RunInfo, find_run, list_runs

GOAL_MAX = 60
STYLES = {"completed": "good", "running": "bold", "interrupted": "unsure"}


def print_runs(out: Path, as_json: bool) -> None:
    """All runs below `out`, newest first."""
    found = list_runs(out)
    if as_json:
        print_json({"runs": [_object(info) for info in found]})
        return
    paint = Paint(colours(sys.stdout))
    for info in found:
        status = paint(STYLES.get(info.status, "bad"), f"{one_line(info.status):<11}")
        started = one_line(info.started)[:16].replace("T", " ")
        print(f"{one_line(info.run)}  {status}  {started}  {one_line(info.goal, GOAL_MAX)}")
    if not found:
        print(f"No runs in {plain(str(out))}.")


def _object(info: RunInfo) -> dict[str, str]:
    return {
        "run": info.run,
        "status": info.status,
        "out": info.out,
        "goal": info.goal,
        "started": info.started,
    }


def print_run(out: Path, name: str, as_json: bool) -> None:
    """The report of a run, or what there is of it.

    Raises:
        UnknownId: there is no such run, or more than one.
    """
    folder = find_run(out, name)
    done = is_finished(folder)
    if as_json:
        print_json(folder.read_summary() if done else unfinished(folder))
        return
    if folder.report.is_file():
        # Its texts were made harmless when it was written; this is for files that were changed.
        print(plain(_report(folder)), end="")
    if not done:
        print("\n".join(_so_far(folder)))


def _report(folder: RunFolder) -> str:
    """The report as it was last written; of a run that nobody works on any more it says so."""
    stored, status = folder.read_summary(), folder.status()
    if stored is not None and stored.get("status") == "running" and status == "interrupted":
        from visionflow.agents.report.markdown import report_markdown

        return report_markdown(interrupted(stored))
    return folder.report.read_text(encoding="utf-8", errors="replace")


def _so_far(folder: RunFolder) -> list[str]:
    info = folder.info()
    lines = [
        f"Run {one_line(info.run)}: {one_line(info.status)}",
        f"Goal: {one_line(info.goal)}",
        f"Started: {one_line(info.started)}",
        f"Folder: {plain(info.out)}",
        *_tasks(folder.state / "log.db"),
    ]
    if info.status == "interrupted":
        lines.append(f"Resume with: {resume_command(folder)}")
    return lines


def _tasks(log: Path) -> list[str]:
    """The tasks as the log has them now, and how many steps of each are done."""
    if not log.is_file():
        return ["Nothing is recorded yet."]
    from visionflow.adapters.sqlite.log import SqliteLog
    from visionflow.runtime.recovery import replay

    reader = SqliteLog.open(log, read_only=True)
    try:
        states = [replay(reader, stream)[0] for stream in reader.streams()]
    finally:
        reader.close()
    return [
        f"  {one_line(task.spec.description or task.spec.id, 40)}: {task.status}, "
        f"attempt {task.attempt}, {len(task.steps or ())} steps done"
        for state in states
        for task in state.tasks.values()
    ]
