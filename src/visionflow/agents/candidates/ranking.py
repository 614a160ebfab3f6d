"""Which candidate is taken, by what was measured and nothing else. Pure.

All begin as one group. Each criterion parts each group, the weightiest first; one that is not known
of everybody in a group parts nothing there, so that what a tool does not report helps nobody and
harms nobody. Those that stay together are tied, whatever order they came in. The criteria:

    good: judged, nobody objects      objections, the fewer
    predicates whose passing is no proof, the fewer
    the gate: clean, incomplete, not run, failed
    predicates that failed on base and pass now, the more
    files of a predicate untouched    new findings that fail nothing, the fewer
    tests, where all were run         changed lines, the fewer
    cost
"""

import re
from collections.abc import Callable, Mapping, Sequence

import msgspec

from visionflow.agents.candidates.values import (
    Accepted,
    Attempted,
    Integrated,
    Judged,
    Ranked,
    Ranking,
    Unmerged,
)
from visionflow.agents.findings import SEVERITIES

RESULT = "result"
"""The candidate's name of what several agents made together."""
ACCEPT, FINDINGS, SCOPE, TESTS = "accept", "findings", "scope", "tests"
MEMBERS = (TESTS, FINDINGS, ACCEPT, SCOPE)
"""Who has a ballot on each candidate."""
RAN, SELECTION, OWN_JUDGE = "run", "selection", "own_predicate_files"
"""Facts of ballots that the ranking reads."""
_GATE = {"clean": 0, "incomplete": 1, "not_run": 2, "failed": 3}
_Value = tuple[int, ...] | None


class _Entry(msgspec.Struct, frozen=True):
    """One candidate with what is known of it."""

    name: str
    attempted: Attempted | None
    judged: Judged | None

    @property
    def good(self) -> bool:
        made = self.attempted is None or self.attempted.outcome == "changed"
        return made and self.judged is not None and self.judged.good

    @property
    def objections(self) -> tuple[str, ...]:
        """Why it may not be taken."""
        made, judged = self.attempted, self.judged
        if made is not None and made.outcome != "changed":
            return (made.reason or made.outcome.replace("_", " "),)
        if judged is None:
            return ("it was not judged",)
        if judged.tip is None:
            return (judged.reason or "there was nothing to judge",)
        return tuple(
            f"{each.member}: {each.reason}" for each in judged.ballots if each.choice == "reject"
        )


class _Criterion(msgspec.Struct, frozen=True):
    """What parts candidates; the smaller value is the better one, `None` is not known."""

    value: Callable[[_Entry], _Value]
    told: Callable[[_Entry], str | None]
    """The value in words; `None`: not worth a word."""


def rank(
    attempted: Sequence[Attempted],
    judged: Sequence[Judged],
    integrated: Sequence[Integrated] = (),
    trees: Mapping[str, str] | None = None,
) -> Ranking:
    """Put the candidates in order. `trees`: of each candidate the tree that it made.

    With `integrated` it is work split over agents: the one candidate is what they made together.
    """
    entries = _entries(attempted, judged, bool(integrated))
    stages = [[entries] if entries else []]
    for criterion in CRITERIA:
        stages.append([part for group in stages[-1] for part in _parted(group, criterion)])
    groups = stages[-1]
    order: list[Ranked] = []
    for group in groups:
        place = len(order) + 1
        order += [Ranked(each.name, place, each.good, _reasons(each)) for each in group]
    best = groups[0] if groups and groups[0][0].good else []
    return Ranking(
        tuple(order),
        best[0].name if best else None,
        _why(stages),
        tuple(each.name for each in best[1:]),
        _same(entries, trees or {}),
        unmerged_of(integrated),
    )


def in_order(integrated: Sequence[Integrated]) -> tuple[Integrated, ...]:
    """The merges in the order in which they were made: each stands on the tip of the one before.

    Those that belong to no such line keep the order in which they came, at its end.
    """
    left = list(integrated)
    tips = {each.tip for each in left if each.tip != each.base}
    at = next((each.base for each in left if each.base not in tips), None)
    line: list[Integrated] = []
    while at is not None:
        # What landed nothing comes before what did: both began on the same commit.
        standing = [each for each in left if each.base == each.tip == at]
        moved = next((each for each in left if each.base == at != each.tip), None)
        line += [*standing, *([] if moved is None else [moved])]
        left = [each for each in left if not any(each is one for one in line)]
        at = None if moved is None else moved.tip
    return (*line, *left)


