"""Whatever happened, once the surroundings do what they are asked to all work comes to an end, or
there is a reason that only a person can lift; and nobody's drain or replacement lasts without one.
"""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.engine.auctions_by_chance import claim
from tests.engine.meshed import MeshWorld
from tests.engine.world import World
from visionflow.domain import commands as c
from visionflow.domain import mesh_commands as mc
from visionflow.domain import supervision_commands as sc
from visionflow.domain import teams_commands as tc
from visionflow.domain.agents import WorkerStatus
from visionflow.domain.limits import Limits
from visionflow.domain.tasks import TERMINAL, FailureKind, TaskStatus
from visionflow.domain.teams import TeamSpec
from visionflow.engine.decide.deadlocks import is_deadlocked
from visionflow.engine.effects import holds_seat
from visionflow.interfaces.tools.able import nobody_takes

SETTINGS = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
QUIET_MS = 130_000
"""Longer than a circuit is open and a task waits for its next attempt."""
OPEN = (TaskStatus.ASSIGNED, TaskStatus.RUNNING)


def with_teams(seed: int) -> World:
    world = World(seed, Limits(circuit_failures=2))
    world.team(1, "plan", type="coordinator")
    for name in ("one", "two"):
        people = world.team(2, "python", "review", "security", "testing")
        team = TeamSpec(name, people[0], tuple(people[1:]))
        world.send(tc.FormTeam(now_ms=world.now_ms, team=team))
    return world


def come_back(world: World) -> None:
    """Every process is there, is heard, and knows what it was given."""
    state, now_ms = world.state, world.now_ms
    for name, worker in list(state.workers.items()):
        who = {"worker": name, "incarnation": worker.incarnation}
        if worker.status is WorkerStatus.STARTING:
            world.send(c.ReportWorkerJoined(now_ms=now_ms, **who))
        if name in state.supervised.awaited:
            held = [pair for agent in worker.agents for pair in state.agents[agent].open.items()]
            world.send(sc.ReportWorkerAdopted(now_ms=now_ms, attempts=tuple(held), **who))
        if name in state.supervised.suspects:
            world.send(sc.ReportTrust(now_ms=now_ms, evidence="it answered", **who))
    world.settle(3)


def agree(world: World) -> None:
    """Peers reach each other, and settle what they bid for."""
    world.send(mc.ReportMembership(now_ms=world.now_ms, members=5, reachable=5))
    for task, auction in list(world.state.mesh.auctions.items()):
        living = [seat for seat in auction.seats if holds_seat(world.state, seat)]
        if living and task in world.state.mesh.auctions:
            world.send(claim(world, task, auction.attempt, auction.seats, living[0].agent))


def work(world: World) -> None:
    """Whatever waits for nothing is done, sooner or later."""
    state = world.state
    for name, task in list(state.tasks.items()):
        if task.status not in OPEN:
            continue
        if task.cancelling is not None or name in state.supervised.recalling:
            recalled = name in state.supervised.recalling and task.cancelling is None
            world.fail(name, FailureKind.RECALLED if recalled else FailureKind.KILLED)
            continue
        for on in list(state.supervised.waits.get(name, ())):
            if state.tasks[on].status in TERMINAL:
                world.end_wait(name, on)
        locks = (state.supervised.locks[lock].holder for lock in state.lockers.get(name, ()))
        if name in state.supervised.waits or any(lock and lock[0] != name for lock in locks):
            continue
        if world.random.random() < 0.7:
            world.complete(name)


def alive(world: World) -> list[tuple[str, TaskStatus, int]]:
    tasks = world.state.tasks.items()
    return [(name, t.status, t.attempt) for name, t in tasks if t.status not in TERMINAL]


def calm_down(world: World) -> None:
    """Until nothing changes any more for a while."""
    before, quiet_ms = alive(world), 0
    for _ in range(2_000):
        come_back(world)
        agree(world)
        work(world)
        world.now_ms += 1_000
        waits = is_deadlocked(world.state)
        entropy = world.random.getrandbits(60)
        world.send(c.Tick(now_ms=world.now_ms, entropy=entropy, waits=waits))
        now = alive(world)
        quiet_ms = quiet_ms + 1_000 if now == before else 0
        before = now
        if not now or quiet_ms > QUIET_MS:
            break
    else:
        raise AssertionError(f"it goes on and on: {before[:5]}")
    world.tick(100)
    come_back(world)


def held_up(world: World) -> dict[str, None]:
    """Tasks that wait for a person: blocked, such that nobody can take them, and those behind."""
    state = world.state
    found: dict[str, None] = {}
    for name, task in state.tasks.items():
        queued = task.status is TaskStatus.QUEUED
        if task.status in (TaskStatus.BLOCKED, TaskStatus.PENDING, TaskStatus.ORCHESTRATING):
            found[name] = None
        elif queued and nobody_takes(state, task) is not None:
            found[name] = None
    count = -1
    while len(found) != count:
        count = len(found)
        stuck = [a for a, each in state.agents.items() if any(t in found for t in each.open)]
        places = {state.agents[agent].worker for agent in stuck}
        for name, task in state.tasks.items():
            behind = any(on in found for on in state.supervised.waits.get(name, ()))
            locks = (state.supervised.locks[lock].holder for lock in state.lockers.get(name, ()))
            behind = behind or any(holder and holder[0] in found for holder in locks)
            if task.status is TaskStatus.QUEUED and places:
                able = [a for a in state.agents.values() if _may_take(world, name, a.spec.id)]
                behind = all(a.spec.id in stuck or a.worker in places for a in able)
            if task.status not in TERMINAL and behind:
                found[name] = None
    return found


def _may_take(world: World, task: str, agent: str) -> bool:
    """As far as what it offers itself goes, whatever its seat."""
    spec, member = world.state.tasks[task].spec, world.state.agents[agent].spec
    own = {word for word in spec.capabilities if ":" not in word} <= set(member.capabilities)
    return own and spec.agent in (None, agent) and spec.agent_type in (None, member.type)


def hold_against_the_calm(world: World, steps: int) -> None:
    for _ in range(steps):
        world.step()
    if world.state.closed is not None:
        return
    calm_down(world)
    reasons = held_up(world)
    left = [name for name, *_ in alive(world) if name not in reasons]
    assert left == [], [(n, world.state.tasks[n]) for n in left]
    state = world.state
    for agent in (*state.draining, *state.moving, *state.updating):
        assert any(task in reasons for task in state.agents[agent].open), agent
    for worker in (*state.supervised.recycling, *state.supervised.restarting):
        held = [t for a in state.workers[worker].agents for t in state.agents[a].open]
        assert any(task in reasons for task in held), worker
    assert world.audit() == []


@SETTINGS
@given(st.integers(0, 2**32), st.integers(40, 250))
def test_all_comes_to_an_end_or_waits_for_a_person(seed: int, steps: int) -> None:
    hold_against_the_calm(World(seed, Limits(circuit_failures=2)), steps)


@SETTINGS
@given(st.integers(0, 2**32), st.integers(40, 250))
def test_so_it_does_in_teams(seed: int, steps: int) -> None:
    hold_against_the_calm(with_teams(seed), steps)


@SETTINGS
@given(st.integers(0, 2**32), st.integers(40, 200))
def test_so_it_does_in_a_mesh(seed: int, steps: int) -> None:
    hold_against_the_calm(MeshWorld(seed), steps)
