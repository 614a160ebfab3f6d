"""The tool task_results: what came of a task, whole or in pieces, now or once it has ended.

Of a plan the result is, by phase, the results of its parts in order, with null where one has
none; of a playbook's run it is the summary of the report. A value above `RESULT_BYTES_MAX` is left
out and named in `leftOut`; with a cursor its JSON text is read piece by piece.
"""

import asyncio
from typing import Annotated, Any

import msgspec

from visionflow.domain.access import READERS
from visionflow.domain.errors import UsageError
from visionflow.domain.tasks import Payload, TaskStatus
from visionflow.engine.aggregation import Aggregate, Rule, aggregate
from visionflow.interfaces.aggregation_rules import (
    AGGREGATION,
    recommendations,
    rule_in,
    said_by,
    unweighed,
)
from visionflow.interfaces.jobs import Report
from visionflow.interfaces.server import Server
from visionflow.interfaces.tools.able import crowded
from visionflow.interfaces.tools.arguments import Result
from visionflow.interfaces.tools.forms import about, form, number_in
from visionflow.interfaces.tools.locating import parts_of, place_of, story_of
from visionflow.interfaces.tools.moments import iso_or_none, seconds
from visionflow.interfaces.tools.outcome import Part, doubts, failures
from visionflow.interfaces.tools.piped import report_for, told_of, took
from visionflow.interfaces.tools.standing import why
from visionflow.interfaces.tools.tasks import CURSOR, EXAMPLE, TaskArguments
from visionflow.interfaces.tools.tool import AnyTool, Call, Tool
from visionflow.interfaces.tools.waiting import ended
from visionflow.ports.blobs import Blobs
from visionflow.ports.views import TaskRow
from visionflow.runtime.ended import AnySwarm
from visionflow.runtime.intake import unpack

RESULT_BYTES_MAX = 1_048_576
"""Of the JSON of one result."""
PIECE_CHARS = 40_000
PARTS_SHOWN_MAX = 500


class ResultsArguments(TaskArguments, frozen=True, kw_only=True):
    wait: Annotated[
        bool, about("Answer once it has ended, or at once where nobody can do it now.")
    ] = False
    wait_timeout: Annotated[
        int | None, form("seconds", "So many seconds at most, also where nobody can do it now.")
    ] = None
    part: Annotated[str | None, about("Of a plan: only this phase, or the task of this id.")] = None
    cursor: Annotated[str | None, about(f"{CURSOR} Gives the result's JSON text by pieces.")] = None


class RunReport(Result, frozen=True, kw_only=True):
    run_id: str
    folder: str
    status: str
    files: list[str]


class Results(Result, frozen=True, kw_only=True):
    task_id: str
    swarm_id: str
    status: str
    reason: str | None
    result: Annotated[Any, about("Of a plan, by phase; of a playbook, the report's summary.")]
    text: Annotated[str | None, about("A piece of the result's JSON text, asked for by cursor.")]
    left_out: Annotated[list[str], about("Fields that are left out: go on with nextCursor.")]
    next_cursor: str | None
    parts: list[Part]
    parts_total: int
    report: RunReport | None
    agent_id: str | None
    duration: float | None
    ended_at: str | None
    warnings: Annotated[
        list[str], about("Of a plan that failed, its failures; of a report, what it could not do.")
    ]


class Value(msgspec.Struct, frozen=True):
    """A result that can leave as JSON."""

    value: Any
    text: str | None
    """Its JSON, where it was asked for or is too long."""
    run: RunReport | None
    unweighed: tuple[str, ...] = ()
    """Names in the weights of its rule that are of no part and nobody."""


