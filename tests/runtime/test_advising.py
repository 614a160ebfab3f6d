"""Asking a user's strategy: whatever becomes of it, the failure itself is reported."""

import asyncio
import json
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from visionflow.adapters.memory import MemoryBlobs
from visionflow.domain.agents import AgentSpec
from visionflow.domain.errors import ConfigError
from visionflow.domain.supervision import Advice, RecoverySpec
from visionflow.ports.telemetry import Telemetry
from visionflow.runtime.advice import advice_in
from visionflow.runtime.advising import Advising, Ask


class Lines(Telemetry):
    def __init__(self) -> None:
        self.codes: list[str] = []

    def log(self, level: str, agent: str | None, code: str, message: str) -> None:
        self.codes.append(code)


def one_process() -> Any:
    """A control plane with worker w1, the own process of an agent that has a strategy."""
    own = RecoverySpec(name="own", call="m:f")
    spec = AgentSpec(id="a", type="t", name="a", class_path="m:A", recovery=own)
    state = SimpleNamespace(
        agents={"a": SimpleNamespace(spec=spec)},
        workers={"w1": SimpleNamespace(dedicated=True, agents={"a": None})},
    )
    return SimpleNamespace(state=state)


async def reported(ask: Ask) -> tuple[Advice | None, list[str]]:
    lines = Lines()
    told: asyncio.Future[Advice | None] = asyncio.get_running_loop().create_future()
    advising = Advising(one_process(), MemoryBlobs(), lines, ask)
    advising.of_worker("w1", {"cause": "crash", "reason": "it died"}, told.set_result)
    return await asyncio.wait_for(told, 60), lines.codes


@pytest.mark.parametrize(
    "fault",
    [
        ConfigError("it did not answer"),
        OSError(24, "Too many open files"),
        json.JSONDecodeError("Expecting value", "?", 0),
        RecursionError("too deep"),
    ],
    ids=lambda fault: type(fault).__name__,
)
def test_the_end_of_a_worker_is_reported_however_asking_fails(fault: Exception) -> None:
    async def ask(_call: str, _failure: Mapping[str, Any]) -> object:
        raise fault

    advice, codes = asyncio.run(reported(ask))
    assert advice is not None and str(fault) in (advice.fault or "")
    assert codes == ["strategy_failed"]


def test_numbers_that_no_log_can_hold_are_a_fault_of_the_strategy() -> None:
    async def ask(_call: str, _failure: Mapping[str, Any]) -> object:
        return {"config": {"seed": 10**30}}

    advice, codes = asyncio.run(reported(ask))
    assert advice is not None and advice.fault
    assert codes == ["strategy_failed"]


def test_an_answer_without_an_end_in_depth_is_a_fault_too() -> None:
    deep: dict[str, Any] = {}
    for _ in range(5_000):
        deep = {"in": deep}
    assert advice_in({"config": deep}).fault
