"""A worker that lies, or says too much: refused, named, and nobody else is the worse for it."""

from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
import pytest

from tests.runtime.scene import Scene, played
from visionflow.domain import commands as c
from visionflow.domain import events as e
from visionflow.domain import messages as m
from visionflow.domain.agents import AgentSpec
from visionflow.domain.events import AnyEvent
from visionflow.domain.tasks import FailureKind, Payload, TaskSpec, TaskStatus
from visionflow.runtime import flooding, vetting

ONE, TWO = Payload(inline=b"\x01"), Payload(inline=b"\x02")

pytestmark = pytest.mark.acceptance("detect")


class Two(Scene):
    """Beside w1 with t1 there is w2 with an agent b that holds t2."""

    async def open(self) -> None:
        await super().open()
        self.events: list[AnyEvent] = []
        self.node.control.on_commit.append(lambda seq, at, events: self.events.extend(events))
        now, first = self.host.now_ms(), self.host.child
        spec = AgentSpec(id="b", type="t", name="b", class_path="m:C")
        self.node.control.offer(c.SpawnAgent(now_ms=now, spec=spec))
        await self.until(lambda: self.host.child is not first)
        self.secret = self.host.child.secret
        self.wire.say(1, m.Hello("w2", 1, self.secret, 4711, protocol=m.PROTOCOL), sender="w2.1")
        await self.until(lambda: len(self.wire.heard(m.HostAgent)) == 2)
        self.wire.say(2, m.AgentUp("b"), sender="w2.1")
        self.node.control.offer(c.SubmitTask(now_ms=now, spec=TaskSpec(id="t2", agent="b")))
        await self.until(lambda: "t2" in [each.task for each in self.wire.heard(m.Dispatch)])

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    def lies(self) -> list[str]:
        return self.lines.of("worker_lied")

    async def finish(self) -> None:
        """Both tasks come to their true ends, whatever was said before."""
        self.wire.say(90, m.Result("t1", 1, ONE))
        self.wire.say(90, m.Result("t2", 1, TWO), sender="w2.1")
        await self.until(lambda: len(self.of(e.TaskCompleted)) == 2)
        results = {event.task: event.result for event in self.of(e.TaskCompleted)}
        assert results == {"t1": ONE, "t2": TWO}


def two(play: Callable[[Two], Coroutine[Any, Any, None]]) -> None:
    played(play, Two)


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (m.Result("t2", 1, ONE), "which is in w2"),
        (m.Failed("t2", 1, FailureKind.PERMANENT, "so"), "which is in w2"),
        (m.Started("t2", 1), "which is in w2"),
        (m.Progress("t2", 1, 0.5, "half"), "which is in w2"),
        (m.Result("t1", 2, ONE), "never given out"),
        (m.Result("t1", 0, ONE), "never given out"),
        (m.Result("t99", 1, ONE), "of which nothing is known"),
    ],
)
def test_what_a_worker_says_of_work_that_it_was_not_given_is_named_and_has_no_effect(
    message: m.Message, why: str
) -> None:
    async def play(scene: Two) -> None:
        heard: list[str] = []
        scene.node.sessions.on_progress.append(lambda task, *_: heard.append(task))
        scene.wire.say(3, message)
        await scene.until(lambda: m.FrameAck(3) in scene.wire.sent)
        assert [why in told and told.startswith("w1.1: ") for told in scene.lies()] == [True]
        assert not scene.of(e.LateResultRefused)
        assert heard == []
        await scene.finish()

    two(play)


def test_a_second_result_is_named_and_one_that_is_sent_again_is_not() -> None:
    async def play(scene: Two) -> None:
        for number in (3, 3, 4):
            scene.wire.say(number, m.Result("t1", 1, ONE if number == 3 else TWO))
        await scene.until(lambda: m.FrameAck(4) in scene.wire.sent)
        assert ["a second result" in told for told in scene.lies()] == [True]
        scene.wire.say(5, m.Result("t2", 1, TWO), sender="w2.1")
        await scene.until(lambda: len(scene.of(e.TaskCompleted)) == 2)
        assert [event.result for event in scene.of(e.TaskCompleted)] == [ONE, TWO]

    two(play)


def test_what_comes_late_is_refused_by_the_fence_and_is_no_lie() -> None:
    async def play(scene: Two) -> None:
        now = scene.host.now_ms()
        lapse = c.ExpireLease(now_ms=now, task="t1", attempt=1, evidence="silence")
        scene.node.control.offer(lapse)
        await scene.until(lambda: scene.node.control.state.tasks["t1"].attempt == 2)
        scene.wire.say(3, m.Result("t1", 1, TWO))
        await scene.until(lambda: scene.of(e.LateResultRefused))
        assert scene.lies() == []
        assert scene.node.control.state.tasks["t1"].status is TaskStatus.ASSIGNED

    two(play)


