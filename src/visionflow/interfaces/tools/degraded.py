"""What is told of a degraded swarm: who does not come back by itself now, why, and the way out."""

from visionflow.engine.state import SwarmState

NAMED_MAX = 5
"""Agents that are named."""


def degraded(state: SwarmState) -> str | None:
    """`None`: all of it is there, or comes back. An agent that was ended or restarted since the
    swarm became degraded is not in it."""
    missing = [name for name in state.supervised.given_up if name in state.agents]
    if state.supervised.degraded is None or not missing:
        return None
    by_reason: dict[str, list[str]] = {}
    for name in missing[:NAMED_MAX]:
        by_reason.setdefault(state.agents[name].reason or "it failed", []).append(name)
    told = "; ".join(f"{', '.join(names)} ({why})" for why, names in by_reason.items())
    more = len(missing) - NAMED_MAX
    rest = f"; and {more} more" if more > 0 else ""
    return f"Not started again: {told}{rest}. agent_restart or agent_terminate each of them."
