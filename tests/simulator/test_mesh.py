"""A mesh in virtual time: peers settle and work while their orchestrator is down, split and heal,
and keep results of which most copies are lost."""

from collections import Counter

import msgspec
import pytest

from visionflow.domain import commands as c
from visionflow.domain.agents import AgentSpec, ResourceLimits
from visionflow.domain.events import decode_record
from visionflow.domain.mesh import REPLICAS
from visionflow.domain.mesh_events import (
    AuctionOpened,
    AuctionSettled,
    MembershipChanged,
    ReplicasReported,
)
from visionflow.domain.tasks import Payload, TaskSpec
from visionflow.ports.host import Exit
from visionflow.testing.simulator.mesh import MeshWorld, run_mesh
from visionflow.testing.simulator.worker import WorkerNode
from visionflow.testing.workload import Action, Script, Workload

pytestmark = pytest.mark.acceptance("mesh")
PATIENCE_MS = 60_000
DOWN_MS = 20_000


class Small(MeshWorld):
    """Peers in processes of their own, of which nothing dies by itself."""

    def __init__(self, seed: int, peers: int) -> None:
        actions = [_spawning(number) for number in range(peers)]
        super().__init__(seed, Workload(actions, {}, {}, {}, 20, 0), calm=True)
        self.spec = msgspec.structs.replace(
            self.spec, limits=msgspec.structs.replace(self.spec.limits, mailbox_max=20_000)
        )
        self.submitted = 0
        self.start()
        self.client.start()
        self.until(lambda: self.peers() == peers and self.converged())

    def until(self, done: object) -> None:
        why = self.kernel.run(done, self.now_ms() + PATIENCE_MS)
        assert why is None, (why, self.status(), self.kernel.faults)
        assert self.kernel.faults == []

    def peers(self) -> int:
        status = self.status()
        return 0 if status is None else status.heard

    def told_of(self, tasks: list[str]) -> int:
        """How many peers know of an auction of each of these, taken together."""
        sessions = [node.session for node in self.living() if node.session is not None]
        return sum(session.peers.knows(task, 1) for task in tasks for session in sessions)

    def now_ms(self) -> int:
        return self.kernel.now_us // 1_000

    def wait(self, length_ms: int) -> None:
        end_us = self.kernel.now_us + length_ms * 1_000
        self.kernel.run(lambda: self.kernel.now_us >= end_us, self.now_ms() + PATIENCE_MS)
        assert self.kernel.faults == []

    def submit(self, count: int, work_ms: int = 50) -> list[str]:
        names = [f"task_{self.submitted + number}" for number in range(count)]
        self.submitted += count
        for name in names:
            self.client.ask(_submitting(name, work_ms))
        return names

    def ended(self, names: list[str]) -> bool:
        tasks = self.witness.check.tasks
        return all(name in tasks and tasks[name].ends for name in names)

    def node_of(self, agent: str) -> WorkerNode:
        worker = self.witness.check.agents[agent].worker
        return next(node for node in self.living() if node.order.worker == worker)

    def copy_of(self, agent: str, task: str) -> bytes | None:
        """The copy of a result of a first attempt that an agent's process holds."""
        worker = self.witness.check.agents[agent].worker
        sessions = [n.session for n in self.living() if n.order.worker == worker and n.session]
        return sessions[0].peers.copy_of(agent, task, 1) if sessions else None

    def events(self, kind: type) -> list:
        found = [e for body in self.witness.bodies for e in decode_record(body).events]
        return [event for event in found if isinstance(event, kind)]


def _spawning(number: int) -> Action:
    spec = AgentSpec(
        id=f"agent_{number}",
        type="scripted",
        name=f"agent_{number}",
        class_path="scripted:coroutine",
        limits=ResourceLimits(memory_bytes=2**30),
    )

    def make(now: int, command: str) -> c.AnyCommand:
        return c.SpawnAgent(now_ms=now, command=command, spec=spec)

    return Action(number, f"spawn_{number}", make)


def _submitting(name: str, work_ms: int) -> Action:
    script = Script(7, work_ms, 0, "error")
    spec = TaskSpec(id=name, type="scripted", input=Payload(inline=msgspec.msgpack.encode(script)))

    def make(now: int, command: str) -> c.AnyCommand:
        return c.SubmitTask(now_ms=now, command=command, spec=spec)

    return Action(0, f"submit_{name}", make, (name,))


# Without the orchestrator ----------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
def test_peers_settle_auctions_and_finish_the_work_while_the_orchestrator_is_down(
    seed: int,
) -> None:
    world = Small(seed, 5)
    check = world.witness.check
    try:
        names = world.submit(3)
        world.until(lambda: world.told_of(names) == 5 * len(names))
        # Settled or not, no claim of these is in the log.
        unclaimed = {(task, attempt) for task, (attempt, _) in check.mesh.open.items()}
        assert unclaimed and {attempt for _, attempt in unclaimed} == {1}
        world.closing = True
        life = world.life
        assert life is not None
        life.process.die()
        records = check.records
        world.wait(DOWN_MS)
        assert check.records == records
        kept = [pair for node in world.living() if node.session for pair in node.session.held()]
        assert unclaimed <= set(kept) and len(kept) == len(set(kept))
        assert world.witness.counts["attempts begun by auction"] == len(names)
        world.closing = False
        world.start()
        world.until(lambda: world.ended(names))
        assert check.recoveries == 1 and check.events["task_completed"] == len(names)
        for task, attempt in unclaimed:
            assert check.tasks[task].completed_attempt == attempt
            assert check.mesh.was_won(task, attempt)
        assert check.events["auction_lapsed"] == check.events["claim_refused"] == 0
    finally:
        world.kernel.close()


