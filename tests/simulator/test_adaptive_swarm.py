"""An adaptive swarm on the simulated machine: it takes a switch back that does worse under load,
keeps one that does no worse, and leaves stages behind of itself once that is worth it; with its
orchestrator and workers dying in between."""

from collections import Counter
from random import Random
from typing import NamedTuple

import msgspec
import pytest

from visionflow.domain import commands as c
from visionflow.domain import shape_commands as hc
from visionflow.domain import shape_events as h
from visionflow.domain import teams_commands as tc
from visionflow.domain.agents import AgentSpec
from visionflow.domain.events import decode_record
from visionflow.domain.swarms import Topology
from visionflow.domain.tasks import Payload, Phase, TaskSpec
from visionflow.domain.teams import TeamSpec
from visionflow.ports.host import Exit
from visionflow.testing.simulator.mesh import MeshWorld
from visionflow.testing.simulator.orchestrator import compare_with_replay
from visionflow.testing.workload import Action, Script, Workload

pytestmark = pytest.mark.acceptance("swarm-topology")
TYPES = ("researcher", "coder", "tester")
HIERARCHICAL, SEQUENTIAL = Topology.HIERARCHICAL, Topology.SEQUENTIAL
END_MS = 1_500_000


class Lived(NamedTuple):
    """What a swarm did."""

    switches: list[h.TopologySwitched]
    kept: list[h.TopologyKept]
    ends: Counter[str]
    lives: int


def spec_of(name: str, kind: str, took_ms: int, **more: object) -> TaskSpec:
    script = Payload(inline=msgspec.msgpack.encode(Script(1, took_ms)))
    return TaskSpec(id=name, type="scripted", input=script, agent_type=kind, **more)


def spawned(number: int, kind: str = "", *capabilities: str) -> Action:
    kind = kind or TYPES[number % 3]
    name = f"agent_{number}"
    spec = AgentSpec(name, kind, name, "scripted:coroutine", capabilities)

    def make(now: int, command: str) -> c.AnyCommand:
        return c.SpawnAgent(now_ms=now, command=command, spec=spec)

    return Action(number, f"spawn_{number}", make)


def single(name: str, kind: str, at_ms: int, took_ms: int) -> Action:
    def make(now: int, command: str) -> c.AnyCommand:
        return c.SubmitTask(now_ms=now, command=command, spec=spec_of(name, kind, took_ms))

    return Action(at_ms, f"submit {name}", make, (name,))


def planned(root: str, at_ms: int, count: int, took_ms: int) -> Action:
    """A plan of one phase, with so many tasks for each type."""
    names = [(f"{root}_{kind}_{n}", kind) for kind in TYPES for n in range(count)]
    parts = tuple(spec_of(name, kind, took_ms, parent=root, phase="all") for name, kind in names)

    def make(now: int, command: str) -> c.AnyCommand:
        whole = TaskSpec(id=root, type="plan")
        phases = (Phase("all", parts),)
        return c.SubmitPlan(now_ms=now, command=command, spec=whole, phases=phases)

    return Action(at_ms, f"plan {root}", make, (root, *(name for name, _ in names)))


def switch(at_ms: int, topology: Topology) -> Action:
    def make(now: int, command: str) -> c.AnyCommand:
        return hc.SwitchTopology(
            now_ms=now, command=command, topology=topology, reason="a client asks"
        )

    return Action(at_ms, f"switch {at_ms}", make)


def formed(team: str, first: int, last: int, domain: str, needs: tuple[str, ...]) -> Action:
    """A team of the agents of these numbers, of which the first leads."""
    lead, *members = (f"agent_{number}" for number in range(first, last + 1))
    spec = TeamSpec(team, lead, tuple(members), capabilities=(domain,))

    def make(now: int, command: str) -> c.AnyCommand:
        return tc.FormTeam(now_ms=now, command=command, team=spec)

    return Action(10, f"form {team}", make, needs=needs)


