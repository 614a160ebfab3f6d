"""The ledger of outside effects: who may do one, and what becomes of one that nobody settled."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engine.effects_world import (
    IDEMPOTENT,
    PROBEABLE,
    TRANSACTIONAL,
    UNSURE,
    ask,
    effect,
    park,
    resolve,
    something_outside,
    tell,
    verdict,
)
from tests.engine.test_properties import SETTINGS
from tests.engine.world import World
from visionflow.domain import commands as c
from visionflow.domain import events as e
from visionflow.domain import limits
from visionflow.domain import outside_events as o
from visionflow.domain.events import encode_record
from visionflow.domain.outside import EffectClass, EffectOutcome, EffectStatus, Resolution, Verdict
from visionflow.domain.tasks import Backoff, FailureKind, RetryPolicy, TaskStatus
from visionflow.engine.decide.outside import Ruling, missing
from visionflow.testing.checkers import LogCheck

pytestmark = pytest.mark.acceptance("effects")
ONCE = RetryPolicy(Backoff.NONE)


def begun(kind: EffectClass = UNSURE, **fields: object) -> tuple[World, str, str]:
    """A world, a task whose first attempt began an effect of this class, and the effect's key."""
    world = World()
    world.team(2)
    task = world.submit(**fields)
    assert verdict(ask(world, task, kind)) is Verdict.RUN
    (key,) = world.state.outside.effects
    return world, task, key


def again(world: World, task: str) -> None:
    """The worker of the open attempt is killed; another attempt is given out."""
    agent = world.state.tasks[task].agent
    assert agent is not None
    world.lose(world.state.agents[agent].worker, FailureKind.KILLED)
    world.settle()
    assert world.status(task) is TaskStatus.ASSIGNED


def doubted() -> tuple[World, str, str]:
    """An effect in doubt, and the task that is blocked by it."""
    world, task, key = begun()
    again(world, task)
    assert verdict(ask(world, task)) is Verdict.DOUBTED
    park(world, task, key)
    return world, task, key


@pytest.mark.parametrize("kind", list(EffectClass))
def test_an_effect_that_was_settled_is_never_begun_again(kind: EffectClass) -> None:
    world, task, key = begun(kind)
    tell(world, key, result=b"\x05")
    again(world, task)
    answer = ask(world, task, kind)
    assert isinstance(answer, Ruling)
    assert (answer.verdict, answer.result.inline) == (Verdict.SETTLED, b"\x05")
    assert len(world.of(o.EffectReserved)) == 1
    assert world.audit() == []


@pytest.mark.parametrize("kind", [IDEMPOTENT, TRANSACTIONAL, PROBEABLE])
def test_one_that_was_begun_and_not_settled_is_taken_over_by_the_next_attempt(
    kind: EffectClass,
) -> None:
    world, task, key = begun(kind)
    again(world, task)
    assert verdict(ask(world, task, kind)) is Verdict.UNSETTLED
    taken = world.last(o.EffectReserved)
    assert (taken.attempt, taken.fresh, effect(world, key).holders) == (
        2,
        False,
        [(task, 1), (task, 2)],
    )


def test_one_of_which_nobody_can_know_is_in_doubt_and_blocks_its_task_without_a_failure() -> None:
    world, task, key = begun(retry=ONCE)
    again(world, task)
    answer = ask(world, task)
    assert verdict(answer) is Verdict.DOUBTED
    assert len(world.of(o.EffectReserved)) == 1, "it is not given to the second attempt"
    agent = world.state.tasks[task].agent or ""
    park(world, task, key)
    found = world.state.tasks[task]
    assert (found.status, found.reason) == (TaskStatus.BLOCKED, missing(key))
    assert world.last(e.TaskBlocked).missing == f"effect {key} in doubt"
    assert (found.failures, world.state.agents[agent].failed) == (0, 0)
    assert world.state.counters.attempts_failed == 1, "only the kill counts"
    assert world.audit() == []


