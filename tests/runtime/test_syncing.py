"""What a worker says that it holds is held against the log, and what differs is sent again."""

import asyncio
from collections.abc import Callable

import pytest

from tests.runtime.scene import Scene, played
from visionflow.domain import commands as c
from visionflow.domain import messages as m
from visionflow.domain.digests import spec_digest
from visionflow.domain.tasks import Payload
from visionflow.engine.syncing import Difference
from visionflow.runtime import syncing
from visionflow.runtime.syncing import Synced

Answer = Callable[[], tuple[m.HeldAgent, ...] | None]


def held(scene: Scene, revision: int = 0) -> m.HeldAgent:
    """The agent of the scene as it should be."""
    return m.HeldAgent("a", revision, spec_digest(scene.node.control.state.agents["a"].spec))


async def synced(scene: Scene, *answers: Answer, sender: str = "w1.1") -> Synced:
    """Sync, with a worker that answers each question in turn, the last answer again and again."""
    asking = asyncio.ensure_future(scene.node.syncing.sync())
    seen = 0
    async with asyncio.timeout(60):
        while not asking.done():
            asked = scene.wire.heard(m.DigestAsked)
            while seen < len(asked):
                answer = answers[min(seen, len(answers) - 1)]()
                question = asked[seen]
                seen += 1
                assert isinstance(question, m.DigestAsked)
                if answer is not None:
                    told = m.DigestTold(question.number, answer)
                    scene.wire.say(0, told, sender=sender)
            await asyncio.sleep(0)
    return await asking


def test_a_worker_that_holds_what_it_should_is_left_alone() -> None:
    async def play(scene: Scene) -> None:
        scene.wire.clear()
        found = await synced(scene, lambda: (held(scene),))
        (member,) = found.members
        assert member.expected == member.before == member.after
        assert (found.differed, found.resent, found.silent, found.left) == ([], [], [], 0)
        assert not scene.wire.heard(m.HostAgent)

    played(play)


def test_an_agent_that_a_worker_does_not_have_is_sent_to_it_again() -> None:
    async def play(scene: Scene) -> None:
        scene.wire.clear()

        def answer() -> tuple[m.HeldAgent, ...]:
            return (held(scene),) if scene.wire.heard(m.HostAgent) else ()

        found = await synced(scene, answer)
        assert found.differed == [("w1", "a", Difference.MISSING)]
        (member,) = found.members
        assert member.before is None and member.after == member.expected
        assert found.left == 0
        (sent,) = scene.wire.heard(m.HostAgent)
        assert sent.spec.id == "a"  # type: ignore[attr-defined]

    played(play)


def test_one_of_before_an_update_is_sent_as_what_it_is_now() -> None:
    async def play(scene: Scene) -> None:
        now = scene.host.now_ms()
        old = held(scene)
        update = c.UpdateAgent(now_ms=now, agent="a", config=Payload(inline=b"\x80"))
        scene.wire.clear()
        scene.node.control.offer(update)
        await scene.until(lambda: scene.wire.heard(m.HostAgent))
        scene.wire.clear()

        def answer() -> tuple[m.HeldAgent, ...]:
            return (held(scene, 1) if scene.wire.heard(m.HostAgent) else old,)

        found = await synced(scene, answer)
        assert found.differed == [("w1", "a", Difference.OLDER)]
        assert found.left == 0
        (sent,) = scene.wire.heard(m.HostAgent)
        assert sent.revision == 1  # type: ignore[attr-defined]

    played(play)


def test_one_that_was_built_as_something_else_is_built_anew_under_the_next_version() -> None:
    async def play(scene: Scene) -> None:
        scene.wire.clear()
        state = scene.node.control.state

        def answer() -> tuple[m.HeldAgent, ...]:
            version = state.revisions.get("a", 0)
            right = held(scene, version)
            return (right,) if version else (m.HeldAgent("a", 0, "0" * 32),)

        found = await synced(scene, answer)
        assert found.differed == [("w1", "a", Difference.OTHER)]
        assert state.revisions == {"a": 1}
        assert found.left == 0

    played(play)


def test_one_that_is_nobodys_is_ended() -> None:
    async def play(scene: Scene) -> None:
        scene.wire.clear()

        def answer() -> tuple[m.HeldAgent, ...]:
            stranger = m.HeldAgent("b", 0, "0" * 32)
            return (held(scene),) if scene.wire.heard(m.DropAgent) else (held(scene), stranger)

        found = await synced(scene, answer)
        assert found.differed == [("w1", "b", Difference.UNKNOWN)]
        assert found.left == 0

    played(play)


@pytest.mark.parametrize("sender", ["w2.1", "w1.2"])
def test_an_answer_of_another_worker_is_none(monkeypatch: pytest.MonkeyPatch, sender: str) -> None:
    monkeypatch.setattr(syncing, "PATIENCE_MS", 50)

    async def play(scene: Scene) -> None:
        found = await synced(scene, lambda: (held(scene),), sender=sender)
        assert found.silent == ["w1"]
        (member,) = found.members
        assert (member.before, member.after) == (None, None)
        assert found.resent == [], "of what does not answer nothing is known to differ"

    played(play)


def test_nobody_answers_for_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(syncing, "PATIENCE_MS", 50)

    async def play(scene: Scene) -> None:
        asking = asyncio.ensure_future(scene.node.syncing.sync())
        await scene.until(lambda: scene.wire.heard(m.DigestAsked))
        (question,) = scene.wire.heard(m.DigestAsked)
        assert isinstance(question, m.DigestAsked)
        assert scene.node.syncing.take("w2", m.DigestTold(question.number, ()))
        found = await asking
        assert (found.silent, found.differed) == (["w1"], [])

    played(play)


def test_a_worker_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(syncing, "PATIENCE_MS", 50)

    async def play(scene: Scene) -> None:
        found = await synced(scene, lambda: None)
        assert found.silent == ["w1"]

    played(play)
