"""A pytest plugin that writes down each result as it happens.

It is copied beside a strange project and loaded by that project's pytest, never imported by
VisionFlow; it must run on every Python that pytest runs on. Each event is one JSON line, written
with one call, so that what finished before a crash or a hang is known. It also ends the run with
an interrupt shortly before the wall clock would end it by force: pytest then writes its results.
And it leaves out the tests that were not chosen (`selecting` says which).
"""

from __future__ import annotations

import json
import os
import platform
import signal
import sys
import time
import unittest
from functools import partial
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path
    from types import FrameType
    from typing import Any

_TEXT_MAX = 6_000
_ID_MAX = 500
"""Longer ids are known by their beginning."""
_clock = partial(time.clock_gettime, time.CLOCK_MONOTONIC)
"""Tests freeze and turn Python's clocks, and pytest's durations with them; not this one."""
_COVERAGE_OPTIONS = (
    ("--cov", True), ("--cov-report", True), ("--cov-config", True), ("--cov-fail-under", True),
    ("--cov-context", True), ("--cov-append", False), ("--cov-branch", False),
    ("--no-cov", False), ("--no-cov-on-fail", False), ("--cov-reset", False),
)  # fmt: skip


def pytest_addoption(parser: pytest.Parser) -> None:
    """Accept pytest-cov's options where it is absent: VisionFlow measures coverage itself."""
    if os.environ.get("VISIONFLOW_ACCEPT_COV") != "1":
        return
    group = parser.getgroup("visionflow")
    for name, has_value in _COVERAGE_OPTIONS:
        if not has_value:
            group.addoption(name, action="store_true", default=False)
        elif name in ("--cov", "--cov-report"):
            group.addoption(name, action="append", nargs="?", const="", default=[])
        else:
            group.addoption(name, action="store", default=None)


