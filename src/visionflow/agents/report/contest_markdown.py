"""The candidates of coding agents in report.md: a table, what stands for and against each, and the
beginning of each change, in a fence that nothing in it can close."""

from collections.abc import Iterator

from visionflow.agents.report.contest_values import CandidateLine, ContestView, Standing
from visionflow.agents.report.telling import named, plural, seconds
from visionflow.agents.tools.text import code, code_block, markdown

DIFFS_CHARS_MAX = 24_000
"""Of all changes together; report.html and changes.patch have the rest."""
_CANDIDATES_MAX = 30
WORDS: dict[Standing, str] = {
    "taken": "taken", "good": "good enough", "not_good": "not good enough", "out": "out",
    "landed": "in the result", "unmerged": "not in the result", "under_way": "under way",
    "open": "not judged yet",
}  # fmt: skip
_HEAD = (
    "place", "who", "agent", "came out as", "gate", "predicates", "new findings", "tests broken",
    "lines", "files", "tokens", "cost", "time",
)  # fmt: skip


def contest_markdown(contest: ContestView) -> Iterator[str]:
    """The section, line by line."""
    yield f"## {'Parts of the work' if contest.split else 'Candidates'}"
    yield ""
    for told in (contest.why, *contest.said):
        if told:
            yield markdown(told, 600)
            yield ""
    for each in contest.unmerged:
        yield (
            f"- not in the result: {code(each.task)}, {named(each.reason)}: "
            f"{markdown(each.message, 600)}"
        )
        yield from (f"  - {code(file)}" for file in each.conflicts)
        if each.recover is not None:
            yield ""
            yield code_block(each.recover, "  ")
            yield ""
    shown = contest.candidates[:_CANDIDATES_MAX]
    if shown:
        yield ""
        yield f"| {' | '.join(_HEAD)} |"
        yield "|" + "---|" * len(_HEAD)
        yield from (f"| {' | '.join(_row(each))} |" for each in shown)
        yield ""
    if contest.candidates_total > len(shown):
        yield f"- and {contest.candidates_total - len(shown):,} more"
        yield ""
    diffs = sum(each.diff is not None for each in shown)
    for each in shown:
        yield from _candidate(each, DIFFS_CHARS_MAX // max(1, diffs))
    if contest.landed:
        told = ", ".join(f"{code(task)} as {code(commit[:12])}" for task, commit in contest.landed)
        yield f"In the result: {told}."
        yield ""
    for note in contest.notes:
        yield f"- {markdown(note)}"


def _row(each: CandidateLine) -> tuple[str, ...]:
    held = sum(one.passed is True for one in each.predicates)
    doubted = sum(one.doubt is not None for one in each.predicates)
    proof = f", {doubted} no proof" if doubted else ""
    return (
        "" if each.place is None else str(each.place),
        markdown(each.candidate),
        code(each.agent) if each.agent else "",
        f"**{WORDS[each.standing]}**: {markdown(each.told)}",
        "not judged" if each.gate is None else named(each.gate),
        f"{held} of {len(each.predicates)}{proof}" if each.predicates else "none",
        "" if each.gate is None else _count(each.new_total),
        "" if each.gate is None else _count(each.broken_total),
        "" if each.insertions is None else f"+{each.insertions:,} -{each.deletions or 0:,}",
        "" if each.files_total is None else f"{each.files_total:,}",
        *_use(each),
    )


def _use(each: CandidateLine) -> tuple[str, str, str]:
    """Tokens, cost and time of what an agent did; empty where none did anything yet."""
    if not each.goes:
        return "", "", ""
    return (
        "not reported" if each.tokens is None else f"{each.tokens:,}",
        markdown(each.cost),
        "unknown" if each.seconds is None else seconds(each.seconds),
    )


def _count(value: int | None) -> str:
    return "unknown" if value is None else f"{value:,}"


def _candidate(each: CandidateLine, room: int) -> Iterator[str]:
    yield f"### {markdown(each.candidate)}"
    yield ""
    yield from (f"- {markdown(why)}" for why in each.reasons)
    yield from (f"- it did what it may not: {markdown(told)}" for told in each.violations)
    for one in each.predicates:
        yield f"- {code(one.command)} {markdown(one.told)}"
    yield from (f"- against it: {markdown(told)}" for told in each.gate_failed)
    yield from (f"- test broken: {code(told)}" for told in each.broken)
    yield from (f"- new finding: {markdown(told)}" for told in each.new)
    yield from (f"- the gate could not look: {markdown(told)}" for told in each.unseen)
    for ballot in each.ballots:
        yield f"- ballot on {markdown(ballot.evidence)}: {ballot.choice}, {markdown(ballot.reason)}"
    if each.went:
        yield f"- it went: {each.went}"
    if each.confined is not None:
        held = markdown(", ".join(each.held)) if each.held else "**nothing**"
        yield f"- held by: {held}"
    if each.summary:
        yield f"- its own last words: {markdown(each.summary, 600)}"
    yield from (f"- {markdown(note)}" for note in each.notes)
    if each.take is not None:
        yield ""
        yield code_block(each.take)
    yield ""
    if each.diff is not None:
        yield from _diff(each, each.diff, room)


def _diff(each: CandidateLine, diff: str, room: int) -> Iterator[str]:
    shown = diff if len(diff) <= room else diff[: diff.rfind("\n", 0, room) + 1]
    files = "" if each.files_total is None else f" in {plural(each.files_total, 'file')}"
    more = "" if len(shown) == len(diff) else ", of which this is the beginning"
    yield f"Its change{files}{more}:"
    yield ""
    yield code_block(shown.rstrip("\n"), language="diff")
    yield ""
