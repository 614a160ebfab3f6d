"""Progress of a run on standard error: live on a terminal, else plain lines, one for each change.

What it shows comes from `visionflow.compose.job`; the result is not shown here.
"""

import math
import os
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from visionflow.agents.tools.text import one_line
from visionflow.cli.terminal import is_terminal, say
from visionflow.compose.job import JobProgress, TaskProgress

if TYPE_CHECKING:
    from rich.console import RenderableType

Show = Callable[[JobProgress], None]
REFRESHES_A_SECOND = 5
NOTE_MAX = 60
TOP_MAX = 100
BAR_CELLS = 16
WAITING = ("pending", "queued", "assigned")
"""Not worth a line, unless there is a reason for it."""
MARKS = {
    "completed": ("✓", "green"),
    "failed": ("✗", "red"),
    "dead_letter": ("✗", "red"),
    "cancelled": ("-", "yellow"),
    "blocked": ("!", "yellow"),
    "running": ("▸", "cyan"),
    "assigned": ("▸", "cyan"),
}


@contextmanager
def showing(wanted: bool) -> Generator[Show, None, None]:
    """The function that shows progress, for as long as the block lasts; it never fails."""
    if not wanted:
        yield lambda progress: None
    elif is_terminal(sys.stderr) and os.environ.get("TERM") != "dumb":
        with _live() as show:
            yield show
    else:
        yield Lines().show


class Lines:
    """One line for each phase that begins and each task whose status changed."""

    def __init__(self) -> None:
        self._phase: str | None = None
        self._statuses: dict[str, tuple[str, int | None]] = {}
        self._found = False

    def show(self, progress: JobProgress) -> None:
        """Say what changed since the last call."""
        at = f"[{progress.elapsed_s:6.1f} s]"
        if progress.phase != self._phase:
            self._phase = progress.phase
            say(f"{at} {one_line(progress.phase)}")
        for task in progress.tasks:
            if self._statuses.get(task.name) != (task.status, task.until_ms):
                self._statuses[task.name] = task.status, task.until_ms
                if task.note or task.status not in WAITING:
                    say(f"{at}   {_told(task)}")
        if progress.top and not self._found:
            self._found = True
            say(f"{at}   first findings{_found(progress.findings)}:")
            for line in progress.top:
                say(f"{' ' * len(at)}     {one_line(line, TOP_MAX)}")


def _told(task: TaskProgress) -> str:
    agent = f" ({one_line(task.agent)})" if task.agent else ""
    if task.until_ms is not None:
        return f"{one_line(task.name)}{agent} {_waiting(task, task.until_ms)}"
    note = f": {one_line(task.note, NOTE_MAX)}" if task.note and task.status != "completed" else ""
    return f"{one_line(task.name)}{agent} {task.status.replace('_', ' ')}{note}"


def _waiting(task: TaskProgress, until_ms: int) -> str:
    """How long a task still waits, and why."""
    note = one_line(task.note, NOTE_MAX)
    return f"waiting {_clock(until_ms / 1_000 - time.time())}{f' ({note})' if note else ''}"


def _clock(seconds: float) -> str:
    """A time to come, as 0:42 or 1:02:03; nothing is left of one that has passed."""
    minutes, left = divmod(max(0, math.ceil(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"


class _Screen:
    """What a live display draws; drawn again several times a second, so that time goes on."""

    def __init__(self) -> None:
        self._latest: tuple[JobProgress, float] | None = None
        self._lock = threading.Lock()

    def show(self, progress: JobProgress) -> None:
        with self._lock:
            self._latest = (progress, time.monotonic())

    def draw(self) -> "RenderableType":
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        with self._lock:
            latest = self._latest
        if latest is None:
            return Text("starting…", style="dim")
        progress, at = latest
        elapsed = progress.elapsed_s + time.monotonic() - at
        table = Table.grid(padding=(0, 1))
        title = Text(one_line(progress.phase, NOTE_MAX), style="bold")
        found = _found(progress.findings)
        table.add_row("", title, "", "", Text(f"{elapsed:.0f} s{found}", style="dim"))
        for task in progress.tasks:
            table.add_row(*_row(task))
        if not progress.top:
            return table
        found = [Text(f"  {one_line(line, TOP_MAX)}", style="dim") for line in progress.top]
        return Group(table, Text("  First findings", style="bold"), *found)


def _row(task: TaskProgress) -> "list[RenderableType]":
    from rich.text import Text

    mark, style = MARKS.get(task.status, ("·", "dim"))
    note = one_line(task.note, NOTE_MAX) if task.note else task.status.replace("_", " ")
    if task.until_ms is not None:
        mark, style, note = "…", "yellow", _waiting(task, task.until_ms)
    return [
        Text(mark, style=style),
        Text(one_line(task.name, NOTE_MAX)),
        Text(one_line(task.agent or "", NOTE_MAX), style="dim"),
        Text(_bar(task.fraction), style=style),
        Text(note, style="dim"),
    ]


def _found(count: int | None) -> str:
    return "" if count is None else f", {count} findings so far"


def _bar(fraction: float | None) -> str:
    if fraction is None:
        return ""
    full = round(min(max(fraction, 0.0), 1.0) * BAR_CELLS)
    return "━" * full + "╌" * (BAR_CELLS - full)


@contextmanager
def _live() -> Generator[Show, None, None]:
    from rich.console import Console
    from rich.live import Live

    screen = _Screen()
    console = Console(stderr=True)
    live = Live(
        console=console,
        get_renderable=screen.draw,
        refresh_per_second=REFRESHES_A_SECOND,
        redirect_stdout=False,
        redirect_stderr=False,
    )
    try:
        live.start()
    except OSError:
        yield lambda progress: None
        return
    try:
        yield screen.show
    finally:
        try:
            live.stop()
        except (OSError, ValueError):
            say("")
