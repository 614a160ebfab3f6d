"""Copies of results with several peers, so that a result outlives the process that made it.

Where copies belong follows from who is there: rendezvous hashing (Thaler and Ravishankar, "Using
Name-Based Mappings to Increase Hit Rates", 1998) ranks the living for each key, and every peer
computes the same ranks. Copies on one machine are lost with it, and copies in one process with
that; so places on other machines are taken first, then in other processes, as far as there are any.
Who made the first copy sees to it that there are enough; once it is gone, the first of the holders.
"""

from collections.abc import Iterable, Sequence
from hashlib import blake2b, sha256
from typing import NamedTuple

import msgspec

from visionflow.domain.mesh import REPLICAS, REPLICAS_KEPT
from visionflow.engine.mesh.messages import (
    CopiesKnown,
    CopyKept,
    CopyOffered,
    Enrolled,
    Member,
    Send,
)

RESEND_MS = 2_000
"""A copy whose holder has not confirmed it is sent again after this."""
COPY_BYTES_MAX = 1_048_576
KEPT_BYTES_MAX = 67_108_864
"""Of all copies that one peer holds; the oldest go first."""


class Copies(NamedTuple):
    """What there is of a result."""

    required: int
    achieved: int
    """Copies that are confirmed, whose holders are not doubted."""
    holders: tuple[Member, ...]
    processes: int
    machines: int


class Copy(msgspec.Struct, gc=False):
    """A copy that this peer holds, and where others are."""

    digest: str
    value: bytes
    keeper: Member
    """Who sees to it that there are enough."""
    holders: dict[Member, None]
    """Who has confirmed one, this peer included."""
    sent: dict[Member, int]
    """When it was last sent to whom."""


def digest_of(value: bytes) -> str:
    """The hash that goes with a copy."""
    return sha256(value).hexdigest()


def machine_of(place: str) -> str:
    """The machine of `machine/process`."""
    return place.rpartition("/")[0]


def ranked(key: str, there: Iterable[Enrolled], beside: Iterable[Enrolled] = ()) -> list[Enrolled]:
    """The living in the order in which they are to hold copies of this key, beside who does."""

    def weight(each: Enrolled) -> tuple[bytes, str]:
        name = f"{key}\0{each.agent}".encode(errors="surrogatepass")
        return blake2b(name, digest_size=8).digest(), each.agent

    holding = {each.member: each for each in beside}
    machines = {machine_of(each.place): None for each in holding.values()}
    processes = {each.place: None for each in holding.values()}
    waiting = sorted((each for each in there if each.member not in holding), key=weight)
    chosen: list[Enrolled] = []
    for taken in (machines, processes, None):
        for each in list(waiting):
            mark = machine_of(each.place) if taken is machines else each.place
            if taken is None or mark not in taken:
                waiting.remove(each)
                chosen.append(each)
                machines[machine_of(each.place)] = None
                processes[each.place] = None
    return chosen


class Replication:
    """One peer's copies."""

    def __init__(self, me: Member, required: int = REPLICAS) -> None:
        self.held: dict[str, Copy] = {}
        """By key, the oldest first."""
        self.corrupt = 0
        """Copies that did not have the hash that came with them, and were not kept."""
        self.next_ms: int | None = None
        self._me = me
        self._required = required
        self._bytes = 0

    def offer(self, key: str, value: bytes, there: Sequence[Enrolled], now_ms: int) -> list[Send]:
        """Have copies of this value made; the same again changes nothing.

        Raises:
            ValueError: it has more than COPY_BYTES_MAX bytes.
        """
        if len(value) > COPY_BYTES_MAX:
            raise ValueError(
                f"A copy has at most {COPY_BYTES_MAX} bytes; this one has {len(value)}. Store it"
                " as a blob and replicate its reference."
            )
        self._keep(key, digest_of(value), value, self._me)
        return self._spread(key, {each.member: each for each in there}, now_ms)

    def copies(self, key: str, there: Sequence[Enrolled]) -> Copies | None:
        """What this peer knows of the copies of a key that it holds."""
        copy = self.held.get(key)
        if copy is None:
            return None
        living = [each for each in there if each.member in copy.holders]
        return Copies(
            self._required,
            len(living),
            tuple(each.member for each in living),
            len({each.place for each in living}),
            len({machine_of(each.place) for each in living}),
        )

    def receive(self, sender: Member, message: CopyOffered | CopyKept | CopiesKnown) -> list[Send]:
        """Keep what is offered, or note that others do."""
        held = self.held.get(message.key)
        if held is not None and held.digest != message.digest:
            # The first stays: a result does not change.
            return []
        match message:
            case CopyOffered():
                fits = len(message.value) <= COPY_BYTES_MAX
                if not fits or digest_of(message.value) != message.digest:
                    self.corrupt += 1
                    return []
                self._keep(message.key, message.digest, message.value, sender)
                self._note(message.key, (sender, *message.holders))
                return [Send(sender.agent, CopyKept(message.key, message.digest))]
            case CopyKept():
                if held is None or sender in held.holders:
                    return []
                self._note(message.key, (sender,))
                held.sent.pop(sender, None)
                known = CopiesKnown(message.key, message.digest, tuple(held.holders))
                return [Send(each.agent, known) for each in held.holders if each != self._me]
            case CopiesKnown():
                if held is not None:
                    held.keeper = sender
                    self._note(message.key, message.holders)
                return []

    def tick(self, there: Sequence[Enrolled], now_ms: int) -> list[Send]:
        """Send what is not confirmed, and make new copies for those whose holders are gone."""
        if self.next_ms is None or now_ms < self.next_ms:
            return []
        self.next_ms = now_ms + RESEND_MS if self.held else None
        living = {each.member: each for each in there}
        sent: list[Send] = []
        for key in list(self.held):
            sent += self._spread(key, living, now_ms)
        return sent

    def drop(self, key: str) -> None:
        """The value is no longer needed."""
        copy = self.held.pop(key, None)
        if copy is not None:
            self._bytes -= len(copy.value)

    def _spread(self, key: str, living: dict[Member, Enrolled], now_ms: int) -> list[Send]:
        copy = self.held.get(key)
        if copy is None:
            return []
        holding = [living[each] for each in copy.holders if each in living]
        missing = self._required - len(holding)
        if missing <= 0:
            return []
        if copy.keeper != self._me and copy.keeper not in living:
            first = next((each.member for each in ranked(key, holding)), None)
            if first == self._me:
                copy.keeper = self._me
        if copy.keeper != self._me:
            return []
        targets = [each.member for each in ranked(key, living.values(), holding)[:missing]]
        copy.sent = {each: at_ms for each, at_ms in copy.sent.items() if each in targets}
        due = [each for each in targets if now_ms - copy.sent.get(each, -RESEND_MS) >= RESEND_MS]
        offer = CopyOffered(key, copy.digest, copy.value, tuple(copy.holders))
        for member in due:
            copy.sent[member] = now_ms
        self.next_ms = now_ms + RESEND_MS
        return [Send(member.agent, offer) for member in due]

    def _keep(self, key: str, digest: str, value: bytes, keeper: Member) -> None:
        if key not in self.held:
            self.held[key] = Copy(digest, value, keeper, {self._me: None}, {})
            self._bytes += len(value)
        while len(self.held) > REPLICAS_KEPT or self._bytes > KEPT_BYTES_MAX:
            self.drop(next(iter(self.held)))
        if self.next_ms is None:
            self.next_ms = 0

    def _note(self, key: str, holders: Iterable[Member]) -> None:
        copy = self.held.get(key)
        if copy is not None:
            copy.holders.update(dict.fromkeys(holders))
