"""Messages from agent to agent: how many a second, and how long a question takes."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from bench.bus_agents import Receiver, Sender
from bench.figures import Row, Series, percentile, ratio
from bench.peers.autogen_side import AutoGen
from bench.rounds import Budget, interleaved
from visionflow import AgentOrchestrator, Task
from visionflow.interfaces.orchestrator import AgentHandle, Fleet

WINDOW = 32
INBOX = 900
"""So many are sent at most before they were handed over: an inbox holds a thousand."""
WAIT_S = 120
OWN_PROCESS_BYTES = 2**30


class Carrier(Protocol):
    """Somebody whose agents talk. Opened for a round, and closed after it."""

    name: str

    def open(self, folder: Path) -> None:
        """Start what is needed.

        Raises:
            NotThere: it cannot be started here.
        """
        ...

    def run(self, tasks: int, window: int) -> None:
        """Send so many messages; returns once the last was handed over."""
        ...

    def singles(self, tasks: int) -> list[float]:
        """Seconds of each of so many questions, one after the other."""
        ...

    def close(self) -> None:
        """End all that was started."""
        ...


class OurBus:
    """Two agents in two worker processes; each message is in the log before its sender goes on."""

    name = "visionflow (durable, two processes)"

    def __init__(self) -> None:
        self._orchestrator: AgentOrchestrator[Fleet, object] | None = None
        self._fleet: Fleet
        self._sender: AgentHandle
        self._receiver: AgentHandle
        self._handed = 0

    def open(self, folder: Path) -> None:
        """See `Carrier.open`."""
        self._orchestrator = AgentOrchestrator(folder, topology="mesh")
        fleet = self._fleet = self._orchestrator.open()
        alone = {"memory_bytes": OWN_PROCESS_BYTES}
        (self._sender,) = fleet.spawn(Sender, **alone)
        (self._receiver,) = fleet.spawn(Receiver, tasks_max=2, **alone)
        self.run(50, WINDOW)

    def run(self, tasks: int, window: int) -> None:
        """See `Carrier.run`."""
        left = tasks
        while left:
            count = min(left, INBOX)
            self._order(count, window)
            self._handed += count
            waiting = self._fleet.submit(Task(input=self._handed), agent=self._receiver)
            waiting.result(WAIT_S)
            left -= count

    def singles(self, tasks: int) -> list[float]:
        """See `Carrier.singles`."""
        return self._order(tasks, 0)

    def _order(self, count: int, window: int) -> Any:
        order = {"to": self._receiver.id, "count": count, "window": window}
        return self._fleet.submit(Task(input=order), agent=self._sender).result(WAIT_S)

    def close(self) -> None:
        """See `Carrier.close`."""
        if self._orchestrator is not None:
            self._orchestrator.close()
        self._orchestrator = None


def bus(budget: Budget) -> Row:
    """Ours and autogen-core's runtime, in turns."""
    makers: list[Callable[[], Carrier]] = [OurBus, AutoGen]
    found = interleaved(makers, budget.rounds, lambda carrier, _: _measured(carrier, budget))
    series: list[Series] = []
    for place, (label, unit) in enumerate(
        (("messages", "messages/s"), ("question p50", "ms"), ("question p99", "ms"))
    ):
        for name, (rounds, why) in found.items():
            samples = tuple(each[place] for each in rounds)
            series.append(Series(f"{name}, {label}", unit, samples, why))
    count = len(found)
    ratios = {
        f"to {series[at + 1].name}": ratio(series[at], series[at + 1])
        for at in range(0, len(series), count)
    }
    note = (
        "autogen-core's SingleThreadedAgentRuntime hands Python objects over within one process "
        "and keeps nothing; ours crosses two processes and the disk. Not the same promise."
    )
    what = (
        f"messages between two agents, at most {WINDOW} sent and not yet confirmed; and questions, "
        "one after the other"
    )
    return Row("bus", what, tuple(series), ratios, (note,))


def _measured(carrier: Carrier, budget: Budget) -> tuple[float, float, float]:
    began = time.perf_counter()
    carrier.run(100, WINDOW)
    each = (time.perf_counter() - began) / 100
    count = max(100, min(budget.tasks, int(budget.seconds / 2 / each)))
    began = time.perf_counter()
    carrier.run(count, WINDOW)
    rate = count / (time.perf_counter() - began)
    began = time.perf_counter()
    carrier.singles(20)
    each = (time.perf_counter() - began) / 20
    taken = carrier.singles(max(50, min(1_000, int(budget.seconds / 2 / each))))
    return rate, 1e3 * percentile(taken, 0.5), 1e3 * percentile(taken, 0.99)
