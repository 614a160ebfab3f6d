"""The numbers of a run in words: written once, so that every face shows the same."""

from collections.abc import Iterator

from visionflow.agents.findings import SEVERITIES
from visionflow.agents.report.contest_values import ContestView
from visionflow.agents.report.telling import money, percent, seconds, share
from visionflow.agents.report.values import Figure, RunView


def figures_of(view: RunView) -> tuple[Figure, ...]:
    """What can be counted of this run, in the order in which it is told."""
    return tuple(_figures(view))


def findings_told(findings: dict[str, int] | None) -> str:
    """Counts by severity, the gravest first; those that are 0 are left out."""
    if findings is None:
        return "unknown"
    told = [f"{findings[name]:,} {name}" for name in SEVERITIES if findings.get(name)]
    return ", ".join(told) or "none"


def _figures(view: RunView) -> Iterator[Figure]:
    if view.issues_asked:
        yield Figure("findings", "Findings", findings_told(view.findings))
    if view.issues_known:
        yield Figure("issues", "Faults", f"{view.issues_total:,}")
    if view.issues_asked:
        yield Figure("suppressed", "Suppressed", f"{view.suppressed_total:,}")
    if view.contest is not None:
        yield from _contest(view.contest)
    run = view.tests
    if run is not None:
        yield Figure("tests", "Tests", _tests(view))
        yield Figure("coverage", "Coverage of lines", percent(run.coverage))
        yield Figure("branches", "Coverage of branches", percent(run.branch_coverage))
        yield Figure("pass_rate", "Pass rate", share(run.pass_rate, 1))
    found = view.architecture
    if found is not None:
        yield Figure("modules", "Modules", f"{found.modules:,}")
        yield Figure("cycles", "Import cycles", f"{found.cycles_total:,}")
        layers = "unknown" if found.layers is None else f"{found.layers:,}"
        yield Figure("layers", "Layers", layers)
        yield Figure("scalability", "Scalability score", _score(found.scalability_score))
    if view.research is not None and view.research.completeness is not None:
        yield Figure("completeness", "Terms answered", share(view.research.completeness))
    change = view.change
    if change is not None and view.contest is None:
        yield Figure("fixed", "Findings gone with the patch", f"{change.fixed:,}")
        yield Figure("quality", "Code quality", _score(change.code_quality))
    yield Figure("not_looked_at", "Not looked at", f"{view.not_looked_at_total:,}")
    if view.seconds is not None:
        yield Figure("seconds", "Took", seconds(view.seconds))


def _contest(contest: ContestView) -> Iterator[Figure]:
    if contest.split:
        parts = len(contest.landed) + len(contest.unmerged)
        yield Figure("landed", "Parts in the result", f"{len(contest.landed):,} of {parts:,}")
    else:
        told = f"{contest.candidates_total:,}, {contest.good:,} good enough"
        yield Figure("candidates", "Candidates", told)
    silent = f" ({contest.unreported:,} told nothing or a part)" if contest.unreported else ""
    tokens = "not reported" if contest.tokens is None else f"{contest.tokens:,}{silent}"
    yield Figure("tokens", "Tokens", tokens)
    yield Figure("cost", "Cost", money(contest.cost_microdollars))


def _tests(view: RunView) -> str:
    run = view.tests
    if run is None:
        return "unknown"
    told = [f"{run.passed:,} passed"]
    for count, word in (
        (run.failed, "failed"), (run.errors, "errors"), (run.skipped, "skipped"),
        (run.xfailed, "expected failures"), (run.flaky_total, "flaky"),
    ):  # fmt: skip
        if count or word in ("failed", "errors"):
            told.append(f"{count:,} {word}")
    return ", ".join(told)


def _score(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.2f}"
