"""The end of a run on the terminal: at most 25 lines, what matters first.

Lines are cut to the width, but for commands: one that is not whole is of no use.
"""

from collections.abc import Callable, Iterator, Sequence

from visionflow.agents.report.contest_markdown import WORDS
from visionflow.agents.report.contest_values import ContestView, Standing
from visionflow.agents.report.telling import named, plural, seconds
from visionflow.agents.report.values import IssueLine, RunView
from visionflow.agents.report.view import TOP
from visionflow.agents.tools.text import one_line

LINES_MAX = 25
WIDTH = 110
Paint = Callable[[str, str], str]
"""(style, text) to the text in that style: good, bad, unsure, faint or bold."""
_STYLE = {"critical": "bad", "high": "bad", "medium": "unsure", "low": "faint", "info": "faint"}
_GATE = {True: ("passed", "good"), False: ("failed", "bad"), None: ("unknown", "unsure")}
_STANDING: dict[Standing, str] = {
    "taken": "good", "good": "good", "landed": "good", "not_good": "bad", "out": "bad",
    "unmerged": "bad", "under_way": "unsure", "open": "unsure",
}  # fmt: skip
_IDLE = ("nothing to judge", "faint")
_UNSEEN_MAX = 3
_ANSWERS_MAX = 3
_UNMERGED_MAX = 3
_CANDIDATES_MAX = 7
_SHOWN = (
    "findings", "issues", "tests", "coverage", "cycles", "fixed", "candidates", "landed", "tokens",
    "cost",
)  # fmt: skip
"""The figures that have a place here; faults only where they are fewer than findings."""


def terminal_lines(
    view: RunView, paint: Paint, report: str | None = None, width: int = WIDTH
) -> list[str]:
    """The run in at most `LINES_MAX` lines; `report` is the path of the report, when there is one.

    Without colours a line is at most `width` wide, unless it is a command or a path.
    """
    took = "" if view.seconds is None else f" ({seconds(view.seconds)})"
    lines = [paint(view.tone, _cut(view.headline, width - len(took))) + took]
    lines += _gates(view, paint, width)
    lines += _figures(view, width)
    lines += [] if view.contest is None else _contest(view.contest, paint, width)
    lines += _issues(view, paint, width)
    lines += _hidden(view, paint)
    lines += _answers(view, paint, width)
    lines += _unseen(view, paint, width)
    tail = [f"Report: {_cut(report, 4_096)}"] if report else []
    # The first command shows the run once more; it is what a reader looks for on the last line.
    ordered = (*view.commands[1:], *view.commands[:1])
    tail += [f"{command.does}: {command.command}" for command in ordered]
    room = LINES_MAX - len(lines) - len(tail)
    lines += [paint("faint", _cut(note, width)) for note in view.notes[: min(3, max(0, room))]]
    return [*lines, *tail][:LINES_MAX]


def _cut(text: str, width: int) -> str:
    return one_line(text, width)


def _gates(view: RunView, paint: Paint, width: int) -> Iterator[str]:
    """As many gates on a line as fit, on two lines at most."""
    rows: list[list[tuple[str, str, str]]] = [[]]
    used = 0
    for gate in view.gate_lines:
        word, style = _IDLE if gate.idle else _GATE[gate.value]
        name = _cut(gate.name, 20)
        wide = len(name) + len(word) + 4
        if used + wide > width - 2 and rows[-1]:
            rows.append([])
            used = 0
        rows[-1].append((name, word, style))
        used += wide
    for row in rows[:2]:
        if row:
            yield "  " + "   ".join(f"{name} {paint(style, word)}" for name, word, style in row)


def _figures(view: RunView, width: int) -> Iterator[str]:
    told = [each for each in view.figures if each.key in _SHOWN]
    if view.issues_total == sum((view.findings or {}).values()):
        told = [each for each in told if each.key != "issues"]
    line = ""
    lines: list[str] = []
    for each in told:
        word = f"{each.label}: {each.text}"
        if line and len(line) + len(word) + 3 > width:
            lines.append(line)
            line = word
        else:
            line = f"{line} · {word}" if line else word
    for each in [*lines, line][:2]:
        if each:
            yield _cut(each, width)


