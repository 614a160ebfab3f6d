"""What a log says of agents that may get nothing new, and whether they got something all the same.

Like the other checkers it reads plain maps and shares no code with the engine. Workers that are
suspected, and agents that drain or are built anew, are the business of `checkers`.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

Fact = dict[str, Any]
_HELD = {"worker_recycling": "to be replaced", "worker_restarting": "told to end"}
_FREED = frozenset({"worker_lost", "worker_stopped", "worker_started", "worker_adopted"})
_ENDED = frozenset({"attempt_failed", "task_completed", "task_cancelled", "task_failed"})


class HoldCheck:
    """Feed it each record in order."""

    def __init__(self) -> None:
        self._places: dict[str, str] = {}
        self._held: dict[str, str] = {}
        """By worker, why nobody on it gets anything."""
        self._circuits: dict[str, str] = {}
        """By agent whose circuit is not closed, how it stands."""
        self._open: dict[str, str] = {}
        """By task that is under way, its agent."""
        self._won = ""
        """A task whose auction is settled; its assignment follows at once."""

    def record(self, body: bytes) -> Iterator[str]:
        """Fold one record; what is wrong."""
        for event in msgspec.msgpack.decode(body)[1]:
            kind: str = event["t"]
            if kind == "auction_settled":
                # Peers had decided that before.
                self._won = event["task"]
            elif kind == "task_assigned" and self._won == event["task"]:
                self._won = ""
                self._open[event["task"]] = event["agent"]
            elif kind == "task_assigned":
                yield from self._assigned(event)
            elif kind in _ENDED:
                self._open.pop(event["task"], None)
            elif kind == "agent_spawned":
                self._places[event["spec"]["id"]] = event["worker"]
            elif kind == "agent_moved":
                self._places[event["agent"]] = event["worker"]
            elif kind in _HELD:
                self._held[event["worker"]] = _HELD[kind]
            elif kind in _FREED:
                self._held.pop(event["worker"], None)
            elif kind == "recovered":
                for worker in event.get("kept", ()):
                    self._held.setdefault(worker, "awaited")
            elif kind.startswith("circuit_"):
                self._circuit(kind, event)

    def _circuit(self, kind: str, event: Fact) -> None:
        what, _, name = event["circuit"].partition(":")
        if what != "agent":
            return
        if kind == "circuit_closed":
            self._circuits.pop(name, None)
        elif kind == "circuit_opened":
            self._circuits[name] = "open"
        elif kind == "circuit_half_opened":
            self._circuits[name] = "half open"

    def _assigned(self, event: Fact) -> Iterator[str]:
        task, agent = event["task"], event["agent"]
        worker = self._places.get(agent, "")
        if worker in self._held:
            yield f"{task} is given to {agent}, whose worker {worker} is {self._held[worker]}"
        circuit = self._circuits.get(agent)
        if circuit == "open":
            yield f"{task} is given to {agent}, whose circuit is open"
        elif circuit is not None and agent in self._open.values():
            yield f"{task} is given to {agent}, whose circuit is half open and which has another"
        self._open[task] = agent
