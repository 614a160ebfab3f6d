"""What holds a task up that somebody could do or is at, in words: open circuits, locks, results."""

from visionflow.domain.supervision import CircuitStatus
from visionflow.domain.tasks import TERMINAL, TaskStatus
from visionflow.engine.matching import needs
from visionflow.engine.state import SwarmState, TaskState
from visionflow.engine.supervised import CircuitState
from visionflow.engine.topology.seats import key_of, offers_of
from visionflow.interfaces.tools.moments import iso

OPEN = (TaskStatus.ASSIGNED, TaskStatus.RUNNING)
NAMED_MAX = 3
"""Agents, locks or tasks that one sentence names."""
WHY_CHARS_MAX = 200


def turned_away(state: SwarmState, task: TaskState) -> str | None:
    """Why a queued task waits although agents could take it: the circuits of all of them are
    open, or being tried. `None`: that is not so."""
    known = state.supervised.circuits
    if not known:
        return None
    spec = task.spec
    wanted = needs(key_of(state, spec))
    told: list[str] = []
    for name, agent in state.agents.items():
        if spec.agent not in (None, name) or name in state.draining:
            continue
        if state.matching.room(name) is None:
            continue
        if not wanted <= offers_of(state, agent.spec):
            continue
        circuit = known.get(f"agent:{name}")
        if circuit is None or circuit.status is CircuitStatus.CLOSED:
            return None
        told.append(_circuit(name, circuit))
    if not told:
        return None
    more = f" And {len(told) - NAMED_MAX} more." if len(told) > NAMED_MAX else ""
    return f"Who could take it fails too often: {' '.join(told[:NAMED_MAX])}{more}"


def _circuit(agent: str, circuit: CircuitState) -> str:
    if circuit.status is CircuitStatus.HALF_OPEN:
        return f"the circuit of agent {agent} is half open, and one task tries it."
    why = f" ({circuit.reason[:WHY_CHARS_MAX]})" if circuit.reason else ""
    until = iso(circuit.until_ms)
    return (
        f"the circuit of agent {agent} is open until {until}, after {circuit.failures} failures "
        f"in a row{why}."
    )


def awaited(state: SwarmState, task: TaskState) -> list[str]:
    """Tasks that an open attempt waits for: for their result, or for a lock that they hold."""
    name = task.spec.id
    if task.status not in OPEN:
        return []
    found = dict.fromkeys(state.supervised.waits.get(name, ()))
    for lock in _queued_for(state, name):
        holder = state.supervised.locks[lock].holder
        if holder is not None:
            found[holder[0]] = None
    return [each for each in found if each in state.tasks and _alive(state, each)]


def waits_in_words(state: SwarmState, task: TaskState) -> str | None:
    """What an open attempt waits for, if it does."""
    if task.status not in OPEN:
        return None
    name = task.spec.id
    results = [on for on in state.supervised.waits.get(name, ()) if _alive(state, on)]
    told = [f"It waits for lock {each}." for each in _queued_for(state, name)[:NAMED_MAX]]
    if results:
        more = f" and {len(results) - NAMED_MAX} more" if len(results) > NAMED_MAX else ""
        named = ", ".join(results[:NAMED_MAX])
        told.append(f"It waits for the result of {named}{more}.")
    return " ".join(told) or None


def _queued_for(state: SwarmState, task: str) -> list[str]:
    locks = state.supervised.locks
    return [
        lock
        for lock in state.lockers.get(task, ())
        if any(entry[0] == task for entry in locks[lock].queue)
    ]


def _alive(state: SwarmState, name: str) -> bool:
    found = state.tasks.get(name)
    return found is not None and found.status not in TERMINAL
