"""Decisions about circuits: of agents, by how their attempts end; of what agents call, by asking.

What agents call is told apart by name: `provider:NAME` and `tool:NAME`.
"""

from visionflow.domain import supervision_commands as sc
from visionflow.domain.errors import CircuitOpenError, LimitReached, Refused, UnknownId
from visionflow.domain.events import AnyEvent
from visionflow.domain.limits import CIRCUIT_NAME_CHARS_MAX, CIRCUITS_MAX
from visionflow.domain.supervision_events import CircuitClosed
from visionflow.domain.tasks import FailureKind
from visionflow.engine import circuits
from visionflow.engine.decide.table import decides
from visionflow.engine.state import SwarmState

Events = list[AnyEvent]
BLAMED = (FailureKind.ERROR, FailureKind.TIMEOUT, FailureKind.RESOURCES, FailureKind.CRASH)
"""Ends of attempts that count against the agent. What somebody else did to it, or the task itself,
does not."""
REASON_CHARS_MAX = 500


def policy_of(state: SwarmState) -> circuits.Policy:
    """The policy of a swarm's circuits."""
    if state.spec is None:
        return circuits.Policy()
    limits = state.spec.limits
    return circuits.Policy(max(limits.circuit_failures, 1), max(limits.circuit_open_ms, 1))


def agent_failed(
    state: SwarmState, agent: str, now_ms: int, reason: str
) -> list[circuits.CircuitEvent]:
    """What it does to an agent's circuit that it is to blame for an attempt without a result."""
    name = f"{circuits.AGENT}{agent}"
    known = state.supervised.circuits.get(name)
    return circuits.failed(name, known, now_ms, reason[:REASON_CHARS_MAX], policy_of(state))


def agent_succeeded(state: SwarmState, agent: str) -> list[circuits.CircuitEvent]:
    """What it does to an agent's circuit that it completed a task."""
    name = f"{circuits.AGENT}{agent}"
    return circuits.succeeded(name, state.supervised.circuits.get(name))


def agent_anew(state: SwarmState, agent: str) -> list[circuits.CircuitEvent]:
    """What it does to an agent's circuit that somebody has it built anew: what it failed at before
    says nothing more."""
    name = f"{circuits.AGENT}{agent}"
    known = state.supervised.circuits.get(name)
    if known is not None and known.status is not circuits.CLOSED:
        return [CircuitClosed(circuit=name, reason="its agent was restarted by hand")]
    return circuits.succeeded(name, known)


def due_circuits(state: SwarmState, now_ms: int) -> list[circuits.CircuitEvent]:
    """Circuits whose time is over; for `Tick`."""
    known = state.supervised.circuits
    return circuits.due(known, now_ms) if known else []


def _sound(name: str) -> None:
    if not name.startswith(circuits.CALLED) or not 0 < len(name) <= CIRCUIT_NAME_CHARS_MAX:
        raise Refused(
            f"{name[:CIRCUIT_NAME_CHARS_MAX]!r} names no circuit that is asked before a call.",
            code="usage",
            hint=f"Call it provider:NAME or tool:NAME, of at most {CIRCUIT_NAME_CHARS_MAX} "
            "characters.",
        )


@decides(sc.TryCircuit)
def _(state: SwarmState, command: sc.TryCircuit) -> Events:
    name, policy = command.circuit, policy_of(state)
    _sound(name)
    known = state.supervised.circuits.get(name)
    wait_ms = circuits.wait_ms(known, command.now_ms, policy)
    if wait_ms is None:
        return [*circuits.asked(name, known)]
    raise Refused(refusal_of(state, name), code=CircuitOpenError.code, retry_after_ms=wait_ms)


def refusal_of(state: SwarmState, name: str) -> str:
    """Why nothing is called through this circuit now."""
    known = state.supervised.circuits.get(name)
    if known is None:
        return f"Circuit {name} was open a moment ago."
    if known.status is circuits.HALF_OPEN:
        return f"Circuit {name} is half open, and one call is trying whether it works again."
    why = f": {known.reason}" if known.reason else ""
    return f"Circuit {name} is open after {known.failures} failures in a row{why}"


@decides(sc.ReportOutcome)
def _(state: SwarmState, command: sc.ReportOutcome) -> Events:
    name = command.circuit
    known = state.supervised.circuits.get(name)
    if command.succeeded:
        return [*circuits.succeeded(name, known)] if name.startswith(circuits.CALLED) else []
    _sound(name)
    if command.succeeded is None:
        return [*circuits.undecided(name, known)]
    if known is None and len(state.supervised.circuits) >= CIRCUITS_MAX:
        raise LimitReached(
            f"{CIRCUITS_MAX} circuits of this swarm have counted failures, which is the most.",
            hint="Name circuits by what is called, not by call.",
        )
    reason = command.reason[:REASON_CHARS_MAX]
    return [*circuits.failed(name, known, command.now_ms, reason, policy_of(state))]


@decides(sc.ResetCircuit)
def _(state: SwarmState, command: sc.ResetCircuit) -> Events:
    if command.circuit not in state.supervised.circuits:
        raise UnknownId(
            f"Circuit {command.circuit[:CIRCUIT_NAME_CHARS_MAX]} has counted no failure, so it is "
            "closed."
        )
    reason = "somebody closed it by hand"
    return [CircuitClosed(circuit=command.circuit, command=command.command, reason=reason)]
