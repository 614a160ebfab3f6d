"""The suite may be run in the background, where shells have programs ignore interrupts."""

import subprocess
import sys

PROGRAM = """
import signal, subprocess, sys
assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
import tests.conftest
told = "import signal; print(signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGQUIT))"
subprocess.run([sys.executable, "-c", told], check=True)
"""


def test_programs_that_tests_start_hear_interrupts_where_the_suite_itself_was_deaf() -> None:
    deaf = f"trap '' INT QUIT; exec {sys.executable} -c '{PROGRAM}'"
    ran = subprocess.run(["sh", "-c", deaf], capture_output=True, text=True, check=True)
    assert "SIG_IGN" not in ran.stdout and "default_int_handler" in ran.stdout, ran.stdout
