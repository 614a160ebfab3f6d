"""One seed of agents that write to each other, from the first start to the verdict."""

from collections import Counter
from random import Random

import msgspec

from visionflow.domain import commands as c
from visionflow.domain import mail_commands as mc
from visionflow.domain.agents import AgentSpec, ResourceLimits
from visionflow.domain.mail import Letter
from visionflow.domain.swarms import Topology
from visionflow.domain.tasks import Payload, RetryPolicy, TaskSpec
from visionflow.testing.checkers import LogCheck
from visionflow.testing.simulator.faults import Faults
from visionflow.testing.simulator.orchestrator import compare_with_replay
from visionflow.testing.simulator.posting import MISSING, STAYING, Errand, Note, PostWitness
from visionflow.testing.simulator.world import World
from visionflow.testing.workload import Action, Workload

SPAN_MS = 6_000
END_MS = 900_000


class PostResult(msgspec.Struct, frozen=True):
    """What one seed showed."""

    seed: int
    topology: Topology
    faults: tuple[str, ...]
    """What must not have happened; empty is a clean bill."""
    counts: dict[str, int]
    injected: dict[str, int]
    digest: str


def run_post(seed: int, agents: int = 6, errands: int = 14) -> PostResult:
    """Run one seed to its end. It never raises for a fault of the system: it reports it."""
    source = Random(f"post of {seed}")
    topology = source.choice((Topology.MESH, Topology.STAR, Topology.HIERARCHICAL))
    world = World(seed, _workload(source, agents, errands))
    world.spec = msgspec.structs.replace(world.spec, topology=topology, autoscale=False)
    befall = Faults(world, SPAN_MS, 0)
    kernel, check, post = world.kernel, world.witness.check, world.witness.post
    mail = check.mail

    def finished() -> bool:
        if kernel.faults:
            return True
        over = kernel.now_us > SPAN_MS * 1_000 and world.client.done and not check.alive
        return over and not mail.waiting()

    try:
        world.start()
        world.client.start()
        why = kernel.run(finished, END_MS)
        if why is not None:
            left = {agent: list(box)[:5] for agent, box in mail.boxes.items() if box}
            tasks = [name for name, task in check.tasks.items() if not task.ends]
            kernel.fault(f"{why}; waiting: {left}; open: {tasks}; {world.client.waiting()[:5]}")
        for fault in _missing(check, post) if not kernel.faults else []:
            kernel.fault(fault)
        for fault in compare_with_replay(world.witness, world.lives):
            kernel.fault(fault)
    finally:
        kernel.close()
    counts = Counter(check.events) + post.counts
    counts["requests answered"] = sum(
        msgspec.msgpack.decode(task.result[0]) for task in check.tasks.values() if task.result
    )
    return PostResult(
        seed=seed,
        topology=topology,
        faults=tuple(kernel.faults),
        counts=dict(sorted(counts.items())),
        injected=dict(sorted(befall.counts.items())),
        digest=kernel.digest(),
    )


def _missing(check: LogCheck, post: PostWitness) -> list[str]:
    """What was acknowledged and never handed over."""
    return [
        f"message {message} was acknowledged by {agent} and never handed to it"
        for agent, message in check.mail.taken_by
        if (agent, message) not in post.read
    ]


# What is asked for -------------------------------------------------------------------------------


def _workload(source: Random, agents: int, errands: int) -> Workload:
    actions = [_spawned(source, number) for number in range(agents)]
    names = [f"agent_{number}" for number in range(agents)]
    ready = tuple(action.command for action in actions)
    actions += [_sent(source, number, names, ready) for number in range(errands)]
    actions += [_from_outside(source, number, names, ready) for number in range(errands // 2)]
    leaving = [name for name in names[STAYING:] if source.random() < 0.5]
    actions += [_ended(source, name, ready) for name in leaving]
    actions.sort(key=lambda action: action.at_ms)
    return Workload(actions, {}, {}, {}, agents, 0)


def _spawned(source: Random, number: int) -> Action:
    alone = number and source.random() < 0.4
    spec = AgentSpec(
        id=f"agent_{number}",
        type="scripted" if number else "coordinator",
        name=f"agent_{number}",
        class_path="scripted:postal",
        capabilities=("writing",),
        tasks_max=2,
        limits=ResourceLimits(memory_bytes=2**30 if alone else None),
    )

    def make(now: int, command: str) -> c.AnyCommand:
        return c.SpawnAgent(now_ms=now, command=command, spec=spec)

    return Action(number, f"spawn_{number}", make)


def _sent(source: Random, number: int, names: list[str], ready: tuple[str, ...]) -> Action:
    name = f"errand_{number}"
    targets = (*names * 2, "all", "type:scripted", "topic:news.of.today")
    errand = Errand(
        tuple(source.choice(targets) for _ in range(source.randint(1, 12))),
        tuple(source.choice(names) for _ in range(source.choice((0, 0, 1, 2)))),
        source.choice((0, 0, 5, 100)),
    )
    spec = TaskSpec(
        id=name,
        type="errand",
        input=Payload(inline=msgspec.msgpack.encode(errand)),
        capabilities=("writing",),
        agent=source.choice(names[:STAYING]),
        timeout_ms=600_000,
        retry=RetryPolicy(attempts_max=3, base_ms=100),
    )

    def make(now: int, command: str) -> c.AnyCommand:
        return c.SubmitTask(now_ms=now, command=command, spec=spec)

    return Action(source.randint(100, SPAN_MS), f"ask_{name}", make, (name,), ready)


def _from_outside(source: Random, number: int, names: list[str], ready: tuple[str, ...]) -> Action:
    target, ttl_ms = source.choice((*names, "all")), source.choice((50, 2_000, 600_000))
    content = Payload(inline=msgspec.msgpack.encode(Note(f"outside {number}")))

    def make(now: int, command: str) -> c.AnyCommand:
        letter = Letter(
            id=f"message_from_outside_{number}",
            sender="ops",
            target=target,
            sent_ms=now,
            content=content,
            expires_ms=now + ttl_ms,
            external=True,
            by="local:ops",
        )
        return mc.SendMail(now_ms=now, command=command, letter=letter)

    at_ms = source.randint(100, SPAN_MS)
    return Action(at_ms, f"tell_{number}", make, needs=ready, refusals=tuple(MISSING))


def _ended(source: Random, name: str, ready: tuple[str, ...]) -> Action:
    drain = source.random() < 0.5

    def make(now: int, command: str) -> c.AnyCommand:
        return c.TerminateAgent(now_ms=now, command=command, agent=name, drain=drain)

    return Action(source.randint(1_000, SPAN_MS), f"end_{name}", make, needs=ready)
