"""A face of an embedded fleet tells only what is durable, and waits for nobody who is gone."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from visionflow.domain.errors import UsageError, VisionFlowError
from visionflow.interfaces.faces import EmbeddedFace

Call = Callable[[], None]


class Reading(EmbeddedFace):
    """A face whose runtime does what a test says."""

    def __init__(self) -> None:
        self.control = SimpleNamespace(
            failure=None, after_commit=lambda tell: self.held.append(tell)
        )
        self.held: list[Call] = []
        self.posted: list[Call] = []
        node = cast("Any", SimpleNamespace(control=self.control))
        super().__init__(
            node, cast("Any", None), cast("Any", None), self.posted.append, lambda _: None
        )

    async def read(self, look: Callable[[], Any]) -> "asyncio.Task[Any]":
        reading = asyncio.ensure_future(self._read(look))
        await asyncio.sleep(0)
        return reading

    def turn(self) -> None:
        self.posted.pop()()


def test_what_was_seen_is_told_once_it_is_durable_and_not_what_came_after() -> None:
    async def run() -> None:
        face, state = Reading(), {"seats": 1}
        reading = await face.read(lambda: state["seats"])
        face.turn()
        state["seats"] = 2
        await asyncio.sleep(0.01)
        assert not reading.done()
        face.held.pop()()
        assert await reading == 1

    asyncio.run(run())


def test_what_cannot_be_seen_is_an_error_and_no_wait() -> None:
    async def run() -> None:
        def look() -> None:
            raise UsageError("there is none")

        face = Reading()
        reading = await face.read(look)
        face.turn()
        with pytest.raises(UsageError):
            await reading

    asyncio.run(run())


def test_a_runtime_that_has_ended_is_waited_for_no_longer() -> None:
    async def run() -> None:
        face = Reading()
        reading = await face.read(lambda: 1)
        face.control.failure = VisionFlowError("it has ended")
        with pytest.raises(VisionFlowError, match="ended"):
            await reading

    asyncio.run(run())
