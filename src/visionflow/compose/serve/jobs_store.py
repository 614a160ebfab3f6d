"""Runs of a server on disk: made before their plan is handed in, and found again after a crash.

A file in `open_runs` stands for each run that is not concluded, so that a restart looks at those
alone, however many there were before.
"""

import os
import shutil
from contextlib import suppress
from pathlib import Path

from visionflow.adapters.files import Disk
from visionflow.compose.job.creating import write_run
from visionflow.compose.job.folder import FINISHED, Order, RunFolder
from visionflow.domain.errors import UnknownId
from visionflow.interfaces.jobs import Report

TASK, RUN = "task_", "run_"


def run_of(root: str) -> str:
    """The run of a root task: the same time and chance."""
    return RUN + root.removeprefix(TASK)


class RunStore:
    """The runs under a server's folder. Every method blocks; from any thread."""

    def __init__(self, runs: Path, open_runs: Path) -> None:
        self._runs = runs
        self._open = open_runs

    def folder(self, root: str) -> RunFolder | None:
        """The folder of the run of this task, if it has one."""
        name = run_of(root)
        if not root.startswith(TASK) or os.path.basename(name) != name:
            return None
        folder = RunFolder(self._runs / name)
        return folder if (folder.path / "run.json").is_file() else None

    def place(self, root: str) -> RunFolder:
        """Where the run of this task is to be."""
        return RunFolder(self._runs / run_of(root))

    def write(self, folder: RunFolder, order: Order) -> None:
        """Promise a run: from now on a restart takes it up.

        Raises:
            OutputError: it cannot be written.
        """
        self._open.mkdir(parents=True, exist_ok=True)
        (self._open / folder.run).touch()
        write_run(folder, order)
        disk = Disk()
        for path in (folder.state / "order.json", folder.path / "run.json", folder.plan):
            disk.sync(path)
        for path in (folder.state, folder.path, self._runs, self._open):
            disk.sync_folder(path)

    def concluded(self, folder: RunFolder) -> None:
        """Nothing more is to be done for it."""
        (self._open / folder.run).unlink(missing_ok=True)

    def drop(self, folder: RunFolder) -> None:
        """It never came to be: nobody was told of it."""
        shutil.rmtree(folder.path, ignore_errors=True)
        self.concluded(folder)

    def unfinished(self) -> list[tuple[RunFolder, Order]]:
        """Runs that are not concluded, oldest first."""
        found: list[tuple[RunFolder, Order]] = []
        names = sorted(os.listdir(self._open)) if self._open.is_dir() else []
        for name in names:
            folder = RunFolder(self._runs / name)
            if not folder.is_whole:
                self.drop(folder)  # Killed before it was there: nobody was told of it.
                continue
            try:
                record, order = folder.read_record(), folder.read_order()
            except UnknownId:
                continue  # Written by another version: it stays as it is.
            if record.status in FINISHED:
                self.concluded(folder)
            else:
                found.append((folder, order))
        return found

    def report(self, root: str) -> Report | None:
        """What the run of this task left by now."""
        folder = self.folder(root)
        return None if folder is None else self._report(folder, folder.read_summary())

    def all(self) -> list[Report]:
        """All runs, newest first."""
        found: list[Report] = []
        names = sorted(os.listdir(self._runs), reverse=True) if self._runs.is_dir() else []
        for name in names:
            with suppress(UnknownId):
                found.append(self._report(RunFolder(self._runs / name), None))
        return found

    def _report(self, folder: RunFolder, summary: "dict[str, object] | None") -> Report:
        status = folder.read_record().status
        return Report(run=folder.run, folder=folder.path, status=status, summary=summary)
