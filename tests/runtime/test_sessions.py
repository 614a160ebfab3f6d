"""The orchestrator's end of the conversation: what it tells a worker, and not before it may."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

import msgspec
import pytest

from visionflow.adapters.host_os import OsHost
from visionflow.adapters.memory import FaultyLog, MemoryBlobs
from visionflow.domain import commands as c
from visionflow.domain import messages as m
from visionflow.domain.agents import AgentSpec
from visionflow.domain.swarms import SwarmSpec
from visionflow.domain.tasks import FailureKind, TaskSpec
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

    def publish(self, subject: str, payload: bytes, reply: str | None = None) -> int:
        self.sent.extend(msgspec.msgpack.decode(payload, type=m.OrchestratorFrame).messages)
        return 1

    def subscribe(self, pattern: str, receive: Callable[[Delivery], None]) -> Listening:
        self.receivers[pattern] = receive
        return Listening()

    async def request(self, subject: str, payload: bytes, timeout_ms: int) -> bytes:
        raise TimeoutError

    async def close(self) -> None: ...

    def say(self, number: int, *messages: m.Message) -> None:
        payload = msgspec.msgpack.encode((number, messages))
        self.receivers["orch.s.cmd"](Delivery("orch.s.cmd", payload, None, "w1.1"))

    def heard(self, kind: type[m.Message]) -> list[m.Message]:
        return [message for message in self.sent if type(message) is kind]


class Silent:
    """Telemetry that keeps nothing."""

    def log(self, level: str, agent: str | None, code: str, message: str) -> None: ...


class Process:
    """A child that lives until it is told to end."""

    pid, started = 4711, "1"

    def __init__(self, secret: str) -> None:
        self.secret = secret
        self._calls: list[Callable[[Exit], None]] = []

    def on_exit(self, call: Callable[[Exit], None]) -> None:
        self._calls.append(call)

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
        self.wire, self.log, self.host = Wire(), FaultyLog(), Machine()
        ports = Ports(self.log, self.wire, MemoryBlobs(), self.host, Silent())
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
        self.wire.say(1, m.Hello("w1", 1, self.host.child.secret, 4711))
        await self.until(lambda: self.wire.heard(m.HostAgent))
        self.wire.say(2, m.AgentUp("a"))
        await self.until(lambda: self.wire.heard(m.Dispatch))


def played(play: Callable[[Scene], object]) -> None:
    async def main() -> None:
        scene = Scene()
        await scene.open()
        await play(scene)  # type: ignore[misc]
        await scene.node.stop()

    asyncio.run(main())


@pytest.mark.parametrize(("attempt", "accepted"), [(1, True), (2, False)])
def test_a_step_is_accepted_for_the_open_attempt_only(attempt: int, accepted: bool) -> None:
    async def play(scene: Scene) -> None:
        scene.wire.say(3, m.StepDone("t1", attempt, "k", "step"))
        await scene.until(lambda: scene.wire.heard(m.StepAnswer))
        assert scene.wire.heard(m.StepAnswer) == [m.StepAnswer("t1", attempt, "k", accepted)]

    played(play)


def test_a_frame_is_acknowledged_when_the_log_holds_it_and_not_before() -> None:
    async def play(scene: Scene) -> None:
        scene.log.hold()
        scene.wire.say(3, m.Result("t1", 1))
        await scene.until(lambda: scene.log.in_flight)
        for _ in range(20):
            await asyncio.sleep(0)
        assert m.FrameAck(3) not in scene.wire.sent
        scene.log.release()
        await scene.until(lambda: m.FrameAck(3) in scene.wire.sent)

    played(play)


def test_a_hello_without_the_secret_is_rejected() -> None:
    async def play(scene: Scene) -> None:
        scene.wire.say(9, m.Hello("w1", 1, "guessed", 4711))
        await scene.until(lambda: scene.wire.heard(m.Rejected))

    played(play)


def test_who_dials_again_is_told_what_is_in_the_log_and_gets_its_work_again() -> None:
    async def play(scene: Scene) -> None:
        scene.node.sessions.disconnected("w1.1")
        scene.wire.sent.clear()
        scene.wire.say(0, m.Hello("w1", 1, scene.host.child.secret, 4711))
        await scene.until(lambda: scene.wire.heard(m.Dispatch))
        assert scene.wire.sent[0] == m.Welcome(2)

    played(play)


def test_how_long_a_throttled_attempt_is_to_wait_arrives_in_the_log() -> None:
    async def play(scene: Scene) -> None:
        before = scene.host.now_ms()
        scene.wire.say(3, m.Failed("t1", 1, FailureKind.THROTTLED, "429", 1_800_000))
        task = scene.node.control.state.tasks["t1"]
        await scene.until(lambda: task.retry_at_ms)
        assert task.retry_at_ms is not None
        assert before + 1_800_000 <= task.retry_at_ms <= scene.host.now_ms() + 1_980_000
        assert task.reason == "429"

    played(play)
