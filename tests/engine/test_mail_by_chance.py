"""Mail in worlds of chance: where each message is, and in which order."""

from collections.abc import Iterable

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.world import World
from visionflow.domain import mail_events as me
from visionflow.testing.maillines import MailCheck
from visionflow.testing.tasklines import AgentLine


def checked(world: World) -> MailCheck:
    """The checker of logs over all of it, with no other checks."""
    check, agents = MailCheck(), dict[str, AgentLine]()
    for event in world.events():
        fact = msgspec.to_builtins(event)
        kind = fact["t"]
        if kind.startswith("mail_") or kind == "requests_forgotten":
            assert list(check.event(kind, fact, Everybody(agents))) == []
    return check


class Everybody(dict[str, AgentLine]):
    """Whoever is asked for is there: this check is about deliveries."""

    def __contains__(self, _: object) -> bool:
        return True

    def __getitem__(self, _: str) -> AgentLine:
        return AgentLine({}, "")


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.integers(50, 250))
def test_each_delivery_is_in_one_inbox_until_it_is_taken_or_dead(seed: int, steps: int) -> None:
    world = World(seed)
    for _ in range(steps):
        world.step()
    check = checked(world)
    waiting = {n for box in world.state.mail.inboxes.values() for n in box.deliveries}
    assert waiting == {n for box in check.boxes.values() for n in box}
    assert check.waiting() == world.state.mail.open


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.integers(50, 250))
def test_what_one_sender_sends_waits_in_the_order_of_sending(seed: int, steps: int) -> None:
    world, order = World(seed), dict[tuple[str, str], list[int]]()
    for _ in range(steps):
        world.step()
    for place, sent in enumerate(x for x in world.events() if isinstance(x, me.MailSent)):
        for agent in sent.to:
            order.setdefault((sent.letter.sender, agent), []).append(place)
    place_of = places(world.events())
    for agent, inbox in world.state.mail.inboxes.items():
        by_sender: dict[str, list[int]] = {}
        for number, each in inbox.deliveries.items():
            by_sender.setdefault(each.letter.sender, []).append(place_of[agent, number])
        for found in by_sender.values():
            assert found == sorted(found)


def places(events: Iterable[object]) -> dict[tuple[str, int], int]:
    """When each delivery was sent first, whatever ids it had since."""
    found: dict[tuple[str, int], int] = {}
    for place, event in enumerate(events):
        if isinstance(event, me.MailSent):
            for number, agent in enumerate(event.to, event.first):
                found[agent, number] = place
        elif isinstance(event, me.MailFailed):
            found[event.agent, event.again] = found[event.agent, event.delivery]
    return found
