"""From the results of tasks to the facts of a run: what each result is, and what it lacks.

A role of the user's own may have answered in another form; what cannot be read is said, and the
rest counts.
"""

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar, cast

import msgspec

from visionflow.agents.candidates.values import (
    Attempted,
    Contest,
    Integrated,
    Judged,
    Ranking,
)
from visionflow.agents.evidence import (
    FOCUSES,
    Architecture,
    Ballot,
    Change,
    Research,
    Survey,
    Verdict,
    Vote,
)
from visionflow.agents.findings import ToolRun
from visionflow.agents.report.facts import RunFacts
from visionflow.agents.tools.results import TestRun
from visionflow.agents.tools.review import merge_runs
from visionflow.domain.votes import Choice, Mechanism

T = TypeVar("T")
_NOTHING_KNOWN = RunFacts(
    run="", goal="", playbook="", why="", workspace="", out="", status="running", started="",
    seconds=0.0,
)  # fmt: skip
QUESTION = "Shall the coder's change be kept?"


class Gathered(msgspec.Struct, frozen=True):
    """What the results of a run's tasks hold."""

    survey: Survey | None = None
    tests: TestRun | None = None
    tools: tuple[ToolRun, ...] = ()
    research: Research | None = None
    architecture: Architecture | None = None
    change: Change | None = None
    vote: Vote | None = None
    """By the ballots that are there; what decided in the end, the log has."""
    coverage_gate: bool | None = None
    gaps: tuple[tuple[str, str | None], ...] = ()
    """(focus, part) that no review came to the end of. `None`: of no part; empty: of what lies in
    none."""
    head: str | None = None
    dirty: bool | None = None
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    contest: Contest | None = None
    """What coding agents did, where any came to an end; what the plan knows of it is not in it."""

    def facts(self, **known: Any) -> RunFacts:
        """The facts of a run of which only this and what is `known` can be told."""
        mine = {
            name: getattr(self, name)
            for name in self.__struct_fields__
            if name in RunFacts.__struct_fields__
        }
        return msgspec.structs.replace(_NOTHING_KNOWN, **{**mine, **known})


def gather(results: Mapping[str, object], scans: Mapping[str, object] | None = None) -> Gathered:
    """Read the results of tasks, by task; `scans`: tools' runs of tasks that are still at work."""
    read = _Reading(results)
    tools = [run for runs in read.all("tools", list[ToolRun]) for run in runs]
    tools += _Reading({key: {"tool": value} for key, value in (scans or {}).items()}).all(
        "tool", ToolRun
    )
    survey = read.first("survey", Survey)
    return Gathered(
        survey=survey,
        tests=read.first("tests", TestRun),
        tools=merge_runs(tools),
        research=read.first("research", Research),
        architecture=read.first("architecture", Architecture),
        change=read.first("change", Change),
        vote=_vote(sorted(read.all("ballot", Ballot), key=lambda ballot: ballot.member)),
        coverage_gate=read.first("coverage_gate", bool),
        gaps=tuple(_gaps(results, survey)),
        head=read.first("head", str),
        dirty=read.first("dirty", bool),
        warnings=tuple(dict.fromkeys(each for told in read.lists("warnings") for each in told)),
        contest=_contest(read),
        notes=(
            *dict.fromkeys(each for told in read.lists("notes") for each in told),
            *read.unread,
        ),
    )


def _gaps(results: Mapping[str, object], survey: Survey | None) -> Iterator[tuple[str, str | None]]:
    """What of focuses and parts no review is about; nothing where there is no review at all."""
    seen: dict[str, set[str | None]] = {}
    for result in results.values():
        if not isinstance(result, dict):
            continue
        told = cast("dict[str, object]", result)
        if {"tools", "focus", "part"} <= told.keys():
            focus, part = told["focus"], told["part"]
            for each in FOCUSES if focus is None else (str(focus),):
                seen.setdefault(each, set()).add(None if part is None else str(part))
    parts = () if survey is None else survey.parts
    for focus in FOCUSES if seen else ():
        reviewed = seen.get(focus, set())
        if not reviewed:
            yield focus, None
        elif None not in reviewed:
            yield from ((focus, part.name) for part in parts if part.name not in reviewed)
            if not any(not part.folders and part.name in reviewed for part in parts):
                yield focus, ""


def _contest(read: "_Reading") -> Contest | None:
    attempted = read.all("attempted", Attempted)
    judged = read.all("judged", Judged)
    integrated = read.all("integrated", Integrated)
    ranking = read.first("ranking", Ranking)
    if not (attempted or judged or integrated) and ranking is None:
        return None
    return Contest(
        attempted=tuple(attempted),
        judged=tuple(judged),
        integrated=tuple(integrated),
        ranking=ranking,
        split=bool(integrated),
    )


def _vote(ballots: list[Ballot]) -> Vote | None:
    """The ballots counted by the engine's own rule; `None` where nobody cast one."""
    from visionflow.engine.voting import MECHANISMS, tally_of

    if not ballots:
        return None
    tally = tally_of(Choice(ballot.choice) for ballot in ballots)
    decision = MECHANISMS[Mechanism.MAJORITY](tally)
    return Vote(
        QUESTION,
        tuple(ballot.member for ballot in ballots),
        tuple(ballots),
        msgspec.convert(decision.value, Verdict),
    )


class _Reading:
    """Reads values out of results, and keeps what it could not read."""

    def __init__(self, results: Mapping[str, object]) -> None:
        self._results = results
        self.unread: list[str] = []

    def all(self, key: str, kind: type[T]) -> list[T]:
        """Every value under this key, in the order of the tasks."""
        return list(self._found(key, kind))

    def first(self, key: str, kind: type[T]) -> T | None:
        """The first of them."""
        return next(self._found(key, kind), None)

    def lists(self, key: str) -> list[list[str]]:
        """The lists of texts under this key."""
        return self.all(key, list[str])

    def _found(self, key: str, kind: type[T]) -> Iterator[T]:
        for task, result in self._results.items():
            if not isinstance(result, dict):
                continue
            value = cast("dict[str, object]", result).get(key)
            if value is None:
                continue
            try:
                yield msgspec.convert(value, kind)
            except msgspec.ValidationError as error:
                self.unread.append(f"{key} of {task} is not of the form that roles give: {error}.")
