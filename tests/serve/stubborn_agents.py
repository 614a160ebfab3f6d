"""An agent that does not end when it is told to, and whose children do not either."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from visionflow import BaseAgent, Task

DEAF = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep(600)"


class Stubborn(BaseAgent):
    """Notes the pids of its worker and of two children, one of them in a session of its own, and
    goes on once a file is there."""

    async def start(self) -> None:
        # Here the worker's own handler is in place already.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)

    def process_task(self, task: Task) -> int:
        words = [sys.executable, "-I", "-S", "-c", DEAF]
        children = [subprocess.Popen(words), subprocess.Popen(words, start_new_session=True)]
        pids = [os.getpid(), *(child.pid for child in children)]
        trace, go = Path(task.input["trace"]), Path(task.input["go"])
        # In one piece: whoever waits for the file reads all of it.
        with trace.open("a") as file:
            file.write(f"{task.attempt} {' '.join(map(str, pids))}\n")
        while not go.exists():
            time.sleep(0.02)
        for child in children:
            child.kill()
            child.wait()
        return task.attempt