def unmerged_of(integrated: Sequence[Integrated]) -> tuple[Unmerged, ...]:
    """What is not on the branch in the end, by the task; what landed later is."""
    found: dict[str, Unmerged] = {}
    landed: set[str] = set()
    for each in in_order(integrated):
        landed |= {one.task for one in each.landed}
        found |= {one.task: one for one in each.unmerged}
    return tuple(found[name] for name in sorted(found, key=natural) if name not in landed)


def natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """Sorts `candidate-2` before `candidate-10`."""
    parts = re.findall(r"[0-9]+|[^0-9]+", name)
    return tuple((0, int(part), part) if part.isdecimal() else (1, 0, part) for part in parts)


def _entries(attempted: Sequence[Attempted], judged: Sequence[Judged], split: bool) -> list[_Entry]:
    verdicts = {each.candidate: each for each in judged}
    if split:
        entries = [_Entry(RESULT, None, verdicts.get(RESULT))]
    else:
        made = {each.task: each for each in attempted}
        entries = [_Entry(name, one, verdicts.get(name)) for name, one in made.items()]
    return sorted(entries, key=lambda each: natural(each.name))


def _parted(group: list[_Entry], criterion: _Criterion) -> list[list[_Entry]]:
    values = [criterion.value(each) for each in group]
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return [group]
    return [
        [each for each, value in zip(group, known, strict=True) if value == one]
        for one in sorted(set(known))
    ]


# The criteria ------------------------------------------------------------------------------------


def _soundness(entry: _Entry) -> _Value:
    judged = entry.judged is not None and entry.judged.tip is not None
    return int(not entry.good), int(not judged), len(entry.objections)


def _doubted(entry: _Entry) -> list[Accepted]:
    accepted = entry.judged.accepted if entry.judged is not None else ()
    return [each for each in accepted if each.passed and each.doubt is not None]


def _doubts(entry: _Entry) -> _Value:
    return (len(_doubted(entry)),)


def _doubts_told(entry: _Entry) -> str | None:
    doubted = _doubted(entry)
    if not doubted:
        return None
    more = f", and {_many(len(doubted) - 1, 'more such predicate')}" if len(doubted) > 1 else ""
    return f"has no proof by `{doubted[0].command}`: it {doubted[0].doubt}{more}"


def _gate(entry: _Entry) -> _Value:
    gate = entry.judged.gate if entry.judged is not None else None
    return (_GATE[gate.verdict if gate is not None else "not_run"],)


def _gate_told(entry: _Entry) -> str | None:
    gate = entry.judged.gate if entry.judged is not None else None
    if gate is None:
        return None
    if gate.verdict == "failed":
        return f"the gate fails: {', '.join(gate.failed)}"
    if gate.verdict == "clean":
        return "the gate is clean"
    some = f": {gate.unseen[0]}" if gate.unseen else ""
    what = "the gate was not run" if gate.verdict == "not_run" else "the gate could not tell all"
    return what + some


def _proved(entry: _Entry) -> int:
    accepted = entry.judged.accepted if entry.judged is not None else ()
    return sum(each.proved for each in accepted)


def _proofs(entry: _Entry) -> _Value:
    return (-_proved(entry),)


def _proofs_told(entry: _Entry) -> str | None:
    accepted = entry.judged.accepted if entry.judged is not None else ()
    if not accepted:
        return None
    passed, proved = sum(bool(each.passed) for each in accepted), _proved(entry)
    what = "predicate passes" if len(accepted) == 1 else "predicates pass"
    before = f", {proved} failed before" if proved else ""
    return f"{passed} of {len(accepted)} {what}{before}"


def _own_judge(entry: _Entry) -> _Value:
    return (_fact(entry, SCOPE, OWN_JUDGE) or 0,)


def _own_judge_told(entry: _Entry) -> str | None:
    number = _fact(entry, SCOPE, OWN_JUDGE)
    return f"changed {_many(number, 'file')} that a predicate depends on" if number else None


def _findings(entry: _Entry) -> _Value:
    gate = entry.judged.gate if entry.judged is not None else None
    if gate is None or gate.verdict == "not_run":
        return None
    return tuple(sum(each.severity == one for each in gate.new) for one in SEVERITIES)


def _findings_told(entry: _Entry) -> str | None:
    value = _findings(entry)
    if value is None:
        return None
    return _many(sum(value), "new finding") if any(value) else "no new finding"


