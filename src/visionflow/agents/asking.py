"""What an agent asks of its swarm while it works: locks, circuits, and work for others."""

from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Protocol

import msgspec

from visionflow.domain.errors import StaleAttempt, TryLater
from visionflow.domain.tasks import RetryPolicy
from visionflow.domain.teams import TeamView

REASON_CHARS_MAX = 500
Failures = tuple[type[BaseException], ...]


class Delegation(msgspec.Struct, frozen=True):
    """A task that an agent has done by the swarm."""

    type: str
    description: str = ""
    input: Any = None
    config: dict[str, Any] | None = None
    capabilities: tuple[str, ...] = ()
    agent_type: str | None = None
    agent: str | None = None
    priority: int | None = None
    """`None`: that of the task that delegates."""
    timeout_ms: int | None = None
    retry: RetryPolicy | None = None
    depends_on: tuple[str, ...] = ()


class Asking(Protocol):
    """The attempt's way to ask. All of it belongs to the loop, but for `in_thread`."""

    async def acquire(self, lock: str) -> None:
        """Return once the attempt holds the lock.

        Raises:
            UsageError: it holds it or asks for it already.
            StaleAttempt: another attempt has begun.
            Refused: it cannot be had; the message says why.
        """
        ...

    def release(self, lock: str) -> None:
        """Give it back."""
        ...

    async def try_circuit(self, circuit: str) -> None:
        """Return if what is behind the circuit may be called.

        Raises:
            CircuitOpenError: it may not.
        """
        ...

    def outcome(
        self, circuit: str, succeeded: bool | None, error: BaseException | None = None
    ) -> None:
        """How the call went; `None`: that cannot be told. `error`: what it failed with."""
        ...

    async def team(self) -> TeamView:
        """The team that the agent is in, as it is now; one without a name where it is in none."""
        ...

    async def delegate(self, order: Delegation) -> str:
        """See `BaseAgent.delegate`."""
        ...

    async def result_of(self, task: str) -> Any:
        """See `BaseAgent.result_of`."""
        ...

    def in_thread(self, call: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """What the coroutine comes to, which runs in the loop. Blocks.

        Raises:
            UsageError: this is the loop's own thread.
        """
        ...


@asynccontextmanager
async def holding(asking: Asking, lock: str) -> AsyncGenerator[None]:
    """Hold a lock of the swarm."""
    await asking.acquire(lock)
    try:
        yield
    finally:
        asking.release(lock)


@contextmanager
def holding_in_thread(asking: Asking, lock: str) -> Generator[None]:
    """The same, in a thread."""

    async def release() -> None:
        asking.release(lock)

    asking.in_thread(lambda: asking.acquire(lock))
    try:
        yield
    finally:
        asking.in_thread(release)


@asynccontextmanager
async def through(asking: Asking, circuit: str, failures: Failures) -> AsyncGenerator[None]:
    """Call something through its circuit; exceptions of these kinds are failures of it."""
    await asking.try_circuit(circuit)
    call = _Call(failures)
    try:
        with call:
            yield
    finally:
        asking.outcome(circuit, call.succeeded, call.error)


@contextmanager
def through_in_thread(asking: Asking, circuit: str, failures: Failures) -> Generator[None]:
    """The same, in a thread."""
    call = _Call(failures)

    async def outcome() -> None:
        asking.outcome(circuit, call.succeeded, call.error)

    asking.in_thread(lambda: asking.try_circuit(circuit))
    try:
        with call:
            yield
    finally:
        asking.in_thread(outcome)


class _Call:
    """How a call goes. Being asked for patience, or stopped, tells nothing of what was called."""

    def __init__(self, failures: Failures) -> None:
        self._failures = failures
        self.succeeded: bool | None = None
        self.error: BaseException | None = None

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None:
            self.succeeded = True
        elif isinstance(error, self._failures) and not isinstance(error, TryLater | StaleAttempt):
            self.succeeded = False
            self.error = error


def in_words(error: BaseException | None) -> str:
    """What a call failed with, cut; nothing for no error."""
    if error is None:
        return ""
    name = type(error).__name__
    try:
        return f"{name}: {error}"[:REASON_CHARS_MAX]
    except Exception:
        return f"{name}, which cannot say what it is"
