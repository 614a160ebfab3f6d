"""Adaptive topology: it switches for a predicted gain, by figures that stand in the event, and
takes a switch back that did worse."""

import pytest

from tests.engine.calm import Calm
from visionflow.domain import commands as c
from visionflow.domain import shape_commands as hc
from visionflow.domain import shape_events as h
from visionflow.domain.limits import CIRCUIT_FAILURES, CIRCUIT_OPEN_MS
from visionflow.domain.swarms import SwarmSpec, Topology
from visionflow.domain.tasks import Backoff, FailureKind, RetryPolicy, TaskSpec, TaskStatus
from visionflow.engine.measuring import measured_now
from visionflow.engine.topology import adaptive
from visionflow.engine.topology.rules import topology_in_force

pytestmark = pytest.mark.acceptance("swarm-topology")
MESH, STAR, SEQUENTIAL = Topology.MESH, Topology.STAR, Topology.SEQUENTIAL
HIERARCHICAL = Topology.HIERARCHICAL


class Adaptive(Calm):
    """A swarm of three types, created as adaptive, and tasks whose durations the test chooses."""

    secret_hash = "5e"

    def __init__(self, topology: Topology = Topology.ADAPTIVE) -> None:
        super().__init__()
        self.state.spec = None
        self.log.clear()
        self.send(
            c.CreateSwarm(now_ms=self.now_ms, spec=SwarmSpec(id="swarm_1", topology=topology))
        )
        for kind in ("researcher", "coder", "tester"):
            self.team(1, type=kind)

    def open(self) -> list[str]:
        """Tasks that agents have."""
        return [name for agent in self.state.agents.values() for name in agent.open]

    def ahead(self, kind: str) -> str:
        return self.submit(agent_type=kind)

    def finish(self, task: str, duration_ms: int) -> None:
        self.send(
            c.ReportResult(
                now_ms=self.now_ms,
                task=task,
                attempt=self.state.tasks[task].attempt,
                duration_us=duration_ms * 1_000,
            )
        )

    def begin(self) -> None:
        """Agents are at work on what they have."""
        for task in self.open():
            attempt = self.state.tasks[task].attempt
            self.send(c.ReportStarted(now_ms=self.now_ms, task=task, attempt=attempt))

    def work(self, rounds: int, took_ms: int = 1_000, kinds: tuple[str, ...] = ()) -> None:
        """Tasks come and are done, one round after the other."""
        for _ in range(rounds):
            for kind in kinds or ("researcher", "coder", "tester"):
                self.ahead(kind)
            while self.open():
                self.now_ms += took_ms
                for task in self.open():
                    self.finish(task, took_ms)

    def switch(self, topology: Topology | None) -> None:
        command = hc.SwitchTopology(now_ms=self.now_ms, topology=topology, reason="a test asks")
        self.answer = self.send(command)

    def weigh(self) -> None:
        """A tick at a moment at which a switch is weighed."""
        self.now_ms += adaptive.CONSIDER_MS - self.now_ms % adaptive.CONSIDER_MS
        self.tick()

    def cool(self) -> None:
        self.now_ms = max(self.now_ms, self.state.shape.cooled_ms)

    def switches(self) -> list[tuple[Topology, Topology, bool]]:
        found = self.of(h.TopologySwitched)
        return [(each.before, each.after, each.rolled_back) for each in found]


def backlog(world: Adaptive, count: int = 12) -> str:
    """A plan of one phase: so many tasks for each type."""
    kinds = ("researcher", "coder", "tester")
    root, _ = world.plan([{"agent_type": kind} for kind in kinds for _ in range(count)])
    return root


def test_an_adaptive_swarm_begins_as_a_hierarchy_and_switches_nothing_without_a_record() -> None:
    world = Adaptive()
    backlog(world)
    world.weigh()
    assert topology_in_force(world.state) is HIERARCHICAL
    assert world.switches() == []
    found = adaptive.propose(world.state, world.now_ms)
    assert found.best is None and found.gain_bp is None
    assert [each.makespan_ms for each in found.predictions] == [None] * 5


