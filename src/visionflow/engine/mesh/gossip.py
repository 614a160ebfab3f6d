"""What each peer should come to know: entries that are merged, and how they spread.

A peer tells news to a few others in each round, each piece a number of times that grows with the
logarithm of their number (epidemic dissemination: Demers et al., "Epidemic Algorithms for
Replicated Database Maintenance", PODC 1987). What that misses, anti-entropy finds: with the news
goes a hash over everything; where it differs, hashes of parts are compared, and what the differing
parts hold is exchanged. Every message is bounded, whatever has happened: more takes longer.

Merging is a join: of two versions of an entry the later one, of doubts about one version their
union, and above all doubts that the member failed. So peers that have received the same entries
hold the same, in whatever order they came.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from hashlib import blake2b
from typing import TypeAlias

import msgspec

from visionflow.engine.mesh.chance import Chance
from visionflow.engine.mesh.messages import Buckets, Delta, Digest, Entry, Fact, Send, Standing

GOSSIP_MS = 2_000
FANOUT = 3
"""Peers that each peer talks to in a round; all where there are fewer."""
PARTS = 64
NEWS_MAX = 32
"""Pieces of news in one message."""
ENTRIES_MAX = 64
"""Entries in one message of anti-entropy."""
ENTRIES_BYTES_MAX = 262_144
"""Values of facts in one message, together."""
FACT_BYTES_MAX = 65_536
HASH_BYTES = 8

Key: TypeAlias = tuple[str, str]
"""(agent, name); the name of a standing is empty, that of a fact is not."""

_ENCODE = msgspec.msgpack.Encoder().encode


def key_of(entry: Entry) -> Key:
    """What an entry is about."""
    return (entry.agent, entry.name if isinstance(entry, Fact) else "")


def joined(held: Entry | None, other: Entry) -> Entry:
    """What is known once both are. It does not matter which was first."""
    if held is None:
        return other
    if isinstance(held, Fact) and isinstance(other, Fact):
        if (other.incarnation, other.counter) > (held.incarnation, held.counter):
            return other
        return held
    if isinstance(held, Standing) and isinstance(other, Standing):
        mine = (held.incarnation, held.version, held.failed)
        theirs = (other.incarnation, other.version, other.failed)
        if mine != theirs:
            return other if theirs > mine else held
        doubters = union(held.doubters, other.doubters)
        if doubters == held.doubters:
            return held
        return Standing(held.agent, held.incarnation, held.version, doubters)
    raise ValueError("A fact and a standing never have one key.")


def union(one: bytes, other: bytes) -> bytes:
    """The bits that are in either, without zeros at the end."""
    return bits_of(int.from_bytes(one, "little") | int.from_bytes(other, "little"))


def bits_of(bits: int) -> bytes:
    """Bits as bytes, the lowest first."""
    return bits.to_bytes((bits.bit_length() + 7) // 8, "little")


@lru_cache(maxsize=65_536)
def _part_of(key: Key) -> int:
    return blake2b("/".join(key).encode(errors="surrogatepass"), digest_size=1).digest()[0] % PARTS


def _hash_of(entry: Entry) -> int:
    return int.from_bytes(blake2b(_ENCODE(entry), digest_size=HASH_BYTES).digest(), "little")


class Held:
    """The entries that a peer holds, with a hash over each part of them.

    A hash is the exclusive or of those of the part's entries, so a change costs one step.
    """

    def __init__(self) -> None:
        self.total = 0
        """The hash over everything."""
        self._entries: dict[Key, Entry] = {}
        self._hashes = [0] * PARTS
        self._parts: list[dict[Key, int]] = [{} for _ in range(PARTS)]
        """The hash of each entry, by part."""
        self.get = self._entries.get
        """The entry under a key, or `None`."""

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def put(self, entry: Entry) -> None:
        """Hold this one under its key."""
        key = key_of(entry)
        part = _part_of(key)
        hash_ = _hash_of(entry)
        turned = hash_ ^ self._parts[part].get(key, 0)
        self._entries[key] = entry
        self._parts[part][key] = hash_
        self._hashes[part] ^= turned
        self.total ^= turned

    def keep(self, wanted: Callable[[Entry], bool]) -> bool:
        """Drop all others; whether there were any."""
        dropped = [key_of(entry) for entry in self if not wanted(entry)]
        for key in dropped:
            del self._entries[key]
            part = _part_of(key)
            hash_ = self._parts[part].pop(key)
            self._hashes[part] ^= hash_
            self.total ^= hash_
        return bool(dropped)

    def part(self, number: int) -> list[Entry]:
        """The entries of a part."""
        return [self._entries[key] for key in self._parts[number]]

    @property
    def hashes(self) -> bytes:
        """Those of all parts."""
        return b"".join(each.to_bytes(HASH_BYTES, "little") for each in self._hashes)

    def differing(self, hashes: bytes) -> list[int]:
        """Parts of which somebody with these hashes holds something else."""
        own = self.hashes
        if len(hashes) != len(own):
            return []
        size = HASH_BYTES
        return [
            number
            for number in range(PARTS)
            if hashes[number * size : number * size + size]
            != own[number * size : number * size + size]
        ]


class Gossip:
    """One peer's part in the spreading. Who takes part, and what may be believed of an entry, is
    its owner's business: `believed` is asked of each that comes from others."""

    def __init__(self, believed: Callable[[Entry], bool]) -> None:
        self.held = Held()
        self.changed: dict[Key, None] = {}
        """Keys of entries that came or changed since they were last taken; see `take_changed`."""
        self.since_ms = 0
        """When what it holds last changed."""
        self._believed = believed
        self._news: dict[Key, int] = {}
        """What is still told, and how often it was."""
        self._rotation = 0

    def merge(self, entries: Iterable[Entry], now_ms: int, *, own: bool = False) -> bool:
        """Join these entries to those held; whether that changed anything.

        A fact above FACT_BYTES_MAX is not taken from others.
        """
        changed = False
        for entry in entries:
            key = key_of(entry)
            held = self.held.get(key)
            if held is entry or not (own or (_fits(entry) and self._believed(entry))):
                continue
            together = joined(held, entry)
            if together is held:
                continue
            changed = True
            self.held.put(together)
            self._news[key] = 0
            self.changed[key] = None
        if changed:
            self.since_ms = now_ms
        return changed

    def take_changed(self) -> list[Key]:
        """What has changed since it was last asked."""
        taken = list(self.changed)
        self.changed.clear()
        return taken

    def keep(self, wanted: Callable[[Entry], bool], now_ms: int) -> None:
        """Forget all other entries."""
        if self.held.keep(wanted):
            self.since_ms = now_ms
            self._news = {key: told for key, told in self._news.items() if self.held.get(key)}

    def round(self, among: list[str], members: int, chance: Chance) -> list[Send]:
        """Tell a few of these what is new, and what the hash over everything is."""
        targets = chance.some(among, FANOUT)
        if not targets:
            return []
        news = self._newest(len(targets), members)
        return [Send(target, Digest(self.held.total, news)) for target in targets]

    def receive(self, sender: str, message: Digest | Buckets | Delta, now_ms: int) -> list[Send]:
        """Take what another tells, and answer where what it holds differs."""
        match message:
            case Digest(total=total, news=news):
                self.merge(news, now_ms)
                differs = total != self.held.total
                return [Send(sender, Buckets(self.held.hashes))] if differs else []
            case Buckets(hashes=hashes):
                parts = self.held.differing(hashes)
                if not parts:
                    return []
                return [Send(sender, Delta(self._some_of(parts), tuple(parts)))]
            case Delta(entries=entries, want=want):
                self.merge(entries, now_ms)
                theirs = {key_of(entry): entry for entry in entries}
                unknown = self._some_of([part for part in want if 0 <= part < PARTS], theirs)
                return [Send(sender, Delta(unknown))] if unknown else []

    def _newest(self, targets: int, members: int) -> tuple[Entry, ...]:
        """The least told first. What was told often enough is left to anti-entropy."""
        enough = 2 * members.bit_length()
        chosen = sorted(self._news, key=lambda key: self._news[key])[:NEWS_MAX]
        found: list[Entry] = []
        size = 0
        for key in chosen:
            entry = self.held.get(key)
            if entry is None:
                del self._news[key]
                continue
            size += _size(entry)
            if found and size > ENTRIES_BYTES_MAX:
                break
            found.append(entry)
            self._news[key] += targets
            if self._news[key] >= enough:
                del self._news[key]
        return tuple(found)

    def _some_of(
        self, parts: list[int], theirs: Mapping[Key, Entry] | None = None
    ) -> tuple[Entry, ...]:
        """Entries of these parts that the other one does not hold so, as many as one message
        takes, beginning elsewhere each time."""
        there = [entry for part in parts for entry in self.held.part(part)]
        if theirs:
            there = [entry for entry in there if theirs.get(key_of(entry)) != entry]
        if not there:
            return ()
        self._rotation += ENTRIES_MAX
        begin = self._rotation % len(there) if len(there) > ENTRIES_MAX else 0
        found: list[Entry] = []
        size = 0
        for entry in (there[begin:] + there[:begin])[:ENTRIES_MAX]:
            size += _size(entry)
            if found and size > ENTRIES_BYTES_MAX:
                break
            found.append(entry)
        return tuple(found)


def _size(entry: Entry) -> int:
    return len(entry.value) if isinstance(entry, Fact) else len(entry.doubters)


def _fits(entry: Entry) -> bool:
    return _size(entry) <= FACT_BYTES_MAX and (not isinstance(entry, Fact) or entry.name != "")
