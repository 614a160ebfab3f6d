"""A node whose worker is played by the test, message by message."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import msgspec

from visionflow.adapters.host_os import OsHost
from visionflow.adapters.memory import FaultyLog, MemoryBlobs
from visionflow.domain import commands as c
from visionflow.domain import messages as m
from visionflow.domain.agents import AgentSpec
from visionflow.domain.swarms import SwarmSpec
from visionflow.domain.tasks import TaskSpec
from visionflow.ports.bus import Delivery
from visionflow.ports.host import Exit
from visionflow.runtime.children import Launch
from visionflow.runtime.node import Node, Ports


class Listening:
    """A subscription that is never cancelled."""

    def cancel(self) -> None: ...


class Wire:
    """A bus with the test at its other end."""

    def __init__(self) -> None:
        self.receivers: dict[str, Callable[[Delivery], None]] = {}
        self.sent: list[m.Message] = []
        self.subjects: list[str] = []

    def publish(self, subject: str, payload: bytes, reply: str | None = None) -> int:
        messages = msgspec.msgpack.decode(payload, type=m.OrchestratorFrame).messages
        self.sent.extend(messages)
        self.subjects.extend([subject] * len(messages))
        return 1

    def subscribe(self, pattern: str, receive: Callable[[Delivery], None]) -> Listening:
        self.receivers[pattern] = receive
        return Listening()

    async def request(self, subject: str, payload: bytes, timeout_ms: int) -> bytes:
        raise TimeoutError

    async def close(self) -> None: ...

    def say(
        self, number: int, *messages: m.Message, sender: str = "w1.1", to: str = "orch.s.cmd"
    ) -> None:
        self.raw(msgspec.msgpack.encode((number, messages)), sender, to)

    def raw(self, payload: bytes, sender: str, to: str = "orch.s.cmd") -> None:
        self.receivers[to](Delivery(to, payload, None, sender))

    def to(self, kind: type[m.Message]) -> list[str]:
        """The subjects to which messages of a kind were sent."""
        pairs = zip(self.sent, self.subjects, strict=True)
        return [subject for message, subject in pairs if type(message) is kind]

    def clear(self) -> None:
        self.sent.clear()
        self.subjects.clear()

    def heard(self, kind: type[m.Message]) -> list[m.Message]:
        return [message for message in self.sent if type(message) is kind]


class Lines:
    """Telemetry that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []

    def log(self, level: str, agent: str | None, code: str, message: str) -> None:
        self.told.append((code, message))

    def of(self, code: str) -> list[str]:
        return [message for each, message in self.told if each == code]


class Process:
    """A child that lives until it is told to end."""

    pid, started = 4711, "1"

    def __init__(self, secret: str) -> None:
        self.secret = secret
        self._calls: list[Callable[[Exit], None]] = []

    def on_exit(self, call: Callable[[Exit], None]) -> None:
        self._calls.append(call)

    def leave(self) -> None:
        self._calls.clear()

    def terminate(self) -> None:
        for call in self._calls:
            asyncio.get_running_loop().call_soon(call, Exit(0, None))

    kill = terminate


class Machine(OsHost):
    """The real clock, and processes that are none."""

    def spawn(
        self,
        argv: Sequence[str],
        env: Mapping[str, str],
        secret: bytes,
        stderr_path: str | None = None,
    ) -> Process:
        self.child = Process(secret.decode())
        return self.child


class Scene:
    """A node with one agent on a worker that the test plays, and one task assigned to it."""

    def __init__(self) -> None:
        self.wire, self.log, self.host, self.lines = Wire(), FaultyLog(), Machine(), Lines()
        ports = Ports(self.log, self.wire, MemoryBlobs(), self.host, self.lines)
        self.node = Node(
            SwarmSpec(id="s"), ports, lambda effect: Launch((), {}), lambda error: None
        )

    async def until(self, true: Callable[[], object]) -> None:
        async with asyncio.timeout(10):
            while not true():
                await asyncio.sleep(0)

    async def open(self) -> None:
        await self.node.start()
        now = self.host.now_ms()
        spec = AgentSpec(id="a", type="t", name="a", class_path="m:C")
        self.node.control.offer(c.SpawnAgent(now_ms=now, spec=spec))
        self.node.control.offer(c.SubmitTask(now_ms=now, spec=TaskSpec(id="t1")))
        await self.until(lambda: hasattr(self.host, "child"))
        self.wire.say(1, m.Hello("w1", 1, self.host.child.secret, 4711, protocol=m.PROTOCOL))
        await self.until(lambda: self.wire.heard(m.HostAgent))
        self.wire.say(2, m.AgentUp("a"))
        await self.until(lambda: self.wire.heard(m.Dispatch))


S = TypeVar("S", bound=Scene)


def played(play: Callable[[S], object], make: Callable[[], S] = Scene) -> None:  # type: ignore[assignment]
    async def main() -> None:
        scene = make()
        await scene.open()
        await play(scene)  # type: ignore[misc]
        await scene.node.stop()

    asyncio.run(main())
