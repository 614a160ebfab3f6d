"""What is said of arguments that are not what they should be: the value, and what it may be."""

import re
from typing import Any

import pytest

from visionflow.agents.roles.researcher import ResearcherSettings
from visionflow.agents.roles.settings import fault_in
from visionflow.agents.roles.tester import TesterSettings
from visionflow.domain.access import Caller, Role
from visionflow.domain.errors import Refused, UsageError
from visionflow.domain.wording import said_of, shown
from visionflow.interfaces.tools.all import catalogue
from visionflow.interfaces.tools.casting import resources_in
from visionflow.interfaces.tools.faults import fault_of
from visionflow.interfaces.tools.ordering import OrchestrateArguments, order_of
from visionflow.interfaces.tools.tool import Registry

ADMIN = Caller(name="local:me", role=Role.ADMIN, face="tcp", client="c")
TOPOLOGIES = "one of hierarchical, mesh, sequential, star, ring, adaptive"
PRIORITIES = "critical, high, medium, low, or an integer from 0 to 30 (a lower one runs first)"
DURATIONS = 'a duration such as "5000ms", "5s", "2m", "1h", or a number'
NOT_OURS = re.compile(r"`|Expected|\bgot\b|NoneType|\bstr\b|\bint\b|\bfloat\b|\barray\b|Invalid")
SENT: list[tuple[str, dict[str, Any], str]] = [
    ("swarm_init", {"maxAgents": 2.5}, "maxAgents is 2.5; it is an integer."),
    ("swarm_init", {"maxAgents": "abc"}, 'maxAgents is "abc"; it is an integer.'),
    ("swarm_init", {"maxAgents": "3"}, 'maxAgents is "3"; it is an integer.'),
    ("swarm_init", {"maxAgents": True}, "maxAgents is true; it is an integer."),
    ("swarm_init", {"maxAgents": [1]}, "maxAgents is a list; it is an integer."),
    ("swarm_init", {"maxAgents": {}}, "maxAgents is an object; it is an integer."),
    ("swarm_init", {"name": 1}, "name is 1; it is a text."),
    ("swarm_init", {"topology": "hexagon"}, f'topology is "hexagon"; it is {TOPOLOGIES}.'),
    ("swarm_init", {"topology": 5}, f"topology is 5; it is {TOPOLOGIES}."),
    ("agent_spawn", {"type": "coder", "wait": 1}, "wait is 1; it is true or false."),
    ("agent_spawn", {"type": "coder", "wait": "yes"}, 'wait is "yes"; it is true or false.'),
    ("agents_spawn_parallel", {"agents": {}}, "agents is an object; it is a list."),
    ("agents_spawn_parallel", {"agents": [5]}, "agents[0] is 5; it is an object."),
    ("task_orchestrate", {"task": None}, "task is null; it is a text or an object."),
    ("task_orchestrate", {"task": "x", "priority": -1}, f"priority is -1; it is {PRIORITIES}."),
    ("task_orchestrate", {"task": "x", "priority": 31}, f"priority is 31; it is {PRIORITIES}."),
    ("task_orchestrate", {"task": "x", "timeout": "old"}, f'timeout is "old"; it is {DURATIONS}.'),
    ("swarm_init", {"maxAgents": "\ud800"}, "maxAgents holds half of a surrogate pair"),
]
TYPED: list[tuple[str, dict[str, Any], str]] = [
    ("swarm_init", {"maxAgents": "2.5"}, "maxAgents is 2.5; it is an integer."),
    ("swarm_init", {"maxAgents": "abc"}, 'maxAgents is "abc"; it is an integer.'),
    ("swarm_init", {"maxAgents": ""}, "maxAgents is empty; it is an integer."),
    ("swarm_init", {"topology": ""}, f"topology is empty; it is {TOPOLOGIES}."),
    ("agent_spawn", {"type": "coder", "wait": ""}, "wait is empty; it is true or false."),
    (
        "agents_spawn_parallel",
        {"agents": "[{"},
        "agents begins like JSON and is none: it ends after 2 characters and is not whole.",
    ),
    ("task_orchestrate", {"task": "x", "timeout": ""}, f"timeout is empty; it is {DURATIONS}."),
]


@pytest.fixture(scope="module")
def registry() -> Registry:
    return catalogue()


@pytest.mark.parametrize(("tool", "given", "told"), SENT, ids=str)
def test_a_value_that_was_sent_is_named_and_what_it_may_be_in_words_of_json(
    registry: Registry, tool: str, given: dict[str, Any], told: str
) -> None:
    with pytest.raises(UsageError) as refused:
        registry.prepare(tool, given, ADMIN)
    assert str(refused.value).startswith(told)
    assert NOT_OURS.search(str(refused.value)) is None


