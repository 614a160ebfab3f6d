"""An effect as an agent asks for it, and what a look at the world can say of one."""

from collections.abc import Callable
from enum import Enum
from typing import Any, NamedTuple, Protocol

import msgspec

from visionflow.domain.errors import UsageError
from visionflow.domain.outside import REPEATABLE, EffectClass


class Done(msgspec.Struct, frozen=True):
    """What a probe returns of an effect that happened; `result` is what the effect returns then."""

    result: Any = None


class Looked(Enum):
    """What else a probe may return. One that cannot look raises, and is asked again later."""

    NOT_DONE = "not_done"
    UNKNOWN = "unknown"
    """It looked and cannot tell: a person is asked."""


NOT_DONE, UNKNOWN = Looked.NOT_DONE, Looked.UNKNOWN
Probed = Done | Looked


class OutsideEffect(Protocol):
    """An effect that knows how it is carried out and looked for."""

    @property
    def name(self) -> str:
        """What kind of thing it does, in a word."""
        ...

    @property
    def kind(self) -> EffectClass:
        """What can be known of it."""
        ...

    @property
    def about(self) -> str:
        """What it does, in words for a person and without secrets."""
        ...

    def identity(self) -> tuple[Any, ...]:
        """What tells it from others of its name; its key is made of that."""
        ...

    def carry_out(self, key: str) -> Any:
        """Do it. In a thread, or a coroutine function.

        Raises:
            NotDone: it certainly did not happen.
        """
        ...

    def probe(self, key: str) -> Any:
        """Look whether it happened. In a thread, or a coroutine function."""
        ...


class Order(NamedTuple):
    """An effect as its host gets it."""

    name: str
    kind: EffectClass
    identity: tuple[Any, ...]
    call: Callable[..., Any]
    args: tuple[Any, ...]
    keyed: bool
    """Whether `call` gets the key before its arguments."""
    probe: Callable[..., Any] | None
    probe_args: tuple[Any, ...]
    """After the key."""
    key: str | None
    about: str


def order_of(
    what: str | OutsideEffect,
    call: Callable[..., Any] | None,
    args: tuple[Any, ...],
    *,
    key: str | None = None,
    probe: Callable[..., Any] | None = None,
    cls: EffectClass | str | None = None,
    about: str = "",
) -> Order:
    """What `BaseAgent.effect` was called with, looked at.

    Raises:
        UsageError: the parts do not fit together.
    """
    if not isinstance(what, str):
        if call is not None or args or probe is not None or cls is not None:
            raise UsageError(
                f"{type(what).__name__} knows how it is done; beside it only `key` and `about` are "
                "taken."
            )
        done, looked = what.carry_out, what.probe
        words = about or what.about
        named = what.name
        return Order(named, what.kind, what.identity(), done, (), True, looked, (), key, words)
    if call is None:
        raise UsageError(f"Effect {what!r} says no function that carries it out.")
    default = EffectClass.PROBEABLE if probe is not None else EffectClass.IN_DOUBT
    try:
        kind = default if cls is None else EffectClass(cls)
    except ValueError:
        allowed = ", ".join(EffectClass)
        raise UsageError(f"{cls!r} is no class of effects.", hint=f"Allowed: {allowed}.") from None
    if (kind is EffectClass.PROBEABLE) != (probe is not None):
        raise UsageError(
            f"Effect {what!r} is {kind} and has {'a' if probe else 'no'} probe; a probeable one "
            "has one, and no other."
        )
    return Order(what, kind, args, call, args, kind in REPEATABLE, probe, args, key, about)
