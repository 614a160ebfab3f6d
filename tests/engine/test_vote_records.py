"""What a vote on a result makes of the record of the agents that made it."""

import pytest

from tests.engine.polled import (
    ABSTAIN,
    HUMAN,
    NO,
    TERMS,
    YES,
    answer,
    gated,
    practise,
    sound,
)
from tests.engine.world import World
from visionflow.domain import commands as c
from visionflow.domain import events as e
from visionflow.domain.limits import TERMINAL_TASKS_MAX
from visionflow.domain.votes import Choice, Matter, Mechanism, Standing
from visionflow.domain.votes_commands import ResolveVote


def counted(world: World, agent: str, word: str = "") -> tuple[int, int]:
    """How many results of an agent count as completed, and how many as failed."""
    record = world.state.records.of(agent, word)
    if not word:
        found = world.state.agents[agent]
        assert (found.completed, found.failed) == (record.completed, record.failed)
    return record.completed, record.failed


def judged(world: World, task: str, *choices: Choice, **fields: object) -> None:
    """A vote of a few on the result of a task."""
    voters = [n for n, a in world.state.agents.items() if "review" in a.spec.capabilities]
    vote = world.ask(
        *voters, asked=True, task=task, matter=Matter.TASK_RESULT, **{"terms": TERMS, **fields}
    )
    assert world.answer.code is None, world.answer
    for number, choice in enumerate(choices, 1):
        answer(world, vote, number, choice)


@pytest.mark.acceptance("consensus")
@pytest.mark.parametrize(
    ("choices", "counts"),
    [((YES, YES), (1, 0)), ((NO, NO), (0, 1)), ((YES, NO), (0, 0)), ((ABSTAIN, ABSTAIN), (0, 0))],
)
def test_a_result_that_was_held_back_counts_in_its_makers_record_as_the_vote_ends(
    choices: tuple[Choice, ...], counts: tuple[int, int]
) -> None:
    world, _, part, names = gated()
    author = next(name for name in world.state.agents if name not in names)
    assert counted(world, author, "python") == (1, 0)
    for number, choice in enumerate(choices, 1):
        answer(world, "consensus", number, choice)
    assert counted(world, author) == counted(world, author, "python") == counts
    assert [each.task for each in world.last(e.VoteDecided).regraded] == [part] * (counts != (1, 0))
    sound(world)


@pytest.mark.acceptance("consensus")
def test_who_made_what_a_vote_rejects_is_weighed_below_who_never_did_anything() -> None:
    world = World()
    (liar,) = world.team(1, "python")
    honest, _ = world.team(2, "review")
    task = world.submit(agent=liar)
    world.complete(task)
    judged(world, task, NO, NO)
    vote = world.ask(liar, honest, asked=True, mechanism=Mechanism.WEIGHTED, terms=TERMS)
    assert world.state.votes[vote].spec.weights == (3_333, 5_000)
    sound(world)


def test_the_last_vote_on_a_result_holds_and_one_without_a_decision_leaves_it() -> None:
    world = World()
    (author,) = world.team(1, "python")
    world.team(2, "review")
    task = world.submit(agent=author)
    world.complete(task)
    judged(world, task, NO, NO)
    assert counted(world, author) == (0, 1)
    judged(world, task, NO, NO)
    judged(world, task, YES, NO)
    assert counted(world, author) == (0, 1)
    judged(world, task, YES, YES)
    assert counted(world, author) == (1, 0)
    sound(world)


@pytest.mark.parametrize("end", ["time", "member"])
def test_votes_on_one_result_that_end_in_one_decision_regrade_it_once(end: str) -> None:
    world = World()
    (author,) = world.team(1, "python")
    voters = world.team(3, "review")
    task = world.submit(agent=author)
    world.complete(task)
    terms = {"asked": True, "task": task, "matter": Matter.TASK_RESULT, "terms": TERMS}
    votes = [world.ask(*voters, **terms) for _ in range(2)]
    for vote in votes:
        answer(world, vote, 1, NO)
        answer(world, vote, 2, NO)
    if end == "time":
        world.tick(10_000)
    else:
        world.send(c.TerminateAgent(now_ms=world.now_ms, agent=voters[2]))
    decided = world.of(e.VoteDecided)
    assert sorted(each.vote for each in decided) == votes
    assert [len(each.regraded) for each in decided] == [1, 0]
    assert counted(world, author) == (0, 1)
    sound(world)


def test_votes_that_contradict_each_other_in_one_decision_leave_what_the_last_one_says() -> None:
    world = World()
    (author,) = world.team(1, "python")
    voters = world.team(3, "review")
    task = world.submit(agent=author)
    world.complete(task)
    terms = {"asked": True, "task": task, "matter": Matter.TASK_RESULT, "terms": TERMS}
    for choice in (NO, YES):
        vote = world.ask(*voters, **terms)
        answer(world, vote, 1, choice)
        answer(world, vote, 2, choice)
    world.tick(10_000)
    rejected, approved = (each.regraded[0] for each in world.of(e.VoteDecided))
    assert rejected.before is approved.after is Standing.COMPLETED
    assert rejected.after is approved.before is Standing.FAILED
    assert counted(world, author) == (1, 0)
    sound(world)


def test_a_rejection_by_a_person_long_after_the_task_has_left_counts_as_well() -> None:
    world = World()
    (author,) = world.team(1, "python")
    world.team(2, "review")
    task = world.submit(agent=author)
    world.complete(task)
    judged(world, task, YES, NO, terms=HUMAN)
    vote = next(iter(world.state.votes))
    practise(world, author, 2 * TERMINAL_TASKS_MAX + 2)
    assert task not in world.state.tasks
    done, _ = counted(world, author)
    world.send(ResolveVote(now_ms=world.now_ms, vote=vote, outcome="rejected", person="ada"))
    assert counted(world, author) == (done - 1, 1) and not world.state.records.votes
    sound(world)


def test_a_vote_on_the_result_of_one_that_has_left_changes_no_record() -> None:
    world = World()
    author, other = world.team(2, "python")
    world.team(2, "review")
    task = world.submit(agent=author)
    world.complete(task)
    world.send(c.TerminateAgent(now_ms=world.now_ms, agent=author))
    world.settle()
    judged(world, task, NO, NO)
    assert not world.last(e.VoteDecided).regraded and counted(world, other) == (0, 0)
    sound(world)
