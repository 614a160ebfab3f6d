"""What an adaptive swarm with teams predicts of a hierarchy: what a team has is done there, and the
manager gives out the rest by its score."""

from collections.abc import Set as AbstractSet

import pytest

from tests.engine.test_adaptive import HIERARCHICAL, STAR, Adaptive
from visionflow.domain import supervision_commands as sc
from visionflow.domain import teams_commands as tc
from visionflow.domain import teams_events as t
from visionflow.domain.swarms import Topology
from visionflow.domain.tasks import TaskSpec
from visionflow.domain.teams import DELEGATE, MANAGER, TeamSpec
from visionflow.engine.topology import adaptive, unfinished
from visionflow.engine.topology.seats import offers_of

pytestmark = pytest.mark.acceptance("hierarchy", "swarm-topology")
SECOND_MS = 1_000


class Teamed(Adaptive):
    """An adaptive swarm of a small team that has the domain, and a large one without."""

    def __init__(self) -> None:
        super().__init__()
        self.team(1, "plan", type="coordinator")
        self.form("small", 1, ("work",))
        self.form("large", 4, ("other",))

    def form(self, name: str, workers: int, domain: tuple[str, ...]) -> None:
        lead, *members = self.team(1 + workers, "work", type="worker")
        team = TeamSpec(name, lead, tuple(members), capabilities=domain)
        self.answer = self.send(tc.FormTeam(now_ms=self.now_ms, team=team))
        assert self.answer.code is None

    def run(self, took_ms: int) -> int:
        """All is done, each task in this time; returns how long that took in milliseconds."""
        began_ms = self.now_ms
        while open_ := self.open():
            self.now_ms += took_ms
            for task in open_:
                self.finish(task, took_ms)
        return self.now_ms - began_ms

    def took(self) -> dict[Topology, int | None]:
        found = adaptive.propose(self.state, self.now_ms)
        return {each.topology: each.makespan_ms for each in found.predictions}


def one_after_the_other(world: Teamed, count: int) -> None:
    for _ in range(count):
        world.submit(capabilities=("work",))
        world.run(3 * SECOND_MS)


def test_sixty_tasks_that_a_team_of_two_has_lead_to_a_switch_and_to_seven_at_work() -> None:
    world = Teamed()
    one_after_the_other(world, 3)
    for _ in range(60):
        world.submit(capabilities=("work",))
    assert {each.team for each in world.of(t.TaskDelegated)} == {"small"}
    assert len(world.open()) == 2
    took = world.took()
    assert took[HIERARCHICAL] == 90 * SECOND_MS
    assert took[STAR] == 27 * SECOND_MS
    world.weigh()
    assert world.switches() == [(HIERARCHICAL, STAR, False)]
    assert len(world.open()) == 7, "what the small team had is free again"
    assert world.audit() == []
    assert world.replay().digest() == world.state.digest()


def test_a_hierarchy_that_would_come_back_is_predicted_with_what_its_teams_had() -> None:
    world = Teamed()
    one_after_the_other(world, 3)
    for _ in range(60):
        world.submit(capabilities=("work",))
    world.switch(STAR)
    at_work = len(world.open())
    assert at_work == 7
    took = world.took()
    # Five of the sixty are at work elsewhere already.
    assert took[HIERARCHICAL] == 3 * SECOND_MS * -(-(60 - 5) // 2)


def test_tasks_that_ask_for_a_seat_are_work_and_the_same_under_any_topology() -> None:
    world = Teamed()
    one_after_the_other(world, 3)
    for _ in range(40):
        world.submit(capabilities=("work", "team:small"))
    found = adaptive.propose(world.state, world.now_ms)
    assert found.plan.work_ms == 120 * SECOND_MS
    expected = dict.fromkeys(world.took(), 60 * SECOND_MS)
    expected[Topology.MESH] += 19 * adaptive.AUCTION_US // 1_000
    assert world.took() == expected
    for _ in range(6):
        world.weigh()
    assert world.switches() == []


def test_who_leads_a_delegation_does_no_work_of_it_and_what_waits_for_it_does_so() -> None:
    world = Teamed()
    one_after_the_other(world, 3)
    whole = world.submit(type=DELEGATE, capabilities=(MANAGER,))
    for _ in range(6):
        spec = TaskSpec(id=world.name("part"), capabilities=("work", "team:small"))
        world.send(sc.DelegateTask(now_ms=world.now_ms, task=whole, attempt=1, spec=spec))
    world.submit(capabilities=("work",), depends_on=(whole,))
    found = adaptive.propose(world.state, world.now_ms)
    assert (found.plan.tasks, found.plan.depth) == (7, 2)
    assert found.plan.work_ms == 21 * SECOND_MS
    assert world.took()[HIERARCHICAL] == 12 * SECOND_MS


@pytest.mark.parametrize("count", [1, 4, 9, 20])
def test_what_the_manager_has_yet_to_give_out_takes_as_long_as_was_predicted(count: int) -> None:
    """Of teams that score alike, so that load decides."""
    world = Teamed()
    for name in ("small", "large"):
        world.state.teams.teams[name].capabilities = ("work",)
    one_after_the_other(world, 3)
    first = world.submit(capabilities=("work",))
    for _ in range(count):
        world.submit(capabilities=("work",), depends_on=(first,))
    expected = world.took()[HIERARCHICAL]
    assert world.run(3 * SECOND_MS) == expected
    given = [each.team for each in world.of(t.TaskDelegated)][-count:]
    assert count < 9 or set(given) == {"small", "large"}


class Compared(frozenset[str]):
    """What an agent offers; counts how often that is held against what a task asks for."""

    times = 0

    def __ge__(self, asked: AbstractSet[object]) -> bool:
        Compared.times += 1
        return super().__ge__(asked)


def test_a_task_is_held_against_each_kind_of_agent_twice_however_many_teams_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = Teamed()
    for number in range(4):
        world.form(f"more_{number}", 1, ("other",))
    one_after_the_other(world, 3)
    for number in range(4):
        world.submit(capabilities=("work",), agent_type=None if number else "worker")
    told = adaptive.propose(world.state, world.now_ms)
    monkeypatch.setattr(
        unfinished, "offers_of", lambda state, spec: Compared(offers_of(state, spec))
    )
    monkeypatch.setattr(Compared, "times", 0)
    work = unfinished.unfinished(world.state, world.now_ms)
    assert len(work.groups) == 2 and len(work.offers) > len(world.state.teams.teams) == 6
    assert all(len(choices) == 6 for choices in work.choices.values())
    assert 0 < Compared.times <= 2 * len(work.groups) * len(work.offers)
    assert adaptive.propose(world.state, world.now_ms) == told


def test_the_reason_of_a_switch_says_which_figures_decided() -> None:
    world = Teamed()
    one_after_the_other(world, 3)
    for _ in range(60):
        world.submit(capabilities=("work",))
    found = adaptive.propose(world.state, world.now_ms)
    alike = "coordination and failures take the same"
    assert adaptive.why(found).startswith("60 tasks that are not finished (60 wide, 1 deep) would")
    assert "27000 ms, and 90000 ms as hierarchical: " + alike in adaptive.why(found)
