"""The fleet's machine: promises of swarms, keys of shared memory, bounds, answers, replay."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engine.fleet_world import FleetWorld
from visionflow.domain import fleet as f
from visionflow.domain.limits import (
    ANSWER_AGE_MS_MAX,
    MEMORY_EXPIRED_MAX,
    MEMORY_VALUE_BYTES_MAX,
    SWARMS_ENDED_MAX,
)
from visionflow.domain.swarms import SwarmSpec
from visionflow.engine import fleet as machine
from visionflow.engine.fleet import audit, is_due


@given(st.integers(0, 2**32), st.integers(20, 200))
def test_a_replay_is_the_live_state_and_the_auditor_finds_nothing(seed: int, steps: int) -> None:
    world = FleetWorld(seed)
    for _ in range(steps):
        world.step()
        assert audit(world.state) == []
    again = world.replay()
    assert again.digest() == world.state.digest()
    assert audit(again) == []
    assert again.expiries.next_ms() == world.state.expiries.next_ms()


@given(st.integers(0, 2**32), st.integers(20, 200))
def test_the_log_alone_says_which_swarms_and_keys_there_are(seed: int, steps: int) -> None:
    world = FleetWorld(seed)
    for _ in range(steps):
        world.step()
    swarms: list[str] = []
    keys: dict[str, int] = {}
    for event in world.events():
        if isinstance(event, f.SwarmReserved):
            swarms.append(event.spec.id)
        elif isinstance(event, f.SwarmEnded):
            swarms.remove(event.swarm)
        elif isinstance(event, f.MemoryStored):
            keys[event.key] = event.size_bytes
        elif isinstance(event, f.MemoryExpired):
            for _, key in event.keys:
                del keys[key]
    assert swarms == list(world.state.swarms)
    assert {k: s.size_bytes for (_, k), s in world.state.memory.items()} == keys
    assert world.state.memory_bytes == sum(keys.values())


def test_the_same_command_twice_is_done_once_and_answered_the_same() -> None:
    world = FleetWorld()
    first = world.reserve("swarm_1", "c1")
    world.now_ms += 5_000
    assert world.reserve("swarm_2", "c1") == first and first.subject == "swarm_1"
    stored = world.store("key", command="c2")
    world.now_ms += 5_000
    assert world.store("key", command="c2") == stored
    assert list(world.state.swarms) == ["swarm_1"] and len(world.log) == 2
    world.now_ms += 2 * ANSWER_AGE_MS_MAX
    world.store("other", command="c4")
    assert "c1" not in world.state.answers


def test_what_was_refused_is_decided_anew_under_its_id_unless_a_log_of_before_kept_it() -> None:
    world = FleetWorld()
    assert world.end("swarm_1", "c1").code == "unknown_swarm"
    world.reserve("swarm_1")
    done = world.end("swarm_1", "c1")
    assert (done.code, done.subject) == (None, "swarm_1")
    assert world.end("swarm_1", "c1") == done
    refused = [event for event in world.events() if isinstance(event, f.FleetRefused)]
    assert [(event.command, event.asked) for event in refused] == [(None, "c1")]
    machine.evolve(world.state, f.FleetRefused(code="usage", message="no", command="c2"))
    assert world.reserve("swarm_2", "c2").code == "usage"


def test_swarms_are_told_oldest_first_and_an_id_is_used_once() -> None:
    world = FleetWorld()
    for name in ("b", "a", "c"):
        world.reserve(name)
    world.end("a")
    assert list(world.state.swarms) == ["b", "c"]
    assert world.reserve("b").code == "duplicate_id"
    assert world.reserve("a").code == "duplicate_id"
    assert world.end("a").code == "already_ended"
    assert world.reserve(f.STREAM).code == "usage" and world.reserve("").code == "usage"


def test_there_are_so_many_swarms_at_once_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "SWARMS_MAX", 2)
    world = FleetWorld()
    assert [world.reserve(name).code for name in ("a", "b", "c")] == [None, None, "limit_reached"]
    world.end("a")
    assert world.reserve("c").code is None


def test_of_swarms_that_are_over_only_the_latest_are_remembered() -> None:
    world = FleetWorld()
    for number in range(SWARMS_ENDED_MAX + 2):
        world.reserve(f"s{number}")
        world.end(f"s{number}")
    assert len(world.state.ended) == SWARMS_ENDED_MAX and "s1" not in world.state.ended


def test_a_key_is_due_at_its_time_and_not_before_and_a_later_value_counts() -> None:
    world = FleetWorld()
    world.store("brief", ttl_ms=1_000)
    world.store("renewed", ttl_ms=1_000)
    world.store("kept")
    world.now_ms += 999
    world.store("renewed", ttl_ms=5_000)
    assert not is_due(world.state, world.now_ms)
    world.tick()
    assert world.keys() == ["brief", "kept", "renewed"]
    world.tick(1)
    assert world.keys() == ["kept", "renewed"]
    world.tick(4_998)
    assert world.keys() == ["kept", "renewed"]
    world.tick(1)
    assert world.keys() == ["kept"]
    world.tick(10**9)
    assert world.keys() == ["kept"]


def test_a_tick_with_nothing_due_writes_nothing() -> None:
    world = FleetWorld()
    world.store("kept")
    written = len(world.log)
    world.tick(10**6)
    assert len(world.log) == written


def test_many_keys_leave_a_bounded_number_at_a_time() -> None:
    world = FleetWorld()
    for number in range(MEMORY_EXPIRED_MAX + 5):
        world.store(f"k{number}", ttl_ms=10)
    world.tick(10)
    assert len(world.state.memory) == 5 and is_due(world.state, world.now_ms)
    world.tick()
    assert not world.state.memory and not is_due(world.state, world.now_ms)


def test_a_key_that_is_renewed_again_and_again_leaves_no_heap_behind() -> None:
    world = FleetWorld()
    for number in range(3 * machine.STALE_ALARMS_MAX):
        world.store("k", ttl_ms=10**6 + number)
    assert len(world.state.expiries) <= machine.STALE_ALARMS_MAX + 2
    assert audit(world.state) == []
    assert world.replay().digest() == world.state.digest()


@pytest.mark.parametrize(
    ("limit", "value", "sizes", "code"),
    [
        ("MEMORY_KEYS_MAX", 2, (1, 1, 1), "limit_reached"),
        ("MEMORY_TOTAL_BYTES_MAX", 100, (50, 50, 1), "limit_reached"),
    ],
)
def test_memory_has_bounds_and_a_value_may_be_replaced_at_them(
    limit: str, value: int, sizes: tuple[int, ...], code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, limit, value)
    world = FleetWorld()
    codes = [world.store(f"k{number}", size).code for number, size in enumerate(sizes)]
    assert codes == [None, None, code]
    assert world.store("k0", sizes[0]).code is None
    world.store("k0", 1, ttl_ms=1)
    world.tick(1)
    assert world.store("k2", 1).code is None


def test_a_value_a_name_or_a_time_out_of_bounds_is_refused_on_record() -> None:
    world = FleetWorld()
    assert world.store("k", MEMORY_VALUE_BYTES_MAX).code is None
    assert world.store("k", MEMORY_VALUE_BYTES_MAX + 1).code == "payload_too_large"
    for key in ("", "x" * 1_001, "a\x00b"):
        assert world.store(key).code == "usage"
    for ttl_ms in (0, -1, 2**60):
        assert world.store("k", ttl_ms=ttl_ms).code == "usage"
    refused = [event for event in world.events() if isinstance(event, f.FleetRefused)]
    assert len(refused) == 7


def test_deciding_changes_nothing() -> None:
    world = FleetWorld(3)
    for _ in range(150):
        world.step()
    before = world.state.digest()
    commands: list[f.FleetCommand] = [
        f.ReserveSwarm(now_ms=world.now_ms, spec=SwarmSpec(id="new"), by="x", command="new"),
        f.EndSwarm(now_ms=world.now_ms, swarm=next(iter(world.state.swarms)), reason="", by="x"),
        f.TickFleet(now_ms=world.now_ms + 10**9),
    ]
    for command in commands:
        events, _ = machine.handle(world.state, command)
        assert events and world.state.digest() == before
