"""The verdict in words: the headline, why it is so, and what each gate says of this run.

What a gate's value is, `gates` decides; how far to trust it, `trust` says.
"""

from collections.abc import Mapping

from visionflow.agents.findings import SEVERITIES, ToolRun, count_by_severity
from visionflow.agents.report import contest_gates
from visionflow.agents.report.contest_words import contest_headline, why_failed
from visionflow.agents.report.facts import RunFacts
from visionflow.agents.report.gates import (
    MEANS,
    SECRETS_TOOL,
    UNDER_WAY,
    Gates,
    failed_of,
    verdict,
)
from visionflow.agents.report.telling import Teller, named, percent, plural
from visionflow.agents.report.trust import grave, hidden_in
from visionflow.agents.report.values import GateLine

NOTHING_ANSWERS = "Nothing in this repository answers it."
_NO_CHANGE = "there is no change to judge"


def headline_of(facts: RunFacts, gates: Gates, teller: Teller) -> tuple[str, str]:
    """Verdict and status in one sentence, and its tone: good, bad or unsure."""
    if facts.contest is not None:
        told = contest_headline(facts, facts.contest, gates, teller)
        if told is not None:
            return told
    if facts.status in UNDER_WAY:
        under_way = [task.title for task in facts.tasks if task.status in ("assigned", "running")]
        told = f": {', '.join(under_way)}" if under_way else ""
        begun = "Under way" if facts.status == "running" else "Interrupted; it can be resumed"
        return f"{begun}{told}.", "unsure"
    if facts.status != "completed":
        return f"The run ended as {named(facts.status)}.", "bad"
    if not facts.gates:
        if unanswered(facts):
            return NOTHING_ANSWERS, "unsure"
        return "Done: this playbook has no gate.", "good"
    word = verdict(gates)
    if word == "failed":
        return f"Failed: {failed_of(gates)}.", "bad"
    if word == "nothing_checked":
        return "Nothing could be checked.", "unsure"
    hides = grave(_hidden(facts))
    if word == "incomplete":
        told = "Incomplete: what could be checked passed"
        return told + (f"; the project itself hides findings{hides}." if hides else "."), "unsure"
    told = "Passed: every gate passed"
    if hides:
        return f"{told}, but the project itself hides findings{hides}.", "unsure"
    if gates.get("patch", True) is not None:
        return f"{told}.", "good"
    if _nothing_made(facts):
        return f"{told}; {_NO_CHANGE}.", "good"
    return f"{told}; of a change nothing could be told.", "unsure"


def subtitle_of(facts: RunFacts, gates: Gates, teller: Teller) -> str:
    """Which gates failed, or else could not be told, each with what decided it."""
    if facts.status != "completed":
        return ""
    failed = [name for name, value in gates.items() if value is False]
    if failed:
        return "; ".join(f"{name}: {_why_failed(name, facts, teller)}" for name in failed) + "."
    still = [name for name, value in gates.items() if value is None and name != "patch"]
    return f"Could not be told: {', '.join(still)}." if still else ""


def gate_line(name: str, value: bool | None, facts: RunFacts) -> GateLine:
    """The gate, what it says when it is passed, and what has to be known of it here."""
    if facts.contest is not None:
        return GateLine(name, value, contest_gates.MEANS.get(name, MEANS.get(name, "")))
    means = MEANS.get(name, "")
    if name == "patch" and facts.status not in UNDER_WAY:
        idle = _nothing_made(facts)
        return GateLine(name, value, f"{means}; {_NO_CHANGE}" if idle else means, idle)
    hides = grave(_hidden(facts)) if name == "findings" else ""
    return GateLine(name, value, f"{means}; it hides {hides[2:-1]}" if hides else means)


def hidden_told(facts: RunFacts) -> str:
    """How many findings the project hides, as `2 (1 high)`; empty: none."""
    counts = _hidden(facts)
    count = sum(counts.values())
    return f"{count:,}{grave(counts)}" if count else ""


def unanswered(facts: RunFacts) -> bool:
    """Whether terms were looked up and none of them has a line."""
    answers = () if facts.research is None else facts.research.answers
    return bool(answers) and not any(each.hits or each.citations for each in answers)


def _hidden(facts: RunFacts) -> dict[str, int]:
    return count_by_severity(hidden_in(facts))


def _nothing_made(facts: RunFacts) -> bool:
    """Whether the coder came to an end and kept no change."""
    return facts.change is not None and facts.change.outcome != "changed"


def _why_failed(name: str, facts: RunFacts, teller: Teller) -> str:
    if facts.contest is not None:
        return why_failed(name, facts.contest, teller)
    if name == "tests" and facts.tests is not None:
        counts = facts.tests.counts
        return teller.line(facts.tests.reason or f"{counts.failed + counts.errors:,} failed", 160)
    if name == "coverage" and facts.tests is not None:
        return f"{percent(facts.tests.coverage)} of lines, less than the tester's threshold"
    if name == "findings":
        return _counts(facts.tools, SEVERITIES[:2])
    if name == "secrets":
        runs = tuple(run for run in facts.tools if run.tool == SECRETS_TOOL)
        return _counts(runs, SEVERITIES[:3])
    if name == "cycles" and facts.architecture is not None:
        return plural(len(facts.architecture.cycles), "ring") + " of imports"
    told: Mapping[str, str] = {
        "syntax": "a file outside tests does not parse",
        "patch": "the coder's change was voted down",
    }
    return told.get(name, "failed")


def _counts(runs: tuple[ToolRun, ...], severities: tuple[str, ...]) -> str:
    found = count_by_severity(finding for run in runs for finding in run.findings)
    return ", ".join(f"{found[word]:,} {word}" for word in severities if found[word])
