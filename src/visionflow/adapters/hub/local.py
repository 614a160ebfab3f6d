"""The orchestrator's own end of the bus: no socket, no copy."""

from collections.abc import Callable

from visionflow.adapters.hub.asks import Asks
from visionflow.adapters.hub.exchange import INBOX, Exchange
from visionflow.adapters.hub.frames import item_bytes
from visionflow.adapters.hub.routes import check_subject
from visionflow.domain.errors import BusClosed
from visionflow.ports.bus import Delivery


class LocalSubscription:
    """A receiver inside the hub's own process."""

    def __init__(
        self, exchange: Exchange, pattern: str, receive: Callable[[Delivery], None]
    ) -> None:
        self._exchange = exchange
        self._pattern = pattern
        self._receive = receive
        self._live = True
        exchange.routes.add(pattern, self)

    def deliver(self, subject: str, payload: bytes, reply: str | None, sender: str | None) -> None:
        """Called by the exchange. What was published in here is received a moment later."""
        deliver = self._exchange.later if sender is None else self._exchange.now
        deliver(self._take, Delivery(subject, payload, reply, sender))

    def cancel(self) -> None:
        """No delivery comes after this."""
        if self._live:
            self._live = False
            self._exchange.routes.remove(self._pattern, self)

    def _take(self, delivery: Delivery) -> None:
        if self._live:
            self._receive(delivery)


class LocalBus:
    """An end of the bus inside the hub's process. Satisfies `Bus`."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._asks = Asks()
        self._number = exchange.add_end(self)
        self._subscriptions: list[LocalSubscription] = []
        self._open = True

    def publish(self, subject: str, payload: bytes, reply: str | None = None) -> int:
        """See `Bus`. Listeners in this process are called once the caller has returned."""
        self._check()
        check_subject(subject)
        item_bytes((subject, reply, payload))
        return self._exchange.route(subject, payload, reply, None)

    def subscribe(self, pattern: str, receive: Callable[[Delivery], None]) -> LocalSubscription:
        """See `Bus`."""
        self._check()
        subscription = LocalSubscription(self._exchange, pattern, receive)
        self._subscriptions.append(subscription)
        return subscription

    async def request(self, subject: str, payload: bytes, timeout_ms: int) -> bytes:
        """See `Bus`."""
        self._check()
        token, answer = self._asks.begin()
        if not self.publish(subject, payload, f"{INBOX}{self._number}.{token}"):
            self._asks.nobody(token, subject)
        return await self._asks.wait(token, answer, timeout_ms)

    async def close(self) -> None:
        """See `Bus`."""
        if self._open:
            self._open = False
            self._exchange.remove_end(self._number)
            for subscription in self._subscriptions:
                subscription.cancel()
            self._asks.end("This end of the bus was closed.")

    def answered(self, token: str, payload: bytes) -> bool:
        """An answer has come for one of its requests."""
        return self._asks.answer(token, payload)

    def _check(self) -> None:
        if not self._open:
            raise BusClosed("This end of the bus was closed.")
