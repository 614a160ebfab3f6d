"""A world in which votes ask their members, and what is done there again and again."""

import msgspec

from tests.engine.world import World
from visionflow.domain import commands as c
from visionflow.domain.tasks import FailureKind, Payload
from visionflow.domain.votes import Choice, Matter, Opinion, Resolution, Terms, VoteSpec
from visionflow.engine.audit import audit

YES, NO, ABSTAIN, RANK = Choice.APPROVE, Choice.REJECT, Choice.ABSTAIN, Choice.RANK
TERMS = Terms(timeout_ms=10_000)
HUMAN = Terms(timeout_ms=10_000, resolution=Resolution.HUMAN)


def said(choice: Choice, evidence: str = "tests", **fields: object) -> Payload:
    """An agent's answer, as its worker reports it."""
    return Payload(inline=msgspec.msgpack.encode(Opinion(choice, evidence, **fields)))


def asked(members: int = 3, **fields: object) -> tuple[World, str, list[str]]:
    """A world with a vote whose members were asked, and whose tasks they hold."""
    world = World()
    names = world.team(members)
    fields.setdefault("terms", TERMS)
    vote = world.ask(*names, asked=True, **fields)
    assert world.answer.code is None, world.answer
    return world, vote, names


def result(world: World, task: str, payload: Payload) -> None:
    """A task that is held ends with this."""
    attempt = world.state.tasks[task].attempt
    report = c.ReportResult(
        now_ms=world.now_ms, task=task, attempt=attempt, result=payload, duration_us=50_000
    )
    assert world.send(report).code is None


def practise(world: World, agent: str, times: int = 1, fails: bool = False) -> None:
    """The agent does so many tasks, or fails at them for good."""
    for _ in range(times):
        task = world.submit(agent=agent)
        if fails:
            world.fail(task, FailureKind.PERMANENT)
        else:
            world.complete(task)


def cancel(world: World, task: str) -> None:
    """Somebody calls a task off."""
    world.send(c.CancelTask(now_ms=world.now_ms, task=task))


def answer(world: World, vote: str, number: int, choice: Choice, **fields: object) -> None:
    """The member of this number answers."""
    result(world, f"{vote}.{number}", said(choice, **fields))


def sound(world: World) -> None:
    assert not audit(world.state)
    assert world.state.digest() == world.replay().digest()


def gated(
    terms: Terms = TERMS, others: int = 2, starting: int = 0
) -> tuple[World, str, str, list[str]]:
    """A plan of one part, done by one agent, on whose result the others vote; so many more are
    still starting as it ends."""
    world = World()
    (author,) = world.team(1, "python")
    names = world.team(others, "review") if others else []
    template = VoteSpec("consensus", "Is it right?", (), terms=terms, matter=Matter.TASK_RESULT)
    root, parts = world.plan([{"capabilities": ("python",)}], consensus=template)
    part = parts[0][0]
    assert world.state.tasks[part].agent == author
    names += [world.spawn("review") for _ in range(starting)]
    result(world, part, Payload(inline=b"\x01"))
    return world, root, part, names