class ResultTools:
    """The tool of one server."""

    def __init__(self, server: Server) -> None:
        self._server = server

    async def results(self, call: Call, given: ResultsArguments) -> Results:
        """What came of a task."""
        start = _start(given.cursor)
        swarm = await place_of(self._server, call, given.task_id, given.swarm_id)
        if given.wait:
            call.took_effect()
            await ended(self._server, swarm, given.task_id, call, given.wait_timeout)
            swarm = self._server.ended.find(swarm.id) or swarm
        row, _ = await story_of(swarm, given.task_id)
        parts: list[TaskRow] = []
        if row.phases:
            parts = _chosen(await parts_of(swarm, row), row, given.part)
        elif given.part not in (None, row.id):
            raise UsageError(f"{row.id} is no plan, so it has no part {given.part!r:.100}.")
        loop = asyncio.get_running_loop()
        report = await loop.run_in_executor(None, self._server.jobs.report, row.id)
        piped = await report_for(swarm, row)
        told = None if piped is None else told_of(piped)
        found = await self._value(swarm, row, parts, report, given.part, start is not None, told)
        text, cursor = found.text, None
        if text is not None:
            place = start or 0
            piece = text[place : place + PIECE_CHARS] if start is not None else None
            shown = 0 if piece is None else len(piece)
            cursor = str(place + shown) if place + shown < len(text) else None
            text = piece
        left_out = found.text is not None
        shown_parts = [_part(each) for each in parts[:PARTS_SHOWN_MAX]]
        live = swarm.state.tasks.get(row.id)
        is_so = live is not None and live.status == row.status
        call.saw(swarm)
        reason = row.reason
        if live is not None and is_so:
            reason = why(swarm.state, live, crowded(self._server.swarms))
        told_of_it = [*failures(row.status, shown_parts), *unweighed(found.unweighed)]
        reason, shown_parts, warnings = await self._server.jobs.veiled(
            [row.id], (reason, shown_parts, told_of_it)
        )
        return Results(
            task_id=row.id,
            swarm_id=swarm.id,
            status=row.status,
            reason=reason,
            result=None if left_out else found.value,
            text=text,
            left_out=["result"] if left_out else [],
            next_cursor=cursor,
            parts=shown_parts,
            parts_total=len(parts),
            report=found.run,
            agent_id=row.agent,
            duration=took(row, piped),
            ended_at=iso_or_none(row.ended_ms),
            warnings=[*warnings, *doubts(None if report is None else report.summary)],
        )

    async def _value(
        self,
        swarm: AnySwarm,
        row: TaskRow,
        parts: list[TaskRow],
        report: Report | None,
        part: str | None,
        as_text: bool,
        piped: dict[str, Any] | None,
    ) -> Value:
        """The result that is asked for, read in a thread: it may be large. `piped`: of a pipeline
        without one, its report."""
        blobs, loop = swarm.blobs, asyncio.get_running_loop()
        run = None if report is None else _run(report)
        rule = await loop.run_in_executor(None, lambda: _rule(row, blobs))
        if report is not None and report.summary is not None and part is None:
            summary, unused = report.summary, ()
            if rule is not None:
                said = await loop.run_in_executor(None, lambda: recommendations(parts, blobs))
                made = aggregate(rule, said)
                found = msgspec.to_builtins(made)
                found = await self._server.jobs.veiled([row.id], found)
                summary = {**summary, AGGREGATION: found}
                unused = made.unused
            value = await loop.run_in_executor(None, lambda: _told(summary, as_text, run))
            return msgspec.structs.replace(value, unweighed=unused)

        def read() -> Any:
            if not row.phases:
                return _result(row, blobs) if piped is None else piped
            if len(parts) == 1 and parts[0].id == part:
                return _result(parts[0], blobs)
            if rule is not None and part is None:
                last = [each for each in parts if each.phase == row.phases[-1][0]]
                return aggregate(rule, [said_by(each, blobs) for each in last])
            phases: dict[str, list[Any]] = {}
            for each in parts:
                phases.setdefault(each.phase or "", []).append(_result(each, blobs))
            return phases

        value = await loop.run_in_executor(None, read)
        unused = value.unused if isinstance(value, Aggregate) else ()
        # A report hides what its run's tools called secrets; what its parts said does not.
        value = await self._server.jobs.veiled([row.id], value)
        told = await loop.run_in_executor(None, lambda: _told(value, as_text, run))
        return msgspec.structs.replace(told, unweighed=unused)


def _rule(row: TaskRow, blobs: Blobs) -> Rule | None:
    """How the results of an ended plan are made into one."""
    if not row.phases or row.status != TaskStatus.COMPLETED:
        return None
    return rule_in(_result(row, blobs))


def _start(cursor: str | None) -> int | None:
    if cursor is None:
        return None
    start = number_in(cursor)
    if start is None:
        raise UsageError(f"cursor is {cursor[:60]!r}; it is the nextCursor of an earlier piece.")
    return start


def _chosen(parts: list[TaskRow], root: TaskRow, part: str | None) -> list[TaskRow]:
    if part is None:
        return parts
    found = [each for each in parts if part in (each.phase, each.id)]
    if not found:
        names = ", ".join(name for name, _ in root.phases)
        raise UsageError(
            f"Plan {root.id} has no part {part[:100]!r}.",
            hint=f"Its phases are {names}; or give the id of one of its tasks.",
        )
    return found


def _result(row: TaskRow, blobs: Blobs) -> Any:
    if row.status != TaskStatus.COMPLETED:
        return None
    return unpack(Payload(row.result, row.result_blob), blobs)


def _told(value: Any, as_text: bool, run: RunReport | None) -> Value:
    """As plain JSON values: bytes as base64, keys as texts.

    Raises:
        UsageError: it holds what JSON cannot carry.
    """
    try:
        plain = msgspec.to_builtins(value, str_keys=True)
        encoded = msgspec.json.encode(plain)
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"The result cannot be told as JSON: {error}.") from error
    if as_text or len(encoded) > RESULT_BYTES_MAX:
        return Value(None, encoded.decode(), run)
    return Value(plain, None, run)


def _part(row: TaskRow) -> Part:
    return Part(
        task_id=row.id,
        phase=row.phase,
        type=row.type,
        status=row.status,
        agent_id=row.agent,
        reason=row.reason,
        duration=seconds(row.duration_us),
    )


def _run(report: Report) -> RunReport:
    files: list[str] = []
    if report.folder.is_dir():
        files = sorted(each.name for each in report.folder.iterdir() if each.is_file())
    return RunReport(
        run_id=report.run, folder=str(report.folder), status=report.status, files=files
    )


def result_tools(server: Server) -> list[AnyTool]:
    """task_results."""
    return [
        Tool(
            name="task_results",
            group="tasks",
            summary="What came of a task; of a plan by parts, of a playbook the report's summary.",
            arguments=ResultsArguments,
            result=Results,
            roles=READERS,
            run=ResultTools(server).results,
            example={"taskId": EXAMPLE, "wait": True, "waitTimeout": 600},
            positional=("taskId",),
            reads=True,
            long=True,
        )
    ]
