"""The filter of task_queue_clear: `status:stuck,age:>3600` and its like, read and applied.

Terms stand between commas and must all hold; a term is a key, a colon, and a value, or several
with `|` between them of which one must hold. Numbers may be compared: `>`, `>=`, `<`, `<=`.
"""

import operator
import re
from collections.abc import Callable

import msgspec

from visionflow.domain.errors import UsageError
from visionflow.domain.tasks import TaskStatus
from visionflow.interfaces.tools.forms import FORMS
from visionflow.ports.views import TaskRow

STUCK = "stuck"
WAITING = (TaskStatus.PENDING, TaskStatus.QUEUED, TaskStatus.BLOCKED)
"""What a clear looks at where the filter names no status: the queue."""
CLEARABLE = (*WAITING, TaskStatus.ASSIGNED, TaskStatus.RUNNING)
KEYS = ("status", "age", "priority", "type", "agent", "capability")
HINT = 'Such as "status:stuck,age:>3600", "priority:low,type:run_tests" or "agent:agent_1|agent_2".'
_COMPARED = re.compile(r"(>=|<=|>|<|=)?\s*(.+)")
_COMPARISONS: dict[str, Callable[[int, int], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "=": operator.eq,
}
Holds = Callable[[TaskRow, int], bool]
"""Whether a term holds of a task, at this time in milliseconds."""


class Filter(msgspec.Struct, frozen=True):
    """A filter that was understood."""

    statuses: tuple[str, ...]
    """Which tasks to look at."""
    stuck: bool
    """Only those of them that are stuck."""
    terms: tuple[Holds, ...]

    def holds(self, row: TaskRow, now_ms: int) -> bool:
        """Whether it holds of a task, but for being stuck."""
        return all(term(row, now_ms) for term in self.terms)


def parse_filter(text: str, agent_id: Callable[[str], str] = str) -> Filter:
    """A filter as it was written; an empty one holds of all that waits. `agent_id`: from the name
    of an agent to its id.

    Raises:
        UsageError: a key or value is none; the message names it and what is allowed.
    """
    statuses: tuple[str, ...] = tuple(WAITING)
    stuck, terms, seen = False, list[Holds](), list[str]()
    for term in (each.strip() for each in text.split(",")):
        if not term:
            continue
        key, colon, value = (part.strip() for part in term.partition(":"))
        if not colon or not value or key not in KEYS:
            raise UsageError(
                f"{term[:60]!r} is no term of a filter; its keys are {', '.join(KEYS)}.", hint=HINT
            )
        if key in seen and key != "age":
            raise UsageError(f"{key} is given twice.", hint="Write alternatives as a|b.")
        seen.append(key)
        if key == "status":
            statuses, stuck = _statuses(value)
        elif key == "age":
            terms.append(_compared(key, value, "seconds", lambda row, now: now - row.submitted_ms))
        elif key == "priority":
            terms.append(_compared(key, value, "priority", lambda row, _: row.priority))
        else:
            words = [each.strip() for each in value.split("|")]
            terms.append(_named(key, tuple(map(agent_id, words) if key == "agent" else words)))
    return Filter(statuses, stuck, tuple(terms))


def _statuses(value: str) -> tuple[tuple[str, ...], bool]:
    words = tuple(each.strip() for each in value.split("|"))
    if words == (STUCK,):
        return tuple(CLEARABLE), True
    known = [status.value for status in CLEARABLE]
    for word in words:
        if word not in known:
            raise UsageError(
                f"status is {word[:60]!r}; a clear knows {', '.join(known)}, or {STUCK} alone.",
                hint=HINT,
            )
    return words, False


def _compared(key: str, value: str, form: str, of: Callable[[TaskRow, int], int]) -> Holds:
    """A term about a number; without a sign an age means `>=` and anything else `=`."""
    alternatives: list[tuple[Callable[[int, int], bool], int]] = []
    for each in value.split("|"):
        match = _COMPARED.fullmatch(each.strip())
        sign, number = (None, "") if match is None else match.groups()
        try:
            wanted = FORMS[form].read(number)
        except ValueError as error:
            raise UsageError(f"{key} is {each[:60]!r}; it is {error}.", hint=HINT) from error
        assert isinstance(wanted, int), "both forms read whole numbers"
        alternatives.append((_COMPARISONS[sign or (">=" if key == "age" else "=")], wanted))
    return lambda row, now_ms: any(
        compare(of(row, now_ms), wanted) for compare, wanted in alternatives
    )


def _named(key: str, words: tuple[str, ...]) -> Holds:
    if key == "type":
        return lambda row, _: row.type in words
    if key == "agent":
        return lambda row, _: row.agent in words or row.wanted_agent in words
    return lambda row, _: any(word in row.capabilities for word in words)