def test_a_person_who_says_that_it_was_done_gives_its_result_to_the_next_attempt() -> None:
    world, task, key = doubted()
    answer = resolve(world, key, Resolution.DONE, command="command_x")
    assert (answer.subject, answer.code) == (key, None)
    assert world.status(task) is TaskStatus.ASSIGNED
    ruling = ask(world, task)
    assert isinstance(ruling, Ruling)
    assert (ruling.verdict, ruling.result.inline) == (Verdict.SETTLED, b"\x2a")
    assert (effect(world, key).by, effect(world, key).note) == ("ann", "I looked")
    assert world.audit() == []


def test_one_that_was_not_done_is_carried_out_as_if_for_the_first_time() -> None:
    world, task, key = doubted()
    resolve(world, key, Resolution.NOT_DONE)
    assert verdict(ask(world, task)) is Verdict.RUN
    assert world.last(o.EffectReserved).fresh
    tell(world, key)
    assert effect(world, key).status is EffectStatus.SETTLED
    assert world.audit() == []


def test_one_that_is_abandoned_fails_the_tasks_that_wait_by_its_name() -> None:
    world, task, key = doubted()
    resolve(world, key, Resolution.ABANDONED)
    failed = world.last(e.TaskFailed)
    assert failed.task == task
    assert key in failed.reason and "ann" in failed.reason and "I looked" in failed.reason
    world.send(c.RetryTask(now_ms=world.now_ms, task=task))
    assert verdict(ask(world, task)) is Verdict.ABANDONED, "a retry by itself changes nothing"
    resolve(world, key, Resolution.NOT_DONE)
    assert verdict(ask(world, task)) is Verdict.RUN
    assert world.audit() == []


def test_what_is_certain_is_recorded_also_of_a_stale_attempt_and_ends_the_doubt() -> None:
    world, task, key = doubted()
    answer = tell(world, key, attempt=1, result=b"\x09")
    assert verdict(answer) is Verdict.STALE, "the attempt itself may not go on"
    assert world.last(o.EffectSettled).attempt == 1
    assert world.status(task) is TaskStatus.ASSIGNED, "nobody has to be asked any more"
    ruling = ask(world, task)
    assert isinstance(ruling, Ruling) and ruling.result.inline == b"\x09"
    assert world.audit() == []


def test_a_stale_attempt_may_begin_nothing_and_the_refusal_is_on_record() -> None:
    world = World()
    world.team(2)
    task = world.submit()
    again(world, task)
    assert verdict(ask(world, task, PROBEABLE, attempt=1)) == "stale_attempt"
    assert world.state.outside.effects == {}
    assert world.last(e.CommandRefused).code == "stale_attempt"
    world.complete(task)
    assert verdict(ask(world, task)) == "stale_attempt"


def test_a_stale_attempt_cannot_say_that_what_another_holds_did_not_happen() -> None:
    world, task, key = begun(PROBEABLE)
    again(world, task)
    ask(world, task, PROBEABLE)
    tell(world, key, EffectOutcome.NOT_DONE, attempt=1)
    tell(world, key, EffectOutcome.UNKNOWN, attempt=1)
    assert (effect(world, key).status, effect(world, key).attempt) == (EffectStatus.RESERVED, 2)


def test_who_never_held_an_effect_cannot_say_how_it_went() -> None:
    world, _, key = begun()
    other = world.submit()
    for outcome in EffectOutcome:
        assert verdict(tell(world, key, outcome, task=other, attempt=1)) == "not_held"
        assert verdict(tell(world, key, outcome, attempt=7)) == "not_held"
    assert effect(world, key).status is EffectStatus.RESERVED


def test_an_attempt_that_is_being_cancelled_begins_nothing_more() -> None:
    world = World()
    world.team(1)
    task = world.submit()
    world.send(c.ReportStarted(now_ms=world.now_ms, task=task, attempt=1))
    world.send(c.CancelTask(now_ms=world.now_ms, task=task))
    assert verdict(ask(world, task)) == "stale_attempt"


def test_the_same_question_twice_has_the_same_answer_and_one_reservation() -> None:
    world, task, key = begun()
    assert verdict(ask(world, task)) is Verdict.RUN
    assert len(world.of(o.EffectReserved)) == 1
    assert verdict(ask(world, task, again=True)) is Verdict.DOUBTED, "it says that it began it"
    assert effect(world, key).status is EffectStatus.IN_DOUBT


