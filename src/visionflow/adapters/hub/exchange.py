"""Routes messages between the ends of one hub. Knows nothing of sockets or of permissions."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol

from visionflow.adapters.hub.routes import Routes
from visionflow.ports.bus import Delivery

INBOX = "_in."
"""Replies go to `_in.<end>.<token>`, straight to the end that asked."""


class Listener(Protocol):
    """Whoever gets messages."""

    def deliver(self, subject: str, payload: bytes, reply: str | None, sender: str | None) -> None:
        """Take one message."""
        ...


class End(Protocol):
    """Whoever asks and gets answers."""

    def answered(self, token: str, payload: bytes) -> bool:
        """Take an answer; whether it went anywhere."""
        ...


class Exchange:
    """Who listens, who asks, and what is to be delivered inside this process."""

    def __init__(self) -> None:
        self.routes: Routes[Listener] = Routes()
        self._loop = asyncio.get_running_loop()
        self._ends: dict[int, End] = {}
        self._last_end = 0
        self._turn: deque[tuple[Callable[[Delivery], None], Delivery]] = deque()

    def route(self, subject: str, payload: bytes, reply: str | None, sender: str | None) -> int:
        """Hand a message to all who listen; returns how many did."""
        if subject.startswith(INBOX):
            return self._answer(subject, payload)
        listeners = self.routes.match(subject)
        for listener in listeners:
            listener.deliver(subject, payload, reply, sender)
        return len(listeners)

    def add_end(self, end: End) -> int:
        """A number for whoever may ask."""
        self._last_end += 1
        self._ends[self._last_end] = end
        return self._last_end

    def remove_end(self, number: int) -> None:
        """It asks no more."""
        self._ends.pop(number, None)

    def now(self, take: Callable[[Delivery], None], delivery: Delivery) -> None:
        """Deliver inside this process at once: it came over a socket, so nobody in here is in
        the middle of publishing. What goes wrong stays with this delivery."""
        try:
            take(delivery)
        except Exception as error:
            self._loop.call_exception_handler(
                {"message": f"a receiver of {delivery.subject} failed", "exception": error}
            )

    def later(self, take: Callable[[Delivery], None], delivery: Delivery) -> None:
        """Deliver inside this process, once whoever is publishing now has returned."""
        if not self._turn:
            self._loop.call_soon(self._deliver_turn)
        self._turn.append((take, delivery))

    def _answer(self, subject: str, payload: bytes) -> int:
        parts = subject.split(".", 2)
        end = self._ends.get(int(parts[1])) if len(parts) == 3 and parts[1].isdigit() else None
        return int(end is not None and end.answered(parts[2], payload))

    def _deliver_turn(self) -> None:
        turn, self._turn = self._turn, deque()
        for take, delivery in turn:
            self.now(take, delivery)
