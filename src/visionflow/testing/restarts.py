"""What a log says of restarts: none before its time, and none beyond the intensity.

Like the other checkers it reads plain maps and shares no code with the engine.
"""

from collections import Counter, deque
from collections.abc import Iterator
from typing import Any

import msgspec

Fact = dict[str, Any]

RESTARTS_MAX = 3
"""Of a worker that died by itself, within the period, unless its agent's strategy says another."""
PERIOD_MS = 60_000
SOMEBODY_ELSES = frozenset({"killed", "network_failure"})
"""Ends that are not the worker's own."""


class RestartCheck:
    """Feed it each record in order."""

    def __init__(self) -> None:
        self.starts: Counter[str] = Counter()
        """By worker."""
        self.own_deaths = 0
        self.given_up = 0
        self.most_in_a_period = 0
        """Restarts of one worker after deaths by itself, within one period."""
        self._bounds: dict[str, int] = {}
        self._deaths: dict[str, deque[int]] = {}
        """By worker, when it died by itself."""
        self._due: dict[str, int | None] = {}
        """By worker that died, when it may start again; `None`: not any more."""
        self._places: dict[str, str] = {}

    def record(self, body: bytes, until_ms: int, set_back: bool = False) -> Iterator[str]:
        """Fold one record, whose events were decided until then at the latest; what is wrong.
        With `set_back` clocks on the wall were corrected: a wait may be over before they say so.
        """
        at_ms, events = msgspec.msgpack.decode(body)
        for event in events:
            match event["t"]:
                case "agent_spawned":
                    self._placed(event["spec"], event["worker"])
                case "agent_moved":
                    self._places[event["agent"]] = event["worker"]
                case "agent_terminated":
                    self._left(event["agent"])
                case "agent_recovering":
                    # Somebody wants an agent again that was given up: its worker begins anew.
                    self._begins_anew(self._places.get(event["agent"]))
                case "worker_lost":
                    yield from self._lost(event, at_ms, until_ms)
                case "worker_started":
                    yield from self._started(event, until_ms, set_back)
                case _:
                    pass

    def _placed(self, spec: Fact, worker: str) -> None:
        self._places[spec["id"]] = worker
        if worker.startswith("own-"):
            most = spec.get("recovery", {}).get("restarts_max", RESTARTS_MAX)
            self._bounds[worker] = most

    def _left(self, agent: str) -> None:
        """A worker that nobody needs any more is forgotten; the next of its name begins anew."""
        worker = self._places.pop(agent, "")
        if worker not in self._places.values():
            self._due.pop(worker, None)
            self._deaths.pop(worker, None)

    def _begins_anew(self, worker: str | None) -> None:
        if worker is not None and self._due.get(worker, 0) is None:
            del self._due[worker]
            self._deaths.pop(worker, None)

    def _lost(self, event: Fact, at_ms: int, until_ms: int) -> Iterator[str]:
        name, again_ms = event["worker"], event.get("restart_at_ms")
        self._due[name] = again_ms
        if again_ms is None:
            self.given_up += 1
        if event.get("busy", False) or (event.get("judged") or event["kind"]) in SOMEBODY_ELSES:
            return
        self.own_deaths += 1
        deaths = self._deaths.setdefault(name, deque())
        # When exactly is not known: one that may be too long ago does not count.
        deaths.append(at_ms)
        while deaths[0] <= until_ms - PERIOD_MS and len(deaths) > 1:
            deaths.popleft()
        if again_ms is None:
            return
        self.most_in_a_period = max(self.most_in_a_period, len(deaths))
        most = self._bounds.get(name, RESTARTS_MAX)
        if len(deaths) > most:
            yield (
                f"{name} is to start again after {len(deaths)} deaths by itself within "
                f"{PERIOD_MS} ms; it may {most} times"
            )

    def _started(self, event: Fact, until_ms: int, set_back: bool) -> Iterator[str]:
        name = event["worker"]
        self.starts[name] += 1
        if name not in self._due:
            return
        due_ms = self._due.pop(name)
        if due_ms is None:
            yield f"{name} is started although it was given up"
        elif until_ms < due_ms and not set_back:
            yield f"{name} is started {due_ms - until_ms} ms before its time"
