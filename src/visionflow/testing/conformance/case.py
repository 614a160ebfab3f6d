"""What a conformance suite is made of, and how it is run.

A suite is a tuple of cases: async functions that take a fresh, empty subject, exercise it, and
raise `Nonconformance` when its behaviour is not the port's. A case that needs what a subject
cannot offer (say, opening it a second time) raises `DoesNotApply`. The suites say nothing of how
a subject is built, so every implementation, ours or a user's, runs the same ones.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import NamedTuple, TypeVar

WAIT_S_MAX = 20.0
"""No case waits longer than this for anything."""

S = TypeVar("S")
R = TypeVar("R")

Case = Callable[[S], Awaitable[None]]
"""One check of a subject; its name says what must hold."""


class Nonconformance(AssertionError):
    """The subject does not do what its port promises."""


class DoesNotApply(Exception):
    """The subject does not offer what this case needs."""


class Outcome(NamedTuple):
    """What became of one case. `fault` is `None` when it held, or did not apply."""

    case: str
    applies: bool
    fault: str | None


def require(holds: bool, otherwise: str) -> None:
    """Raise `Nonconformance` with this text unless it holds."""
    if not holds:
        raise Nonconformance(otherwise)


async def within(awaitable: Awaitable[R], what: str) -> R:
    """The result, or `Nonconformance` when it does not come in time."""
    # Not wait_for: in Python 3.11 it can swallow the cancellation by a timeout around it.
    try:
        async with asyncio.timeout(WAIT_S_MAX):
            return await awaitable
    except TimeoutError:
        raise Nonconformance(f"{what}: nothing came within {WAIT_S_MAX:.0f} s") from None


async def run_all(cases: Iterable[Case[S]], make: Callable[[], S]) -> list[Outcome]:
    """Run each case on a subject of its own; faults are collected, not raised.

    `make` returns a fresh subject; whoever passes it cleans up afterwards.
    """
    outcomes: list[Outcome] = []
    for case in cases:
        name = getattr(case, "__name__", repr(case))
        try:
            await case(make())
        except DoesNotApply:
            outcomes.append(Outcome(name, applies=False, fault=None))
        except Exception as error:
            fault = f"{type(error).__name__}: {error}"
            outcomes.append(Outcome(name, applies=True, fault=fault))
        else:
            outcomes.append(Outcome(name, applies=True, fault=None))
    return outcomes


def faults(outcomes: Iterable[Outcome]) -> dict[str, str]:
    """The cases that did not hold, with what was seen."""
    return {found.case: found.fault for found in outcomes if found.fault is not None}
