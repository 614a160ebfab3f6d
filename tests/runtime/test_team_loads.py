"""A team that is busy for a while with tasks waiting comes before the manager."""

from typing import Any

import pytest

from tests.engine.test_teams import Hierarchy
from visionflow.domain import commands as c
from visionflow.domain import teams_commands as tc
from visionflow.domain import teams_events as t
from visionflow.domain.commands import AnyCommand
from visionflow.domain.teams import BUSY_MS, COOL_DOWN_MS, LEAD, lead_word, team_word
from visionflow.engine.scoring import RECORD_TASKS_MIN
from visionflow.runtime.team_loads import TeamLoads

pytestmark = pytest.mark.acceptance("hierarchy")


class Scene:
    """A hierarchy, and a clock that is the test's."""

    def __init__(self) -> None:
        self.world = Hierarchy()
        self.state = self.world.state
        self.at_ms = 0
        self.loads = TeamLoads(self, self)  # type: ignore[arg-type]

    def monotonic_ms(self) -> int:
        return self.at_ms

    def now_ms(self) -> int:
        return self.world.now_ms

    def offer(self, command: AnyCommand, answered: Any = None, *, bounded: bool) -> None:
        assert self.world.send(command).code is None

    def told(self, for_ms: int) -> list[t.Escalated]:
        """What has come before the manager after so long, looked at every second."""
        for _ in range(for_ms // 1_000):
            self.loads.look()
            self.at_ms += 1_000
        return self.world.of(t.Escalated)

    def work(self, count: int, *seat: str, **fields: Any) -> list[str]:
        words = ("python", *seat)
        return [self.world.submit(capabilities=words, **fields) for _ in range(count)]


def test_a_team_that_is_busy_and_has_more_waiting_is_told_of_once_in_a_while() -> None:
    scene = Scene()
    scene.world.form("code", "python", workers=1)
    scene.work(4)
    assert scene.told(BUSY_MS) == []
    (told,) = scene.told(2_000)
    assert (told.team, told.cause) == ("code", "utilisation")
    assert told.evidence == "2 of its 2 places have been taken for 10 s"
    assert told.action == "told: 2 tasks wait for it; a worker more would help"
    assert len(scene.told(COOL_DOWN_MS - 5_000)) == 1
    assert len(scene.told(10_000)) == 2
    assert "utilisation: 2 of its 2" in scene.state.teams.teams["code"].escalated


def test_work_that_asks_for_seats_of_a_team_as_parts_of_a_delegation_do_makes_it_busy_too() -> None:
    scene = Scene()
    scene.world.form("code", "python", workers=1)
    scene.world.form("far", "python", workers=1)
    scene.work(4, team_word("code"))
    scene.work(1, lead_word("code"))
    (told,) = scene.told(BUSY_MS + 2_000)
    assert (told.team, told.evidence) == ("code", "2 of its 2 places have been taken for 10 s")
    assert told.action == "told: 3 tasks wait for it; a worker more would help"


def test_tasks_that_wait_for_others_or_are_led_by_wait_for_no_place_of_a_team() -> None:
    scene = Scene()
    lead, _ = scene.world.form("code", "python", workers=1)
    first, _ = scene.work(2, team_word("code"))
    scene.work(1, team_word("code"), depends_on=(first,))
    scene.world.submit(type=LEAD, capabilities=(lead_word("code"),))
    assert scene.state.seating.loads["code"] == 4
    assert scene.told(2 * BUSY_MS) == []
    scene.world.end(lead, drain=True)
    assert scene.told(2 * BUSY_MS) == []


def test_what_is_given_out_ahead_waits_for_a_place_like_what_is_in_line() -> None:
    scene = Scene()
    lead, _ = scene.world.form("code", "python", workers=1)
    scene.world.end(lead)
    for _ in range(RECORD_TASKS_MIN):
        (task,) = scene.work(1, team_word("code"))
        done = c.ReportResult(now_ms=scene.now_ms(), task=task, attempt=1, duration_us=1_000)
        assert scene.world.send(done).code is None
    tasks = scene.work(2, team_word("code"))
    assert all(scene.world.holder(task) for task in tasks), "one works, one waits behind it"
    (told,) = scene.told(BUSY_MS + 2_000)
    assert told.evidence.startswith("1 of its 1 places") and "1 task waits for it" in told.action


def test_one_that_has_room_or_nothing_waiting_is_not() -> None:
    scene = Scene()
    scene.world.form("code", "python", workers=1)
    tasks = scene.work(2)
    assert scene.told(3 * BUSY_MS) == [], "nothing waits"
    scene.work(1)
    assert scene.told(BUSY_MS - 1_000) == []
    scene.world.complete(tasks[0])
    scene.world.complete(tasks[1])
    assert scene.told(3 * BUSY_MS) == [], "it was busy for too short a time"


def test_where_numbers_follow_the_load_a_worker_is_made_within_the_span() -> None:
    scene = Scene()
    made: list[str] = []

    def more(team: str) -> str:
        made.append(team)
        return "a worker is made"

    scene.loads.more = more
    scene.world.form("code", "python", workers=1, span=2)
    scene.work(5)
    (told,) = scene.told(BUSY_MS + 2_000)
    assert made == ["code"] and told.action == "a worker is made: 3 tasks wait for it"
    scene.world.send(join(scene, "code", scene.world.team(1, "python")[0]))
    scene.work(3)
    told = scene.told(COOL_DOWN_MS + BUSY_MS)[-1]
    assert made == ["code"] and "2 may report to its lead" in told.action


def join(scene: Scene, team: str, agent: str) -> AnyCommand:
    return tc.JoinTeam(now_ms=scene.world.now_ms, team=team, agent=agent)
