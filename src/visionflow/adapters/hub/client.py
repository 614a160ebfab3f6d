"""The end of the bus of another process: one unix socket to the hub.

It does not dial again by itself: what was on its way when the connection broke is lost, and only
those who talk know what to repeat. They are told by `on_lost`.
"""

import asyncio
from collections.abc import Callable

import msgspec

from visionflow.adapters.hub.asks import Asks
from visionflow.adapters.hub.frames import Item, item_bytes
from visionflow.adapters.hub.guard import Claim
from visionflow.adapters.hub.link import Link
from visionflow.adapters.hub.routes import Routes, check_subject
from visionflow.domain.errors import BusClosed, Refused
from visionflow.ports.bus import Delivery

HUB = "hub"
"""The sender of everything that arrives over the socket: who said it, only the hub knows."""


async def connect(
    path: str,
    claim: Claim | None = None,
    on_lost: Callable[[], None] | None = None,
    timeout_ms: int = 5_000,
) -> "SocketBus":
    """Dial the hub at this path and introduce oneself.

    Raises:
        BusClosed: nobody takes connections there, or the hub did not answer in time.
        Refused: the hub answered that the claim is wrong (`not_authorised`).
    """
    bus = SocketBus(on_lost)
    try:
        async with asyncio.timeout(timeout_ms / 1000):
            loop = asyncio.get_running_loop()
            await loop.create_unix_connection(lambda: bus.link, path)
            await bus.introduce(claim or Claim())
    except (OSError, TimeoutError) as error:
        bus.link.drop("it could not be opened")
        raise BusClosed(f"No hub answers at {path}: {error or 'it took too long'}.") from error
    return bus


class SocketBus:
    """A connection to a hub. Satisfies `Bus`; made by `connect`."""

    def __init__(self, on_lost: Callable[[], None] | None) -> None:
        self._on_lost = on_lost
        self._asks = Asks()
        self._routes: Routes[_Subscription] = Routes()
        self._patterns: dict[str, int] = {}
        self._admitted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._closing = False
        self.link = Link(self._take, self._lost)

    async def introduce(self, claim: Claim) -> None:
        """Say who this is, and wait until it is believed.

        Raises:
            Refused: it is not.
            BusClosed: the hub went away instead.
        """
        self.link.send(("$auth", None, msgspec.msgpack.encode(claim)))
        await self._admitted

    def publish(self, subject: str, payload: bytes, reply: str | None = None) -> None:
        """See `Bus`."""
        self._check()
        check_subject(subject)
        self.link.send((subject, reply, payload))

    def subscribe(self, pattern: str, receive: Callable[[Delivery], None]) -> "_Subscription":
        """See `Bus`. The hub knows of it before anything that is published after this call."""
        self._check()
        subscription = _Subscription(self, pattern, receive)
        self._routes.add(pattern, subscription)
        count = self._patterns.get(pattern, 0)
        self._patterns[pattern] = count + 1
        if not count:
            self.link.send(("$sub", None, pattern.encode()))
        return subscription

    async def request(self, subject: str, payload: bytes, timeout_ms: int) -> bytes:
        """See `Bus`."""
        self._check()
        check_subject(subject)
        item_bytes((subject, None, payload))
        return await self._ask(subject, payload, timeout_ms)

    async def settle(self, timeout_ms: int = 5_000) -> None:
        """Return once the hub has taken all that was sent before.

        Raises:
            TimeoutError: the hub did not answer in time.
            BusClosed: the connection is gone.
        """
        self._check()
        await self._ask("$ping", b"", timeout_ms)

    async def close(self) -> None:
        """See `Bus`. What was published before still leaves."""
        if not self._closing:
            self._closing = True
            self.link.close()
            self._asks.end("This end of the bus was closed.")

    def forget(self, pattern: str, subscription: "_Subscription") -> None:
        """A subscription was cancelled."""
        self._routes.remove(pattern, subscription)
        self._patterns[pattern] -= 1
        if not self._patterns[pattern]:
            del self._patterns[pattern]
            self.link.send(("$unsub", None, pattern.encode()))

    async def _ask(self, subject: str, payload: bytes, timeout_ms: int) -> bytes:
        token, answer = self._asks.begin()
        self.link.send((subject, "?" + token, payload))
        return await self._asks.wait(token, answer, timeout_ms)

    def _take(self, items: list[Item]) -> None:
        for subject, reply, payload in items:
            mark = subject[:1]
            if mark == "?":
                self._asks.answer(subject[1:], payload)
            elif mark == "!":
                self._asks.nobody(subject[1:], payload.decode())
            elif mark == "$":
                self._door(subject, payload)
            else:
                delivery = Delivery(subject, payload, reply, HUB)
                for subscription in self._routes.match(subject):
                    self._deliver(subscription, delivery)

    def _deliver(self, subscription: "_Subscription", delivery: Delivery) -> None:
        try:
            subscription.take(delivery)
        except Exception as error:
            asyncio.get_running_loop().call_exception_handler(
                {"message": f"a receiver of {delivery.subject} failed", "exception": error}
            )

    def _door(self, subject: str, payload: bytes) -> None:
        if self._admitted.done():
            return
        if subject == "$ok":
            self._admitted.set_result(None)
        else:
            self._admitted.set_exception(
                Refused(
                    f"The hub refused this connection: {payload.decode()}.", code="not_authorised"
                )
            )

    def _lost(self, why: str | None) -> None:
        text = f"The connection to the hub is gone: {why or 'it was closed'}."
        if not self._admitted.done():
            self._admitted.set_exception(BusClosed(text))
        self._asks.end(text)
        if self._on_lost is not None and not self._closing:
            self._on_lost()

    def _check(self) -> None:
        if not self.link.open:
            raise BusClosed("The connection to the hub is gone.")


class _Subscription:
    def __init__(self, bus: SocketBus, pattern: str, receive: Callable[[Delivery], None]) -> None:
        self._bus = bus
        self._pattern = pattern
        self._receive = receive
        self._live = True

    def take(self, delivery: Delivery) -> None:
        if self._live:
            self._receive(delivery)

    def cancel(self) -> None:
        if self._live:
            self._live = False
            self._bus.forget(self._pattern, self)
