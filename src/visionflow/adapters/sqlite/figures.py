"""Statements that count: figures of a stretch of time, from the rows of the views.

An attempt belongs to the stretch in which it ended. How long an agent was busy is how long it
held at least one attempt: attempts that overlap count once.
"""

from collections.abc import Callable
from typing import cast

from visionflow.adapters.sqlite.database import Value
from visionflow.domain.tasks import NO_FAILURES, TERMINAL, WENT_AWAY
from visionflow.ports.figures import AgentFigures, FailureRow, Figures, TypeFigures

Read = Callable[[str, tuple[Value, ...]], list[tuple[object, ...]]]
_Done = tuple[str, int, int, int, int, int]
"""Agent, completed, failed, all of its attempts, how long the completed ones took, throttled."""
WELL = ", ".join(f"'{outcome}'" for outcome in ("completed", *NO_FAILURES))
AWAY = ", ".join(f"'{outcome}'" for outcome in WENT_AWAY)
FAILED = (
    f"outcome NOT IN ({WELL}) AND cancelled_ms IS NULL AND NOT (excused AND outcome IN ({AWAY}))"
)
"""See `visionflow.domain.tasks.is_failure`."""
THROTTLED = "outcome = 'throttled' AND cancelled_ms IS NULL"
ENDED = "ended_ms > ?1 AND ended_ms <= ?2"
ENDS = ", ".join(f"'{status}'" for status in sorted(TERMINAL))
OPEN = f"SELECT status, count(*) FROM tasks WHERE status NOT IN ({ENDS}) GROUP BY 1 ORDER BY 1"
SUBMITTED = "SELECT count(*) FROM tasks WHERE submitted_ms > ?1 AND submitted_ms <= ?2"
OVER = (
    f"SELECT status, count(*) FROM tasks WHERE status IN ({ENDS}) AND {ENDED} GROUP BY 1 ORDER BY 1"
)
DONE = (
    f"SELECT agent, sum(outcome = 'completed'), sum({FAILED}), count(*), "
    f"sum(coalesce(duration_us, 0)), sum({THROTTLED}) "
    f"FROM attempts WHERE {ENDED} GROUP BY agent ORDER BY agent"
)
HELD = "SELECT agent, count(*) FROM attempts WHERE ended_ms IS NULL GROUP BY agent ORDER BY agent"
# Of an agent's attempts by their beginning, each adds what lies beyond the latest end before it.
BUSY = """
WITH held AS (
    SELECT agent, max(assigned_ms, ?1) AS began, min(ended_ms, ?2) AS ended
    FROM attempts WHERE ended_ms > ?1 AND assigned_ms < ?2
    UNION ALL
    SELECT agent, max(assigned_ms, ?1), ?2 FROM attempts
    WHERE ended_ms IS NULL AND assigned_ms < ?2
), reached AS (
    SELECT agent, began, ended, max(ended) OVER (
        PARTITION BY agent ORDER BY began, ended ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    ) AS latest FROM held
)
SELECT agent, sum(max(0, ended - max(began, coalesce(latest, began)))) FROM reached GROUP BY agent
"""
KINDS = (
    f"SELECT outcome, count(*) FROM attempts WHERE {ENDED} AND {FAILED} "
    "GROUP BY 1 ORDER BY 2 DESC, 1"
)
RECENT = f"""
SELECT a.task, t.type, a.agent, a.outcome, a.reason, a.ended_ms
FROM attempts a JOIN tasks t ON t.id = a.task
WHERE a.{ENDED.replace("AND ended", "AND a.ended")} AND a.{FAILED}
ORDER BY a.ended_ms DESC, a.task, a.attempt DESC LIMIT ?3
"""
FAILURES_OF = f"""
SELECT a.task, t.type, a.agent, a.outcome, a.reason, a.ended_ms
FROM attempts a JOIN tasks t ON t.id = a.task
WHERE a.agent = ?1 AND a.ended_ms IS NOT NULL AND a.outcome <> 'deadlock' AND a.{FAILED}
ORDER BY a.ended_ms DESC, a.task, a.attempt DESC LIMIT ?2
"""
TYPES = (
    "SELECT type, count(*), sum(duration_us) FROM tasks WHERE duration_us IS NOT NULL "
    f"AND {ENDED} GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT ?3"
)
PLACE = (
    f"SELECT duration_us FROM tasks WHERE type = ?3 AND duration_us IS NOT NULL AND {ENDED} "
    "ORDER BY duration_us LIMIT 1 OFFSET ?4"
)
LAST = (
    "SELECT duration_us FROM tasks WHERE type = ?1 AND duration_us IS NOT NULL "
    "ORDER BY ended_ms DESC LIMIT ?2"
)


