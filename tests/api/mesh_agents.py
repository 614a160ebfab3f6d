"""Peers for tests of a mesh."""

from visionflow import BaseAgent, Task


class Doubler(BaseAgent):
    """Doubles numbers."""

    capabilities = ("doubling",)

    async def process_task(self, task: Task) -> int:
        return 2 * task.input
