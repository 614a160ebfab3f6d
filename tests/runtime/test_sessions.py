"""The orchestrator's end of the conversation: what it tells a worker, and not before it may."""

import asyncio

import pytest

from tests.runtime.scene import Scene, played
from visionflow.domain import events as e
from visionflow.domain import messages as m
from visionflow.domain.tasks import FailureKind


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
        scene.wire.say(9, m.Hello("w1", 1, "guessed", 4711, protocol=m.PROTOCOL))
        await scene.until(lambda: scene.wire.heard(m.Rejected))

    played(play)


def test_a_worker_of_another_version_is_ended_and_named_whoever_started_it() -> None:
    async def play(scene: Scene) -> None:
        lost: list[e.WorkerLost] = []
        scene.node.control.on_commit.append(
            lambda _seq, _at, events: lost.extend(x for x in events if isinstance(x, e.WorkerLost))
        )
        scene.node.sessions.disconnected("w1.1")
        secret = scene.host.child.secret
        scene.wire.say(0, m.Hello("w1", 1, secret, 4711, protocol=m.PROTOCOL + 1))
        await scene.until(lambda: lost)
        assert scene.wire.heard(m.Rejected)
        assert f"version {m.PROTOCOL + 1} of the messages" in lost[0].reason
        assert "start its server once more" in lost[0].reason
        assert lost[0].kind is FailureKind.KILLED, "it counts against nobody"

    played(play)


def test_who_dials_again_is_told_what_is_in_the_log_and_gets_its_work_again() -> None:
    async def play(scene: Scene) -> None:
        scene.node.sessions.disconnected("w1.1")
        scene.wire.clear()
        scene.wire.say(0, m.Hello("w1", 1, scene.host.child.secret, 4711, protocol=m.PROTOCOL))
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
