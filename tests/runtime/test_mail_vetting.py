"""A worker sends, reads and acknowledges for the agents that it hosts, and for no others."""

import pytest

from tests.runtime.test_vetting import Two, two
from visionflow.domain import mail_events as me
from visionflow.domain import messages as m

pytestmark = pytest.mark.acceptance("bus")


def asked(name: str, agent: str, target: str) -> m.MailAsked:
    return m.MailAsked(agent, name, target, "direct")


@pytest.mark.parametrize(
    "message",
    [
        asked("message_x", "b", "b"),
        m.MailDone("b", (1,)),
        m.MailTrouble("x", "b", 1, "it broke"),
        m.MailHandles("b"),
        m.TopicWanted("x", "b", "news"),
        m.InboxAsked(1, "b", 10),
        m.ReplyAwaited("x", "b"),
        m.EventsWanted("b", ("task.completed",)),
    ],
    ids=lambda message: type(message).__name__,
)
def test_what_is_said_for_an_agent_of_another_worker_is_named_and_changes_nothing(
    message: m.Message,
) -> None:
    async def play(scene: Two) -> None:
        scene.wire.say(5, message)
        await scene.until(lambda: bool(scene.lies()))
        assert "it speaks for agent b, which is in w2" in scene.lies()[0]
        await scene.finish()
        assert not scene.node.control.state.mail.handling
        assert not scene.of(me.MailSent) and not scene.of(me.MailSubscribed)

    two(play)
