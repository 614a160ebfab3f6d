"""What became of a pipeline of a server, read off the state, or the log once that has forgotten it.

A pipeline that completed has its report in its result; one that ended otherwise has no result.
"""

from typing import Any

import msgspec

from visionflow.domain import pipelines_events as pe
from visionflow.domain.pipelines import PIPELINE_TYPE
from visionflow.domain.tasks import TERMINAL, TaskStatus
from visionflow.engine.pipelines import PipelineState, RoundState
from visionflow.interfaces.piping import PipelineReport, report_of
from visionflow.interfaces.tools.moments import seconds
from visionflow.ports.views import TaskRow
from visionflow.runtime.ended import AnySwarm
from visionflow.runtime.piping import copy_of
from visionflow.runtime.queries import Queries

_KINDS = (pe.PipelineOpened, pe.StageBegan, pe.StageJudged, pe.PipelineEnded)


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
    logged = await swarm.read(lambda queries: logged_pipeline(queries, row.id))
    return None if logged is None else report_of(logged)


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


def logged_pipeline(queries: Queries, name: str) -> PipelineState | None:
    """A pipeline of this id as the log has it. Reads it from the beginning; blocks."""
    found: PipelineState | None = None
    after, more = (0, -1), True
    while more:
        page = queries.events(after, kinds=_KINDS)
        after, more = page.after, page.more
        for row in page.events:
            event = row.event
            if isinstance(event, pe.PipelineOpened):
                if event.spec.id == name and event.spec.rooted:
                    found = PipelineState(event.spec, event.start, row.at_ms)
            elif found is not None:
                _follow(found, event)
                if isinstance(event, pe.PipelineEnded) and event.pipeline == name:
                    return found
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