def worked(name: str, at_ms: int, took_ms: int, needs: tuple[str, ...] = ()) -> Action:
    """A task for whoever can work."""
    script = Payload(inline=msgspec.msgpack.encode(Script(1, took_ms)))
    spec = TaskSpec(id=name, type="scripted", input=script, capabilities=("work",))

    def make(now: int, command: str) -> c.AnyCommand:
        return c.SubmitTask(now_ms=now, command=command, spec=spec)

    return Action(at_ms, f"submit {name}", make, (name,), needs)


def failing(name: str, kind: str, at_ms: int, took_ms: int) -> Action:
    """A task of which nothing comes."""
    script = Script(1, took_ms, fails=9, how="permanent")
    spec = msgspec.structs.replace(
        spec_of(name, kind, took_ms), input=Payload(inline=msgspec.msgpack.encode(script))
    )

    def make(now: int, command: str) -> c.AnyCommand:
        return c.SubmitTask(now_ms=now, command=command, spec=spec)

    return Action(at_ms, f"submit {name}", make, (name,))


def live(seed: int, actions: list[Action], kills_ms: tuple[int, ...] = ()) -> Lived:
    """Let the workload be done, and everything that follows."""
    scripts = {name: Script(1, 1) for action in actions for name in action.tasks}
    world = MeshWorld(seed, Workload(actions, scripts, {}, {}, 20, 0), calm=True)
    world.spec = msgspec.structs.replace(world.spec, topology=Topology.ADAPTIVE)
    kernel, check, random = world.kernel, world.witness.check, Random(f"kills {seed}")
    last_ms = max(action.at_ms for action in actions)

    def kill() -> None:
        if world.life is not None:
            world.life.process.die()
        for node in world.living():
            if random.random() < 0.3:
                node.ended(Exit(None, "SIGKILL"))

    try:
        world.start()
        world.client.start()
        for at_ms in kills_ms:
            kernel.at_ms(at_ms, kill)

        def over() -> bool:
            past = kernel.now_us > last_ms * 1_000
            return bool(kernel.faults) or (past and world.client.done and not check.alive)

        why = kernel.run(over, END_MS)
        assert kernel.faults == []
        assert why is None, (why, check.alive)
        assert check.faults == []
        assert compare_with_replay(world.witness, world.lives) == []
        events = [e for body in world.witness.bodies for e in decode_record(body).events]
        ends = Counter(end for task in check.tasks.values() for end in task.ends)
        return Lived(
            [e for e in events if isinstance(e, h.TopologySwitched)],
            [e for e in events if isinstance(e, h.TopologyKept)],
            ends,
            len(world.lives),
        )
    finally:
        kernel.close()


def measured_first() -> list[Action]:
    """Six agents, and sixty tasks in the first twenty seconds."""
    tasks = [single(f"first_{n}", TYPES[n % 3], 2_000 + 330 * n, 1_000) for n in range(60)]
    return [*map(spawned, range(6)), *tasks]


def told(lived: Lived) -> list[tuple[Topology, Topology, bool]]:
    return [(each.before, each.after, each.rolled_back) for each in lived.switches]


@pytest.mark.parametrize(("seed", "kills"), [(1, ()), (2, (25_500,)), (3, (22_400, 27_000))])
def test_a_switch_to_stages_that_slows_a_wide_plan_is_taken_back_and_nothing_is_lost(
    seed: int, kills: tuple[int, ...]
) -> None:
    actions = [*measured_first(), switch(24_000, SEQUENTIAL), planned("wide", 24_500, 30, 2_000)]
    lived = live(seed, actions, kills)
    assert lived.ends == {"completed": 60 + 90 + 1}
    assert told(lived)[0] == (HIERARCHICAL, SEQUENTIAL, False)
    if not kills:
        assert told(lived)[1:] == [(SEQUENTIAL, HIERARCHICAL, True)]
        back = lived.switches[1]
        assert "s of work in" in back.reason and "it would have been" in back.reason
        assert back.barred_ms > back.cooled_ms > 0
    else:
        # Deaths of workers within the trial take it back, too.
        assert told(lived)[1] == (SEQUENTIAL, HIERARCHICAL, True)
    assert lived.lives == 1 + len(kills)