def test_it_leaves_stages_behind_once_what_is_left_would_take_a_fifth_less() -> None:
    world = Adaptive()
    world.work(4)
    world.switch(SEQUENTIAL)
    world.state.shape.trial = None
    world.cool()
    backlog(world)
    assert len(world.open()) == 1, "researchers first"
    world.weigh()
    assert len(world.open()) == 3, "what waited for its stage is free"
    assert world.audit() == []
    (_, last) = world.of(h.TopologySwitched)
    assert (last.before, last.after) == (SEQUENTIAL, HIERARCHICAL)
    assert last.gain_bp is not None and last.gain_bp >= adaptive.GAIN_BP_MIN
    took = {each.topology: each.makespan_ms for each in last.predictions}
    assert last.plan is not None and last.plan.tasks == 36
    slow, fast = took[SEQUENTIAL], took[HIERARCHICAL]
    assert slow is not None and fast is not None
    assert last.gain_bp == (slow - fast) * 10_000 // slow
    assert str(slow) in last.reason and str(fast) in last.reason


def test_a_swarm_of_another_topology_is_never_switched_unasked() -> None:
    world = Adaptive(SEQUENTIAL)
    world.work(4)
    backlog(world)
    world.weigh()
    assert world.switches() == []
    world.switch(None)
    assert world.switches() == [(SEQUENTIAL, HIERARCHICAL, False)]


def test_a_gain_of_less_than_a_fifth_is_refused_with_its_figure() -> None:
    world = Adaptive(STAR)
    world.work(4)
    backlog(world)
    world.switch(None)
    assert world.answer.code == "no_gain"
    assert world.switches() == []


def test_a_gain_of_a_seventh_is_told_and_switches_nothing() -> None:
    world = Adaptive()
    world.work(4)
    world.switch(SEQUENTIAL)
    world.state.shape.trial = None
    world.cool()
    kinds = ["researcher", *["coder"] * 12, "tester"]
    world.plan([{"agent_type": kind} for kind in kinds])
    found = adaptive.propose(world.state, world.now_ms)
    assert found.best is HIERARCHICAL
    assert found.gain_bp is not None and 1_000 < found.gain_bp < 2_000
    world.weigh()
    assert world.switches() == [(HIERARCHICAL, SEQUENTIAL, False)]
    world.switch(None)
    assert world.answer.code == "no_gain"
    assert " %, and 20 % are the least" in (world.answer.message or "")


def test_nothing_is_switched_again_within_the_cool_down() -> None:
    world = Adaptive()
    world.work(4)
    world.switch(SEQUENTIAL)
    world.state.shape.trial = None
    backlog(world)
    world.weigh()
    assert world.switches() == [(HIERARCHICAL, SEQUENTIAL, False)]
    assert world.now_ms < world.state.shape.cooled_ms
    world.cool()
    world.weigh()
    assert world.switches()[-1] == (SEQUENTIAL, HIERARCHICAL, False)


def test_what_is_under_way_goes_on_through_a_switch() -> None:
    world = Adaptive()
    tasks = [world.ahead("coder") for _ in range(3)]
    held = world.open()
    world.switch(SEQUENTIAL)
    assert world.open() == held
    world.work(1, kinds=("coder",))
    assert all(world.status(task) is TaskStatus.COMPLETED for task in tasks)
    assert world.audit() == []


def test_adaptive_is_no_topology_to_switch_to_and_the_one_in_force_is_no_switch() -> None:
    world = Adaptive()
    world.switch(Topology.ADAPTIVE)
    assert world.answer.code == "usage"
    world.switch(HIERARCHICAL)
    assert world.answer.code == "topology_in_force"


# Roll-back -------------------------------------------------------------------------------------


def test_a_loss_of_a_quarter_of_the_work_takes_the_switch_back() -> None:
    """Where three were at work, stages let one work at a time."""
    world = Adaptive(HIERARCHICAL)
    world.work(6)
    world.switch(SEQUENTIAL)
    backlog(world)
    world.begin()
    for _ in range(3):
        world.now_ms += 1_000
        for task in world.open():
            world.finish(task, 1_000)
        world.begin()
        world.tick()
    assert world.switches() == [(HIERARCHICAL, SEQUENTIAL, False)], "less than ten tasks' work"
    world.now_ms += 1_000
    world.tick()
    assert world.switches()[1:] == [(SEQUENTIAL, HIERARCHICAL, True)]
    back = world.last(h.TopologySwitched)
    assert back.measured is not None and back.measured.done == 3
    told = "agents did 4.0 s of work in 4.0 s since the switch; as hierarchical it would have been"
    assert back.reason == f"{told} 12.0 s", "the one that is under way counts by what is done of it"
    assert world.state.shape.barred[SEQUENTIAL] == back.barred_ms > world.now_ms


