"""Wrong words from the caller: refused at once and by name, and the store stays readable."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.api.agents import Doubler, shadowed, takes_two
from visionflow import AgentOrchestrator, Limits, RetryPolicy, Task, VisionFlowError
from visionflow.domain.errors import ConfigError, Refused, UnknownId, UsageError
from visionflow.interfaces.orchestrator import Fleet

WAIT_S = 60.0
Call = Callable[[Fleet], object]


def task(**fields: Any) -> Call:
    """Submit a task with these fields."""
    return lambda fleet: fleet.submit(Task(**fields))


def options(**fields: Any) -> Call:
    """Submit a task with these options."""
    return lambda fleet: fleet.submit(Task(), **fields)


def spawn(agent: Any = Doubler, **fields: Any) -> Call:
    """Spawn with these options."""
    return lambda fleet: fleet.spawn(agent, **fields)


def plan(phases: Any, description: Any = "", **fields: Any) -> Call:
    """Submit a plan."""
    return lambda fleet: fleet.submit_plan(description, phases, **fields)


WRONG_LAMBDA: Callable[[Task], int] = lambda task: 1  # noqa: E731

WRONG: list[tuple[Call, str]] = [
    (task(description=5), "description: Expected `str`, got `int`"),
    (task(description="\ud800"), "UTF-8 cannot carry it"),
    (task(type=None), "type: Expected `str`"),
    (task(id=5), "id: Expected `str`"),
    (task(priority=1.5), "1.5 is no priority"),
    (task(required_capabilities="maths"), "not a list of words"),
    (task(required_capabilities=[1]), "not a list of words"),
    (task(deadline_ms=1.5), "deadline_ms: Expected"),
    (task(config=[1]), "is a map"),
    (options(timeout_ms=1.5), "timeout_ms: Expected"),
    (options(retry=3), "retry: Expected"),
    (options(retry=RetryPolicy(backoff="often")), "Invalid enum value 'often'"),  # type: ignore[arg-type]
    (spawn(name=5), "name: Expected `str`"),
    (spawn(name="\udc80"), "UTF-8 cannot carry it"),
    (spawn(type=5), "type: Expected `str`"),
    (spawn(capabilities="maths"), "not a list of words"),
    (spawn(tasks_max=1.5), "tasks_max: Expected `int`"),
    (spawn(count=0), "at least 1"),
    (spawn("nowhere"), "not the import path of an agent"),
    (spawn(WRONG_LAMBDA), "cannot be imported"),
    (spawn(shadowed), "is not what was given here"),
    (plan({5: [Task()]}), r"phases\[0\].name: Expected `str`"),
    (plan({"a": [Task()]}, 5), "description: Expected `str`"),
    (plan({"a": [Task()]}, failure_threshold=2), "between 0 and 1"),
    (plan({"a": [Task()]}, failure_threshold=float("nan")), "between 0 and 1"),
    (lambda fleet: fleet.cancel("task_x", 5), "reason: Expected `str`"),  # type: ignore[arg-type]
]


def test_wrong_types_are_refused_and_the_store_can_be_opened_again(tmp_path: Path) -> None:
    with AgentOrchestrator(tmp_path) as fleet:
        for call, told in WRONG:
            with pytest.raises(UsageError, match=told):
                call(fleet)
        assert fleet.queries.counts() == {}
        fleet.spawn(Doubler)
        assert fleet.submit(Task(input=2)).result(WAIT_S) == 4
    with AgentOrchestrator(tmp_path) as fleet:
        assert fleet.queries.counts() == {"completed": 1}


@pytest.mark.parametrize(
    "call",
    [
        options(timeout_ms=0),
        options(timeout_ms=-1),
        options(timeout_ms=2**63),
        task(deadline_ms=0),
        task(priority=31),
        options(retry=RetryPolicy(base_ms=-1)),
        options(retry=RetryPolicy(wait_max_ms=2**63)),
        options(retry=RetryPolicy(attempts_max=0)),
    ],
)
def test_limits_that_make_no_sense_are_refused(call: Callable[[Fleet], Any]) -> None:
    with AgentOrchestrator() as fleet, pytest.raises(Refused, match=r"between|at least"):
        call(fleet).result(WAIT_S)


def test_a_class_or_function_that_is_no_agent_is_refused_when_it_is_spawned() -> None:
    with AgentOrchestrator() as fleet:
        with pytest.raises(ConfigError, match="does not derive from"):
            fleet.spawn(Path)
        with pytest.raises(ConfigError, match="cannot be called with one task"):
            fleet.spawn(takes_two)
        with pytest.raises(Refused, match="at least 1 byte"):
            fleet.spawn(Doubler, memory_bytes=0)
        assert fleet.queries.agents() == []


def test_what_is_not_known_is_named() -> None:
    with AgentOrchestrator() as fleet:
        with pytest.raises(UnknownId, match="task_x"):
            fleet.cancel("task_x")
        with pytest.raises(UnknownId, match="agent_x"):
            fleet.terminate("agent_x")
        with pytest.raises(UnknownId, match="task_x"):
            fleet.submit(Task(), depends_on=["task_x"]).result(WAIT_S)


@pytest.mark.parametrize("field", ["heartbeat_ms", "mailbox_max", "workers_max", "agents_max"])
@pytest.mark.parametrize("value", [0, -1, 1.5, "2"])
def test_limits_of_an_orchestrator_are_whole_numbers_above_0(field: str, value: Any) -> None:
    with pytest.raises(VisionFlowError, match=field):
        AgentOrchestrator(limits=Limits(**{field: value}))
