"""Advising: a user's own strategy is asked about a failure before the engine decides on it.

Its answer travels with the report, so that deciding stays a matter of the log alone. Whoever does
not answer well in time is named with the report, and the usual is done.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from visionflow.domain.agents import AgentSpec
from visionflow.domain.errors import VisionFlowError
from visionflow.domain.supervision import Advice, Cause
from visionflow.domain.tasks import FailureKind
from visionflow.engine.decide.recovering import time_given_ms
from visionflow.engine.state import SwarmState
from visionflow.ports.blobs import Blobs
from visionflow.ports.telemetry import Telemetry
from visionflow.runtime.advice import advice_in
from visionflow.runtime.control_plane import ControlPlane
from visionflow.runtime.intake import unpack

ASKED_ABOUT = (FailureKind.TIMEOUT, FailureKind.RESOURCES)
"""Failures of attempts for which a strategy has an answer."""
Ask = Callable[[str, Mapping[str, Any]], Awaitable[object]]
"""Calls `module:function` with a failure, in a process of its own and within a time; what it gives.

Raises VisionFlowError where it gives nothing, with why."""
Then = Callable[[Advice | None], None]


class Advising:
    """Asks, and goes on with the answer."""

    def __init__(
        self, control: ControlPlane, blobs: Blobs, telemetry: Telemetry, ask: Ask | None
    ) -> None:
        """`ask`: `None` where nobody can be asked."""
        self._control = control
        self._blobs = blobs
        self._telemetry = telemetry
        self._ask = ask
        self._asking: dict[asyncio.Task[None], Then] = {}
        self._closed = False

    def of_worker(self, worker: str, failure: Mapping[str, Any], then: Then) -> None:
        """About the end of a worker's process; at once where nobody is to be asked."""
        state = self._control.state
        found = state.workers.get(worker)
        dedicated = found is not None and found.dedicated
        agent = next(iter(found.agents), None) if found is not None and dedicated else None
        self._about(state, agent, failure, then)

    def of_task(self, task: str, kind: FailureKind, reason: str, then: Then) -> None:
        """About an attempt that failed."""
        state = self._control.state
        found = state.tasks.get(task)
        if found is None:
            then(None)
            return
        limit_ms = state.supervised.timeouts.get(task, time_given_ms(state, found))
        failure = {
            "cause": kind.value,
            "reason": reason,
            "task": task,
            "attempt": found.attempt,
            "timeout": limit_ms / 1_000,
        }
        self._about(state, found.agent, failure, then)

    def of_agent(self, agent: str, reason: str, then: Then) -> None:
        """About an agent that could not be built."""
        failure = {"cause": Cause.CRASH.value, "reason": reason}
        self._about(self._control.state, agent, failure, then)

    def close(self) -> None:
        """Ask nobody any more; what was asked goes on without an answer."""
        self._closed = True
        for asking in list(self._asking):
            asking.cancel()
            self._go_on(asking, None)

    def _about(
        self, state: SwarmState, agent: str | None, failure: Mapping[str, Any], then: Then
    ) -> None:
        member = None if agent is None else state.agents.get(agent)
        if member is None or member.spec.recovery.call is None or self._closed:
            then(None)
            return
        asking: asyncio.Task[None]

        async def ask(spec: AgentSpec) -> None:
            advice = await self._answer(spec, failure)
            if advice.fault:
                told = f"{spec.recovery.call}: {advice.fault}; the usual is done"
                self._telemetry.log("warning", spec.id, "strategy_failed", told)
            self._go_on(asking, advice)

        asking = asyncio.get_running_loop().create_task(ask(member.spec))
        self._asking[asking] = then

    def _go_on(self, asking: "asyncio.Task[None]", advice: Advice | None) -> None:
        """Once, whatever comes first: the answer, or the end of asking."""
        then = self._asking.pop(asking, None)
        if then is not None:
            then(advice)

    async def _answer(self, spec: AgentSpec, failure: Mapping[str, Any]) -> Advice:
        call = spec.recovery.call or ""
        if self._ask is None:
            return Advice(fault="nobody is asked here")
        try:
            told: dict[str, Any] = {
                "agent": spec.id,
                "type": spec.type,
                "strategy": spec.recovery.name,
                "memory": spec.limits.memory_bytes,
                "config": unpack(spec.config, self._blobs) or {},
                **failure,
            }
            return advice_in(await self._ask(call, told))
        except VisionFlowError as error:
            return Advice(fault=str(error))
        except Exception as error:
            # Whatever went wrong with asking: a failure that nobody is told of is never answered.
            return Advice(fault=f"it could not be asked: {type(error).__name__}: {error}")
