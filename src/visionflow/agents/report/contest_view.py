"""The view of a run of coding agents: its candidates in order, each with all that is known of it.

How each came out is decided by its judgement and the ranking; here that is put into words and
bounded, and the commands are made that act on it.
"""

from collections.abc import Iterator

import msgspec

from visionflow.agents.candidates.ranking import RESULT, in_order
from visionflow.agents.candidates.values import (
    DIFF_CHARS_MAX,
    Accepted,
    Attempted,
    Contest,
    Judged,
    Ranked,
    Unmerged,
    Usage,
)
from visionflow.agents.report.commands import candidate_command, recover_command
from visionflow.agents.report.contest_gates import judged_of, unmerged_of
from visionflow.agents.report.contest_values import (
    CandidateLine,
    ContestView,
    PredicateLine,
    Standing,
    UnmergedLine,
)
from visionflow.agents.report.facts import RunFacts, TaskFacts
from visionflow.agents.report.sections import ballot_line
from visionflow.agents.report.telling import Teller, moment, money, named, path, place, plural

CANDIDATES_MAX = 60
DIFFS_CHARS_MAX = 480_000
"""Of all diffs together."""
_LISTED_MAX = 20
_FEW_MAX = 3
_BATCHES_MAX = 60
_NAME_MAX = 100
_OUTCOME = {
    "nothing_changed": "changed nothing", "violation": "did what it may not",
    "timed_out": "ran out of time", "out_of_memory": "ran out of memory",
    "flooded": "wrote more output than is read", "failed": "failed",
    "not_needed": "was not needed",
}  # fmt: skip
_WAITS = ("pending", "queued")
_AT_WORK = ("assigned", "running")
_GONE = {
    "started": "started", "resumed": "resumed its session", "started_again": "started again",
    "adopted": "adopted what an earlier go had finished",
}  # fmt: skip


def contest_view(facts: RunFacts, teller: Teller) -> ContestView | None:
    """All candidates; `None` where no coding agent is part of the run."""
    contest = facts.contest
    if contest is None:
        return None
    lines = _Candidates(contest, facts, teller).lines()
    ranking = contest.ranking
    ran = [each for each in contest.attempted if each.outcome != "not_needed"]
    failed = [facts.goes[name] for name, _ in contest.failed if name in facts.goes]
    used = [*(each.usage for each in ran), *(each.usage for each in failed)]
    known = [n for each in used for n in (each.input_tokens, each.output_tokens)]
    costs = [each.cost_microdollars for each in used]
    # Where one go of several told nothing, neither is the sum of them all of it.
    parts = [each.task in facts.goes and not facts.goes[each.task].whole for each in ran]
    return ContestView(
        split=contest.split,
        winner=None if ranking is None else teller.maybe(ranking.winner, _NAME_MAX),
        why="" if ranking is None else teller.line(ranking.why, 600),
        said=tuple(_said(contest, teller)),
        candidates=lines[:CANDIDATES_MAX],
        candidates_total=len(lines),
        good=sum(each.standing in ("taken", "good") for each in lines),
        unmerged=tuple(_unmerged(each, facts, teller) for each in unmerged_of(contest)),
        landed=tuple(
            (teller.line(each.task, _NAME_MAX), each.commit)
            for merged in contest.integrated
            for each in merged.landed
        ),
        batches=tuple(
            (tuple(teller.line(name, _NAME_MAX) for name in names), held)
            for merged in contest.integrated
            for names, held in merged.batches
        )[:_BATCHES_MAX],
        tokens=None if all(each is None for each in known) else _total(*known),
        cost_microdollars=sum(each for each in costs if each is not None)
        if any(each is not None for each in costs) else None,
        unreported=sum(
            part or _tokens(each.usage) is None for each, part in zip(ran, parts, strict=True)
        )
        + sum(not each.whole for each in failed),
        notes=teller.lines(
            note for each in (*contest.integrated, *contest.judged) for note in each.notes
        )[:_LISTED_MAX],
    )  # fmt: skip


