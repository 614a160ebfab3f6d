"""Choices by chance without a source of chance: a stream of numbers that follows from entropy.

The stream is SplitMix64 (Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators",
2014). It is for spreading load and breaking ties, never for secrets.
"""

from collections.abc import Sequence
from typing import TypeVar

_MASK = (1 << 64) - 1
_STEP = 0x9E3779B97F4A7C15

T = TypeVar("T")


class Chance:
    """Numbers that look random and are the same for the same entropy."""

    def __init__(self, entropy: int) -> None:
        self._state = entropy & _MASK

    def below(self, bound: int) -> int:
        """A number from 0 up to and without `bound`, which is at least 1."""
        self._state = (self._state + _STEP) & _MASK
        word = self._state
        word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & _MASK
        return (word ^ (word >> 31)) % bound

    def some(self, among: Sequence[T], count: int) -> list[T]:
        """`count` different ones, or all where there are not more."""
        if count >= len(among):
            return list(among)
        taken: dict[int, None] = {}
        while len(taken) < count:
            taken[self.below(len(among))] = None
        return [among[index] for index in taken]

    def shuffled(self, among: Sequence[T]) -> list[T]:
        """All of them in an order by chance."""
        mixed = list(among)
        for last in range(len(mixed) - 1, 0, -1):
            other = self.below(last + 1)
            mixed[last], mixed[other] = mixed[other], mixed[last]
        return mixed
