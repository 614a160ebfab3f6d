"""Agents that are measured. Workers import them; nothing else happens here."""

import os
import time
from pathlib import Path
from typing import Any

from visionflow import BaseAgent, Task


class Doubler(BaseAgent):
    """Takes an instant, and says so: no thread for each task."""

    capabilities = ("double",)
    blocking = False

    def process_task(self, task: Task) -> Any:
        """Twice the input."""
        return 2 * task.input


class Witness(BaseAgent):
    """Shows in which process an attempt runs and when it began."""

    capabilities = ("witness",)

    def process_task(self, task: Task) -> Any:
        """The first attempt says where it is and stays until it is killed; a later one tells when
        it began, in seconds of the machine's monotonic clock."""
        began = time.monotonic()
        if task.attempt > 1:
            return began
        place = Path(task.input)
        draft = place.with_suffix(".draft")
        draft.write_text(str(os.getpid()))
        draft.rename(place)
        self.cancelled.wait(60)
        return None
