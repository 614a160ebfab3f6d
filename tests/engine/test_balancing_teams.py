"""Sharing what was given out among the people of teams: who leads has its places all the same."""

from typing import Any

import pytest

from tests.engine.test_recall import experienced
from tests.engine.test_teams import Hierarchy
from visionflow.domain import events as e
from visionflow.domain import supervision_events as s
from visionflow.domain import teams_commands as tc
from visionflow.domain.tasks import FailureKind
from visionflow.domain.teams import LEAD, TeamSpec, lead_word
from visionflow.engine.balancing import STEAL_WAIT_MS, evened, unbegun

pytestmark = [pytest.mark.acceptance("scale"), pytest.mark.acceptance("hierarchy")]


def form(world: Hierarchy, *people: str) -> None:
    command = tc.FormTeam(now_ms=world.now_ms, team=TeamSpec("one", people[0], people[1:]))
    assert world.send(command).code is None


def test_what_waits_behind_a_member_goes_to_its_lead_though_that_leads() -> None:
    world: Any = Hierarchy()
    (member,) = world.team(1, "python")
    experienced(world, member)
    (lead,) = world.team(1, "python")
    form(world, lead, member)
    own = world.submit(agent=lead)
    tasks = [world.submit(capabilities=("python",)) for _ in range(5)]
    assert list(world.state.agents[member].open) == tasks
    order = world.submit(type=LEAD, capabilities=(lead_word("one"),))
    world.complete(own)
    assert list(world.state.agents[lead].open) == [order]
    world.tick(STEAL_WAIT_MS)
    (asked,) = world.of(s.AttemptRecalling)
    world.fail(asked.task, FailureKind.RECALLED)
    assert list(world.state.agents[lead].open) == [order, asked.task]
    given = [each for each in world.of(e.TaskAssigned) if each.task == asked.task][-1]
    assert given.score_bp == 10_000, "it works on nothing"
    world.audited()


def test_who_leads_much_does_not_count_as_one_that_holds_much() -> None:
    world = Hierarchy()
    lead, member = world.team(2, "python", tasks_max=3)
    form(world, lead, member)
    for agent in (lead, member):
        for _ in range(2):
            world.submit(agent=agent)
    world.submit(capabilities=("python",))
    world.submit(capabilities=("python",))
    orders = [world.submit(type=LEAD, capabilities=(lead_word("one"),)) for _ in range(6)]
    assert {len(world.state.agents[name].open) for name in (lead, member)} == {3, 9}
    assert evened(world.state, 100)[0] == [], "both work on three"
    begun = [task.spec.id for task in unbegun(world.state, world.state.agents[lead])]
    assert not set(begun) & set(orders), "leading begins at once, beside its work"