def test_tasks_that_take_ten_times_as_long_as_those_of_before_are_no_loss() -> None:
    world = Adaptive(HIERARCHICAL)
    world.work(6, took_ms=300)
    world.switch(STAR)
    for _ in range(3):
        for kind in ("researcher", "coder", "tester"):
            world.ahead(kind)
    world.begin()
    for _ in range(10):
        world.tick(300)
    assert measured_now(world.state, world.now_ms).done == 0
    assert world.switches() == [(HIERARCHICAL, STAR, False)]


def fail_some(world: Adaptive, rounds: int) -> None:
    """Of five tasks one fails, whatever the topology."""
    for _ in range(rounds):
        tasks = [world.submit(agent_type="coder") for _ in range(5)]
        for task in tasks[1:]:
            world.now_ms += 1_000
            if world.state.tasks[task].agent is None:
                world.fail(tasks[0], FailureKind.PERMANENT)
            world.finish(task, 1_000)


@pytest.mark.parametrize("under_way", [False, True])
def test_failures_that_are_the_tasks_own_speak_for_no_topology(under_way: bool) -> None:
    world = Adaptive()
    fail_some(world, 8)
    if under_way:
        for kind in ("researcher", "coder", "tester"):
            world.ahead(kind)
    backlog(world)
    found = adaptive.propose(world.state, world.now_ms)
    assert {each.failed_bp for each in found.predictions} == {2_000}
    took = {each.topology: each.makespan_ms for each in found.predictions}
    assert took[HIERARCHICAL] == took[STAR] == took[Topology.RING]
    assert found.best is HIERARCHICAL and found.gain_bp == 0
    for _ in range(100):
        world.weigh()
    assert world.switches() == []


def test_the_share_of_failures_under_a_topology_counts_the_more_the_more_attempts_ended() -> None:
    world = Adaptive()
    fail_some(world, 8)
    world.switch(STAR)
    shares = []
    for _ in range(2):
        world.work(20, kinds=("researcher",))
        left = world.ahead("researcher")
        found = adaptive.propose(world.state, world.now_ms)
        world.finish(left, 1_000)
        shares.append({each.topology: each.failed_bp for each in found.predictions})
    few, many = shares
    # 8 of 60 failed, and later 8 of 81; none of the 20, and 41, under a star.
    assert few[Topology.RING] == 1_333 and many[Topology.RING] == 987
    assert few[STAR] == 40 * 1_333 // 60 and many[STAR] == 40 * 987 // 81
    assert few[HIERARCHICAL] == (8 * 10_000 + 40 * 1_333) // 80


def test_less_to_do_is_not_taken_for_a_loss() -> None:
    """One task at a time, where there were three: fewer are completed, and nothing got worse."""
    world = Adaptive(HIERARCHICAL)
    world.work(10)
    world.switch(STAR)
    for _ in range(70):
        world.work(1, kinds=("coder",))
        world.tick()
    assert world.switches() == [(HIERARCHICAL, STAR, False)]
    assert world.of(h.TopologyKept) != []


@pytest.mark.parametrize(("failing", "back"), [(1, False), (2, True)])
def test_fifteen_points_more_of_failures_take_the_switch_back(failing: int, back: bool) -> None:
    world = Adaptive(HIERARCHICAL)
    world.work(6)
    world.switch(STAR)
    for turn in range(12):
        task = world.submit(agent_type="coder", retry=adaptive_retry())
        world.now_ms += 333
        if turn % 12 < failing:
            world.fail(task, FailureKind.PERMANENT)
        else:
            world.finish(task, 333)
        world.tick()
    assert bool(back) == (world.switches()[-1] == (STAR, HIERARCHICAL, True))
    if back:
        assert "% of attempts failed since the switch" in world.last(h.TopologySwitched).reason


def adaptive_retry() -> object:
    return TaskSpec(id="any").retry


def test_three_failed_agents_in_ten_take_the_switch_back_at_once() -> None:
    world = Adaptive(HIERARCHICAL)
    world.switch(STAR)
    worker = next(iter(world.state.workers))
    world.lose(worker)
    world.tick()
    assert world.switches()[-1] == (STAR, HIERARCHICAL, True)
    assert "of 3 agents failed" in world.last(h.TopologySwitched).reason


def test_a_switch_that_did_no_worse_for_a_minute_at_work_is_kept() -> None:
    world = Adaptive(HIERARCHICAL)
    world.work(6)
    world.switch(STAR)
    for _ in range(70):
        world.work(1)
        world.tick()
    (kept,) = world.of(h.TopologyKept)
    assert kept.topology is STAR
    assert kept.measured is not None and kept.measured.busy_ms >= adaptive.TRIAL_MS
    assert world.state.shape.trial is None


# What is measured ------------------------------------------------------------------------------


