"""Seeds that run in several processes leave none of them behind."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

DEADLINE_S = 120


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="one processor: all seeds in one process")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_what_ran_the_seeds_ends_with_the_command(number: signal.Signals) -> None:
    command = [sys.executable, "-m", "visionflow.cli", "simulate"]
    # Far more than are done before the signal comes.
    with subprocess.Popen(
        [*command, "--seeds=10000", "--agents=50"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as ran:
        workers = started(ran.pid)
        ran.send_signal(number)
        assert ran.wait(DEADLINE_S) == -number
    _, alive = psutil.wait_procs(workers, DEADLINE_S)
    for process in alive:
        process.kill()
    assert not alive


def started(parent: int) -> list[psutil.Process]:
    """Its children, once there are processes for seeds and one that watches over names."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        found = psutil.Process(parent).children()
        if len(found) >= 3:
            return found
        time.sleep(0.1)
    pytest.fail("it started no processes")
