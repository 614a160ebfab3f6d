"""Circuits for programs: those of a swarm to look at, and the guide's circuit breaker, which is a
thin face over the same machine, needs no swarm, and keeps nothing but what it counts.
"""

import inspect
import threading
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import TypeVar, cast

import msgspec

from visionflow.domain.errors import CircuitOpenError, TryLater, UsageError
from visionflow.domain.supervision import CircuitStatus
from visionflow.engine import circuits
from visionflow.engine.supervised import CircuitState

T = TypeVar("T")
TIMEOUT_S_MAX = 10**9
"""Some thirty years, beyond which a timeout is no such thing."""


class Circuit(msgspec.Struct, frozen=True):
    """A circuit of a swarm that has counted failures."""

    status: CircuitStatus
    failures: int
    """In a row."""
    until_ms: int | None
    """Of one that is open: when one call may try, in ms since the epoch."""
    reason: str
    """What the last failure was that opened it."""

    @classmethod
    def of(cls, known: CircuitState) -> "Circuit":
        """As the engine keeps it."""
        until_ms = known.until_ms if known.status is CircuitStatus.OPEN else None
        return cls(known.status, known.failures, until_ms, known.reason)


class CircuitBreaker:
    """After `failure_threshold` failures in a row of what is called for an id, nothing more is
    called for it for `timeout` seconds. Then one call may try: its success closes the circuit, its
    failure opens it for as long again. May be used from several threads and loops at once.

    An exception of the operation is a failure and is raised on. `TryLater` and being cancelled
    say nothing of whether it works.
    """

    def __init__(
        self,
        failure_threshold: int = 5,
        timeout: float = 60,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`clock` gives seconds that never go back.

        Raises:
            UsageError: the threshold is no whole number of at least 1, or the timeout no finite
                number above 0.
        """
        if not _is_sound(failure_threshold, timeout):
            raise UsageError(
                f"A circuit breaker with failure_threshold={failure_threshold!r} and "
                f"timeout={timeout!r} would never let anything through, or never hold it up.",
                hint="Use a whole number of 1 or more as threshold, and a timeout above 0 s that "
                "ends.",
            )
        self.failure_threshold = failure_threshold
        self.timeout = timeout
        self._clock = clock
        self._policy = circuits.Policy(failure_threshold, max(1, round(timeout * 1_000)))
        self._circuits: circuits.Circuits = {}
        self._lock = threading.Lock()

    @property
    def state(self) -> defaultdict[str, str]:
        """By id: `closed`, `open` or `half_open`, as it is now."""
        found: defaultdict[str, str] = defaultdict(lambda: circuits.CLOSED.value)
        with self._lock:
            self._look()
            found.update({name: each.status.value for name, each in self._circuits.items()})
        return found

    @property
    def failures(self) -> defaultdict[str, int]:
        """By id: how many calls in a row have failed."""
        found: defaultdict[str, int] = defaultdict(int)
        with self._lock:
            found.update({name: each.failures for name, each in self._circuits.items()})
        return found

    async def call(self, agent_id: str, operation: Callable[[], Awaitable[T] | T]) -> T:
        """What `operation` comes to; it may be a coroutine function.

        Raises:
            CircuitOpenError: it was not called; `wait_ms` says when one call may try.
        """
        self._ask(agent_id)
        with _Call(self, agent_id):
            found = operation()
            return await found if inspect.isawaitable(found) else cast("T", found)

    def call_sync(self, agent_id: str, operation: Callable[[], T]) -> T:
        """`call` for programs without a loop.

        Raises:
            CircuitOpenError: it was not called; `wait_ms` says when one call may try.
            UsageError: the operation is a coroutine function, or gave something to await, so that
                nobody here can tell how it goes; that counts neither way.
        """
        if inspect.iscoroutinefunction(operation):
            raise _awaitable(operation)
        self._ask(agent_id)
        with _Call(self, agent_id) as call:
            found = operation()
            call.tells = not inspect.isawaitable(found)
        if call.tells:
            return found
        if inspect.iscoroutine(found):
            found.close()
        raise _awaitable(operation)

    def reset(self, agent_id: str) -> None:
        """Close a circuit, whatever stands against it."""
        with self._lock:
            self._circuits.pop(agent_id, None)

    def _now_ms(self) -> int:
        return int(self._clock() * 1_000)

    def _look(self) -> None:
        now_ms = self._now_ms()
        for event in circuits.due(self._circuits, now_ms):
            circuits.fold(self._circuits, event, now_ms)

    def _ask(self, name: str) -> None:
        with self._lock:
            now_ms, known = self._now_ms(), self._circuits.get(name)
            wait_ms = circuits.wait_ms(known, now_ms, self._policy)
            if wait_ms is None:
                for event in circuits.asked(name, known):
                    circuits.fold(self._circuits, event, now_ms)
                return
        raise CircuitOpenError(
            f"Circuit open for agent {name}. Retry after {wait_ms / 1_000:.1f} s.",
            circuit=name,
            wait_ms=wait_ms,
        )

    def tell(self, name: str, succeeded: bool | None, reason: str = "") -> None:
        """How a call went that was made without `call`; `None`: that cannot be told."""
        with self._lock:
            now_ms, known = self._now_ms(), self._circuits.get(name)
            if succeeded is None:
                events = circuits.undecided(name, known)
            elif succeeded:
                events = circuits.succeeded(name, known)
            else:
                events = circuits.failed(name, known, now_ms, reason, self._policy)
            for event in events:
                circuits.fold(self._circuits, event, now_ms)


def _is_sound(threshold: object, timeout: object) -> bool:
    if not isinstance(threshold, int) or isinstance(timeout, bool):
        return False
    return threshold >= 1 and isinstance(timeout, int | float) and 0 < timeout <= TIMEOUT_S_MAX


def _awaitable(operation: object) -> UsageError:
    return UsageError(
        f"{operation!r} gives something to await, which call_sync cannot do.",
        hint="Use `await breaker.call(agent_id, operation)`.",
    )


class _Call:
    """One call: how it ends is told whatever happens."""

    def __init__(self, breaker: CircuitBreaker, name: str) -> None:
        self._breaker = breaker
        self._name = name
        self.tells = True
        """Whether that it ended without an exception is a success."""

    def __enter__(self) -> "_Call":
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None:
            self._breaker.tell(self._name, True if self.tells else None)
        elif isinstance(error, TryLater) or not isinstance(error, Exception):
            self._breaker.tell(self._name, None)
        else:
            self._breaker.tell(self._name, False, type(error).__name__)
