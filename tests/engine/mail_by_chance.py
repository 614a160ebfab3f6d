"""What happens to the mail in a world of chance."""

from typing import TYPE_CHECKING

from visionflow.domain import mail_commands as mc
from visionflow.domain.mail import Letter
from visionflow.domain.tasks import Payload

if TYPE_CHECKING:
    from tests.engine.world import World

TOPICS = ("builds", "builds.done", "builds.done.late", "tests")
PATTERNS = ("builds.*", "builds.>", "tests", "*", "builds.>.late", "")


def happen(world: "World") -> None:
    """One thing of it."""
    world.random.choice(
        (_send, _send, _send, _take, _take, _fail, _handle, _handle, _subscribe, _answer)
    )(world)


def _send(world: "World") -> None:
    """By an agent, within a task or not, or by somebody outside; at times the same once more."""
    state, chance = world.state, world.random.random()
    agents = [*list(state.agents) * 4, "nobody"]
    targets = (
        *[world.random.choice(agents)] * 9,
        *("all", "type:coder", "capability:review", "swarm:swarm_1", "swarm:other"),
        *(f"topic:{topic}" for topic in TOPICS),
    )
    external = chance < 0.6
    task = world.random.choice([*world.running(), ""]) if chance > 0.8 else ""
    found = state.tasks.get(task)
    sender = world.random.choice(agents)
    if found is not None and found.agent is not None and world.random.random() < 0.8:
        sender = found.agent
    ttl_ms = world.random.choice((0, 1, 900, 5_000, 60_000, *[600_000] * 6))
    asks = world.random.random() < 0.2
    seen = list(state.mail.seen)
    again = seen and world.random.random() < 0.1
    letter = Letter(
        id=world.random.choice(seen) if again else world.name("message"),
        sender="a client" if external else sender,
        target=world.random.choice(targets),
        sent_ms=world.now_ms,
        content=Payload(inline=b"\xc0" * world.random.choice((*(0, 1, 100) * 5, 70_000))),
        expires_ms=world.now_ms + ttl_ms,
        answer_by_ms=world.now_ms + 900 if asks else 0,
        task="" if external else task,
        attempt=0 if found is None else found.attempt - world.random.choice((0, 0, 0, 1)),
        external=external,
        by="token:1" if external else "",
    )
    world.send(
        mc.SendMail(
            now_ms=world.now_ms,
            letter=letter,
            command=world.random.choice((None, world.name("command"))),
        )
    )


def _inbox(world: "World") -> tuple[str, list[int]]:
    boxes = world.state.mail.inboxes
    agent = world.random.choice([*boxes, "nobody"])
    return agent, list(boxes[agent].deliveries) if agent in boxes else []


def _take(world: "World") -> None:
    """In order or not, and at times what is not there."""
    agent, numbers = _inbox(world)
    count = min(len(numbers), world.random.randint(0, 3))
    taken = (*world.random.sample(numbers, count), *world.random.choice(((), (), (1,))))
    world.send(
        mc.TakeMail(
            now_ms=world.now_ms,
            agent=agent,
            deliveries=taken,
            command=world.random.choice((None, world.name("command"))),
        )
    )


def _fail(world: "World") -> None:
    agent, numbers = _inbox(world)
    world.send(
        mc.ReportMailFailed(
            now_ms=world.now_ms,
            agent=agent,
            delivery=world.random.choice([*numbers[:2], *numbers[:2], 1]),
            reason="it broke",
            for_good=world.random.random() < 0.2,
        )
    )


def _handle(world: "World") -> None:
    """A worker says that an agent handles messages, at times one of before."""
    agents = list(world.state.agents.values())
    if not agents:
        return
    agent = world.random.choice(agents)
    worker = world.state.workers[agent.worker]
    world.send(
        mc.ReportHandling(
            now_ms=world.now_ms,
            agent=agent.spec.id,
            worker=worker.id,
            incarnation=max(0, worker.incarnation - world.random.choice((0, 0, 0, 1))),
        )
    )


def _subscribe(world: "World") -> None:
    agents = [*world.state.agents, "nobody"]
    world.send(
        mc.SubscribeTopic(
            now_ms=world.now_ms,
            agent=world.random.choice(agents),
            pattern=world.random.choice(PATTERNS),
            on=world.random.random() < 0.7,
        )
    )


def _answer(world: "World") -> None:
    """To a request, by who was asked or somebody else."""
    requests = world.state.mail.requests
    if not requests:
        return
    name = world.random.choice(list(requests))
    asked = [*requests[name].to, *requests[name].to, *list(world.state.agents)[:1]]
    letter = Letter(
        id=world.name("message"),
        sender=world.random.choice(asked),
        target=requests[name].sender,
        sent_ms=world.now_ms,
        expires_ms=world.now_ms + 1_000,
        answers=name,
    )
    world.send(mc.SendMail(now_ms=world.now_ms, letter=letter))
