"""Runs that were taken on when there was no room for their agents, and get them once there is."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Protocol

from visionflow.compose.serve.jobs_runs import ServedRun
from visionflow.compose.serve.jobs_team import IMPLEMENT, alive, kind_of
from visionflow.domain.errors import VisionFlowError
from visionflow.domain.tasks import TERMINAL, TaskStatus
from visionflow.engine.state import SwarmState
from visionflow.runtime.swarms import LiveSwarm, Swarms

LOOK_S = 0.25
"""How often it is looked whether there is room by now, while a run lacks agents."""


def lacking(run: ServedRun, state: SwarmState) -> dict[str, str]:
    """Roles that an open run still needs and no agent of its swarm has: for each, the plan's name
    of one such agent. Empty where none may be spawned for it."""
    plan, served = run.order.plan, run.served
    root = state.tasks.get(served.root)
    if plan is None or served.form_team is False or state.closed is not None:
        return {}
    if root is None or root.status is not TaskStatus.ORCHESTRATING:
        return {}
    there = {kind_of(agent) for agent in alive(state)}
    found: dict[str, str] = {}
    for _, task in plan.tasks():
        part = state.tasks.get(f"{served.root}.{task.id}")
        open_still = part is not None and part.status not in TERMINAL
        kind = served.doers.get(task.type, task.role)
        if task.type == "implement":
            kind = IMPLEMENT
        startable = kind != IMPLEMENT or task.command is not None
        if open_still and startable and kind not in there and kind not in found.values():
            found[task.agent] = kind
    return found


def _has_formed(state: SwarmState) -> bool:
    """Whether agents were formed there that are not gone yet."""
    return any(agent.spec.formed for agent in state.agents.values())


class FillsUp(Protocol):
    """What `Fill` needs of whoever plans."""

    def room(self, run: ServedRun) -> int:
        """How many agents could be spawned for it now."""
        ...

    def is_coming(self, besides: LiveSwarm) -> bool:
        """Whether a job is being taken on in any other swarm."""
        ...

    async def fill_up(self, run: ServedRun) -> None:
        """Spawn what it lacks, where there is room."""
        ...


class Fill:
    """Looks again and again while an open run lacks agents, the oldest run first."""

    def __init__(self, runs: Mapping[str, ServedRun], swarms: Swarms, filler: FillsUp) -> None:
        self._runs = runs
        self._swarms = swarms
        self._filler = filler
        self._looking: asyncio.Task[None] | None = None
        self._closed = False

    def expects(self, root: str) -> bool:
        """Whether agents for this run will come by themselves: it lacks some, and there is room
        for them, or others are at work that will make some."""
        run = self._runs.get(root)
        swarm = None if run is None else run.swarm
        if run is None or swarm is None:
            return False
        wanted = lacking(run, swarm.state)
        if not wanted or swarm.spec.limits.agents_max - len(swarm.state.agents) < len(wanted):
            return False
        return (
            self._filler.room(run) >= len(wanted)
            or self._filler.is_coming(swarm)
            or any(_has_formed(each.state) for each in self._swarms.all() if each is not swarm)
        )

    def look(self) -> None:
        """Begin to look, where that is not under way."""
        if self._looking is None and not self._closed and self._waiting():
            self._looking = asyncio.ensure_future(self._look())
            self._looking.add_done_callback(self._looked)

    async def close(self) -> None:
        """Look no more."""
        self._closed = True
        if self._looking is not None:
            self._looking.cancel()
            with suppress(asyncio.CancelledError):
                await self._looking

    def _waiting(self) -> list[ServedRun]:
        return [
            run
            for run in self._runs.values()
            if run.swarm is not None and lacking(run, run.swarm.state)
        ]

    def _looked(self, done: "asyncio.Task[None]") -> None:
        self._looking = None
        if not done.cancelled():
            done.exception()

    async def _look(self) -> None:
        while waiting := self._waiting():
            for run in waiting:
                # A swarm that ends meanwhile, or a template that is faulty, is told elsewhere.
                with suppress(VisionFlowError):
                    await self._filler.fill_up(run)
            await asyncio.sleep(LOOK_S)
