"""How many agents of a type there shall be: within its bounds, on evidence, and not too often."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engine.world import World
from visionflow.domain import supervision_commands as sc
from visionflow.domain import supervision_events as s
from visionflow.engine.scaling import (
    Backlog,
    Bounds,
    Load,
    Room,
    Rules,
    backlogs,
    decide_number,
    worker_more,
)

RULES = Rules(utilisation_bp=9_000, queue_wait_ms=2_000, cool_down_ms=60_000)
LONG = Backlog(12, 8_200, 4_000)
BUSY = Load(agents=3, places=3, busy=3, backlog=LONG)


@pytest.mark.acceptance("scale")
def test_a_backlog_before_busy_agents_asks_for_more_and_the_evidence_says_why() -> None:
    found = decide_number(BUSY, Bounds(3, 10), RULES)
    assert found is not None
    assert (found.before, found.after) == (3, 6), "at most twice as many at one time"
    assert found.evidence == (
        "12 tasks wait, the oldest 8.2 s and on average 4.0 s; 3 of 3 places are taken (100%)"
    )


@pytest.mark.parametrize(
    ("busy", "wait_ms", "more"), [(9, 2_000, True), (8, 2_000, False), (10, 1_999, False)]
)
def test_more_are_wanted_at_nine_places_in_ten_and_once_tasks_have_waited(
    busy: int, wait_ms: int, more: bool
) -> None:
    load = Load(agents=10, places=10, busy=busy, backlog=Backlog(1, wait_ms, wait_ms))
    assert (decide_number(load, Bounds(1, 20), RULES) is not None) == more


def test_no_more_are_made_than_the_tasks_that_wait_could_use() -> None:
    load = Load(agents=4, places=12, busy=12, backlog=Backlog(4, 9_000, 9_000))
    found = decide_number(load, Bounds(1, 20), RULES)
    assert found is not None and found.after == 6, "each works on three at once"


def test_what_bounds_the_number_is_told() -> None:
    most = decide_number(BUSY, Bounds(1, 5), RULES, [Room(9, "the server's")])
    assert most is not None and most.after == 5
    assert most.evidence.endswith("; its maximum is 5")
    held = decide_number(BUSY, Bounds(1, 9), RULES, [Room(1, "more do not fit"), Room(4, "x")])
    assert held is not None and held.after == 4
    assert held.evidence.endswith("; more do not fit")
    assert decide_number(BUSY, Bounds(1, 9), RULES, [Room(0, "full")]) is None


def test_a_type_below_its_minimum_is_filled_up() -> None:
    found = decide_number(Load(agents=1, places=1, busy=0), Bounds(3, 10), RULES)
    assert found is not None
    assert (found.after, found.evidence) == (3, "there are 1, at least 3 shall be")


@pytest.mark.acceptance("scale")
def test_what_a_whole_cool_down_did_not_need_goes_down_to_the_minimum() -> None:
    idle = Load(agents=10, places=10, busy=0, removable=10, peak=0)
    found = decide_number(idle, Bounds(3, 10), RULES, quiet_ms=60_000)
    assert found is not None and found.after == 3
    used = Load(agents=10, places=10, busy=0, removable=10, peak=5)
    found = decide_number(used, Bounds(3, 10), RULES)
    assert found is not None and found.after == 6, "five of six places are below nine in ten"
    assert found.evidence == (
        "no task waited for 60 s, and at most 5 of 10 places were taken at one time"
    )


def test_only_those_made_for_the_number_go_and_nothing_goes_that_was_not_watched() -> None:
    few = Load(agents=10, places=10, busy=0, removable=2, peak=0)
    found = decide_number(few, Bounds(3, 10), RULES)
    assert found is not None and found.after == 8
    none = Load(agents=10, places=10, busy=0, removable=0, peak=0)
    assert decide_number(none, Bounds(3, 10), RULES) is None
    unwatched = Load(agents=10, places=10, busy=0, removable=10, peak=None)
    assert decide_number(unwatched, Bounds(3, 10), RULES) is None


@pytest.mark.acceptance("scale")
def test_within_the_cool_down_nothing_changes_whatever_the_load_does() -> None:
    idle = Load(agents=6, places=6, busy=0, removable=6, peak=0)
    for load in (BUSY, idle, Load(agents=0, places=0, busy=0)):
        assert decide_number(load, Bounds(1, 10), RULES, quiet_ms=59_999) is None
        assert decide_number(load, Bounds(1, 10), RULES, quiet_ms=60_000) is not None


def test_a_type_without_bounds_is_left_alone() -> None:
    assert decide_number(BUSY, Bounds(), RULES) is None


numbers = st.integers(0, 60)
loads = st.builds(
    Load,
    agents=numbers,
    places=st.integers(0, 200),
    busy=st.integers(0, 200),
    backlog=st.builds(Backlog, numbers, st.integers(0, 10_000), st.integers(0, 10_000)),
    removable=numbers,
    peak=st.none() | st.integers(0, 200),
)


@given(loads, st.integers(0, 10), st.integers(0, 30), numbers, st.none() | st.integers(0, 90_000))
def test_whatever_the_load_the_number_stays_within_all_bounds(
    load: Load, least: int, more: int, room: int, quiet_ms: int | None
) -> None:
    bounds = Bounds(least, least + more)
    found = decide_number(load, bounds, RULES, [Room(room, "room")], quiet_ms)
    if found is None:
        return
    assert found.before == load.agents != found.after
    assert quiet_ms is None or quiet_ms >= RULES.cool_down_ms
    if found.after > found.before:
        assert found.after <= bounds.most
        assert found.after - found.before <= room
        assert found.after <= max(2 * load.agents, 1, least)
    else:
        assert found.after >= least
        assert found.before - found.after <= load.removable
        assert load.backlog.count == 0


# What waits ------------------------------------------------------------------------------------


def offers(*words: str) -> frozenset[str]:
    return frozenset(words)


def test_a_task_counts_for_the_most_special_type_that_is_not_full() -> None:
    world = World()
    kinds = {
        "coder": offers("python", "type:coder"),
        "tester": offers("python", "testing", "type:tester"),
    }
    world.submit(capabilities=("python",))
    world.now_ms += 3_000
    world.submit(capabilities=("python",))
    world.submit(agent_type="tester")
    world.submit(capabilities=("security",))
    world.submit(agent="agent_9")
    now_ms = world.now_ms + 1_000
    found = backlogs(world.state, kinds, frozenset(), now_ms)
    assert found == {"coder": Backlog(2, 4_000, 2_500), "tester": Backlog(1, 1_000, 1_000)}
    full = backlogs(world.state, kinds, frozenset({"coder"}), now_ms)
    assert {kind: backlog.count for kind, backlog in full.items()} == {"tester": 3}


def test_a_decision_is_an_event_and_starts_the_cool_down() -> None:
    world = World()
    world.send(
        sc.RecordScale(
            now_ms=world.now_ms, agent_type="coder", before=1, after=2, evidence="a backlog"
        )
    )
    assert world.last(s.ScaleDecided).evidence == "a backlog"
    assert world.replay().supervised.scaled == {"coder": world.now_ms}


# A worker more for a team -----------------------------------------------------------------------

ROOMY = {"helper": [Room(5, "the server is full")], "coder": [Room(5, "the server is full")]}


@pytest.mark.acceptance("hierarchy")
def test_a_team_gets_a_worker_of_the_type_of_most_that_there_may_be_more_of() -> None:
    there, bounds = {"helper": 2, "coder": 1}, {"coder": Bounds(0, 4)}
    made = worker_more(["helper", "coder"], there, bounds, ROOMY.get)
    assert made == ("coder", "a worker of type coder is made"), "of helpers none are made here"
    bounds["helper"] = Bounds(0, 4)
    assert worker_more(["helper", "coder"], there, bounds, ROOMY.get)[0] == "helper"
    bounds["helper"] = Bounds(0, 2)
    assert worker_more(["helper", "coder"], there, bounds, ROOMY.get)[0] == "coder"


def test_where_a_team_gets_no_worker_it_is_told_why() -> None:
    bounds = {"helper": Bounds(0, 2), "coder": Bounds(0, 9)}
    full = {**ROOMY, "coder": [Room(1, "x"), Room(0, "this server may have 8 agents")]}
    for types, told in (
        ([], "told, for it has no workers, so there is no type to make one more of"),
        (["tester"], "told, for nothing here makes more of type tester"),
        (["lost", "coder"], "told, for this server may have 8 agents"),
        (["helper", "coder"], "told, for the maximum of type helper is 2"),
    ):
        assert worker_more(types, {"helper": 2}, bounds, full.get) == (None, told)
