"""Alarms: things that fall due at a time, in a heap that forgets lazily.

Looking does not change an alarm, so that deciding stays pure: `due` walks only the part of the
heap that is due. What no longer counts is dropped when it comes to the top.
"""

from collections.abc import Callable
from heapq import heappop, heappush


class Alarm:
    """Ids by the time at which they fall due."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, str]] = []

    def set(self, at_ms: int, name: str) -> None:
        """Let `name` fall due at this time."""
        heappush(self._heap, (at_ms, name))

    def due(self, now_ms: int) -> list[tuple[int, str]]:
        """All that is due, earliest first, each once, stale ones included."""
        heap, found, look = self._heap, set[tuple[int, str]](), [0]
        while look:
            index = look.pop()
            if index < len(heap) and heap[index][0] <= now_ms:
                found.add(heap[index])
                look.append(2 * index + 1)
                look.append(2 * index + 2)
        return sorted(found)

    def trim(self, counts: Callable[[int, str], bool]) -> None:
        """Drop what no longer counts from the top."""
        heap = self._heap
        while heap and not counts(*heap[0]):
            heappop(heap)

    def next_ms(self) -> int | None:
        """The earliest time, which may be that of a stale one."""
        return self._heap[0][0] if self._heap else None

    def __len__(self) -> int:
        return len(self._heap)
