"""Limits of coding agents: as a client writes them, for one goal or for a swarm; what of a swarm's
holds for a goal in it; and how they are told, with what was used.
"""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec

from visionflow.agents.command import ledger
from visionflow.agents.roles.job import CodingBounds, CodingPool
from visionflow.domain.errors import UsageError
from visionflow.domain.limits import CodingLimits
from visionflow.domain.swarms import SwarmSpec
from visionflow.interfaces.tools.arguments import Arguments, Result, parse
from visionflow.interfaces.tools.forms import form
from visionflow.interfaces.tools.moments import iso_or_none

AGENT_MEMORY_BYTES_MIN = 16 << 20
"""An interpreter alone takes about this."""
MICRO = 1_000_000


class Bounds(Arguments, frozen=True, kw_only=True):
    """What coding agents may use."""

    agent_timeout: Annotated[int | None, form("seconds", "Of one at work.")] = None
    time_limit: Annotated[int | None, form("seconds", "Of all of it, from now.")] = None
    agent_memory: Annotated[int | None, form("size", "Of one with its processes.")] = None
    max_tokens: int | None = None
    max_cost: float | None = None


class LimitsTold(Result, frozen=True, kw_only=True):
    """What the coding agents of a swarm may use."""

    max_tokens: int | None
    max_cost: float | None
    """Dollars."""
    ends_at: str | None
    agent_timeout: float | None
    """Seconds."""
    agent_memory: int | None
    """Bytes."""


class UsageTold(Result, frozen=True, kw_only=True):
    """What the coding agents of a swarm used."""

    tokens: int | None
    """Null where nothing reported any."""
    cost: float | None
    """Dollars."""
    starts: int
    """Of their programs, those that ended."""
    without_tokens: int
    """Starts that reported none, and count nothing."""
    without_cost: int


def read_limits(given: Mapping[str, Any], now_ms: int) -> CodingLimits:
    """The argument `limits`, read.

    Raises:
        UsageError: one is unknown, or nothing could work within it.
    """
    try:
        read = parse(Bounds, given)
    except UsageError as error:
        raise UsageError(f"limits: {error.message}", hint=error.hint) from error
    for name, value in (("agentTimeout", read.agent_timeout), ("timeLimit", read.time_limit)):
        if value == 0:
            raise UsageError(f"limits.{name} is 0; it has to be more than nothing.")
    if read.agent_memory is not None and read.agent_memory < AGENT_MEMORY_BYTES_MIN:
        raise UsageError(
            f"limits.agentMemory is {read.agent_memory} bytes; no agent can work within less than "
            "16Mi."
        )
    for name, value in (("maxTokens", read.max_tokens), ("maxCost", read.max_cost)):
        if value is not None and not 0 < value < 1e12:
            raise UsageError(f"limits.{name} is a number above zero.")
    return CodingLimits(
        tokens=read.max_tokens,
        cost_microdollars=None if read.max_cost is None else max(1, round(read.max_cost * MICRO)),
        ends_at_ms=None if read.time_limit is None else now_ms + read.time_limit,
        wall_ms=read.agent_timeout,
        memory_bytes=read.agent_memory,
    )


def bounds_of(limits: CodingLimits) -> CodingBounds:
    """The same for the agents of one goal."""
    usual = CodingBounds()
    return msgspec.structs.replace(
        usual,
        wall_ms=usual.wall_ms if limits.wall_ms is None else limits.wall_ms,
        memory_bytes=limits.memory_bytes,
        tokens=limits.tokens,
        cost_microdollars=limits.cost_microdollars,
        ends_at_ms=limits.ends_at_ms,
    )


def within(bounds: CodingBounds, limits: CodingLimits) -> CodingBounds:
    """The tighter of both, as far as they hold for each agent alone."""
    return msgspec.structs.replace(
        bounds,
        wall_ms=_least(bounds.wall_ms, limits.wall_ms) or bounds.wall_ms,
        memory_bytes=_least(bounds.memory_bytes, limits.memory_bytes),
    )


def pool_of(home: Path, spec: SwarmSpec) -> CodingPool:
    """What the runs of a swarm share."""
    limits = spec.coding
    return CodingPool(
        folder=str(usage_folder(home, spec.id)),
        name=f"the swarm {spec.id}",
        tokens=limits.tokens,
        cost_microdollars=limits.cost_microdollars,
        ends_at_ms=limits.ends_at_ms,
        wall_ms=limits.wall_ms,
    )


def usage_folder(home: Path, swarm: str) -> Path:
    """Where it is kept what the coding agents of a swarm used. `home`: VISIONFLOW_HOME."""
    # An id may be two dots.
    return home / "server" / "usage" / f"{swarm}.swarm"


def limits_told(limits: CodingLimits) -> LimitsTold | None:
    """As a reply has them; `None` where there are none."""
    if limits == CodingLimits():
        return None
    cost, wall_ms = limits.cost_microdollars, limits.wall_ms
    return LimitsTold(
        max_tokens=limits.tokens,
        max_cost=None if cost is None else cost / MICRO,
        ends_at=iso_or_none(limits.ends_at_ms),
        agent_timeout=None if wall_ms is None else wall_ms / 1_000,
        agent_memory=limits.memory_bytes,
    )


async def usage_told(home: Path, swarm: str) -> UsageTold:
    """What the coding agents of a swarm used by now."""
    used = ledger.spent(await asyncio.to_thread(ledger.lines, usage_folder(home, swarm)))
    return UsageTold(
        tokens=None if used.untold_tokens == used.goes > 0 else used.tokens,
        cost=None if used.untold_cost == used.goes > 0 else used.cost_microdollars / MICRO,
        starts=used.goes,
        without_tokens=used.untold_tokens,
        without_cost=used.untold_cost,
    )


def _least(one: int | None, other: int | None) -> int | None:
    known = [each for each in (one, other) if each is not None]
    return min(known, default=None)
