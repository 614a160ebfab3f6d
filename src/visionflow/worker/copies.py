"""Copies of results that the peer of an agent sees to, and what is told of them."""

from typing import Protocol

from visionflow.domain.mesh import REPLICAS, REPLICAS_KEPT
from visionflow.domain.messages import Copied, Message
from visionflow.engine.mesh.messages import Send
from visionflow.engine.mesh.peer import Peer
from visionflow.engine.mesh.replication import digest_of

COPIES_TOLD_MS = 5_000
"""Copies that are fewer than required after this are told of as they are."""


class Telling(Protocol):
    """Takes messages to the orchestrator."""

    def send(self, message: Message) -> None:
        """Deliver it, over several connections if need be."""
        ...

    def signal(self, message: Message) -> None:
        """Deliver it if somebody is there now."""
        ...


def name_of(task: str, attempt: int) -> str:
    """Of an auction, and of the copies of a result."""
    return f"{task}#{attempt}"


class CopyTeller:
    """Of one peer."""

    def __init__(self, peer: Peer, telling: Telling) -> None:
        self._peer = peer
        self._telling = telling
        self._since_ms: dict[str, int] = {}
        """By key, since when copies are made."""
        self._told: dict[str, tuple[str, ...]] = {}
        """By key, the holders that were told of."""

    def make(self, task: str, attempt: int, value: bytes, now_ms: int) -> list[Send]:
        """Have copies of a result made; what is to be sent for that."""
        key = name_of(task, attempt)
        try:
            sends = self._peer.replicate(key, value, now_ms)
        except ValueError as error:
            self._tell(key, digest_of(value), len(value), (), str(error))
            return []
        self._since_ms[key] = now_ms
        return sends

    def look(self, now_ms: int) -> None:
        """Tell of the copies that this peer sees to: when there are enough, when there is no more
        to wait for, and whenever their holders are others than before."""
        peer = self._peer
        for key, copy in peer.replication.held.items():
            found = peer.copies(key) if copy.keeper == peer.me else None
            if found is None:
                continue
            since_ms = self._since_ms.setdefault(key, now_ms)
            enough = found.achieved >= found.required
            if not enough and now_ms - since_ms < COPIES_TOLD_MS:
                continue
            holders = tuple(sorted(holder.agent for holder in found.holders))
            if self._told.get(key) != holders:
                self._told[key] = holders
                there = len(peer.there)
                why = "" if enough else f"{there} of its {len(peer.members)} peers are there"
                self._tell(key, copy.digest, len(copy.value), holders, why)
        if len(self._since_ms) > 2 * REPLICAS_KEPT:
            for key in [each for each in self._since_ms if each not in peer.replication.held]:
                del self._since_ms[key]
                self._told.pop(key, None)

    def _tell(
        self, key: str, digest: str, size_bytes: int, holders: tuple[str, ...], why: str
    ) -> None:
        task, _, attempt = key.rpartition("#")
        self._telling.send(
            Copied(
                task=task,
                attempt=int(attempt),
                agent=self._peer.me.agent,
                digest=digest,
                size_bytes=size_bytes,
                required=REPLICAS,
                holders=holders,
                reason=why,
            )
        )
