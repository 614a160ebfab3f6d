"""Capability words: each role offers only what it can back, and other words match nobody."""

import inspect

import pytest

from tests.engine.world import World
from visionflow.domain.tasks import TaskStatus
from visionflow.testing.role_docs import GUIDE_WORDS, ROLES, role_facts

OFFERED = {word: role for role in ROLES for word in role_facts(role).kind.capabilities}
UNBACKED = (
    "market_research", "competitive_analysis", "web_search", "data_collection",  # no network
    "code_generation", "api_design", "refactoring", "optimisation", "implementation",  # no model
    "system_design", "technical_strategy", "architecture_patterns",
)  # fmt: skip
"""Words of the guide that say what no tool here can do."""


@pytest.fixture(scope="module")
def team() -> World:
    """All six roles, ready."""
    world = World()
    for role in ROLES:
        world.team(1, *role_facts(role).kind.capabilities, type=role)
    return world


@pytest.mark.parametrize("word", UNBACKED)
def test_a_task_that_asks_for_what_no_tool_can_do_stays_queued_and_matching_tells_why(
    team: World, word: str
) -> None:
    task = team.submit(capabilities=(word,))
    assert team.status(task) is TaskStatus.QUEUED
    assert not team.state.matching.able(((word,), None, None))


@pytest.mark.parametrize("word", sorted(OFFERED))
def test_a_word_that_is_offered_finds_a_role_that_offers_it(team: World, word: str) -> None:
    task = team.submit(capabilities=(word,))
    holder = team.state.tasks[task].agent
    assert holder is not None
    assert word in role_facts(team.state.agents[holder].spec.type).kind.capabilities
    team.complete(task)


@pytest.mark.parametrize("role", ROLES)
def test_every_type_of_task_is_one_that_the_role_really_takes_up(role: str) -> None:
    facts = role_facts(role)
    told = inspect.getdoc(facts.kind) or ""
    assert facts.kind.capabilities == tuple(sorted(set(facts.kind.capabilities)))
    assert facts.kind.process_task is not role_facts("tester").kind.__mro__[1].process_task
    for kind in facts.task_types:
        assert f"`{kind}`" in told, f"{facts.kind.__name__} does not say what {kind} does"


def test_the_guides_words_are_offered_or_known_to_be_missing() -> None:
    words = {word for role in ROLES for word in GUIDE_WORDS[role]}
    missing = words - set(OFFERED)
    assert set(UNBACKED) <= missing
