"""Who is connected: counted by caller, for limits and for what replies say of connections."""

import itertools


class Connections:
    """Open connections of all faces. Belongs to the loop's thread."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        """More than so many at once are turned away."""
        self._open: dict[int, str] = {}
        self._numbers = itertools.count(1)

    def opened(self, caller: str) -> int:
        """A connection of this caller begins; returns its number."""
        number = next(self._numbers)
        self._open[number] = caller
        return number

    def renamed(self, number: int, caller: str) -> None:
        """It turned out whose connection this is."""
        if number in self._open:
            self._open[number] = caller

    def closed(self, number: int) -> None:
        """It is over. Harmless the second time."""
        self._open.pop(number, None)

    @property
    def total(self) -> int:
        """Those that are open."""
        return len(self._open)

    def of(self, caller: str) -> int:
        """Those of one caller."""
        return sum(1 for name in self._open.values() if name == caller)
