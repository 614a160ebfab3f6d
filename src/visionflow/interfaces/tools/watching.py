"""Waiting until something is so in a swarm, as its log goes on."""

import asyncio
from collections.abc import Callable
from typing import Any

from visionflow.domain.events import AnyEvent
from visionflow.runtime.swarms import LiveSwarm


async def until(
    swarm: LiveSwarm, true: Callable[[], bool], timeout_ms: int, cancelled: asyncio.Event
) -> bool:
    """Look again after each durable record; whether it came to be. It ends early when the caller
    is gone, or nothing is decided in the swarm any more."""
    loop = asyncio.get_running_loop()
    heard: list[asyncio.Future[None]] = []
    control = swarm.node.control

    def look(_seq: int, _at_ms: int, _events: list[AnyEvent]) -> None:
        if true():
            wake()

    def wake(_: object = None) -> None:
        if heard and not heard[0].done():
            heard[0].set_result(None)

    heard.append(loop.create_future())
    taken_back: asyncio.Future[Any] = asyncio.ensure_future(cancelled.wait())
    control.on_commit.append(look)
    swarm.node.on_over.append(wake)
    try:
        if not true() and control.failure is None:
            both = (heard[0], taken_back)
            limit_s = max(0, timeout_ms) / 1_000
            await asyncio.wait(both, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        taken_back.cancel()
        control.on_commit.remove(look)
        if wake in swarm.node.on_over:
            swarm.node.on_over.remove(wake)
    if control.failure is None:
        await swarm.settled()
    return true()
