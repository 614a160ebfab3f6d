"""Votes whose members are asked, their answers, people who decide, and gated plans."""

from typing import TYPE_CHECKING

import msgspec

from visionflow.domain import commands as c
from visionflow.domain.tasks import Payload, Priority
from visionflow.domain.votes import (
    CAST_BALLOT,
    Choice,
    Matter,
    Mechanism,
    Opinion,
    Resolution,
    Terms,
    VoteSpec,
)
from visionflow.domain.votes_commands import ResolveVote

if TYPE_CHECKING:
    from tests.engine.world import World

APPROVING = [each for each in Mechanism if each is not Mechanism.RANKED]
CHOOSING = [each for each in Mechanism if each is not Mechanism.CONSENT]


def happen(world: "World") -> None:
    """One of these."""
    chance = world.random.random()
    if chance < 0.2:
        _open(world)
    elif chance < 0.3:
        _plan(world)
    elif chance < 0.85:
        _answer(world)
    else:
        _resolve(world)


def _terms(world: "World") -> Terms:
    chance = world.random
    return Terms(
        threshold_bp=chance.choice((0, 0, 6_700, 10_000)),
        quorum_bp=chance.choice((0, 0, 6_000)),
        resolution=chance.choice(tuple(Resolution)),
        timeout_ms=chance.choice((None, 1_000, 30_000)),
        capability=chance.choice(("", "python", "task")),
    )


def _open(world: "World") -> None:
    chance, agents = world.random, list(world.state.agents)
    members = chance.sample(agents, min(len(agents), chance.randint(0, 4)))
    options = chance.choice(((), (), ("left", "right"), tuple(members)))
    is_assignment = bool(options) and options == tuple(members)
    results = [t for t in world.state.tasks.values() if t.result.inline is not None]
    judged = chance.choice(results).spec.id if results and chance.random() < 0.3 else None
    spec = VoteSpec(
        world.name("vote"),
        "good?",
        (*members, *chance.choice(((), (), (), ("nobody",)))),
        chance.choice(CHOOSING if options else APPROVING),
        matter=Matter.TASK_ASSIGNMENT if is_assignment else Matter.TASK_RESULT,
        options=options,
        terms=_terms(world),
        asked=True,
        task=judged,
    )
    command = chance.choice((None, world.name("c")))
    world.send(c.OpenVote(now_ms=world.now_ms, command=command, spec=spec))


def _plan(world: "World") -> None:
    parts = [{"priority": int(Priority.HIGH)} for _ in range(world.random.randint(1, 3))]
    consensus = VoteSpec(
        world.name("vote"), "good?", (), world.random.choice(APPROVING), terms=_terms(world)
    )
    world.plan(parts, consensus=consensus, threshold_bp=world.random.choice((0, 10_000)))


def _answer(world: "World") -> None:
    """A member answers; some answers are no ballots."""
    asks = [n for n in world.running() if world.state.tasks[n].spec.type == CAST_BALLOT]
    if not asks:
        return
    chance, task = world.random, world.state.tasks[world.random.choice(asks)]
    name, _ = world.state.polls.asked.get(task.spec.id, ("", ""))
    vote = world.state.votes.get(name)
    options = list(vote.spec.options) if vote is not None else []
    choices = [Choice.RANK] * 4 if options else [Choice.APPROVE, Choice.REJECT] * 2
    choice = chance.choice([*choices, Choice.ABSTAIN, *Choice])
    ranking = chance.sample(options, len(options)) if chance.random() < 0.9 else ["strange"]
    opinion = Opinion(
        choice,
        chance.choice(("tests", "tests", "tests", "")),
        "because",
        tuple(ranking[: chance.randint(0, 3)]),
        {"n": 1},
    )
    body = msgspec.msgpack.encode(opinion) if chance.random() < 0.95 else b"\xc1"
    payload = Payload(inline=body) if chance.random() < 0.97 else Payload(blob="0" * 64)
    world.send(
        c.ReportResult(
            now_ms=world.now_ms,
            task=task.spec.id,
            attempt=task.attempt - chance.choice((0, 0, 0, 0, 1)),
            result=payload,
            duration_us=1_000,
        )
    )


def _resolve(world: "World") -> None:
    """A person decides what may be referred to one."""
    votes = [*world.state.votes, *list(world.state.decided)[-1:], "nothing"]
    outcome = world.random.choice(("approved", "rejected", "undecided", "left"))
    world.send(
        ResolveVote(
            now_ms=world.now_ms,
            vote=world.random.choice(votes),
            outcome=outcome,
            person="somebody",
            command=world.random.choice((None, world.name("c"))),
        )
    )
