"""What attempts ask of their swarm: answered once it is in the log, and again when asked again."""

import asyncio

from tests.runtime.scene import Scene, played
from visionflow.domain import commands as c
from visionflow.domain import messages as m
from visionflow.domain import supervision_commands as sc
from visionflow.domain.agents import AgentSpec
from visionflow.domain.tasks import Payload, TaskSpec


class Two(Scene):
    """An agent with two tasks under way, t1 and t2."""

    async def open(self) -> None:
        await self.node.start()
        now = self.host.now_ms()
        spec = AgentSpec(id="a", type="t", name="a", class_path="m:C", tasks_max=2)
        self.node.control.offer(c.SpawnAgent(now_ms=now, spec=spec))
        for name in ("t1", "t2"):
            self.node.control.offer(c.SubmitTask(now_ms=now, spec=TaskSpec(id=name)))
        await self.until(lambda: hasattr(self.host, "child"))
        self.hello()
        await self.until(lambda: self.wire.heard(m.HostAgent))
        self.wire.say(2, m.AgentUp("a"))
        await self.until(lambda: len(self.wire.heard(m.Dispatch)) >= 2)

    def hello(self) -> None:
        self.wire.say(0, m.Hello("w1", 1, self.host.child.secret, 4711, protocol=m.PROTOCOL))

    async def rest(self) -> None:
        """What is under way comes to an end, as far as no clock is needed."""
        for _ in range(50):
            await asyncio.sleep(0)


def granted(task: str, number: int = 1) -> m.LockAnswer:
    return m.LockAnswer(task, 1, "x", number, True)


def test_a_lock_is_granted_when_that_is_in_the_log_and_the_next_when_it_was_given_back() -> None:
    async def play(scene: Two) -> None:
        wire = scene.wire
        scene.log.hold()
        wire.say(3, m.LockAsked("t1", 1, "x", 1))
        wire.say(4, m.LockAsked("t2", 1, "x", 1))
        await scene.until(lambda: scene.log.in_flight)
        await scene.rest()
        assert wire.heard(m.LockAnswer) == []
        scene.log.release()
        await scene.until(lambda: wire.heard(m.LockAnswer))
        await scene.rest()
        assert wire.heard(m.LockAnswer) == [granted("t1")]
        wire.say(5, m.LockDropped("t1", 1, "x", 1))
        await scene.until(lambda: wire.heard(m.LockAnswer)[1:])
        assert wire.heard(m.LockAnswer) == [granted("t1"), granted("t2")]

    played(play, Two)


def test_who_dials_again_asks_again_and_is_told_again_what_it_holds() -> None:
    async def play(scene: Two) -> None:
        wire = scene.wire
        wire.say(3, m.LockAsked("t1", 1, "x", 1), m.LockAsked("t2", 1, "x", 1))
        await scene.until(lambda: wire.heard(m.LockAnswer))
        scene.node.sessions.disconnected("w1.1")
        wire.sent.clear()
        scene.hello()
        await scene.until(lambda: wire.heard(m.Welcome))
        wire.say(0, m.LockAsked("t1", 1, "x", 1), m.LockAsked("t2", 1, "x", 1))
        await scene.until(lambda: wire.heard(m.LockAnswer))
        await scene.rest()
        assert wire.heard(m.LockAnswer) == [granted("t1")]
        wire.say(4, m.Result("t1", 1))
        await scene.until(lambda: wire.heard(m.LockAnswer)[1:])
        assert wire.heard(m.LockAnswer)[1] == granted("t2")

    played(play, Two)


def test_a_stale_attempt_and_one_of_a_ring_are_told_so() -> None:
    async def play(scene: Two) -> None:
        wire = scene.wire
        wire.say(3, m.LockAsked("t1", 1, "x", 1), m.LockAsked("t2", 1, "y", 1))
        wire.say(4, m.LockAsked("t1", 1, "y", 2), m.LockAsked("t2", 1, "x", 2))
        await scene.until(lambda: wire.heard(m.CancelAttempt))
        broken = wire.heard(m.CancelAttempt)[0]
        assert broken.task == "t2" and "waited for each other" in broken.reason
        await scene.until(lambda: m.LockAnswer("t1", 1, "y", 2, True) in wire.sent)
        wire.say(5, m.LockAsked("t2", 1, "z", 3))
        await scene.until(lambda: wire.heard(m.LockAnswer)[-1].lock == "z")
        answer = wire.heard(m.LockAnswer)[-1]
        assert (answer.granted, answer.code) == (False, "stale_attempt")

    played(play, Two)


