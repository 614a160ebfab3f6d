"""Port: messages between processes, by subject.

Subjects are words joined by dots. In a subscription `*` stands for one word and `>` at the end
for all that follow. Delivery is at most once and in order per sender and subscriber; what must
not be lost is numbered and acknowledged by those who talk.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol


class Delivery(NamedTuple):
    """A message as it arrives. `sender` is the connection that it came over, `None` for our own."""

    subject: str
    payload: bytes
    reply: str | None
    sender: str | None


class Subscription(Protocol):
    """What `subscribe` gives back."""

    def cancel(self) -> None:
        """No delivery comes after this."""
        ...


class Bus(Protocol):
    """Publish, subscribe, and ask."""

    def publish(self, subject: str, payload: bytes, reply: str | None = None) -> int | None:
        """Send to all who listen; what is published in one turn of the loop leaves as one write.

        Returns how many subscriptions it was handed to, where this end knows that, else `None`.

        Raises:
            FrameTooLarge: the payload exceeds the frame limit.
            BusClosed: the connection is gone.
        """
        ...

    def subscribe(self, pattern: str, receive: Callable[[Delivery], None]) -> Subscription:
        """Call `receive` in the loop for each message whose subject fits."""
        ...

    async def request(self, subject: str, payload: bytes, timeout_ms: int) -> bytes:
        """Send and wait for the first reply.

        Raises:
            NoResponders: nobody listens on the subject; known at once, not after the time-out.
            TimeoutError: somebody listens and did not answer in time.
            BusClosed: the connection went away meanwhile.
        """
        ...

    async def close(self) -> None:
        """Say goodbye; later calls raise BusClosed."""
        ...