def test_one_that_certainly_failed_is_free_again() -> None:
    world, task, key = begun()
    tell(world, key, EffectOutcome.NOT_DONE)
    assert effect(world, key).status is EffectStatus.FAILED
    assert verdict(ask(world, task)) is Verdict.RUN
    assert [event.fresh for event in world.of(o.EffectReserved)] == [True, True]


def test_one_key_is_held_by_one_task_and_a_second_is_told_by_whom() -> None:
    world = World()
    world.team(2)
    first, second = world.submit(), world.submit()
    assert verdict(ask(world, first, key="order-17")) is Verdict.RUN
    held = ask(world, second, key="order-17")
    assert isinstance(held, Ruling)
    assert held.verdict is Verdict.HELD and first in held.reason
    tell(world, "order-17", result=b"\x01")
    ruling = ask(world, second, key="order-17")
    assert isinstance(ruling, Ruling) and ruling.result.inline == b"\x01"
    other = ask(world, second, key="order-17", digest="d2")
    assert (verdict(other), len(world.of(o.EffectReserved))) == ("key_reused", 1)


def test_a_doubt_blocks_every_task_that_asks_for_its_key_and_lets_all_go() -> None:
    world = World()
    world.team(2)
    first, second = world.submit(), world.submit()
    ask(world, first, key="order-17")
    tell(world, "order-17", EffectOutcome.UNKNOWN)
    park(world, first, "order-17")
    assert verdict(ask(world, second, key="order-17")) is Verdict.DOUBTED
    park(world, second, "order-17")
    assert [world.status(task) for task in (first, second)] == [TaskStatus.BLOCKED] * 2
    resolve(world, "order-17")
    assert [world.status(task) for task in (first, second)] == [TaskStatus.ASSIGNED] * 2


def test_other_arguments_in_the_place_of_one_that_was_begun_are_no_way_around_it() -> None:
    world, task, key = begun()
    again(world, task)
    answer = ask(world, task, digest="d2")
    assert isinstance(answer, Ruling)
    assert (answer.verdict, answer.key) == (Verdict.DOUBTED, key)
    assert effect(world, key).status is EffectStatus.IN_DOUBT
    park(world, task, key)
    resolve(world, key, Resolution.NOT_DONE)
    assert verdict(ask(world, task, digest="d2")) is Verdict.RUN


def test_a_class_that_says_less_is_not_trusted_with_what_was_begun_without_its_key() -> None:
    world, task, key = begun(UNSURE)
    again(world, task)
    assert verdict(ask(world, task, IDEMPOTENT)) is Verdict.DOUBTED
    other, its, _ = begun(UNSURE)
    again(other, its)
    assert verdict(ask(other, its, PROBEABLE)) is Verdict.UNSETTLED, "a look tells nevertheless"
    assert effect(world, key).status is EffectStatus.IN_DOUBT


@pytest.mark.parametrize("kind", list(EffectClass))
def test_what_a_task_leaves_reserved_when_it_ends_is_in_doubt_in_the_same_record(
    kind: EffectClass,
) -> None:
    world, task, key = begun(kind)
    world.complete(task)
    assert effect(world, key).status is EffectStatus.IN_DOUBT
    kinds = [type(event) for event in world.records()[-1].events]
    assert kinds == [e.TaskCompleted, o.EffectDoubted]
    assert "its task ended" in effect(world, key).reason
    tell(world, key, attempt=1)
    assert effect(world, key).status is EffectStatus.SETTLED
    assert world.audit() == []


def test_what_a_closed_swarm_leaves_reserved_is_in_doubt_and_can_be_resolved() -> None:
    world, task, key = begun(PROBEABLE)
    world.send(c.CloseSwarm(now_ms=world.now_ms, reason="the end"))
    for _ in range(6):
        world.settle()
    assert world.state.tasks[task].agent is None
    assert effect(world, key).status is EffectStatus.IN_DOUBT
    resolve(world, key, Resolution.NOT_DONE)
    assert effect(world, key).status is EffectStatus.RESOLVED
    assert world.audit() == []


