"""The autoscaler over a swarm with teams: work that waits for a seat, leads that lead, and who may
go.
"""

from typing import Any

import pytest

from tests.engine.test_teams import Hierarchy
from tests.runtime.test_autoscaling import RULES, Machine
from visionflow.domain import commands as c
from visionflow.domain import supervision_events as s
from visionflow.domain import teams_commands as tc
from visionflow.domain.agents import AgentSpec
from visionflow.domain.teams import LEAD, TeamSpec, lead_word, team_word
from visionflow.engine.scaling import Bounds
from visionflow.runtime.autoscaling import LOOK_MS, Autoscaler

pytestmark = [pytest.mark.acceptance("scale"), pytest.mark.acceptance("hierarchy")]
BOUNDS = {"coder": Bounds(1, 12), "tester": Bounds(0, 12)}


def hierarchy(bounds: dict[str, Bounds] | None = None) -> tuple[Machine, Hierarchy]:
    world: Any = Hierarchy()
    around: Any = Machine(world)
    Autoscaler(around, around, around, around, bounds or BOUNDS, RULES).start()
    return around, world


def form(world: Hierarchy, name: str, *people: str) -> None:
    command = tc.FormTeam(now_ms=world.now_ms, team=TeamSpec(name, people[0], people[1:]))
    assert world.send(command).code is None


def scaled(world: Hierarchy, count: int, kind: str = "coder") -> list[str]:
    """Agents that were made for the number's sake."""
    names: list[str] = []
    for _ in range(count):
        names.append(world.name("scaled"))
        spec = AgentSpec(names[-1], kind, names[-1], "m:C", ("python",), scaled=True)
        world.send(c.SpawnAgent(now_ms=world.now_ms, spec=spec))
    world.settle()
    return names


def test_while_work_waits_for_a_team_nobody_of_its_type_goes_and_nothing_else_is_said() -> None:
    around, world = hierarchy()
    lead, member = world.team(2, "python")
    form(world, "code", lead, member)
    idle = scaled(world, 4)
    tasks = [world.submit(capabilities=("python", team_word("code"))) for _ in range(3)]
    around.pass_time(5 * RULES.cool_down_ms)
    assert set(idle) <= set(world.state.agents)
    assert not world.of(s.ScaleDecided), "one more would not sit in that team"
    for task in tasks:
        world.complete(task)
    around.pass_time(RULES.cool_down_ms + 3 * LOOK_MS)
    assert "no task waited for 20 s" in world.last(s.ScaleDecided).evidence
    assert set(world.state.agents) & set(idle) < set(idle)


def test_who_only_leads_takes_no_place_so_nobody_is_kept_for_it() -> None:
    around, world = hierarchy()
    (lead,) = world.team(1, "python")
    form(world, "code", lead)
    world.submit(type=LEAD, capabilities=(lead_word("code"),))
    assert len(world.state.agents[lead].open) == 1
    scaled(world, 3)
    around.pass_time(RULES.cool_down_ms + 3 * LOOK_MS)
    (decided,) = world.of(s.ScaleDecided)
    assert "at most 0 of 4 places were taken" in decided.evidence
    assert set(world.state.agents) == {world.manager, lead}


def test_leads_and_the_manager_stay_and_who_has_no_seat_goes_before_who_has_one() -> None:
    around, world = hierarchy({"coder": Bounds(0, 12)})
    loose = scaled(world, 2)
    lead, member = scaled(world, 2)
    form(world, "code", lead, member)
    late = scaled(world, 1)
    used = world.submit(agent=loose[0]), world.submit(agent=late[0])
    around.pass_time(2 * LOOK_MS)
    for task in used:
        world.complete(task)
    around.pass_time(RULES.cool_down_ms - LOOK_MS)
    assert world.last(s.ScaleDecided).after == 3
    assert set(world.state.agents) == {world.manager, lead, member, loose[0]}
    around.pass_time(3 * RULES.cool_down_ms)
    assert set(world.state.agents) == {world.manager, lead}


class Slow(Machine):
    """Its new agents come a while after they were asked for."""

    def spawn(self, agent_type: str, count: int) -> None:
        delay_ms = 3 * LOOK_MS + len(self.timers)
        self.call_later(delay_ms, lambda: super(Slow, self).spawn(agent_type, count))


def test_two_types_are_not_both_given_the_last_place_of_the_swarm() -> None:
    world: Any = Hierarchy()
    world.team(1, "python")
    world.team(1, "python", type="tester")
    world.send(c.ChangeLimits(now_ms=world.now_ms, agents_max=4))
    around: Any = Slow(world)
    Autoscaler(around, around, around, around, BOUNDS, RULES).start()
    for kind in ("coder", "tester"):
        for _ in range(6):
            world.submit(agent_type=kind, capabilities=("python",))
    around.pass_time(9 * LOOK_MS)
    decided = world.of(s.ScaleDecided)
    assert sum(event.after - event.before for event in decided) == 1
    assert len(world.state.agents) == 4
    assert around.lines == []
