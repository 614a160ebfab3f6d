"""What a log may say of locks, waits, deadlocks and circuits: part of the checkers, and as they,
apart from the engine.

A lock has one holder, with an open attempt, and goes to whoever came first. Nobody is left in a
ring of attempts that wait for each other once a record is over. An agent whose circuit is open is
given nothing, and one whose circuit is half open one task.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any

Fact = dict[str, Any]
OPEN = frozenset({"assigned", "running"})
BLAMED = frozenset({"error", "timeout", "resource_exhaustion", "crash"})
ENDS = frozenset({"attempt_failed", "task_completed"})
FAILURES_MIN = 5
OPEN_MS = 60_000


class LockLine:
    """What the log says of one lock."""

    def __init__(self) -> None:
        self.holder: str | None = None
        self.queue: list[str] = []
        self.granted: dict[tuple[str, int, int], None] = {}
        """(task, attempt, number of its request) that ever held it."""


class CircuitLine:
    """What the log says of one circuit."""

    def __init__(self) -> None:
        self.status = "closed"
        self.failures = 0
        self.until_ms = 0


class WaitCheck:
    """Feed it every event of a log, in order, before anything else is made of it, and ask it
    `settled` after each record."""

    def __init__(self) -> None:
        self.locks: dict[str, LockLine] = {}
        self.waits: dict[str, dict[str, None]] = {}
        self.circuits: dict[str, CircuitLine] = {}
        self.deadlocks = 0
        self._won = ""
        """A task whose auction is settled; its assignment follows at once."""
        self._broken: dict[str, None] = {}
        """Tasks whose attempt was said to end, until it does."""
        self._blamed: Counter[str] = Counter()
        """Failures of agents since they last completed a task."""
        self._open: Counter[str] = Counter()
        """Attempts that agents hold."""
        self._looks = False
        self._limits: Fact = {}

    def event(
        self, kind: str, event: Fact, tasks: dict[str, Any], times: tuple[int, int]
    ) -> Iterator[str]:
        """What is wrong with this event. `tasks`: the `TaskLine`s as they were before it; `times`:
        between which it was decided, in ms."""
        match kind:
            case "swarm_created":
                self._limits = event["spec"].get("limits", {})
            case "lock_queued" | "lock_granted" | "lock_released":
                yield from self._lock(kind, event, tasks)
            case "wait_began" | "wait_ended":
                yield from self._wait(kind, event, tasks)
            case "deadlock_found":
                yield from self._deadlock(event, tasks)
            case "auction_settled":
                # Peers had decided that before.
                self._won = event["task"]
            case "task_assigned" if self._won == event["task"]:
                self._won = ""
                self._open[event["agent"]] += 1
            case "task_assigned":
                yield from self._assigned(event)
            case "circuit_counted" | "circuit_opened" | "circuit_half_opened" | "circuit_closed":
                yield from self._circuit(kind, event, times)
            case "agent_terminated":
                self.circuits.pop(f"agent:{event['agent']}", None)
                self._blamed.pop(event["agent"], None)
            case _:
                if kind in ENDS:
                    self._ended(kind, event, tasks)

    def settled(self, tasks: dict[str, Any]) -> Iterator[str]:
        """What is wrong once a record is over."""
        for task in self._broken:
            yield f"the attempt at {task} was to end, to break a deadlock, and did not"
        self._broken.clear()
        for name, lock in self.locks.items():
            if lock.holder is None and lock.queue:
                yield f"lock {name} is held by nobody and {lock.queue} wait for it"
        if self._looks:
            self._looks = False
            ring = self._ring(tasks)
            if ring:
                yield f"{ring} wait for each other and nothing ends that"

    # Attempts --------------------------------------------------------------------------------

    def _assigned(self, event: Fact) -> Iterator[str]:
        agent: str = event["agent"]
        circuit = self.circuits.get(f"agent:{agent}")
        if circuit is not None and circuit.status == "open":
            yield f"{event['task']} is given to {agent}, whose circuit is open"
        if circuit is not None and circuit.status == "half_open" and self._open[agent] > 0:
            yield f"{event['task']} is given to {agent}, which has one to try its circuit with"
        self._open[agent] += 1

    def _ended(self, kind: str, event: Fact, tasks: dict[str, Any]) -> None:
        name: str = event["task"]
        self._broken.pop(name, None)
        self.waits.pop(name, None)
        for lock in self.locks.values():
            lock.queue = [each for each in lock.queue if each != name]
            if lock.holder == name:
                lock.holder = None
        task = tasks.get(name)
        agent = None if task is None else task.agent
        if agent is None:
            return
        self._open[agent] -= 1
        if task is not None and task.spec.get("type") == "cast_ballot":
            return  # A ballot neither counts against its agent's circuit nor for it.
        if kind == "task_completed":
            self._blamed[agent] = 0
        elif event["kind"] in BLAMED:
            self._blamed[agent] += 1

    def _is_open(self, event: Fact, tasks: dict[str, Any]) -> bool:
        task = tasks.get(event["task"])
        return task is not None and task.status in OPEN and task.attempt == event["attempt"]

    # Locks and waits -------------------------------------------------------------------------

    def _lock(self, kind: str, event: Fact, tasks: dict[str, Any]) -> Iterator[str]:
        name, task = event["lock"], event["task"]
        lock = self.locks.setdefault(name, LockLine())
        if not self._is_open(event, tasks):
            yield f"{kind} {name} of attempt {event['attempt']} of {task}, which is not open"
        if kind == "lock_queued":
            # Between a holder's end and the grant that follows in the same record nobody holds it.
            is_free = lock.holder is None and not lock.queue
            if task in lock.queue or lock.holder == task or is_free:
                yield f"{task} waits for lock {name}, held by {lock.holder}, before {lock.queue}"
            lock.queue.append(task)
            self._looks = True
        elif kind == "lock_granted":
            if lock.holder is not None:
                yield f"lock {name} is granted to {task} while {lock.holder} holds it"
            if lock.queue and lock.queue[0] != task:
                yield f"lock {name} is granted to {task} before {lock.queue[0]}, which came first"
            lock.queue = [each for each in lock.queue if each != task]
            lock.holder = task
            lock.granted[task, event["attempt"], event.get("number", 0)] = None
            self._looks = True
        elif lock.holder == task:
            lock.holder = None
        elif task in lock.queue:
            lock.queue.remove(task)
        else:
            yield f"{task} gives back lock {name}, which it neither holds nor waits for"

    def _wait(self, kind: str, event: Fact, tasks: dict[str, Any]) -> Iterator[str]:
        task, on = event["task"], event["on"]
        if not self._is_open(event, tasks):
            yield f"{kind} of attempt {event['attempt']} of {task}, which is not open"
        waits = self.waits.setdefault(task, {})
        if kind == "wait_began":
            if on in waits or on not in tasks:
                yield f"{task} waits for {on}, which it does already or which is not known"
            waits[on] = None
            self._looks = True
        elif waits.pop(on, 0) is not None:
            yield f"{task} waits for {on} no more, and did not"

    def _edges(self, task: str, tasks: dict[str, Any]) -> list[str]:
        """Tasks that an attempt waits for, by name or as the holder of a lock."""
        held = [lock.holder for lock in self.locks.values() if task in lock.queue]
        return [on for on in (*self.waits.get(task, ()), *held) if on is not None and on in tasks]

    def _deadlock(self, event: Fact, tasks: dict[str, Any]) -> Iterator[str]:
        ring, broken = list(event["ring"]), event["broken"]
        self.deadlocks += 1
        self._broken[broken] = None
        if broken not in ring:
            yield f"the deadlock of {ring} is broken at {broken}"
        for task, following in zip(ring, [*ring[1:], ring[0]], strict=True):
            edges = self._edges(task, tasks)
            if edges and tasks[task].status in OPEN and following not in edges:
                yield f"{task} is said to wait for {following} and waits for {edges}"

    def _ring(self, tasks: dict[str, Any]) -> list[str]:
        """Attempts that wait for each other, each for something that only the next can end; one
        that is being stopped ends by itself."""
        edges: dict[str, list[str]] = {task: list(waits) for task, waits in self.waits.items()}
        for lock in self.locks.values():
            for task in lock.queue:
                if lock.holder is not None:
                    edges.setdefault(task, []).append(lock.holder)
        edges = {task: found for task, found in edges.items() if not tasks[task].cancelling}
        done: dict[str, None] = {}
        for start in edges:
            path: list[str] = []
            if start not in done:
                ring = _walk(start, edges, path, done)
                if ring:
                    return ring
        return []

    # Circuits --------------------------------------------------------------------------------

    def _circuit(self, kind: str, event: Fact, times: tuple[int, int]) -> Iterator[str]:
        name: str = event["circuit"]
        circuit = self.circuits.setdefault(name, CircuitLine())
        least = self._limits.get("circuit_failures", FAILURES_MIN)
        if kind in ("circuit_counted", "circuit_opened"):
            failures: int = event["failures"]
            if failures not in (0, circuit.failures + 1):
                yield f"circuit {name} counts {failures} after {circuit.failures}"
            agent = name.removeprefix("agent:")
            if name.startswith("agent:") and failures > self._blamed[agent]:
                yield f"circuit {name} counts {failures} failures of {self._blamed[agent]}"
            circuit.failures = failures
        if kind == "circuit_opened":
            if circuit.failures < least and circuit.status != "half_open":
                yield f"circuit {name} opens after {circuit.failures} failures"
            most_ms = times[1] + self._limits.get("circuit_open_ms", OPEN_MS)
            if event["until_ms"] > most_ms:
                yield f"circuit {name} is open for too long, until {event['until_ms']}"
            circuit.status, circuit.until_ms = "open", event["until_ms"]
        elif kind == "circuit_half_opened":
            if circuit.status == "open" and circuit.until_ms > times[1]:
                yield f"circuit {name} is half open {circuit.until_ms - times[1]} ms early"
            circuit.status = "half_open"
        elif kind == "circuit_closed" or not event["failures"]:
            del self.circuits[name]


def _walk(
    start: str, edges: dict[str, list[str]], path: list[str], done: dict[str, None]
) -> list[str]:
    """A ring that can be reached from here, by going as deep as it goes, step by step."""
    stack: list[tuple[str, int]] = [(start, 0)]
    path.append(start)
    while stack:
        name, place = stack[-1]
        following = edges.get(name, [])
        if place == len(following):
            stack.pop()
            path.pop()
            done[name] = None
            continue
        stack[-1] = (name, place + 1)
        nxt = following[place]
        if nxt in path:
            return path[path.index(nxt) :]
        if nxt not in done and nxt in edges:
            stack.append((nxt, 0))
            path.append(nxt)
    return []
