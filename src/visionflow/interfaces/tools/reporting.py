"""The tool performance_report: what a swarm and each of its agents did in a stretch of time.

Every figure is counted from the log. Of an agent that did nothing in it rates are null, and so are
processor and memory until something samples them.
"""

from enum import StrEnum
from typing import Annotated

import msgspec

from visionflow.domain.access import READERS
from visionflow.domain.errors import UsageError
from visionflow.interfaces.server import Server
from visionflow.interfaces.tools.arguments import Arguments, Result
from visionflow.interfaces.tools.finding import readable_swarm
from visionflow.interfaces.tools.forms import about, form
from visionflow.interfaces.tools.moments import iso, seconds
from visionflow.interfaces.tools.tool import AnyTool, Call, Tool
from visionflow.ports.figures import AgentFigures, Figures
from visionflow.ports.views import AgentRow
from visionflow.runtime.queries import Queries

RECENT = {"summary": 0, "json": 10, "detailed": 100}
"""How many of the latest errors each format has."""
TYPES_MAX = 50
DAY_MS = 86_400_000


class Format(StrEnum):
    """How much a report tells."""

    JSON = "json"
    SUMMARY = "summary"
    DETAILED = "detailed"


class ReportArguments(Arguments, frozen=True, kw_only=True):
    swarm_id: str | None = None
    format: Annotated[
        Format,
        about("json; summary: totals and a text, no agents; detailed: more errors, task types."),
    ] = Format.JSON
    timeframe: Annotated[int, form("seconds", "So many seconds up to now, or 24h.")] = DAY_MS


class Timeframe(msgspec.Struct, frozen=True, kw_only=True):
    since: Annotated[str, msgspec.Meta(description="Not before the swarm was made.")]
    until: str
    seconds: float


