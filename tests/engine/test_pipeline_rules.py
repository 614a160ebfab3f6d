"""Pipelines in the engine: what is one, what follows a stage, and how one ends."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.engine import pipelines_by_chance
from tests.engine.world import World
from visionflow.domain import commands as c
from visionflow.domain import events as e
from visionflow.domain import pipelines_commands as pc
from visionflow.domain import pipelines_events as pe
from visionflow.domain.events import encode_record
from visionflow.domain.limits import TERMINAL_TASKS_MAX
from visionflow.domain.pipelines import (
    FailurePolicy,
    OnFailure,
    PipelineSpec,
    PipelineStatus,
    StageAction,
    StageSpec,
    Value,
    meets,
    missed,
)
from visionflow.domain.tasks import FailureKind, Payload, TaskSpec, TaskStatus
from visionflow.engine.audit import audit
from visionflow.testing.checkers import LogCheck

SETTINGS = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
DEMAND = {"coverage": 0.8}
RETRY = FailurePolicy(OnFailure.RETRY, times=1)
BACK = FailurePolicy(OnFailure.LOOP, "code", 2)


class Pipeline:
    """A pipeline in a world with one agent, driven by hand."""

    def __init__(self, *stages: StageSpec, rooted: bool = False, start: str | None = None) -> None:
        self.world = World()
        self.world.team(1)
        self.name = "pipe"
        root = TaskSpec(id="pipe", type="plan") if rooted else None
        spec = PipelineSpec("pipe", stages, Payload(b"\x01"), rooted=rooted)
        self.answer = self.world.send(
            pc.OpenPipeline(now_ms=self.world.now_ms, spec=spec, start=start, root=root)
        )

    def begin(self) -> str:
        """Begin what is next; its task."""
        found = self.world.state.pipelines.open["pipe"]
        stage, number = found.stage.name, found.round_of(found.stage.name) + 1
        spec = TaskSpec(id=f"pipe.{stage}.{number}")
        self.world.send(
            pc.BeginStage(
                now_ms=self.world.now_ms, pipeline="pipe", stage=stage, round=number, spec=spec
            )
        )
        return spec.id

    def judge(self, task: str, objection: str | None = None, **measured: Value) -> pe.StageJudged:
        """Judge what has ended; what the engine made of it."""
        self.world.send(
            pc.JudgeStage(
                now_ms=self.world.now_ms,
                pipeline="pipe",
                task=task,
                measured=measured,
                objection=objection,
            )
        )
        return self.world.last(pe.StageJudged)

    def do(self, objection: str | None = None, **measured: Value) -> pe.StageJudged:
        """Do the next stage, with these figures."""
        task = self.begin()
        self.world.complete(task)
        return self.judge(task, objection, **measured)


@pytest.mark.acceptance("pipeline")
def test_a_stage_that_meets_what_is_demanded_is_followed_by_the_next_and_the_last_ends_it() -> None:
    pipe = Pipeline(StageSpec("code", validation=DEMAND), StageSpec("test"))
    first = pipe.do(coverage=0.8)
    assert (first.action, first.to, first.measured) == (StageAction.GO_ON, "test", DEMAND)
    assert pipe.do().action is StageAction.FINISH
    assert pipe.world.last(pe.PipelineEnded).status is PipelineStatus.COMPLETED


@pytest.mark.acceptance("pipeline")
@pytest.mark.parametrize("value", [0.79, None, True])
def test_a_stage_below_its_threshold_stops_with_the_measured_value(value: Value) -> None:
    pipe = Pipeline(StageSpec("code", validation=DEMAND), StageSpec("test"))
    judged = pipe.do(coverage=value)
    assert (judged.action, judged.missed, judged.measured) == (
        StageAction.STOP,
        ("coverage",),
        {"coverage": value},
    )
    ended = pipe.world.last(pe.PipelineEnded)
    assert ended.status is PipelineStatus.FAILED
    assert ended.reason.startswith("stage code: coverage ") and "0.8 is demanded" in ended.reason


def test_a_measure_that_the_result_does_not_have_meets_nothing() -> None:
    judged = Pipeline(StageSpec("code", validation=DEMAND)).do()
    assert judged.action is StageAction.STOP
    assert judged.reason == "coverage was not among its measures, and 0.8 is demanded"


@pytest.mark.acceptance("pipeline")
def test_a_stage_is_retried_so_often_and_then_stops() -> None:
    pipe = Pipeline(StageSpec("code", validation=DEMAND, on_failure=RETRY))
    assert [pipe.do(coverage=0.1).action, pipe.do(coverage=0.2).action] == ["retry", "stop"]
    assert pipe.world.last(pe.PipelineEnded).reason.endswith("(it was retried 1 time)")
    assert [each.round for each in pipe.world.of(pe.StageBegan)] == [1, 2]


@pytest.mark.acceptance("pipeline")
def test_a_stage_leads_back_to_an_earlier_one_so_often_and_then_stops() -> None:
    pipe = Pipeline(StageSpec("code"), StageSpec("test", validation=DEMAND, on_failure=BACK))
    for _ in range(2):
        pipe.do()
        judged = pipe.do(coverage=0.5)
        assert (judged.action, judged.to) == (StageAction.LOOP, "code")
    pipe.do()
    assert pipe.do(coverage=0.5).action is StageAction.STOP
    assert [each.task for each in pipe.world.of(pe.StageBegan)][-1] == "pipe.test.3"


def test_a_loop_that_mends_it_lets_the_pipeline_complete() -> None:
    pipe = Pipeline(StageSpec("code"), StageSpec("test", validation=DEMAND, on_failure=BACK))
    pipe.do()
    pipe.do(coverage=0.5)
    pipe.do()
    assert pipe.do(coverage=0.9).action is StageAction.FINISH


def test_a_stage_whose_task_failed_fails_with_its_reason_whatever_was_said_of_measures() -> None:
    pipe = Pipeline(StageSpec("code", validation=DEMAND))
    task = pipe.begin()
    pipe.world.fail(task, FailureKind.PERMANENT)
    judged = pipe.judge(task, coverage=1.0)
    assert (judged.action, judged.measured) == (StageAction.STOP, {})
    assert judged.reason.startswith("its task ended as ")


def test_an_objection_fails_a_stage_that_meets_every_demand() -> None:
    judged = Pipeline(StageSpec("code", validation=DEMAND)).do("not ours", coverage=1.0)
    assert (judged.action, judged.reason) == (StageAction.STOP, "not ours")


def test_a_stage_that_somebody_cancelled_is_not_done_again() -> None:
    pipe = Pipeline(StageSpec("code", on_failure=RETRY))
    task = pipe.begin()
    pipe.world.send(c.CancelTask(now_ms=pipe.world.now_ms, task=task, reason="enough"))
    pipe.world.fail(task, FailureKind.ERROR)
    assert pipe.judge(task).action is StageAction.STOP


def test_the_same_judgement_or_beginning_again_changes_nothing() -> None:
    pipe = Pipeline(StageSpec("code"), StageSpec("test"))
    task = pipe.begin()
    again = TaskSpec(id=task)
    before = len(pipe.world.events())
    begin = pc.BeginStage(
        now_ms=pipe.world.now_ms, pipeline="pipe", stage="code", round=1, spec=again
    )
    assert pipe.world.send(begin).code is None
    pipe.world.complete(task)
    pipe.judge(task)
    judged = len(pipe.world.of(pe.StageJudged))
    pipe.judge(task)
    assert len(pipe.world.of(pe.StageJudged)) == judged == 1
    assert len(pipe.world.of(pe.StageBegan)) == 1 and len(pipe.world.events()) > before


def test_a_stage_is_judged_once_its_task_has_ended_only() -> None:
    pipe = Pipeline(StageSpec("code"))
    task = pipe.begin()
    judge = pc.JudgeStage(now_ms=pipe.world.now_ms, pipeline="pipe", task=task)
    assert pipe.world.send(judge).code == "not_ended"


@pytest.mark.parametrize(
    ("stages", "words"),
    [
        ((), "at least one stage"),
        ((StageSpec("a"), StageSpec("a")), "Two stages are called 'a'"),
        ((StageSpec("a", on_failure=BACK), StageSpec("code")), "no stage before it"),
        ((StageSpec("code", on_failure=BACK),), "It is the first one"),
        ((StageSpec("a", on_failure=FailurePolicy(OnFailure.RETRY)),), "that is 1 to 100"),
    ],
)
def test_what_is_no_pipeline_is_refused(stages: tuple[StageSpec, ...], words: str) -> None:
    answer = Pipeline(*stages).answer
    assert answer.code == "usage" and words in (answer.message or "")


def test_a_pipeline_may_begin_at_a_stage_and_not_lead_back_before_it() -> None:
    stages = (StageSpec("code"), StageSpec("test", on_failure=BACK))
    assert "what code would get is not known" in (
        Pipeline(*stages, start="test").answer.message or ""
    )
    pipe = Pipeline(StageSpec("code"), StageSpec("test"), start="test")
    assert pipe.begin() == "pipe.test.1"


@pytest.mark.acceptance("pipeline")
def test_a_pipeline_that_failed_goes_on_at_the_stage_that_failed_or_at_another() -> None:
    pipe = Pipeline(StageSpec("code"), StageSpec("test", validation=DEMAND))
    pipe.do()
    pipe.do(coverage=0.1)
    pipe.world.send(pc.ResumePipeline(now_ms=pipe.world.now_ms, pipeline="pipe"))
    assert pipe.begin() == "pipe.test.2"
    pipe.world.send(pc.CancelPipeline(now_ms=pipe.world.now_ms, pipeline="pipe", reason="stop"))
    pipe.world.send(pc.ResumePipeline(now_ms=pipe.world.now_ms, pipeline="pipe", stage="code"))
    assert pipe.begin() == "pipe.code.2"


def test_a_cancelled_pipeline_ends_its_stage() -> None:
    pipe = Pipeline(StageSpec("code"))
    task = pipe.begin()
    pipe.world.send(pc.CancelPipeline(now_ms=pipe.world.now_ms, pipeline="pipe", reason="enough"))
    assert pipe.world.last(pe.PipelineEnded).status is PipelineStatus.CANCELLED
    pipe.world.fail(task, FailureKind.ERROR)
    assert pipe.world.state.tasks[task].status is TaskStatus.CANCELLED


def test_a_pipeline_whose_root_task_is_cancelled_ends_with_its_stage() -> None:
    pipe = Pipeline(StageSpec("code"), rooted=True)
    task = pipe.begin()
    pipe.world.send(c.CancelTask(now_ms=pipe.world.now_ms, task="pipe", reason="enough"))
    pipe.world.fail(task, FailureKind.ERROR)
    assert pipe.world.last(pe.PipelineEnded).status is PipelineStatus.CANCELLED
    assert pipe.world.state.tasks[task].status is TaskStatus.CANCELLED
    assert audit(pipe.world.state) == []


@pytest.mark.parametrize(("coverage", "status"), [(0.9, "completed"), (0.1, "failed")])
def test_a_root_task_ends_as_its_pipeline_did(coverage: float, status: str) -> None:
    pipe = Pipeline(StageSpec("code", validation=DEMAND), rooted=True)
    pipe.do(coverage=coverage)
    settle = pc.SettlePipeline(now_ms=pipe.world.now_ms, pipeline="pipe", result=Payload(b"\x05"))
    for _ in range(2):
        assert pipe.world.send(settle).code is None
    task = pipe.world.state.tasks["pipe"]
    assert task.status == status
    assert task.result == (Payload(b"\x05") if status == "completed" else Payload())


def test_the_result_of_a_stage_that_is_not_judged_yet_is_not_forgotten() -> None:
    pipe = Pipeline(StageSpec("code"))
    task = pipe.begin()
    pipe.world.complete(task)
    first = None
    for _ in range(2 * TERMINAL_TASKS_MAX + 10):
        name = pipe.world.submit(agent_type="nobody")
        first = first or name
        pipe.world.send(c.CancelTask(now_ms=pipe.world.now_ms, task=name, reason="enough"))
    assert first not in pipe.world.state.tasks
    assert pipe.judge(task).action is StageAction.FINISH


@given(st.one_of(st.none(), st.booleans(), st.floats()), st.one_of(st.booleans(), st.floats(0, 1)))
def test_a_measure_meets_a_demand_when_it_is_as_large_or_the_same_word(
    value: Value, demand: float | bool
) -> None:
    if isinstance(demand, bool):
        assert meets(value, demand) == ((value is True) or not demand)
    elif isinstance(value, float):
        assert meets(value, demand) == (value >= demand)
    else:
        assert not meets(value, demand)
    assert missed({"m": value}, {"m": demand}) == (() if meets(value, demand) else ("m",))


@SETTINGS
@given(st.integers(0, 2**32))
def test_whatever_drivers_do_a_replay_gives_the_same_pipelines_and_the_checker_finds_nothing(
    seed: int,
) -> None:
    world = World(seed)
    for _ in range(120):
        world.step()
        pipelines_by_chance.happen(world)
        assert [fault for fault in world.audit() if "pipeline" in fault] == []
    assert world.replay().digest() == world.state.digest()
    check = LogCheck()
    for record in world.records():
        check.record(encode_record(record.at_ms, record.events))
    assert [fault for fault in check.faults if "pipeline" in fault] == []
    opened = {each.spec.id for each in world.of(pe.PipelineOpened)}
    assert opened == {*world.state.pipelines.open, *world.state.pipelines.over}
    assert all(isinstance(each, e.Event) for each in world.events())