def _said(contest: Contest, teller: Teller) -> Iterator[str]:
    ranking = contest.ranking
    if ranking is None:
        return
    if ranking.winner is None:
        yield "None is good enough, so nothing is taken."
    elif ranking.tied:
        others = ", ".join(teller.line(each, _NAME_MAX) for each in ranking.tied)
        first = teller.line(ranking.winner, _NAME_MAX)
        yield f"Nothing told {first} apart from {others}; it is taken because it is the first."
    for group in ranking.same:
        names = ", ".join(teller.line(each, _NAME_MAX) for each in group)
        yield f"They made the very same files: {names}."


class _Candidates:
    """The candidates of one run, put in order."""

    def __init__(self, contest: Contest, facts: RunFacts, teller: Teller) -> None:
        self._contest = contest
        self._facts = facts
        self._teller = teller
        order = () if contest.ranking is None else contest.ranking.order
        self._ranked = {each.candidate: each for each in order}
        again = {task.task: task.of for task in facts.tasks if task.of is not None}
        landed = {each.task for merged in contest.integrated for each in merged.landed}
        # What a second go brought in is in, whichever of the two names it goes by.
        self._landed = landed | {again[name] for name in landed & again.keys()}
        self._first = again
        ended = {each.task for each in contest.attempted if each.outcome != "not_needed"}
        self._again = {first: name for name, first in again.items() if name in ended}
        self._unmerged = {each.task for each in unmerged_of(contest)}
        self._diff_max = min(DIFF_CHARS_MAX, DIFFS_CHARS_MAX // max(1, len(contest.diffs)))

    def lines(self) -> tuple[CandidateLine, ...]:
        """Ranked ones by their place, then the others as the plan has them."""
        attempted = {each.task: each for each in self._contest.attempted}
        failed = dict(self._contest.failed)
        names = dict.fromkeys(task.task for task in self._facts.tasks if task.type == "implement")
        names |= dict.fromkeys((*attempted, *failed))
        tasks = {task.task: task for task in self._facts.tasks}
        found: list[CandidateLine] = []
        if judged_of(self._contest, RESULT) is not None or RESULT in self._ranked:
            found.append(self._result())
        for name in names:
            task = tasks.get(name)
            if name in attempted:
                found.append(self._ended(attempted[name], task))
            elif name in failed:
                found.append(self._failed(name, task, failed[name]))
            elif task is not None and not _idle(task):
                found.append(self._open(task))
        shown = [each for each in found if each.outcome != "not_needed"]
        return tuple(sorted(shown, key=lambda each: each.place or len(shown) + 1))

    def _result(self) -> CandidateLine:
        """The work of several agents together."""
        merged = in_order(self._contest.integrated)
        told = f"{plural(len(self._landed), 'part')} merged" if merged else "merged"
        return self._judged(
            RESULT,
            CandidateLine(
                RESULT, "", self._standing(RESULT, out=False), self._place(RESULT), "merged", told,
                reasons=self._reasons(RESULT),
                tip=merged[-1].tip if merged else None,
                diff=self._diff(RESULT),
            )
        )  # fmt: skip

    def _ended(self, made: Attempted, task: TaskFacts | None) -> CandidateLine:
        teller, changed = self._teller, made.outcome == "changed"
        usage = made.usage
        line = CandidateLine(
            candidate=teller.line(made.task, _NAME_MAX),
            agent=teller.line(made.agent),
            standing=self._standing(made.task, out=not changed),
            place=self._place(made.task),
            outcome=made.outcome,
            told=self._told(made, task),
            reasons=self._reasons(made.task),
            files=tuple(path(name) for name in made.files[:_LISTED_MAX]),
            files_total=len(made.files),
            insertions=made.insertions,
            deletions=made.deletions,
            commits=made.commits,
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            tokens=_tokens(usage),
            cost_microdollars=usage.cost_microdollars,
            cost=money(usage.cost_microdollars),
            turns=usage.turns,
            seconds=None if made.wall_ms is None else round(made.wall_ms / 1_000, 3),
            memory_peak_bytes=made.memory_peak_bytes,
            exit_code=made.exit_code,
            goes=made.goes,
            went=_went(made.goes),
            held=teller.lines(made.held, 80),
            confined=bool(made.held),
            violations=teller.lines(each.message for each in made.violations)[:_LISTED_MAX],
            summary=teller.line(made.summary, 1_000),
            log=None if made.log is None else path(made.log),
            tip=made.tip,
            ref=teller.maybe(made.ref),
            diff=self._diff(made.task),
            take=self._take(made),
            notes=teller.lines(made.notes)[:_LISTED_MAX],
        )
        return self._judged(made.task, line)

    def _failed(self, name: str, task: TaskFacts | None, why: str) -> CandidateLine:
        agent = "" if task is None or task.command is None else self._teller.line(task.command)
        told = f"came to no end of its own: {self._teller.line(why, 600)}"
        left = self._first.get(name, name) in self._unmerged
        standing: Standing = "unmerged" if left else "out"
        status = "failed" if task is None else task.status
        goes = self._facts.goes.get(name)
        usage = Usage() if goes is None else goes.usage
        return CandidateLine(
            self._teller.line(name, _NAME_MAX), agent, standing, self._place(name), status, told,
            reasons=self._reasons(name),
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            tokens=_tokens(usage),
            cost_microdollars=usage.cost_microdollars,
            cost=money(usage.cost_microdollars),
            turns=usage.turns,
        )  # fmt: skip

    def _open(self, task: TaskFacts) -> CandidateLine:
        """One that has not ended."""
        teller = self._teller
        why = "" if task.reason is None else f": {teller.line(task.reason)}"
        until = None if task.until_ms is None or task.status not in _WAITS else task.until_ms
        if until is not None:
            told = f"waits until {moment(until)}{why}"
        elif task.status in _AT_WORK:
            told = "is at work"
        elif task.status in _WAITS:
            told = f"waits to be tried again{why}" if task.attempts else "waits for its turn"
        else:
            told = f"is {named(task.status)}{why}"
        return CandidateLine(
            teller.line(task.task, _NAME_MAX), teller.line(task.command or ""), "under_way", None,
            teller.line(task.status, 40), told,
            until=None if until is None else moment(until),
        )  # fmt: skip

    def _judged(self, name: str, line: CandidateLine) -> CandidateLine:
        """The same with what its judgement says."""
        judged = judged_of(self._contest, name)
        if judged is None:
            return line
        teller, gate = self._teller, judged.gate
        told = line.told
        if judged.tip is None and judged.reason and line.outcome == "changed":
            told += f"; not judged: {teller.line(judged.reason)}"
        line = msgspec.structs.replace(
            line,
            told=told,
            predicates=tuple(_predicate(each, teller) for each in judged.accepted[:_LISTED_MAX]),
            ballots=tuple(ballot_line(each, None, teller) for each in judged.ballots[:_LISTED_MAX]),
        )
        if gate is None:
            return line
        gone = (*gate.broken, *(f"{each} (gone)" for each in gate.lost))
        return msgspec.structs.replace(
            line,
            gate=gate.verdict,
            gate_failed=teller.lines(gate.failed)[:_LISTED_MAX],
            unseen=teller.lines(gate.unseen)[:_LISTED_MAX],
            new=tuple(
                f"{each.severity} {place(each.path, each.line)} "
                f"{teller.cut(teller.veil.finding(each), 200)} "
                f"({teller.line(each.tool, 40)} {teller.line(each.rule, 60)})"
                for each in gate.new[:_LISTED_MAX]
            ),
            new_total=None if gate.verdict == "not_run" else len(gate.new),
            broken=tuple(path(each) for each in gone[:_LISTED_MAX]),
            broken_total=len(gone) if gate.tests or gone else None,
            tests=gate.tests,
        )

    def _told(self, made: Attempted, task: TaskFacts | None) -> str:
        if made.outcome == "changed":
            told = f"changed {plural(len(made.files), 'file')}"
        else:
            told = _OUTCOME[made.outcome]
            told += "" if made.reason is None else f": {self._teller.line(made.reason, 600)}"
        again = self._again.get(made.task)
        if again is not None:
            return f"{told}; done once more as {self._teller.line(again, _NAME_MAX)}"
        return told + ("" if task is None or task.of is None else " in its second go")

    def _standing(self, name: str, out: bool) -> Standing:
        ranking = self._contest.ranking
        if ranking is not None and ranking.winner == name:
            return "taken"
        if self._contest.split and name != RESULT:
            first = self._first.get(name, name)
            if first in self._unmerged:
                return "unmerged"
            return "landed" if first in self._landed else "out" if out else "open"
        ranked = self._ranked.get(name)
        if ranked is not None and ranked.good:
            return "good"
        if out or _nothing_judged(judged_of(self._contest, name)):
            return "out"
        return "open" if ranked is None else "not_good"

    def _place(self, name: str) -> int | None:
        ranked = self._ranked.get(name)
        return None if ranked is None else ranked.place

    def _reasons(self, name: str) -> tuple[str, ...]:
        ranked: Ranked | None = self._ranked.get(name)
        return () if ranked is None else self._teller.lines(ranked.reasons)[:_LISTED_MAX]

    def _diff(self, name: str) -> str | None:
        text = self._contest.diffs.get(name)
        return None if text is None else self._teller.diff(text, self._diff_max)

    def _take(self, made: Attempted) -> str | None:
        if made.tip is None or self._contest.split:
            return None
        ranked = self._ranked.get(made.task)
        return candidate_command(self._facts, made.task, force=ranked is None or not ranked.good)


def _idle(task: TaskFacts) -> bool:
    """Whether it is a second go that nobody has begun, and may be never needed."""
    return task.of is not None and task.attempts == 0


def _nothing_judged(judged: Judged | None) -> bool:
    return judged is not None and judged.tip is None


def _predicate(each: Accepted, teller: Teller) -> PredicateLine:
    if each.passed is None:
        told = f"could not be run: {teller.line(each.reason or 'nobody said why')}"
    elif each.doubt is not None:
        told = f"{teller.line(each.doubt, 400)}; that is no proof"
    elif each.passed:
        proves = {True: "passed, and without the change too, so it proves nothing",
                  False: "passed; without the change it does not"}  # fmt: skip
        told = "passed" if each.on_base is None else proves[each.on_base]
        if each.with_base_tests:
            told += "; and with the tests of base, too"
        elif each.touched:
            told += f"; its tests were added by the change: {_few(each.touched)}"
    else:
        told = "did not pass" + ("" if each.reason is None else f": {teller.line(each.reason)}")
    tail = "" if each.passed else teller.block(each.tail)
    counted = each.counted
    return PredicateLine(
        teller.line(each.command), each.passed, told, tail, each.on_base,
        touched=tuple(path(name) for name in each.touched[:_LISTED_MAX]),
        with_base_tests=each.with_base_tests,
        doubt=teller.maybe(each.doubt, 400),
        tests_passed=None if counted is None else counted.passed,
        tests_skipped=None if counted is None else counted.skipped,
    )  # fmt: skip


def _few(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - _FEW_MAX} more" if len(names) > _FEW_MAX else ""
    return ", ".join(path(name) for name in names[:_FEW_MAX]) + more


def _went(goes: tuple[str, ...]) -> str:
    """How its goes followed each other, in words."""
    if goes == ("started",):
        return "in one go"
    return ", then ".join(_GONE.get(each, each) for each in goes)


def _tokens(usage: Usage) -> int | None:
    told = (usage.input_tokens, usage.output_tokens)
    return None if None in told else _total(*told)


def _total(*parts: int | None) -> int:
    return sum(each for each in parts if each is not None)


def _unmerged(each: Unmerged, facts: RunFacts, teller: Teller) -> UnmergedLine:
    made = () if facts.contest is None else facts.contest.attempted
    # What is kept may be of the second go, which has a name of its own.
    kept = next((one.task for one in made if one.ref == each.ref), each.task)
    return UnmergedLine(
        task=teller.line(each.task, _NAME_MAX),
        reason=each.reason,
        message=teller.line(each.message, 600),
        conflicts=tuple(
            f"{path(side.path)} ({teller.line(side.kind, 40)})"
            for side in each.conflicts[:_LISTED_MAX]
        ),
        ref=teller.maybe(each.ref),
        recover=None if each.ref is None else recover_command(facts, kept),
    )
