"""What became of a pipeline of a server, read off the state, or the log once that has forgotten it.

A pipeline that completed has its report in its result; one that ended otherwise has no result.
"""

from threading import Lock
from typing import Any
from weakref import WeakKeyDictionary

import msgspec

from visionflow.domain import pipelines_events as pe
from visionflow.domain.pipelines import PIPELINE_TYPE, PipelineStatus
from visionflow.domain.tasks import TERMINAL, TaskStatus
from visionflow.engine.pipelines import PipelineState, RoundState
from visionflow.interfaces.piping import PipelineReport, report_of
from visionflow.interfaces.tools.moments import seconds
from visionflow.ports.views import TaskRow
from visionflow.runtime.ended import AnySwarm
from visionflow.runtime.piping import copy_of
from visionflow.runtime.queries import Queries

READ_MAX = 256
"""Of a swarm's tasks, those of which it is remembered what the log says."""
_KINDS = (pe.StageBegan, pe.StageJudged, pe.PipelineEnded)
_read: WeakKeyDictionary[Queries, dict[str, PipelineReport | None]] = WeakKeyDictionary()
_lock = Lock()
"""Of `_read`: those who read are in threads."""


def may_be(row: TaskRow) -> bool:
    """Whether this can be the task that a pipeline is: nobody attempts that itself."""
    return row.type == PIPELINE_TYPE and not row.attempt and not row.phases


async def report_for(swarm: AnySwarm, row: TaskRow) -> PipelineReport | None:
    """What became of each stage of the pipeline that a task is, of one that ended without a
    result; `None` where the task is no pipeline, goes on, or has its result."""
    if not may_be(row) or row.status not in TERMINAL or row.status == TaskStatus.COMPLETED:
        return None
    known = swarm.state.pipelines.over.get(row.id)
    if known is not None and known.spec.rooted:
        return report_of(copy_of(known))
    return await swarm.read(lambda queries: logged_report(queries, row))


def told_of(report: PipelineReport) -> dict[str, Any]:
    """As the result of a task tells it, in the form of one that completed."""
    return {"result": None, "stages": msgspec.to_builtins(report.stages)}


def took(row: TaskRow, report: PipelineReport | None) -> float | None:
    """Seconds: of a pipeline from its beginning to its end, else what the attempt took that
    completed the task."""
    completed = row.status == TaskStatus.COMPLETED and may_be(row)
    if row.ended_ms is None or not (completed or report is not None):
        return seconds(row.duration_us)
    return (row.ended_ms - row.submitted_ms) / 1_000


def logged_report(queries: Queries, row: TaskRow) -> PipelineReport | None:
    """What the log says of the pipeline that a task was; `None`: it was none. Blocks: it reads on
    from the time at which the task was submitted, once for each task that is asked about often."""
    with _lock:
        read = _read.setdefault(queries, {})
        if row.id in read:
            return read[row.id]
    pipeline = _logged(queries, row)
    report = None if pipeline is None else report_of(pipeline)
    if pipeline is None or pipeline.status is not PipelineStatus.RUNNING:
        with _lock:
            read[row.id] = report
            if len(read) > READ_MAX:
                del read[next(iter(read))]
    return report


def _logged(queries: Queries, row: TaskRow) -> PipelineState | None:
    found: PipelineState | None = None
    since_ms = row.submitted_ms
    # A pipeline and the task that it is are of one record.
    for each in queries.between(since_ms, since_ms, (pe.PipelineOpened,)):
        event = each.event
        if isinstance(event, pe.PipelineOpened) and event.spec.id == row.id and event.spec.rooted:
            found = PipelineState(event.spec, event.start, each.at_ms)
    if found is None:
        return None
    for each in queries.between(since_ms, None, _KINDS):
        _follow(found, each.event)
        if isinstance(each.event, pe.PipelineEnded) and each.event.pipeline == row.id:
            break
    return found


def _follow(pipeline: PipelineState, event: object) -> None:
    name = pipeline.spec.id
    if isinstance(event, pe.StageBegan) and event.pipeline == name:
        pipeline.rounds.append(RoundState(event.stage, event.round, event.task))
    elif isinstance(event, pe.StageJudged) and event.pipeline == name:
        done = pipeline.rounds[-1]
        done.action, done.to, done.reason = event.action, event.to, event.reason
        done.measured, done.missed = event.measured, event.missed
    elif isinstance(event, pe.PipelineEnded) and event.pipeline == name:
        pipeline.status, pipeline.reason = event.status, event.reason
