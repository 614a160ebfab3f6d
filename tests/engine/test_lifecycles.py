"""The tables of lives: complete, refusing what they do not list, and drawn in the docs as such."""

from pathlib import Path

import pytest

from tests.engine.world import World
from visionflow.domain import events as e
from visionflow.domain.agents import AgentStatus
from visionflow.domain.tasks import TERMINAL, TaskStatus
from visionflow.domain.votes import VoteStatus
from visionflow.engine.evolve import evolve
from visionflow.engine.lifecycles import (
    AGENT,
    TASK,
    VOTE,
    IllegalTransition,
    next_agent_status,
    next_task_status,
    next_vote_status,
)
from visionflow.testing.lifecycle_docs import page

DOCS = Path(__file__).resolve().parents[2] / "docs" / "lifecycles.md"


def test_the_diagrams_in_the_docs_are_those_of_the_tables() -> None:
    assert DOCS.read_text(encoding="utf-8") == page(), (
        "run: python -m visionflow.testing.lifecycle_docs > docs/lifecycles.md"
    )


@pytest.mark.acceptance("agent-lifecycle")
def test_the_edges_of_an_agent_are_those_of_the_guide_and_the_few_that_were_added() -> None:
    edges = {(a.value, b.value) for a, after in AGENT.items() for b in after.values() if a != b}
    guide = {
        ("created", "initialising"),
        ("initialising", "ready"),
        ("ready", "processing"),
        ("processing", "ready"),
        ("processing", "error"),
        ("error", "recovering"),
        ("recovering", "ready"),
        ("recovering", "failed"),
        ("failed", "terminating"),
        ("ready", "terminating"),
        ("terminating", "terminated"),
    }
    added = {("initialising", "error"), ("ready", "error"), ("error", "failed")}
    # To a process of its own with another memory ceiling, which builds it again.
    added.add(("ready", "recovering"))
    # Its process was replaced because somebody, or the supervision, wanted that.
    added |= {("initialising", "recovering"), ("processing", "recovering")}
    # Restarted by somebody, after it was given up.
    added.add(("failed", "recovering"))
    ending = {
        (a.value, "terminating")
        for a in AgentStatus
        if a not in (AgentStatus.TERMINATING, AgentStatus.TERMINATED)
    }
    assert guide <= edges
    assert edges == guide | added | ending


def test_every_status_has_a_row_and_every_ended_task_stays_so_but_for_a_new_round() -> None:
    assert set(TASK) == set(TaskStatus) and set(AGENT) == set(AgentStatus)
    assert set(VOTE) == set(VoteStatus) and e.VoteDecided not in VOTE[VoteStatus.DECIDED]
    for status in TERMINAL:
        assert set(TASK[status]) <= {e.TaskQueued}
    assert TASK[TaskStatus.COMPLETED] == {} and AGENT[AgentStatus.TERMINATED] == {}


def test_what_a_table_does_not_list_is_refused_with_the_names() -> None:
    with pytest.raises(IllegalTransition, match="task t1 is completed: TaskQueued"):
        next_task_status(TaskStatus.COMPLETED, e.TaskQueued, "t1")
    with pytest.raises(IllegalTransition, match="agent a1 is created: busy"):
        next_agent_status(AgentStatus.CREATED, "busy", "a1")
    with pytest.raises(IllegalTransition, match="vote v1 is decided: BallotCast"):
        next_vote_status(VoteStatus.DECIDED, e.BallotCast, "v1")


def test_a_second_completion_in_a_log_cannot_be_folded() -> None:
    world = World()
    world.team(1)
    task = world.submit()
    world.complete(task)
    with pytest.raises(IllegalTransition):
        evolve(world.state, e.TaskCompleted(task=task, attempt=1))


def test_random_worlds_take_nearly_every_edge_of_both_tables() -> None:
    taken: set[tuple[str, str]] = set()
    for seed in range(12):
        world = World(seed)
        before: dict[str, str] = {}
        for _ in range(900):
            world.step()
            now = {name: task.status.value for name, task in world.state.tasks.items()}
            now |= {name: agent.status.value for name, agent in world.state.agents.items()}
            taken |= {(before[n], now[n]) for n in now if n in before and before[n] != now[n]}
            before = now
    for status in ("queued", "assigned", "running", "blocked", "pending", "orchestrating"):
        assert any(a == status for a, _ in taken), status
    assert {b for _, b in taken} >= {
        "completed",
        "failed",
        "cancelled",
        "dead_letter",
        "recovering",
        "terminating",
        "processing",
        "blocked",
    }
