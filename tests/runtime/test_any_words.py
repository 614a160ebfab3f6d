"""A worker that may say anything: whatever it says, the orchestrator goes on, its state sound.

Every kind of message is made at random, often of attempts and agents that are its own, so that it
is believed.
"""

import asyncio
import types
from collections.abc import Sequence
from enum import Enum
from random import Random
from typing import Annotated, Any, Union, cast, get_args, get_origin, get_type_hints

import msgspec
import pytest

from tests.runtime.scene import played
from tests.runtime.test_vetting import ONE, Two
from visionflow.domain import commands as c
from visionflow.domain import events as e
from visionflow.domain import messages as m
from visionflow.domain import supervision_commands as sc
from visionflow.domain.agents import AgentStatus
from visionflow.domain.tasks import TaskSpec
from visionflow.engine.audit import audit
from visionflow.runtime import flooding, vetting

FRAMES, SUBMIT_EVERY, AUDIT_EVERY = 1_500, 10, 100
WORDS = ("t1", "a", "b", "w1", "", "x", "gone", "agent:a", "all", "type:t", "topic:x", "y" * 5_000)
NUMBERS = (-1, 0, 1, 2, 1_000, 2**31, 2**53, 2**63 - 1, -(2**63))
FRACTIONS = (0.0, -1.0, 0.5, 1e308, float("inf"), float("nan"))
BODIES = (b"", b"\x01", b"\xc1", b"\x92\x01", b"z" * 70_000)
OWN = 0.8

pytestmark = pytest.mark.acceptance("detect")


def kinds() -> list[type[Any]]:
    """All that a worker can say, but its hello."""
    messages = get_type_hints(m.WorkerFrame)["messages"]
    (union,) = get_args(messages)[:1]
    return [kind for kind in get_args(union) if kind is not m.Hello]


class Babble:
    """Makes values of any type, of which many are beside the point."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)

    def value(self, kind: Any) -> Any:
        choice, origin, parts = self.random.choice, get_origin(kind), get_args(kind)
        if origin is Annotated:
            return self.value(parts[0])
        if origin in (Union, types.UnionType):
            return self.value(choice(parts))
        if origin is tuple and parts[-1:] != (Ellipsis,):
            return tuple(self.value(each) for each in parts)
        if origin in (tuple, list, Sequence):
            return tuple(self.value(parts[0]) for _ in range(choice((0, 1, 2))))
        if origin is dict:
            return {self.value(parts[0]): self.value(parts[1]) for _ in range(choice((0, 1)))}
        plain = {str: WORDS, int: NUMBERS, float: FRACTIONS, bytes: BODIES, bool: (True, False)}
        if kind in plain:
            return choice(cast("dict[Any, Any]", plain)[kind])
        if kind is type(None):
            return None
        if issubclass(kind, Enum):
            return choice(list(kind))
        return self.struct(kind)

    def struct(self, kind: type[Any]) -> Any:
        hints, given = get_type_hints(kind, include_extras=True), dict[str, Any]()
        for field in msgspec.structs.fields(kind):
            if field.required or self.random.random() < 0.6:
                given[field.name] = self.value(hints[field.name])
        return kind(**given)

    def message(self, scene: Two, kind: type[Any]) -> tuple[Any, str]:
        """One of this kind, and who says it."""
        state, said, worker = scene.node.control.state, self.struct(kind), "w1"
        held = [
            (name, task.attempt, task.agent, state.agents[task.agent].worker)
            for name, task in state.tasks.items()
            if task.agent in state.agents
        ]
        chance = self.random.random
        if hasattr(said, "attempt") and hasattr(said, "task") and held and chance() < OWN:
            task, attempt, agent, worker = self.random.choice(held)
            said = msgspec.structs.replace(said, task=task, attempt=attempt)
            if hasattr(said, "agent"):
                said = msgspec.structs.replace(said, agent=agent)
        elif hasattr(said, "agent") and chance() < OWN:
            agent = self.random.choice(list(state.agents) or ["a"])
            said = msgspec.structs.replace(said, agent=agent)
            worker = state.agents[agent].worker if agent in state.agents else worker
        for name, own in (("incarnation", 1), ("revision", 0)):
            if hasattr(said, name) and chance() < OWN:
                said = msgspec.structs.replace(said, **{name: own})
        return said, f"{worker}.1" if chance() < 0.95 else "w2.1"


@pytest.mark.parametrize("seed", range(3))
def test_nothing_that_a_worker_can_say_stops_the_orchestrator_or_spoils_its_state(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vetting, "LIES_NAMED_MAX", 10**9)
    monkeypatch.setattr(flooding, "SIGNALS_AT_ONCE", 10**9)
    monkeypatch.setattr(flooding, "FRAMES_MAX", 10**9)

    async def play(scene: Two) -> None:
        faults: list[str] = []
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: faults.append(repr(context.get("exception")))
        )
        babble, control = Babble(seed), scene.node.control
        every = kinds()
        for number in range(100, 100 + FRAMES):
            # An agent that is down all the time hears and says little.
            kind = babble.random.choice(every)
            if kind is not m.AgentDown or babble.random.random() < 0.05:
                said, sender = babble.message(scene, kind)
                body = msgspec.msgpack.encode((babble.random.choice((0, number)), [said]))
                scene.wire.raw(body, sender)
            if number % SUBMIT_EVERY == 0:
                now_ms = scene.host.now_ms()
                for agent, worker in (("a", "w1"), ("b", "w2")):
                    known = control.state.agents.get(agent)
                    if known is not None and known.status is AgentStatus.FAILED:
                        control.offer(sc.RestartAgent(now_ms=now_ms, agent=agent), bounded=False)
                    revision = control.state.revisions.get(agent, 0)
                    scene.wire.say(number, m.AgentUp(agent, revision), sender=f"{worker}.1")
                spec = TaskSpec(id=f"n{number}", agent=babble.random.choice(("a", "b", None)))
                control.offer(c.SubmitTask(now_ms=now_ms, spec=spec), bounded=False)
            if number % 3 == 0:
                await asyncio.sleep(0)
            if number % AUDIT_EVERY == 0:
                assert audit(control.state) == []
            assert control.failure is None, repr(control.failure.__cause__)
        assert faults == []
        assert scene.of(e.TaskCompleted) and scene.of(e.AttemptFailed) and scene.lies()

    played(play, Two)


@pytest.mark.parametrize("took_us", [-(2**63), -1, 2**63 - 1])
def test_an_attempt_that_is_said_to_take_no_time_or_for_ever_is_done_all_the_same(
    took_us: int,
) -> None:
    async def play(scene: Two) -> None:
        scene.wire.say(3, m.Result("t1", 1, ONE, took_us))
        await scene.until(lambda: scene.of(e.TaskCompleted))
        (done,) = scene.of(e.TaskCompleted)
        assert 0 <= done.duration_us < 2**53
        assert scene.node.control.failure is None and audit(scene.node.control.state) == []
        now_ms = scene.host.now_ms()
        again = c.SubmitTask(now_ms=now_ms, spec=TaskSpec(id="t3", agent="a"))
        scene.node.control.offer(again)
        await scene.until(lambda: "t3" in [each.task for each in scene.of(e.TaskAssigned)])

    played(play, Two)