def _tests(entry: _Entry) -> _Value:
    if _text(entry, TESTS, SELECTION) != "all":
        return None  # How many a change reaches says nothing of how good it is.
    ran = _fact(entry, TESTS, RAN)
    return None if ran is None else (-ran,)


def _tests_told(entry: _Entry) -> str | None:
    value = _tests(entry)
    return None if value is None else f"{_many(-value[0], 'test')} run"


def _lines(entry: _Entry) -> _Value:
    made = entry.attempted
    return None if made is None else (made.insertions + made.deletions,)


def _lines_told(entry: _Entry) -> str | None:
    value = _lines(entry)
    return None if value is None else f"{_many(value[0], 'changed line')}"


def _cost(entry: _Entry) -> _Value:
    cost = None if entry.attempted is None else entry.attempted.usage.cost_microdollars
    return None if cost is None else (cost,)


def _cost_told(entry: _Entry) -> str | None:
    value = _cost(entry)
    return None if value is None else f"${value[0] / 1_000_000:.4f}"


def _sound_told(entry: _Entry) -> str | None:
    return "nobody objects" if entry.good else "; ".join(entry.objections)


CRITERIA = (
    _Criterion(_soundness, _sound_told),
    _Criterion(_doubts, _doubts_told),
    _Criterion(_gate, _gate_told),
    _Criterion(_proofs, _proofs_told),
    _Criterion(_own_judge, _own_judge_told),
    _Criterion(_findings, _findings_told),
    _Criterion(_tests, _tests_told),
    _Criterion(_lines, _lines_told),
    _Criterion(_cost, _cost_told),
)


def _fact(entry: _Entry, member: str, name: str) -> int | None:
    found = _facts(entry, member).get(name)
    return found if isinstance(found, int) else None


def _text(entry: _Entry, member: str, name: str) -> str | None:
    found = _facts(entry, member).get(name)
    return found if isinstance(found, str) else None


def _facts(entry: _Entry, member: str) -> Mapping[str, int | str | None]:
    ballots = entry.judged.ballots if entry.judged is not None else ()
    for each in ballots:
        if each.member == member:
            return each.facts
    return {}


# Words -------------------------------------------------------------------------------------------


def _reasons(entry: _Entry) -> tuple[str, ...]:
    first = ("nobody objects",) if entry.good else entry.objections
    told = (criterion.told(entry) for criterion in CRITERIA[1:])
    return (*first, *(each for each in told if each))


def _why(stages: list[list[list[_Entry]]]) -> str:
    groups = stages[-1]
    if not groups:
        return "There is nothing to choose from: no agent came to an end with its work."
    best = groups[0]
    first, number = best[0], sum(map(len, groups))
    if not first.good:
        why = "; ".join(first.objections)
        if number == 1:
            return f"{first.name} is not good enough: {why}."
        return f"None of {number} is good enough. The best of them, {first.name}: {why}."
    if len(best) > 1:
        names = f"{', '.join(each.name for each in best[:-1])} and {best[-1].name}"
        return f"Nothing that was measured tells {names} apart; {first.name} is the first of them."
    others = [each for group in groups[1:] for each in group if each.good]
    if number == 1:
        return f"Nobody objects to {first.name}."
    if not others:
        return f"{first.name} is the only one of {number} that nobody objects to."
    apart = _told_apart(stages, first, others[0])
    return f"{first.name} is the best of {len(others) + 1} good ones: {apart}."


def _told_apart(stages: list[list[list[_Entry]]], first: _Entry, second: _Entry) -> str:
    """What put one before the other: the first criterion that parted their group."""
    for criterion, groups in zip(CRITERIA, stages[1:], strict=True):
        if any(first in group and second not in group for group in groups):
            mine, other = criterion.told(first), criterion.told(second)
            if mine is None:
                return f"{second.name} {other}"
            return mine if other is None else f"{mine} (of {second.name}: {other})"
    raise AssertionError(f"nothing tells {first.name} and {second.name} apart")


def _same(entries: Sequence[_Entry], trees: Mapping[str, str]) -> tuple[tuple[str, ...], ...]:
    groups: dict[str, list[str]] = {}
    for each in entries:
        if each.name in trees:
            groups.setdefault(trees[each.name], []).append(each.name)
    return tuple(tuple(names) for names in groups.values() if len(names) > 1)


def _many(number: int | None, what: str) -> str:
    return f"{number or 0} {what}" + ("" if number == 1 else "s")