def figures_of(read: Read, from_ms: int, to_ms: int, recent: int, types: int) -> Figures:
    """All figures of a stretch. `read` runs a statement."""
    stretch = (from_ms, to_ms)
    done = cast("list[_Done]", read(DONE, stretch))
    completed, failed = sum(row[1] for row in done), sum(row[2] for row in done)
    throttled = sum(row[5] for row in done)
    return Figures(
        submitted=cast(int, read(SUBMITTED, stretch)[0][0]),
        ended=_counts(read(OVER, stretch)),
        open=_counts(read(OPEN, ())),
        attempts_completed=completed,
        attempts_failed=failed,
        attempts_throttled=throttled,
        attempts_cancelled=sum(row[3] for row in done) - completed - failed - throttled,
        worked_us=sum(row[4] for row in done),
        failures=_counts(read(KINDS, stretch)),
        recent=_failures(read(RECENT, (*stretch, recent))),
        agents=_agents(read, stretch, done),
        types=_types(read, stretch, types) if types else [],
    )


def failures_of(read: Read, agent: str, last: int) -> list[FailureRow]:
    """The last attempts of one agent that failed, latest first, deadlocks left out."""
    return _failures(read(FAILURES_OF, (agent, last)))


def _failures(rows: list[tuple[object, ...]]) -> list[FailureRow]:
    return [
        FailureRow(task=task, type=type, agent=agent, kind=kind, reason=reason, ended_ms=at_ms)
        for task, type, agent, kind, reason, at_ms in cast(
            "list[tuple[str, str, str, str, str, int]]", rows
        )
    ]


def _counts(rows: list[tuple[object, ...]]) -> dict[str, int]:
    return dict(cast("list[tuple[str, int]]", rows))


def _agents(read: Read, stretch: tuple[int, int], done: list[_Done]) -> list[AgentFigures]:
    rows = {row[0]: row for row in done}
    held = _counts(read(HELD, ()))
    busy = _counts(read(BUSY, stretch))
    found: list[AgentFigures] = []
    for agent in sorted({*rows, *held, *busy}):
        _, completed, failed, _, worked_us, _ = rows.get(agent, (agent, 0, 0, 0, 0, 0))
        found.append(
            AgentFigures(
                agent=agent,
                completed=completed,
                failed=failed,
                worked_us=worked_us,
                busy_ms=busy.get(agent, 0),
                open=held.get(agent, 0),
            )
        )
    return found


def _types(read: Read, stretch: tuple[int, int], types: int) -> list[TypeFigures]:
    found: list[TypeFigures] = []
    for name, count, total_us in cast("list[tuple[str, int, int]]", read(TYPES, (*stretch, types))):

        def at(share: float, name: str = name, count: int = count) -> int:
            """The value that this share of all lies at or below (nearest rank)."""
            place = max(0, -int(-share * count // 1) - 1)
            return cast(int, read(PLACE, (*stretch, name, place))[0][0])

        found.append(
            TypeFigures(
                type=name,
                completed=count,
                mean_us=total_us // count,
                median_us=at(0.5),
                p95_us=at(0.95),
                longest_us=at(1.0),
            )
        )
    return found


def durations_of(read: Read, type: str, last: int) -> list[int]:
    """How long the last completed tasks of a type took, latest first."""
    return [cast(int, row[0]) for row in read(LAST, (type, last))]
