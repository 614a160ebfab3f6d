"""What an agent without a swarm may ask: locks of its own process and circuits. There is nobody to
delegate to."""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn

from visionflow.agents.asking import Delegation, in_words
from visionflow.domain.errors import CircuitOpenError, UsageError
from visionflow.domain.teams import TeamView
from visionflow.engine import circuits

_POLL_S = 0.01


class LocalAsking:
    """Satisfies `agents.asking.Asking`."""

    def __init__(self) -> None:
        self._locks: dict[str, threading.Lock] = {}
        self._circuits: circuits.Circuits = {}
        self._policy = circuits.Policy()

    async def acquire(self, lock: str) -> None:
        """See `Asking`. Only this agent's own code asks for it, in whichever threads."""
        held = self._locks.setdefault(lock, threading.Lock())
        while not held.acquire(blocking=False):
            await asyncio.sleep(_POLL_S)

    def release(self, lock: str) -> None:
        """See `Asking`."""
        self._locks[lock].release()

    async def try_circuit(self, circuit: str) -> None:
        """See `Asking`."""
        now_ms, known = _now_ms(), self._circuits.get(circuit)
        wait = circuits.wait_ms(known, now_ms, self._policy)
        if wait is not None:
            raise CircuitOpenError(f"Circuit {circuit} is open.", circuit=circuit, wait_ms=wait)
        self._fold(circuits.asked(circuit, known), now_ms)

    def outcome(
        self, circuit: str, succeeded: bool | None, error: BaseException | None = None
    ) -> None:
        """See `Asking`."""
        reason = in_words(error)
        now_ms, known = _now_ms(), self._circuits.get(circuit)
        if succeeded is None:
            self._fold(circuits.undecided(circuit, known), now_ms)
        elif succeeded:
            self._fold(circuits.succeeded(circuit, known), now_ms)
        else:
            self._fold(circuits.failed(circuit, known, now_ms, reason, self._policy), now_ms)

    def _fold(self, events: list[circuits.CircuitEvent], now_ms: int) -> None:
        for event in events:
            circuits.fold(self._circuits, event, now_ms)

    async def team(self) -> TeamView:
        """See `Asking`: it is in none."""
        return TeamView()

    async def delegate(self, order: Delegation) -> NoReturn:
        """See `Asking`.

        Raises:
            UsageError: always.
        """
        raise UsageError(
            f"A task of type {order.type!r} cannot be delegated: this agent has no swarm.",
            hint="Run it in a fleet, as AgentOrchestrator makes one.",
        )

    async def result_of(self, task: str) -> NoReturn:
        """See `Asking`.

        Raises:
            UsageError: always.
        """
        raise UsageError(
            f"Nothing is known of task {task!r}: this agent has no swarm.",
            hint="Run it in a fleet, as AgentOrchestrator makes one.",
        )

    def in_thread(self, call: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """See `Asking`. Runs in the caller's thread."""
        return asyncio.run(call())


def _now_ms() -> int:
    return int(time.monotonic() * 1_000)