def test_only_what_is_in_doubt_is_resolved_and_with_a_note() -> None:
    world, _, key = begun()
    assert resolve(world, key).code == "not_in_doubt"
    assert resolve(world, "nothing").code == "unknown_effect"
    tell(world, key, EffectOutcome.UNKNOWN)
    assert resolve(world, key, note="  ").code == "usage"
    assert resolve(world, key, command="c1").subject == key
    assert resolve(world, key, command="c1").subject == key, "a repeat gets the first answer"
    assert resolve(world, key).code == "not_in_doubt", "somebody may have gone on with it"


def test_an_attempt_that_blames_a_doubt_that_is_none_is_tried_again_and_not_for_ever() -> None:
    world, task, key = begun()
    tell(world, key)
    for _ in range(limits.THROTTLES_PER_TASK_MAX):
        park(world, task, key)
        world.tick()
        assert world.status(task) is TaskStatus.ASSIGNED
    park(world, task, key)
    assert world.last(e.AttemptFailed).kind is FailureKind.ERROR
    liar = world.submit()
    world.settle()
    park(world, liar, "no such effect")
    assert world.last(e.AttemptFailed).kind is FailureKind.ERROR


def test_a_task_has_so_many_effects_and_a_swarm_so_many_doubts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from visionflow.engine.decide import outside

    monkeypatch.setattr(outside, "EFFECTS_PER_TASK_MAX", 2)
    monkeypatch.setattr(outside, "EFFECT_DOUBTS_MAX", 1)
    world = World()
    world.team(2)
    task, other = world.submit(), world.submit()
    for number in range(2):
        assert verdict(ask(world, task, key=f"k{number}")) is Verdict.RUN
    assert verdict(ask(world, task, key="k2")) == "limit_reached"
    tell(world, "k0", EffectOutcome.UNKNOWN)
    assert verdict(ask(world, other, key="k3")) == "limit_reached"
    resolve(world, "k0")
    assert verdict(ask(world, other, key="k3")) is Verdict.RUN


def test_effects_of_ended_tasks_are_forgotten_oldest_first_but_never_a_doubt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from visionflow.engine.evolve import outside

    monkeypatch.setattr(outside, "EFFECTS_KEPT_MAX", 2)
    world, task, doubt = begun()
    world.complete(task)
    for number in range(4):
        name = world.submit()
        ask(world, name, key=f"k{number}")
        tell(world, f"k{number}")
        world.complete(name)
        assert world.audit() == []
    assert list(world.state.outside.effects) == [doubt, "k2", "k3"]


# Any order -----------------------------------------------------------------------------------


def busy(seed: int, steps: int) -> World:
    """A world of much chance, most of it about effects; the auditor finds nothing in it."""
    world = World(seed)
    world.team(3)
    for _ in range(steps):
        world.step()
        if len(world.running()) < 2:
            world.submit()
        for _ in range(3):
            something_outside(world, world.running())
        assert world.audit() == []
    return world


@SETTINGS
@given(st.integers(0, 2**32), st.integers(40, 200))
def test_no_order_of_things_begins_twice_what_is_not_known_to_be_undone(
    seed: int, steps: int
) -> None:
    world, check = busy(seed, steps), LogCheck()
    for record in world.records():
        check.record(encode_record(record.at_ms, record.events))
    assert [fault for fault in check.faults if "effect" in fault] == []
    assert world.replay().digest() == world.state.digest()


@SETTINGS
@given(st.integers(0, 2**32))
def test_every_blocked_task_goes_on_or_fails_once_its_doubts_are_resolved(seed: int) -> None:
    world = busy(seed, 120)
    for key in list(world.state.outside.doubts):
        if key not in world.state.outside.doubts:
            continue
        resolve(world, key, world.random.choice(list(Resolution)))
        assert world.state.closed is not None or not [
            name
            for name, task in world.state.tasks.items()
            if task.status is TaskStatus.BLOCKED and task.reason == missing(key)
        ]
