"""The agents of a run of chaos: they do what their task's script says, and write down what runs.

What they write goes to a file beside the log, a line in one piece, so that what really ran can be
compared with what the log says.
"""

import asyncio
import os
import signal
from typing import Any

import msgspec

from visionflow.agents.base import BaseAgent, PermanentFailure
from visionflow.agents.task import Task
from visionflow.testing.workload import Script

LARGE_BYTES = 70_000
EATEN_BYTES = 1_500 << 20
"""More than the ceiling of any agent here, which grows to four times what it was at first."""
BITE_BYTES = 16 << 20


class Said(msgspec.Struct, frozen=True, array_like=True):
    """A line of what really ran."""

    what: str
    """`begin`, or the place of a step, `work#1`."""
    task: str
    attempt: int
    pid: int


class Labourer(BaseAgent):
    """Works by script; its input holds that, and the path of the file that it writes to."""

    type = "labourer"

    async def process_task(self, task: Task) -> Any:
        """See `BaseAgent`."""
        script = msgspec.convert(task.input["script"], Script)
        trace: str = task.input["trace"]
        _say(trace, Said("begin", task.id, task.attempt, os.getpid()))
        steps = [await self._step(task, trace, script, number) for number in range(script.steps)]
        if not script.steps and script.ms:
            await asyncio.sleep(script.ms / 1_000)
        match script.outcome(task.attempt):
            case "error":
                raise RuntimeError("the script says so")
            case "permanent":
                raise PermanentFailure("the script says so")
            case "crash":
                os.kill(os.getpid(), signal.SIGSEGV)
            case "eat":
                await _eat()
            case _:
                pass
        result: dict[str, Any] = {
            "task": task.id,
            "attempt": task.attempt,
            "number": script.number,
            "steps": steps,
        }
        if script.large:
            result["pad"] = bytes(LARGE_BYTES)
        return result

    async def _step(self, task: Task, trace: str, script: Script, number: int) -> int:
        ms, said = script.ms, Said(f"work#{number + 1}", task.id, task.attempt, os.getpid())

        async def run(_: int) -> int:
            await asyncio.sleep(ms / 1_000)
            _say(trace, said)
            return said.attempt

        return await self.step("work", run, number)


async def _eat() -> None:
    held: list[bytes] = []
    while len(held) * BITE_BYTES < EATEN_BYTES:
        held.append(os.urandom(4_096) * (BITE_BYTES // 4_096))
        await asyncio.sleep(0.02)
    raise RuntimeError("its memory has no ceiling")


def _say(path: str, said: Said) -> None:
    """In one write to the end of the file, which nobody can come between."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, msgspec.json.encode(said) + b"\n")
    finally:
        os.close(descriptor)


def what_ran(content: bytes) -> list[Said]:
    """The lines of such a file, in the order in which they were written."""
    return [msgspec.json.decode(line, type=Said) for line in content.splitlines()]
