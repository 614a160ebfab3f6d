"""Agents for these tests: workers load them from this file."""

import os
import subprocess
import sys

from visionflow import BaseAgent, Task


class Dialler(BaseAgent):
    """Runs a program that dials the server, from itself or from a process of its own."""

    def process_task(self, task: Task) -> str:
        env = {} if task.input["bare"] else dict(os.environ)
        ran = subprocess.run(
            [sys.executable, "-c", task.input["code"]],
            env=env,
            capture_output=True,
            text=True,
            timeout=30,
        )
        return ran.stdout or ran.stderr