class AgentReport(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    name: str
    type: str
    status: str
    active_tasks: int
    completed_tasks: int
    failed_tasks: Annotated[int, about("Attempts that ended without a result.")]
    utilization: Annotated[float | None, about("Share of its time in which it had a task.")]
    success_rate: float | None
    error_rate: float | None
    avg_task_duration: Annotated[float | None, about("Seconds.")]
    cpu_usage: float | None
    memory_usage: float | None


class ErrorCount(Result, frozen=True, kw_only=True):
    type: str
    count: int


class ErrorShown(Result, frozen=True, kw_only=True):
    task: str
    task_type: str
    agent: str
    type: str
    reason: str
    at: str


class ErrorMetrics(Result, frozen=True, kw_only=True):
    total: Annotated[
        int, about("Attempts that failed; those that supervision ended on purpose did not.")
    ]
    rate: Annotated[float | None, about("Of all attempts that ended by themselves.")]
    by_type: list[ErrorCount]
    recent: list[ErrorShown]


class TaskTotals(Result, frozen=True, kw_only=True):
    submitted: int
    completed: int
    failed: int
    cancelled: int
    dead_letter: int
    success_rate: float | None
    avg_duration: Annotated[float | None, about("Seconds, of attempts that completed.")]
    per_minute: Annotated[float | None, about("Completed.")]
    attempts: Annotated[int, about("That ended.")]
    attempts_cancelled: int
    attempts_throttled: Annotated[int, about("Told to come later; no failures.")]
    open: Annotated[dict[str, int], about("Now, by status.")]


class TypeReport(Result, frozen=True, kw_only=True):
    type: str
    completed: int
    mean: float | None
    median: float | None
    p95: float | None
    longest: float | None


class Report(Result, frozen=True, kw_only=True):
    swarm_id: str
    format: str
    timeframe: Timeframe
    tasks: TaskTotals
    error_metrics: ErrorMetrics
    agents: list[AgentReport] | None
    task_types: Annotated[list[TypeReport] | None, about("Durations in seconds; detailed only.")]
    text: Annotated[str | None, about("summary only.")]


class ReportingTools:
    """The tool of one server."""

    def __init__(self, server: Server) -> None:
        self._server = server

    async def report(self, call: Call, given: ReportArguments) -> Report:
        """Figures of a swarm."""
        if given.timeframe <= 0:
            raise UsageError("timeframe is 0; it is a length of time such as 24h.")
        swarm = readable_swarm(self._server, call, given.swarm_id)
        await swarm.settled()
        until_ms = swarm.now_ms
        from_ms = until_ms - given.timeframe
        recent = RECENT[given.format]
        types = TYPES_MAX if given.format is Format.DETAILED else 0

        def read(queries: Queries) -> tuple[Figures, list[AgentRow], int]:
            figures = queries.figures(from_ms, until_ms, recent, types)
            return figures, queries.agents(), queries.began_ms()

        figures, rows, began_ms = await swarm.read(read)
        failed = [each.task for each in figures.recent]
        figures = await self._server.jobs.veiled(failed, figures, at_once=True)
        since_ms = max(from_ms, began_ms)
        agents = _agents(figures, rows, since_ms, until_ms)
        tasks = _totals(figures, until_ms - since_ms)
        summary = given.format is Format.SUMMARY
        return Report(
            swarm_id=swarm.id,
            format=given.format,
            timeframe=Timeframe(
                since=iso(since_ms), until=iso(until_ms), seconds=(until_ms - since_ms) / 1_000
            ),
            tasks=tasks,
            error_metrics=_errors(figures),
            agents=None if summary else agents,
            task_types=_types(figures) if types else None,
            text=_text(swarm.id, figures, tasks, agents, until_ms - since_ms) if summary else None,
        )


def share(part: int, whole: int) -> float | None:
    """A part of a whole; of nothing there is none."""
    return part / whole if whole else None


def _agents(
    figures: Figures, rows: list[AgentRow], since_ms: int, until_ms: int
) -> list[AgentReport]:
    """Those that were there in that time, or are now."""
    by_agent = {each.agent: each for each in figures.agents}
    found: list[AgentReport] = []
    for row in rows:
        if row.ended_ms is not None and row.ended_ms <= since_ms and row.id not in by_agent:
            continue
        did = by_agent.get(row.id) or AgentFigures(agent=row.id)
        ended_ms = until_ms if row.ended_ms is None else min(row.ended_ms, until_ms)
        lived_ms = max(0, ended_ms - max(row.spawned_ms, since_ms))
        judged = did.completed + did.failed
        found.append(
            AgentReport(
                id=row.id,
                name=row.name,
                type=row.type,
                status=row.status,
                active_tasks=did.open,
                completed_tasks=did.completed,
                failed_tasks=did.failed,
                utilization=share(did.busy_ms, lived_ms),
                success_rate=share(did.completed, judged),
                error_rate=share(did.failed, judged),
                avg_task_duration=_mean(did.worked_us, did.completed),
                cpu_usage=None,
                memory_usage=None,
            )
        )
    return found


def _mean(total_us: int, count: int) -> float | None:
    return total_us / count / 1_000_000 if count else None


def _totals(figures: Figures, length_ms: int) -> TaskTotals:
    ended = figures.ended
    completed = ended.get("completed", 0)
    failed, dead = ended.get("failed", 0), ended.get("dead_letter", 0)
    ended_otherwise = figures.attempts_cancelled + figures.attempts_throttled
    attempts = figures.attempts_completed + figures.attempts_failed + ended_otherwise
    return TaskTotals(
        submitted=figures.submitted,
        completed=completed,
        failed=failed,
        cancelled=ended.get("cancelled", 0),
        dead_letter=dead,
        success_rate=share(completed, completed + failed + dead),
        avg_duration=_mean(figures.worked_us, figures.attempts_completed),
        per_minute=completed * 60_000 / length_ms if length_ms else None,
        attempts=attempts,
        attempts_cancelled=figures.attempts_cancelled,
        attempts_throttled=figures.attempts_throttled,
        open=figures.open,
    )


def _errors(figures: Figures) -> ErrorMetrics:
    failed = figures.attempts_failed
    return ErrorMetrics(
        total=failed,
        rate=share(failed, failed + figures.attempts_completed),
        by_type=[ErrorCount(type=kind, count=count) for kind, count in figures.failures.items()],
        recent=[
            ErrorShown(
                task=each.task,
                task_type=each.type,
                agent=each.agent,
                type=each.kind,
                reason=each.reason,
                at=iso(each.ended_ms),
            )
            for each in figures.recent
        ],
    )


def _types(figures: Figures) -> list[TypeReport]:
    return [
        TypeReport(
            type=each.type,
            completed=each.completed,
            mean=seconds(each.mean_us),
            median=seconds(each.median_us),
            p95=seconds(each.p95_us),
            longest=seconds(each.longest_us),
        )
        for each in figures.types
    ]


def _text(
    swarm: str, figures: Figures, tasks: TaskTotals, agents: list[AgentReport], length_ms: int
) -> str:
    """The totals in words."""
    busiest = max(agents, key=lambda each: each.utilization or 0.0, default=None)
    kinds = ", ".join(f"{kind} {count}" for kind, count in figures.failures.items())
    errors = f"{figures.attempts_failed} of them failed" + (f": {kinds}" if kinds else "")
    if figures.attempts_throttled:
        errors += f"; {figures.attempts_throttled} were throttled"
    lines = [
        f"{swarm}, the last {length_ms / 1_000:.0f} s: {tasks.submitted} tasks submitted, ",
        f"{tasks.completed} completed, {tasks.failed} failed, {tasks.dead_letter} given up, ",
        f"{tasks.cancelled} cancelled.\n{tasks.attempts} attempts ended; {errors}.\n",
    ]
    if tasks.avg_duration is not None:
        lines.append(f"A completed attempt took {tasks.avg_duration:.3f} s on average.\n")
    if busiest is not None and busiest.utilization:
        lines.append(
            f"{len(agents)} agents; the busiest, {busiest.name}, had a task "
            f"{busiest.utilization:.0%} of its time.\n"
        )
    return "".join(lines)


def reporting_tools(server: Server) -> list[AnyTool]:
    """performance_report."""
    return [
        Tool(
            name="performance_report",
            group="observation",
            summary="What a swarm and each agent did lately: tasks, rates, utilization, errors.",
            arguments=ReportArguments,
            result=Report,
            roles=READERS,
            run=ReportingTools(server).report,
            example={"format": "json", "timeframe": "24h"},
            reads=True,
        )
    ]
