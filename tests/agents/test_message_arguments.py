"""What an agent sends, asks or acknowledges that cannot be so: it is told what is wanted."""

import asyncio
from typing import Any

import pytest

from visionflow.agents.messaging import Messaging, Post
from visionflow.agents.orders import Order
from visionflow.domain.errors import UsageError


class Recorder:
    """Carries nothing, and remembers what it was to carry."""

    def __init__(self) -> None:
        self.taken: list[tuple[int, ...]] = []
        self.sent: list[Order] = []

    async def send(self, order: Order) -> str:
        self.sent.append(order)
        return "m"

    async def request(self, order: Order) -> Any:
        self.sent.append(order)

    async def take(self, deliveries: tuple[int, ...]) -> None:
        self.taken.append(deliveries)


class Agent(Messaging):
    id = "a"

    def __init__(self) -> None:
        self.recorder = Recorder()

    @property
    def _post(self) -> Post:
        return self.recorder  # pyright: ignore[reportReturnType]


@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
def test_a_time_that_is_none_is_refused_before_anything_is_sent(seconds: float) -> None:
    agent = Agent()
    with pytest.raises(UsageError, match="is not above 0"):
        asyncio.run(agent.request("b", {}, timeout=seconds))
    with pytest.raises(UsageError, match="is not above 0"):
        asyncio.run(agent.send_message("b", {}, ttl=seconds))
    assert agent.recorder.sent == []


def test_delivery_ids_are_acknowledged_like_messages_and_nothing_else_is() -> None:
    agent = Agent()
    asyncio.run(agent.acknowledge(3, 4))
    assert agent.recorder.taken == [(3, 4)]
    with pytest.raises(UsageError, match="no message of an inbox"):
        asyncio.run(agent.acknowledge("3"))  # pyright: ignore[reportArgumentType]
    assert agent.recorder.taken == [(3, 4)]


def test_only_a_message_is_answered() -> None:
    agent = Agent()
    with pytest.raises(UsageError, match="no Message"):
        asyncio.run(agent.reply(None, 1))  # pyright: ignore[reportArgumentType]
    assert agent.recorder.sent == []


def test_only_a_task_is_told_of_as_a_task() -> None:
    agent = Agent()
    with pytest.raises(UsageError, match="no Task"):
        asyncio.run(agent.broadcast_task({"do": 1}))  # pyright: ignore[reportArgumentType]
    assert agent.recorder.sent == []
