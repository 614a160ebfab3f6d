"""Progress: live on a terminal, few plain lines in a pipe, nothing when it is not wanted."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.terminals import OnTerminal

SHOWS = """
import sys, time
from visionflow.cli.progress import showing
from visionflow.compose.job import JobProgress, TaskProgress

def part(status, note, fraction=None):
    return TaskProgress("tests", "tester", status, fraction, note)

with showing(sys.argv[1] == "yes") as show:
    show(JobProgress("start", (part("pending", ""),), 0.1))
    for number in range(20):
        note = f"test {number} \\x1b[2J\\x07"
        show(JobProgress("examine", (part("running", note, number / 20),), 1.0 + number, 3))
    time.sleep(float(sys.argv[2]))
    show(JobProgress("end", (part("completed", ""),), 30.0, 4))
"""


WAITS = """
import sys, time
from visionflow.cli.progress import showing
from visionflow.compose.job import JobProgress, TaskProgress

def show_part(show, status, seconds=None):
    until_ms = None if seconds is None else int((time.time() + seconds) * 1000)
    why = "" if seconds is None else "claude: 429 too\\nmany requests"
    part = TaskProgress("candidate-1", "claude", status, None, why, until_ms)
    show(JobProgress("attempt", (part,), 1.0))
    show(JobProgress("attempt", (part,), 2.0))

with showing(True) as show:
    show_part(show, "running")
    show_part(show, "pending", float(sys.argv[1]))
    time.sleep(float(sys.argv[2]))
    show_part(show, "running")
    show_part(show, "pending", 7200)
    time.sleep(float(sys.argv[2]))
    show_part(show, "completed")
"""
WAITING = r"candidate-1 \(claude\) waiting (\S+) \(claude: 429 too many requests\)"


def argv(wanted: str, seconds: float) -> list[str]:
    return [sys.executable, "-c", SHOWS, wanted, str(seconds)]


def piped(wanted: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "FORCE_COLOR": "1"}
    return subprocess.run(
        argv(wanted, 0), capture_output=True, text=True, timeout=60, env=environment
    )


def test_in_a_pipe_it_is_one_plain_line_for_each_change() -> None:
    ran = piped("yes")
    assert ran.returncode == 0
    assert ran.stdout == ""
    assert ran.stderr.splitlines() == [
        "[   0.1 s] start",
        "[   1.0 s] examine",
        "[   1.0 s]   tests (tester) running: test 0",
        "[  30.0 s] end",
        "[  30.0 s]   tests (tester) completed",
    ]


@pytest.mark.acceptance("governor")
def test_in_a_pipe_each_wait_is_one_line_with_how_long_it_is_and_why() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", WAITS, "59.5", "0"], capture_output=True, text=True, timeout=60
    )
    assert (ran.returncode, ran.stdout) == (0, "")
    told = [line.partition("]")[2].strip() for line in ran.stderr.splitlines()]
    assert [line.partition(" waiting")[0] for line in told] == [
        "attempt",
        "candidate-1 (claude) running",
        "candidate-1 (claude)",
        "candidate-1 (claude) running",
        "candidate-1 (claude)",
        "candidate-1 (claude) completed",
    ]
    first, second = (re.fullmatch(WAITING, told[place]) for place in (2, 4))
    assert first is not None and second is not None
    assert re.fullmatch(r"0:[0-5]\d|1:00", first[1])
    assert re.fullmatch(r"1:59:[0-5]\d|2:00:00", second[1])


@pytest.mark.acceptance("governor")
def test_on_a_terminal_a_wait_counts_down_to_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WAITS, "2", "4"]
    with OnTerminal(command, {"PATH": os.environ["PATH"]}, tmp_path) as terminal:
        terminal.until(lambda: "waiting 0:00 (claude: 429 too many requests)" in terminal.text)
        assert "waiting 0:01 (" in terminal.text
        assert terminal.end() == 0


def test_nothing_is_shown_when_it_is_not_wanted() -> None:
    ran = piped("no")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def test_nobody_reading_it_does_not_end_the_run() -> None:
    read, write = os.pipe()
    os.close(read)
    ran = subprocess.run(argv("yes", 0), stderr=write, timeout=60)
    os.close(write)
    assert ran.returncode == 0


@pytest.mark.parametrize("colour", [True, False])
def test_on_a_terminal_it_is_drawn_in_place(tmp_path: Path, colour: bool) -> None:
    environment = {"PATH": os.environ["PATH"]} | ({} if colour else {"NO_COLOR": "1"})
    with OnTerminal(argv("yes", 0.5), environment, tmp_path) as terminal:
        terminal.until(lambda: "test 19" in terminal.text)
        assert terminal.end() == 0
        assert ("\x1b[36m" in terminal.text) is colour
        assert "3 findings so far" in terminal.text
        assert "━" in terminal.text
        # Hidden while it is drawn, and back at the end.
        assert terminal.text.rindex("\x1b[?25h") > terminal.text.rindex("\x1b[?25l")
        assert "\x1b[2J" not in terminal.text
        assert "\x07" not in terminal.text


def test_a_dumb_terminal_gets_plain_lines(tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "TERM": "dumb"}
    with OnTerminal(argv("yes", 0), environment, tmp_path) as terminal:
        assert terminal.end() == 0
        assert "\x1b" not in terminal.text
        assert "tests (tester) completed" in terminal.text
