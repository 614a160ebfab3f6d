"""What a swarm did since its topology came into force, read off the sums of its log."""

from visionflow.domain.shape import Measured
from visionflow.engine.state import SwarmState


def totals_now(state: SwarmState, now_ms: int) -> Measured:
    """All that was measured since the swarm was created, of agents that failed only
    those since the last switch."""
    totals = state.totals
    going_on = now_ms - totals.since_ms if totals.open else 0
    return Measured(
        busy_ms=totals.busy_ms + going_on,
        done=totals.done,
        work_us=totals.work_us,
        delayed_ms=totals.delayed_ms,
        attempts=state.counters.attempts,
        failed=state.counters.attempts_failed,
        completed=state.counters.completed,
        completion_ms=state.completion_ms,
        messages=totals.messages,
        agents_failed=len(totals.failed_agents),
    )


def measured_now(state: SwarmState, now_ms: int) -> Measured:
    """What was measured since the topology in force came into force."""
    now, mark = totals_now(state, now_ms), state.shape.mark
    return Measured(
        *(getattr(now, name) - getattr(mark, name) for name in Measured.__struct_fields__)
    )


def added(one: Measured, other: Measured) -> Measured:
    """What was measured in both."""
    return Measured(
        *(getattr(one, name) + getattr(other, name) for name in Measured.__struct_fields__)
    )


def ended(measured: Measured) -> int:
    """Attempts that came to an end of their own: with a result, or as a failure. What is still
    under way, or was taken away, says nothing of how many fail."""
    return measured.done + measured.failed


def failed_bp(measured: Measured) -> int | None:
    """The share of failures among attempts that ended, in basis points; `None`: none ended."""
    count = ended(measured)
    return measured.failed * 10_000 // count if count else None
