"""Who leads takes no place while it waits for others, and yet keeps what waits for it to be idle
waiting: a process that is to be replaced, a new version, the one task that tries a circuit.
"""

import pytest

from tests.engine.asking import Asking
from tests.engine.test_teams import Hierarchy
from visionflow.domain import commands as c
from visionflow.domain import supervision_commands as sc
from visionflow.domain import supervision_events as s
from visionflow.domain import teams_commands as tc
from visionflow.domain.limits import CIRCUIT_FAILURES, CIRCUIT_OPEN_MS
from visionflow.domain.tasks import RetryPolicy, TaskStatus
from visionflow.domain.teams import LEAD, LEADING_MAX, lead_word, team_word
from visionflow.engine.decide.deadlocks import is_deadlocked

pytestmark = [pytest.mark.acceptance("recycle"), pytest.mark.acceptance("hierarchy")]
RARE = ("rare", team_word("one"))
"""What only the lead of team one offers."""


class Led(Hierarchy, Asking):
    """A lead that leads a task, of which it has to do a part itself."""

    def __init__(self) -> None:
        super().__init__()
        self.lead = self.form("one", "python", "rare", workers=0)[0]

    def leads(self) -> tuple[str, str]:
        """A task that it leads, and the part that only it can do."""
        order = self.submit(type=LEAD, capabilities=(lead_word("one"),))
        assert self.holder(order) == self.lead
        part = self.delegate(order, capabilities=RARE)
        return order, part

    def look(self, advance_ms: int = 1_000) -> None:
        """What the ticker finds and does now and then."""
        self.now_ms += advance_ms
        waits = is_deadlocked(self.state)
        self.send(c.Tick(now_ms=self.now_ms, entropy=7, waits=waits))
        self.settle()

    def ends(self, order: str, part: str) -> None:
        """The part is done after all, and then what it is a part of."""
        for _ in range(4):
            self.look()
        assert self.holder(part) == self.lead
        self.complete(part)
        for _ in range(4):
            self.look()
        assert self.holder(order) == self.lead
        self.complete(order)
        self.audited()


def hold_back(world: Led, how: str) -> None:
    worker = world.state.workers[world.state.agents[world.lead].worker]
    if how == "recycled":
        who = {"worker": worker.id, "incarnation": worker.incarnation}
        world.send(sc.RecycleWorker(now_ms=world.now_ms, reason="it has grown", **who))
    elif how == "built anew":
        command = sc.RestartAgent(now_ms=world.now_ms, agent=world.lead, reason="", drain=True)
        world.send(command)
    else:
        world.update(world.lead, memory_bytes=1_000_000)


@pytest.mark.parametrize("how", ["recycled", "built anew", "moved"])
def test_a_lead_that_waits_for_what_only_it_can_do_does_not_hold_up_its_own_replacement(
    how: str,
) -> None:
    world = Led()
    order = world.submit(type=LEAD, capabilities=(lead_word("one"),))
    hold_back(world, how)
    part = world.delegate(order, capabilities=RARE)
    world.wait(order, part)
    world.look()
    assert world.last(s.DeadlockFound).broken == order
    assert world.state.tasks[order].failures == 0
    world.ends(order, part)


def test_a_lead_whose_circuit_is_half_open_is_given_what_its_own_order_waits_for() -> None:
    world = Led()
    order = world.submit(type=LEAD, capabilities=(lead_word("one"),))
    for _ in range(CIRCUIT_FAILURES):
        world.fail(world.submit(capabilities=RARE, retry=RetryPolicy(attempts_max=1)))
    assert world.held() == [world.lead]
    part = world.delegate(order, capabilities=RARE)
    world.wait(order, part)
    world.look(CIRCUIT_OPEN_MS)
    world.ends(order, part)


def test_work_that_its_lead_waits_for_in_a_process_that_is_replaced_is_done_all_the_same() -> None:
    world = Led()
    _, member = world.team(2, "rare", "special")
    place = world.state.agents[world.lead].worker
    assert world.state.agents[member].worker == place
    world.send(tc.JoinTeam(now_ms=world.now_ms, team="one", agent=member))
    order = world.submit(type=LEAD, capabilities=(lead_word("one"),))
    hold_back(world, "recycled")
    part = world.delegate(order, capabilities=("special", team_word("one")))
    world.wait(order, part)
    for _ in range(4):
        world.look()
    assert world.holder(part) == member
    assert world.state.workers[place].incarnation == 2
    world.complete(part)
    world.look()
    assert world.holder(order) == world.lead
    world.audited()


def test_a_drain_ends_though_what_is_held_waits_for_what_only_the_drained_agent_could_do() -> None:
    world = Led()
    order, part = world.leads()
    world.complete(part)
    world.end(world.lead, drain=True)
    more = world.delegate(order, capabilities=RARE, id="more")
    world.wait(order, more)
    assert world.last(s.DeadlockFound).broken == order
    for _ in range(3):
        world.look()
    assert world.lead not in world.state.agents
    assert world.status(more) is TaskStatus.QUEUED, "nobody can do it now"
    assert world.state.tasks[order].failures == 0
    world.audited()


def test_what_a_lead_waits_for_with_others_at_work_is_no_deadlock() -> None:
    world = Led()
    order, part = world.leads()
    world.wait(order, part)
    assert world.holder(part) == world.lead, "leading takes no place"
    hold_back(world, "recycled")
    for _ in range(5):
        world.look()
    assert not world.of(s.DeadlockFound) and world.holder(order) == world.lead
    world.complete(part)
    world.complete(order)
    world.look()
    assert world.last(s.WorkerRestarting).reason == "it has grown"


def test_an_order_that_waits_to_be_led_waits_for_no_place_of_its_lead() -> None:
    world = Led()
    own = world.submit(capabilities=RARE)
    assert world.holder(own) == world.lead
    worker = world.state.workers[world.state.agents[world.lead].worker]
    who = {"worker": worker.id, "incarnation": worker.incarnation}
    world.send(sc.ReportSuspicion(now_ms=world.now_ms, evidence="it is late", **who))
    order = world.delegate(own, type=LEAD, capabilities=(lead_word("one"),))
    assert world.status(order) is TaskStatus.QUEUED
    world.wait(own, order)
    world.look()
    assert not world.of(s.DeadlockFound), "it is given the order once it is trusted"
    world.send(sc.ReportTrust(now_ms=world.now_ms, evidence="it answered", **who))
    assert world.holder(order) == world.lead


def test_leads_that_all_wait_for_one_more_turn_of_theirs_are_a_deadlock() -> None:
    world = Led()
    orders = [world.submit(type=LEAD, capabilities=(lead_word("one"),)) for _ in range(LEADING_MAX)]
    assert {world.holder(order) for order in orders} == {world.lead}
    own = [world.delegate(o, type=LEAD, capabilities=(lead_word("one"),)) for o in orders]
    assert world.holder(own[0]) == world.lead and world.holder(own[1]) is None
    for order, more in zip(orders, own, strict=True):
        world.wait(order, more)
    assert not world.of(s.DeadlockFound), "the last one that it leads waits for nothing"
    world.wait(own[0], own[1])
    assert world.last(s.DeadlockFound).broken in (*orders, own[0])
    assert not is_deadlocked(world.state)
