"""Who waits for whom, and who can therefore never go on. Pure.

A node goes on once all that it needs can, and once one of its places is free. It is stuck when
that will never be: the stuck ones are the largest set of nodes each of which is held up by others
of the set. A ring of them is a deadlock; whoever waits for one of a ring and is in none is freed
with it. What needs nothing is no node: it goes on.
"""

from collections.abc import Callable, Iterable

import msgspec


class Place(msgspec.Struct, frozen=True):
    """Somebody who can do something for the node once fewer than `room` of `taken` are stuck."""

    room: int
    taken: tuple[str, ...]
    """Nodes that keep it busy."""


class Need(msgspec.Struct, frozen=True):
    """What a node needs to go on."""

    all_of: tuple[str, ...] = ()
    places: tuple[Place, ...] | None = None
    """One of these; `None`: it needs none."""

    def holders(self) -> Iterable[str]:
        """All nodes that it may be held up by."""
        yield from self.all_of
        for place in self.places or ():
            yield from place.taken


Needs = Callable[[str], Need | None]
"""What a node needs; `None`: nothing, it goes on."""


def stuck(needs: Needs, starts: Iterable[str]) -> dict[str, Need]:
    """Nodes that can never go on, of these and all that they are held up by."""
    found = _reached(needs, starts)
    held: dict[str, list[str]] = {}
    for name, need in found.items():
        for holder in need.holders():
            held.setdefault(holder, []).append(name)
    looking = list(found)
    while looking:
        name = looking.pop()
        if name in found and not _is_held_up(found[name], found):
            del found[name]
            looking.extend(held.get(name, ()))
    return found


def _reached(needs: Needs, starts: Iterable[str]) -> dict[str, Need]:
    found: dict[str, Need] = {}
    free: dict[str, None] = {}
    looking = list(starts)
    while looking:
        name = looking.pop()
        if name in found or name in free:
            continue
        need = needs(name)
        if need is None:
            free[name] = None
        else:
            found[name] = need
            looking.extend(need.holders())
    return found


def _is_held_up(need: Need, among: dict[str, Need]) -> bool:
    if any(name in among for name in need.all_of):
        return True
    if need.places is None:
        return False
    return all(sum(name in among for name in place.taken) >= place.room for place in need.places)


def ring(among: dict[str, Need], start: str) -> list[str]:
    """A ring of stuck nodes that `start` is held up by, or is part of: each is held up by the
    next, the last by the first."""
    path: dict[str, None] = {}
    name = start
    while name not in path:
        path[name] = None
        name = next(holder for holder in among[name].holders() if holder in among)
    names = list(path)
    return names[names.index(name) :]