@pytest.mark.parametrize(("tool", "given", "told"), TYPED, ids=str)
def test_a_value_that_was_typed_is_named_as_it_was_written(
    registry: Registry, tool: str, given: dict[str, Any], told: str
) -> None:
    with pytest.raises(UsageError) as refused:
        registry.prepare(tool, given, ADMIN, texts=True)
    assert str(refused.value) == told


def test_a_whole_number_with_a_point_is_an_integer_wherever_one_is_asked_for(
    registry: Registry,
) -> None:
    for given, texts in ((2.0, False), (2, False), ("2.0", True), ("2", True)):
        for tool, name, field in (
            ("swarm_init", "maxAgents", "max_agents"),
            ("swarm_scale", "targetSize", "target_size"),
            ("memory_search", "limit", "limit"),
        ):
            read = registry.prepare(tool, {name: given}, ADMIN, texts=texts).arguments
            found = getattr(read, field)
            assert (found, type(found)) == (2, int)
    asked = {"task": "x", "priority": 10.0, "parallelism": 3.0}
    read = registry.prepare("task_orchestrate", asked, ADMIN).arguments
    assert isinstance(read, OrchestrateArguments)
    assert (read.priority, read.parallelism) == (10, 3)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"memoryLimit": "-4Gi"}, 'memoryLimit is "-4Gi"; it is a size above 0: bytes, or'),
        ({"memoryLimit": ""}, "memoryLimit is empty; it is a size above 0"),
        ({"cpuLimit": "x"}, 'cpuLimit is "x"; it is an amount above 0: processors, such as'),
        ({"gpuAccess": "yes"}, 'gpuAccess is "yes"; it is true or false.'),
    ],
)
def test_what_an_agent_may_use_is_asked_for_in_one_sentence(
    given: dict[str, Any], told: str
) -> None:
    with pytest.raises(UsageError) as refused:
        resources_in(given)
    assert str(refused.value).startswith(told)
    assert str(refused.value).count("; it is ") == 1 and ".." not in str(refused.value)


def test_a_setting_is_refused_in_the_same_words() -> None:
    assert fault_in({"timeout": "x"}, ResearcherSettings) == 'timeout is "x"; it is a number'
    assert fault_in({"coverage_threshold": 7}, TesterSettings) == (
        "coverage_threshold is 7; it is a number of at most 1"
    )
    assert fault_in({"timeout": 5}, ResearcherSettings) is None


def test_every_word_of_the_reader_of_values_has_one_of_ours() -> None:
    given = {"a": "x" * 99, "b": [{"c": None}], "d": ""}
    for said, told in (
        ("Expected `int | null`, got `str` - at `$.a`", f'a is "{"x" * 57}..."; it is an integer'),
        ("Expected `float` > 0.0 - at `$.d`", "d is empty; it is a number above 0"),
        ("Expected `int` >= 1 - at `$.d`", "d is empty; it is an integer of at least 1"),
        (
            "Expected `array | object`, got `str` - at `$.d`",
            "d is empty; it is a list or an object",
        ),
        ("Expected `str`, got `null` - at `$.b[0].c`", "b[0].c is null; it is a text"),
        (
            "Expected `str` of length >= 1 - at `$.d`",
            "d is empty; it is a text, its length of at least 1",
        ),
    ):
        assert said_of(said, given, {}) == told
    values: list[object] = [None, True, False, 1, 0, 1.5, "", [], (), {}, object()]
    assert [shown(value) for value in values] == (
        "null true false 1 0 1.5 empty".split() + "a list,a list,an object,no JSON value".split(",")
    )


@pytest.mark.parametrize(
    ("task", "named"),
    [
        ("x" * 65_537, "task has 65537 characters"),
        ({"description": "x" * 65_537}, "task.description has 65537"),
        ({"description": "x", "type": "t" * 1_001}, "task.type has 1001"),
        ({"description": "x", "subtasks": ["y" * 65_537]}, "subtask 1 has 65537"),
    ],
)
def test_a_task_that_says_too_much_is_an_argument_that_is_off(
    task: str | dict[str, Any], named: str
) -> None:
    with pytest.raises(UsageError, match=named):
        order_of(OrchestrateArguments(task=task), 0, None, str)


def test_what_the_engine_says_of_arguments_is_told_as_that() -> None:
    for code in ("usage", "payload_too_large"):
        fault = fault_of(Refused("No.", code=code), "agents")
        assert (fault.rpc, fault.http, fault.data["code"]) == (-32602, 422, code)
    assert fault_of(Refused("No.", code="already_ended"), "agents").rpc == -32001
