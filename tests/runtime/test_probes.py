"""Somebody asks now whether a worker can be reached: each probe is made, and may go unanswered."""

import asyncio

import pytest

from tests.runtime.scene import Scene, played
from visionflow.domain import events as e
from visionflow.domain import messages as m
from visionflow.domain import supervision_events as s
from visionflow.domain.events import AnyEvent
from visionflow.domain.tasks import FailureKind
from visionflow.ports.host import ProcessState

pytestmark = pytest.mark.acceptance("detect")
LONG_MS = 60_000


def test_a_ping_that_is_answered_and_a_process_that_is_none_are_told_apart() -> None:
    async def play(scene: Scene) -> None:
        asking = asyncio.ensure_future(scene.node.probing.probe("w1", LONG_MS))
        await scene.until(lambda: scene.wire.heard(m.Ping))
        scene.wire.say(0, m.Pong(scene.wire.heard(m.Ping)[-1].number), sender="w1.1")
        found = dict(await asking)
        assert found == {"heartbeat": True, "ping": True, "process": False}

    played(play)


def test_a_ping_that_nobody_answers_is_waited_for_so_long_and_an_answer_to_another_is_none() -> (
    None
):
    async def play(scene: Scene) -> None:
        asking = asyncio.ensure_future(scene.node.probing.probe("w1", 50))
        await scene.until(lambda: scene.wire.heard(m.Ping))
        scene.wire.say(0, m.Pong(scene.wire.heard(m.Ping)[-1].number + 1))
        assert dict(await asking)["ping"] is False

    played(play)


def test_of_a_worker_that_is_not_there_nothing_is_answered() -> None:
    async def play(scene: Scene) -> None:
        found = await scene.node.probing.probe("w9", 20)
        assert not any(answered for _, answered in found)
        assert not scene.wire.heard(m.Ping)

    played(play)


def test_one_that_was_given_up_is_not_let_in_again_and_counts_as_gone_before_its_kill_is_done() -> (
    None
):
    async def play(scene: Scene) -> None:
        events: list[AnyEvent] = []
        scene.node.control.on_commit.append(lambda seq, at, some: events.extend(some))
        cut: list[tuple[str, int]] = []
        scene.node.children.on_given_up = lambda *who: cut.append(who)
        child = scene.host.child
        child.kill = lambda: None  # type: ignore[method-assign]
        probes = (("heartbeat", False), ("ping", False), ("process", True))
        scene.node.children.give_up("w1", 1, FailureKind.CRASH, "it hangs", probes)
        assert cut == [("w1", 1)]
        scene.wire.say(0, m.Hello("w1", 1, child.secret, child.pid, protocol=m.PROTOCOL))
        await scene.until(lambda: scene.wire.heard(m.Rejected))
        await scene.until(lambda: [x for x in events if isinstance(x, e.WorkerLost)])
        (lost,) = [x for x in events if isinstance(x, e.WorkerLost)]
        assert lost.probes == probes and "has not ended" in lost.reason
        await scene.until(lambda: scene.host.child is not child)
        child.terminate()

    played(play)


def test_a_lost_connection_is_a_suspicion_at_once_and_a_hello_ends_it_at_once() -> None:
    async def play(scene: Scene) -> None:
        events: list[AnyEvent] = []
        scene.node.control.on_commit.append(lambda seq, at, some: events.extend(some))
        pid = scene.host.child.pid
        running = ProcessState.RUNNING
        scene.host.process_state = lambda pid, started: running  # type: ignore[method-assign]
        scene.node.sessions.disconnected("w1.1")
        await scene.until(lambda: [x for x in events if isinstance(x, s.WorkerSuspected)])
        scene.wire.say(0, m.Hello("w1", 1, scene.host.child.secret, pid, protocol=m.PROTOCOL))
        await scene.until(lambda: [x for x in events if isinstance(x, s.WorkerTrusted)])
        assert scene.node.control.state.supervised.suspects == {}
        assert [type(x) for x in events if isinstance(x, s.RecoveryChosen)] == [s.RecoveryChosen]

    played(play)
