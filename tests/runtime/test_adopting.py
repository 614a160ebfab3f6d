"""A node that finds a worker of the one before: played message by message."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tests.runtime.scene import Machine, Process, Scene, Wire
from visionflow.adapters.memory import MemoryBlobs
from visionflow.domain import commands as c
from visionflow.domain import events as e
from visionflow.domain import messages as m
from visionflow.domain import supervision_events as s
from visionflow.domain.events import AnyEvent, decode_record
from visionflow.domain.swarms import SwarmSpec
from visionflow.domain.tasks import FailureKind, Payload, TaskStatus
from visionflow.ports.host import UNKNOWN, Exit
from visionflow.runtime.children import Launch
from visionflow.runtime.node import Node, Ports

GRACE_MS = 60_000


class Survivor(Process):
    """One that another process started."""

    def kill(self) -> None:
        for call in self._calls:
            asyncio.get_running_loop().call_soon(call, UNKNOWN)

    terminate = kill


class Later(Machine):
    """Where the process of before runs still, or not."""

    lives = True

    def attach(self, pid: int, started: str) -> Survivor | None:
        assert (pid, started) == (4711, "1")
        self.found = Survivor("")
        return self.found if self.lives else None

    def end_leftover(self, pid: int, started: str) -> bool:
        return False


class Twice(Scene):
    """Two nodes, one after the other, over one log. The first leaves a task to its worker."""

    def __init__(self, grace_ms: int = GRACE_MS) -> None:
        super().__init__()
        self.secret = ""
        self.grace_ms = grace_ms
        self.node = self._node(self.wire, self.host)
        self.later, self.wire_later = Later(), Wire()

    def _node(self, wire: Wire, host: Machine) -> Node:
        ports = Ports(self.log, wire, MemoryBlobs(), host, self.lines)
        spec = SwarmSpec(id="s")
        return Node(spec, ports, lambda x: Launch((), {}), lambda x: None, self.grace_ms)

    async def begin(self, started: bool = True) -> None:
        """Up to the start of the second node; `started`: the attempt had begun before."""
        await self.open()
        if started:
            self.wire.say(3, m.Started("t1", 1))
            await self.until(lambda: self.status is TaskStatus.RUNNING)
        self.secret = self.host.child.secret
        await self.node.leave()
        self.node = self._node(self.wire_later, self.later)
        await self.node.start()

    @property
    def status(self) -> TaskStatus:
        return self.node.control.state.tasks["t1"].status

    def hello(self, secret: str | None = None, protocol: int = m.PROTOCOL, **more: object) -> None:
        held = more.pop("attempts", (("t1", 1),))
        word = self.secret if secret is None else secret
        hello = m.Hello("w1", 1, word, 4711, held, protocol, **more)
        self.wire_later.say(0, hello)

    def events(self) -> list[AnyEvent]:
        return [x for entry in self.log.read("s") for x in decode_record(entry.body).events]

    def of(self, kind: type[AnyEvent]) -> list[AnyEvent]:
        return [event for event in self.events() if isinstance(event, kind)]


def played(play: Callable[[Twice], Awaitable[None]], *, grace_ms: int = GRACE_MS) -> None:
    async def main() -> None:
        scene = Twice(grace_ms)
        await play(scene)
        await scene.node.stop(kill=True)

    asyncio.run(main())


def test_the_log_has_a_hash_of_the_secret_and_not_the_secret() -> None:
    async def play(scene: Twice) -> None:
        await scene.begin()
        [started] = scene.of(e.WorkerStarted)
        assert len(started.secret_hash) == 64 and started.secret_hash != scene.secret
        assert all(scene.secret.encode() not in x.body for x in scene.log.read("s"))

    played(play)


@pytest.mark.acceptance("durable")
def test_a_worker_that_comes_back_is_welcomed_and_what_it_holds_goes_on() -> None:
    async def play(scene: Twice) -> None:
        await scene.begin()
        wire = scene.wire_later
        # Before its hello it is heard by nobody.
        wire.say(4, m.Result("t1", 1, Payload(inline=b"\x01")))
        scene.hello()
        await scene.until(lambda: wire.heard(m.Welcome))
        assert wire.heard(m.Welcome) == [m.Welcome(0)]
        assert scene.status is TaskStatus.RUNNING
        wire.say(4, m.Result("t1", 1, Payload(inline=b"\x02")))
        await scene.until(lambda: wire.heard(m.FrameAck))
        [done] = scene.of(e.TaskCompleted)
        assert (done.attempt, done.result.inline) == (1, b"\x02")
        [adopted] = scene.of(s.WorkerAdopted)
        assert adopted.attempts == (("t1", 1),)
        # It is said again when no welcome came; that changes nothing.
        scene.hello()
        await scene.until(lambda: len(wire.heard(m.Welcome)) == 2)
        assert len(scene.of(s.WorkerAdopted)) == 1

    played(play)


def test_what_had_not_begun_is_delivered_once_more() -> None:
    async def play(scene: Twice) -> None:
        await scene.begin(started=False)
        assert scene.wire_later.heard(m.Dispatch) == []
        scene.hello(attempts=())
        await scene.until(lambda: scene.wire_later.heard(m.Dispatch))
        [dispatch] = scene.wire_later.heard(m.Dispatch)
        assert (dispatch.task, dispatch.attempt) == ("t1", 1)
        assert scene.of(e.AttemptFailed) == []

    played(play)


def test_an_attempt_that_it_holds_and_nobody_wants_any_more_is_stopped() -> None:
    async def play(scene: Twice) -> None:
        await scene.begin()
        scene.hello(attempts=(("t1", 1), ("t1", 7), ("gone", 2)))
        await scene.until(lambda: len(scene.wire_later.heard(m.CancelAttempt)) == 2)
        cancelled = scene.wire_later.heard(m.CancelAttempt)
        assert [(x.task, x.attempt) for x in cancelled] == [("t1", 7), ("gone", 2)]
        assert scene.status is TaskStatus.RUNNING

    played(play)


def test_an_attempt_of_it_that_is_given_up_later_is_stopped_there() -> None:
    async def play(scene: Twice) -> None:
        await scene.begin()
        scene.hello()
        await scene.until(lambda: scene.wire_later.heard(m.Welcome))
        now = scene.later.now_ms()
        expire = c.ExpireLease(now_ms=now, task="t1", attempt=1, evidence="silence")
        scene.node.control.offer(expire)
        await scene.until(lambda: scene.wire_later.heard(m.CancelAttempt))

    played(play)


def test_who_does_not_know_the_secret_is_refused_and_the_real_one_is_awaited_still() -> None:
    async def play(scene: Twice) -> None:
        await scene.begin()
        scene.hello(secret="guessed")
        await scene.until(lambda: scene.wire_later.heard(m.Rejected))
        assert scene.of(s.WorkerAdopted) == []
        scene.hello()
        await scene.until(lambda: scene.of(s.WorkerAdopted))

    played(play)


def test_one_of_another_version_is_told_so_and_replaced() -> None:
    async def play(scene: Twice) -> None:
        await scene.begin()
        scene.hello(protocol=m.PROTOCOL - 1)
        await scene.until(lambda: scene.of(e.WorkerLost))
        [rejected] = scene.wire_later.heard(m.Rejected)
        [lost] = scene.of(e.WorkerLost)
        assert "version" in rejected.reason and lost.reason.startswith(rejected.reason)
        assert (lost.kind, lost.restart_at_ms is None) == (FailureKind.KILLED, False)
        await scene.until(lambda: len(scene.of(e.WorkerStarted)) == 2)

    played(play)


def test_one_that_was_told_to_end_hands_in_what_it_has_and_its_end_is_no_fault() -> None:
    async def play(scene: Twice) -> None:
        await scene.begin()
        scene.hello(leaving=True)
        await scene.until(lambda: scene.wire_later.heard(m.Welcome))
        scene.wire_later.say(4, m.Result("t1", 1, Payload(inline=b"\x02")))
        await scene.until(lambda: scene.of(e.TaskCompleted))
        scene.later.found.kill()
        await scene.until(lambda: scene.of(e.WorkerStopped))
        assert scene.of(e.WorkerLost) == []

    played(play)


def test_one_that_does_not_come_back_in_time_is_killed_and_told_as_a_failure_of_the_network() -> (
    None
):
    async def play(scene: Twice) -> None:
        await scene.begin()
        await scene.until(lambda: scene.of(e.WorkerLost))
        [lost] = scene.of(e.WorkerLost)
        assert lost.kind is FailureKind.NETWORK and "outlived" in lost.reason
        [failed] = scene.of(e.AttemptFailed)
        assert failed.kind is FailureKind.NETWORK

    played(play, grace_ms=20)


def test_how_one_ended_that_another_started_is_not_made_up() -> None:
    async def play(scene: Twice) -> None:
        await scene.begin()
        scene.hello()
        await scene.until(lambda: scene.wire_later.heard(m.Welcome))
        scene.later.found.kill()
        await scene.until(lambda: scene.of(e.WorkerLost))
        assert "only the process that started it" in scene.of(e.WorkerLost)[0].reason

    played(play)


def test_a_node_whose_workers_have_no_grace_keeps_none() -> None:
    async def play(scene: Twice) -> None:
        await scene.open()
        await scene.node.stop(kill=True)
        assert [x.secret_hash for x in scene.of(e.WorkerStarted)] == [""]
        scene.node = scene._node(scene.wire_later, scene.later)
        await scene.node.start()
        assert not hasattr(scene.later, "found")
        assert scene.of(e.Recovered)[0].kept == ()

    played(play, grace_ms=0)


def test_one_that_is_being_ended_is_waited_for_when_all_others_are_left() -> None:
    async def play(scene: Twice) -> None:
        await scene.open()
        child = scene.node.children.child("w1")
        assert child is not None
        child.stopping = True
        ended: list[Exit] = []
        child.process.on_exit(ended.append)
        await scene.node.leave()
        assert ended == [Exit(0, None)]

    played(play)


def test_all_others_live_on_and_nobody_is_told_of_their_end() -> None:
    async def play(scene: Twice) -> None:
        await scene.open()
        ended: list[Exit] = []
        scene.host.child.on_exit(ended.append)
        await scene.node.leave()
        assert ended == []

    played(play)
