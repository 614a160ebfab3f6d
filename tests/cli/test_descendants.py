"""Processes that a killed run left are found by its log and by their environment, and ended."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

from tests.cli.command_line import visionflow
from visionflow.adapters.os_processes import identity, marked
from visionflow.adapters.sqlite.log import SqliteLog
from visionflow.cli.descendants import end_marked, end_recorded
from visionflow.domain.events import WorkerStarted, encode_record

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]


def test_workers_that_the_log_recorded_are_ended(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    with subprocess.Popen(SLEEP, start_new_session=True) as left:
        who = identity(left.pid)
        assert who is not None
        worker = WorkerStarted(worker="w1", incarnation=1, pid=who.pid, started=who.started)

        async def record() -> None:
            log = SqliteLog.open(path)
            await log.append("run_1", 0, encode_record(1, [worker]))
            log.close()

        try:
            asyncio.run(record())
            assert end_recorded(path) == 1
            assert left.wait(10) == -9
        finally:
            left.kill()
    assert end_recorded(path) == 0
    assert end_recorded(tmp_path / "none.db") == 0


def test_what_was_started_for_a_run_is_found_by_its_environment(tmp_path: Path) -> None:
    name, ours, other = "VISIONFLOW_TEST_MARK", str(tmp_path / "run_1"), str(tmp_path / "run_12")
    with (
        subprocess.Popen(SLEEP, env={**os.environ, name: ours}, start_new_session=True) as left,
        subprocess.Popen(SLEEP, env={**os.environ, name: other}, start_new_session=True) as another,
    ):
        try:
            assert end_marked(name, ours, 0.1) == 1
            assert left.wait(10) == -9
            assert another.poll() is None
        finally:
            left.kill()
            another.kill()


def test_what_such_a_process_leaves_when_it_ends_by_itself_is_ended_too(tmp_path: Path) -> None:
    name, ours, go = "VISIONFLOW_TEST_MARK", str(tmp_path / "run_1"), tmp_path / "go"
    code = f"""
    import os, time
    while not os.path.exists({str(go)!r}):
        time.sleep(0.01)
    if os.fork() == 0:
        os.setsid()
        time.sleep(600)
    """
    words = [sys.executable, "-c", textwrap.dedent(code)]
    later = threading.Timer(0.5, go.touch)
    with subprocess.Popen(words, env={**os.environ, name: ours}, start_new_session=True):
        later.start()
        assert end_marked(name, ours, 30.0) == 1
    later.join()
    left = marked(name, ours)
    for who in left:
        os.kill(who.pid, signal.SIGKILL)
    assert left == set()


def test_closed_descriptors_are_no_error(tmp_path: Path) -> None:
    words = f"{sys.executable} -P -m visionflow.cli runs --out {tmp_path} <&- >&- 2>&-"
    ran = subprocess.run(["sh", "-c", words], timeout=60)
    assert ran.returncode == 0
    assert visionflow("runs", "--out", tmp_path).returncode == 0
