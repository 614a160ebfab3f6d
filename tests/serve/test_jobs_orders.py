"""What task_orchestrate is asked for: every argument means something, or is refused by its name."""

from typing import Any

import pytest

from visionflow.domain.errors import UsageError
from visionflow.domain.tasks import Backoff
from visionflow.interfaces.jobs import Order
from visionflow.interfaces.tools.arguments import parse
from visionflow.interfaces.tools.ordering import OrchestrateArguments, order_of

NOW_MS = 1_000_000


def read(task: Any = "Test it", **given: Any) -> Order:
    arguments = parse(OrchestrateArguments, {"task": task, **given})
    return order_of(arguments, NOW_MS, None, lambda name: f"agent_of_{name}")


@pytest.mark.parametrize(
    ("given", "field", "value"),
    [
        ({"priority": "high"}, "priority", 10),
        ({"priority": 7}, "priority", 7),
        ({"strategy": "sequential"}, "sequential", True),
        ({"strategy": "parallel"}, "sequential", False),
        ({"strategy": "adaptive"}, "sequential", None),
        ({"timeout": 300}, "timeout_ms", 300_000),
        ({"timeout": "1500ms"}, "timeout_ms", 1_500),
        ({"deadline": "1m"}, "deadline_ms", NOW_MS + 60_000),
        ({"requiredCapabilities": ["a", "b"]}, "capabilities", ("a", "b")),
        ({"requiredCapabilities": "a,b"}, "capabilities", ("a", "b")),
        ({"parallelism": 3}, "parallelism", 3),
        ({"consensusRequired": False}, "description", "Test it"),
        ({"stages": "research,architect,code"}, "stages", ("research", "architect", "code")),
        ({"workspace": "/w"}, "workspace", "/w"),
        ({"playbook": "audit"}, "playbook", "audit"),
        ({"formTeam": False}, "form_team", False),
        ({"execution": {"mode": "sequential"}}, "sequential", True),
        ({"execution": {"mode": "distributed"}}, "sequential", None),
        ({"execution": {"failureThreshold": 0.2}}, "failure_threshold", 0.2),
        ({"execution": {"resultAggregation": "all"}}, "description", "Test it"),
    ],
)
def test_an_argument_beside_the_task_changes_the_order(
    given: dict[str, Any], field: str, value: object
) -> None:
    assert getattr(read(**given), field) == value


@pytest.mark.parametrize("policy", list(Backoff))
def test_a_retry_policy_is_the_engines(policy: Backoff) -> None:
    assert read(execution={"retryPolicy": policy.value}).retry.backoff is policy


def test_what_the_task_says_wins_over_what_stands_beside_it() -> None:
    task = {"description": "Test it", "priority": "low", "timeout": 5, "stages": ["test"]}
    order = read(task, priority="critical", timeout=9, stages="code", workspace="w")
    assert (order.priority, order.timeout_ms, order.stages) == (30, 5_000, ("test",))
    assert order.workspace == "w"


def test_stages_with_objects_are_a_pipeline_also_as_the_text_of_a_command_line() -> None:
    order = read("x", stages='["research", {"stage": "testing", "validation": {"coverage": 0.8}}]')
    first, second = (stage.spec for stage in order.pipeline)
    assert order.stages == ()
    assert (first.agent_type, first.task_type) == ("researcher", "research")
    assert (second.agent_type, second.validation) == ("tester", {"coverage": 0.8})
    assert read("x", stages="research, code").stages == ("research", "code")


def test_a_task_as_an_object_says_more() -> None:
    order = read(
        {
            "description": "d",
            "type": "ring",
            "input": {"a": [1]},
            "config": {"k": 1},
            "agentId": "Ada",
            "agentType": "teller",
            "subtasks": [
                "one",
                {"description": "two", "type": "x", "capabilities": "c", "input": 2},
            ],
        }
    )
    assert (order.task_type, order.input, order.config) == ("ring", {"a": [1]}, {"k": 1})
    assert (order.agent, order.agent_type) == ("agent_of_Ada", "teller")
    one, two = order.subtasks
    assert (one.description, one.type) == ("one", "task")
    assert (two.description, two.type, two.capabilities, two.input) == ("two", "x", ("c",), 2)


@pytest.mark.parametrize(
    ("task", "given", "names"),
    [
        ("x", {"consensusRequired": {"votingMechanism": "ranked"}}, ("not ranked",)),
        ("x", {"consensusRequired": {"votes": 3}}, ("consensusRequired", "voting_mechanism")),
        ({"description": "x", "consensusRequired": {"threshold": 70}}, {}, ("threshold",)),
        ("x", {"execution": {"resultAggregation": "majority"}}, ('"majority"', "majority_vote")),
        ("x", {"execution": {"resultAggregation": {"method": "best"}}}, ("best", "score")),
        ("x", {"execution": {"resultAggregation": {"how": 1}}}, ("'how'", "method", "weights")),
        ("x", {"execution": {"retryPolicy": "sometimes"}}, ("sometimes", "linear_backoff")),
        ("x", {"execution": {"mode": "quantum"}}, ("quantum", "distributed")),
        ("x", {"execution": {"modes": "parallel"}}, ("execution", "modes", "mode")),
        ("x", {"strategy": "greedy"}, ("greedy", "sequential", "parallel", "adaptive")),
        ("x", {"strategy": "parallel", "execution": {"mode": "sequential"}}, ("mode", "strategy")),
        ("x", {"priority": "urgent"}, ("priority", "critical")),
        ("x", {"timeout": "soon"}, ("timeout",)),
        ("x", {"urgency": 1}, ("urgency",)),
        ({"description": "x", "urgency": 1}, {}, ("task", "urgency")),
        ({"description": "x", "subtasks": [3]}, {}, ("subtask 1",)),
        ({"description": "x", "subtasks": [{"title": "t"}]}, {}, ("subtask 1", "title")),
        (["x"], {}, ("task",)),
    ],
)
def test_what_has_no_meaning_is_refused_by_its_name(
    task: Any, given: dict[str, Any], names: tuple[str, ...]
) -> None:
    with pytest.raises(UsageError) as caught:
        read(task, **given)
    for name in names:
        assert name in str(caught.value)


def test_the_text_of_a_task_is_not_touched() -> None:
    text = ' \t{"json": "not read"}\r\n`code` \\n \x00 é \U0001f600  '
    assert read(text).description == text
    assert read({"description": text}).description == text