def _contest(contest: ContestView, paint: Paint, width: int) -> Iterator[str]:
    """What is not in the result with the command that recovers it, then a line each."""
    for each in contest.unmerged[:_UNMERGED_MAX]:
        told = f"{each.task}: {named(each.reason)}, {each.message}"
        yield f"  {paint('bad', 'unmerged')} {_cut(told, width - 11)}"
        if each.recover is not None:
            yield f"           {paint('faint', each.recover)}"
    if len(contest.unmerged) > _UNMERGED_MAX:
        yield paint("faint", f"  and {len(contest.unmerged) - _UNMERGED_MAX:,} more, in the report")
    shown = contest.candidates[:_CANDIDATES_MAX]
    for each in shown:
        word = WORDS[each.standing]
        reasons = () if each.standing in ("out", "unmerged") else each.reasons[:2]
        why = "; ".join((each.told, *reasons))
        sizes = (each.insertions or 0, each.deletions or 0)
        lines = " (+{:,} -{:,})".format(*sizes) if any(sizes) else ""
        name = _cut(each.candidate, 30)
        room = width - len(name) - len(word) - 6
        yield f"  {name}  {paint(_STANDING[each.standing], word)}: {_cut(why + lines, room)}"
    if contest.candidates_total > len(shown):
        yield paint("faint", f"  and {contest.candidates_total - len(shown):,} more, in the report")


def _issues(view: RunView, paint: Paint, width: int) -> Iterator[str]:
    for issue in view.issues[:TOP]:
        yield _issue(issue, paint, width)
        yield f"           {paint('faint', issue.command)}"
    if view.issues_total > TOP:
        yield paint(
            "faint", f"  and {view.issues_total - TOP:,} more faults, all in findings.sarif"
        )


def _issue(issue: IssueLine, paint: Paint, width: int) -> str:
    severity = paint(_STYLE.get(issue.severity, "faint"), f"{issue.severity:<8}")
    room = width - 11
    start = f"{issue.place} "
    if len(start) > room // 2:
        start = "…" + start[-(room // 2) :]
    # Rules give way to the message: by tool and name, by name, not at all.
    names = [rule.partition(" ")[2] for rule in issue.rules]
    for rules in (f" ({', '.join(issue.rules)})", f" ({', '.join(dict.fromkeys(names))})", ""):
        if len(start) + len(issue.message) + len(rules) <= room:
            break
    return f"  {severity} {_cut(start + issue.message + rules, room)}"


def _answers(view: RunView, paint: Paint, width: int) -> Iterator[str]:
    """What was looked up and what is hard to read, where no review was asked for."""
    if view.issues_asked:
        return
    answers = () if view.research is None else view.research.answers
    if view.research is not None and not answers:
        yield paint("unsure", "The goal has no term that could be looked up.")
    for answer in answers[:_ANSWERS_MAX]:
        terms = _cut(", ".join(answer.terms), 40)
        yield f"{paint('bold', terms)}: {plural(answer.hits, 'line')}"
        for each in answer.citations[: 2 if len(answers) > 1 else 6]:
            yield f"  {_cut(f'{each.place} {each.text}', width - 2)}"
    spots = () if view.architecture is None else view.architecture.hotspots
    for spot in spots[:2]:
        told = f"{spot.path}: {plural(spot.changes, 'change')}, complexity {spot.complexity:,}"
        yield f"{paint('unsure', 'hotspot')} {_cut(told, width - 8)}"


def _hidden(view: RunView, paint: Paint) -> Iterator[str]:
    if view.hidden:
        yield paint("unsure", f"Hidden by the project itself: {view.hidden}")


def _unseen(view: RunView, paint: Paint, width: int) -> Iterator[str]:
    if not view.not_looked_at:
        return
    shown: Sequence[str] = [f"{each.what}: {each.why}" for each in view.not_looked_at[:_UNSEEN_MAX]]
    total = view.not_looked_at_total
    yield paint("unsure", f"Not looked at: {total:,}")
    for told in shown:
        yield f"  {_cut(told, width - 2)}"
    if total > len(shown):
        yield paint("faint", f"  and {total - len(shown):,} more, in the report")