@pytest.mark.parametrize(("seed", "kills"), [(4, ()), (5, (425_000,))])
def test_a_swarm_leaves_stages_of_itself_for_a_plan_that_is_faster_without_them(
    seed: int, kills: tuple[int, ...]
) -> None:
    steady = [single(f"even_{n}", TYPES[n % 3], 25_000 + 1_000 * n, 900) for n in range(80)]
    actions = [*measured_first(), switch(24_000, SEQUENTIAL), *steady]
    actions.append(planned("late", 420_000, 20, 10_000))
    lived = live(seed, actions, kills)
    assert lived.ends == {"completed": 60 + 80 + 60 + 1}
    assert [each.topology for each in lived.kept][:1] == [SEQUENTIAL]
    assert told(lived)[:2] == [
        (HIERARCHICAL, SEQUENTIAL, False),
        (SEQUENTIAL, HIERARCHICAL, False),
    ]
    own = lived.switches[1]
    assert not own.requested and own.gain_bp is not None and own.gain_bp >= 2_000
    assert own.plan is not None and own.plan.tasks <= 60


@pytest.mark.parametrize("seed", range(6))
def test_every_topology_is_put_into_force_under_load_and_nothing_under_way_is_lost(
    seed: int,
) -> None:
    random = Random(f"switches {seed}")
    order = [each for each in Topology if each is not Topology.ADAPTIVE]
    random.shuffle(order)
    tasks = [single(f"one_{n}", TYPES[n % 3], 2_000 + 400 * n, 1_500) for n in range(150)]
    plans = [planned(f"plan_{n}", 5_000 + 11_000 * n, 4, 1_200) for n in range(5)]
    switches = [switch(8_000 + 9_000 * place, each) for place, each in enumerate(order)]
    kills = tuple(random.sample(range(9_000, 55_000), 2)) if seed % 2 else ()
    actions = [*map(spawned, range(6)), *tasks, *plans, *switches]
    lived = live(100 + seed, sorted(actions, key=lambda each: each.at_ms), kills)
    assert lived.ends == {"completed": 150 + 5 * (12 + 1)}
    asked = [each.after for each in lived.switches if each.requested]
    assert set(asked) >= set(order) - {HIERARCHICAL}
    assert lived.lives == 1 + len(kills)


def test_a_swarm_without_teams_of_whose_tasks_a_quarter_fails_never_switches() -> None:
    """The failures are the tasks' own, and would be the same under any topology."""
    actions = [*map(spawned, range(6))]
    for number in range(200):
        kind, at_ms = TYPES[number % 3], 2_000 + 100 * number
        make = failing if number % 4 == 0 else single
        actions.append(make(f"task_{number}", kind, at_ms, 1_500))
    lived = live(6, actions)
    assert lived.ends == {"completed": 150, "failed": 50}
    assert told(lived) == []


def test_a_swarm_of_which_one_team_of_two_has_all_to_do_leaves_its_hierarchy() -> None:
    people = [spawned(0, "coordinator")]
    people += [spawned(number, "worker", "work") for number in range(1, 8)]
    there = tuple(action.command for action in people)
    teams = [formed("small", 1, 2, "work", there), formed("large", 3, 7, "other", there)]
    needs = tuple(action.command for action in teams)
    tasks = [worked(f"task_{number}", 1_000, 3_000, needs) for number in range(60)]
    lived = live(7, [*people, *teams, *tasks])
    assert lived.ends == {"completed": 60}
    first = lived.switches[0]
    assert (first.before, first.after) == (HIERARCHICAL, Topology.STAR)
    assert not first.requested and first.plan is not None
    took = {each.topology: each.makespan_ms or 0 for each in first.predictions}
    assert took[HIERARCHICAL] > 3 * took[Topology.STAR]
    assert [each.rolled_back for each in lived.switches] == [False]
