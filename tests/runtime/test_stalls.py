"""An attempt that makes no progress is told in the log, and so is that it makes some again."""

import asyncio
from typing import Any

import pytest

from tests.runtime.scene import Scene, played
from visionflow.domain import commands as c
from visionflow.domain import messages as m
from visionflow.domain import supervision_events as s
from visionflow.domain.events import AnyEvent
from visionflow.domain.tasks import Payload, TaskSpec
from visionflow.engine.stalling import SAME_MAX, STUCK_MS_MIN

LIMIT_MS = 300_000

pytestmark = pytest.mark.acceptance("detect")


class Clock:
    """The monotonic clock of a scene, moved by the test in small steps."""

    def __init__(self, scene: Scene) -> None:
        self.now_ms = scene.host.monotonic_ms()
        scene.host.monotonic_ms = lambda: self.now_ms  # type: ignore[method-assign]
        self._scene = scene

    def pass_by(self, ms: int) -> None:
        for _ in range(ms // 5_000):
            self.now_ms += 5_000
            self._scene.node.stalls.look()


class Stalled(Scene):
    """t1 has begun, and the clock stands still unless it is told otherwise."""

    async def open(self) -> None:
        await super().open()
        self.clock = Clock(self)
        self.events: list[AnyEvent] = []
        self.node.control.on_commit.append(lambda seq, at, events: self.events.extend(events))
        self.wire.say(3, m.Started("t1", 1))
        await self.until(lambda: m.FrameAck(3) in self.wire.sent)

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def stuck(self) -> dict[str, int]:
        return self.node.control.state.supervised.stalled

    async def settle(self) -> None:
        for _ in range(50):
            await asyncio.sleep(0)


def test_without_a_record_an_attempt_is_stuck_after_the_time_that_an_attempt_gets() -> None:
    async def play(scene: Stalled) -> None:
        scene.clock.pass_by(LIMIT_MS)
        await scene.settle()
        assert scene.stuck == {}
        scene.clock.pass_by(10_000)
        await scene.until(lambda: scene.of(s.AttemptStalled))
        assert scene.stuck == {"t1": 1}
        scene.clock.pass_by(LIMIT_MS)
        await scene.settle()
        assert len(scene.of(s.AttemptStalled)) == 1, "it is told once"
        scene.wire.say(0, m.Progress("t1", 1, None, "on"))
        await scene.until(lambda: scene.of(s.AttemptProgressed))
        assert scene.stuck == {}

    played(play, Stalled)


def test_with_a_record_of_like_tasks_it_is_stuck_after_twice_their_time() -> None:
    async def play(scene: Stalled) -> None:
        scene.wire.say(4, m.Result("t1", 1, Payload(), 20_000_000))
        spec = TaskSpec(id="t2")
        scene.node.control.offer(c.SubmitTask(now_ms=scene.host.now_ms(), spec=spec))
        await scene.until(lambda: "t2" in [each.task for each in scene.wire.heard(m.Dispatch)])
        scene.wire.say(5, m.Started("t2", 1))
        await scene.until(lambda: m.FrameAck(5) in scene.wire.sent)
        scene.clock.pass_by(40_000)
        await scene.settle()
        assert scene.stuck == {} and STUCK_MS_MIN < 40_000
        scene.clock.pass_by(5_000)
        await scene.until(lambda: scene.stuck == {"t2": 1})

    played(play, Stalled)


def test_the_same_call_again_and_again_is_stuck_whatever_time_is_left() -> None:
    async def play(scene: Stalled) -> None:
        for _ in range(SAME_MAX):
            scene.wire.say(0, m.Progress("t1", 1, None, "$ pytest"))
        scene.clock.pass_by(5_000)
        await scene.until(lambda: scene.of(s.AttemptStalled))
        assert '"$ pytest"' in scene.of(s.AttemptStalled)[0].evidence

    played(play, Stalled)


def test_an_attempt_that_waits_for_a_lock_or_another_task_is_not_stuck() -> None:
    async def play(scene: Stalled) -> None:
        for table in (scene.node.control.state.supervised.waits, scene.node.control.state.lockers):
            table["t1"] = ()  # type: ignore[assignment, index]
            scene.clock.pass_by(2 * LIMIT_MS)
            del table["t1"]  # type: ignore[attr-defined]
        scene.clock.pass_by(LIMIT_MS)
        await scene.settle()
        assert scene.stuck == {}

    played(play, Stalled)


def test_time_in_which_we_stood_still_makes_nobody_stuck() -> None:
    async def play(scene: Stalled) -> None:
        scene.clock.now_ms += 10 * LIMIT_MS
        scene.node.stalls.look()
        scene.clock.pass_by(LIMIT_MS)
        await scene.settle()
        assert scene.stuck == {}

    played(play, Stalled)
