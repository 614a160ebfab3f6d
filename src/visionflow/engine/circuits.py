"""Circuit breakers: what is not called any more for a while because it only fails.

Closed: every call may go. After so many failures in a row it is open: none may, until its time is
over. Then it is half open: one call may try; its success closes the circuit, its failure opens it
again. Pure: a call's outcome and the time in, events out, and a fold for them. The engine keeps
circuits in its state, and the users' `CircuitBreaker` in a dict; both go by this.
"""

import msgspec

from visionflow.domain import supervision_events as s
from visionflow.domain.limits import CIRCUIT_FAILURES, CIRCUIT_OPEN_MS
from visionflow.domain.supervision import CircuitStatus
from visionflow.engine.supervised import CircuitState

CLOSED, OPEN, HALF_OPEN = CircuitStatus.CLOSED, CircuitStatus.OPEN, CircuitStatus.HALF_OPEN
AGENT = "agent:"
"""What the names of agents' circuits begin with."""
CALLED = ("provider:", "tool:")
"""What the names of circuits begin with that agents' code asks before it calls something."""

CircuitEvent = s.CircuitCounted | s.CircuitOpened | s.CircuitHalfOpened | s.CircuitClosed
Circuits = dict[str, CircuitState]


class Policy(msgspec.Struct, frozen=True):
    """When a circuit opens, and for how long."""

    failures_max: int = CIRCUIT_FAILURES
    open_ms: int = CIRCUIT_OPEN_MS


def wait_ms(circuit: CircuitState | None, now_ms: int, policy: Policy) -> int | None:
    """How long no call may go; `None`: one may go now, once `asked` was folded."""
    if circuit is None or circuit.status is CLOSED:
        return None
    if circuit.status is OPEN:
        until_ms = circuit.until_ms
    elif circuit.probing_ms:
        # Of a call that never tells how it ended nobody knows more after this time.
        until_ms = circuit.probing_ms + policy.open_ms
    else:
        return None
    return until_ms - now_ms if until_ms > now_ms else None


def holds(circuits: Circuits, agent: str, is_busy: bool) -> bool:
    """Whether an agent's circuit lets nothing through to it now. Half open it lets one through: not
    while the agent is at work."""
    circuit = circuits.get(f"{AGENT}{agent}") if circuits else None
    if circuit is None or circuit.status is CLOSED:
        return False
    return circuit.status is OPEN or is_busy


def asked(name: str, circuit: CircuitState | None) -> list[CircuitEvent]:
    """What a call that may go makes happen."""
    if circuit is None or circuit.status is CLOSED:
        return []
    return [s.CircuitHalfOpened(circuit=name, probing=True)]


def succeeded(name: str, circuit: CircuitState | None) -> list[CircuitEvent]:
    """A call went well. One that began before the circuit opened counts as well: it works."""
    if circuit is None:
        return []
    if circuit.status is CLOSED:
        return [s.CircuitCounted(circuit=name, failures=0)]
    return [s.CircuitClosed(circuit=name)]


def failed(
    name: str, circuit: CircuitState | None, now_ms: int, reason: str, policy: Policy
) -> list[CircuitEvent]:
    """A call failed. One that began before the circuit opened changes nothing more."""
    before = circuit or CircuitState()
    if before.status is OPEN:
        return []
    failures = before.failures + 1
    if before.status is CLOSED and failures < policy.failures_max:
        return [s.CircuitCounted(circuit=name, failures=failures)]
    until_ms = now_ms + policy.open_ms
    return [s.CircuitOpened(circuit=name, until_ms=until_ms, failures=failures, reason=reason)]


def undecided(name: str, circuit: CircuitState | None) -> list[CircuitEvent]:
    """A call ended without telling whether it works: another one may try."""
    if circuit is None or circuit.status is not HALF_OPEN or not circuit.probing_ms:
        return []
    return [s.CircuitHalfOpened(circuit=name)]


def due(circuits: Circuits, now_ms: int) -> list[CircuitEvent]:
    """Those whose time is over."""
    return [
        s.CircuitHalfOpened(circuit=name)
        for name, circuit in circuits.items()
        if circuit.status is OPEN and circuit.until_ms <= now_ms
    ]


def is_due(circuits: Circuits, now_ms: int) -> bool:
    """Whether the time of any is over."""
    return any(each.status is OPEN and each.until_ms <= now_ms for each in circuits.values())


def fold(circuits: Circuits, event: CircuitEvent, now_ms: int) -> None:
    """Take an event of `now_ms` into account. One that counted nothing is not kept."""
    name = event.circuit
    match event:
        case s.CircuitCounted():
            if event.failures:
                circuits[name] = CircuitState(failures=event.failures)
            else:
                circuits.pop(name, None)
        case s.CircuitOpened():
            circuits[name] = CircuitState(OPEN, event.failures, event.until_ms, reason=event.reason)
        case s.CircuitHalfOpened():
            before = circuits.get(name) or CircuitState()
            probing_ms = now_ms if event.probing else 0
            circuits[name] = CircuitState(
                HALF_OPEN, before.failures, before.until_ms, probing_ms, before.reason
            )
        case s.CircuitClosed():
            circuits.pop(name, None)
