"""Pipelines in the simulator: the orchestrator, and with it the driver, dies in the middle of
stages and of judgements, workers die too, and each stage is judged once."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import msgspec
import pytest

from visionflow.agents.base import BaseAgent
from visionflow.agents.task import Task
from visionflow.domain import commands as c
from visionflow.domain import pipelines_commands as pc
from visionflow.domain.agents import AgentSpec
from visionflow.domain.commands import AnyCommand
from visionflow.domain.errors import VisionFlowError, refusal
from visionflow.domain.pipelines import FailurePolicy, OnFailure, PipelineSpec, StageSpec
from visionflow.domain.tasks import NOTHING, Payload, TaskSpec
from visionflow.engine.pipelines import PipelineState
from visionflow.engine.state import Answer
from visionflow.ports.host import Exit
from visionflow.runtime.completions import Ended
from visionflow.runtime.intake import pack, unpack
from visionflow.runtime.node import Node
from visionflow.runtime.piping import Driver, copy_of
from visionflow.testing.simulator import scripted
from visionflow.testing.simulator.orchestrator import Life, compare_with_replay
from visionflow.testing.simulator.world import World
from visionflow.testing.workload import Action, Workload

pytestmark = pytest.mark.acceptance("pipeline")
NAME = "pipe"
UNTIL_MS = 1_800_000
STAGES = (
    StageSpec("plan", "count", "counter"),
    StageSpec("make", "count", "counter", validation={"quality": 0.1}),
    StageSpec(
        "test",
        "count",
        "counter",
        validation={"quality": 0.8},
        on_failure=FailurePolicy(OnFailure.LOOP, "make", 2),
    ),
)
"""The test passes the second time."""


class Counting(BaseAgent):
    """Takes its time, and does better in each round."""

    async def process_task(self, task: Task) -> dict[str, Any]:
        await asyncio.sleep(0.5)
        number = int(task.id.rpartition(".")[2])
        return {"n": task.input["n"] + 1, "measures": {"quality": 0.5 * number}}


@pytest.fixture(autouse=True)
def counting(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(scripted.CLASSES, "counting", Counting)
    yield


class Seat:
    """Satisfies `runtime.piping.Seat` in the orchestrator's process."""

    def __init__(self, node: Node) -> None:
        self.node = node

    async def find(self, pipeline: str) -> PipelineState | None:
        known: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        found = self.node.control.state.pipelines.find(pipeline)
        copied = None if found is None else copy_of(found)
        self.node.control.after_commit(lambda: known.set_result(None))
        await known
        return copied

    async def ask(self, make: Callable[[int], AnyCommand]) -> Answer:
        asked: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.node.control.offer(make(self.node.intake.now_ms()), asked.set_result)
        answer = await asked
        if answer.code is not None:
            raise refusal(answer.code, answer.message or answer.code)
        return answer

    async def ended(self, task: str) -> Ended:
        over: asyncio.Future[Ended] = asyncio.get_running_loop().create_future()

        def hear(ended: Ended | None, error: BaseException | None = None) -> None:
            if ended is not None and not over.done():
                over.set_result(ended)

        self.node.completions.wait(task, hear)
        return await over

    async def value(self, payload: Payload) -> Any:
        return unpack(payload, self.node.intake.blobs)

    async def packed(self, value: object, what: str) -> Payload:
        return pack(value, what, self.node.intake.blobs)


class Piped(World):
    """A world in which each life of the orchestrator drives the pipeline."""

    def __init__(self, seed: int) -> None:
        agents = [self._spawn(name) for name in ("ada", "bob")]
        needs = tuple(action.command for action in agents)
        opened = Action(0, "open", self._open, (NAME,), needs)
        super().__init__(seed, Workload([*agents, opened], {}, {}, {}, 20, 0))
        self.driven: list[Life] = []

    @staticmethod
    def _spawn(name: str) -> Action:
        def make(now: int, command: str) -> AnyCommand:
            spec = AgentSpec(name, "counter", name, "scripted:counting", ("count",))
            return c.SpawnAgent(now_ms=now, command=command, spec=spec)

        return Action(0, f"spawn {name}", make)

    @staticmethod
    def _open(now: int, command: str) -> AnyCommand:
        start = Payload(inline=msgspec.msgpack.encode({"n": 0}))
        spec = PipelineSpec(NAME, STAGES, start, rooted=True)
        root = TaskSpec(id=NAME, type="pipeline")
        return pc.OpenPipeline(now_ms=now, command=command, spec=spec, root=root)

    def look(self) -> None:
        """Have the orchestrator that lives drive it, if it does not yet."""
        life = self.life
        if life is not None and life.node is not None and life not in self.driven:
            if NAME in (*life.node.control.state.pipelines.open,
                        *life.node.control.state.pipelines.unsettled):  # fmt: skip
                self.driven.append(life)
                life.process.start(self._drive(life.node))
        self.kernel.after(50_000, self.look)

    async def _drive(self, node: Node) -> None:
        seat = Seat(node)
        try:
            state = await Driver(seat, NAME).run()
            result = state.output or NOTHING
            await seat.ask(
                lambda now_ms: pc.SettlePipeline(now_ms=now_ms, pipeline=NAME, result=result)
            )
        except VisionFlowError as error:
            self.kernel.trace(f"the driver ends: {error}")


@pytest.mark.parametrize("seed", range(8))
def test_the_orchestrator_dies_in_stages_and_in_judgements_and_each_round_is_judged_once(
    seed: int,
) -> None:
    world, random = Piped(seed), Random(f"deaths of {seed}")
    kernel, check = world.kernel, world.witness.check
    try:
        world.start()
        world.client.start()
        world.look()

        def dies(when: Callable[[], bool]) -> None:
            assert kernel.run(lambda: bool(kernel.faults) or when(), UNTIL_MS) is None
            if world.life is not None:
                world.life.process.die()
            if random.random() < 0.5:
                for node in world.living():
                    node.ended(Exit(None, "SIGKILL"))

        def in_stage() -> bool:
            return any(task.status == "running" for task in check.tasks.values())

        def unjudged() -> bool:
            done = sum(task.status == "completed" for task in check.tasks.values())
            return done > check.events["stage_judged"]

        dies(in_stage)
        dies(unjudged)
        dies(in_stage)
        dies(lambda: unjudged() and check.events["stage_judged"] >= 2)

        def over() -> bool:
            root = check.tasks.get(NAME)
            return bool(kernel.faults) or (root is not None and bool(root.ends))

        why = kernel.run(over, UNTIL_MS)
        assert kernel.faults == [] and why is None, kernel.faults
        root = check.tasks[NAME]
        assert root.ends == ["completed"], root.reason
        assert msgspec.msgpack.decode(root.result[0])["n"] == 3, "two rounds of make, one counts"
        ends = Counter(name for name, task in check.tasks.items() if task.ends == ["completed"])
        rounds = {f"{NAME}.{each}" for each in ("plan.1", "make.1", "test.1", "make.2", "test.2")}
        assert ends == dict.fromkeys({NAME, *rounds}, 1)
        assert check.events["stage_began"] == check.events["stage_judged"] == 5
        assert check.events["recovered"] >= 4
        assert compare_with_replay(world.witness, world.lives) == []
    finally:
        kernel.close()