def test_a_result_is_told_to_who_waits_whether_it_came_before_or_comes_later() -> None:
    async def play(scene: Two) -> None:
        wire = scene.wire
        wire.say(3, m.WaitAsked("t1", 1, "t2"))
        await scene.rest()
        assert wire.heard(m.WaitAnswer) == []
        wire.say(4, m.Result("t2", 1, Payload(inline=b"\x07")))
        await scene.until(lambda: wire.heard(m.WaitAnswer))
        wire.say(5, m.WaitAsked("t1", 1, "t2"))
        await scene.until(lambda: wire.heard(m.WaitAnswer)[1:])
        told = m.WaitAnswer("t1", 1, "t2", "completed", Payload(inline=b"\x07"))
        assert wire.heard(m.WaitAnswer) == [told, told]
        wire.say(6, m.WaitDropped("t1", 1, "t2"))
        await scene.until(lambda: not scene.node.control.state.supervised.waits)
        wire.say(7, m.WaitAsked("t1", 1, "t9"))
        await scene.until(lambda: wire.heard(m.WaitAnswer)[2:])
        assert wire.heard(m.WaitAnswer)[2].code == "unknown_task"

    played(play, Two)


def test_a_wait_that_was_given_up_is_not_answered() -> None:
    async def play(scene: Two) -> None:
        wire = scene.wire
        wire.say(3, m.WaitAsked("t1", 1, "t2"))
        await scene.until(lambda: scene.node.control.state.supervised.waits)
        wire.say(4, m.WaitDropped("t1", 1, "t2"))
        await scene.until(lambda: not scene.node.control.state.supervised.waits)
        wire.say(5, m.Result("t2", 1))
        await scene.rest()
        assert wire.heard(m.WaitAnswer) == []

    played(play, Two)


def test_a_delegated_task_is_accepted_once_and_again_and_a_bad_one_refused_with_why() -> None:
    async def play(scene: Two) -> None:
        wire, tasks = scene.wire, scene.node.control.state.tasks
        for number in (3, 4):
            wire.say(number, m.Delegated("t1", 1, TaskSpec(id="sub", type="check")))
        await scene.until(lambda: wire.heard(m.DelegateAnswer)[1:])
        assert wire.heard(m.DelegateAnswer) == [m.DelegateAnswer("t1", 1, "sub")] * 2
        assert list(tasks) == ["t1", "t2", "sub"]
        wire.say(5, m.Delegated("t1", 1, TaskSpec(id="bad", priority=99)))
        await scene.until(lambda: wire.heard(m.DelegateAnswer)[2:])
        refused = wire.heard(m.DelegateAnswer)[2]
        assert refused.code == "usage" and "priority" in refused.reason and "bad" not in tasks

    played(play, Two)


def test_an_open_circuit_is_told_with_how_long_it_is_and_writes_no_line_for_each_who_asks() -> None:
    async def play(scene: Two) -> None:
        wire, state = scene.wire, scene.node.control.state
        name = "provider:acme"
        wire.say(3, m.CircuitAsked("t1", 1, 1, name))
        await scene.until(lambda: wire.heard(m.CircuitAnswer))
        assert wire.heard(m.CircuitAnswer) == [m.CircuitAnswer("t1", 1, 1, True)]
        wire.say(4, *[m.Outcome(name, False, "503") for _ in range(5)])
        await scene.until(lambda: name in state.supervised.circuits)
        await scene.until(lambda: state.supervised.circuits[name].failures == 5)
        refusals = state.counters.refusals
        for number in range(2, 6):
            wire.say(3 + number, m.CircuitAsked("t1", 1, number, name))
        await scene.until(lambda: len(wire.heard(m.CircuitAnswer)) == 5)
        last = wire.heard(m.CircuitAnswer)[-1]
        assert not last.allowed and 50_000 < last.retry_after_ms <= 60_000
        assert last.reason == f"Circuit {name} is open after 5 failures in a row: 503"
        assert state.counters.refusals == refusals
        now = scene.host.now_ms()
        scene.node.control.offer(sc.ResetCircuit(now_ms=now, circuit=name))
        await scene.until(lambda: not state.supervised.circuits)
        wire.say(9, m.CircuitAsked("t1", 1, 6, name))
        await scene.until(lambda: wire.heard(m.CircuitAnswer)[-1].allowed)

    played(play, Two)
