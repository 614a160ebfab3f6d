"""Tells clients that listen (`subscriptions/listen` of 2026-07-28) which resources have changed.

What is told is durable: it comes from committed records, gathered for a moment so that a burst is
one message for each address. While nobody listens nothing is looked at.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from mcp.shared.subscriptions import ResourcesListChanged, ResourceUpdated, ServerEvent

from visionflow.interfaces.server import Server
from visionflow.runtime.swarms import LiveSwarm

GATHER_S = 0.1
LOOK_S = 1.0
"""How often it is looked whether swarms came or went."""
Listener = Callable[[ServerEvent], None]


class Watching:
    """The SDK's bus of events, fed from the swarms. Belongs to the loop's thread."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._listeners: dict[object, Listener] = {}
        self._watched: dict[str, tuple[LiveSwarm, Callable[..., None]]] = {}
        self._changed: dict[str, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._looking: asyncio.TimerHandle | None = None

    async def publish(self, event: ServerEvent) -> None:
        """Tell everybody who listens."""
        self._tell(event)

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Tell this one from now on; returns what ends that."""
        token = object()
        if not self._listeners:
            self._look(first=True)
        self._listeners[token] = listener

        def unsubscribe() -> None:
            self._listeners.pop(token, None)
            if not self._listeners:
                self._rest()

        return unsubscribe

    def _tell(self, event: ServerEvent) -> None:
        for listener in list(self._listeners.values()):
            listener(event)

    def _look(self, first: bool = False) -> None:
        """Watch the swarms that there are now."""
        there = {swarm.id: swarm for swarm in self._server.swarms.all()}
        gone = [swarm for swarm in self._watched if swarm not in there]
        come = [swarm for swarm in there if swarm not in self._watched]
        for name in gone:
            self._let_go(name)
        for name in come:
            hear = self._hearing(name)
            self._watched[name] = there[name], hear
            there[name].node.control.on_commit.append(hear)
        if (gone or come) and not first:
            self._tell(ResourcesListChanged())
        self._looking = asyncio.get_running_loop().call_later(LOOK_S, self._look)

    def _hearing(self, swarm: str) -> Callable[[int, int, list[Any]], None]:
        def hear(seq: int, at_ms: int, events: list[Any]) -> None:
            for address in (f"swarm/{swarm}", f"swarm/{swarm}/events"):
                self._changed[f"visionflow://{address}"] = None
            for event in events:
                task, agent = getattr(event, "task", None), getattr(event, "agent", None)
                if isinstance(task, str):
                    self._changed[f"visionflow://task/{task}"] = None
                    self._changed[f"visionflow://task/{task}/result"] = None
                if isinstance(agent, str):
                    self._changed[f"visionflow://agent/{agent}"] = None
            if self._timer is None:
                self._timer = asyncio.get_running_loop().call_later(GATHER_S, self._flush)

        return hear

    def _flush(self) -> None:
        self._timer = None
        changed, self._changed = self._changed, {}
        for uri in changed:
            self._tell(ResourceUpdated(uri=uri))

    def _let_go(self, name: str) -> None:
        swarm, hear = self._watched.pop(name)
        with suppress(ValueError):
            swarm.node.control.on_commit.remove(hear)

    def _rest(self) -> None:
        for timer in (self._timer, self._looking):
            if timer is not None:
                timer.cancel()
        self._timer = self._looking = None
        self._changed.clear()
        for name in list(self._watched):
            self._let_go(name)
