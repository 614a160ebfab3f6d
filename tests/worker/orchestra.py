"""A stand-in for the orchestrator's end: it says what it is told to and keeps what it hears."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec

from visionflow.adapters.host_os import OsHost
from visionflow.adapters.hub import Hub
from visionflow.adapters.memory import MemoryBlobs
from visionflow.agents.base import AgentContext, BaseAgent, WorkspaceTrees
from visionflow.agents.loading import as_agent_class
from visionflow.domain.agents import AgentSpec
from visionflow.domain.errors import BusClosed, Refused
from visionflow.domain.messages import (
    AgentUp,
    Dispatch,
    Failed,
    FrameAck,
    Hello,
    HostAgent,
    Message,
    OrchestratorFrame,
    Result,
    StepAnswer,
    StepDone,
    Welcome,
    WorkerFrame,
)
from visionflow.domain.tasks import Payload
from visionflow.ports.bus import Bus, Delivery
from visionflow.worker.executor import Executor
from visionflow.worker.session import Identity, WorkerSession
from visionflow.worker.threads import OsThreads

WAIT_S = 10.0

_decoder = msgspec.msgpack.Decoder(WorkerFrame)


def run(body: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(30):
            await body

    asyncio.run(bounded())


def packed(value: object) -> Payload:
    return Payload(inline=msgspec.msgpack.encode(value))


def unpacked(payload: Payload) -> Any:
    return None if payload.inline is None else msgspec.msgpack.decode(payload.inline)


class Orchestrator:
    """Listens on `orch.sw.cmd`, answers hellos and steps, and acknowledges frames."""

    def __init__(self, bus: Bus, worker: str = "w1") -> None:
        self.bus = bus
        self.worker = worker
        self.heard: list[Message] = []
        self.frames: list[tuple[int, tuple[Message, ...]]] = []
        self.last = 0
        self.acks = True
        self.accept: Callable[[StepDone], bool | None] = lambda done: True
        self.recorded: list[StepDone] = []
        self._changed = asyncio.Event()
        bus.subscribe("orch.sw.cmd", self._hear)
        bus.subscribe("orch.sw.hb", self._hear)

    def tell(self, *messages: Message) -> None:
        frame = OrchestratorFrame(list(messages))
        self.bus.publish(f"worker.{self.worker}", msgspec.msgpack.encode(frame))

    def _hear(self, delivery: Delivery) -> None:
        frame = _decoder.decode(delivery.payload)
        self.frames.append((frame.number, tuple(frame.messages)))
        for message in frame.messages:
            self.heard.append(message)
            if isinstance(message, Hello):
                self.tell(Welcome(self.last))
            if isinstance(message, StepDone):
                verdict = self.accept(message)
                if verdict:
                    self.recorded.append(message)
                if verdict is not None:
                    self.tell(StepAnswer(message.task, message.attempt, message.key, verdict))
        if frame.number and self.acks:
            self.last = max(self.last, frame.number)
            self.tell(FrameAck(self.last))
        self._changed.set()

    def all(self, kind: type[Any]) -> list[Any]:
        return [message for message in self.heard if isinstance(message, kind)]

    async def until(self, ready: Callable[[], Any], what: str = "") -> Any:
        try:
            async with asyncio.timeout(WAIT_S):
                while not (found := ready()):
                    self._changed.clear()
                    await self._changed.wait()
                return found
        except TimeoutError:
            raise AssertionError(f"{what or 'it'} never came; heard {self.heard[-8:]}") from None

    async def wait_for(self, kind: type[Any], count: int = 1) -> list[Any]:
        return await self.until(
            lambda: self.all(kind) if len(self.all(kind)) >= count else None, kind.__name__
        )

    async def end_of(self, task: str) -> Result | Failed:
        def ended() -> list[Result | Failed]:
            return [m for m in self.heard if isinstance(m, Result | Failed) and m.task == task]

        return (await self.until(ended, f"the end of {task}"))[-1]


class Bench:
    """A session and executor over the hub's local bus, with a wire that can be cut."""

    def __init__(self, tmp_path: Path, agents: dict[str, object], grace_ms: int = 5_000) -> None:
        self.hub = Hub()
        self.orchestrator = Orchestrator(self.hub.local())
        self.blobs = MemoryBlobs()
        self.trees: WorkspaceTrees | None = None
        self.logs: list[tuple[str, str]] = []
        self.wire: tuple[Bus, Callable[[], None]] | None = None
        self.answers_dial: bool | Exception = True
        self.tmp_path = tmp_path
        self.agents = agents
        self.worn_out = False
        loop = asyncio.get_running_loop()
        host = OsHost(loop)
        self.executor = Executor(
            host=host,
            blobs=self.blobs,
            threads=OsThreads(loop),
            make_context=self._context,
            load=lambda path: as_agent_class(self.agents[path], path),
            on_worn_out=self._wear_out,
        )
        identity = Identity("w1", 1, "secret", "sw", 4711)
        self.session = WorkerSession(identity, self._dial, host, self.executor, grace_ms)
        self.done: asyncio.Task[int] | None = None

    def _wear_out(self) -> None:
        self.worn_out = True

    def _context(self, spec: AgentSpec, write_log: Callable[[str, str], None]) -> AgentContext:
        def log(level: str, text: str) -> None:
            self.logs.append((level, text))
            write_log(level, text)

        def no_sandbox() -> Any:
            raise AssertionError("no agent here runs foreign commands")

        return AgentContext(
            folder=self.tmp_path / spec.id,
            blobs=self.blobs,
            open_sandbox=no_sandbox,
            write_log=log,
            trees=self.trees,
        )

    async def _dial(self, on_lost: Callable[[], None]) -> Bus:
        if isinstance(self.answers_dial, Exception):
            raise self.answers_dial
        if not self.answers_dial:
            raise BusClosed("Nobody is there.")
        bus = self.hub.local()
        self.wire = (bus, on_lost)
        return bus

    async def cut(self) -> None:
        assert self.wire is not None
        bus, on_lost = self.wire
        await bus.close()
        on_lost()

    async def start(self, *specs: AgentSpec) -> Orchestrator:
        self.done = asyncio.ensure_future(self.session.run())
        await self.orchestrator.wait_for(Hello)
        for spec in specs:
            self.orchestrator.tell(HostAgent(spec))
        if specs:
            await self.orchestrator.wait_for(AgentUp, len(specs))
        return self.orchestrator

    async def start_one(self, agent: object, tasks_max: int = 1) -> Orchestrator:
        self.agents["one"] = agent
        return await self.start(spec("a1", "one", tasks_max))

    async def stop(self) -> None:
        self.session.end(0)
        if self.done is not None:
            await self.done
        await self.executor.close("the test is over")


def spec(agent: str, path: str, tasks_max: int = 1) -> AgentSpec:
    return AgentSpec(agent, "custom", agent, path, tasks_max=tasks_max)


def task(name: str, attempt: int = 1, value: object = None, **options: Any) -> Dispatch:
    options.setdefault("announce", False)
    return Dispatch(name, attempt, "a1", "work", input=packed(value), **options)


__all__ = ["BaseAgent", "Bench", "Orchestrator", "Refused", "packed", "run", "spec", "task"]