# Sharing ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_like_peers_that_are_idle_get_one_each_of_as_many_tasks_and_none_is_called_back(
    seed: int,
) -> None:
    world = Small(seed, 3)
    try:
        for _ in range(3):
            before = len(world.events(AuctionSettled))
            names = world.submit(3, work_ms=4_000)
            world.until(lambda names=names: world.ended(names))
            settled = world.events(AuctionSettled)[before:]
            assert sorted(each.agent for each in settled) == ["agent_0", "agent_1", "agent_2"]
            assert sorted(each.task for each in settled) == names
        check = world.witness.check
        assert check.events["task_assigned"] == check.events["task_completed"] == 9
        assert check.events["auction_lapsed"] == check.events["attempt_failed"] == 0
    finally:
        world.kernel.close()


# Splits ----------------------------------------------------------------------------------------


def test_who_reaches_less_than_half_is_read_only_and_gets_nothing_new_until_it_heals() -> None:
    world = Small(3, 5)
    try:
        few = sorted(world.witness.check.agents)[:2]
        world.net.cut([world.witness.check.agents[name].worker for name in few])
        world.until(lambda: (s := world.status()) is not None and list(s.read_only) == few)
        before = len(world.events(AuctionOpened))
        names = world.submit(6)
        world.until(lambda: world.ended(names))
        voters = {
            seat.agent for opened in world.events(AuctionOpened)[before:] for seat in opened.seats
        }
        assert len(voters) == 3 and not voters & set(few)
        told = [each for each in world.events(MembershipChanged) if each.read_only]
        assert told and {each.reachable for each in told} <= {None, 3}, "not what was said before"
        world.until(lambda: (s := world.status()) is not None and s.reachable == 3)
        world.net.heal()
        world.until(world.converged)
        status = world.status()
        assert status is not None and (status.members, status.read_only) == (5, ())
    finally:
        world.kernel.close()


def test_of_an_even_split_both_sides_are_read_only_and_what_waits_goes_on_after_it() -> None:
    world = Small(4, 4)
    try:
        agents = world.witness.check.agents
        world.net.cut([agents[name].worker for name in sorted(agents)[:2]])
        world.until(lambda: (s := world.status()) is not None and len(s.read_only) == 4)
        opened = len(world.events(AuctionOpened))
        names = world.submit(2)
        world.wait(10_000)
        assert not world.ended(names[:1]) and len(world.events(AuctionOpened)) == opened
        world.net.heal()
        world.until(lambda: world.ended(names) and world.converged())
    finally:
        world.kernel.close()


# Copies ----------------------------------------------------------------------------------------


def test_a_result_outlives_two_of_its_three_copies_and_is_copied_again() -> None:
    world = Small(5, 6)
    try:
        (name,) = world.submit(1)
        world.until(lambda: any(len(r.holders) == REPLICAS for r in world.events(ReplicasReported)))
        reported = world.events(ReplicasReported)[-1]
        result = world.witness.check.tasks[name].result[0]
        holders = [holder.agent for holder in reported.holders]
        assert (reported.required, reported.machines) == (REPLICAS, 1)
        for agent in holders:
            assert world.copy_of(agent, name) == result
        for agent in holders[:2]:
            world.node_of(agent).ended(Exit(None, "SIGKILL"))
        assert world.copy_of(holders[2], name) == result
        for agent in holders[:2]:
            assert world.copy_of(agent, name) != result, "a process that ended has lost its copy"

        def whole() -> bool:
            """Those of whom the log says so hold it, whether they did before or not."""
            told = world.events(ReplicasReported)[-1].holders
            return len(told) == REPLICAS and all(
                world.copy_of(holder.agent, name) == result for holder in told
            )

        world.until(whole)
        again = world.events(ReplicasReported)[-1]
        assert again.digest == reported.digest
        assert holders[2] in [holder.agent for holder in again.holders]
    finally:
        world.kernel.close()


# Whatever happens ------------------------------------------------------------------------------


def test_nothing_is_claimed_twice_or_lost_under_faults_of_all_kinds_and_peers_converge() -> None:
    counts: Counter[str] = Counter()
    for seed in range(14):
        result = run_mesh(seed)
        assert result.faults == (), f"mesh seed {seed}"
        counts.update(result.counts)
    for met in (
        "attempts begun before the log knew",
        "auction_lapsed",
        "auction_settled",
        "cut off",
        "doubled",
        "late",
        "lost",
        "membership_changed",
        "replicas_reported",
    ):
        assert counts[met], met


def test_the_same_seed_gives_the_same_trace() -> None:
    assert run_mesh(2).digest == run_mesh(2).digest
