"""What agents of the simulator ask of their swarm, and whether they may believe what they hear.

Under a lock nobody is beside an attempt that is still the open one by the log; a lock is granted, a
result told and a delegated task accepted only when the log knows of it.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

import msgspec

from visionflow.agents.base import BaseAgent
from visionflow.agents.task import Task
from visionflow.domain import messages as m
from visionflow.domain.tasks import Payload
from visionflow.testing.checkers import ENDED, OPEN, LogCheck
from visionflow.testing.simulator.kernel import Kernel, Process
from visionflow.testing.workload import ASKING_MS, Script

Answer = m.LockAnswer | m.WaitAnswer | m.DelegateAnswer


def ahead_of_log(check: LogCheck, answer: Answer) -> str | None:
    """Why an answer must not leave yet, if so."""
    match answer:
        case m.LockAnswer(granted=True):
            lock = check.waits.locks.get(answer.lock)
            asked = (answer.task, answer.attempt, answer.number)
            # It may have been given back since, in the record that granted it.
            if lock is None or asked not in lock.granted:
                return f"{answer.task} was not granted lock {answer.lock} by the log"
        case m.WaitAnswer(code=""):
            task = check.tasks.get(answer.on)
            if task is None or task.status not in ENDED or answer.status not in task.ends:
                return f"{answer.on} is not {answer.status} by the log"
            if answer.status == "completed":
                if msgspec.convert(task.result or [], Payload) != answer.result:
                    return f"the log has another result of {answer.on}"
        case m.DelegateAnswer(code=""):
            if answer.delegated not in check.tasks:
                return f"delegated task {answer.delegated} is not in the log"
        case _:
            pass
    return None


class Sections:
    """Who is in which critical section."""

    def __init__(self, kernel: Kernel, check: LogCheck) -> None:
        self._kernel = kernel
        self._check = check
        self._inside: dict[str, list[tuple[Process, str, int]]] = {}
        self.entered = 0

    @asynccontextmanager
    async def inside(
        self, process: Process, lock: str, task: str, attempt: int
    ) -> AsyncGenerator[None]:
        """Be in the section of a lock, that was just granted."""
        entry, entries = (process, task, attempt), self._inside.setdefault(lock, [])
        self.entered += 1
        for other, name, number in entries:
            # One that was given up may not have heard of it yet; then the fence holds it off.
            both = other.alive and process.alive and self._is_open(name, number)
            if both and self._is_open(task, attempt):
                told = f"{task} and {name} are both under lock {lock}"
                self._kernel.fault(f"{told}, and the log says that both are at work")
        entries.append(entry)
        try:
            yield
        finally:
            entries.remove(entry)

    def _is_open(self, task: str, attempt: int) -> bool:
        line = self._check.tasks.get(task)
        return line is not None and line.attempt == attempt and line.status in OPEN


async def ask(
    agent: BaseAgent,
    task: Task,
    script: Script,
    inside: Callable[[str], AbstractAsyncContextManager[None]],
    held: AsyncExitStack,
) -> int:
    """Take the locks that the script names, one within the other, for as long as `held` is open,
    and have the swarm do what it delegates: the sum of what comes of that."""
    for lock in script.locks:
        await held.enter_async_context(agent.lock(lock))
        await held.enter_async_context(inside(lock))
        await asyncio.sleep(script.ms / 1_000)
    names = [
        await agent.delegate(
            "scripted",
            input=Script(number, ms=number % 50),
            capabilities=("python",),
            timeout_ms=ASKING_MS,
        )
        for number in script.subs
    ]
    return sum([(await agent.result_of(name))["number"] for name in names])