def test_a_delay_is_what_a_task_waits_while_its_agent_has_room() -> None:
    world = Adaptive(HIERARCHICAL)
    world.ahead("coder")
    world.ahead("coder")
    world.now_ms += 5_000
    world.finish(world.open()[0], 5_000)
    assert world.state.totals.delayed_ms == 0, "it was load that made the second one wait"
    world.now_ms += 1_000
    world.finish(world.open()[0], 1_000)
    assert world.state.totals.busy_ms == 6_000
    assert world.state.totals.done == 2
    assert world.state.totals.work_us == 6_000_000


def test_a_wait_for_an_open_circuit_is_no_delay_of_the_topology() -> None:
    world = Adaptive()
    world.work(20, kinds=("researcher",))
    for _ in range(CIRCUIT_FAILURES):
        world.fail(world.submit(agent_type="coder", retry=RetryPolicy(backoff=Backoff.NONE)))
    for _ in range(8):
        world.ahead("coder")
    assert world.open() == [], "the circuit of the only one who could is open"
    world.tick(CIRCUIT_OPEN_MS)
    (trial,) = world.open()
    world.finish(trial, 1_000)
    assert len(world.open()) == 1
    found = adaptive.propose(world.state, world.now_ms)
    overhead = {each.topology: each.overhead_us for each in found.predictions}
    assert overhead == {**dict.fromkeys(overhead, 0), MESH: adaptive.AUCTION_US}
    assert found.best is HIERARCHICAL


def test_a_wait_while_the_agent_could_be_given_it_is_charged_to_the_topology_alone() -> None:
    """A mesh in which peers do not settle an auction until only one of them is there; and one that
    is left."""
    world = Adaptive(MESH)
    (other,) = world.team(1, type="coder")
    task = world.ahead("coder")
    world.tick(1_000)
    assert world.open() == []
    world.send(c.TerminateAgent(now_ms=world.now_ms, agent=other))
    for _ in range(60):
        if not world.open():
            world.tick(1_000)
    assert world.open() == [task]
    waited_ms = world.now_ms - world.state.tasks[task].since_ms
    assert world.state.totals.delays == {MESH: waited_ms} and waited_ms > 0
    world.finish(task, 1_000)
    world.team(1, type="coder")
    world.ahead("coder")
    world.tick(1_000)
    assert world.open() == []
    world.switch(STAR)
    assert len(world.open()) == 1
    assert world.state.totals.delays == {MESH: waited_ms, STAR: 0}, "it waited under the mesh"
    assert world.replay().totals == world.state.totals


def test_what_was_measured_under_a_topology_stays_when_it_is_left_and_adds_up() -> None:
    world = Adaptive(HIERARCHICAL)
    world.work(2)
    world.switch(STAR)
    world.work(3)
    world.switch(HIERARCHICAL)
    world.work(1)
    under = adaptive.measured_under
    assert under(world.state, STAR, world.now_ms).done == 9
    assert under(world.state, HIERARCHICAL, world.now_ms).done == 9
    assert world.replay().shape == world.state.shape
    assert world.replay().digest() == world.state.digest()


def test_a_swarm_whose_topology_never_changed_has_the_hash_of_before() -> None:
    world = Adaptive()
    world.work(2)
    before = world.state.digest()
    world.state.totals.done += 1
    assert world.state.digest() == before


def test_time_in_which_nobody_was_there_is_no_work() -> None:
    """A lid that was closed, and an orchestrator that was down."""
    world = Adaptive(HIERARCHICAL)
    world.ahead("coder")
    world.now_ms += 1_000
    gap_ms = 3_600_000
    world.now_ms += gap_ms
    world.send(c.Tick(now_ms=world.now_ms, gap_ms=gap_ms))
    assert measured_now(world.state, world.now_ms).busy_ms == 1_000
    kept = tuple(world.state.workers)
    world.now_ms += gap_ms
    world.send(c.Recover(now_ms=world.now_ms, kept=kept, kept_until_ms=world.now_ms + 9_000))
    assert measured_now(world.state, world.now_ms + 500).busy_ms == 500
    assert world.state.totals.delayed_ms == 0


def test_a_trial_of_which_nothing_is_heard_ends_after_half_an_hour() -> None:
    world = Adaptive(HIERARCHICAL)
    world.switch(STAR)
    world.tick(adaptive.TRIAL_MS_MAX - 1)
    assert world.state.shape.trial is not None
    world.tick(1)
    assert world.state.shape.trial is None and len(world.of(h.TopologyKept)) == 1