def test_a_forged_hello_is_rejected_to_the_face_of_whoever_forged_it() -> None:
    async def play(scene: Two) -> None:
        forged = [
            m.Hello("w2", 1, "guessed", 4711, protocol=m.PROTOCOL),
            m.Hello("w2", 1, scene.secret, 4711, protocol=m.PROTOCOL),
            m.Hello("w2", 2, scene.secret, 4711, protocol=m.PROTOCOL),
        ]
        for hello in forged:
            scene.wire.say(0, hello)
        await scene.until(lambda: len(scene.wire.heard(m.Rejected)) == len(forged))
        assert scene.wire.to(m.Rejected) == ["worker.w1"] * len(forged)
        assert len(scene.lies()) == len(forged)
        await scene.finish()

    two(play)


def test_nobody_beats_for_another() -> None:
    async def play(scene: Two) -> None:
        beat = m.Heartbeat("w2", 1, (("t2", 1),), 5)
        for sender in ("w1.1", "w1.1.beat", "w2.2.beat"):
            scene.wire.say(0, beat, sender=sender, to="orch.s.hb")
        assert scene.node.liveness.last_heard("w2") is None
        scene.wire.say(0, beat, sender="w2.1.beat", to="orch.s.hb")
        assert scene.node.liveness.last_heard("w2") is not None
        assert len(scene.lies()) == 3
        await scene.finish()

    two(play)


def test_a_frame_that_cannot_be_read_is_named() -> None:
    async def play(scene: Two) -> None:
        scene.wire.raw(b"\xc1 what", "w1.1")
        assert ["cannot be read" in told for told in scene.lies()] == [True]
        await scene.finish()

    two(play)


def test_lies_without_end_are_named_a_few_times() -> None:
    async def play(scene: Two) -> None:
        for _ in range(3 * vetting.LIES_NAMED_MAX):
            scene.wire.say(3, m.Started("t2", 1))
        assert len(scene.lies()) == vetting.LIES_NAMED_MAX
        assert scene.lies()[-1].endswith("further ones are not told")
        await scene.finish()

    two(play)


def test_signals_beyond_the_rate_are_dropped_and_named_once_and_what_must_arrive_is_taken() -> None:
    async def play(scene: Two) -> None:
        heard: list[str] = []
        scene.node.sessions.on_progress.append(lambda task, *_: heard.append(task))
        for _ in range(2 * flooding.SIGNALS_AT_ONCE):
            scene.wire.say(0, m.Progress("t1", 1, None, "on"))
        assert flooding.SIGNALS_AT_ONCE <= len(heard) < 2 * flooding.SIGNALS_AT_ONCE
        assert len(scene.lines.of("worker_floods")) == 1
        scene.wire.say(0, m.Progress("t2", 1, None, "on"), sender="w2.1")
        assert heard[-1] == "t2"
        await scene.finish()

    two(play)


def test_a_number_that_is_nought_in_other_words_is_no_way_around_the_rate() -> None:
    async def play(scene: Two) -> None:
        heard: list[str] = []
        scene.node.sessions.on_progress.append(lambda task, *_: heard.append(task))
        plain = msgspec.msgpack.encode((0, [m.Progress("t1", 1, None, "on")]))
        longer = plain[:1] + b"\xcc\x00" + plain[2:]
        for _ in range(2 * flooding.SIGNALS_AT_ONCE):
            scene.wire.raw(longer, "w1.1")
        assert flooding.SIGNALS_AT_ONCE <= len(heard) < 2 * flooding.SIGNALS_AT_ONCE
        assert len(scene.lines.of("worker_floods")) == 1
        await scene.finish()

    two(play)


def test_a_worker_that_floods_its_connection_on_and_on_is_given_up_and_others_go_on() -> None:
    async def play(scene: Two) -> None:
        # Many bytes count as many signals.
        note = "x" * flooding.BYTES_PER_SIGNAL * 1_000
        for _ in range(2 * flooding.DROPPED_MAX // 1_000):
            scene.wire.say(0, m.Progress("t2", 1, None, note), sender="w2.1")
        await scene.until(lambda: scene.of(e.WorkerLost))
        lost = scene.of(e.WorkerLost)[0]
        assert (lost.worker, "floods" in lost.reason) == ("w2", True)
        scene.wire.say(3, m.Result("t1", 1, ONE))
        await scene.until(lambda: scene.of(e.TaskCompleted))

    two(play)


def test_more_reports_than_a_worker_can_have_to_make_end_it() -> None:
    async def play(scene: Two) -> None:
        for number in range(3, flooding.FRAMES_MAX + 100):
            scene.wire.say(number, m.Started("t2", 1), sender="w2.1")
        await scene.until(lambda: scene.of(e.WorkerLost))
        assert scene.of(e.WorkerLost)[0].worker == "w2"
        scene.wire.say(3, m.Result("t1", 1, ONE))
        await scene.until(lambda: scene.of(e.TaskCompleted))

    two(play)
