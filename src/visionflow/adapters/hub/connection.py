"""Another process, seen from the hub: what it claims, what it may, what it says and is told."""

import asyncio
import os
from collections.abc import Callable

import msgspec

from visionflow.adapters.hub.exchange import INBOX, Exchange
from visionflow.adapters.hub.frames import Item
from visionflow.adapters.hub.guard import Claim, Grant, NotYet, peer_of
from visionflow.adapters.hub.link import Link
from visionflow.adapters.hub.routes import Patterns

AUTH_MS_MAX = 5_000
"""A connection that has not said by then who it is ends."""
DENIED_MAX = 1_000
"""A connection that says or wants to hear so often what it may not is cut off."""
REPLIES_OWED_MAX = 65_536
"""Requests that a connection may leave unanswered and still answer; beyond, the oldest go."""


class HubCounts(msgspec.Struct):
    """What happened at the door and on the way, since the hub began."""

    connections: int = 0
    refused: int = 0
    """Connections whose claim was not believed."""
    denied: int = 0
    """Messages and subscriptions outside of what the connection was granted."""
    slow: int = 0
    """Connections dropped because they did not read."""
    faults: int = 0
    """Connections that broke, or were dropped because they did not keep to the format."""


class Connection:
    """One accepted socket. It is nobody until its claim is believed."""

    def __init__(
        self,
        room: Callable[[str], Exchange | None],
        counts: HubCounts,
        admit: Callable[[Claim], Grant | None],
        joined: Callable[["Connection"], None],
        left: Callable[["Connection"], None],
        send_bytes_max: int,
    ) -> None:
        self._room = room
        self._exchange: Exchange
        """Of the room it was let into; not there before."""
        self._counts = counts
        self._admit = admit
        self._joined = joined
        self._left = left
        self._pid = 0
        self._patterns: dict[str, None] = {}
        self._owed: dict[str, None] = {}
        self._denied = 0
        self._may_publish = Patterns(frozenset())
        self._may_subscribe = Patterns(frozenset())
        self._patience: asyncio.TimerHandle | None = None
        self.number = 0
        self.sender: str | None = None
        self.room = ""
        self.link = Link(self._introduced, self._lost, self._opened, send_bytes_max)

    def deliver(self, subject: str, payload: bytes, reply: str | None, sender: str | None) -> None:
        """Send it a message that it listens for."""
        if reply is not None and reply.startswith(INBOX):
            self._owed[reply] = None
            if len(self._owed) > REPLIES_OWED_MAX:
                del self._owed[next(iter(self._owed))]
        self.link.send((subject, reply, payload))

    def answered(self, token: str, payload: bytes) -> bool:
        """Send it the answer to one of its requests."""
        self.link.send(("?" + token, None, payload))
        return self.link.open

    def _opened(self, transport: asyncio.Transport) -> None:
        self._pid, uid = peer_of(transport.get_extra_info("socket"))
        if uid not in (os.getuid(), 0):
            self._turn_away("it is another user's process")
            return
        loop = asyncio.get_running_loop()
        self._patience = loop.call_later(
            AUTH_MS_MAX / 1000, self._turn_away, "it did not say who it is in time"
        )

    def _turn_away(self, why: str) -> None:
        self._counts.refused += 1
        self.link.send(("$no", None, why.encode()))
        self.link.close()

    def _introduced(self, items: list[Item]) -> None:
        subject, _, payload = items[0]
        try:
            told = msgspec.msgpack.decode(payload, type=Claim)
        except msgspec.DecodeError:
            told = None
        if told is None or subject != "$auth":
            self._turn_away("it did not say who it is")
            return
        claim = msgspec.structs.replace(told, pid=self._pid)
        try:
            grant = self._admit(claim)
        except NotYet:
            self.link.close()
            return
        exchange = None if grant is None else self._room(grant.room)
        if grant is None or exchange is None:
            self._turn_away("its worker, incarnation, secret or pid is not the expected one")
            return
        if self._patience is not None:
            self._patience.cancel()
        self._exchange = exchange
        self.room = grant.room
        self.number = exchange.add_end(self)
        self.sender = claim.sender
        self._may_publish = Patterns(grant.publish)
        self._may_subscribe = Patterns(grant.subscribe)
        self._joined(self)
        self.link.on_items = self._take
        self.link.send(("$ok", None, b""))
        self._take(items[1:])

    def _take(self, items: list[Item]) -> None:
        for subject, reply, payload in items:
            if not self.link.open:
                return
            if subject[:1] == "$":
                self._control(subject, reply, payload)
            else:
                self._message(subject, reply, payload)

    def _message(self, subject: str, reply: str | None, payload: bytes) -> None:
        token: str | None = None
        if reply is not None and reply[:1] == "?":
            token = reply[1:]
            reply = f"{INBOX}{self.number}.{token}"
        handed = 0
        if subject in self._owed:
            del self._owed[subject]
            handed = self._exchange.route(subject, payload, reply, self.sender)
        elif self._may_publish.cover(subject) and not subject.startswith(INBOX):
            handed = self._exchange.route(subject, payload, reply, self.sender)
        else:
            self._deny()
        if token is not None and not handed:
            self.link.send(("!" + token, None, subject.encode()))

    def _control(self, subject: str, reply: str | None, payload: bytes) -> None:
        if subject == "$ping" and reply is not None:
            self.link.send((reply, None, b""))
            return
        try:
            pattern = payload.decode()
            if subject == "$sub":
                self._subscribe(pattern)
            elif subject == "$unsub":
                if self._patterns.pop(pattern, 0) is None:
                    self._exchange.routes.remove(pattern, self)
            else:
                raise ValueError(f"{subject} is not a word of the hub")
        except ValueError as fault:
            self.link.drop(str(fault))

    def _subscribe(self, pattern: str) -> None:
        if not self._may_subscribe.cover(pattern):
            self._deny()
        elif pattern not in self._patterns:
            self._exchange.routes.add(pattern, self)
            self._patterns[pattern] = None

    def _deny(self) -> None:
        self._counts.denied += 1
        self._denied += 1
        if self._denied > DENIED_MAX:
            self.link.drop("it goes on saying what it may not")

    def _lost(self, why: str | None) -> None:
        if self._patience is not None:
            self._patience.cancel()
        for pattern in self._patterns:
            self._exchange.routes.remove(pattern, self)
        if self.link.overrun:
            self._counts.slow += 1
        elif why is not None:
            self._counts.faults += 1
        if self.sender is not None:
            self._exchange.remove_end(self.number)
            self._left(self)
