"""Agents that do what their task's script says, and tell the witness what really runs."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from functools import partial
from typing import Any, ClassVar
from zlib import crc32

import msgspec

from visionflow.agents.base import BaseAgent, PermanentFailure, TryLater
from visionflow.agents.effects import NotDone
from visionflow.agents.outside import Done, Looked
from visionflow.agents.task import Task
from visionflow.agents.voting import Ballot, Proposal
from visionflow.domain.outside import REPEATABLE, EffectClass
from visionflow.testing.simulator.asking import ask
from visionflow.testing.simulator.kernel import Process
from visionflow.testing.simulator.outside import BrokenOff
from visionflow.testing.simulator.posting import Postal
from visionflow.testing.simulator.witness import Witness
from visionflow.testing.summing import Summing
from visionflow.testing.workload import Script

LARGE_BYTES = 70_000
HANG_S = 1_000_000.0


class Stage:
    """The process that an agent plays in."""

    def __init__(self, process: Process, witness: Witness, crash: Callable[[], None]) -> None:
        self.process = process
        self.witness = witness
        self.crash = crash
        """Ends the process as a fault in native code would."""
        self._begun: dict[tuple[str, int], None] = {}

    def begin(self, task: Task, config: dict[str, Any]) -> Script:
        """An attempt begins in an agent of this configuration; what it is to do."""
        key = (task.id, task.attempt)
        if key in self._begun:
            self.witness.repeated(self.process, *key)
        self._begun[key] = None
        self.witness.began(self.process, *key, config)
        return msgspec.convert(task.input, Script)

    def finish(
        self,
        task: Task,
        script: Script,
        steps: list[int],
        effects: list[int] | None = None,
        heard: int = 0,
    ) -> dict[str, Any]:
        """The attempt ends as its script says.

        Raises:
            PermanentFailure: so it says.
            TryLater: so it says.
            RuntimeError: so it says.
        """
        outcome = script.outcome(task.attempt)
        if outcome == "permanent":
            raise PermanentFailure("the script says so")
        if outcome == "throttled":
            raise TryLater("the script says so", wait_ms=script.wait_ms)
        if outcome != "ok":
            raise RuntimeError("the script says so")
        given = sum(value["number"] for value in task.dependencies.values())
        result: dict[str, Any] = {
            "task": task.id,
            "attempt": task.attempt,
            "number": script.number + given + heard,
            "steps": steps,
        }
        if effects:
            result["effects"] = effects
        if script.large:
            result["pad"] = bytes(LARGE_BYTES)
        return result


class Scripted(BaseAgent):
    """Runs as a coroutine."""

    stage: ClassVar[Stage]

    async def process_task(self, task: Task) -> Any:
        """See `BaseAgent`."""
        script = self.stage.begin(task, self.config)
        async with AsyncExitStack() as held:
            heard = 0
            if script.locks or script.subs:
                heard = await ask(self, task, script, partial(self._inside, task), held)
            return await self._work(task, script, heard)

    async def vote(self, proposal: Proposal) -> Ballot:
        """After a while, as chance has it for this agent and vote."""
        number = crc32(f"{proposal.vote} {self.id}".encode())
        self.stage.witness.counts["votes that agents were asked for"] += 1
        await asyncio.sleep(number % 3_000 / 1_000)
        if number % 5 == 0:
            return Ballot.abstain("the script says so")
        if number % 7 == 0:
            raise RuntimeError("the script says so")
        if proposal.options:
            order = sorted(proposal.options, key=lambda name: crc32(f"{number} {name}".encode()))
            return Ballot.rank(order, "script")
        return Ballot("approve" if number % 2 else "reject", "script")

    def _inside(self, task: Task, lock: str) -> AbstractAsyncContextManager[None]:
        sections = self.stage.witness.sections
        return sections.inside(self.stage.process, lock, task.id, task.attempt)

    async def _work(self, task: Task, script: Script, heard: int) -> Any:
        stage = self.stage
        steps = [await self._step(task, script, number) for number in range(script.steps)]
        if not script.steps and script.ms:
            await asyncio.sleep(script.ms / 1_000)
        if script.notes:
            self.progress(0.5, "half of it")
        effects = [await self._act(task, script, place) for place in range(len(script.effects))]
        outcome = script.outcome(task.attempt)
        if outcome == "hang":
            await asyncio.sleep(HANG_S)
        if outcome == "crash":
            stage.crash()
        return stage.finish(task, script, steps, effects, heard)

    async def _act(self, task: Task, script: Script, place: int) -> int:
        """Do one thing to the world outside. Refused, or cut off, it is tried again at once."""
        stage, kind = self.stage, EffectClass(script.effects[place])
        world, keyed = stage.witness.outside, kind in REPEATABLE
        place_key = f"{task.id}/act{place}#1:"

        async def call(*args: object) -> int:
            key = str(args[0]) if keyed else stage.witness.key_like(place_key)
            return await world.carry_out(stage.process, task.id, task.attempt, place, kind, key)

        async def probe(key: str, _: int) -> Done | Looked:
            return await world.look(task.id, place)

        probes = probe if kind is EffectClass.PROBEABLE else None
        while True:
            try:
                return await self.effect(f"act{place}", call, place, probe=probes, cls=kind)
            except (NotDone, BrokenOff):
                continue

    async def _step(self, task: Task, script: Script, number: int) -> int:
        stage, place = self.stage, f"work#{number + 1}"

        async def slow(_: int) -> int:
            await asyncio.sleep(script.ms / 1_000)
            return stage.witness.executed(stage.process, task.id, task.attempt, place)

        def plain(_: int) -> int:
            return stage.witness.executed(stage.process, task.id, task.attempt, place)

        return await self.step("work", slow if script.ms else plain, number)


class Instant(BaseAgent):
    """Runs in the loop itself."""

    stage: ClassVar[Stage]
    blocking = False

    def process_task(self, task: Task) -> Any:
        """See `BaseAgent`."""
        script = self.stage.begin(task, self.config)
        if script.notes:
            self.progress(1.0, "all of it")
        return self.stage.finish(task, script, [])


class Blocking(Instant):
    """Runs on what the process takes for a thread."""

    blocking = True


class Batched(BaseAgent):
    """Takes its time over tasks that others do in an instant, and several at once. One that fails
    among several fails them all."""

    stage: ClassVar[Stage]

    def supports_batch(self, task_type: str) -> bool:
        """See `BaseAgent`."""
        return task_type == "scripted"

    async def process_task(self, task: Task) -> Any:
        """See `BaseAgent`."""
        return (await self._together([task]))[0]

    async def batch_process(self, tasks: list[Task]) -> list[Any]:
        """See `BaseAgent`."""
        self.stage.witness.counts["attempts in batches"] += len(tasks)
        return await self._together(tasks)

    async def _together(self, tasks: list[Task]) -> list[Any]:
        stage = self.stage
        scripts = [stage.begin(task, self.config) for task in tasks]
        self.progress(0.5, "half of all")
        await asyncio.sleep(sum(script.number for script in scripts) % 300 / 1_000)
        done = zip(tasks, scripts, strict=True)
        return [stage.finish(task, script, []) for task, script in done]


class Broken(Scripted):
    """Cannot be built."""

    async def start(self) -> None:
        """See `BaseAgent`."""
        raise RuntimeError("the script says so")


CLASSES: dict[str, type[BaseAgent]] = {
    "coroutine": Scripted,
    "loop": Instant,
    "thread": Blocking,
    "batched": Batched,
    "postal": Postal,
    "broken": Broken,
    "summing": Summing,
}


def loader(stage: Stage) -> Callable[[str], type[BaseAgent]]:
    """Finds the class of `scripted:<kind>`, for one process."""

    def load(path: str) -> type[BaseAgent]:
        base = CLASSES[path.rpartition(":")[2]]
        return type(base.__name__, (base,), {"stage": stage})

    return load