def pytest_configure(config: pytest.Config) -> None:
    """Start writing, in the one process that hears every result."""
    path = os.environ.get("VISIONFLOW_TEST_LOG")
    log = _Log(path) if path and not hasattr(config, "workerinput") else None
    if log is not None:
        config.pluginmanager.register(log, "visionflow-testlog-events")
    modern = int(pytest.__version__.partition(".")[0]) >= 7
    if modern:
        config.pluginmanager.register(_Links(str(config.rootpath), log), "visionflow-links")
    chosen = os.environ.get("VISIONFLOW_CHOICE")
    if not chosen:
        return
    with open(chosen, encoding="utf-8") as file:
        choice = json.load(file)
    config.pluginmanager.register(_Choice(choice), "visionflow-choice")
    if modern and choice["files"] is not None:
        files = _Files(str(config.rootpath), choice["files"])
        config.pluginmanager.register(files, "visionflow-files")


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Spare the tests that do not use hypothesis the import of it.

    Its plugin would import all of it to say at the end that it has nothing to say, which takes
    longer than many a suite.
    """
    plugins = session.config.pluginmanager
    if "hypothesis" in sys.modules or plugins.has_plugin("dsession"):
        return
    quiet = plugins.get_plugin("hypothesispytest")
    if quiet is not None:
        plugins.unregister(quiet)


class _Links:
    """Keeps collection from following links to folders that lead out of the project or up in it.

    Pytest would find the same tests again at every turn of a loop, and strangers' tests outside.
    """

    def __init__(self, root: str, log: _Log | None) -> None:
        self.root = os.path.join(os.path.realpath(root), "")
        self.log = log

    def pytest_ignore_collect(self, collection_path: Path) -> bool | None:
        if not collection_path.is_symlink() or not collection_path.is_dir():
            return None
        target = os.path.join(os.path.realpath(collection_path), "")
        here = os.path.join(os.path.realpath(collection_path.parent), "")
        if target.startswith(self.root) and not here.startswith(target):
            return None
        if self.log is not None:
            self.log.write("link", id=os.path.relpath(collection_path, self.root))
        return True


class _Files:
    """Keeps collection to some files, and to the folders that lead to them."""

    def __init__(self, root: str, files: list[str]) -> None:
        self.root = root
        self.keep = {".", *files}
        for path in files:
            folders = path.split("/")[:-1]
            self.keep.update("/".join(folders[: end + 1]) for end in range(len(folders)))

    def pytest_ignore_collect(self, collection_path: Path) -> bool | None:
        place = os.path.relpath(collection_path, self.root).replace(os.sep, "/")
        return None if place in self.keep or place.startswith("../") else True


class _Choice:
    """Leaves out the tests that were not chosen, after all else that picks and orders them."""

    def __init__(self, choice: dict[str, Any]) -> None:
        self.choice = choice

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        kept = [item for item in items if self._is_chosen(item)]
        if self.choice["only"] is not None:
            kept = self._named(kept)
        left = set(map(id, kept))
        config.hook.pytest_deselected(items=[item for item in items if id(item) not in left])
        items[:] = kept

    def _is_chosen(self, item: pytest.Item) -> bool:
        files = self.choice["files"]
        if files is not None and _file_of(item) not in files:
            return False
        owner = getattr(item, "cls", None)
        by_unittest = isinstance(owner, type) and issubclass(owner, unittest.TestCase)
        if self.choice["unittest"] and not by_unittest:
            return False
        return self._kind(item) not in self.choice["left_out"]

    def _kind(self, item: pytest.Item) -> str:
        folders = _file_of(item).split("/")[:-1]
        for kind in ("e2e", "integration", "unit"):
            if item.get_closest_marker(kind) is not None:
                return kind
        for kind, names in sorted(self.choice["folders"].items()):
            if any(folder.lower() in names for folder in folders):
                return str(kind)
        return "unit"

    def _named(self, items: list[pytest.Item]) -> list[pytest.Item]:
        only = set(self.choice["only"])
        last: dict[str, int] = {}
        for number, item in enumerate(items):
            if item.nodeid[:_ID_MAX] in only:
                last[_file_of(item)] = number
        if self.choice["in_order"]:
            return [item for n, item in enumerate(items) if n <= last.get(_file_of(item), -1)]
        return [item for item in items if item.nodeid[:_ID_MAX] in only]


def _file_of(item: pytest.Item) -> str:
    return item.nodeid.partition("::")[0]


class _Log:
    """Writes events and holds the deadline."""

    def __init__(self, path: str) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        self.descriptor = os.open(path, flags, 0o644)
        self.process = os.getpid()
        self.current = ""
        self.began = self.heard = _clock()
        self.write("start", pytest=pytest.__version__, python=platform.python_version())
        seconds = float(os.environ.get("VISIONFLOW_SOFT_DEADLINE_S", "0"))
        if seconds > 0:
            # A thread would make every fork in the tests warn; an alarm that a test takes over
            # only costs us this early end. It repeats because a test may swallow the first.
            signal.signal(signal.SIGALRM, self._deadline)
            signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)

    def write(self, kind: str, **fields: object) -> None:
        if os.getpid() == self.process:
            line = json.dumps({"kind": kind, **fields}) + "\n"
            os.write(self.descriptor, line.encode("ascii"))

    def _deadline(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() == self.process:
            self.write("deadline", id=self.current)
            raise KeyboardInterrupt

    def _disarm(self) -> None:
        if os.getpid() == self.process and signal.getsignal(signal.SIGALRM) == self._deadline:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, signal.SIG_DFL)

    def pytest_keyboard_interrupt(self) -> None:
        self._disarm()

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        if session.items:
            self.write("collected", count=len(session.items))

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: object, ids: list[str]) -> None:
        self.write("collected", count=len(ids))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.outcome != "passed":
            kind = "collect_error" if report.outcome == "failed" else "collect_skip"
            self.write(kind, id=report.nodeid, text=_text(report))

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.current, self.heard = nodeid, _clock()
        self.write("test", id=nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        expected = hasattr(report, "wasxfail")
        self.write(
            "report", id=report.nodeid, when=report.when, outcome=report.outcome, xfail=expected,
            seconds=self._seconds(report), text=_text(report), line=_crash_line(report),
        )  # fmt: skip

    def _seconds(self, report: pytest.TestReport) -> float:
        """How long the phase took that `report` tells of."""
        now = _clock()
        took, self.heard = now - self.heard, now
        if hasattr(report, "node"):  # From another process, where several run at a time.
            return max(0.0, min(report.duration, now - self.began))
        return took

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        self._disarm()
        stopped = session.shouldstop or session.shouldfail
        self.write("finish", exit=int(exitstatus), stopped=str(stopped) if stopped else None)


def _text(report: pytest.TestReport | pytest.CollectReport) -> str:
    """What went wrong, its end where it is long; of a skipped one the reason."""
    if report.outcome == "passed":
        return ""
    if isinstance(report.longrepr, tuple):
        return str(report.longrepr[-1])[:_TEXT_MAX]
    return str(report.longreprtext)[-_TEXT_MAX:]


def _crash_line(report: pytest.TestReport) -> str | None:
    """The one line pytest's summary would show for a failure."""
    crash = getattr(report.longrepr, "reprcrash", None)
    message = getattr(crash, "message", None)
    return str(message)[:1_000] if message is not None else None
