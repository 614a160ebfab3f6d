"""Rounds: every contender in turn, several times over, so that a noisy minute hits all alike."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from bench.contenders import Contender
from bench.ours import VisionFlow
from bench.peers.huey_side import Huey
from bench.peers.taskiq_side import Taskiq
from bench.processes import NotThere

T = TypeVar("T")
ROUNDS = 3


class Budget(msgspec.Struct, frozen=True):
    """Bounds of every load, in count and in time."""

    tasks: int = 5_000
    seconds: float = 4.0
    """Of one contender in one round: a slow one gets fewer tasks, not more time."""
    rounds: int = ROUNDS


def all_contenders() -> list[Callable[[], Contender]]:
    """Ours first; each is made anew for every round."""
    return [VisionFlow, Huey, Taskiq]


def interleaved(
    makers: Sequence[Callable[[], Contender]],
    rounds: int,
    measure: Callable[[Contender, Path], T],
) -> Mapping[str, tuple[list[T], str | None]]:
    """A B C A B C: what `measure` gave of each by name, and why where it gave nothing."""
    found: dict[str, tuple[list[T], str | None]] = {}
    for _ in range(rounds):
        for make in makers:
            contender = make()
            samples, why = found.get(contender.name, ([], None))
            if why is None:
                try:
                    samples.append(_once(contender, measure))
                except NotThere as missing:
                    why = str(missing)
            found[contender.name] = (samples, why)
    return found


def _once(contender: Contender, measure: Callable[[Contender, Path], T]) -> T:
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as folder:
        try:
            contender.open(Path(folder))
            return measure(contender, Path(folder))
        finally:
            contender.close()
